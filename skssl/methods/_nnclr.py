"""NNCLR."""

from itertools import permutations
from numbers import Integral, Real
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import info_nce
from skssl.methods._projections import average, projections
from skssl.methods._teachers import Queue
from skssl.views import View


class NNCLR(ReadsAll, SSLTransformer):
    """Contrast each view with its nearest neighbour in a queue of past rows.

    A neighbour is a positive that no alteration of the row itself could produce.

    Parameters
    ----------
    temperature : float, default=0.1
        Divides the similarities.
    queue_size : int, default=32768
        Number of past rows among which neighbours are searched; at most half of the rows of X.
    projection_dim : int, default=256
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Dwibedi, Aytar, Tompson, Sermanet and Zisserman, "With a Little Help from My
       Friends: Nearest-Neighbor Contrastive Learning of Visual Representations", ICCV 2021.
       https://arxiv.org/abs/2104.14548

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import NNCLR
    >>> X = load_digits().images[:200]
    >>> nnclr = NNCLR(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> nnclr.fit_transform(X).shape
    (200, 32)
    """

    temperature: float = 0.1
    queue_size: int = 32768
    projection_dim: int = 256

    _negatives = True
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "queue_size": [Interval(Integral, 1, None, closed="left")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)
        net.predictor = MLP(self.projection_dim, 512, self.projection_dim)
        net.queue = Queue(max(1, min(self.queue_size, net.n_rows // 2)), self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 4 of [1]: a neighbour of one view against the prediction of another."""
        z = projections(net, net.views(x))
        prediction = net.predictor(z).split(len(x))
        with torch.no_grad():
            nearest = (F.normalize(z.to(net.queue.rows), dim=1) @ net.queue.rows.T).argmax(1)
            neighbor = net.queue.rows[nearest].split(len(x))
        pairs = list(permutations(range(len(prediction)), 2))
        losses = [info_nce(neighbor[i], prediction[j], self.temperature) for i, j in pairs]
        if net.training:
            net.queue.push(z[: len(x)])
        return average(losses)
