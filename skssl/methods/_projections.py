"""Helpers of methods that compare the projections of a row's views."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import torch
from torch import Tensor

from skssl._training._loop import Net
from skssl.encoders import encode


def projections(net: Net, views: Sequence[Tensor]) -> Tensor:
    """Project the embeddings of all views, one view after another.

    Parameters
    ----------
    net : Net
        Has an ``encoder`` and a ``projector``.
    views : list of Tensor of shape (n, ...)
        Altered batches, as ``net.views`` returns them.

    Returns
    -------
    projections : Tensor of shape (n_views * n, width)
        ``projections.split(n)`` has one part per view.
    """
    return net.projector(torch.cat(encode(net.encoder, views)))


def average(losses: Iterable[Tensor]) -> Tensor:
    """Average scalar losses, such as those of several views.

    Parameters
    ----------
    losses : iterable of Tensor of shape ()
        At least one.

    Returns
    -------
    loss : Tensor of shape ()
        The mean.
    """
    first, *others = losses
    return sum(others, start=first) / (1 + len(others))


def mean_over_pairs(loss: Callable[[Tensor, Tensor], Tensor], views: Sequence[Tensor]) -> Tensor:
    """Average a symmetric loss over every pair of views.

    Parameters
    ----------
    loss : callable
        Maps two tensors to a scalar.
    views : list of Tensor
        At least two, such as the projections of each view.

    Returns
    -------
    loss : Tensor of shape ()
        The mean.
    """
    losses = [loss(a, b) for a, b in combinations(views, 2)]
    return torch.stack(losses).mean()


def targets_and_views(n_views: int) -> list[tuple[int, int]]:
    """Return the pairs (target, view) of each of the first two views and each other view.

    If there are large and small crops, the first two views are large: those that a teacher sees.

    Parameters
    ----------
    n_views : int
        Number of views.

    Returns
    -------
    pairs : list of tuple of int
        Positions in the list of views.
    """
    targets = range(min(2, n_views))
    return [(t, v) for t in targets for v in range(n_views) if v != t]
