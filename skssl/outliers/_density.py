"""Density scores of rows: by neighbours, by the distance to the mean, or by a mixture."""

from typing import Literal, Self

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = (5, 10, 20, 50, 100)
MIXTURE_WIDTH = 16  # principal components that a mixture reads
MOST_NORMALS = 8  # greatest number of normal distributions
ROWS_PER_NORMAL = 50
NEAREST = 1e-3  # in units of the usual distance: shorter ones count the same

DensityName = Literal["knn", "mahalanobis", "density"]


class Density:
    """Scores of rows: 0 is the median of the rows of ``fit``, and the unit their quartile range.

    Parameters
    ----------
    scorer : {"knn", "mahalanobis", "density"}
        How to score the decorrelated columns.
    n_neighbors : "auto" or int
        Rank of the neighbour, for ``"knn"``.
    shrinkage : float
        Added to the variance of each principal component, in units of the mean variance, before
        the component is divided by its root: 0 whitens the columns, a large number leaves them
        unchanged.
    seed : int
        Seed of the mixture.
    support_fraction : float, default=1.0
        Share of the rows to learn from: those with the greatest scores after a first fit to all
        rows.
    """

    _saved_as = "Density"

    def __init__(
        self,
        scorer: DensityName,
        n_neighbors: int | Literal["auto"],
        shrinkage: float,
        seed: int,
        support_fraction: float = 1.0,
    ):
        self.scorer, self.n_neighbors = scorer, n_neighbors
        self.shrinkage, self.seed = shrinkage, seed
        self.support_fraction = support_fraction

    def fit(self, Z: np.ndarray) -> Self:
        """Learn from rows (n, d), float64."""
        scores, self.center, self.spread = self._learn(Z), 0.0, 1.0
        if self.support_fraction < 1:
            self._learn(Z[scores >= np.quantile(scores, 1 - self.support_fraction)])
            scores = self.score(Z)
        low, self.center, high = np.percentile(scores, [25, 50, 75])
        self.spread = (high - low) or 1.0
        return self

    def _learn(self, Z: np.ndarray) -> np.ndarray:
        """Learn from rows, and return their scores."""
        self.mean = Z.mean(0)
        centred = Z - self.mean
        variance, axes = np.linalg.eigh(centred.T @ centred / len(Z))
        variance = variance[::-1].clip(min=0)
        variance = variance + self.shrinkage * variance.mean()
        self.axes = axes[:, ::-1] / np.sqrt(np.maximum(variance, 1e-12 * variance[0] + 1e-300))
        if self.scorer == "density":
            self.axes = self.axes[:, :MIXTURE_WIDTH]
        white = centred @ self.axes
        self.model = self._make_model(len(Z)).fit(white)
        return self.model.score_samples(white)

    def score(self, Z: np.ndarray) -> np.ndarray:
        """Score rows (n, d): the greater, the more rows are near."""
        scores = self.model.score_samples((Z - self.mean) @ self.axes)
        return (scores - self.center) / self.spread

    def _make_model(self, n: int) -> "Neighbours | Length | GaussianMixture":
        if self.scorer == "knn":
            return Neighbours(NEIGHBOURS if self.n_neighbors == "auto" else (self.n_neighbors,))
        if self.scorer == "mahalanobis":
            return Length()
        n_normals = int(np.clip(n // ROWS_PER_NORMAL, 1, MOST_NORMALS))
        return GaussianMixture(n_normals, reg_covar=1e-2, random_state=self.seed)


class Neighbours:
    """Minus the mean logarithm of the distances to the k-th neighbours, for several k.

    Parameters
    ----------
    ranks : tuple of int
        The values of k; with fewer rows, the last neighbour.
    """

    _saved_as = "Neighbours"

    def __init__(self, ranks: tuple[int, ...]):
        self.ranks = ranks

    def fit(self, Z: np.ndarray) -> Self:
        """Keep the rows (n, d)."""
        self.at = np.minimum(self.ranks, len(Z)) - 1
        self.index = NearestNeighbors(n_neighbors=int(self.at.max()) + 1).fit(Z)
        self.floor = NEAREST * np.median(self._distances(Z)) + 1e-12
        return self

    def score_samples(self, Z: np.ndarray) -> np.ndarray:
        """Return the scores of rows (n, d)."""
        return -np.log(np.maximum(self._distances(Z), self.floor)).mean(1)

    def _distances(self, Z: np.ndarray) -> np.ndarray:
        return self.index.kneighbors(Z)[0][:, self.at]


class Length:
    """Minus the logarithm of the distance to the origin, which is the mean."""

    _saved_as = "Length"

    def fit(self, Z: np.ndarray) -> Self:
        """Learn the usual length of the rows (n, d)."""
        self.floor = NEAREST * np.median(np.linalg.norm(Z, axis=1)) + 1e-12
        return self

    def score_samples(self, Z: np.ndarray) -> np.ndarray:
        """Return the scores of rows (n, d)."""
        return -np.log(np.maximum(np.linalg.norm(Z, axis=1), self.floor))
