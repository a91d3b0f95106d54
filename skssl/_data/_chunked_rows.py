"""Rows outside memory: batches, shuffled within a window that fits in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skssl._compat import take_rows
from skssl._data import Source
from skssl._data._draws import random_source, randperm
from skssl._data._rows import Rows, n_batches

WINDOW = 2**26  # cells shuffled together: 256 MB


@dataclass
class ChunkedRows:
    """Rows outside memory, read again in each pass.

    Parameters
    ----------
    source : Source
        Reads the rows.
    n : int
        Number of rows.
    read : callable
        Maps an array or dataframe of rows to their tensor.
    sample : Tensor of shape (n_kept, ...)
        Evenly spaced rows, as returned by ``read``.
    numbers : ndarray of shape (n_kept,), int64
        Indices of the sample, in ascending order.
    left_out : ndarray of shape (n_left_out,), int64
        Indices of the rows that are in no batch, in ascending order.
    n_taken : int, default=None
        Number of rows that a fit takes in all its passes; None if unknown.
    """

    source: Source
    n: int
    read: Callable[[Any], Tensor]
    sample: Tensor
    numbers: np.ndarray
    left_out: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    n_taken: int | None = None
    scale: None = None  # not per batch: windows hold scaled rows

    def __len__(self) -> int:
        """Return the number of rows of a pass."""
        return self.n - len(self.left_out)

    @property
    def parts(self) -> list[Any]:
        """Arrays that identify these rows."""
        return [self.sample, self.numbers, self.left_out, np.array(self.n)]

    @property
    def units(self) -> tuple[str, int]:
        """The unit of holding out, and the number of units."""
        return "rows", len(self)

    def scale_now(self, function: Callable[[Tensor], Tensor]) -> "ChunkedRows":
        """Return the rows with each block scaled after reading."""
        read = self.read
        return replace(self, read=lambda block: function(read(block)), sample=function(self.sample))

    def place_on(self, device: torch.device, n_taken: int) -> "ChunkedRows":
        """Return the rows for a fit that takes ``n_taken`` of them, batch by batch."""
        return replace(self, n_taken=n_taken)

    def cap(self, batch_size: int) -> int:
        """Return the number of rows of a batch, at most all rows."""
        return min(batch_size, len(self))

    def n_batches(self, batch_size: int) -> int:
        """Return the number of batches of one pass."""
        return n_batches(len(self), batch_size)

    def some(self, at_most: int | None = None) -> Tensor:
        """Return the sample, thinned evenly to ``at_most`` rows."""
        return self.sample if at_most is None else self.sample[:: -(-len(self.sample) // at_most)]

    def split(self, n: int) -> tuple["ChunkedRows", Rows]:
        """Hold out ``n`` sampled rows; return (the rest, the held-out)."""
        chosen = randperm(len(self.sample))[:n].sort().values
        left_out = np.union1d(self.left_out, self.numbers[chosen.numpy()])
        return replace(self, left_out=left_out), Rows(self.sample[chosen])

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield each row once; a last ragged batch only if it is the only one.

        Rows are shuffled within a window of many pieces, drawn from all parts of the data.
        """
        generator = generator or random_source()
        seed = int(torch.randint(2**62, (), generator=generator))  # training draws in between
        own = torch.Generator().manual_seed(seed)
        left, (size, share) = self.n_batches(batch_size), self._window(batch_size)
        n_pieces = len(self.source.pieces)
        pieces = _spread(n_pieces, ceil(n_pieces * size / share / self.n), own)
        for window in _windows(self._blocks(pieces, share), size):
            order = torch.randperm(len(window), generator=own)
            for rows in order.split(batch_size)[: max(0, left)]:
                yield (window[rows],)
            left -= ceil(len(window) / batch_size)

    def _window(self, batch_size: int) -> tuple[int, float]:
        """Return the number of rows of a window, and the share of a piece that goes into it.

        A fit that ends within a pass takes fewer rows of the same number of pieces, so that all
        windows are full.
        """
        left = self.n_batches(batch_size)
        most = ceil(left / ceil(left / max(1, WINDOW // self.sample[0].numel() // batch_size)))
        asked = left if self.n_taken is None else min(left, ceil(self.n_taken / batch_size))
        n_of_each = ceil(asked / ceil(asked / most))  # a small last window mixes little
        return min(len(self), n_of_each * batch_size), max(n_of_each / most, asked / left)

    def _blocks(self, pieces: Tensor, share: float) -> Iterator[Tensor]:
        """Yield an evenly spaced share of the rows of each block of pieces in the given order."""
        n, n_kept, n_given = 0, 0, 0
        for i in pieces.tolist():
            start = self.source.pieces[i].start
            for block in self.source.pieces[i].blocks():
                rows = self._kept(start, start + len(block)) - start
                n_kept += len(rows)
                n_due = ceil(n_kept * share) - n_given  # rounded up, or the last window lacks some
                if n_due:
                    rows = rows[(2 * np.arange(n_due) + 1) * len(rows) // (2 * n_due)]
                    yield self.read(block if n_due == len(block) else take_rows(block, rows))
                start, n, n_given = start + len(block), n + len(block), n_given + n_due
        if n != self.n:
            raise ValueError(
                f"A pass over X gave {n} rows, and the first {self.n}. X must have the same rows "
                "each time it is read: pass an object whose __iter__ starts again, and files that "
                "nobody writes to."
            )

    def _kept(self, start: int, stop: int) -> np.ndarray:
        """Return the indices of the rows that are not left out."""
        first, last = np.searchsorted(self.left_out, [start, stop])
        return np.delete(np.arange(start, stop), self.left_out[first:last] - start)


def _spread(n: int, n_strata: int, generator: torch.Generator) -> Tensor:
    """Return a random order of n pieces that takes from each stratum in turn.

    ``n_strata`` consecutive pieces come from all parts of the data, in which rows of one class or
    of one day may be adjacent.
    """
    stratum = torch.arange(n) * n_strata // n
    by_stratum = (stratum + torch.rand(n, generator=generator, dtype=torch.float64)).argsort()
    turn = torch.arange(n) - torch.searchsorted(stratum, stratum)  # in which it is taken
    return by_stratum[(turn + torch.rand(n, generator=generator, dtype=torch.float64)).argsort()]


def _windows(blocks: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """Yield blocks gathered into ``size`` rows; what was yielded is written over by the next."""
    window, filled = torch.empty(0), 0
    for block in blocks:
        while len(block):
            if not len(window):
                window = block.new_empty(size, *block.shape[1:])
            part, block = block.split([n := min(size - filled, len(block)), len(block) - n])
            window[filled : filled + n] = part
            filled += n
            if filled == size:
                yield window
                filled = 0
    if filled:
        yield window[:filled]
