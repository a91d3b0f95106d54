"""CPC."""

from collections.abc import Iterator
from numbers import Integral
from typing import Literal

from torch import Tensor, nn

from skssl._data._draws import randperm
from skssl.base import Interval, Net, ReadsSeries, SSLTransformer
from skssl.encoders import check_causal
from skssl.losses import find_future
from skssl.methods._projections import average
from skssl.views import View, original


class CPC(ReadsSeries, SSLTransformer):
    """Contrastive predictive coding: tell the true future from other futures.

    A recurrent net reads a series up to some place. From its state, the local encoding of each of
    the following stretches must be found among those of other places and series.

    Parameters
    ----------
    prediction_steps : int, default=12
        Number of following stretches to find, each with its own linear map; fewer if the
        series are shorter.
    n_places : int, default=256
        Number of places of a batch that are compared with each other, drawn at random for
        each of the following stretches.
    batch_size : "auto" or int, default=64
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    encoder : "auto", "gru", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"gru"``, a :class:`skssl.encoders.CausalGRU`. Another one needs its
        ``local(x)``, ``context(h)`` and ``steps(x)``.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. https://arxiv.org/abs/1807.03748

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import CPC
    >>> X = np.random.default_rng(0).normal(size=(40, 1, 30)).cumsum(2)
    >>> CPC(n_components=16, max_epochs=1, random_state=0).fit_transform(X).shape
    (40, 16)
    """

    prediction_steps: int = 12
    n_places: int = 256
    batch_size: int | Literal["auto"] = 64

    _auto_encoder = "gru"
    _negatives = True
    _parameter_constraints = {
        "prediction_steps": [Interval(Integral, 1, 2**10, closed="both")],
        "n_places": [Interval(Integral, 2, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        width, n_components, length = check_causal(net.encoder, X, type(self).__name__)
        net.student = net.encoder  # keeps its states when net.encoder is wrapped
        n_steps = min(self.prediction_steps, length - 1)
        net.predictors = nn.ModuleList(nn.Linear(n_components, width) for _ in range(n_steps))

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 4 of [1] for each number of stretches ahead, over all views."""
        losses = [loss for view in net.views(x) for loss in self._losses(net, view)]
        return average(losses)

    def _losses(self, net: Net, x: Tensor) -> Iterator[Tensor]:
        local, steps = net.student.local(x), net.student.steps(x)
        states = net.student.context(local)
        for ahead, predictor in enumerate(net.predictors, 1):
            row, place = (steps[:, ahead:] & steps[:, :-ahead]).nonzero(as_tuple=True)
            some = randperm(len(row))[: self.n_places]
            row, place = row[some], place[some]
            predicted, future = predictor(states[row, place]), local[row, place + ahead]
            # A batch of short series may have no stretch that far ahead, and so no loss.
            yield find_future(predicted, future) if len(row) else predicted.sum()
