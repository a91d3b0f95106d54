"""VICReg."""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import vicreg
from skssl.methods._projections import mean_over_pairs, projections
from skssl.views import View


class VICReg(ReadsAll, SSLTransformer):
    """Variance, invariance, covariance: views agree, features vary and are decorrelated.

    It needs no negatives, teacher or queue, and depends little on the batch size.

    Parameters
    ----------
    invariance : float, default=25.0
        Weight of the squared distance between views.
    variance : float, default=25.0
        Weight of keeping each feature's standard deviation above 1.
    covariance : float, default=1.0
        Weight of the squared covariances of different features.
    projection_dim : int, default=512
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for
       Self-Supervised Learning", ICLR 2022. https://arxiv.org/abs/2105.04906

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import VICReg
    >>> X = load_digits().images[:200]
    >>> vicreg = VICReg(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> vicreg.fit_transform(X).shape
    (200, 32)
    """

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    projection_dim: int = 512

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "invariance": [Interval(Real, 0, None, closed="left")],
        "variance": [Interval(Real, 0, None, closed="left")],
        "covariance": [Interval(Real, 0, None, closed="left")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), self.projection_dim, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 6 of [1], over every pair of views."""
        z = projections(net, net.views(x)).split(len(x))
        weights = self.invariance, self.variance, self.covariance
        return mean_over_pairs(lambda a, b: vicreg(a, b, *weights), z)
