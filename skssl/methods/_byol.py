"""BYOL."""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, encode, width_of
from skssl.losses import cosine_error
from skssl.methods._projections import average, projections, targets_and_views
from skssl.methods._teachers import follow, rising, teacher_of
from skssl.views import View


class BYOL(ReadsAll, SSLTransformer):
    """Predict a teacher's projection of another view; no negatives.

    The teacher's weights are a moving average of the encoder's weights.

    Parameters
    ----------
    momentum : float, default=0.99
        Share of its weights that the teacher keeps per step; it rises to 1 during the fit.
    projection_dim : int, default=128
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] Grill, Strub, Altché, Tallec, Richemond, Buchatskaya, Doersch, Avila Pires, Guo,
       Gheshlaghi Azar, Piot, Kavukcuoglu, Munos and Valko, "Bootstrap Your Own Latent",
       NeurIPS 2020. https://arxiv.org/abs/2006.07733

    Notes
    -----
    The embedding is the student's, as in the paper. In two fits on each of three sets of small
    images, linear probes on the teacher's were 0.0 to 2.1 points worse, 1.0 in the mean
    (``benchmarks/teachers.py``).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import BYOL
    >>> X = load_digits().images[:200]
    >>> byol = BYOL(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> byol.fit_transform(X).shape
    (200, 32)
    """

    momentum: float = 0.99
    projection_dim: int = 128

    _negatives = False
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)
        net.predictor = MLP(self.projection_dim, 512, self.projection_dim)
        net.student = nn.Sequential(net.encoder, net.projector)
        net.teacher = teacher_of(net.student)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 2 of [1]: each view predicts the teacher's projection of another."""
        if net.training:
            follow(net.teacher, net.student, rising(self.momentum, net.progress))
        views = net.views(x)
        with torch.no_grad():
            target = encode(net.teacher, views[:2])
        z = projections(net, views)
        prediction = net.predictor(z).split(len(x))
        pairs = targets_and_views(len(views))
        return average(cosine_error(prediction[v], target[t]) for t, v in pairs)
