"""EMP-SSL."""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import emp_ssl
from skssl.methods._projections import projections
from skssl.views import View


class EMPSSL(ReadsAll, SSLTransformer):
    """Many views of a row agree with their mean, and the rows of a batch fill the space.

    "Extreme multi-patch": each step sees many views of each row, so few passes over X suffice.

    Parameters
    ----------
    n_patches : int, default=8
        Number of views of a row, random crops of an image. Each costs a pass through the
        encoder. The paper uses 20 and more. A function ``views=`` that returns a list of at least
        two views sets their number itself.
    invariance : float, default=200.0
        Weight of the cosine between each view and the mean of all; the coding rate has weight 1.
    epsilon : float, default=0.2
        The squared precision of the coding rate: see :func:`skssl.losses.total_coding_rate`.
    projection_dim : int, default=128
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Tong, Chen, Ma and LeCun, "EMP-SSL: Towards Self-Supervised Learning in One
       Training Epoch", 2023. https://arxiv.org/abs/2304.03977

    Notes
    -----
    The paper crops each patch to a quarter of the image, and embeds an image as the mean of its
    patches. Here crops are those of ``views``, and ``transform`` reads the whole image. The
    paper's crops are ``views=MultiCrop(n_large=0, n_small=20, small_scale=(0.25, 0.25))``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import EMPSSL
    >>> X = load_digits().images[:200]
    >>> empssl = EMPSSL(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> empssl.fit_transform(X).shape
    (200, 32)
    """

    n_patches: int = 8
    invariance: float = 200.0
    epsilon: float = 0.2
    projection_dim: int = 128

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "n_patches": [Interval(Integral, 2, 2**10, closed="both")],
        "invariance": [Interval(Real, 0, None, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (augment,) * self.n_patches

    def _fewest_views(self, augment: View) -> int:
        return 2

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The training objective of [1]."""
        z = projections(net, net.views(x)).split(len(x))
        return emp_ssl(z, self.invariance, self.epsilon)
