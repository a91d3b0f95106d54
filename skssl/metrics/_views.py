"""Metrics of views: altered copies of a row stay together, different rows stay apart."""

from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from skssl._data._containers import as_array
from skssl.metrics._spectrum import check_embedding, effective_rank

ROWS_AT_ONCE = 1024  # per chunk of the distances to all rows


def lidar(Z: Any, delta: float = 1e-4) -> float:
    """LiDAR: the number of directions that tell rows apart, not only copies of a row.

    Higher is better. Unlike :func:`rankme` it does not count directions in which copies of the same
    row differ: noise has rank but does not discriminate. Use many views, ten or more if possible,
    and more rows than components.

    Parameters
    ----------
    Z : array-like of shape (n_views, n_samples, n_components)
        Embeddings of altered copies of the same rows.
    delta : float, default=1e-4
        Added to the variances within rows, in squared units of Z.

    Returns
    -------
    rank : float
        ``exp(-sum_k p_k log p_k)`` of the eigenvalues of ``W^-1/2 B W^-1/2``, normalised,
        with the covariance B of the rows' means and the mean covariance W of a row's copies
        around theirs, plus delta times the identity: between 1 and
        min(n_samples - 1, n_components), or 0 if all means are equal.

    Raises
    ------
    ValueError
        If Z is not a finite array of three dimensions with two views or more.

    References
    ----------
    .. [1] Thilak et al., "LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL
       Architectures", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import lidar
    >>> rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> noise = np.array([0.0, 5.0])  # makes the second direction useless
    >>> print(round(lidar([rows, rows]), 2), round(lidar([rows - noise, rows + noise]), 2))
    2.0 1.0
    """
    Z = check_views(Z)
    means = Z.mean(0)
    between = means - means.mean(0)
    within = (Z - means).reshape(-1, Z.shape[2])
    W = within.T @ within / len(within) + delta * np.eye(Z.shape[2])
    values, vectors = np.linalg.eigh(W)
    # The eigenvalues are the squared singular values of the means, whitened by W.
    white = between @ (vectors / np.sqrt(np.maximum(values, delta)))
    return effective_rank(np.linalg.svd(white, compute_uv=False) ** 2)


def alignment(Z: Any, alpha: float = 2.0) -> float:
    """Alignment: the distance between altered copies of a row.

    Lower is better; a constant embedding has 0, too, so read it together with :func:`uniformity`.

    Parameters
    ----------
    Z : array-like of shape (n_views, n_samples, n_components)
        Embeddings of altered copies of the same rows; scaled to length 1 here.
    alpha : float, default=2.0
        Exponent of the distance.

    Returns
    -------
    distance : float
        Mean of ``|a_i - b_i|^alpha`` over rows i and pairs (a, b) of views: between 0 and
        2^alpha.

    Raises
    ------
    ValueError
        If Z is not a finite array of three dimensions with two views or more.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment
       and Uniformity on the Hypersphere", ICML 2020.

    Examples
    --------
    >>> from skssl.metrics import alignment
    >>> alignment([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -1.0]]])  # distances 0 and 2
    2.0
    """
    views = [normalize(view) for view in check_views(Z)]
    distances = [np.linalg.norm(a - b, axis=1) ** alpha for a, b in combinations(views, 2)]
    return float(np.mean(distances))


def uniformity(Z: Any, t: float = 2.0) -> float:
    """Uniformity: how evenly the directions of the rows cover the sphere.

    Lower is better; a constant embedding has 0.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding; scaled to length 1 here.
    t : float, default=2.0
        Sharpness of the kernel.

    Returns
    -------
    potential : float
        ``log`` of the mean of ``exp(-t |z_i - z_j|^2)`` over pairs of different rows: between
        -2 t n / (n - 1) and 0. Orthogonal rows give -2 t.

    Raises
    ------
    ValueError
        If Z is not a finite array of two dimensions.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment
       and Uniformity on the Hypersphere", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import uniformity
    >>> print(round(uniformity(np.eye(3)), 3), round(uniformity(np.ones((3, 3))), 3))
    -4.0 0.0
    """
    Z = normalize(check_embedding(Z))
    n, parts = len(Z), []
    for start in range(0, n, ROWS_AT_ONCE):
        part = Z[start : start + ROWS_AT_ONCE]
        squares = (part**2).sum(1)[:, None] + (Z**2).sum(1) - 2 * part @ Z.T
        squares[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        parts.append(logsumexp(-t * np.maximum(squares, 0)))
    return float(logsumexp(parts) - np.log(n * (n - 1)))


def knn_consistency(Z: Any, n_neighbors: int = 10) -> float:
    """Measure the share of a row's nearest neighbours that remain so when rows are altered.

    Higher is better. Neighbours are nearest by angle; ties are broken at random, so that a constant
    embedding scores at chance level.

    Parameters
    ----------
    Z : array-like of shape (n_views, n_samples, n_components)
        Embeddings of altered copies of the same rows.
    n_neighbors : int, default=10
        Number of neighbours of a row among the other rows of its view; at most n_samples - 1.

    Returns
    -------
    share : float
        Share of a row's neighbours in one view that are its neighbours in another, averaged over
        rows and pairs of views: between 0 and 1. Chance level is n_neighbors / (n_samples - 1).

    Raises
    ------
    ValueError
        If Z is not a finite array of three dimensions with two views or more.

    References
    ----------
    .. [1] Huh, Cheung, Wang and Isola, "The Platonic Representation Hypothesis", ICML 2024,
       which compares models so.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import knn_consistency
    >>> angle = np.array([0.0, 0.1, 2.0, 2.1])
    >>> Z = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> knn_consistency([Z, 2 * Z], n_neighbors=1), knn_consistency([Z, Z[[0, 2, 1, 3]]], 1)
    (1.0, 0.0)
    """
    views = check_views(Z)
    k = min(n_neighbors, views.shape[1] - 1)
    near = [_neighbours(view, k, seed) for seed, view in enumerate(views)]
    shared = [(a[:, :, None] == b[:, None, :]).sum() / a.size for a, b in combinations(near, 2)]
    return float(np.mean(shared))


def _neighbours(Z: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Return the k rows nearest to each row."""
    order = np.random.RandomState(seed).permutation(len(Z))  # random order of ties
    found = NearestNeighbors(n_neighbors=k, metric="cosine").fit(Z[order]).kneighbors()[1]
    return order[found][np.argsort(order)]


def check_views(Z: Any) -> np.ndarray:
    """Return embeddings of several views as float64, or raise a clear error."""
    views = Z if isinstance(Z, list | tuple) else [*np.atleast_1d(as_array(Z))]
    shapes = [as_array(view).shape for view in views]
    if len(shapes) < 2 or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(
            "Expected embeddings of altered copies of the same rows, stacked: (n_views, "
            f"n_samples, n_components) with two views or more; got views of shapes {shapes[:4]}."
        )
    return np.stack([check_embedding(view) for view in views])
