"""What methods share that bring the views of a row together."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from skssl._base import SSLTransformer
from skssl._train import Net
from skssl.encoders import encode
from skssl.views import View


class JointEmbedding(SSLTransformer):
    """Base of methods that compare projections of a row's views, whatever kind of data it is of.

    A method builds ``net.projector``. Two views are made by the alteration that suits the data;
    ``views=`` may make more, of any sizes.
    """

    categorical_features: Any = "from_dtype"
    numeric: str = "plain"
    image_shape: Any = None
    channel_axis: Any = "auto"

    _kinds = ("table", "image")

    def _views(self, augment: View) -> tuple[View, ...]:
        return augment, augment


def projections(net: Net, views: Sequence[Tensor]) -> Tensor:
    """Return the projections of all views, one view after another."""
    return net.projector(torch.cat(encode(net.encoder, views)))


def mean_over_pairs(loss: Callable[[Tensor, Tensor], Tensor], views: Sequence[Tensor]) -> Tensor:
    """Return the mean of a symmetric loss over every pair of views."""
    losses = [loss(a, b) for a, b in combinations(views, 2)]
    return torch.stack(losses).mean()


def targets_and_views(n_views: int) -> list[tuple[int, int]]:
    """Return (target, view) for each of the first two views and each other view.

    The first two are the large crops where there are small ones as well: what a teacher sees.
    """
    targets = range(min(2, n_views))
    return [(t, v) for t in targets for v in range(n_views) if v != t]
