"""SimCLR."""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import nt_xent
from skssl.methods._projections import mean_over_pairs, projections
from skssl.views import View


class SimCLR(ReadsAll, SSLTransformer):
    """Contrast: the views of a row must recognise each other among all views of the batch.

    Views of images are random crops and colours, views of tables have swapped cells.

    Parameters
    ----------
    temperature : float, default=0.2
        Divides the similarities: the lower, the more weight similar rows have.
    decoupled : bool, default=False
        Whether to drop the positive pair from the denominator (DCL [2]_), which helps small
        batches.
    projection_dim : int, default=128
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning
       of Visual Representations", ICML 2020. https://arxiv.org/abs/2002.05709
    .. [2] Yeh, Hong, Hsu, Liu, Chen and LeCun, "Decoupled Contrastive Learning", ECCV 2022.
       https://arxiv.org/abs/2110.06848

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import SimCLR
    >>> X = load_digits().images[:200]
    >>> simclr = SimCLR(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> simclr.fit_transform(X).shape
    (200, 32)
    """

    temperature: float = 0.2
    decoupled: bool = False
    projection_dim: int = 128

    _negatives = True
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "decoupled": ["boolean"],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 1 of [1], over every pair of views."""
        z = projections(net, net.views(x)).split(len(x))
        return mean_over_pairs(lambda a, b: nt_xent(a, b, self.temperature, self.decoupled), z)
