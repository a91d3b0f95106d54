"""Tokens of cells and of rows, the input of the in-context net."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skssl.in_context._evidence import N_RIDGES, WIDTHS, Evidence

N_RANDOM = 16  # width of the random vector of a column or category in one pass
SPREAD = 1.7  # scale of the column vectors, so that tokens have variance 1
N_POOLS = 4  # weighted means over the cells of a row


@dataclass
class Names:
    """Random vectors of columns and categories, (n_tables, 1, n_columns, N_RANDOM)."""

    is_number: Tensor
    frequency: Tensor
    phase: Tensor
    identity: Tensor


def draw_names(cardinality: Tensor, generator: torch.Generator | None) -> Names:
    """Draw the random vectors of columns with so many categories each, and of the categories."""
    n_tables, n_columns = cardinality.shape
    shape, device = (n_tables, 1, n_columns, N_RANDOM), cardinality.device
    frequency, phase = torch.rand(2, *shape, generator=generator, device=device) * 2 * torch.pi
    identity = torch.randn(shape, generator=generator, device=device)
    return Names((cardinality == 0)[:, None], frequency, phase, identity)


class CellTokens(nn.Module):
    """Tokens of cells: features of the value times the column's vector, plus evidence."""

    _saved_as = "InContextCellTokens"

    def __init__(self, width: int, n_label: int):
        super().__init__()
        n_features = number_features(torch.zeros(1)).shape[-1]
        self.value = nn.Linear(n_features + N_RANDOM + 1, width)
        self.neighbours = nn.Linear(2 * n_features, width, bias=False)
        self.column = nn.Linear(N_RANDOM, width, bias=False)
        self.evidence = nn.Linear(len(WIDTHS) * (n_label + 1), width, bias=False)
        nn.init.zeros_(self.neighbours.weight)

    def forward(self, x: Tensor, names: Names, evidence: Tensor) -> Tensor:
        """Return (n_tables, n_rows, n_columns, width)."""
        known = ~x.isnan()
        value = x.nan_to_num()
        category = (value[..., None] * names.frequency + names.phase).cos()
        category = category * (known & ~names.is_number)[..., None]
        number = number_features(value * names.is_number)
        number = number * (known & names.is_number)[..., None]
        near = torch.cat([number.roll(1, 2), number.roll(3, 2)], -1)
        given = torch.cat([number, category, (~known)[..., None].to(number.dtype)], -1)
        dtype = self.column.weight.dtype
        made = self.value(given.to(dtype)) + self.neighbours(near.to(dtype))
        column = SPREAD * self.column(names.identity.to(dtype))
        return made * column + self.evidence(evidence.to(dtype))


class RowTokens(nn.Module):
    """Tokens of rows: several weighted means over the cells of each row, concatenated.

    The cells' evidence about the class is added up, as that of independent features; the ridge
    regressions' evidence about the whole row is added, too.
    """

    _saved_as = "InContextRowTokens"

    def __init__(self, cell_width: int, n_label: int, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(cell_width, bias=False)
        self.weight = nn.Linear(cell_width, N_POOLS, bias=False)
        self.pooled = nn.Linear(N_POOLS * cell_width, width, bias=False)
        self.of_cells = nn.Linear(len(WIDTHS) * (n_label + 1), width, bias=False)
        self.of_rows = nn.Linear((N_RIDGES + 1) * n_label, width, bias=False)

    def forward(self, cells: Tensor, evidence: Evidence, trust: Tensor) -> Tensor:
        """Return (n_tables, n_rows, width); ``trust`` is the weight of each regression."""
        cells = self.norm(cells)
        pooled = self.weight(cells).softmax(2).mT @ cells
        summed = evidence.of_cells.sum(2) / math.sqrt(cells.shape[2])
        told, dtype = evidence.of_rows, cells.dtype
        trusted = (told * trust[:, None, :, None].to(told.dtype)).sum(2, keepdim=True)
        regressed = torch.cat([told, trusted], 2).flatten(2)
        return (
            self.pooled(pooled.flatten(2))
            + self.of_cells(summed.to(dtype))
            + self.of_rows(regressed.to(dtype))
        )


def number_features(x: Tensor) -> Tensor:
    """Return features of scaled numbers, in a new last dimension."""
    waves = [f(k * x) for k in (2, 4) for f in (torch.sin, torch.cos)]
    return torch.stack([x, x.abs(), *waves], -1)
