"""The meaning of the columns of a table tensor, and the layout of predictions of its cells."""

from dataclasses import dataclass
from functools import lru_cache

import torch


@dataclass(frozen=True)
class Columns:
    """The meaning of the columns of a table tensor.

    Parameters
    ----------
    cardinality : tuple of int
        Number of categories of each column; 0 for a column of numbers.
    """

    _saved_as = "Columns"
    cardinality: tuple[int, ...]

    @property
    def numeric(self) -> list[int]:
        """Indices of the columns of numbers."""
        return [j for j, c in enumerate(self.cardinality) if c == 0]

    @property
    def categorical(self) -> list[int]:
        """Indices of the columns of categories."""
        return [j for j, c in enumerate(self.cardinality) if c > 0]

    @property
    def n_outputs(self) -> int:
        """Width of a prediction of all cells: one value per number, one logit per category."""
        return sum(max(c, 1) for c in self.cardinality)


@lru_cache(maxsize=64)
def blocks(
    columns: Columns, device: torch.device = torch.device("cpu")
) -> list[tuple[int, torch.Tensor, slice]]:
    """Lay out the prediction of a row's cells: numbers first, then categories by cardinality.

    Columns of the same cardinality share a block, so that a loss is a few large operations for
    any number of columns.

    Returns
    -------
    blocks : list of (cardinality, column indices, slice of the outputs)
        A slice of a category block holds ``len(indices) * cardinality`` logits.
    """
    out, start = [], 0
    for cardinality in sorted(set(columns.cardinality)):
        index = [j for j, c in enumerate(columns.cardinality) if c == cardinality]
        width = len(index) * max(cardinality, 1)
        out.append((cardinality, torch.tensor(index, device=device), slice(start, start + width)))
        start += width
    return out


@lru_cache(maxsize=64)
def greatest(columns: Columns, device: torch.device = torch.device("cpu")) -> torch.Tensor:
    """Return the greatest code of each column, (d,): infinity for numbers."""
    codes = [c - 1.0 if c else torch.inf for c in columns.cardinality]
    return torch.tensor(codes, device=device)
