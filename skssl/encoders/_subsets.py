"""Encoders of rows by subsets of their columns."""

import math

import torch
from torch import Tensor, nn

from skssl.encoders._sharing import encode


class MeanOverSubsets(nn.Module):
    """Mean embedding of a row's subsets; ``inside``, bool (n_subsets, d), marks their columns."""

    _saved_as = "MeanOverSubsets"
    inside: Tensor

    def __init__(self, encoder: nn.Module, inside: Tensor):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("inside", inside)

    def each(self, views: list[Tensor]) -> list[Tensor]:
        """Embed the first subset of the first view, the second of the second, and so on."""
        pairs = zip(views, self.inside, strict=True)
        return encode(self.encoder, [view.where(inside, torch.nan) for view, inside in pairs])

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(self.each([x] * len(self.inside))).mean(0)


def column_subsets(n_columns: int, n_subsets: int, overlap: float) -> Tensor:
    """Return the columns of each subset: evenly spaced runs of one length that wrap around."""
    width = min(n_columns, math.ceil((1 + overlap) * n_columns / n_subsets))
    start = torch.arange(n_subsets)[:, None] * n_columns // n_subsets
    return (torch.arange(n_columns) - start) % n_columns < width
