"""Scores of rows: the threshold and the predictions of outlier detectors."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skssl._compat import plain_torch
from skssl._data._rows import RowsLike
from skssl._training._loop import Net
from skssl.base._parameters import declares_parameters
from skssl.base._transformer import _apply
from skssl.views import View, original

WHISKER = 1.5  # as in a box plot


def threshold(scores: np.ndarray, contamination: float | Literal["auto"]) -> float:
    """Return the score below which a row is an outlier.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores of the training rows: the greater, the more normal.
    contamination : "auto" or float
        Share of the training rows below it. ``"auto"`` is the greatest length of the lower
        whisker of a box plot: 1.5 interquartile ranges below the first quartile.
    """
    if contamination == "auto":
        low, high = np.percentile(scores, [25, 75])
        return float(low - WHISKER * (high - low))
    return float(np.percentile(scores, 100 * contamination))


class ThresholdMixin(OutlierMixin):
    """``decision_function`` and ``predict`` from ``score_samples`` and ``offset_``."""

    offset_: float
    score_samples: Callable[[Any], np.ndarray]

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score of each row minus the threshold.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``; outliers are below 0.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Predict outliers (-1) and inliers (1).

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int
            -1 where ``decision_function`` is negative, 1 elsewhere.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


@declares_parameters
class ScoresRows(ThresholdMixin):
    """Mixin for methods whose own loss tells outliers: ``score_samples`` and ``predict``.

    Define ``_row_losses(scorer, x)``, which returns the loss of each row, instead of ``_loss``.
    ``_build`` puts on ``net.scorer`` the module that this loss is computed from, the encoder
    included; it is kept as ``scorer_``. Rows are not altered.

    Attributes
    ----------
    scorer_ : torch.nn.Module
        Computes the loss of a row, on the CPU in evaluation mode.
    offset_ : float
        Rows with a lower score are outliers.
    """

    contamination: float | Literal["auto"] = "auto"

    scorer_: ClassVar[nn.Module]
    _scaler: ClassVar[Any]
    _read: ClassVar[Callable[..., Tensor]]
    _row_losses: ClassVar[Callable[..., Tensor]]

    @plain_torch()
    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the loss of each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows with the columns seen in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The greater, the more normal.
        """
        check_is_fitted(self)
        return self._scores(_apply(self._scaler, self._read(X)))

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original,)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        return torch.cat([self._row_losses(net.scorer, view) for view in net.views(x)]).mean()

    def _scores(self, x: Tensor) -> np.ndarray:
        losses = partial(self._row_losses, self.scorer_)
        return -_apply(losses, x).numpy().astype(np.float64)

    def _finish(self, rows: RowsLike) -> None:
        self.offset_ = threshold(self._scores(rows.some()), self.contamination)
