"""The default estimators at the end: blocks, graphs of neighbours, and the selection."""

import functools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.semi_supervised import LabelSpreading

from skssl import load, save
from skssl.semi_supervised._block_scaler import BlockScaler, Span
from skssl.semi_supervised._ensemble import (
    EnsembleClassifier,
    EnsembleRegressor,
    LeastSquares,
    Sharpened,
    select,
)
from skssl.semi_supervised._propagation import (
    NeighborGraph,
    PropagatedClassifier,
    PropagatedRegressor,
)

RNG = np.random.default_rng(0)


# ---- blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_blocks_get_their_shares_of_the_variance(share):
    X = RNG.normal(size=(200, 7)) * [1, 10, 100, 1, 2, 0, 3] + 5
    Z = BlockScaler(4, share).fit_transform(X)
    assert Z.shape == (200, 6)  # the constant column is gone
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


def test_least_squares_of_the_classes():
    """The closed form of a ridge on indicators; where columns are many, it is in the library."""
    X, y = load_iris(return_X_y=True)
    model = LeastSquares(Ridge(2.0, fit_intercept=False)).fit(X, y)
    indicators = np.eye(3)[y]
    shares = X @ np.linalg.solve(X.T @ X + 2 * np.eye(4), X.T @ indicators)
    expected = np.maximum(shares, 0.01)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)

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


# ---- ensembles ---------------------------------------------------------------------------


def digits(n_labels, seed=0):
    """Return the pixels twice, as embedding and as raw columns, and which rows are labelled."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    return np.hstack([X, X]), y, order[:n_labels], order[n_labels:1000], order[1000:]


@functools.cache
def ensemble(seed=0):
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
    model = ensemble()
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


def test_probabilities_decisions_and_predictions_agree():
    X, y, few, others, test = digits(30)
    model = ensemble()
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
    for _ in range(3):
        X, y = rng.normal(size=(90, 20)), np.arange(90) % 3
        model = EnsembleClassifier(10, random_state=seed).fit(X, y, rng.normal(size=(200, 20)))
        sure.append(model.predict_proba(rng.normal(size=(300, 20))).max(1))
    margin(-np.mean(sure), -0.47, "on average")
    margin(-np.quantile(sure, 0.95), -0.56, "in hardly any row")


@pytest.mark.parametrize("n_labels", [1, 2, 4, 60])
def test_regressor(n_labels):
    X, y = load_diabetes(return_X_y=True)
    few, rest = np.arange(n_labels), np.arange(n_labels, len(X))
    model = EnsembleRegressor(6, random_state=0).fit(X[few], y[few], X[rest])
    assert np.isfinite(model.predict(X[rest])).all()
    if n_labels == 1:
        np.testing.assert_allclose(model.predict(X[rest]), y[0])
    if n_labels == 60:
        assert model.score(X[rest], y[rest]) > 0.3
