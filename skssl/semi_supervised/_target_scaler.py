"""Targets in units of their own spread."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

GRID = 2.0**-24
GREATEST = 1e300
FURTHEST = 1e15  # whose squares are far within float32


def on_grid(standard: np.ndarray) -> np.ndarray:
    """Round standardised numbers to multiples of ``GRID``."""
    return np.round(standard / GRID) * GRID


def standardise(y: Any, center: float, spread: float) -> np.ndarray:
    """Return targets in units of the spread, from the mean; raise if one is out of all bounds."""
    with np.errstate(over="ignore"):
        standard = (np.asarray(y, dtype=np.float64) - center) / spread
    if not (np.abs(standard) < FURTHEST).all():
        raise ValueError(
            f"y holds {np.ravel(y)[np.abs(standard).argmax()]:.3g}, which is more than "
            f"{FURTHEST:.0g} standard deviations, of {spread:.3g}, from the mean of the targets "
            f"seen before, {center:.3g}. Check its unit, or fit to all targets at once."
        )
    return on_grid(standard)


class TargetScaler(TransformerMixin, BaseEstimator):
    """Standardise targets, so that what is learnt does not depend on their unit.

    Standardised targets are rounded to multiples of ``GRID``. That removes what rounding in
    another unit leaves, and sums of them are exact: trees, whose splits often tie, choose the same
    ones in every unit.

    Attributes
    ----------
    center_, spread_ : float
        Mean and standard deviation of the targets; the spread of equal targets is 1.
    """

    _saved_as = "TargetScaler"

    def fit(self, y: Any, _: Any = None) -> Self:
        """Learn the mean and the standard deviation of targets (n_samples, ...)."""
        with np.errstate(over="ignore"):  # of long doubles: infinity is refused below
            y = np.asarray(y, dtype=np.float64)
        if np.abs(y).max(initial=0) > GREATEST:
            raise ValueError(
                f"y holds {np.ravel(y)[np.abs(y).argmax()]:.3g}; expected numbers up to "
                f"{GREATEST:.0g}, whose sums are finite. Pass targets in a greater unit."
            )
        self.center_ = float(y.mean())
        self.center_ += float((y - self.center_).mean())  # of great numbers the rest counts
        centred = y - self.center_
        widest = float(np.abs(centred).max())
        if widest <= 8 * np.finfo(float).eps * abs(self.center_):  # equal but for rounding
            self.spread_ = 1.0
        else:  # squares of tiny and of huge numbers would not be finite, or 0
            self.spread_ = widest * float((centred / widest).std())
        return self

    def transform(self, y: Any) -> np.ndarray:
        """Return targets in units of the spread, from the mean."""
        return standardise(y, self.center_, self.spread_)

    def inverse_transform(self, standard: Any) -> np.ndarray:
        """Return targets in their own units."""
        return self.center_ + self.spread_ * np.asarray(standard)
