"""MoCo."""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, encode, width_of
from skssl.losses import info_nce
from skssl.methods._projections import average, projections, targets_and_views
from skssl.methods._teachers import Queue, follow, rising, teacher_of
from skssl.views import View


class MoCo(ReadsAll, SSLTransformer):
    """Contrast each view with a queue of a teacher's embeddings of past rows.

    The teacher's weights are a moving average of the encoder's weights. The queue gives many
    negatives at any batch size.

    Parameters
    ----------
    temperature : float, default=0.2
        Divides the similarities.
    queue_size : int, default=32768
        Number of past rows to contrast with; at most half of the rows of X.
    momentum : float, default=0.99
        Share of its weights that the teacher keeps per step; it rises to 1 during the fit.
    projection_dim : int, default=128
        Width of the projections that the loss compares.

    References
    ----------
    .. [1] He, Fan, Wu, Xie and Girshick, "Momentum Contrast for Unsupervised Visual
       Representation Learning", CVPR 2020. https://arxiv.org/abs/1911.05722
    .. [2] Chen, Fan, Girshick and He, "Improved Baselines with Momentum Contrastive
       Learning", 2020. https://arxiv.org/abs/2003.04297

    Notes
    -----
    The embedding is the student's, as in the papers. In two fits on each of three sets of small
    images, linear probes on the teacher's were 0.1 to 0.8 points worse, 0.4 in the mean
    (``benchmarks/teachers.py``).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import MoCo
    >>> X = load_digits().images[:200]
    >>> moco = MoCo(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> moco.fit_transform(X).shape
    (200, 32)
    """

    temperature: float = 0.2
    queue_size: int = 32768
    momentum: float = 0.99
    projection_dim: int = 128

    _negatives = True
    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "queue_size": [Interval(Integral, 1, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)
        net.student = nn.Sequential(net.encoder, net.projector)
        net.teacher = teacher_of(net.student)
        net.queue = Queue(max(1, min(self.queue_size, net.n_rows // 2)), self.projection_dim)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1]; each of the first two views is the key of all other views."""
        if net.training:
            follow(net.teacher, net.student, rising(self.momentum, net.progress))
        views = net.views(x)
        with torch.no_grad():
            keys = encode(net.teacher, views[:2])
        queries = projections(net, views).split(len(x))
        pairs = targets_and_views(len(views))
        negatives = net.queue.rows.clone()
        losses = [info_nce(queries[v], keys[t], self.temperature, negatives) for t, v in pairs]
        if net.training:
            net.queue.push(keys[0])
        return average(losses)
