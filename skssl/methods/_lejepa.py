"""LeJEPA."""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import lejepa
from skssl.methods._projections import projections
from skssl.views import View


class LeJEPA(ReadsAll, SSLTransformer):
    """Views predict their common mean, and all embeddings are kept normally distributed.

    It has one weight to set, and needs no teacher, queue, predictor or stopped gradient.

    Parameters
    ----------
    lambd : float, default=0.05
        Weight of the normality term; the prediction error has weight ``1 - lambd``.
    n_slices : int, default=256
        Number of random directions along which normality is tested; new ones at every step.
    projection_dim : int, default=64
        Width of the projections that the loss keeps normal.

    References
    ----------
    .. [1] Balestriero and LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning
       Without the Heuristics", 2025. https://arxiv.org/abs/2511.08544

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import LeJEPA
    >>> X = load_digits().images[:200]
    >>> lejepa = LeJEPA(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> lejepa.fit_transform(X).shape
    (200, 32)
    """

    lambd: float = 0.05
    n_slices: int = 256
    projection_dim: int = 64

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "lambd": [Interval(Real, 0, 1, closed="both")],
        "n_slices": [Interval(Integral, 1, 2**16, closed="both")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 2 of [1]; views of the size of the first are the global ones."""
        views = net.views(x)
        z = projections(net, views).split(len(x))
        n_global = sum(view.shape == views[0].shape for view in views)
        return lejepa(z, self.lambd, n_global, self.n_slices)
