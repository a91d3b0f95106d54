"""MMCR."""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import mmcr
from skssl.methods._projections import projections
from skssl.views import View


class MMCR(ReadsAll, SSLTransformer):
    """Maximum manifold capacity: the mean views of the rows spread over all directions.

    The loss is minus the nuclear norm of the mean views of a batch. Views that disagree have a
    short mean, so this one term also draws them together.

    Parameters
    ----------
    n_views : int, default=4
        Number of views of a row. Each costs a pass through the encoder. The paper uses 2 to 8 for
        large images, 40 for small ones. A function ``views=`` that returns a list of at least two
        views sets their number itself.
    projection_dim : int, default=128
        Width of the projections that the loss compares; less than the batch size is advisable.

    References
    ----------
    .. [1] Yerxa, Kuang, Simoncelli and Chung, "Learning Efficient Coding of Natural Images
       with Maximum Manifold Capacity Representations", NeurIPS 2023.
       https://arxiv.org/abs/2303.03307

    Notes
    -----
    As in the experiments of the paper, the nuclear norm of the views of each single row has no
    weight (``lambda = 0``); as in its experiments on small images, there is no slow teacher.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import MMCR
    >>> X = load_digits().images[:200]
    >>> mmcr = MMCR(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> mmcr.fit_transform(X).shape
    (200, 32)
    """

    n_views: int = 4
    projection_dim: int = 128

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "n_views": [Interval(Integral, 2, 2**10, closed="both")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (augment,) * self.n_views

    def _fewest_views(self, augment: View) -> int:
        return 2

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The loss of [1], with lambda = 0."""
        return mmcr(projections(net, net.views(x)).split(len(x)))
