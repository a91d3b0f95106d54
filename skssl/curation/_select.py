"""Selection of the rows to label next."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skssl._compat import HasMethods, Interval, Seed, StrOptions, count_rows, validate_params
from skssl._data._labels import separate_labelled
from skssl.curation._embed import EMBEDDING, embed
from skssl.curation._neighbors import Metric

Strategy = Literal["typicality", "k_center", "uncertainty"]

# As in [1]: the greatest number of clusters, the number above which mini-batches are used, and the
# size below which clusters come last.
MAX_CLUSTERS = 500
MANY_CLUSTERS = 50
SMALL_CLUSTER = 5


@validate_params(
    {
        "n": [Interval(Integral, 1, None, closed="left")],
        "y": ["array-like", None],
        "embedding": EMBEDDING,
        "strategy": [StrOptions(set(get_args(Strategy)))],
        "classifier": [HasMethods("fit"), None],
        "metric": [StrOptions({"cosine", "euclidean"})],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def select_to_label(
    X: Any,
    n: int,
    *,
    y: Any = None,
    embedding: Any = None,
    strategy: Strategy = "typicality",
    classifier: Any = None,
    metric: Metric = "cosine",
    n_neighbors: int = 20,
    random_state: Seed = None,
) -> np.ndarray:
    """Choose the rows whose labels will be most useful.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...)
        Rows as the transformer of ``embedding``, or the classifier, reads them.
    n : int
        Number of rows to choose.
    y : array-like of shape (n_samples,), default=None
        Known labels. None, NaN, NA and the number -1 mark unlabelled rows. Labelled rows, and
        rows close to them, are not chosen. With None, no row is labelled.
    embedding : None, array-like of shape (n_samples, n_components) or fitted transformer, \
default=None
        The embedding to compare. None takes X as the embedding; a transformer, or Pipeline,
        computes it from X. ``"uncertainty"`` does not use it.
    strategy : {"typicality", "k_center", "uncertainty"}, default="typicality"
        ``"typicality"`` clusters the rows into as many groups as there will be labels, and takes
        the row with the closest neighbours from each group without a label [1]_; use it for the
        first labels. ``"k_center"`` repeatedly takes the row farthest from all labelled and
        chosen rows [2]_: it covers the data, outliers first. ``"uncertainty"`` takes the rows
        whose two most probable classes are closest to a tie [3]_; use it for later labels.
    classifier : fitted classifier, default=None
        Required by ``"uncertainty"``: has ``predict_proba`` and reads X.
    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between embeddings. The cosine is relative to the origin: scale raw columns
        first.
    n_neighbors : int, default=20
        For ``"typicality"``: number of neighbours in its group over which the distance of a row
        is averaged.
    random_state : int, RandomState instance or None, default=None
        Seeds the clusters of ``"typicality"`` and the tie-breaking of ``"uncertainty"``.

    Returns
    -------
    rows : ndarray of shape (n,), int
        Positions in X, the most useful first.

    Raises
    ------
    ValueError
        If fewer than n rows are unlabelled, if the embedding is not a matrix of finite numbers,
        or if ``classifier`` is missing or not used by ``strategy``.

    References
    ----------
    .. [1] Hacohen, Dekel and Weinshall, "Active Learning on a Budget: Opposite Strategies Suit
       High and Low Budgets", ICML 2022. https://arxiv.org/abs/2202.02794
    .. [2] Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
       Approach", ICLR 2018. https://arxiv.org/abs/1708.00489
    .. [3] Scheffer, Decomain and Wrobel, "Active Hidden Markov Models for Information
       Extraction", IDA 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skssl import select_to_label
    >>> X, y = load_iris(return_X_y=True)
    >>> rows = select_to_label(X, 3, embedding=StandardScaler().fit(X), random_state=0)
    >>> sorted(y[rows].tolist())
    [0, 1, 2]
    """
    n_rows = count_rows(X)
    free = np.ones(n_rows, dtype=bool) if y is None else ~separate_labelled(y)[0]
    check_consistent_length(X, free)
    if n > free.sum():
        raise ValueError(
            f"n={n} rows are to be chosen, but only {free.sum()} of {n_rows} are without a label. "
            "Choose fewer, or pass more rows."
        )
    if (strategy == "uncertainty") != (classifier is not None):
        raise ValueError(
            "classifier= and strategy='uncertainty' belong together: pass a fitted classifier "
            f"with it, and none with others. Got strategy={strategy!r}, classifier={classifier!r}."
        )
    random = check_random_state(random_state)
    if classifier is not None:
        return _uncertain(classifier, X, n, free, random)
    (Z,) = embed(embedding, X)
    Z = normalize(Z) if metric == "cosine" else Z
    if strategy == "k_center":
        return _k_centers(Z, n, free)
    return _typical(Z, n, free, n_neighbors, random)


def _typical(
    Z: np.ndarray, n: int, free: np.ndarray, n_neighbors: int, random: np.random.RandomState
) -> np.ndarray:
    """Return the most typical row of each cluster without a label: algorithm 1 of [1].

    Clusters with the fewest labels come first, the largest of them before others; small ones last.
    """
    n_clusters = min(n + int((~free).sum()), MAX_CLUSTERS, len(np.unique(Z, axis=0)))
    method: Callable[..., Any] = MiniBatchKMeans if n_clusters > MANY_CLUSTERS else KMeans
    cluster = method(n_clusters, n_init=1, random_state=random).fit_predict(Z)
    size = np.bincount(cluster, minlength=n_clusters)
    n_labels = np.bincount(cluster[~free], minlength=n_clusters)
    waiting = {}
    for c in range(n_clusters):
        rows = np.flatnonzero(cluster == c)
        order = np.argsort(spread_around(Z[rows], n_neighbors), kind="stable")
        waiting[c] = [row for row in rows[order] if free[row]]
    chosen = []
    for _ in range(n):
        left = [c for c in waiting if waiting[c]]
        c = min(left, key=lambda c: (size[c] < SMALL_CLUSTER, n_labels[c], -size[c]))
        chosen.append(waiting[c].pop(0))
        n_labels[c] += 1
    return np.array(chosen)


def spread_around(Z: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the mean distance of each row to its nearest neighbours: 1 / typicality."""
    if len(Z) < 2:
        return np.zeros(len(Z))
    nearest = NearestNeighbors(n_neighbors=min(n_neighbors, len(Z) - 1)).fit(Z)
    return nearest.kneighbors()[0].mean(1)


def _k_centers(Z: np.ndarray, n: int, free: np.ndarray) -> np.ndarray:
    """Return the greedy k-centres given the labelled rows: algorithm 1 of [2]."""
    chosen: list[int] = []
    free = free.copy()
    if free.all():  # no labelled row to be far from: begin in the middle
        gap = -euclidean_distances(Z, Z.mean(0, keepdims=True))[:, 0]
    else:
        gap = pairwise_distances_argmin_min(Z, Z[~free])[1]
    for _ in range(n):
        row = int(np.argmax(np.where(free, gap, -np.inf)))
        to_row = euclidean_distances(Z, Z[[row]])[:, 0]
        gap = to_row if free.all() else np.minimum(gap, to_row)
        free[row] = False
        chosen.append(row)
    return np.array(chosen)


def _uncertain(
    classifier: Any, X: Any, n: int, free: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Return the rows whose two most probable classes are closest, ties at random."""
    check_is_fitted(classifier)
    if not hasattr(classifier, "predict_proba"):
        raise TypeError(
            f"Uncertainty is read off predict_proba, which {type(classifier).__name__} lacks. "
            "Pass a classifier that has it, or wrap it in CalibratedClassifierCV."
        )
    proba = np.asarray(classifier.predict_proba(X))
    if proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            "predict_proba must return a column for each of two classes or more, got shape "
            f"{proba.shape}."
        )
    best = np.sort(proba, axis=1)
    margin = best[:, -1] - best[:, -2]
    rows = random.permutation(np.flatnonzero(free))
    return rows[np.argsort(margin[rows], kind="stable")[:n]]
