"""What a fit must know of a table outside memory before it trains: categories, and a sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skssl._compat import take_rows
from skssl._data._containers import Table, label_of, open_table
from skssl._data._sources import Source, joined
from skssl._data._table import distinct

SAMPLE_ROWS = 2**17  # to learn scaling and parts of a method from, evenly spaced over all rows,
SAMPLE_CELLS = 2**24  # and no more cells than this
RUNS = 1024  # in which they lie, where rows can be read in any order
MOST_LEVELS = 2**20  # categories of a column, which memory must hold


@dataclass
class Survey:
    """Rows evenly spaced over a table, their numbers, and all values of some of its columns."""

    n_rows: int
    sample: Any
    numbers: np.ndarray
    table: Table


def survey(source: Source, wanted: list[int]) -> Survey:
    """Read a sample of the rows, and the values that the columns ``wanted`` have in all rows.

    All rows are read, once, unless any can be read without the others and no column is wanted.
    """
    head = open_table(source.head)
    n_kept = max(2, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, head.shape[1])))
    n, values = source.n_rows, {i: dict[Any, None]() for i in wanted}
    sample = _Spaced(n_kept)
    if source.at is None or wanted:
        n = 0
        for block in source.blocks():
            n += len(block)
            if wanted:
                _collect(open_table(block), values)
            if source.at is None:
                sample.add(block)
    assert n is not None
    if source.at is None:
        kept, numbers = joined(sample.parts), np.concatenate(sample.numbers)
    else:
        kept, numbers = _runs(source.at, n, n_kept)
    found = {i: list(column) for i, column in values.items()}
    whole = Table((n, head.shape[1]), head.names, head.kinds, found.__getitem__, head.order)
    return Survey(n, kept, numbers, whole)


def _collect(table: Table, values: dict[int, dict[Any, None]]) -> None:
    """Add the values of a block's columns to those found before."""
    for i, found in values.items():
        label = label_of(table.names, i)
        found.update(dict.fromkeys(distinct(table.cells(i), label)))
        if len(found) > MOST_LEVELS:
            raise ValueError(
                f"{label} holds more than {MOST_LEVELS} different values, too many for categories. "
                "Drop it if it is text or an identifier; convert it if it holds numbers."
            )


@dataclass
class _Spaced:
    """Every so many rows of a table whose length is not known: between ``n`` and ``2 * n``."""

    n: int
    every: int = 1
    n_seen: int = 0
    parts: list[Any] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)

    def add(self, block: Any) -> None:
        """Keep what is due of the rows that follow."""
        due = np.arange(-self.n_seen % self.every, len(block), self.every)
        if len(due):
            self.parts.append(take_rows(block, due))
            self.numbers.append(due + self.n_seen)
        self.n_seen += len(block)
        n_kept = -(-self.n_seen // self.every)
        if n_kept > 2 * self.n or len(self.parts) >= 256:
            self._merge(2 if n_kept > 2 * self.n else 1)

    def _merge(self, factor: int) -> None:
        self.every *= factor
        numbers = np.concatenate(self.numbers)
        kept = np.flatnonzero(numbers % self.every == 0)
        self.parts, self.numbers = [take_rows(joined(self.parts), kept)], [numbers[kept]]


def _runs(at: Callable[[slice], np.ndarray], n: int, n_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Return short runs of rows, evenly spaced, and their numbers."""
    if n <= n_kept:
        return at(slice(0, n)), np.arange(n)
    n_runs = min(RUNS, n_kept)
    length = n_kept // n_runs
    starts = np.linspace(0, n - length, n_runs).astype(np.int64)
    rows = [at(slice(start, start + length)) for start in starts.tolist()]
    return np.concatenate(rows), (starts[:, None] + np.arange(length)).ravel()
