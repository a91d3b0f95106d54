"""Scaling of an embedding with raw columns for the default ensemble."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class BlockScaler(TransformerMixin, BaseEstimator):
    """Centre columns, and scale two blocks of them to shares of the total variance.

    The columns of the first block, an embedding, are standardised: their scales have no meaning.
    Those of the second block, encoded raw columns, keep their scales: after standardisation, a
    rare category would be an outlier. Without the shares, the many columns of an embedding would
    dominate the few raw columns.

    Parameters
    ----------
    n_first : int
        Number of columns of the first block.
    second_share : float, default=0.5
        Share of the second block in the total variance, which is 1. A block with share 0 is
        dropped. If one block is missing, the other has all of the variance.
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
        if not len(self.kept_):  # all columns are constant
            self.kept_ = np.arange(1)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the scaled columns that vary."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return (X[:, self.kept_] - self.mean_[self.kept_]) * self.scale_[self.kept_]


class Span(TransformerMixin, BaseEstimator):
    """Coordinates in the span of training rows: all that a penalised linear model uses."""

    _saved_as = "Span"

    def fit(self, X: np.ndarray, y: Any = None) -> Self:
        """Find an orthonormal basis of the span of the rows of X around their mean."""
        self.mean_ = X.mean(0)
        _, values, basis = np.linalg.svd(X - self.mean_, full_matrices=False)
        self.basis_ = basis[values >= 1e-9 * values.max()].T
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the coordinates of the rows."""
        return (X - self.mean_) @ self.basis_
