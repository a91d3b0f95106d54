"""What methods share that compare projections of a row's views."""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor

from skssl._training._loop import Net
from skssl.encoders import encode


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
