"""Barlow Twins."""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import barlow_twins
from skssl.methods._projections import mean_over_pairs, projections
from skssl.views import View


class BarlowTwins(ReadsAll, SSLTransformer):
    """Reduce redundancy: features agree across views, and no two features are redundant.

    Parameters
    ----------
    lambd : float, default=5e-3
        Weight of the correlations between different features.
    scale : float, default=0.1
        Factor of the loss, which brings gradients to the size that suits the learning rate.
    projection_dim : int, default=512
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Zbontar, Jing, Misra, LeCun and Deny, "Barlow Twins: Self-Supervised Learning via
       Redundancy Reduction", ICML 2021. https://arxiv.org/abs/2103.03230

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import BarlowTwins
    >>> X = load_digits().images[:200]
    >>> barlowtwins = BarlowTwins(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> barlowtwins.fit_transform(X).shape
    (200, 32)
    """

    lambd: float = 5e-3
    scale: float = 0.1
    projection_dim: int = 512

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "lambd": [Interval(Real, 0, None, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), self.projection_dim, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 1 of [1], over every pair of views."""
        z = projections(net, net.views(x)).split(len(x))
        return self.scale * mean_over_pairs(lambda a, b: barlow_twins(a, b, self.lambd), z)
