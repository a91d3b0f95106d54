"""What the user gave a fit beside X: weights and groups, checked and joined to the rows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skssl._compat import count_rows, take_rows
from skssl._data._rows import Rows
from skssl._data._sources import Source

NO_CELL = -1.2345678901234567e300  # what a missing cell counts as in a hash


CELLS_AT_ONCE = 2**15  # are hashed, which caches hold


@dataclass
class Given:
    """Rows as the user gave them, without those of weight 0, and their weights and groups."""

    X: Any
    weight: np.ndarray | None = None
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, X: Any, sample_weight: Any, groups: Any, suffix: str = "") -> Self:
        """Check what was given; ``suffix`` is that of the arguments' names."""
        if sample_weight is None and groups is None:
            return cls(X)
        if isinstance(X, Source):
            raise ValueError(
                f"sample_weight{suffix} and groups{suffix} need rows in memory, and X is larger "
                "than that and read in parts, in another order in each pass. Pass "
                "a sample of X as an array or DataFrame, or leave them out."
            )
        n = count_rows(X)
        weight = check_weight(sample_weight, n, f"sample_weight{suffix}")
        groups = _check_groups(groups, n, f"groups{suffix}")
        if weight is None or weight.all():
            return cls(X, weight, groups)
        kept = np.flatnonzero(weight)
        return cls(take_rows(X, kept), weight[kept], None if groups is None else groups[kept])

    def repeat(self) -> Any:
        """Return each row as often as its weight says, rounded, but at least once."""
        if self.weight is None or (self.weight == 1).all():
            return self.X
        times = np.maximum(1, np.rint(self.weight)).astype(np.int64)
        return take_rows(self.X, np.arange(len(times)).repeat(times))


def refuse_to_join(X: Any, more: list[Any]) -> Any:
    """Return X; raise if it is read in parts and other rows were given too."""
    if more and any(isinstance(part, Source) for part in (X, *more)):
        raise ValueError(
            "X or X_unlabeled is larger than memory shall hold, and is read in parts: pass all "
            "rows as X, in one folder or dataset. Labels are not looked at."
        )
    return X


def check_weight(weight: Any, n: int, name: str) -> np.ndarray | None:
    """Return weights as (n,) float64."""
    if weight is None:
        return None
    try:
        array = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, one for each row, got {weight!r}.") from error
    if array.shape != (n,):
        raise ValueError(
            f"{name} must be of shape ({n},), one weight for each row, got {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise ValueError(f"{name} must be finite, got {bad}. A row of weight 0 is left out.")
    if (array < 0).any():
        raise ValueError(f"{name} must not be negative, got {array.min()}. 0 leaves a row out.")
    if not array.any():
        raise ValueError(f"{name} is zero for all rows: at least one non-zero weight is needed.")
    return array


def _check_groups(groups: Any, n: int, name: str) -> np.ndarray | None:
    """Return groups as an array (n,) of objects."""
    if groups is None:
        return None
    array = np.asarray(groups, dtype=object)
    if array.shape != (n,):
        raise ValueError(f"{name} must be of shape ({n},), one for each row, got {array.shape}.")
    return array


def make_rows(x: Tensor, parts: list[Given]) -> Rows:
    """Return rows in an order that is theirs, whatever the order they were given in.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        The rows of all parts. Not copied.
    parts : list of Given
        Their weights and groups.

    Returns
    -------
    rows : Rows
        A row of weight 2.3 stands there twice, and once with a share of 0.3. Equal rows stand
        together, so that a row of weight 2 is a row given twice.
    """
    weight = _join([part.weight for part in parts], parts, 1.0)
    groups = _join([part.groups for part in parts], parts, None)
    order, share = hashes(x).argsort(kind="stable"), None
    if weight is not None:
        order = np.lexsort((weight, hashes(x)))
        whole = np.floor(weight[order])
        times = np.ceil(weight[order]).astype(np.int64)
        if (times > whole).any():
            share = np.ones(times.sum())
            share[times.cumsum() - 1] = np.where(times > whole, weight[order] - whole, 1.0)
        order = order.repeat(times)
    rows = Rows(
        x,
        index=torch.from_numpy(order),
        share=None if share is None else torch.from_numpy(share),
        group=None if groups is None else torch.from_numpy(_codes(groups[order])),
    )
    _check_enough(rows, weight)
    return rows


def _join(given: list[Any], parts: list[Given], default: Any) -> np.ndarray | None:
    """Return the weights or groups of all parts, the default where one has none."""
    if all(array is None for array in given):
        return None
    return np.concatenate(
        [
            np.full(count_rows(part.X), default) if array is None else array
            for array, part in zip(given, parts, strict=True)
        ]
    )


def _codes(groups: np.ndarray) -> np.ndarray:
    """Return groups as numbers from 0 on; a row without one is a group of its own."""
    groups = groups.copy()
    for row in np.flatnonzero(pd.isna(groups)):
        groups[row] = object()  # equal to nothing else
    return pd.factorize(groups)[0].astype(np.int64)


def _check_enough(rows: Rows, weight: np.ndarray | None) -> None:
    if weight is not None and len(rows) < 2:
        raise ValueError(
            f"The weights add up to {weight.sum():g}: they say how often a row stands there, and "
            "at least 2 rows are needed. Multiply them, so that their mean is 1 for example."
        )
    if rows.group is not None and not rows.group.any():
        raise ValueError(
            "All rows are of one group, and a batch has at most one row of each: at least 2 "
            "groups are needed. Pass groups=None, or what tells the rows apart."
        )


def hashes(x: Tensor) -> np.ndarray:
    """Return a number for each row, (n,) uint64, that depends on its values alone.

    Sums of integers are exact, in whichever order they are made; those of floats are not, and
    training would make more of the difference.
    """
    factors = np.random.default_rng(0).integers(2**64, size=x[0].numel(), dtype=np.uint64) | 1
    out = np.empty(len(x), dtype=np.uint64)
    at_once = max(1, CELLS_AT_ONCE // len(factors))
    for start in range(0, len(x), at_once):
        cells = x[start : start + at_once].flatten(1).double().nan_to_num(nan=NO_CELL)
        bits = cells.add_(0.0).numpy().view(np.uint64)  # -0.0 + 0.0 is 0.0
        bits ^= bits >> np.uint64(32)  # round numbers end in many zeros
        out[start : start + at_once] = bits @ factors
    return out
