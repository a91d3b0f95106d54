"""Survey of a table outside memory before training: its categories, and a sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skssl._compat import take_rows
from skssl._data._containers import Table, label_of, open_table
from skssl._data._sources import Source, concatenate
from skssl._data._table import distinct

SAMPLE_ROWS = 2**17  # evenly spaced rows from which scaling and parts of a method are learned,
SAMPLE_CELLS = 2**24  # and the greatest number of their cells
RUNS = 1024  # of consecutive rows that hold them, if rows can be read in any order
MOST_LEVELS = 2**20  # categories of a column, which must fit in memory


@dataclass
class Survey:
    """Evenly spaced rows of a table, their indices, and all values of some of its columns."""

    n_rows: int
    sample: Any
    numbers: np.ndarray
    table: Table


def survey(source: Source, wanted: list[int]) -> Survey:
    """Read a sample of the rows, and all values of the columns ``wanted``.

    All rows are read once, unless rows can be read in any order and no column is wanted.
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
        kept, numbers = concatenate(sample.parts), np.concatenate(sample.numbers)
    else:
        kept, numbers = _runs(source.at, n, n_kept)
    found = {i: list(column) for i, column in values.items()}
    whole = Table(
        (n, head.shape[1]),
        head.names,
        head.kinds,
        lambda i: found.get(i, []),
        head.orders,
        refused=head.refused,
    )
    return Survey(n, kept, numbers, whole)


def _collect(table: Table, values: dict[int, dict[Any, None]]) -> None:
    """Add the values of a block's columns to those found so far."""
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
    """Evenly spaced rows of a table of unknown length: between ``n`` and ``2 * n`` rows."""

    n: int
    every: int = 1
    n_seen: int = 0
    parts: list[Any] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)

    def add(self, block: Any) -> None:
        """Keep the due rows among the next ones."""
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
        self.parts, self.numbers = [take_rows(concatenate(self.parts), kept)], [numbers[kept]]


def _runs(at: Callable[[slice], np.ndarray], n: int, n_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Return short, evenly spaced runs of rows, and their indices."""
    if n <= n_kept:
        return at(slice(0, n)), np.arange(n)
    n_runs = min(RUNS, n_kept)
    length = n_kept // n_runs
    starts = np.linspace(0, n - length, n_runs).astype(np.int64)
    rows = [at(slice(start, start + length)) for start in starts.tolist()]
    return np.concatenate(rows), (starts[:, None] + np.arange(length)).ravel()
