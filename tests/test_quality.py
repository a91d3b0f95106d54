"""Quality without labels: metrics, their scorers, callbacks that use them, and collapse."""

import copy
import pickle
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl import SCARF, VIME, MaskedAutoencoder, PretrainedClassifier, SimCLR, VICReg, metrics
from skssl.callbacks import EarlyStopping, ProbeMonitor, TimeBudget
from skssl.metrics import label_free_scorer
from skssl.metrics._scorers import OF_EMBEDDINGS, OF_VIEWS
from skssl.metrics._spectrum import rankme

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
CHEAP = {
    "n_components": 8,
    "max_epochs": 5,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(40, 6)) @ RNG.normal(size=(6, 6)) + 1
VIEWS = np.stack([Z + 0.5 * RNG.normal(size=Z.shape) for _ in range(3)])

# ---- formulas, written as in the papers ---------------------------------------------------


def slow_entropy_rank(values):
    p = [value / sum(values) for value in values]
    return np.exp(-sum(q * np.log(q) for q in p if q > 0))


def covariance_eigenvalues(Z):
    return np.sort(np.linalg.eigvalsh(np.cov(Z.T)))[::-1]


def test_rankme_is_the_paper_s():
    values = np.sqrt(np.linalg.eigvalsh(Z.T @ Z))
    assert metrics.rankme(Z) == pytest.approx(slow_entropy_rank(values))
    assert metrics.rankme(np.eye(9)[:, :5]) == pytest.approx(5)
    assert metrics.rankme(np.outer(range(1, 9), range(1, 5))) == pytest.approx(1, abs=1e-6)
    assert metrics.rankme(np.zeros((4, 3))) == 0


def test_alpha_req_is_the_slope_of_the_spectrum():
    for alpha in (0.5, 1.0, 3.0):
        k = np.arange(1, 121)
        Q = np.linalg.qr(np.random.default_rng(1).normal(size=(120, 120)))[0]
        scaled = Q * k ** (-alpha / 2)
        both = np.vstack([scaled, -scaled])  # mean 0
        assert metrics.alpha_req(both) == pytest.approx(alpha)
    values = covariance_eigenvalues(Z)
    k = np.arange(4, 7)
    by_lstsq = np.polyfit(np.log(k), np.log(values[3:]), 1, w=1 / np.sqrt(k))[0]
    assert metrics.alpha_req(Z) == pytest.approx(-by_lstsq)
    k = np.arange(1, 4)
    by_lstsq = np.polyfit(np.log(k), np.log(values[:3]), 1, w=1 / np.sqrt(k))[0]
    assert metrics.alpha_req(Z, first=1, last=3) == pytest.approx(-by_lstsq)
    line = np.outer(range(9), [1.0, 2.0, 3.0])
    assert metrics.alpha_req(line) == np.inf == metrics.alpha_req(np.full((9, 3), 0.1))
    assert metrics.alpha_req(np.vstack([np.eye(5), -np.eye(5)])) == pytest.approx(0)


def test_sums_of_spectra_are_the_papers():
    values = covariance_eigenvalues(Z)
    assert metrics.nesum(Z) == pytest.approx(sum(v / values[0] for v in values))
    frobenius, spectral = np.linalg.norm(Z), np.linalg.norm(Z, 2)
    assert metrics.stable_rank(Z) == pytest.approx(frobenius**2 / spectral**2)
    assert metrics.stable_rank(Z - Z.mean(0)) == pytest.approx(metrics.nesum(Z))
    assert metrics.nesum(np.full((7, 3), 0.1)) == 0 == metrics.stable_rank(np.zeros((7, 3)))
    assert metrics.stable_rank(np.full((7, 3), 0.1)) == pytest.approx(1)


def test_lidar_is_the_paper_s():
    means = VIEWS.mean(0)
    between = sum(np.outer(m, m) for m in means - means.mean(0)) / len(means)
    within = sum(np.outer(e, e) for view in VIEWS for e in view - means) / VIEWS[..., 0].size
    values, vectors = np.linalg.eigh(within + 1e-4 * np.eye(6))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    expected = slow_entropy_rank(np.linalg.eigvalsh(root @ between @ root))
    assert metrics.lidar(VIEWS) == pytest.approx(expected)
    assert metrics.lidar(np.ones((2, 9, 4))) == 0
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert metrics.lidar(VIEWS @ turn + 3) == pytest.approx(expected)


def test_lidar_sees_noise_that_rank_does_not():
    rows = np.zeros((50, 20))
    rows[:, :2] = RNG.normal(size=(50, 2))
    noisy = np.stack([rows + np.r_[0, 0, np.ones(18)] * RNG.normal(size=rows.shape) for _ in "ab"])
    plain = np.stack([rows + 0.1 * RNG.normal(size=rows.shape) for _ in "ab"])
    assert metrics.rankme(noisy[0]) > 1.5 * metrics.rankme(plain[0])
    assert metrics.lidar(noisy) < 3 < metrics.rankme(noisy[0])


def test_alignment_and_uniformity_are_the_paper_s():
    units = [[z / np.linalg.norm(z) for z in view] for view in VIEWS]
    pairs = [(0, 1), (0, 2), (1, 2)]
    squares = [sum((p - q) ** 2) for a, b in pairs for p, q in zip(units[a], units[b], strict=True)]
    assert metrics.alignment(VIEWS) == pytest.approx(np.mean(squares))
    assert metrics.alignment(VIEWS, alpha=1) == pytest.approx(np.mean(np.sqrt(squares)))
    one = units[0]
    apart = [sum((p - q) ** 2) for i, p in enumerate(one) for j, q in enumerate(one) if i != j]
    for t in (2, 0.5):
        expected = np.log(np.mean(np.exp(-t * np.array(apart))))
        assert metrics.uniformity(VIEWS[0], t=t) == pytest.approx(expected)
    assert metrics.alignment(np.stack([Z, 2 * Z])) == pytest.approx(0, abs=1e-12)
    assert metrics.uniformity([[1.0, 0.0], [-3.0, 0.0]]) == pytest.approx(-8)  # the bound


def test_uniformity_in_parts(monkeypatch):
    whole = metrics.uniformity(Z)
    monkeypatch.setattr(metrics._views, "ROWS_AT_ONCE", 7)
    assert metrics.uniformity(Z) == pytest.approx(whole)


def test_knn_consistency_is_the_share_of_neighbours_kept():
    def neighbours(Z, k):
        unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
        similar = unit @ unit.T - 9 * np.eye(len(Z))
        return [set(np.argsort(-row)[:k]) for row in similar]

    for k in (1, 5):
        near = [neighbours(view, k) for view in VIEWS]
        shared = [
            len(a & b) / k
            for i, j in [(0, 1), (0, 2), (1, 2)]
            for a, b in zip(near[i], near[j], strict=True)
        ]
        assert metrics.knn_consistency(VIEWS, k) == pytest.approx(np.mean(shared))
    assert metrics.knn_consistency([Z, Z], 99) == 1  # all others


def test_knn_consistency_of_a_constant_embedding_is_chance():
    share = metrics.knn_consistency(np.ones((5, 101, 3)))
    assert share == pytest.approx(0.1, abs=0.03)


def test_seed_stability_is_linear_cka():
    other = Z[:, :3] ** 2
    A, B = Z - Z.mean(0), other - other.mean(0)
    K, L = A @ A.T, B @ B.T  # the paper's definition by HSIC of centred linear kernels
    expected = np.trace(K @ L) / np.sqrt(np.trace(K @ K) * np.trace(L @ L))
    assert metrics.seed_stability(Z, other) == pytest.approx(expected)
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert metrics.seed_stability(Z, 3 * Z @ turn + 5) == pytest.approx(1)
    assert metrics.seed_stability(Z, np.full((40, 2), 0.1)) == 0


@pytest.mark.parametrize("name", sorted({*OF_EMBEDDINGS, "seed_stability"}))
def test_bad_embeddings_are_said(name):
    function = getattr(metrics, name)
    args = (Z,) if name == "seed_stability" else ()
    with pytest.raises(ValueError, match=r"\(n_samples, n_components\), got \(3, 40, 6\)"):
        function(VIEWS, *args)
    with pytest.raises(ValueError, match="NaN"):
        function(np.full((40, 6), np.nan), *args)
    with pytest.raises(ValueError, match="minimum of 2"):
        function(Z[:1], *args)


@pytest.mark.parametrize("name", OF_VIEWS)
def test_bad_views_are_said(name):
    for bad in (Z, Z[None], [Z, Z[:5]], []):
        with pytest.raises(ValueError, match=r"\(n_views, n_samples, n_components\)"):
            getattr(metrics, name)(bad)
    with pytest.raises(ValueError, match="NaN"):
        getattr(metrics, name)(np.full((2, 9, 3), np.nan))


def test_inputs_are_not_written_to_and_float32_is_enough():
    for name in (*OF_EMBEDDINGS, *OF_VIEWS):
        data = VIEWS if name in OF_VIEWS else Z
        narrow = data.astype(np.float32)
        before = narrow.copy()
        assert getattr(metrics, name)(narrow) == pytest.approx(getattr(metrics, name)(data), 1e-3)
        assert np.array_equal(narrow, before)


# ---- scorers -----------------------------------------------------------------------------

every_scorer = pytest.mark.parametrize("name", [*OF_EMBEDDINGS, *OF_VIEWS])


@every_scorer
def test_scorers_are_deterministic_and_can_be_pickled(name):
    fitted = SCARF(**CHEAP).fit(X_IRIS)
    scorer = label_free_scorer(name)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    value = scorer(fitted, X_IRIS)
    assert isinstance(value, float) and np.isfinite(value)
    assert (
        value
        == scorer(fitted, X_IRIS, Y_IRIS)
        == pickle.loads(pickle.dumps(scorer))(make_pipeline(fitted), X_IRIS.tolist())
    )
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert eval(repr(scorer)) == scorer == copy.deepcopy(scorer)


@every_scorer
def test_greater_is_better(name):
    """A constant embedding scores below that of a trained encoder, or is seen by others."""
    fitted = SCARF(**CHEAP).fit(X_IRIS)
    constant = copy.deepcopy(fitted)
    with torch.no_grad():
        for parameter in constant.encoder_[1].parameters():
            parameter.zero_()
    if name == "alignment":  # whose best value a constant has
        return
    scorer = label_free_scorer(name)
    assert scorer(constant, X_IRIS) < scorer(fitted, X_IRIS)


def test_the_sign_and_the_spelling_of_scorers():
    fitted = SCARF(**CHEAP).fit(X_IRIS)
    Z = fitted.transform(X_IRIS)
    assert label_free_scorer("uniformity")(fitted, X_IRIS) == -metrics.uniformity(Z)
    assert label_free_scorer("alpha_req")(fitted, X_IRIS) == -abs(metrics.alpha_req(Z) - 1)
    assert label_free_scorer("alignment")(fitted, X_IRIS) < 0
    few = label_free_scorer("rankme", max_samples=50)
    assert repr(few) == "label_free_scorer('rankme', max_samples=50)"
    rows = np.linspace(0, 149, 50).round().astype(int)
    assert few(fitted, X_IRIS) == metrics.rankme(fitted.transform(X_IRIS[rows]))
    with pytest.raises(ValueError, match="metric"):
        label_free_scorer("seed_stability")


def test_scorers_of_what_stands_around_a_transformer():
    scorers = {name: label_free_scorer(name) for name in ("rankme", "lidar")}
    few = np.where(np.arange(150) % 5 == 0, Y_IRIS, -1)
    model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(C=0.01)).fit(X_IRIS, few)
    pipe = make_pipeline(StandardScaler(), SCARF(**CHEAP)).fit(X_IRIS)
    scaled = pipe[0].transform(X_IRIS)
    for scorer in scorers.values():
        assert scorer(model, X_IRIS) == scorer(model.transformer_, X_IRIS)
        assert scorer(pipe, X_IRIS) == scorer(pipe[-1], scaled)
    pca = PCA().fit(X_IRIS)
    assert scorers["rankme"](pca, X_IRIS) == metrics.rankme(pca.transform(X_IRIS))
    with pytest.raises(TypeError, match="self-supervised transformer"):
        scorers["lidar"](pca, X_IRIS)


def test_views_that_a_method_has_not_are_said():
    images = load_digits().images[:64, :, :, None].astype("float32")
    mae = MaskedAutoencoder(**{**CHEAP, "max_epochs": 0}).fit(images)
    with pytest.raises(ValueError, match="MaskedAutoencoder compares no altered copies"):
        label_free_scorer("lidar")(mae, images)
    mae.set_params(views="weak").fit(images)
    assert label_free_scorer("lidar")(mae, images) > 1
    vime = VIME(**CHEAP).fit(X_IRIS)  # one view a batch: it is drawn again
    assert 0 < label_free_scorer("knn_consistency")(vime, X_IRIS) < 1


def test_views_of_images_of_several_sizes():
    from skssl.views import MultiCrop

    images = load_digits().images[:60].astype("uint8")
    crops = MultiCrop(n_small=2, small_size=5)
    simclr = SimCLR(views=crops, **{**CHEAP, "max_epochs": 1}).fit(images)
    assert 0 < label_free_scorer("knn_consistency", n_views=4)(simclr, images) < 1


def test_searches_without_labels():
    grid = {"corruption": [0.3, 0.9]}
    scoring = label_free_scorer("knn_consistency")
    search = GridSearchCV(SCARF(**CHEAP), grid, cv=2, scoring=scoring).fit(X_IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(X_IRIS) == scoring(search.best_estimator_, X_IRIS)
    halving = HalvingGridSearchCV(
        make_pipeline(StandardScaler(), SCARF(**CHEAP)),
        {"scarf__corruption": [0.3, 0.6, 0.9]},
        scoring=label_free_scorer("rankme"),
        cv=2,
        min_resources=40,
        random_state=0,
    ).fit(X_IRIS)
    assert halving.n_iterations_ == 2
    scoring = {"rank": label_free_scorer("rankme"), "lidar": label_free_scorer("lidar")}
    scores = cross_validate(SCARF(**CHEAP), X_IRIS, cv=2, scoring=scoring)
    assert (scores["test_rank"] > 1).all() and (scores["test_lidar"] > 1).all()


# ---- callbacks ---------------------------------------------------------------------------


def values(scores):
    """Return a scorer whose scores are these, epoch by epoch."""

    def score(estimator, X, y):
        return scores[estimator.n_iter_ - 1]

    return score


def test_early_stopping_waits_and_restores_the_best():
    snapshots = ProbeMonitor(scoring=lambda e, X, y: float(e.transform(X_IRIS).sum()))
    stop = EarlyStopping(values([1, 3, 2, 3, 1, 9]), patience=2)
    fitted = SCARF(**CHEAP).set_params(max_epochs=6).set_callbacks(stop, snapshots).fit(X_IRIS)
    assert fitted.n_iter_ == 4  # the second 3 is no improvement
    assert fitted.probe_curves_["score"] == [1, 3, 2, 3]
    sums = fitted.probe_curves_["<lambda>"]
    assert fitted.transform(X_IRIS).sum() in (sums[1], sums[3])
    last = EarlyStopping(values([5, 3, 2, 1, 1, 9]), patience=2, restore_best=False)
    fitted.set_callbacks(last, snapshots).fit(X_IRIS)
    assert (
        fitted.n_iter_ == 3
        and fitted.transform(X_IRIS).sum() == fitted.probe_curves_["<lambda>"][2]
    )
    best = EarlyStopping(values([5, 3, 2, 1, 1, 9]), patience=2)
    fitted.set_callbacks(best, snapshots).fit(X_IRIS)
    assert (
        fitted.n_iter_ == 3
        and fitted.transform(X_IRIS).sum() == fitted.probe_curves_["<lambda>"][0]
    )
    assert not hasattr(fitted.set_callbacks().fit(X_IRIS), "probe_curves_")


def test_what_goes_on_from_the_best_weights():
    best = EarlyStopping(values([5, 3, 2, 1, 1]), patience=2)
    kept = SCARF(**CHEAP, warm_start=True).set_callbacks(best).fit(X_IRIS)
    once = SCARF(**{**CHEAP, "max_epochs": 5}).set_callbacks(best).fit(X_IRIS)
    assert np.array_equal(kept.transform(X_IRIS), once.transform(X_IRIS))
    with torch.no_grad():
        Z = kept._net.eval().encoder(kept.encoder_[0](kept._read(X_IRIS))).numpy()
    np.testing.assert_allclose(Z, kept.transform(X_IRIS), rtol=1e-4, atol=1e-5)


def test_early_stopping_on_the_loss():
    plain = SCARF(**CHEAP).set_params(max_epochs=60, learning_rate=1e-30)
    fitted = clone(plain).set_callbacks(EarlyStopping(patience=4)).fit(X_IRIS)
    losses = fitted.loss_curve_
    assert fitted.n_iter_ < 60 and fitted.n_iter_ == np.argmin(losses) + 1 + 4
    held_out = clone(plain).set_params(n_iter_no_change=100)
    fitted = held_out.set_callbacks(EarlyStopping(patience=4)).fit(X_IRIS)
    curve = fitted.validation_loss_curve_
    assert fitted.n_iter_ == np.argmin(curve) + 1 + 4
    assert not hasattr(fitted, "probe_curves_")


@pytest.mark.parametrize("monitor", ["knn", "rankme", "lidar"])
def test_early_stopping_on_the_embedding(monitor):
    stop = EarlyStopping(monitor, patience=2)
    fitted = SCARF(**CHEAP).set_params(max_epochs=40).set_callbacks(stop).fit(X_IRIS)
    curve = fitted.probe_curves_[monitor]
    assert len(curve) == fitted.n_iter_ and len(set(curve)) > 1
    name = {"knn": "knn_consistency"}.get(monitor, monitor)
    assert label_free_scorer(name)(fitted, X_IRIS) == max(curve)


def test_time_budget():
    scarf = SCARF(**CHEAP).set_params(max_epochs=10**6)
    start = time.perf_counter()
    fitted = scarf.set_callbacks(TimeBudget(0.5)).fit(X_IRIS)
    assert time.perf_counter() - start < 5 and 1 <= fitted.n_iter_ < 10**6
    assert scarf.set_callbacks(TimeBudget(1e-9)).fit(X_IRIS).n_iter_ == 1
    assert SCARF(**CHEAP).set_callbacks(TimeBudget(100)).fit(X_IRIS).n_iter_ == 5


def test_probes():
    X, y = X_IRIS[::2], Y_IRIS[::2]
    few = np.where(np.arange(75) % 2 == 0, y, -1)
    scoring = {"rank": "rankme", "mine": lambda estimator, X, y: len(X)}
    probes = ProbeMonitor(X, few), ProbeMonitor(scoring="knn"), ProbeMonitor(X, scoring=scoring)
    fitted = SCARF(**CHEAP).set_callbacks(*probes, ProbeMonitor(every=2)).fit(X_IRIS)
    curves = fitted.probe_curves_
    assert list(curves) == ["probe", "knn", "rank", "mine", "rankme"]
    assert all(0.5 < score <= 1 for score in curves["probe"]) and curves["mine"] == [75] * 5
    assert curves["rank"][-1] == rankme(fitted.transform(X))
    assert np.isnan(curves["rankme"]).tolist() == [True, False, True, False, False]
    assert curves["rankme"][-1] == rankme(fitted.transform(X_IRIS))
    size = ProbeMonitor(X, X[:, 0])  # numbers to predict
    assert len(SCARF(**CHEAP).set_callbacks(size).fit(X_IRIS).probe_curves_["probe"]) == 5


def encoder_with_batch_norm(x):
    return nn.Sequential(nn.Linear(x.shape[1], 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1))


@pytest.mark.parametrize(
    "method",
    [SCARF(**CHEAP), VICReg(**CHEAP), SimCLR(encoder=encoder_with_batch_norm, **CHEAP)],
    ids=["SCARF", "VICReg", "BatchNorm"],
)
def test_looking_on_changes_nothing(method):
    plain = clone(method).fit(X_IRIS)
    looks = {"knn": "knn", "draws": lambda e, X, y: float(torch.rand(()))}
    watchers = (
        ProbeMonitor(X_IRIS, Y_IRIS),
        ProbeMonitor(scoring=looks),
        EarlyStopping("lidar", patience=99, restore_best=False),
        TimeBudget(999),
    )
    watched = clone(method).set_callbacks(*watchers).fit(X_IRIS)
    assert watched.loss_curve_ == plain.loss_curve_
    assert np.array_equal(watched.transform(X_IRIS), plain.transform(X_IRIS))


def test_set_on_a_pipeline_a_meta_estimator_or_a_step():
    stop = EarlyStopping(values([5, 1, 1, 1, 1]), patience=1)
    pipe = make_pipeline(StandardScaler(), SCARF(**CHEAP), LogisticRegression(C=0.01))
    fitted = clone(pipe).set_callbacks(stop, ProbeMonitor(scoring="knn")).fit(X_IRIS, Y_IRIS)
    assert fitted["scarf"].n_iter_ == 2 == len(fitted["scarf"].probe_curves_["knn"])
    assert fitted["logisticregression"].n_iter_[0] > 2
    step = clone(pipe)
    step["scarf"].set_callbacks(stop)  # the same one: it is handed down no more
    assert step.fit(X_IRIS, Y_IRIS)["scarf"].n_iter_ == 2
    model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(C=0.01))
    assert clone(model).set_callbacks(stop).fit(X_IRIS, Y_IRIS).transformer_.n_iter_ == 2
    model.transformer.set_callbacks(stop)
    assert model.fit(X_IRIS, Y_IRIS).transformer_.n_iter_ == 2
    inside = make_pipeline(StandardScaler(), clone(model).set_callbacks(stop))
    inside[-1].transformer.set_callbacks()
    assert inside.fit(X_IRIS, Y_IRIS)[-1].transformer_.n_iter_ == 2


def n_iter(estimator, X, y=None):
    return estimator["scarf"].n_iter_


def n_probed(estimator, X, y=None):
    return len(estimator["scarf"].probe_curves_["rankme"])


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("where", ["search", "step"])
def test_set_in_a_search(n_jobs, where):
    pipe = make_pipeline(StandardScaler(), SCARF(**CHEAP))
    scoring = {"n_iter": n_iter, "n_probed": n_probed}
    search = GridSearchCV(
        pipe,
        {"scarf__corruption": [0.3, 0.6]},
        cv=2,
        scoring=scoring,
        refit="n_iter",
        n_jobs=n_jobs,
    )
    target = search if where == "search" else pipe["scarf"]
    target.set_callbacks(EarlyStopping("rankme", patience=1), TimeBudget(1e-9))
    search.fit(X_IRIS)
    for name in scoring:  # in the workers, too
        assert (search.cv_results_[f"mean_test_{name}"] == 1).all()
    assert n_iter(search.best_estimator_, None) == 1


def test_one_callback_for_many_fits():
    """What it counts in one fit is nothing to the next, nor to one beside it."""
    stop = EarlyStopping(values([5, 4, 3, 2, 1]), patience=2)
    estimator = SCARF(**CHEAP).set_callbacks(stop)
    assert [clone(estimator).fit(X_IRIS).n_iter_ for _ in range(2)] == [3, 3]
    search = GridSearchCV(make_pipeline(estimator), {}, cv=3, scoring=n_iter, n_jobs=2)
    from joblib import parallel_backend

    with parallel_backend("threading"):
        search.fit(X_IRIS)
    assert search.cv_results_["mean_test_score"] == [3]


def pickled(estimator, X, y):
    """Do what a callback does that writes checkpoints."""
    return float(len(pickle.dumps(estimator)))


def test_callbacks_leave_nothing_behind():
    fitted = SCARF(**CHEAP).set_callbacks(EarlyStopping("rankme")).fit(X_IRIS)
    assert not hasattr(fitted, "_report")
    again = pickle.loads(pickle.dumps(fitted))
    assert again.probe_curves_ == fitted.probe_curves_
    assert np.array_equal(again.transform(X_IRIS), fitted.transform(X_IRIS))
    assert clone(fitted).set_callbacks(ProbeMonitor(scoring=pickled)).fit(X_IRIS).n_iter_ == 5


def test_wrong_use_of_callbacks_is_said():
    with pytest.raises(TypeError, match="LogisticRegression trains none"):
        LogisticRegression().set_callbacks(EarlyStopping()).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match="monitor"):
        EarlyStopping("accuracy")
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="seconds"):
        TimeBudget(-1)
    with pytest.raises(ValueError, match="pass X with y"):
        ProbeMonitor(y=Y_IRIS)
    twice = ProbeMonitor(), ProbeMonitor(X_IRIS[:50])
    with pytest.raises(ValueError, match="Two callbacks of this fit record 'rankme'"):
        SCARF(**CHEAP).set_callbacks(*twice).fit(X_IRIS)
    with pytest.raises(ValueError, match="'score' returned nan in epoch 1"):
        SCARF(**CHEAP).set_callbacks(EarlyStopping(values([np.nan]))).fit(X_IRIS)
    mae = MaskedAutoencoder(**CHEAP).set_callbacks(EarlyStopping("knn"))
    with pytest.raises(ValueError, match="no altered copies"):
        mae.fit(load_digits().images[:60].astype("uint8"))


# ---- collapse ----------------------------------------------------------------------------

LONGER = {**CHEAP, "n_components": 16, "max_epochs": 60, "batch_size": 64}
X_WINE = load_wine().data


@pytest.mark.parametrize(
    ("method", "cause"),
    [
        (VIME(learning_rate=3, **LONGER), "learning_rate=3"),
        (SCARF(weight_decay=100, **LONGER), "weight_decay=100"),
    ],
    ids=["dead units", "weights shrunk"],
)
def test_a_collapse_is_said_with_its_likely_cause(method, cause):
    with pytest.warns(ConvergenceWarning, match=f"has collapsed: rows .* {cause}"):
        clone(method).fit(X_WINE)


def constant_encoder(x):
    encoder = nn.Sequential(nn.Linear(x.shape[1], 8), nn.ReLU())
    nn.init.constant_(encoder[0].bias, -1e3)  # no unit is ever on
    return encoder


def test_a_constant_encoder_is_said():
    with pytest.warns(
        ConvergenceWarning,
        match="rows hardly differ in it.* Nothing in the loss may keep rows apart",
    ):
        VIME(encoder=constant_encoder, **CHEAP).fit(X_IRIS)
    with pytest.warns(ConvergenceWarning, match="batch_size=8 is the likely cause"):
        VIME(encoder=constant_encoder, **{**CHEAP, "batch_size": 8}).fit(X_IRIS)


def test_nothing_is_said_of_other_fits():
    methods = VICReg(**LONGER), VIME(**LONGER), SCARF(**LONGER), SimCLR(temperature=1, **LONGER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in methods:
            clone(method).fit(X_WINE)
        SCARF(**CHEAP).fit(np.ones((50, 3)))  # rows that are all the same to begin with
        VIME(**CHEAP).fit(np.arange(60.0)[:, None])  # or differ in one number
        VIME(encoder=constant_encoder, **{**CHEAP, "max_epochs": 0}).fit(X_IRIS)


# ---- usefulness --------------------------------------------------------------------------


def test_rank_and_neighbours_find_the_collapsed_candidates():
    """A search without labels leaves out the learning rates that ruin the embedding."""
    X = load_breast_cancer().data[::2]
    grid = {"learning_rate": [1e-3, 3.0]}
    vime = VIME(**{**LONGER, "max_epochs": 20})
    for name in ("rankme", "lidar", "nesum"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search = GridSearchCV(vime, grid, cv=2, scoring=label_free_scorer(name)).fit(X)
        assert search.best_params_ == {"learning_rate": 1e-3}
