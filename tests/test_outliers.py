"""Outliers: the losses that score rows, the detectors, and what they find on real data."""

import math
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_common import images, mixed_frame

from skssl import (
    ICL,
    SCARF,
    DenoisingAutoencoder,
    EmbeddingOutlierDetector,
    MaskedAutoencoder,
    MultiTask,
    NeuTraL,
    ReconstructionOutlierDetector,
    SimCLR,
    TextContrast,
)
from skssl._data._columns import Columns
from skssl.base._row_scores import threshold
from skssl.encoders._transformations import Masks
from skssl.losses import cell_error, cell_errors, deterministic_contrast, internal_contrast
from skssl.outliers._density import NEIGHBOURS, Density
from skssl.views import column_windows

CHEAP = {"n_components": 8, "max_epochs": 3, "batch_size": 32, "precision": "float32"}
X, Y = load_breast_cancer(return_X_y=True)  # 0 malignant, 1 benign
BENIGN, MALIGNANT = X[Y == 1], X[Y == 0]


def cheap(cls, **params):
    return cls(**CHEAP, random_state=0, **params)


# ---- losses ------------------------------------------------------------------------------


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def slow_internal_contrast(windows, rests, t):
    losses = []
    for f, g in zip(windows, rests, strict=True):
        errors = []
        for j in range(len(g)):
            similar = [math.exp(cosine(g[j], window) / t) for window in f]
            errors.append(-math.log(similar[j] / sum(similar)))
        losses.append(sum(errors) / len(errors))
    return losses


def slow_deterministic_contrast(z, copies, t):
    losses = []
    for row, transformed in zip(z, copies, strict=True):
        loss = 0.0
        for i, copy in enumerate(transformed):
            own = math.exp(cosine(copy, row) / t)
            others = [transformed[j] for j in range(len(transformed)) if j != i]
            loss -= math.log(own / (own + sum(math.exp(cosine(copy, o) / t) for o in others)))
        losses.append(loss)
    return losses


def random_parts(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("t", [0.05, 1.0])
def test_losses_equal_loops(t):
    windows, rests = random_parts(2, 6, 4, 5)
    expected = slow_internal_contrast(windows, rests, t)
    np.testing.assert_allclose(internal_contrast(windows, rests, t), expected, rtol=1e-9)
    z, copies = windows[:, 0], windows[:, 1:]
    expected = slow_deterministic_contrast(z, copies, t)
    np.testing.assert_allclose(deterministic_contrast(z, copies, t), expected, rtol=1e-9)


def test_losses_in_closed_form():
    same = torch.ones(2, 3, 4)  # nothing to tell parts by
    np.testing.assert_allclose(internal_contrast(same, same), math.log(3), rtol=1e-5)
    np.testing.assert_allclose(deterministic_contrast(same[:, 0], same), 3 * math.log(3), rtol=1e-5)
    apart = torch.eye(4)[None]
    np.testing.assert_allclose(internal_contrast(apart, apart), 0, atol=1e-6)
    with_own = math.log(1 + 3 * math.exp(0 - 1))
    expected = with_own + 3 * math.log(4)  # one copy is the row, three are like nothing else
    np.testing.assert_allclose(deterministic_contrast(apart[:, 0], apart, 1.0), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
def test_gradients_are_finite_at_duplicates(fill, dtype):
    z = torch.full((3, 4, 5), fill, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        parts = z @ torch.eye(5)
        loss = (
            internal_contrast(parts, parts).sum()
            + deterministic_contrast(parts[:, 0], parts[:, 1:]).sum()
        )
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and z.grad.isfinite().all()


def test_cell_errors_are_what_cell_error_is_the_mean_of():
    columns = Columns((0, 3, 0, 2))
    x = torch.tensor([[0.5, 2.0, math.nan, 1.0], [-1.0, math.nan, 2.0, 0.0], [0, 0, 0, 1.0]])
    output = torch.randn(3, columns.n_outputs, generator=torch.Generator().manual_seed(0))
    errors = cell_errors(output, x, columns)
    assert torch.equal(errors.isnan(), x.isnan())
    mean = cell_error(output, x, columns)
    assert errors.nanmean().item() == pytest.approx(mean.item(), rel=1e-6)
    assert errors[0, 0].item() == pytest.approx((output[0, 0].item() - 0.5) ** 2, rel=1e-5)
    x[0, 3] = 2.0  # never seen in training: the least likely of those that were
    least = -output[0, 2:4].log_softmax(0).min()
    assert cell_errors(output, x, columns)[0, 3].item() == pytest.approx(least.item(), rel=1e-5)


# ---- parts -------------------------------------------------------------------------------


def test_windows_and_what_they_leave():
    h = torch.arange(1.0, 6.0)[None]
    windows, rests = column_windows(h, 2, 16)
    assert windows[0].tolist() == [[1, 2], [2, 3], [3, 4], [4, 5]]
    expected = [[3, 4, 5, 0, 0], [1, 4, 5, 0, 0], [1, 2, 5, 0, 0], [1, 2, 3, 0, 0]]
    assert rests[0].tolist() == expected
    assert column_windows(h, 2, 3)[0][0].tolist() == [[1, 2], [3, 4], [4, 5]]


@pytest.mark.parametrize(("d", "width"), [(1, 1), (2, 1), (39, 2), (40, 10), (160, 10), (200, 50)])
def test_widths_are_the_paper_s(d, width):
    assert ICL()._width(d) == width
    windows, rests = column_windows(torch.zeros(3, d), width, 16)
    n = min(16, d - width + 1)
    assert windows.shape == (3, n, width) and rests.shape == (3, n, d)


def test_masks_lie_between_0_and_1_and_differ():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        masks = Masks(5, 7)
        rows = masks(torch.ones(4, 7))
    assert rows.shape == (4, 5, 7) and (rows > 0).all() and (rows < 1).all()
    assert (rows[:, 0] - rows[:, 1]).abs().mean() > 0.05


def test_thresholds():
    scores = np.arange(101.0)
    assert threshold(scores, 0.1) == 10
    assert threshold(scores, "auto") == 25 - 1.5 * 50


def test_neighbours_equal_loop():
    rng = np.random.default_rng(0)
    Z, new = rng.normal(size=(150, 3)), rng.normal(size=(9, 3))
    density = Density("knn", "auto", 0.5, 0).fit(Z)
    variance, axes = np.linalg.eigh(np.cov(Z.T, bias=True))
    variance = variance + 0.5 * variance.mean()

    def score(z):
        white = ((Z - z) @ axes) / np.sqrt(variance)
        distance = np.sort(np.linalg.norm(white, axis=1))
        return -np.mean([np.log(distance[k - 1]) for k in NEIGHBOURS])

    train = np.array([score(z) for z in Z])
    low, middle, high = np.percentile(train, [25, 50, 75])
    expected = [(score(z) - middle) / (high - low) for z in new]
    np.testing.assert_allclose(density.score(new), expected, rtol=1e-8)
    fifth = Density("knn", 5, 0.5, 0).fit(Z).score(new)
    assert np.corrcoef(fifth, expected)[0, 1] > 0.9 and not np.allclose(fifth, expected)


def test_mahalanobis_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 4))
    new = rng.normal(size=(9, 4))
    ours = Density("mahalanobis", "auto", 0.0, 0).fit(Z).score(new)
    theirs = -np.log(EmpiricalCovariance().fit(Z).mahalanobis(new)) / 2
    slope, _ = np.polyfit(theirs, ours, 1)
    np.testing.assert_allclose(ours - ours[0], slope * (theirs - theirs[0]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scorer", ["knn", "mahalanobis", "density"])
def test_a_part_is_learnt_from_and_all_are_the_unit(scorer):
    rng = np.random.default_rng(0)
    Z, new = rng.normal(size=(90, 3)), rng.normal(size=(9, 3))
    whole = Density(scorer, 7, 0.5, 0).fit(Z)
    usual = np.argsort(-whole.score(Z))[:60]  # the best of 90
    part = Density(scorer, 7, 0.5, 0).fit(Z[np.sort(usual)])
    center, spread = np.median(part.score(Z)), np.diff(np.percentile(part.score(Z), [25, 75]))
    ours = Density(scorer, 7, 0.5, 0, support_fraction=2 / 3).fit(Z)
    np.testing.assert_allclose(ours.score(new), (part.score(new) - center) / spread, rtol=1e-6)


@pytest.mark.parametrize("scorer", ["knn", "mahalanobis", "density"])
@pytest.mark.parametrize("Z", [np.ones((8, 3)), np.eye(3), np.repeat(np.eye(3), 40, axis=0)])
def test_densities_of_duplicates_and_few_rows_are_finite(scorer, Z):
    density = Density(scorer, "auto", 0.1, 0).fit(Z)
    assert np.isfinite(density.score(Z)).all()
    far = density.score(Z[:1] + 10)
    assert far <= density.score(Z[:1])


# ---- detectors ---------------------------------------------------------------------------

DETECTORS = [
    EmbeddingOutlierDetector(cheap(SCARF), random_state=0),
    EmbeddingOutlierDetector(cheap(SCARF), "mahalanobis", support_fraction=0.5, random_state=0),
    EmbeddingOutlierDetector(cheap(SCARF), "density", passthrough=False, random_state=0),
    ReconstructionOutlierDetector(cheap(DenoisingAutoencoder), random_state=0),
    cheap(ICL),
    cheap(NeuTraL),
]
every_detector = pytest.mark.parametrize(
    "detector", DETECTORS, ids=["knn", "mahalanobis", "density", "reconstruction", "icl", "neutral"]
)


@every_detector
def test_verbs_agree(detector):
    detector.set_params(contamination=0.1).fit(BENIGN)
    scores = detector.score_samples(BENIGN)
    assert scores.dtype == np.float64 and scores.shape == (len(BENIGN),)
    np.testing.assert_allclose(detector.decision_function(BENIGN), scores - detector.offset_)
    labels = detector.predict(BENIGN)
    assert (labels == -1).sum() == pytest.approx(0.1 * len(BENIGN), abs=1)
    assert ((scores < detector.offset_) == (labels == -1)).all()
    assert np.array_equal(detector.fit_predict(BENIGN), labels)
    auto = detector.set_params(contamination="auto").fit(BENIGN)
    assert np.array_equal(auto.score_samples(BENIGN), scores)
    assert auto.offset_ == threshold(scores, "auto")


@every_detector
def test_mixed_columns_and_holes(detector):
    frame = mixed_frame()
    scores = detector.fit(frame).score_samples(frame)
    assert np.isfinite(scores).all() and scores.std() > 0
    new = frame.head(5).astype({"city": object})
    new["city"] = "Atlantis"
    assert np.isfinite(detector.score_samples(new)).all()


@every_detector
def test_wrong_parameters(detector):
    for contamination in (0.0, 0.6, "some"):
        wrong = detector.__class__(**{**detector.get_params(deep=False)})
        with pytest.raises(ValueError, match="contamination"):
            wrong.set_params(contamination=contamination).fit(BENIGN)
    with pytest.raises(NotFittedError):
        wrong.predict(BENIGN)


def test_a_frozen_transformer_is_not_fitted_again():
    scarf = cheap(SCARF).fit(X)
    detector = EmbeddingOutlierDetector(FrozenEstimator(scarf)).fit(BENIGN)
    assert np.array_equal(detector.transformer_.transform(X), scarf.transform(X))
    dae = cheap(DenoisingAutoencoder).fit(X)
    detector = ReconstructionOutlierDetector(FrozenEstimator(dae)).fit(BENIGN)
    assert detector.transformer_.estimator is dae
    assert np.isfinite(detector.score_samples(MALIGNANT)).all()


def test_pipelines_and_memory(tmp_path):
    pipeline = make_pipeline(StandardScaler(), cheap(SCARF))
    detector = EmbeddingOutlierDetector(pipeline, random_state=0).fit(BENIGN)
    assert detector.raw_columns_.n_outputs == 60
    memory = joblib.Memory(tmp_path, verbose=0)
    kept = EmbeddingOutlierDetector(cheap(SCARF), memory=memory, random_state=0)
    scores = kept.fit(BENIGN).score_samples(X)
    n_files = len(list(tmp_path.rglob("output.pkl")))
    again = kept.set_params(scorer="mahalanobis").fit(BENIGN)
    assert n_files == len(list(tmp_path.rglob("output.pkl"))) == 1
    assert not np.allclose(again.score_samples(X), scores)


def test_searches_choose_by_labels_where_there_are_some():
    def auc(detector, X, y):
        return roc_auc_score(y, detector.score_samples(X))

    grid = {"scorer": ["knn", "mahalanobis", "density"], "passthrough": [True, False]}
    detector = EmbeddingOutlierDetector(FrozenEstimator(cheap(SCARF).fit(X)))
    search = GridSearchCV(detector, grid, scoring=auc, cv=2).fit(X, Y)
    assert 0.5 < search.best_score_ < 1


def test_other_modalities_of_data():
    photos = images(40)
    by_place = EmbeddingOutlierDetector(cheap(SimCLR), random_state=0).fit(photos)
    by_error = ReconstructionOutlierDetector(cheap(MaskedAutoencoder), random_state=0).fit(photos)
    assert by_error.scale_.shape == (8 * 8 * 3,)
    texts = [f"a text of {word}" for word in ("cats", "dogs", "rain", "snow") * 5]
    by_words = EmbeddingOutlierDetector(cheap(TextContrast), random_state=0).fit(texts)
    for detector, rows in ((by_place, photos), (by_error, photos), (by_words, texts)):
        assert np.isfinite(detector.score_samples(rows)).all()


def test_defaults_suit_the_data():
    by_error = ReconstructionOutlierDetector()
    assert isinstance(by_error._default(X), DenoisingAutoencoder)
    assert isinstance(by_error._default(images(4)), MaskedAutoencoder)
    with pytest.raises(ValueError, match="reads tables or images; X looks like modality='text'"):
        by_error.fit(["a text", "another"])
    assert isinstance(EmbeddingOutlierDetector()._default(images(4)), SimCLR)


@pytest.mark.parametrize("transformer", [SCARF(**CHEAP), make_pipeline(SCARF(**CHEAP))])
def test_what_does_not_reconstruct_is_said(transformer):
    with pytest.raises(ValueError, match="has none. Pass DenoisingAutoencoder"):
        ReconstructionOutlierDetector(transformer).fit(BENIGN)


def test_scale_is_the_mean_error_but_for_a_tenth():
    detector = ReconstructionOutlierDetector(cheap(DenoisingAutoencoder), random_state=0)
    frame = pd.DataFrame(BENIGN[:100]).add_prefix("c").assign(empty=np.nan)
    frame.iloc[::7, 0] = np.nan
    detector.fit(frame)
    errors = detector.transformer_._errors(frame)
    column = np.sort(errors[~np.isnan(errors[:, 0]), 0])
    kept = column[: math.ceil(0.9 * len(column))]
    assert detector.scale_[0] == pytest.approx(kept.mean())
    row = errors[3]
    expected = -np.nanmean(np.log1p(row / detector.scale_))
    assert detector.score_samples(frame)[3] == pytest.approx(expected)


# ---- methods whose loss is the score -----------------------------------------------------


@pytest.mark.parametrize("cls", [ICL, NeuTraL])
def test_the_loss_is_the_mean_of_minus_the_scores(cls):
    method = cheap(cls).fit(X)
    x = method.encoder_[0](method._read(X))
    with torch.no_grad():
        losses = method._row_losses(method.scorer_, x)
    np.testing.assert_allclose(-method.score_samples(X), losses, rtol=1e-4, atol=1e-4)
    one = method.score_samples(X[:1])
    np.testing.assert_allclose(one, method.score_samples(X)[:1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cls", [ICL, NeuTraL])
def test_streams_and_members(cls):
    stream = cheap(cls).partial_fit(X[:100])
    first = stream.offset_
    assert stream.partial_fit(X[100:]).offset_ != first
    member = MultiTask([("own", cls(), 1.0), ("scarf", SCARF(), 1.0)], **CHEAP, random_state=0)
    assert np.isfinite(member.fit(X).loss_curve_).all() and not hasattr(member, "scorer_")
    with pytest.raises(ValueError, match="expected an encoder that reads numbers"):
        cls(encoder="ft_transformer", **CHEAP).fit(X)


# ---- what is found -----------------------------------------------------------------------


def halves(kept, rare):
    """Normal rows to train on, then normal and rare ones to tell apart, and which are rare."""
    rows = np.vstack([kept[1::2], rare])
    return kept[::2], rows, np.repeat([0, 1], [len(kept[1::2]), len(rare)])


def auc(detector, train, rows, is_rare):
    return roc_auc_score(is_rare, -detector.fit(train).score_samples(rows))


@pytest.mark.parametrize(
    ("cls", "max_epochs", "n_fits", "bound"), [(ICL, 30, 4, 0.06), (NeuTraL, 60, 1, 0.3)]
)
@pytest.mark.learns("ICL", "NeuTraL")
def test_training_tells_digits_apart(cls, max_epochs, n_fits, bound, seed, margin):
    """0 is normal, 8 is not: ICL rises from 0.54 to 0.71 (sd 0.07), NeuTraL from 0.46 to 0.96."""
    digits, label = load_digits(return_X_y=True)
    data = halves(digits[label == 0], digits[label == 8])
    make = partial(cls, precision="float32")
    untrained = [auc(make(max_epochs=0, random_state=s), *data) for s in range(20)]
    seeds = range(n_fits * seed, n_fits * seed + n_fits)
    trained = [auc(make(max_epochs=max_epochs, random_state=s), *data) for s in seeds]
    margin(np.mean(trained) - np.mean(untrained), bound)


def test_normal_training_rows_are_better_than_contaminated_ones(seed, margin):
    """.95 where all are benign, .87 with 9 malignant ones among 188 (isolation forest .94)."""
    train, rows, is_rare = halves(BENIGN, MALIGNANT[9:])
    detector = EmbeddingOutlierDetector(DenoisingAutoencoder(max_epochs=30), random_state=seed)
    clean = auc(detector, train, rows, is_rare)
    contaminated = np.vstack([train, MALIGNANT[:9]])
    whole = auc(detector, contaminated, rows, is_rare)
    margin(clean, 0.93, "clean")
    margin(whole, 0.8, "contaminated")
    margin(clean - whole, 0, "clean over contaminated")
    half = auc(detector.set_params(support_fraction=0.5), contaminated, rows, is_rare)
    margin(half - whole, 0.03, "half over whole")


def test_cells_that_do_not_go_together_are_found(seed, margin):
    """Pixels of other rows: reconstruction .91 (untrained .52), place .86, isolation forest .65."""
    digits, _ = load_digits(return_X_y=True)
    train, new = digits[::2], digits[1::2]
    rng = np.random.default_rng(seed)
    mixed = np.where(rng.random(new.shape) < 0.3, rng.permuted(new, axis=0), new)
    data = train, np.vstack([new, mixed]), np.repeat([0, 1], len(new))
    method = DenoisingAutoencoder(max_epochs=40, precision="float32")
    by_place = auc(EmbeddingOutlierDetector(method, random_state=seed), *data)
    by_error = auc(ReconstructionOutlierDetector(method, random_state=seed), *data)
    forest = auc(IsolationForest(random_state=seed), *data)
    margin(by_place - forest, 0.1, "place")
    margin(by_error - forest, 0.1, "error")
