"""The rows of a fit: how often each counts, its group, how it is scaled, and batches of rows."""

import bisect
import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

BYTES_TO_MOVE = 2**30  # larger data comes to an accelerator batch by batch


class RowsLike(Protocol):
    """What a fit asks of its rows, wherever they are; the rows in memory below say what it is."""

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
        Tensors of one length, neither copied nor written to. The first is what encoders read.
    scale : Module, default=None
        What the first tensor of each batch is scaled by when the loop takes it; None where it
        is scaled already.
    index : Tensor of shape (n,), int64, default=None
        Which of their rows there are, each as often as it stands there; None is each once.
    share : Tensor of shape (n,), float64, default=None
        How likely each of those is to be in a pass, above 0 and at most 1; None is always.
    group : Tensor of shape (n,), int64, default=None
        The group of each, counted from 0. A batch has at most one row of a group.
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
        return int(self.share.sum() + 1e-6)  # but for rounding a whole number may be less

    @property
    def parts(self) -> list[Tensor]:
        """All that there is of the rows."""
        return [t for t in (*self.tensors, self.index, self.share, self.group) if t is not None]

    @property
    def masses(self) -> Tensor:
        """The number of rows of each group in a pass."""
        assert self.group is not None
        return torch.bincount(self.group, self.share).double()

    @property
    def units(self) -> tuple[str, int]:
        """What can be held out, and how much of it there is."""
        return ("rows", len(self)) if self.group is None else ("groups", len(self.masses))

    def scale_now(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the rows with their first tensor scaled at once."""
        return self._with(tensors=(function(self.tensors[0]), *self.tensors[1:]))

    def scale_later(self, scale: nn.Module, *, keeps_raw: bool = False) -> Self:
        """Return the rows with their first tensor scaled batch by batch.

        With ``keeps_raw`` a batch holds, behind the scaled rows, the same as they were read.
        """
        return self._with(tensors=self.tensors[: int(keeps_raw)] + self.tensors, scale=scale)

    def select(self, places: Tensor) -> Self:
        """Return the rows at some places, not copied."""
        share = None if self.share is None else self.share[places]
        group = None if self.group is None else self.group[places].unique(return_inverse=True)[1]
        return self._with(index=self.index[places], share=share, group=group)

    def place_on(self, device: torch.device, n_taken: int) -> Self:
        """Return the rows as a device reads them best: on it, unless they are many bytes.

        How many a fit takes of them, in all its passes, matters to those outside memory only.
        """
        different = {id(t): t for t in self.tensors}  # rows kept raw stand there twice
        if device.type == "cpu" or sum(t.nbytes for t in different.values()) > BYTES_TO_MOVE:
            return self
        moved = {key: t.to(device) for key, t in different.items()}
        return self._with(tensors=tuple(moved[id(t)] for t in self.tensors))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield each row once, in random order; a last ragged batch only if it is the only one.

        Of a group that has more rows than there are batches, so many take part as there are.
        """
        order = self._draw(generator)
        if self.group is not None:
            yield from map(self._take, self._deal(order, batch_size, generator))
            return
        for rows in order[: n_batches(len(order), batch_size) * batch_size].split(batch_size):
            yield self._take(rows)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the rows as they stand, the ragged last batch included; groups are drawn."""
        if self.group is not None:
            yield from self.batches(self.cap(batch_size))
            return
        for rows in torch.arange(len(self.index)).split(batch_size):
            yield self._take(rows)

    def cap(self, batch_size: int) -> int:
        """Return how many rows a batch has: no more than there are, nor than there are groups.

        Groups are counted by their sizes, as 1 / the sum of squared shares: one large and many
        tiny ones, which soon have no row left, count little more than one.
        """
        if self.group is None:
            return min(batch_size, len(self))
        mass = self.masses
        return max(2, min(batch_size, int(mass.sum() ** 2 / mass.square().sum() + 1e-6)))

    def n_batches(self, batch_size: int) -> int:
        """Return how many batches one pass makes."""
        if self.group is None:
            return n_batches(len(self), batch_size)
        return _n_dealt(self.masses, batch_size)

    def some(self, at_most: int | None = None) -> Tensor:
        """Return the first tensor's rows of a pass; of more than ``at_most`` every so many.

        It is the same pass at every call.
        """
        index = self.index
        if self.share is not None:
            index = index[self._draw(torch.Generator().manual_seed(0)).sort().values]
        return self.tensors[0][index if at_most is None else index[:: -(-len(index) // at_most)]]

    def split(self, n: int) -> tuple[Self, Self]:
        """Return the rows without ``n`` of a pass, and those; with groups, ``n`` whole groups."""
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
        """Return the places in ``index`` of a pass in random order, those of a group together."""
        order = torch.randperm(len(self.index), generator=generator)
        if self.group is not None:
            place = torch.randperm(int(self.group.max()) + 1, generator=generator)
            order = order[place[self.group[order]].argsort(stable=True)]
        if self.share is None:
            return order
        # Wherever the running sum passes a whole number: a pass is as long as shares add up to.
        start = torch.rand((), generator=generator, dtype=torch.float64)
        passed = (self.share[order].cumsum(0) + start).floor()
        return order[passed.diff(prepend=passed.new_zeros(1)) > 0]

    def _deal(
        self, order: Tensor, batch_size: int, generator: torch.Generator | None
    ) -> Iterator[Tensor]:
        """Deal rows out to batches in turn: one after another those of a group miss no batch."""
        assert self.group is not None
        sizes = self.group[order].unique_consecutive(return_counts=True)[1]
        batch_size = min(batch_size, len(sizes))
        if batch_size < 2:  # a pass of small shares may have rows of one group only: no batch
            return
        n = _n_dealt(sizes, batch_size)
        rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        dealt = order[rank < n][: n * batch_size].view(batch_size, n).T
        yield from dealt[torch.randperm(n, generator=generator)]


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return how many batches one pass over the rows makes."""
    return max(1, n_rows // batch_size)


def _n_dealt(sizes: Tensor, batch_size: int) -> int:
    """Return how many batches can be filled, a group of any size giving each at most one row."""

    def is_too_many(n: int) -> bool:
        return float(sizes.clamp(max=n).sum()) < n * batch_size - 1e-6

    most = n_batches(int(sizes.sum() + 1e-6), batch_size)
    return max(1, bisect.bisect_left(range(1, most + 1), True, key=is_too_many))


def hold_out(rows: RowsLike, fraction: float) -> tuple[RowsLike, Rows]:
    """Return the rows to train on, and those that early stopping looks at."""
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
