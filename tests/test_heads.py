"""The default estimators at the end: blocks, graphs of neighbours, and the selection."""

import functools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons
from sklearn.ensemble import (
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.semi_supervised import LabelSpreading
from sklearn.tree import DecisionTreeClassifier

from skssl import load, save
from skssl.semi_supervised import _ensemble
from skssl.semi_supervised._block_scaler import BlockScaler, Span
from skssl.semi_supervised._ensemble import (
    EnsembleClassifier,
    EnsembleRegressor,
    LeastSquares,
    Member,
    Sharpened,
    predict_in_units,
    select,
)
from skssl.semi_supervised._propagation import (
    NeighborGraph,
    PropagatedClassifier,
    PropagatedRegressor,
)
from skssl.semi_supervised._target_scaler import TargetScaler, standardise

RNG = np.random.default_rng(0)


# ---- blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_blocks_get_their_shares_of_the_variance(share):
    X = RNG.normal(size=(200, 7)) * [1, 10, 100, 1, 2, 0, 3] + 5
    Z = BlockScaler(4, share).fit_transform(X)
    assert Z.shape == (200, 6)  # the constant column is gone
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.var(0).sum(), 1)
    np.testing.assert_allclose(Z[:, 4:].var(0).sum(), share)
    np.testing.assert_allclose(Z[:, :4].var(0), (1 - share) / 4)  # the first block, standardised
    np.testing.assert_allclose(  # the second, as its columns were to each other
        Z[:, 5].std() / Z[:, 4].std(), X[:, 6].std() / X[:, 4].std()
    )


@pytest.mark.parametrize(("share", "kept"), [(0.0, 4), (1.0, 3)])
def test_a_block_without_a_share_is_left_out(share, kept):
    X = RNG.normal(size=(50, 7))
    assert BlockScaler(4, share).fit_transform(X).shape == (50, kept)


@pytest.mark.parametrize("n_first", [0, 3])
def test_a_single_block_gets_it_all(n_first):
    Z = BlockScaler(n_first, 0.1).fit_transform(RNG.normal(size=(50, 3)))
    np.testing.assert_allclose(Z.var(0).sum(), 1)
    assert np.isfinite(BlockScaler(n_first).fit_transform(np.ones((5, 3)))).all()


def test_blocks_of_small_variance_and_of_columns_that_only_round():
    random = np.random.default_rng(0)
    X = np.stack([random.normal(size=50), 0.1 * random.normal(size=50)], 1)
    np.testing.assert_allclose(BlockScaler(1, 0.3).fit_transform(X).var(0), [0.7, 0.3])
    noise = 1e-3 * random.normal(size=50)
    scaler = BlockScaler(3, 0.0).fit(np.stack([noise - 1e8, noise, noise + 1e8], 1))
    assert scaler.kept_.tolist() == [1]


def test_a_linear_model_in_the_span_is_the_linear_model():
    X, y = load_iris(return_X_y=True)
    wide = np.hstack([X, X**2, np.sin(3 * X), np.cos(5 * X), X[:, ::-1] * X])  # 20 columns
    few = RNG.permutation(len(X))[:15]
    span = Span().fit(wide[few])
    narrow = span.transform(wide)
    assert narrow.shape[1] == 14  # 15 rows span 14 directions around their mean
    options = {"C": 0.5, "tol": 1e-10, "max_iter": 10_000}
    expected = LogisticRegression(**options).fit(wide[few], y[few]).predict_proba(wide)
    found = LogisticRegression(**options).fit(narrow[few], y[few]).predict_proba(narrow)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# ---- graphs ------------------------------------------------------------------------------


def slow_spread(graph, sources, alpha):
    """Iterate F <- alpha S F + (1 - alpha) Y, entry by entry."""
    S, F = graph.spread_.toarray(), sources.copy()
    for _ in range(30):
        new = np.zeros_like(F)
        for i in range(len(F)):
            for j in range(len(F)):
                new[i] += alpha * S[i, j] * F[j]
            new[i] += (1 - alpha) * sources[i]
        F = new
    return F


def test_spread_is_symmetric_and_normalised():
    X = RNG.normal(size=(30, 2))
    graph = NeighborGraph(n_neighbors=4).fit(X)
    S = graph.spread_.toarray()
    np.testing.assert_allclose(S, S.T)
    np.testing.assert_allclose(S.diagonal(), 0)
    np.testing.assert_allclose(np.linalg.eigvalsh(S).max(), 1)  # of D^-1/2 W D^-1/2


def test_edges_against_a_slow_loop():
    random = np.random.default_rng(0)
    X = random.normal(size=(15, 3))
    graph = NeighborGraph(n_neighbors=4).fit(X)
    assert graph.neighbors_._fit_X.dtype == np.float32 and graph.spread_.dtype == np.float64
    apart = [[np.inf if i == j else np.linalg.norm(a - b) for j, b in enumerate(X)]
             for i, a in enumerate(X)]  # fmt: skip
    width = np.mean([sorted(row)[3] for row in apart])
    edges = np.zeros((15, 15))
    for i, row in enumerate(apart):
        for j in np.argsort(row)[:4]:
            edges[i, j] = edges[j, i] = np.exp(-((row[j] / width) ** 2))
    degree = edges.sum(1)
    np.testing.assert_allclose(
        graph.spread_.toarray(), edges / np.sqrt(np.outer(degree, degree)), rtol=1e-5
    )
    at, beside = X[0] + [5e-4 * width, 0, 0], X[0] + [0.01 * width, 0, 0]
    assert graph.transform(at[None]).toarray()[0, 0] == 1  # as good as the node itself
    weight = np.array([np.exp(-((np.linalg.norm(beside - b) / width) ** 2)) for b in X])
    weight[np.argsort(weight)[:-4]] = 0
    found = graph.transform(beside[None]).toarray()[0]
    np.testing.assert_allclose(found, weight / weight.sum(), rtol=1e-4)


def test_a_node_that_is_far_from_all_others_has_no_edge():
    X = np.random.default_rng(0).normal(size=(60, 2))
    X[7] = 1e9
    S = NeighborGraph(n_neighbors=4).fit(X).spread_.toarray()
    assert np.isfinite(S).all() and (S[7] == 0).all()


def test_places_of_rows_among_the_nodes():
    X = RNG.normal(size=(30, 2))
    graph = NeighborGraph(n_neighbors=4).fit(X)
    np.testing.assert_allclose(graph.transform(X).toarray(), np.eye(30))  # a node is itself
    new = graph.transform(RNG.normal(size=(5, 2)))
    np.testing.assert_allclose(new.sum(1), 1)
    assert (np.diff(new.indptr) == 4).all()
    far = graph.transform(np.full((1, 2), 1e6))  # its weights all but vanish
    np.testing.assert_allclose(far.sum(1), 1)


def test_propagated_classes_against_a_slow_loop():
    X = RNG.normal(size=(12, 2))
    y = np.array(["a", "b", "a", "c"])
    graph = NeighborGraph(n_neighbors=3).fit(X)
    model = PropagatedClassifier(graph.spread_, alpha=0.7).fit(graph.transform(X[:4]), y)
    sources = np.zeros((12, 3))
    for i, label in enumerate(y):
        sources[i, "abc".index(label)] = 1
    mass = slow_spread(graph, sources, 0.7)
    prior = np.array([0.5, 0.25, 0.25])
    mass = mass / mass.sum(0) * prior * 12 + 1e-4 * prior
    expected = mass / mass.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(graph.transform(X)), expected)


def test_propagated_targets_against_a_slow_loop():
    X, y = RNG.normal(size=(12, 2)), np.array([1.0, -2.0, 0.5, 4.0])
    graph = NeighborGraph(n_neighbors=3).fit(X)
    model = PropagatedRegressor(graph.spread_, alpha=0.7).fit(graph.transform(X[:4]), y)
    sources = np.zeros((12, 2))
    sources[:4] = np.stack([y - y.mean(), np.ones(4)], 1)
    value, mass = slow_spread(graph, sources, 0.7).T
    expected = y.mean() + value / (mass + 1e-4 * mass.mean())
    np.testing.assert_allclose(model.predict(graph.transform(X)), expected)


def test_labels_follow_the_moons_as_scikit_learns_do():
    X, y = make_moons(400, noise=0.08, random_state=0)
    few = np.array([np.flatnonzero(y == c)[0] for c in (0, 1)])
    graph = NeighborGraph().fit(X)
    model = PropagatedClassifier(graph.spread_, alpha=0.98).fit(graph.transform(X[few]), y[few])
    found = model.predict(graph.transform(X))
    labels = np.full(len(X), -1)
    labels[few] = y[few]
    theirs = LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.98, max_iter=1000)
    assert (found == y).mean() > 0.85
    assert (found == y).mean() > (theirs.fit(X, labels).transduction_ == y).mean() - 0.05


# ---- targets -----------------------------------------------------------------------------


def test_targets_are_standardised_and_rounded():
    y = 150 + 70 * np.random.default_rng(0).normal(size=50)
    scaler = TargetScaler().fit(y)
    assert (scaler.center_, scaler.spread_) == pytest.approx((y.mean(), y.std()), rel=1e-14)
    standard = scaler.transform(y)
    np.testing.assert_allclose(standard, (y - y.mean()) / y.std(), rtol=0, atol=2.0**-25)
    steps = standard * 2.0**24
    assert (steps == np.round(steps)).all() and (steps % 2).any()
    np.testing.assert_allclose(scaler.inverse_transform(standard), y, rtol=1e-6)
    assert scaler.inverse_transform([0, 1]) == pytest.approx([y.mean(), y.mean() + y.std()])
    with pytest.raises(ValueError, match=r"y holds 1e\+30, which is more than 1e\+15 standard"):
        scaler.transform([150.0, 1e30])
    with pytest.raises(ValueError, match=r"y holds 1e\+308, which is more than 1e\+15 standard"):
        standardise([0.0, 1e308], -1e308, 1.0)  # their difference is infinite


@pytest.mark.parametrize("value", [0.1, -7.7, 1e200])
@pytest.mark.parametrize("n", [3, 7, 49])
def test_equal_targets_have_their_value_as_mean(n, value):
    scaler = TargetScaler().fit(np.full(n, value))  # whose mean is rounded, for some of these
    assert (scaler.center_, scaler.spread_) == (value, 1.0)


def test_targets_that_differ_by_rounding_are_equal():
    eps = np.finfo(float).eps
    assert TargetScaler().fit([1, 1 + 16 * eps]).spread_ == 1.0
    assert TargetScaler().fit([1, 1 + 17 * eps]).spread_ < 1e-14
    for huge in (1e200, 1e-200):
        assert TargetScaler().fit([huge, 3 * huge]).spread_ == pytest.approx(huge)


# ---- selection ---------------------------------------------------------------------------


def slow_select(predictions, loss, n_rounds=20):
    chosen = []
    for _ in range(n_rounds):
        losses = []
        for member in range(len(predictions)):
            mean = np.mean([predictions[i] for i in [*chosen, member]], axis=0)
            losses.append(loss(mean[None])[0])
        chosen.append(int(np.argmin(losses)))
    return np.bincount(chosen, minlength=len(predictions)) / n_rounds


def test_selection_against_a_slow_loop():
    y = RNG.normal(size=15)
    predictions = y + RNG.normal(size=(6, 15))

    def loss(p):
        return ((p - y) ** 2).mean(1)

    weights = select(predictions, loss)
    np.testing.assert_allclose(weights, slow_select(predictions, loss))
    assert loss((weights @ predictions)[None])[0] <= loss(predictions).min()


def test_least_squares_of_the_classes(monkeypatch):
    """The closed form of a ridge on indicators; where columns are many, it is in the library."""
    X, y = load_iris(return_X_y=True)
    model = LeastSquares(Ridge(2.0, fit_intercept=False)).fit(X, y)
    indicators = np.eye(3)[y]
    shares = X @ np.linalg.solve(X.T @ X + 2 * np.eye(4), X.T @ indicators)
    expected = np.maximum(shares, 0.01)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)

    monkeypatch.setattr(_ensemble, "N_TREES", 2)
    wide = RNG.normal(size=(60, 40))  # of which 38 are raw
    for n_labels, is_there in ((30, True), (60, False)):
        chosen = EnsembleClassifier(2, random_state=0).fit(wide[:n_labels], np.arange(n_labels) % 3)
        names = {type(getattr(m.estimator, "classifier", None)) for _, m in chosen.members_}
        assert (LeastSquares in names) == is_there


@pytest.mark.parametrize("power", [2, 4])
def test_sharpening_keeps_the_order_and_gains_confidence(power):
    X, y = load_iris(return_X_y=True)
    plain = LogisticRegression(C=0.01).fit(X, y).predict_proba(X)
    sharp = Sharpened(LogisticRegression(C=0.01), power).fit(X, y).predict_proba(X)
    raised = plain**power
    np.testing.assert_allclose(sharp, raised / raised.sum(1, keepdims=True), atol=1e-6)
    assert sharp.max(1).mean() > plain.max(1).mean()


def test_sharpened_probabilities_are_never_0():
    X, y = load_iris(return_X_y=True)
    proba = Sharpened(DecisionTreeClassifier()).fit(X, y).predict_proba(X)
    assert proba.min() == pytest.approx(1e-9) and proba.sum(1) == pytest.approx(1)


# ---- the library -------------------------------------------------------------------------

SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
PENALTIES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
CS = (0.01, 0.316228, 10.0, 316.227766, 10_000.0)


def told(model, n_labels):
    """Return what a member is, in words and numbers."""
    if isinstance(model, Sharpened):
        return *told(model.classifier, n_labels), model.power
    if isinstance(model, LeastSquares):
        return told(model.regression, n_labels)
    if isinstance(model, LogisticRegression):
        assert (model.max_iter, model.tol) == (200, 1e-3)
        return "logistic", round(model.C, 6)
    if isinstance(model, Ridge):
        return "ridge", round(model.alpha / n_labels, 6)
    if isinstance(model, PropagatedClassifier | PropagatedRegressor):
        return "propagated", model.alpha
    assert isinstance(model.random_state, int)
    is_forest = isinstance(model, RandomForestClassifier | RandomForestRegressor)
    return "forest" if is_forest else "trees", model.n_estimators, model.max_features


def library(cls, n_embedding, n_labels):
    """Return the members of an ensemble over 5 columns, and whether each is in the prior."""
    X = np.random.default_rng(0).normal(size=(30, 5))
    ensemble = cls(n_embedding)
    ensemble.n_features_in_ = 5
    features = ensemble._fit_features(X, X)
    members = ensemble._library(features, n_labels, np.random.RandomState(0))
    return {(*m.features, *told(m.estimator, n_labels)): m.in_prior for m in members}


def linear(kind, values, middle):
    return {("spanned", s, kind, v): (s, v) == (0.5, middle) for s in SHARES for v in values}


def smooth(*power):
    """Graphs, extra trees and random forests, of 100 trees each."""
    return {
        ("placed", share, "propagated", alpha, *power): (share, alpha) == (0.5, 0.9)
        for share in (0.0, 0.5, 1.0)
        for alpha in (0.5, 0.9, 0.98)
    } | {
        ("scaled", 0.5, "trees", 100, "sqrt", *power): True,
        ("scaled", 0.5, "trees", 100, 0.3, *power): False,
        ("scaled", 1.0, "trees", 100, "sqrt", *power): False,
        ("scaled", 1.0, "trees", 100, 1.0, *power): False,
        ("scaled", 1.0, "forest", 100, "sqrt", *power): True,
        ("scaled", 1.0, "forest", 100, 0.3, *power): False,
    }


def test_members_to_choose_from():
    """One of each kind is in the prior: the middle one, of half embedding and half raw columns.

    Random forests read raw columns only.
    """
    of_classes = linear("logistic", CS, 10.0) | smooth(2)
    assert library(EnsembleClassifier, 2, 3) == of_classes
    assert library(EnsembleRegressor, 2, 2) == linear("ridge", PENALTIES, 0.01) | smooth()
    many = {  # 3 raw columns for 2 labels
        ("spanned", share, "ridge", alpha, power): (share, alpha, power) == (1.0, 0.01, 4)
        for share in (0.5, 0.9, 1.0)
        for alpha in PENALTIES
        for power in (2, 4)
    }
    assert library(EnsembleClassifier, 2, 2) == of_classes | many
    alone = {("spanned", 0.0, "logistic", C): C == 10 for C in CS}
    alone |= {("placed", 0.0, "propagated", a, 2): a == 0.9 for a in (0.5, 0.9, 0.98)}
    alone |= {("scaled", 0.0, "trees", 100, m, 2): m == "sqrt" for m in ("sqrt", 0.3)}
    assert library(EnsembleClassifier, 5, 2) == alone


@pytest.mark.parametrize("kind", ["ridge", "propagated", "trees", "forest"])
def test_members_predict_in_the_units_of_the_targets(kind):
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) * 70.0 + 5
    scaler = TargetScaler()
    trees = RandomForestRegressor if kind == "forest" else ExtraTreesRegressor
    model = Ridge() if kind == "ridge" else trees(3, random_state=0)
    if kind == "propagated":
        graph = NeighborGraph().fit(X)
        model, X = PropagatedRegressor(graph.spread_), graph.transform(X)
    before = model.fit(X, scaler.fit_transform(y)).predict(X)
    predict_in_units(model, scaler)
    np.testing.assert_allclose(model.predict(X), y.mean() + y.std() * before)
    assert kind != "propagated" or model.mean_ == pytest.approx(y.mean())


def test_weights_are_shrunk_to_the_prior_of_20_labels():
    class Known(EnsembleRegressor):
        def _out_of_fold(self, member, read, y, folds):
            return member.estimator

    y = np.arange(4.0)
    members = [Member(("a", 0.0), y + error, error > 0) for error in (0.0, 1.0, 2.0)]
    folds = [(None, [0, 1]), (None, [2, 3])]
    weights, losses = Known(2)._weigh(members, {}, y, folds, iter)
    assert weights == pytest.approx(np.array([4, 10, 10]) / 24) and losses.tolist() == [0, 1, 4]
    weights, losses = Known(2)._weigh(members, {}, y, [], iter)
    assert weights.tolist() == [0, 0.5, 0.5] and np.isnan(losses).all()


def test_the_loss_of_classes_is_the_mean_log_loss():
    loss = EnsembleClassifier(2)._loss_of(np.array([0, 1]))
    found = loss(np.array([[0.5, 0.25], [0.0, 1.0]]))  # of the true classes
    assert found == pytest.approx([1.5 * np.log(2), 3 * np.log(10)])


# ---- ensembles ---------------------------------------------------------------------------


def digits(n_labels, seed=0):
    """Return the pixels twice, as embedding and as raw columns, and which rows are labelled."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    return np.hstack([X, X]), y, order[:n_labels], order[n_labels:1000], order[1000:]


@functools.cache
def ensemble(seed):
    """The ensemble that 30 labels and the rows without labels make of the digits."""
    X, y, few, others, _ = digits(30, seed)
    return EnsembleClassifier(64, random_state=seed).fit(X[few], y[few], X[others])


def test_rows_without_labels_help_where_classes_are_clusters(seed, margin):
    gains = []
    for split in (2 * seed, 2 * seed + 1):
        X, y, few, _, test = digits(30, split)
        without = EnsembleClassifier(64, random_state=split).fit(X[few], y[few])
        gains.append(ensemble(split).score(X[test], y[test]) - without.score(X[test], y[test]))
    margin(np.mean(gains), 0.02)


def test_members_weigh_one_and_only_their_features_are_kept(tmp_path):
    X, _, few, _, _ = digits(30)
    model = ensemble(0)
    np.testing.assert_allclose(sum(weight for weight, _ in model.members_), 1)
    assert set(model.features_) == {member.features for _, member in model.members_}
    save(model, tmp_path / "model.skssl")  # trees, sparse matrices and all
    loaded = load(tmp_path / "model.skssl")
    assert np.array_equal(loaded.predict_proba(X[few]), model.predict_proba(X[few]))
    prior = sum(weight for weight, member in model.members_ if member.in_prior)
    assert prior >= 20 / (20 + 30)


@pytest.mark.parametrize(
    "labels", [["a", "b"], ["a", "a", "b", "b"], [0, 0, 0, 1]], ids=lambda labels: str(len(labels))
)
def test_classes_of_a_handful_of_labels(labels):
    X = np.eye(4)[: len(labels)]
    model = EnsembleClassifier(4, random_state=0).fit(X, labels, X)
    assert list(model.classes_) == sorted(set(labels))
    assert list(model.predict(X)) == labels


def test_scales_are_those_of_all_rows(monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 2)
    X = np.random.default_rng(0).normal(size=(20, 4))
    model = EnsembleRegressor(4, random_state=0).fit(X[:1], [3.0], X[1:])
    scalers = [
        getattr(feature, "steps", [("", feature)])[0][1] for feature in model.features_.values()
    ]
    assert len(scalers) == 3
    for scaler in scalers:
        np.testing.assert_allclose(scaler.mean_, X.mean(0))


def test_held_out_losses_are_in_squared_units_of_the_targets(monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 2)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 2)), rng.normal(size=8)
    one, eight = (EnsembleRegressor(2, random_state=0).fit(X, k * y) for k in (1, 8))
    assert min(one.held_out_losses_) > 0.1
    np.testing.assert_allclose(eight.held_out_losses_, 64 * np.array(one.held_out_losses_))


def test_probabilities_decisions_and_predictions_agree(monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 5)
    X, y, few, others, test = digits(30)
    model = EnsembleClassifier(64, random_state=0).fit(X[few], y[few], X[others])
    proba = model.predict_proba(X[test])
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (model.decision_function(X[test]).argmax(1) == proba.argmax(1)).all()
    again = clone(model).fit(X[few], y[few], X[others])
    np.testing.assert_array_equal(again.predict_proba(X[test]), proba)
    alone = np.vstack([model.predict_proba(X[[i]]) for i in test[:20]])
    np.testing.assert_allclose(alone, proba[:20], rtol=1e-4, atol=1e-6)
    binary = EnsembleClassifier(64, random_state=0).fit(X[few], y[few] > 4)
    assert ((binary.decision_function(X[test]) > 0) == binary.predict(X[test])).all()


def test_noise_gives_no_confidence(seed, margin):
    rng, sure = np.random.default_rng(seed), []
    for _ in range(4):
        X, y = rng.normal(size=(90, 20)), np.arange(90) % 3
        model = EnsembleClassifier(10, random_state=seed).fit(X, y, rng.normal(size=(200, 20)))
        sure.append(model.predict_proba(rng.normal(size=(300, 20))).max(1))
    margin(-np.mean(sure), -0.47, "on average")
    margin(-np.quantile(sure, 0.95, axis=1).mean(), -0.6, "in hardly any row")


@pytest.mark.parametrize("n_labels", [1, 2, 4, 60])
def test_regressor(n_labels, monkeypatch):
    if n_labels < 60:  # which say little, with any number of trees
        monkeypatch.setattr(_ensemble, "N_TREES", 5)
    X, y = load_diabetes(return_X_y=True)
    few, rest = np.arange(n_labels), np.arange(n_labels, len(X))
    model = EnsembleRegressor(6, random_state=0).fit(X[few], y[few], X[rest])
    assert np.isfinite(model.predict(X[rest])).all()
    if n_labels == 1:
        np.testing.assert_allclose(model.predict(X[rest]), y[0])
    if n_labels == 60:
        assert model.score(X[rest], y[rest]) > 0.3
