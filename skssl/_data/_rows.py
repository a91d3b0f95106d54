"""The rows of a fit: how often each counts, its group, how it is scaled, and batches of rows."""

import bisect
import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from skssl._data._draws import random_source

BYTES_TO_MOVE = 2**30  # larger data is moved to an accelerator per batch


class RowsLike(Protocol):
    """The interface of rows, in memory or outside; see :class:`Rows`."""

    @property
    def scale(self) -> nn.Module | None: ...

    @property
    def parts(self) -> list[Any]: ...

    @property
    def units(self) -> tuple[str, int]: ...

    def __len__(self) -> int: ...

    def scale_now(self, function: Callable[[Tensor], Tensor]) -> Self: ...

    def place_on(self, device: torch.device, n_taken: int) -> Self: ...

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]: ...

    def cap(self, batch_size: int) -> int: ...

    def n_batches(self, batch_size: int) -> int: ...

    def some(self, at_most: int | None = None) -> Tensor: ...

    def split(self, n: int) -> "tuple[RowsLike, Rows]": ...


class Rows:
    """Rows in memory: tensors of equal length that are shuffled and cut into batches.

    Parameters
    ----------
    *tensors : Tensor
        Tensors of equal length, neither copied nor written to. The first is the encoder's input.
    scale : Module, default=None
        Scales the first tensor of each batch when the loop takes it; None if it is scaled
        already.
    index : Tensor of shape (n,), int64, default=None
        Indices of the rows of a pass, repeated by their weights; None is each row once.
    share : Tensor of shape (n,), float64, default=None
        Probability of each index to be in a pass, above 0 and at most 1; None is always.
    group : Tensor of shape (n,), int64, default=None
        Group of each index, from 0. A batch has at most one row of a group.
    """

    def __init__(
        self,
        *tensors: Tensor,
        scale: nn.Module | None = None,
        index: Tensor | None = None,
        share: Tensor | None = None,
        group: Tensor | None = None,
    ):
        self.tensors, self.scale, self.share, self.group = tensors, scale, share, group
        self.index = torch.arange(len(tensors[0])) if index is None else index

    def __len__(self) -> int:
        """Return the number of rows of a pass."""
        if self.share is None:
            return len(self.index)
        return int(self.share.sum() + 1e-6)  # rounding may leave it below a whole number

    @property
    def parts(self) -> list[Tensor]:
        """Tensors that identify these rows."""
        return [t for t in (*self.tensors, self.index, self.share, self.group) if t is not None]

    @property
    def masses(self) -> Tensor:
        """The number of rows of each group in a pass."""
        assert self.group is not None
        return torch.bincount(self.group, self.share).double()

    @property
    def units(self) -> tuple[str, int]:
        """The unit of holding out, and the number of units."""
        return ("rows", len(self)) if self.group is None else ("groups", len(self.masses))

    def scale_now(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the rows with their first tensor scaled at once."""
        return self._with(tensors=(function(self.tensors[0]), *self.tensors[1:]))

    def scale_later(self, scale: nn.Module) -> Self:
        """Return the rows with their first tensor scaled batch by batch."""
        return self._with(scale=scale)

    def select(self, places: Tensor) -> Self:
        """Return the rows at the given places, without a copy."""
        share = None if self.share is None else self.share[places]
        group = None if self.group is None else self.group[places].unique(return_inverse=True)[1]
        return self._with(index=self.index[places], share=share, group=group)

    def place_on(self, device: torch.device, n_taken: int) -> Self:
        """Move the rows to a device unless they are large; those are moved per batch.

        ``n_taken``, the number of rows of all passes, only matters to rows outside memory.
        """
        if device.type == "cpu" or sum(t.nbytes for t in self.tensors) > BYTES_TO_MOVE:
            return self
        return self._with(tensors=tuple(t.to(device) for t in self.tensors))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Return batches that hold each row once, in random order; one is ragged only if alone.

        Of a group with more rows than batches, a random subset takes part.
        """
        generator = generator or random_source()
        order = self._draw(generator)
        if self.group is not None:
            return map(self._take, self._deal(order, batch_size, generator))
        n_whole = n_batches(len(order), batch_size) * batch_size
        return map(self._take, order[:n_whole].split(batch_size))

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
        """Return batches of all rows in order, the last maybe ragged; rows of groups are drawn."""
        if self.group is not None:
            return self.batches(self.cap(batch_size))
        return map(self._take, torch.arange(len(self.index)).split(batch_size))

    def cap(self, batch_size: int) -> int:
        """Return the number of rows of a batch, limited by the number of rows and of groups.

        The number of groups is 1 / the sum of their squared shares: one large and many tiny
        groups, which soon run out of rows, count as little more than one.
        """
        if self.group is None:
            return min(batch_size, len(self))
        mass = self.masses
        return max(2, min(batch_size, int(mass.sum() ** 2 / mass.square().sum() + 1e-6)))

    def n_batches(self, batch_size: int) -> int:
        """Return the number of batches of one pass."""
        if self.group is None:
            return n_batches(len(self), batch_size)
        return _n_dealt(self.masses, batch_size)

    def some(self, at_most: int | None = None) -> Tensor:
        """Return the first tensor's rows of a pass, thinned evenly to ``at_most`` rows.

        It is the same pass at every call.
        """
        index = self.index
        if self.share is not None:
            index = index[self._draw(torch.Generator().manual_seed(0)).sort().values]
        return self.tensors[0][index if at_most is None else index[:: -(-len(index) // at_most)]]

    def split(self, n: int) -> tuple[Self, Self]:
        """Hold out ``n`` rows of a pass, or whole groups; return (the rest, the held-out)."""
        drawn = self._draw()
        held_out = torch.zeros(len(self.index), dtype=torch.bool)
        if self.group is None:
            held_out[drawn[:n]] = True
            return self.select(~held_out), self._with(index=self.index[drawn[:n]], share=None)
        of = self.group[drawn]
        chosen = torch.isin(of, of.unique_consecutive()[:n])
        held_out = torch.isin(self.group, of[chosen])
        rows, group = drawn[chosen], of[chosen].unique(return_inverse=True)[1]
        return self.select(~held_out), self._with(index=self.index[rows], share=None, group=group)

    def _with(self, **changes: Any) -> Self:
        new = copy.copy(self)
        vars(new).update(changes)
        return new

    def _take(self, rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(t[self.index[rows]] for t in self.tensors)

    def _draw(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw a pass: places in ``index`` in random order, those of a group together."""
        generator = generator or random_source()
        order = torch.randperm(len(self.index), generator=generator)
        if self.group is not None:
            place = torch.randperm(int(self.group.max()) + 1, generator=generator)
            order = order[place[self.group[order]].argsort(stable=True)]
        if self.share is None:
            return order
        # Take the places where the running sum of shares passes a whole number.
        start = torch.rand((), generator=generator, dtype=torch.float64)
        passed = (self.share[order].cumsum(0) + start).floor()
        return order[passed.diff(prepend=passed.new_zeros(1)) > 0]

    def _deal(
        self, order: Tensor, batch_size: int, generator: torch.Generator | None
    ) -> Iterator[Tensor]:
        """Assign rows to batches in turn, so that rows of a group go to different batches."""
        assert self.group is not None
        sizes = self.group[order].unique_consecutive(return_counts=True)[1]
        batch_size = min(batch_size, len(sizes))
        if batch_size < 2:  # with small shares, a pass may have rows of one group only
            return
        n = _n_dealt(sizes, batch_size)
        rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        dealt = order[rank < n][: n * batch_size].view(batch_size, n).T
        yield from dealt[torch.randperm(n, generator=generator)]


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return the number of batches of one pass over the rows."""
    return max(1, n_rows // batch_size)


def _n_dealt(sizes: Tensor, batch_size: int) -> int:
    """Return the number of batches that can be filled with at most one row of a group each."""

    def is_too_many(n: int) -> bool:
        return float(sizes.clamp(max=n).sum()) < n * batch_size - 1e-6

    most = n_batches(int(sizes.sum() + 1e-6), batch_size)
    return max(1, bisect.bisect_left(range(1, most + 1), True, key=is_too_many))


def hold_out(rows: RowsLike, fraction: float) -> tuple[RowsLike, Rows]:
    """Split rows into those to train on and those held out for early stopping."""
    what, n = rows.units
    n_held_out = max(2, round(fraction * n))
    if n - n_held_out < 2:
        name = "n_samples" if what == "rows" else "n_groups"
        raise ValueError(
            f"Early stopping holds {n_held_out} {what} out, which leaves {n - n_held_out} of "
            f"{name} = {n} to train on; at least 2 are needed. Pass more {what}, or "
            "n_iter_no_change=None."
        )
    return rows.split(n_held_out)
