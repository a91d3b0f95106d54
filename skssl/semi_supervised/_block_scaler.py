"""How the default estimators at the end read an embedding with the raw columns behind it."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class BlockScaler(TransformerMixin, BaseEstimator):
    """Centre columns, and scale two blocks of them to shares of the total variance.

    The columns of the first block, an embedding, are standardised: their scales mean nothing.
    Those of the second, encoded raw columns, keep theirs: standardised, a category that few
    rows have would be an outlier. Taken as one table, the many columns of an embedding would
    drown the few raw ones.

    Parameters
    ----------
    n_first : int
        Number of columns of the first block.
    second_share : float, default=0.5
        Share of the total variance, which is 1, that the second block gets. A block without
        a share is left out. Without one of the blocks the other gets it all.
    """

    _saved_as = "BlockScaler"

    def __init__(self, n_first: int, second_share: float = 0.5):
        self.n_first = n_first
        self.second_share = second_share

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn means and scales of the columns."""
        X = validate_data(self, X, dtype=np.float64)
        self.mean_ = X.mean(0)
        std = X.std(0)
        varies = std > 1e-6 * np.maximum(1, np.abs(self.mean_))
        first = np.arange(X.shape[1]) < self.n_first
        shares = np.array([1 - self.second_share, self.second_share])
        variances = np.array([(varies & first).sum(), np.square(std[varies & ~first]).sum()])
        if not variances.all():
            shares = np.ones(2)
        block = np.sqrt(shares / np.where(variances > 0, variances, 1))
        self.scale_ = np.where(first, block[0] / np.where(varies, std, 1.0), block[1])
        self.kept_ = np.flatnonzero(varies & (self.scale_ > 0))
        if not len(self.kept_):  # nothing varies
            self.kept_ = np.arange(1)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the scaled columns that vary."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return (X[:, self.kept_] - self.mean_[self.kept_]) * self.scale_[self.kept_]


class Span(TransformerMixin, BaseEstimator):
    """Coordinates in the span of some rows: all that a penalised linear model sees of others."""

    _saved_as = "Span"

    def fit(self, X: np.ndarray, y: Any = None) -> Self:
        """Find an orthonormal basis of what the rows of X span around their mean."""
        self.mean_ = X.mean(0)
        _, values, basis = np.linalg.svd(X - self.mean_, full_matrices=False)
        self.basis_ = basis[values >= 1e-9 * values.max()].T
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the coordinates of the rows."""
        return (X - self.mean_) @ self.basis_
