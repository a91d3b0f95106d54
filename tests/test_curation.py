"""What to label next, duplicates, neighbours, drift, and the columns behind an embedding."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, normalize
from sklearn.svm import LinearSVC

from skssl import SCARF, PretrainedClassifier, select_to_label
from skssl.curation import column_influence, drift_score, find_duplicates, kneighbors
from skssl.curation._select import spread_around

X, Y = load_digits(return_X_y=True)
RNG = np.random.default_rng(0)
SMALL = RNG.normal(size=(40, 3))
ON_ITS_OWN = {
    "select_to_label": lambda X, **how: [select_to_label(X, 3, random_state=0, **how)],
    "find_duplicates": lambda X, **how: [find_duplicates(X, threshold=0.05, **how).to_numpy()],
    "kneighbors": kneighbors,
}


@pytest.fixture(scope="module")
def scarf(seed):
    return SCARF(n_components=64, max_epochs=15, precision="float32", random_state=seed).fit(X)


# ---- embedding= --------------------------------------------------------------------------


@pytest.mark.parametrize("function", ON_ITS_OWN.values(), ids=ON_ITS_OWN)
def test_three_ways_to_say_what_the_embedding_is(function):
    scaled = StandardScaler().fit_transform(SMALL)
    frame = pd.DataFrame(SMALL, columns=list("abc"))
    pipeline = make_pipeline(StandardScaler(), PCA(3)).set_output(transform="pandas")
    rotated = pipeline.fit_transform(frame)
    expected = function(scaled)
    for found in (
        function(SMALL, embedding=scaled),
        function(SMALL, embedding=StandardScaler().fit(SMALL)),
        function(["any"] * 40, embedding=pd.DataFrame(scaled)),
        function(["any"] * 40, embedding=pl.DataFrame(scaled)),
        function(frame, embedding=rotated),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("function", ON_ITS_OWN.values(), ids=ON_ITS_OWN)
@pytest.mark.parametrize(
    ("data", "embedding", "error", "message"),
    [
        (pd.DataFrame({"a": ["x", "y"] * 20}), None, ValueError, "matrix of finite.*transformer"),
        (np.where(SMALL > 1, np.nan, SMALL), None, ValueError, "matrix of finite.*NaN"),
        (SMALL, SMALL[:9], ValueError, "inconsistent numbers of samples"),
        (SMALL, StandardScaler(), NotFittedError, "not fitted"),
        (SMALL, LogisticRegression(), TypeError, "no transform.*transformer_"),
        (SMALL, "scarf", ValueError, "embedding"),
        (SMALL, FunctionTransformer(lambda X: X[:, None]), ValueError, "one row per sample"),
    ],
    ids=["text", "holes", "rows", "unfitted", "classifier", "name", "steps"],
)
def test_what_is_no_embedding_is_said(function, data, embedding, error, message):
    with pytest.raises(error, match=message):
        function(data, embedding=embedding)


@pytest.mark.parametrize("function", [drift_score, kneighbors])
def test_two_sets_of_rows_take_no_array(function):
    with pytest.raises(ValueError, match="that of X alone"):
        function(SMALL, SMALL, embedding=SMALL)
    with pytest.raises(ValueError, match="3 and 2 columns"):
        function(SMALL, SMALL[:, :2])


@pytest.mark.parametrize(
    "call",
    [
        lambda X: select_to_label(X, 3, random_state=0),
        lambda X: select_to_label(X, 3, strategy="k_center"),
        find_duplicates,
        kneighbors,
        lambda X: drift_score(X, X, random_state=0),
        lambda X: column_influence(StandardScaler().fit(X), X, random_state=0),
    ],
)
def test_nothing_global_is_touched(call):
    frozen = SMALL.copy()
    frozen.setflags(write=False)
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    call(frozen)
    assert np.array_equal(np.random.get_state()[1], before)


# ---- select_to_label ---------------------------------------------------------------------


def by_20_labels(rows, test):
    """Return the balanced accuracy of a linear model that 20 rows taught, and their classes."""
    model = LogisticRegression(C=0.1, max_iter=500).fit(X[rows] / 8, Y[rows])
    found = balanced_accuracy_score(Y[test], model.predict(X[test] / 8))
    return np.array([found, len(np.unique(Y[rows]))])


@pytest.mark.parametrize(("strategy", "n_rare"), [("typicality", 0), ("k_center", 7)])
def test_20_chosen_labels_beat_20_random_ones(strategy, n_rare, seed, margin):
    """Typical rows where classes are equally frequent, far ones where most classes are rare."""
    gains = []
    for draw in range(8 * seed, 8 * seed + 8):
        rng = np.random.RandomState(draw)
        parts = [rng.permutation(np.flatnonzero(Y == c)) for c in range(10)]
        sizes = rng.permutation([12] * n_rare + [120] * (10 - n_rare))
        pool = rng.permutation(np.concatenate([p[:n] for p, n in zip(parts, sizes, strict=True)]))
        test = np.concatenate([p[120:] for p in parts])
        rows = pool[select_to_label(X[pool], 20, strategy=strategy, random_state=draw)]
        by_chance = [by_20_labels(pool[i : i + 20], test) for i in range(0, 100, 20)]
        gains.append(by_20_labels(rows, test) - np.mean(by_chance, 0))
    accuracy, n_classes = np.mean(gains, 0)
    margin(accuracy, 0.05 if n_rare else 0.1, "balanced accuracy")
    margin(n_classes, 1.5 if n_rare else 0.5, "classes")


def test_uncertain_labels_beat_random_ones(seed, margin):
    cancer, benign = load_breast_cancer(return_X_y=True)
    gains = []
    for draw in range(16 * seed, 16 * seed + 16):
        rng = np.random.RandomState(draw)
        order = rng.permutation(len(benign))
        pool, test = order[:400], order[400:]
        model = make_pipeline(StandardScaler(), LogisticRegression())
        known = np.full(400, -1)
        known[:20] = benign[pool[:20]]
        for _ in range(2):
            model.fit(cancer[pool[known >= 0]], known[known >= 0])
            rows = select_to_label(
                cancer[pool], 10, y=known, strategy="uncertainty", classifier=model, random_state=0
            )
            assert (known[rows] == -1).all()
            known[rows] = benign[pool[rows]]
        chosen = model.fit(cancer[pool[known >= 0]], known[known >= 0])
        chosen = chosen.score(cancer[test], benign[test])
        at_random = model.fit(cancer[pool[:40]], benign[pool[:40]])
        gains.append(chosen - at_random.score(cancer[test], benign[test]))
    margin(np.mean(gains), 0.005)


def slow_k_centers(Z, n, labelled):
    """Algorithm 1 of Sener and Savarese, by loops."""
    centres = list(labelled)
    for _ in range(n):
        nearest = [min(np.linalg.norm(z - Z[c]) for c in centres) for z in Z]
        centres.append(int(np.argmax(nearest)))
    return centres[len(labelled) :]


def test_k_centers_against_the_paper():
    y = np.full(40, None, dtype=object)
    y[[3, 8]] = "a", "b"
    for metric, Z in (("euclidean", SMALL), ("cosine", normalize(SMALL))):
        found = select_to_label(SMALL, 10, y=y, strategy="k_center", metric=metric)
        assert found.tolist() == slow_k_centers(Z, 10, [3, 8])
    middle = np.argmin(np.linalg.norm(SMALL - SMALL.mean(0), axis=1))
    found = select_to_label(SMALL, 5, strategy="k_center", metric="euclidean")
    assert found.tolist() == [middle, *slow_k_centers(SMALL, 4, [middle])]


def test_typicality_takes_the_densest_row_of_each_cluster_without_a_label():
    groups = np.repeat([[0.0, 0], [50, 0], [0, 50], [50, 50]], [30, 20, 10, 3], axis=0)
    Z = groups + RNG.normal(size=groups.shape)
    y = np.full(len(Z), -1)
    y[5] = 1
    found = select_to_label(Z, 3, y=y, metric="euclidean", random_state=0)
    for row, rows in zip(found[:2], (range(30, 50), range(50, 60)), strict=True):
        part = Z[rows.start : rows.stop]
        distances = [np.sort(np.linalg.norm(part - z, axis=1))[1:21].mean() for z in part]
        np.testing.assert_allclose(spread_around(part, 20), distances)
        assert row == rows[int(np.argmin(distances))]
    assert found[2] < 30  # three rows are too few to be typical


def test_a_large_share_can_be_chosen():
    for strategy in ("typicality", "k_center"):
        y = np.where(np.arange(40) < 10, 1.0, np.nan)
        found = select_to_label(SMALL, 30, y=y, strategy=strategy, random_state=0)
        assert sorted(found) == list(range(10, 40))
        alike = np.ones((12, 2))
        assert len(set(select_to_label(alike, 7, strategy=strategy, random_state=0))) == 7
    assert len(set(select_to_label(X, 60, random_state=0))) == 60  # by mini-batches


def test_uncertainty_is_the_margin_of_the_two_best():
    class Fixed(LogisticRegression):
        def predict_proba(self, X):
            return np.array([[0.4, 0.3, 0.3], [0.5, 0.5, 0], [0.4, 0.35, 0.25], [1, 0, 0]])

    model = Fixed().fit(SMALL[:3], [0, 1, 2])
    choose = {"strategy": "uncertainty", "classifier": model, "random_state": 0}
    assert select_to_label(SMALL[:4], 3, **choose).tolist() == [1, 2, 0]
    assert select_to_label(SMALL[:4], 1, y=[-1, 0, -1, -1], **choose).tolist() == [2]


def test_uncertainty_of_a_pretrained_classifier_on_a_frame():
    frame = pd.DataFrame(
        {"a": SMALL[:, 0], "b": pd.Categorical(np.where(SMALL[:, 1] > 0, "u", "v"))}
    )
    y = np.where(np.arange(40) < 12, (SMALL[:, 0] > 0).astype(int), -1)
    method = SCARF(n_components=8, max_epochs=2, random_state=0)
    model = PretrainedClassifier(method, LogisticRegression()).fit(frame, y)
    rows = select_to_label(frame, 4, y=y, strategy="uncertainty", classifier=model)
    margins = np.abs(np.diff(model.predict_proba(frame))[:, 0])
    assert set(rows) == set(12 + np.argsort(margins[12:])[:4])


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"n": 41}, ValueError, "n=41.*only 40 of 40"),
        ({"n": 9, "y": [0] * 35 + [-1] * 5}, ValueError, "only 5 of 40"),
        ({"n": 0}, ValueError, "'n' parameter"),
        ({"n": 3, "y": [-1] * 9}, ValueError, "inconsistent numbers"),
        ({"n": 3, "strategy": "coreset"}, ValueError, "strategy"),
        ({"n": 3, "strategy": "uncertainty"}, ValueError, "belong together"),
        ({"n": 3, "classifier": LogisticRegression()}, ValueError, "belong together"),
        (
            {"n": 3, "strategy": "uncertainty", "classifier": LogisticRegression()},
            NotFittedError,
            "not fitted",
        ),
        (
            {
                "n": 3,
                "strategy": "uncertainty",
                "classifier": LinearSVC().fit(SMALL, SMALL[:, 0] > 0),
            },
            TypeError,
            "LinearSVC lacks.*CalibratedClassifierCV",
        ),
    ],
)
def test_what_cannot_be_chosen_is_said(how, error, message):
    with pytest.raises(error, match=message):
        select_to_label(SMALL, **how)


# ---- kneighbors and find_duplicates ------------------------------------------------------


def test_kneighbors_against_all_distances(scarf):
    distances, rows = kneighbors(X[:300], X[300:320], embedding=scarf, n_neighbors=4)
    table = cosine_distances(scarf.transform(X[300:320]), scarf.transform(X[:300]))
    np.testing.assert_array_equal(rows, np.argsort(table, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(table, axis=1)[:, :4], atol=1e-6)
    _, rows = kneighbors(X)
    assert rows.shape == (len(X), 5) and (rows != np.arange(len(X))[:, None]).all()
    assert (Y[rows] == Y[:, None]).mean() > 0.95  # 0.98: nothing in it is drawn
    gaps, rows = kneighbors([[0.0], [1], [5]], n_neighbors=1, metric="manhattan")
    assert rows[:, 0].tolist() == [1, 0, 1] and gaps[:, 0].tolist() == [1, 1, 4]
    with pytest.raises(ValueError, match="n_neighbors=5.*2 rows to choose"):
        kneighbors(SMALL[:3])
    assert kneighbors(SMALL[:5], SMALL[:2])[1].shape == (2, 5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_copies_with_a_little_noise_are_found(scarf, metric, seed, margin):
    rng = np.random.default_rng(seed)
    copied = rng.choice(len(X), 60, replace=False)
    noise = rng.normal(0, 0.02, (60, X.shape[1])) * X.std(0)
    both = np.vstack([X, X[copied] + noise])
    pairs = find_duplicates(both, embedding=scarf, metric=metric)
    found = set(zip(pairs["row"], pairs["other"], strict=True))
    expected = {(row, len(X) + i) for i, row in enumerate(copied)}
    margin(len(found & expected), 53, "copies found")
    margin(-len(found - expected), -21, "others found, of 1.7 million pairs")
    assert pairs["distance"].is_monotonic_increasing and (pairs["row"] < pairs["other"]).all()


def test_duplicates_against_a_slow_loop():
    Z = np.vstack([SMALL, SMALL[:3], SMALL[4:6] * 2])
    for metric, threshold in (("euclidean", 0.0), ("cosine", 0.0), ("euclidean", 0.5)):
        expected = []
        for i in range(len(Z)):
            for j in range(i + 1, len(Z)):
                a, b = (normalize(Z[[k]])[0] if metric == "cosine" else Z[k] for k in (i, j))
                gap = np.linalg.norm(a - b)
                gap = gap**2 / 2 if metric == "cosine" else gap
                if gap <= threshold + 1e-15:
                    expected.append((i, j))
        pairs = find_duplicates(Z, threshold=threshold + 1e-15, metric=metric)
        assert sorted(zip(pairs["row"], pairs["other"], strict=True)) == expected
    assert len(find_duplicates(Z, threshold=0, metric="euclidean")) == 3
    assert len(find_duplicates(np.tile(SMALL, (3, 1)))) == 120  # of threes all three pairs
    assert list(find_duplicates(SMALL[:1]).columns) == ["row", "other", "distance"]
    with pytest.raises(ValueError, match="threshold"):
        find_duplicates(SMALL, threshold=-1)


# ---- drift -------------------------------------------------------------------------------


def test_drift_of_digits(scarf, seed, margin):
    none, shifted = [], []
    for draw in range(3 * seed, 3 * seed + 3):
        order = np.random.RandomState(draw).permutation(len(X))
        old, new = X[order[:900]], X[order[900:]]
        none.append(drift_score(old, new, embedding=scarf, random_state=0))
        brighter = new + 4 * (new > 0)
        shifted.append(drift_score(old, brighter, embedding=scarf, random_state=0))
    margin(-abs(np.mean(none) - 0.5), -0.04, "no drift")
    margin(min(shifted), 0.8, "drift")


def test_drift_is_the_area_under_the_curve_whatever_the_shares():
    old = np.arange(200.0)[:, None]
    assert drift_score(old, old[:20] + 500, random_state=0) == 1
    assert drift_score(old, old[::10], random_state=0) == pytest.approx(0.5, abs=0.2)
    spread = RNG.normal(size=(300, 1))
    linear = drift_score(spread, 3 * spread, random_state=0)
    bent = make_pipeline(FunctionTransformer(np.abs), LogisticRegression())
    assert drift_score(spread, 3 * spread, classifier=bent, random_state=0) > 0.7 > 0.6 > linear
    repeat = drift_score(old, old[::10], random_state=0)
    assert repeat == drift_score(old, old[::10], random_state=0)
    with pytest.raises(ValueError, match="5 folds.*X_new has 3"):
        drift_score(old, old[:3])


# ---- influence ---------------------------------------------------------------------------


def test_influence_of_a_constant_and_of_a_copied_column(seed, margin):
    cancer = load_breast_cancer(as_frame=True).data
    frame = cancer[["mean radius", "mean smoothness", "mean symmetry"]].copy()
    frame["again"] = frame["mean radius"]
    frame["constant"] = 1.0
    method = SCARF(n_components=32, max_epochs=40, random_state=seed).fit(frame)
    before = frame.copy()
    found = column_influence(method, frame, random_state=0)
    pd.testing.assert_frame_equal(frame, before)
    influence = found.set_index("column")["influence"]
    assert influence["constant"] == 0 and found["column"].iloc[-1] == "constant"
    margin(min(influence["again"], influence["mean radius"]), 0.3)
    pd.testing.assert_frame_equal(found, column_influence(method, frame, random_state=0))
    for other in (pl.from_pandas(frame), pl.from_pandas(frame).to_arrow()):
        pd.testing.assert_frame_equal(column_influence(method, other, random_state=0), found)


def test_influence_is_the_share_of_what_a_whole_row_moves():
    # Of an embedding (2 a, b) with one other row to take cells from, by hand.
    double = FunctionTransformer(lambda X: X[:, :2] * [2, 1])
    found = column_influence(double, np.array([[0.0, 0, 7], [2, 3, 9]]), n_repeats=2)
    assert found["column"].tolist() == [0, 1, 2] and (found["std"] == 0).all()
    np.testing.assert_allclose(found["influence"], [4 / 5, 3 / 5, 0])
    alike = column_influence(double, np.ones((4, 2)))
    assert (alike["influence"] == 0).all()


def test_influence_reads_tables_as_they_are():
    frame = pd.DataFrame({"a": SMALL[:, 0], 7: pd.Categorical(np.where(SMALL[:, 1] > 0, "u", "v"))})
    frame.columns = ["same", "same"]
    frame.index = RNG.permutation(40)
    first = FunctionTransformer(lambda X: X.iloc[:, :1])
    found = column_influence(first, frame, random_state=0)
    assert found["influence"].tolist() == pytest.approx([1, 0])
    with pytest.raises(ValueError, match="Only a table.*3, 4, 5"):
        column_influence(first, np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="at least 2 rows"):
        column_influence(first, frame[:1])
    with pytest.raises(NotFittedError):
        column_influence(StandardScaler(), SMALL)
