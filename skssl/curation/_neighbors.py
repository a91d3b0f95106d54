"""Neighbours and duplicates in the embedding."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances_chunked
from sklearn.metrics.pairwise import paired_distances
from sklearn.neighbors import NearestNeighbors

from skssl._compat import Interval, StrOptions, validate_params
from skssl.curation._embed import EMBEDDING, embed

Metric = Literal["cosine", "euclidean"]
# The cosine distance is quadratic in the Euclidean one.
SHARE: dict[Metric, float] = {"cosine": 0.1, "euclidean": 0.1**0.5}
ROWS_TO_GUESS_BY = 1000
SLACK = 1e-6  # error of distances from matrix products, which are then computed exactly


@validate_params(
    {
        "embedding": EMBEDDING,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "metric": [str, callable],
    },
    prefer_skip_nested_validation=True,
)
def kneighbors(
    X: Any,
    queries: Any = None,
    *,
    embedding: Any = None,
    n_neighbors: int = 5,
    metric: Metric | str | Callable[..., float] = "cosine",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows of X that are most similar to each query.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...)
        Rows to search.
    queries : array-like or dataframe of shape (n_queries, ...), default=None
        Rows whose neighbours are searched. None takes the rows of X; a row is not its own
        neighbour.
    embedding : None, array-like of shape (n_samples, n_components) or fitted transformer, \
default=None
        The embedding to compare. None takes X and ``queries`` as embeddings; a transformer, or
        Pipeline, computes them. An array is the embedding of X and allows no ``queries``.
    n_neighbors : int, default=5
        Number of neighbours per query.
    metric : str or callable, default="cosine"
        A metric of :class:`sklearn.neighbors.NearestNeighbors`.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_neighbors)
        Exact distances to the neighbours, the closest first.
    rows : ndarray of shape (n_queries, n_neighbors), int
        Positions of the neighbours in X.

    Raises
    ------
    ValueError
        If X has too few rows, or if the embedding is not a matrix of finite numbers.

    Examples
    --------
    >>> from skssl.curation import kneighbors
    >>> distances, rows = kneighbors([[1, 0], [0, 1], [1, 1]], [[5, 4]], n_neighbors=2)
    >>> rows.tolist()
    [[2, 0]]
    """
    Z, *wanted = embed(embedding, X, *([] if queries is None else [queries]))
    n_others = len(Z) - (queries is None)
    if n_neighbors > n_others:
        raise ValueError(
            f"n_neighbors={n_neighbors} were asked for, but there are {n_others} rows to choose "
            "from. Ask for fewer, or pass more rows."
        )
    return NearestNeighbors(n_neighbors=n_neighbors, metric=metric).fit(Z).kneighbors(*wanted)


@validate_params(
    {
        "embedding": EMBEDDING,
        "threshold": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "metric": [StrOptions({"cosine", "euclidean"})],
    },
    prefer_skip_nested_validation=True,
)
def find_duplicates(
    X: Any,
    *,
    embedding: Any = None,
    threshold: float | Literal["auto"] = "auto",
    metric: Metric = "cosine",
) -> pd.DataFrame:
    """Find pairs of rows that are equal or nearly equal.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...)
        Rows.
    embedding : None, array-like of shape (n_samples, n_components) or fitted transformer, \
default=None
        The embedding to compare. None takes X as the embedding; a transformer, or Pipeline,
        computes it.
    threshold : "auto" or float, default="auto"
        Greatest distance between duplicates; 0 finds rows with equal embeddings. ``"auto"`` is a
        tenth of the median distance of a row to its nearest neighbour (of squared distances if
        ``metric`` is Euclidean).
    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between embeddings. The cosine is relative to the origin: scale raw columns
        first.

    Returns
    -------
    pairs : pandas.DataFrame
        One row per pair, the closest first. Columns: ``row`` and ``other``, positions in X with
        ``row < other``, and ``distance``.

    Raises
    ------
    ValueError
        If the embedding is not a matrix of finite numbers.

    Notes
    -----
    All pairs are compared, one chunk at a time: time grows with the square of the number of rows,
    memory with the number of pairs found.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skssl.curation import find_duplicates
    >>> X = load_iris().data[::3]
    >>> X = np.vstack([X, X[7] + 0.001])
    >>> find_duplicates(X, embedding=StandardScaler().fit(X))[["row", "other"]]
       row  other
    0    7     50
    """
    (Z,) = embed(embedding, X)
    if threshold == "auto":
        threshold = SHARE[metric] * _typical_gap(Z, metric)

    pairs, start = [np.empty((2, 0), dtype=np.intp)], 0
    for block in pairwise_distances_chunked(Z, metric=metric):
        rows, others = np.nonzero(block <= threshold + SLACK * (1 + threshold))
        rows += start
        pairs.append(np.array([rows, others])[:, rows < others])
        start += len(block)
    rows, others = np.hstack(pairs)
    distances = np.empty(0)
    if len(rows):
        distances = paired_distances(Z[rows], Z[others], metric=metric)
    found = pd.DataFrame({"row": rows, "other": others, "distance": distances})
    found = found[found["distance"] <= threshold]
    return found.sort_values(["distance", "row", "other"], ignore_index=True)


def _typical_gap(Z: np.ndarray, metric: Metric) -> float:
    """Return the median distance of a row to its nearest neighbour, over evenly spaced rows."""
    if len(Z) < 2:
        return 0.0
    some = Z[:: -(-len(Z) // ROWS_TO_GUESS_BY)]
    # Two neighbours: one of them is the row itself, or an equal row.
    distances, _ = NearestNeighbors(n_neighbors=2, metric=metric).fit(Z).kneighbors(some)
    return float(np.median(distances[:, 1]))
