"""Next-step prediction."""

from numbers import Integral
from typing import Literal

import torch
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsSeries, SSLTransformer
from skssl.encoders import check_causal
from skssl.methods._projections import average
from skssl.views import View, original


class NextStep(ReadsSeries, SSLTransformer):
    """Predict the values that follow each place of a series from all values before it.

    Parameters
    ----------
    horizon : int, default=8
        Number of following steps to predict, in all channels; at most half of a series.
    batch_size : "auto" or int, default=64
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    encoder : "auto", "gru", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"gru"``, a :class:`skssl.encoders.CausalGRU`. Another one needs its
        ``local(x)``, ``context(h)``, ``steps(x)`` and ``stride``.

    References
    ----------
    .. [1] Elman, "Finding Structure in Time", Cognitive Science, 1990.
       https://doi.org/10.1207/s15516709cog1402_1

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import NextStep
    >>> X = np.random.default_rng(0).normal(size=(40, 1, 30)).cumsum(2)
    >>> NextStep(n_components=16, max_epochs=1, random_state=0).fit_transform(X).shape
    (40, 16)
    """

    horizon: int = 8
    batch_size: int | Literal["auto"] = 64

    _auto_encoder = "gru"
    _parameter_constraints = {"horizon": [Interval(Integral, 1, 2**16, closed="both")]}

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        _, n_components, _ = check_causal(net.encoder, X, type(self).__name__)
        net.student = net.encoder  # keeps its states when net.encoder is wrapped
        net.horizon = max(1, min(self.horizon, X.shape[2] // 2))
        net.predictor = nn.Linear(n_components, X.shape[1] * net.horizon)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The mean squared error of all known values, over all views."""
        views = net.views(x)
        return average(self._error(net, view) for view in views)

    def _error(self, net: Net, x: Tensor) -> Tensor:
        futures = x.unfold(2, net.horizon, 1)[:, :, net.student.stride :: net.student.stride]
        states = net.student.sequence(x)[:, : futures.shape[2]]
        predicted = net.predictor(states).float().unflatten(2, (x.shape[1], -1))
        future = futures.transpose(1, 2)
        known = ~future.isnan()
        error = (predicted - future.nan_to_num(0.0)).square()
        return torch.where(known, error, 0.0).sum() / known.sum().clamp(min=1)
