"""Rows outside memory: batches of them, shuffled within a window that memory holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skssl._inputs import Piece, Source
from skssl._rows import Rows, n_batches

WINDOW = 2**26  # cells that are shuffled together: 256 MB


@dataclass
class ChunkedRows:
    """Rows outside memory, that are read anew in each pass.

    Parameters
    ----------
    source : Source
        Reads them.
    n : int
        How many there are.
    read : callable
        From an array or frame of some of them to their tensor.
    sample : Tensor of shape (n_kept, ...)
        Some of them, evenly spaced, as ``read`` returns them.
    numbers : ndarray of shape (n_kept,), int64
        Which ones these are, in ascending order.
    left_out : ndarray of shape (n_left_out,), int64
        The numbers of rows that are in no batch, in ascending order.
    """

    source: Source
    n: int
    read: Callable[[Any], Tensor]
    sample: Tensor
    numbers: np.ndarray
    left_out: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        """Return the number of rows of a pass."""
        return self.n - len(self.left_out)

    @property
    def parts(self) -> list[Any]:
        """What tells these rows from others."""
        return [self.sample, self.numbers, self.left_out, np.array(self.n)]

    @property
    def units(self) -> tuple[str, int]:
        """What can be held out, and how much of it there is."""
        return "rows", len(self)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "ChunkedRows":
        """Return the rows as a function makes them."""
        read = self.read
        return replace(self, read=lambda block: function(read(block)), sample=function(self.sample))

    def placed(self, device: torch.device) -> "ChunkedRows":
        """Return the rows as they are: they come batch by batch."""
        return self

    def capped(self, batch_size: int) -> int:
        """Return how many rows a batch has: no more than there are."""
        return min(batch_size, len(self))

    def n_batches(self, batch_size: int) -> int:
        """Return how many batches one pass makes."""
        return n_batches(len(self), batch_size)

    def some(self, at_most: int | None = None) -> Tensor:
        """Return the sample; of more than ``at_most`` rows every so many."""
        return self.sample if at_most is None else self.sample[:: -(-len(self.sample) // at_most)]

    def split(self, n: int) -> tuple["ChunkedRows", Rows]:
        """Return the rows without ``n`` of the sample, or all of it, and those."""
        chosen = torch.randperm(len(self.sample))[:n].sort().values
        left_out = np.union1d(self.left_out, self.numbers[chosen.numpy()])
        return replace(self, left_out=left_out), Rows(self.sample[chosen])

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield each row once; a last ragged batch only if it is the only one.

        Rows are shuffled within a window of many pieces, which are drawn from all over the data.
        """
        seed = int(torch.randint(2**62, (), generator=generator))  # training draws in between
        own = torch.Generator().manual_seed(seed)
        left = self.n_batches(batch_size)
        n_windows = ceil(left / max(1, WINDOW // self.sample[0].numel() // batch_size))
        size = min(len(self), ceil(left / n_windows) * batch_size)  # a small last one mixes little
        n_pieces = len(self.source.pieces)
        pieces = _spread(n_pieces, ceil(n_pieces * size / self.n), own)
        for window in _windows(self._blocks(pieces), size):
            order = torch.randperm(len(window), generator=own)
            for rows in order.split(batch_size)[: max(0, left)]:
                yield (window[rows],)
            left -= ceil(len(window) / batch_size)

    def _blocks(self, pieces: Tensor) -> Iterator[Tensor]:
        """Yield the blocks of pieces in some order."""
        n = 0
        for i in pieces.tolist():
            for block in self._tensors(self.source.pieces[i]):
                n += len(block)
                yield block
        if n != len(self):
            raise ValueError(
                f"A pass over X gave {n + len(self.left_out)} rows, and the first {self.n}. X must "
                "have the same rows each time it is read: pass an object whose __iter__ starts "
                "anew, and files that nobody writes to."
            )

    def _tensors(self, piece: Piece) -> Iterator[Tensor]:
        """Yield the blocks of a piece without the rows that are left out."""
        start = piece.start
        for block in piece.blocks():
            x = self.read(block)
            first, last = np.searchsorted(self.left_out, [start, start + len(x)])
            if first < last:
                kept = torch.ones(len(x), dtype=torch.bool)
                kept[torch.from_numpy(self.left_out[first:last] - start)] = False
                start, x = start + len(x), x[kept]
            else:
                start += len(x)
            yield x


def _spread(n: int, n_strata: int, generator: torch.Generator) -> Tensor:
    """Return numbers to n in an order that is random, but takes from each stratum in turn.

    So many numbers in a row as there are strata come from all over the data, in which rows of one
    class or of one day may stand together.
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
