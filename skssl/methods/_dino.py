"""DINO."""

from numbers import Integral, Real
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl import _ranks
from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, encode, width_of
from skssl.losses import dino
from skssl.methods._teachers import follow, rising, teacher_of
from skssl.views import View


class DINO(ReadsAll, SSLTransformer):
    """Self-distillation without labels: predict the teacher's soft class of another view.

    The teacher's weights are a moving average of the encoder's weights. Its outputs are centred and
    sharpened, so that it neither prefers one class nor finds all classes equally likely.

    Parameters
    ----------
    n_prototypes : int, default=1024
        Number of soft classes.
    student_temperature : float, default=0.1
        Divides the student's outputs.
    teacher_temperature : float, default=0.04
        Divides the teacher's outputs; lower, so that they are sharper.
    momentum : float, default=0.99
        Share of its weights that the teacher keeps per step; it rises to 1 during the fit.

    References
    ----------
    .. [1] Caron, Touvron, Misra, Jégou, Mairal, Bojanowski and Joulin, "Emerging Properties in
       Self-Supervised Vision Transformers", ICCV 2021. https://arxiv.org/abs/2104.14294

    Notes
    -----
    The embedding is the student's, while the authors take the teacher's. In two fits on each of
    three sets of small images, linear probes on the teacher's were 0.1 to 2.2 points worse, 0.9 in
    the mean (``benchmarks/teachers.py``).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import DINO
    >>> X = load_digits().images[:200]
    >>> dino = DINO(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> dino.fit_transform(X).shape
    (200, 32)
    """

    n_prototypes: int = 1024
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    momentum: float = 0.99

    _negatives = False
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "n_prototypes": [Interval(Integral, 1, 2**16, closed="both")],
        "student_temperature": [Interval(Real, 0, None, closed="neither")],
        "teacher_temperature": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.head = Head(width_of(net.encoder, X), self.n_prototypes)
        net.student = nn.Sequential(net.encoder, net.head)
        net.teacher = teacher_of(net.student)
        net.register_buffer("center", torch.zeros(self.n_prototypes))

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1]; the teacher sees the first two views."""
        if net.training:
            follow(net.teacher, net.student, rising(self.momentum, net.progress))
        views = net.views(x)
        with torch.no_grad():
            seen = torch.cat(encode(net.teacher, views[:2]))
        student = net.head(torch.cat(encode(net.encoder, views))).split(len(x))
        temperatures = self.student_temperature, self.teacher_temperature
        loss = dino(student, seen.split(len(x)), net.center.clone(), *temperatures)
        if net.training:
            net.center.lerp_(_ranks.mean(seen.to(net.center).mean(0)), 0.1)
        return loss


class Head(nn.Module):
    """Projection to the unit sphere and cosine similarity to prototypes there."""

    _saved_as = "DINOHead"

    def __init__(self, width: int, n_prototypes: int):
        super().__init__()
        self.projector = MLP(width, 512, 128)
        self.prototypes = nn.Linear(128, n_prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z = F.normalize(self.projector(x).float(), dim=1)
        return F.linear(z, F.normalize(self.prototypes.weight.float(), dim=1))
