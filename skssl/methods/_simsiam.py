"""SimSiam."""

from numbers import Integral
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import cosine_error
from skssl.methods._projections import average, projections
from skssl.views import View


class SimSiam(ReadsAll, SSLTransformer):
    """Predict the projection of the other view, through which no gradient flows.

    With more than two views the target is the mean of the other views' projections, which is less
    noisy and learns faster (FastSiam [2]_): pass ``views`` that return several views.

    Parameters
    ----------
    projection_dim : int, default=512
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021.
       https://arxiv.org/abs/2011.10566
    .. [2] Pototzky, Sultan and Schmidt-Thieme, "FastSiam: Resource-Efficient Self-Supervised
       Learning on a Single GPU", GCPR 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import SimSiam
    >>> X = load_digits().images[:200]
    >>> simsiam = SimSiam(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> simsiam.fit_transform(X).shape
    (200, 32)
    """

    projection_dim: int = 512

    _negatives = False
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        width, out = width_of(net.encoder, X), self.projection_dim
        net.projector = nn.Sequential(MLP(width, 512, out), nn.BatchNorm1d(out, affine=False))
        net.predictor = MLP(out, out // 4 + 1, out)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1], with the mean of the other views as the target of [2]."""
        z = projections(net, net.views(x))
        prediction = net.predictor(z).split(len(x))
        unit = F.normalize(z.detach().float(), dim=1).split(len(x))
        errors = [cosine_error(p, sum(unit) - own) for p, own in zip(prediction, unit, strict=True)]
        return average(errors)
