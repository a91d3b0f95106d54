"""Masked series."""

from numbers import Real
from typing import Literal

import torch
from torch import Tensor, nn

from skssl._data._draws import rand
from skssl.base import Interval, Net, ReadsSeries, SSLTransformer
from skssl.encoders import check_series_patches
from skssl.methods._projections import average
from skssl.views import View, original


class MaskedSeries(ReadsSeries, SSLTransformer):
    """Predict masked patches of a series from the others: the pretraining of PatchTST.

    Series are standardised one by one, so that shapes are predicted instead of levels.

    Parameters
    ----------
    mask_ratio : float, default=0.4
        Share of the patches that are masked: at least one patch, and not all.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=64
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    encoder : "auto", "transformer", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"transformer"``, a :class:`skssl.encoders.SeriesTransformer`. Another one
        needs its ``patches(x)`` and ``tokens(patches, level)``.

    References
    ----------
    .. [1] Nie, Nguyen, Sinthong and Kalagnanam, "A Time Series is Worth 64 Words: Long-term
       Forecasting with Transformers", ICLR 2023. https://arxiv.org/abs/2211.14730

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import MaskedSeries
    >>> X = np.random.default_rng(0).normal(size=(40, 1, 30)).cumsum(2)
    >>> MaskedSeries(n_components=16, max_epochs=1, random_state=0).fit_transform(X).shape
    (40, 16)
    """

    mask_ratio: float = 0.4
    n_components: int = 128
    batch_size: int | Literal["auto"] = 64

    _auto_encoder = "transformer"
    _parameter_constraints = {"mask_ratio": [Interval(Real, 0, 1, closed="neither")]}

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        width, n_numbers = check_series_patches(net.encoder, X, type(self).__name__)
        net.student = net.encoder  # keeps its tokens when net.encoder is wrapped
        net.head = nn.Linear(width, n_numbers)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The mean squared error of hidden patches, section 3.2 of [1], over all views."""
        views = net.views(x)
        return average(self._error(net, view) for view in views)

    def _error(self, net: Net, x: Tensor) -> Tensor:
        patches, level = net.student.patches(x)
        known = ~patches.isnan()
        exists = known.any(2)
        rank = rand(exists.shape, device=x.device).masked_fill(~exists, 2.0)
        rank = rank.argsort(1).argsort(1)
        n_hidden = (self.mask_ratio * exists.sum(1)).round().clamp(min=1)
        is_hidden = rank < torch.minimum(n_hidden, exists.sum(1) - 1)[:, None]
        shown = patches.masked_fill(is_hidden[:, :, None], torch.nan)
        predicted = net.head(net.student.tokens(shown, level)).float()
        wanted = known & is_hidden[:, :, None]
        error = (predicted - patches.nan_to_num(0.0)).square()
        return torch.where(wanted, error, 0.0).sum() / wanted.sum().clamp(min=1)
