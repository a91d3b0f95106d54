"""Label propagation over a neighbour graph, which uses unlabelled rows.

Zhou, Bousquet, Lal, Weston and Schölkopf, "Learning with Local and Global Consistency",
NIPS 2003; the classes' masses are normalised as in Zhu, Ghahramani and Lafferty, ICML 2003.
scikit-learn's LabelSpreading does the same for one labelling; here one graph serves all folds
of a cross-validation, and rows that are not nodes.
"""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin

N_ITERATIONS = 30
FLOOR = 1e-4  # if no label reaches a row, the class shares decide


class NeighborGraph(TransformerMixin, BaseEstimator):
    """A neighbour graph of rows; ``transform`` gives the weights of its nodes for other rows.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of neighbours per node.

    Attributes
    ----------
    spread_ : sparse array of shape (n_nodes, n_nodes)
        Gaussian weights of neighbours, symmetric, normalised by the degrees of both.
    """

    _saved_as = "NeighborGraph"

    def __init__(self, n_neighbors: int = 10):
        self.n_neighbors = n_neighbors

    def fit(self, X: np.ndarray, y: Any = None) -> Self:
        """Build the graph of the rows of X, which are stored in float32."""
        from sklearn.neighbors import NearestNeighbors  # slow to import

        X = np.asarray(X, dtype=np.float32)
        n = len(X)
        k = min(self.n_neighbors, n - 1)
        self.neighbors_ = NearestNeighbors(n_neighbors=k).fit(X)
        distances, index = self.neighbors_.kneighbors()
        distances = distances.astype(np.float64)
        self.width_ = max(distances[:, -1].mean(), np.finfo(float).tiny)
        weights = np.exp(-((distances / self.width_) ** 2)).ravel()
        edges = sparse.csr_array((weights, index.ravel(), np.arange(n + 1) * k), shape=(n, n))
        edges = edges.maximum(edges.T)
        degree = sparse.diags_array(1 / np.sqrt(edges.sum(1) + np.finfo(float).tiny))
        self.spread_ = sparse.csr_array(degree @ edges @ degree)
        return self

    def transform(self, X: np.ndarray) -> sparse.csr_array:
        """Return the weights (n_samples, n_nodes) of each row's neighbours; they sum to 1.

        A row that is a node has weight 1 there.
        """
        distances, index = self.neighbors_.kneighbors(np.asarray(X, dtype=np.float32))
        distances = distances.astype(np.float64)
        weights = np.exp(-((distances / self.width_) ** 2)) + np.finfo(float).tiny
        weights[distances[:, 0] < 1e-3 * self.width_, 1:] = 0
        weights /= weights.sum(1, keepdims=True)
        starts = np.arange(len(X) + 1) * index.shape[1]
        shape = (len(X), self.spread_.shape[0])
        return sparse.csr_array((weights.ravel(), index.ravel(), starts), shape=shape)


class PropagatedClassifier(ClassifierMixin, BaseEstimator):
    """Class shares of the nodes of a graph, from the labels of some rows.

    Parameters
    ----------
    spread : sparse array of shape (n_nodes, n_nodes)
        ``spread_`` of a :class:`NeighborGraph`; the X of ``fit`` and ``predict`` is the result of
        its ``transform``.
    alpha : float, default=0.9
        Weight of the neighbours of a node; its own label has weight ``1 - alpha``.
    """

    _saved_as = "PropagatedClassifier"

    def __init__(self, spread: sparse.csr_array, alpha: float = 0.9):
        self.spread = spread
        self.alpha = alpha

    def fit(self, X: sparse.csr_array, y: np.ndarray) -> Self:
        """Propagate the labels y of rows with node weights X."""
        self.classes_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        prior = counts / len(codes)
        mass = _spread(self.spread, X.T @ np.eye(len(counts))[codes], self.alpha)
        mass *= prior * len(mass) / mass.sum(0)
        mass += FLOOR * prior
        self.shares_ = mass / mass.sum(1, keepdims=True)
        return self

    def predict_proba(self, X: sparse.csr_array) -> np.ndarray:
        """Return the class shares of the rows."""
        return X @ self.shares_

    def predict(self, X: sparse.csr_array) -> np.ndarray:
        """Return the class with the largest share."""
        return self.classes_[self.predict_proba(X).argmax(1)]


class PropagatedRegressor(RegressorMixin, BaseEstimator):
    """Values of the nodes of a graph, from the targets of some rows.

    Parameters
    ----------
    spread : sparse array of shape (n_nodes, n_nodes)
        As in :class:`PropagatedClassifier`.
    alpha : float, default=0.9
        Weight of the neighbours of a node; its own target has weight ``1 - alpha``.
    """

    _saved_as = "PropagatedRegressor"

    def __init__(self, spread: sparse.csr_array, alpha: float = 0.9):
        self.spread = spread
        self.alpha = alpha

    def fit(self, X: sparse.csr_array, y: np.ndarray) -> Self:
        """Propagate the targets y of rows with node weights X, and their number."""
        self.mean_ = y.mean()
        both = np.stack([y - self.mean_, np.ones(len(y))], 1)
        value, mass = _spread(self.spread, X.T @ both, self.alpha).T
        self.values_ = self.mean_ + value / (mass + FLOOR * mass.mean())
        return self

    def predict(self, X: sparse.csr_array) -> np.ndarray:
        """Return the values of the rows."""
        return X @ self.values_


def _spread(spread: sparse.csr_array, sources: np.ndarray, alpha: float) -> np.ndarray:
    """Return sources (n_nodes, n) after steps of ``alpha * neighbours + (1 - alpha) * sources``."""
    mass = sources
    for _ in range(N_ITERATIONS):
        mass = alpha * (spread @ mass) + (1 - alpha) * sources
    return mass
