"""I-JEPA."""

from numbers import Integral, Real
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsImages, SSLTransformer
from skssl.encoders._patches import (
    PatchPredictor,
    block_size,
    check_patches,
    draw_blocks,
    parts_outside,
    unlike_others,
)
from skssl.encoders._vit import grid_of
from skssl.methods._projections import average
from skssl.methods._teachers import follow, rising, teacher_of
from skssl.views import View, original

TARGET = (0.15, 0.2), (0.75, 1.5)  # share of the patches, height to width
CONTEXT = (0.85, 1.0), (1.0, 1.0)


class IJEPA(ReadsImages, SSLTransformer):
    """Predict a teacher's tokens of some blocks of an image from the rest of the image.

    The teacher's weights are a moving average of the encoder's weights, and it reads the whole
    image. The predictor predicts the teacher's tokens, not pixels. No views are needed. The student
    embeds; on digits, MNIST and CIFAR-10 at 8 x 8 pixels the teacher, which the authors take, was
    8.7, 9.0 and 1.4 points worse, two fits each (``benchmarks/teachers.py``).

    Before they are compared, the mean over the batch of the tokens at the same position is
    subtracted and features are scaled to unit variance. With the tokens of [1]_, normalised one by
    one, a small encoder collapses: its tokens encode the position of a patch and nothing else.

    Parameters
    ----------
    n_targets : int, default=4
        Number of blocks that are predicted, each separately.
    momentum : float, default=0.998
        Share of its weights that the teacher keeps per step; it rises to 1 during the fit.
    predictor_embed_dim : int, default=64
        Width of the predictor, a small transformer.
    predictor_depth : int, default=2
        Number of blocks of the predictor.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=128
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    encoder : "auto", "vit", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"vit"``. Another one needs ``tokens(x, keep=None)`` and ``patch_size``,
        as :class:`skssl.encoders.ViT` has them.

    References
    ----------
    .. [1] Assran, Duval, Misra, Bojanowski, Vincent, Rabbat, LeCun and Ballas,
       "Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture",
       CVPR 2023. https://arxiv.org/abs/2301.08243

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import IJEPA
    >>> X = load_digits().images[:200]
    >>> ijepa = IJEPA(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> ijepa.fit_transform(X).shape
    (200, 32)
    """

    n_targets: int = 4
    momentum: float = 0.998
    predictor_embed_dim: int = 64
    predictor_depth: int = 2
    n_components: int = 128
    batch_size: int | Literal["auto"] = 128

    _auto_encoder = "vit"
    _negatives = False
    _parameter_constraints = {
        "n_targets": [Interval(Integral, 1, 2**10, closed="both")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "predictor_embed_dim": [Interval(Integral, 1, 2**16, closed="both")],
        "predictor_depth": [Interval(Integral, 1, 2**10, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        width = check_patches(net.encoder, X, type(self).__name__)
        grid = grid_of(X.shape[2:], net.encoder.patch_size)
        net.student = net.encoder  # keeps its tokens when net.encoder is wrapped
        net.teacher = teacher_of(net.encoder)
        net.predictor = PatchPredictor(width, grid, self.predictor_embed_dim, self.predictor_depth)
        net.head = nn.Linear(self.predictor_embed_dim, width)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 1 of [1], of targets scaled as above, over all views."""
        if net.training:
            follow(net.teacher, net.student, rising(self.momentum, net.progress))
        views = net.views(x)
        return average(self._error(net, view) for view in views)

    def _error(self, net: Net, x: Tensor) -> Tensor:
        grid = grid_of(x.shape[2:], net.student.patch_size)
        wanted = draw_blocks(len(x), self.n_targets, grid, block_size(grid, *TARGET))
        context = draw_blocks(len(x), 1, grid, block_size(grid, *CONTEXT))
        parts = parts_outside(context, wanted, grid[0] * grid[1])
        seen, wanted = (part.to(x.device) for part in parts)
        with torch.no_grad():
            target = unlike_others(net.teacher.tokens(x))
            target = target.take_along_dim(wanted.flatten(1)[:, :, None], 1)
        tokens = net.student.tokens(x, seen).repeat_interleave(self.n_targets, 0)
        seen = seen.repeat_interleave(self.n_targets, 0)
        made = net.head(net.predictor(tokens, seen, wanted.flatten(0, 1), grid))
        return F.mse_loss(made.float(), target.view_as(made))
