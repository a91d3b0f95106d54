"""TS2Vec."""

from numbers import Integral, Real
from typing import Literal

from torch import Tensor

from skssl._data._draws import rand
from skssl.base import Interval, Net, ReadsSeries, SSLTransformer
from skssl.encoders import check_sequence
from skssl.encoders._series import Pooling
from skssl.losses import hierarchical_contrast
from skssl.methods._projections import average
from skssl.views import View, original, overlapping_crops


class TS2Vec(ReadsSeries, SSLTransformer):
    """Recognise each step of a series in another context, within the series and across series.

    Two overlapping stretches of a series are read with half of their steps masked. The embeddings
    of a shared step must agree, at every time scale.

    Parameters
    ----------
    alpha : float, default=0.5
        Weight of telling series apart; telling steps apart has weight ``1 - alpha``.
    keep : float, default=0.5
        Share of the steps that the encoder sees in training.
    max_length : int, default=256
        Greatest length of series that a training step reads; the time of a step grows faster
        than linearly with it.
    pooling : {"mean", "max"} or None, default="max"
        How ``transform`` pools the steps of a series to one row; None keeps them, and the
        embedding has shape (n_samples, n_steps, n_components).
    batch_size : "auto" or int, default=16
        Rows per step; all of them if there are fewer. A last ragged batch is left out.

    References
    ----------
    .. [1] Yue, Wang, Duan, Yang, Huang, Tong and Xu, "TS2Vec: Towards Universal Representation
       of Time Series", AAAI 2022. https://arxiv.org/abs/2106.10466

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import TS2Vec
    >>> X = np.random.default_rng(0).normal(size=(40, 1, 30)).cumsum(2)
    >>> TS2Vec(n_components=16, max_epochs=1, random_state=0).fit_transform(X).shape
    (40, 16)
    """

    alpha: float = 0.5
    keep: float = 0.5
    max_length: int = 256
    pooling: Pooling = "max"
    batch_size: int | Literal["auto"] = 16

    _negatives = True
    _parameter_constraints = {
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "keep": [Interval(Real, 0, 1, closed="right")],
        "max_length": [Interval(Integral, 2, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        check_sequence(net.encoder, X, type(self).__name__)
        net.student = net.encoder  # keeps its steps when net.encoder is wrapped

    def _places(self, net: Net, x: Tensor) -> int:
        return min(super()._places(net, x), self.max_length)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equations 1 to 3 of [1], over all views."""
        views = net.views(x)
        return average(self._contrast(net, view) for view in views)

    def _contrast(self, net: Net, x: Tensor) -> Tensor:
        first, second, n_shared = overlapping_crops(x, self.max_length)
        a = net.student.sequence(first, self._draw_shown(first))[:, -n_shared:]
        b = net.student.sequence(second, self._draw_shown(second))[:, :n_shared]
        return hierarchical_contrast(a, b, self.alpha)

    def _draw_shown(self, x: Tensor) -> Tensor:
        return rand(len(x), x.shape[2], device=x.device) < self.keep
