"""The rows of a fit: how often each stands there, in which group, and batches of them."""

import bisect
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

BYTES_TO_MOVE = 2**30  # larger data comes to an accelerator batch by batch


class Shuffled(Protocol):
    """What a fit asks of its rows, wherever they are; the rows in memory below say what it is."""

    @property
    def parts(self) -> list[Any]: ...

    @property
    def units(self) -> tuple[str, int]: ...

    def __len__(self) -> int: ...

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Shuffled": ...

    def placed(self, device: torch.device, n_taken: int) -> "Shuffled": ...

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]: ...

    def capped(self, batch_size: int) -> int: ...

    def n_batches(self, batch_size: int) -> int: ...

    def some(self, at_most: int | None = None) -> Tensor: ...

    def split(self, n: int) -> tuple["Shuffled", "Rows"]: ...


class Rows:
    """Rows in memory: tensors of equal length that are shuffled and cut into batches.

    Parameters
    ----------
    *tensors : Tensor
        Tensors of one length, neither copied nor written to.
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
        index: Tensor | None = None,
        share: Tensor | None = None,
        group: Tensor | None = None,
    ):
        self.tensors, self.share, self.group = tensors, share, group
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

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Rows":
        """Return the same rows of what a function makes of the tensors."""
        tensors = map(function, self.tensors)
        return Rows(*tensors, index=self.index, share=self.share, group=self.group)

    def placed(self, device: torch.device, n_taken: int) -> "Rows":
        """Return the rows as a device reads them best: on it, unless they are many bytes.

        How many a fit takes of them, in all its passes, matters to those outside memory only.
        """
        if device.type == "cpu" or sum(t.nbytes for t in self.tensors) > BYTES_TO_MOVE:
            return self
        return self.mapped(lambda t: t.to(device))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield each row once, in random order; a last ragged batch only if it is the only one.

        Of a group that has more rows than there are batches, so many take part as there are.
        """
        order = self._drawn(generator)
        if self.group is not None:
            yield from map(self._take, self._dealt(order, batch_size, generator))
            return
        for rows in order[: n_batches(len(order), batch_size) * batch_size].split(batch_size):
            yield self._take(rows)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the rows as they stand, the ragged last batch included; groups are drawn."""
        if self.group is not None:
            yield from self.batches(self.capped(batch_size))
            return
        for rows in torch.arange(len(self.index)).split(batch_size):
            yield self._take(rows)

    def capped(self, batch_size: int) -> int:
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
            index = index[self._drawn(torch.Generator().manual_seed(0)).sort().values]
        return self.tensors[0][index if at_most is None else index[:: -(-len(index) // at_most)]]

    def split(self, n: int) -> tuple["Rows", "Rows"]:
        """Return the rows without ``n`` of a pass, and those; with groups, ``n`` whole groups."""
        drawn = self._drawn()
        held_out = torch.zeros(len(self.index), dtype=torch.bool)
        if self.group is None:
            held_out[drawn[:n]] = True
            return self._part(~held_out), Rows(*self.tensors, index=self.index[drawn[:n]])
        of = self.group[drawn]
        chosen = torch.isin(of, of.unique_consecutive()[:n])
        held_out = torch.isin(self.group, of[chosen])
        rows, group = drawn[chosen], of[chosen].unique(return_inverse=True)[1]
        return self._part(~held_out), Rows(*self.tensors, index=self.index[rows], group=group)

    def _part(self, mask: Tensor) -> "Rows":
        share = None if self.share is None else self.share[mask]
        group = None if self.group is None else self.group[mask].unique(return_inverse=True)[1]
        return Rows(*self.tensors, index=self.index[mask], share=share, group=group)

    def _take(self, rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(t[self.index[rows]] for t in self.tensors)

    def _drawn(self, generator: torch.Generator | None = None) -> Tensor:
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

    def _dealt(
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


def hold_out(rows: Shuffled, fraction: float) -> tuple[Shuffled, Rows]:
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
