"""W-MSE."""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import whitening_error
from skssl.methods._projections import projections
from skssl.views import View


class WMSE(ReadsAll, SSLTransformer):
    """Whiten a batch of projections, then pull the views of each row together.

    Whitening spreads the batch over all directions, so nothing can collapse and no negatives are
    needed.

    Parameters
    ----------
    n_whitened : int, default=128
        Number of rows that are whitened together; at least twice ``projection_dim`` is
        advisable.
    projection_dim : int, default=64
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Ermolov, Siarohin, Sangineto and Sebe, "Whitening for Self-Supervised
       Representation Learning", ICML 2021. https://arxiv.org/abs/2007.06346

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import WMSE
    >>> X = load_digits().images[:200]
    >>> wmse = WMSE(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> wmse.fit_transform(X).shape
    (200, 32)
    """

    n_whitened: int = 128
    projection_dim: int = 64

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "n_whitened": [Interval(Integral, 1, 2**16, closed="both")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 6 of [1], over every pair of views."""
        z = projections(net, net.views(x)).split(len(x))
        return whitening_error(z, self.n_whitened)
