"""`sample_weight` and `groups`: rows that count more often, and rows never compared."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_common import SAMPLES, TRAINED, images, mixed_frame

from skssl import (
    ICL,
    NNCLR,
    SCARF,
    BinningPretext,
    DenoisingAutoencoder,
    EmbeddingOutlierDetector,
    FineTunedClassifier,
    FineTunedRegressor,
    MoCo,
    PhenotypeTransformer,
    PretrainedClassifier,
    ReconstructionOutlierDetector,
    SimCLR,
    UnlabeledKFold,
)
from skssl._compat import take_rows
from skssl._data._given import Given, _check_total, hashes, make_rows
from skssl._data._rows import Rows

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 16,
    "precision": "float32",
    "random_state": 0,
}
WEIGHTS = np.random.default_rng(0).integers(0, 4, 60)
FRACTIONS = np.round(np.random.default_rng(1).uniform(0, 3, 60), 1)
INDEX = torch.arange(60)


def shuffled(X, *more, seed=0):
    order = np.random.default_rng(seed).permutation(len(more[0]))
    return take_rows(X, order), *(array[order] for array in more)


def some(modality):
    return mixed_frame() if modality == "table" else SAMPLES[modality]()


# ---- a weight is a repeated row ----------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "modality"),
    [
        (NNCLR(**CHEAP, queue_size=40, projection_dim=16), "table"),
        (BinningPretext(**CHEAP, n_iter_no_change=5), "table"),
        (MoCo(**CHEAP | {"max_epochs": 1}, projection_dim=16), "image"),
        (SimCLR(**CHEAP, projection_dim=16), "series"),
    ],
)
def test_a_weight_is_a_repeated_row(method, modality):
    X = some(modality)
    repeated = take_rows(X, np.arange(60).repeat(WEIGHTS))
    expected = clone(method).fit(repeated)
    weighted, w = shuffled(X, WEIGHTS)
    got = clone(method).fit(weighted, sample_weight=w)
    np.testing.assert_array_equal(got.transform(X), expected.transform(X))
    assert got.loss_curve_ == expected.loss_curve_
    even = clone(method).fit(X, sample_weight=np.ones(60))
    assert not np.allclose(even.transform(X), expected.transform(X), atol=1e-4)


# scikit-learn's own check goes over those that read tables
NO_TABLES = [p for p in TRAINED if "table" not in p.values[0]._modalities]


@pytest.mark.parametrize(("transformer", "modality"), NO_TABLES)
def test_a_weight_is_a_repeated_row_of_any_modality(transformer, modality):
    X, weight = SAMPLES[modality](20), np.arange(20) % 3
    params = {"max_epochs": 1, "batch_size": 10}
    fitted = [
        clone(transformer).set_params(**params).fit(rows, sample_weight=w).transform(X)
        for rows, w in ((take_rows(X, np.arange(20).repeat(weight)), None), (X, weight))
    ]
    np.testing.assert_array_equal(*fitted)


def test_a_weight_moves_the_threshold_as_a_repeated_row_does():
    method = ICL(**CHEAP, contamination=0.2)
    frame = mixed_frame()
    expected = clone(method).fit(take_rows(frame, np.arange(60).repeat(WEIGHTS)))
    got = clone(method).fit(frame, sample_weight=WEIGHTS)
    assert got.offset_ == expected.offset_ != clone(method).fit(frame).offset_


def test_rows_of_weight_0_are_absent():
    """Neither their values nor their categories nor their extremes are seen."""
    frame = mixed_frame()
    odd = frame.head(5).assign(city="Atlantis", income=1e9)
    both = pd.concat([frame.astype({"city": object}), odd.astype({"city": object})])
    weight = np.r_[np.ones(60), np.zeros(5)]
    got = SCARF(**CHEAP).fit(both, sample_weight=weight)
    expected = SCARF(**CHEAP).fit(frame.astype({"city": object}))
    np.testing.assert_array_equal(got.transform(frame), expected.transform(frame))


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
def test_the_order_of_rows_plays_no_part(how):
    X, labels, w = shuffled(X_IRIS, Y_IRIS, np.arange(150) % 3 + 0.5)
    method = NNCLR(**CHEAP, projection_dim=16)
    one = getattr(clone(method), how)(X, sample_weight=w, groups=labels)
    other = getattr(clone(method), how)(
        X_IRIS, sample_weight=np.arange(150) % 3 + 0.5, groups=Y_IRIS
    )
    np.testing.assert_array_equal(one.transform(X_IRIS), other.transform(X_IRIS))


def test_warm_start_takes_weights():
    method = SCARF(**CHEAP, warm_start=True)
    one, other = clone(method).fit(X_IRIS), clone(method).fit(X_IRIS)
    one.fit(X_IRIS, sample_weight=np.full(150, 2))
    other.fit(np.vstack([X_IRIS, X_IRIS]))
    np.testing.assert_array_equal(one.transform(X_IRIS), other.transform(X_IRIS))


# ---- totals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "width", "is_too_much"),
    [
        (np.full(10, 4.0), 2**27, False),  # rows of a GiB, but four times as many at most
        (np.full(10, 4.5), 2**27, True),
        (np.array([0.0, *[9.0] * 9]), 2**27, True),
        (np.full(10, 1e308), 1, True),
        (np.full(20_000, 100.0), 2, False),  # small rows: a hundred times as many, ...
        (np.full(20_000, 101.0), 2, True),
        (np.full(2**13, 2.0**7), 2, False),  # ... or a million of them
        (np.full(1_400_000, 100.0), 1, True),  # 4 GiB, together with their indices
        (np.full(1_200_000, 100.0), 1, False),
    ],
)
def test_weights_that_make_too_many_rows_are_said(weight, width, is_too_much):
    X = SimpleNamespace(shape=(len(weight), width))
    if not is_too_much:
        _check_total(weight, X, "sample_weight")
        return
    with pytest.raises(ValueError, match=f"for {len(weight)} rows of X.*so that a pass has"):
        _check_total(weight, X, "sample_weight")


# ---- hashes and fractions ----------------------------------------------------------------


def test_hashes_are_of_values_alone():
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [torch.nan, 1.0], [0.1, 1.0]])
    found = hashes(x)
    assert found[0] == found[2] and len(set(found.tolist())) == 4
    assert np.array_equal(hashes(x.double())[:4], found[:4])
    assert np.array_equal(hashes(x[3:, None, :]), found[3:])
    numbers = torch.arange(20_000)
    assert len(np.unique(hashes(torch.stack([numbers // 100, numbers % 100], 1)))) == 20_000
    assert torch.equal(x[2], torch.tensor([-0.0, 1.0])) and x[3].isnan().any()  # not written to


def test_fractions_give_expected_counts():
    rows = make_rows(INDEX[:, None].float(), [Given.of(INDEX, FRACTIONS, None)])
    counts, generator = [], torch.Generator().manual_seed(0)
    for _ in range(400):
        rows_of_pass = torch.cat([x for (x,) in rows.batches(1, generator)])[:, 0].long()
        counts.append(torch.bincount(rows_of_pass, minlength=60).numpy())
    counts = np.array(counts)
    assert (counts >= np.floor(FRACTIONS)).all() and (counts <= np.ceil(FRACTIONS)).all()
    assert set(counts.sum(1) - int(FRACTIONS.sum())) <= {0, 1}  # of one length, but for rounding
    error = 0.5 / 400**0.5  # greatest standard error of a mean of zeros and ones
    assert np.abs(counts.mean(0) - FRACTIONS).max() < 4 * error
    together = np.corrcoef(counts[:, FRACTIONS % 1 > 0].T) - np.eye((FRACTIONS % 1 > 0).sum())
    assert np.abs(together).mean() < 2 / 400**0.5  # rows are drawn nearly independently
    assert len(rows) == int(FRACTIONS.sum())


def test_fractions_scale_as_they_count():
    """A median that a column is scaled by lies where the weights say."""
    X = np.arange(1000.0)[:, None]
    weight = np.where(X[:, 0] < 500, 0.3, 1.5)
    scaler = SCARF(**CHEAP | {"max_epochs": 0}).fit(X, sample_weight=weight).encoder_[0]
    z = scaler(torch.from_numpy(X))[:, 0]
    where = float(np.interp(0, z, X[:, 0]))
    half = np.searchsorted(weight.cumsum(), weight.sum() / 2)
    assert where == pytest.approx(half, abs=5) and half in (699, 700)


# ---- groups ------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [2, 7, 16])
@pytest.mark.parametrize("share", [False, True])
def test_no_batch_has_two_rows_of_a_group(batch_size, share):
    rng = np.random.default_rng(0)
    group = torch.from_numpy(np.repeat(np.arange(20), rng.integers(1, 30, 20)))
    shares = torch.from_numpy(rng.uniform(0.3, 1, len(group))) if share else None
    rows = Rows(torch.arange(len(group)), group=group, share=shares)
    size = rows.cap(batch_size)
    seen, lengths, generator = [], [], torch.Generator().manual_seed(0)
    for _ in range(30):
        batches = [x for (x,) in rows.batches(size, generator)]
        assert all(len(batch) == size == len(group[batch].unique()) for batch in batches)
        assert len(torch.cat(batches).unique()) == len(batches) * size  # each at most once
        seen, lengths = [*seen, *batches], [*lengths, len(batches)]
    n = rows.n_batches(size)
    assert set(lengths) == {n} if not share else abs(np.mean(lengths) - n) < 1
    expected = (rows.masses * 30).numpy() if n * size > 0.97 * len(rows) else None
    if expected is not None:  # nearly all rows take part
        counts = torch.bincount(group[torch.cat(seen)]).numpy()
        np.testing.assert_allclose(counts, expected, rtol=0.15, atol=12)


def test_batches_of_groups_by_hand():
    of = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3, 4])
    rows = Rows(torch.arange(10), group=of)
    assert rows.cap(8) == 3  # 10² / (16 + 4 + 4 + 1 + 1)
    assert [rows.n_batches(size) for size in (2, 3, 5)] == [5, 3, 1]  # a pass of 10, 9, 5 rows
    even = Rows(torch.arange(12), group=torch.arange(12) % 4)
    assert even.cap(8) == 4 and even.n_batches(4) == 3
    alone = Rows(torch.arange(30), group=torch.arange(30))
    assert alone.cap(8) == 8 and alone.n_batches(8) == 3
    meetings, generator = torch.zeros(30, 30), torch.Generator().manual_seed(0)
    for _ in range(300):
        for (batch,) in alone.batches(8, generator):
            meetings[batch[:, None], batch] += 1
    apart = meetings[~torch.eye(30, dtype=torch.bool)]
    expected = 300 * 3 * 8 * 7 / (30 * 29)
    assert (apart / expected).std() < 1.2 / expected**0.5  # any two meet as often as others


class Watch(SCARF):
    """SCARF that notes its batches."""

    def _loss(self, net, x):
        self.__dict__.setdefault("log", []).append((net.training, x))
        return super()._loss(net, x)


@pytest.mark.parametrize("n_iter_no_change", [None, 9])
def test_fit_keeps_groups_apart(n_iter_no_change):
    """A column says which group a row is of; rows held out are of groups held out."""
    group = np.random.default_rng(0).integers(0, 12, 200)
    X = np.c_[group, np.random.default_rng(1).normal(size=200)].astype(float)
    params = CHEAP | {"n_iter_no_change": n_iter_no_change, "validation_fraction": 0.3}
    names = np.array([None, *"abcdefghijk"], dtype=object)[group]
    watch = Watch(**params).fit(X, groups=names)
    values = watch.encoder_[0](torch.from_numpy(X))[:, 0]
    nobody = values[names == None][0]  # noqa: E711
    for _, x in watch.log:
        of = x[:, 0][x[:, 0] != nobody]
        assert len(of.unique()) == len(of)
    assert any((x[:, 0] == nobody).sum() > 1 for _, x in watch.log)  # rows without a group
    trained, held_out = (
        {v for t, x in watch.log if t == mode for v in x[:, 0].tolist()} for mode in (True, False)
    )
    assert bool(held_out) == bool(n_iter_no_change)
    assert not (trained & held_out) - {float(nobody)}


# ---- unlabelled rows beside --------------------------------------------------------------


def test_weights_of_unlabelled_rows():
    X, U = X_IRIS[:60], X_IRIS[60:]
    w, v = WEIGHTS, np.arange(90) % 3
    both = np.vstack([X, U])
    expected = SCARF(**CHEAP).fit(both, sample_weight=np.r_[w, v])
    given = {"sample_weight": w, "sample_weight_unlabeled": v}
    got = SCARF(**CHEAP).fit(X, X_unlabeled=U, **given)
    np.testing.assert_array_equal(got.transform(both), expected.transform(both))
    for given, weight in (
        ({"sample_weight": w}, np.r_[w, np.ones(90)]),
        ({"sample_weight_unlabeled": v}, np.r_[np.ones(60), v]),
    ):
        got = SCARF(**CHEAP).fit(X, X_unlabeled=U, **given)
        expected = SCARF(**CHEAP).fit(both, sample_weight=weight)
        np.testing.assert_array_equal(got.transform(both), expected.transform(both))


def test_groups_of_unlabelled_rows():
    X, U, g, h = X_IRIS[:60], X_IRIS[60:], np.arange(60) % 20, np.arange(90) % 40
    both = np.vstack([X, U])
    for given, groups in (
        ({"groups": g, "groups_unlabeled": h}, np.r_[g, h]),
        ({"groups": g}, np.r_[g, np.arange(100, 190)]),
        ({"groups_unlabeled": h}, np.r_[np.arange(100, 160), h]),
    ):
        got = SCARF(**CHEAP).fit(X, X_unlabeled=U, **given)
        expected = SCARF(**CHEAP).fit(both, groups=groups)
        np.testing.assert_array_equal(got.transform(both), expected.transform(both))


# ---- what cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample_weight": -np.ones(150)}, r"sample_weight must not be negative, got -1\.0"),
        ({"sample_weight": np.arange(150) - 0.5}, r"sample_weight must not be negative, got -0\.5"),
        ({"sample_weight": np.zeros(150)}, "sample_weight is zero for all rows"),
        ({"sample_weight": np.r_[np.nan, np.ones(149)]}, "sample_weight must be finite, got nan"),
        ({"sample_weight": np.r_[np.inf, np.ones(149)]}, "sample_weight must be finite, got inf"),
        ({"sample_weight": ["a"] * 150}, "sample_weight must be numbers"),
        ({"sample_weight": np.ones(149)}, r"sample_weight must be of shape \(150,\).*\(149,\)"),
        ({"sample_weight": np.full(150, 1 / 150)}, r"add up to 1: .* Multiply them"),
        ({"groups": np.ones(149)}, r"groups must be of shape \(150,\), .*\(149,\)"),
        ({"groups": np.ones(150)}, "All rows are of one group"),
        ({"groups": np.arange(150) % 3, "n": 5}, r"holds 2 groups out, which leaves 1 of n_groups"),
        ({"sample_weight_unlabeled": np.ones(3)}, "of the rows of X_unlabeled, which was not"),
        ({"groups_unlabeled": np.ones(3)}, "of the rows of X_unlabeled, which was not"),
        (
            {"X_unlabeled": X_IRIS[:3], "sample_weight_unlabeled": np.ones(4)},
            r"sample_weight_unlabeled must be of shape \(3,\)",
        ),
    ],
)
def test_errors(given, message):
    given = dict(given)
    method = SCARF(**CHEAP, n_iter_no_change=given.pop("n", None))
    with pytest.raises(ValueError, match=message):
        method.fit(X_IRIS, **given)
    assert not hasattr(method, "n_features_in_")


def test_small_shares_are_fitted():
    """A pass may be two rows long, or have rows of one group only. No global state moves."""
    before = torch.get_rng_state()
    group = np.arange(150) % 3
    for weight in (np.full(150, 2 / 150), np.r_[1.9, np.full(149, 0.01)]):
        for groups in (None, group):
            fitted = SCARF(**CHEAP).fit(X_IRIS, sample_weight=weight, groups=groups)
            assert np.isfinite(fitted.transform(X_IRIS)).all()
    ICL(**CHEAP).fit(X_IRIS, sample_weight=np.full(150, 0.5))
    assert torch.equal(torch.get_rng_state(), before)


def test_images_stay_where_they_are():
    """Batches are taken from the user's array by index, however often rows are repeated."""
    X = images().transpose(0, 3, 1, 2).copy()
    rows = SimCLR(**CHEAP)._read_all([Given.of(X, WEIGHTS + 1, None)], reset=True)
    assert np.shares_memory(rows.tensors[0].numpy(), X) and len(rows) == (WEIGHTS + 1).sum()


# ---- metadata routing --------------------------------------------------------------------

FEW = np.where(np.arange(150) % 4 == 0, Y_IRIS, -1)
W, G = np.arange(150) % 3 + 0.0, np.arange(150) % 50


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_a_pipeline_hands_them_on(routing):
    scale = StandardScaler().set_fit_request(sample_weight=False)
    scarf = SCARF(**CHEAP).set_fit_request(sample_weight=True, groups=True)
    pipe = make_pipeline(scale, scarf).fit(X_IRIS, sample_weight=W, groups=G)
    alone = clone(scarf).fit(pipe[0].transform(X_IRIS), sample_weight=W, groups=G)
    np.testing.assert_array_equal(
        pipe.transform(X_IRIS), alone.transform(pipe[0].transform(X_IRIS))
    )
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        make_pipeline(SCARF(**CHEAP)).fit(X_IRIS, sample_weight=W)


def test_pretraining_gets_all_rows_and_the_end_the_labelled_ones(routing):
    scarf = SCARF(**CHEAP).set_fit_request(groups=True, sample_weight=True)
    end = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=True)
    model = PretrainedClassifier(scarf, end, passthrough=False)
    model.fit(X_IRIS, FEW, sample_weight=W + 1, groups=G)
    alone = clone(scarf).fit(X_IRIS, sample_weight=W + 1, groups=G)
    np.testing.assert_array_equal(model.transformer_.transform(X_IRIS), alone.transform(X_IRIS))
    few = FEW >= 0
    Z = alone.transform(X_IRIS[few])
    expected = clone(end).fit(Z, FEW[few], sample_weight=(W + 1)[few])
    np.testing.assert_allclose(model.classifier_.coef_, expected.coef_, rtol=1e-6)
    assert not np.allclose(expected.coef_, clone(end).fit(Z, FEW[few]).coef_, rtol=1e-3)
    with_default = FineTunedRegressor(clone(scarf), max_epochs=0, random_state=0)
    with_default.fit(X_IRIS[:60], X_IRIS[:60, 0], sample_weight=WEIGHTS, groups=G[:60])
    expected = clone(scarf).fit(X_IRIS[:60], sample_weight=WEIGHTS, groups=G[:60])
    got = with_default.transformer_.transform(X_IRIS)
    np.testing.assert_array_equal(got, expected.transform(X_IRIS))
    with pytest.raises(TypeError, match="unexpected argument.*groups"):
        PretrainedClassifier().fit(X_IRIS, FEW, groups=G)


def test_a_search_cuts_them_to_the_fold(routing, tmp_path):
    scarf = SCARF(**CHEAP).set_fit_request(sample_weight=True)
    end = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=False)
    model = PretrainedClassifier(scarf, end, memory=str(tmp_path), passthrough=False)
    model.set_score_request(sample_weight=False)
    grid = {"classifier__C": [0.1, 1.0]}
    search = GridSearchCV(model, grid, cv=UnlabeledKFold(2), error_score="raise")
    search.fit(X_IRIS, FEW, sample_weight=W)
    got = search.best_estimator_.transformer_.transform(X_IRIS)
    expected = clone(scarf).fit(X_IRIS, sample_weight=W).transform(X_IRIS)
    np.testing.assert_array_equal(got, expected)
    kept = len(list(tmp_path.rglob("output.pkl")))
    assert kept == 3  # two folds, and all rows
    clone(model).fit(X_IRIS, FEW, sample_weight=W)
    assert len(list(tmp_path.rglob("output.pkl"))) == kept
    clone(model).fit(X_IRIS, FEW, sample_weight=W + 1)  # weights are a part of the key
    assert len(list(tmp_path.rglob("output.pkl"))) == kept + 1


def test_unlabelled_rows_beside_are_routed(routing):
    scarf = SCARF(**CHEAP).set_fit_request(sample_weight=True, sample_weight_unlabeled=True)
    end = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=False)
    given = {"sample_weight": WEIGHTS, "sample_weight_unlabeled": W[:90]}
    X, U = X_IRIS[:60], X_IRIS[60:]
    model = PretrainedClassifier(scarf, end).fit(X, Y_IRIS[:60], X_unlabeled=U, **given)
    expected = clone(scarf).fit(X, X_unlabeled=U, **given).transform(X_IRIS)
    np.testing.assert_array_equal(model.transformer_.transform(X_IRIS), expected)
    scale = StandardScaler().set_fit_request(sample_weight=False)
    scarf = SCARF(**CHEAP).set_fit_request(sample_weight=True)
    model = PretrainedClassifier(make_pipeline(scale, scarf), end)
    with pytest.raises(ValueError, match=r"\['sample_weight'\] would be of X alone"):
        model.fit(X, Y_IRIS[:60], X_unlabeled=U, sample_weight=WEIGHTS)


def test_other_meta_estimators_route_them(routing):
    method = DenoisingAutoencoder(**CHEAP).set_fit_request(sample_weight=True)
    expected = clone(method).fit(X_IRIS, sample_weight=W).transform(X_IRIS)
    for detector in (EmbeddingOutlierDetector, ReconstructionOutlierDetector):
        got = detector(method, random_state=0).fit(X_IRIS, sample_weight=W)
        np.testing.assert_array_equal(got.transformer_.transform(X_IRIS), expected)
    tuned = FineTunedClassifier(method, max_epochs=0, random_state=0)
    tuned.fit(X_IRIS, FEW, sample_weight=W)
    np.testing.assert_array_equal(tuned.transformer_.transform(X_IRIS), expected)
    bags = SAMPLES["bags"]()
    groups = SCARF(**CHEAP).set_fit_request(groups=True)
    model = PhenotypeTransformer(groups, n_clusters=3, random_state=0)
    assert model.fit(bags, groups=np.arange(60)).transform(bags).shape == (60, 3)
    with pytest.raises(ValueError, match=r"groups must be of shape"):
        model.fit(bags, groups=np.arange(59))


def test_without_routing_nothing_is_handed_on():
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        PretrainedClassifier(SCARF(**CHEAP)).fit(X_IRIS, FEW, sample_weight=W)


# ---- weights of labels -------------------------------------------------------------------


def test_weights_of_labels_in_fine_tuning():
    """Labels that are wrong and weigh nothing are not there; little weight is little harm."""
    few = np.arange(150) % 3 == 0
    y = np.where(few, Y_IRIS, -1)
    wrong = few & (np.arange(150) % 2 == 0)
    spoilt = np.where(wrong, 2 - Y_IRIS, y)
    scarf = SCARF(**CHEAP).fit(X_IRIS)
    params = {"max_epochs": 4, "passthrough": False, "random_state": 0}
    model = FineTunedClassifier(FrozenEstimator(scarf), **params)
    expected = clone(model).fit(X_IRIS, np.where(wrong, -1, y)).predict_proba(X_IRIS)
    got = clone(model).fit(X_IRIS, spoilt, sample_weight=np.where(wrong, 0.0, 3.0))
    np.testing.assert_allclose(got.predict_proba(X_IRIS), expected, rtol=1e-4, atol=1e-6)
    light = clone(model).fit(X_IRIS, spoilt, sample_weight=np.where(wrong, 0.01, 1.0))
    plain = clone(model).fit(X_IRIS, spoilt)
    rest = ~few
    assert light.score(X_IRIS[rest], Y_IRIS[rest]) > plain.score(X_IRIS[rest], Y_IRIS[rest]) + 0.1
    assert len(light.loss_curve_) == light.n_iter_ <= 4
    with pytest.raises(ValueError, match="must not be negative"):
        clone(model).fit(X_IRIS, y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(model).fit(X_IRIS, y, sample_weight=np.ones(149))


def test_weights_of_targets_in_fine_tuning():
    targets = np.where(np.arange(150) % 2 == 0, X_IRIS[:, 0], 99.0)
    weight = (np.arange(150) % 2 == 0).astype(float)
    scarf = FrozenEstimator(SCARF(**CHEAP).fit(X_IRIS))
    model = FineTunedRegressor(scarf, max_epochs=3, random_state=0)
    got = clone(model).fit(X_IRIS, targets, sample_weight=weight).predict(X_IRIS)
    expected = clone(model).fit(X_IRIS, np.where(weight, targets, np.nan)).predict(X_IRIS)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_weights_of_labels_are_routed(routing):
    scarf = SCARF(**CHEAP)
    model = FineTunedClassifier(scarf.set_fit_request(sample_weight=False), max_epochs=0)
    model.set_params(random_state=0).set_fit_request(sample_weight=True)
    pipe = make_pipeline(model).fit(X_IRIS, FEW, sample_weight=W)
    plain = scarf.fit(X_IRIS).transform(X_IRIS)
    np.testing.assert_array_equal(pipe[0].transformer_.transform(X_IRIS), plain)
    without = clone(model).fit(X_IRIS, FEW)
    assert not np.allclose(pipe.predict_proba(X_IRIS), without.predict_proba(X_IRIS), atol=1e-3)
