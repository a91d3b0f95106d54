"""Random networks to predict, and the choice of those that differ most."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def random_copy(encoder: nn.Module, seed: int) -> nn.Module:
    """Return a frozen copy of the encoder with the entries of every weight shuffled.

    Shuffled random weights are random weights of the same scale, for any module.
    """
    generator = torch.Generator().manual_seed(seed)
    twin = copy.deepcopy(encoder).requires_grad_(False)
    for weight in twin.parameters():
        order = torch.randperm(weight.numel(), generator=generator)
        weight.copy_(weight.flatten()[order].view_as(weight))
    return twin


def outlook(z: Tensor) -> Tensor:
    """Return the similarities of all pairs of rows in a network's output, as a unit vector."""
    z = F.normalize(z.double(), dim=1)
    return F.normalize((z @ z.T).flatten(), dim=0)


def most_diverse(kernel: Tensor, k: int) -> list[int]:
    """Choose k items whose similarity matrix has a large determinant, greedily.

    The result is close to the most likely set of size k of a determinantal point process.
    """
    chosen: list[int] = []
    for _ in range(k):
        new = int(kernel.diagonal().argmax())
        chosen.append(new)
        column = kernel[:, new]
        kernel = kernel - torch.outer(column, column) / column[new].clamp(min=1e-12)
        kernel[chosen, chosen] = -torch.inf
    return chosen
