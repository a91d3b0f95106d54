"""SwAV."""

from numbers import Integral, Real
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import MLP, width_of
from skssl.losses import sinkhorn, swapped_prediction
from skssl.methods._projections import projections
from skssl.views import View


class SwAV(ReadsAll, SSLTransformer):
    """Predict the cluster of a row from another view of it, and learn the clusters as well.

    Each batch is spread evenly over the clusters, so they cannot collapse into one.

    Parameters
    ----------
    n_prototypes : int, default=128
        Number of clusters.
    temperature : float, default=0.2
        Divides the similarities to the cluster centres. With the paper's 0.1, learning starts
        much later on small data.
    epsilon : float, default=0.05
        Sharpness of the assignments: the lower, the closer each row is to a single cluster.
    projection_dim : int, default=128
        Width of the projections that are clustered.

    References
    ----------
    .. [1] Caron, Misra, Mairal, Goyal, Bojanowski and Joulin, "Unsupervised Learning of Visual
       Features by Contrasting Cluster Assignments", NeurIPS 2020.
       https://arxiv.org/abs/2006.09882

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import SwAV
    >>> X = load_digits().images[:200]
    >>> swav = SwAV(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> swav.fit_transform(X).shape
    (200, 32)
    """

    n_prototypes: int = 128
    temperature: float = 0.2
    epsilon: float = 0.05
    projection_dim: int = 128

    _about: ClassVar[str] = "image"
    _parameter_constraints = {
        "n_prototypes": [Interval(Integral, 1, 2**16, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "projection_dim": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 512, self.projection_dim)
        net.prototypes = nn.Linear(self.projection_dim, self.n_prototypes, bias=False)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1]: the assignments of the first two views are the others' targets."""
        z = projections(net, net.views(x))
        centres = F.normalize(net.prototypes.weight.float(), dim=1)
        scores = (F.normalize(z.float(), dim=1) @ centres.T).float().split(len(x))
        targets = [sinkhorn(score, epsilon=self.epsilon) for score in scores[:2]]
        return swapped_prediction(scores, targets, self.temperature)
