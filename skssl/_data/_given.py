"""Sample weights and groups of a fit: checked and joined to the rows."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skssl._compat import count_rows, take_rows
from skssl._data._containers import as_floats, as_native
from skssl._data._labels import read_column, read_groups
from skssl._data._rows import Rows
from skssl._data._sources import Source

NO_CELL = -1.2345678901234567e300  # value of a missing cell in a hash

BYTES_OF_AN_INDEX = 24  # of a row in a pass: its index, share and place
MOST_BYTES, MOST_TIMES = 2**32, 4  # weights may make a pass that large, or this mean weight
MANY_ROWS, MANY_TIMES = 2**20, 100  # likewise in rows: more of them take too long

CELLS_AT_ONCE = 2**15  # hashed per chunk, which fits the cache


@dataclass
class Given:
    """Rows of the user without those of weight 0, and their weights and groups."""

    X: Any
    weight: np.ndarray | None = None
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, X: Any, sample_weight: Any, groups: Any, suffix: str = "") -> Self:
        """Check the arguments; ``suffix`` is the end of their names, for messages."""
        X = as_native(X)
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
        if weight is not None:
            _check_total(weight, X, f"sample_weight{suffix}")
        if groups is not None:
            groups = read_groups(groups, n, f"groups{suffix}")
        if weight is None or weight.all():
            return cls(X, weight, groups)
        kept = np.flatnonzero(weight)
        return cls(take_rows(X, kept), weight[kept], None if groups is None else groups[kept])

    def repeat(self) -> Any:
        """Repeat each row by its rounded weight, at least once."""
        if self.weight is None or (self.weight == 1).all():
            return self.X
        times = np.maximum(1, np.rint(self.weight)).astype(np.int64)
        return take_rows(self.X, np.arange(len(times)).repeat(times))


def refuse_to_join(X: Any, more: list[Any]) -> Any:
    """Return X; raise if it is read in parts and other rows were given too."""
    if more and any(isinstance(part, Source) for part in (X, *more)):
        raise ValueError(
            "X or X_unlabeled is too large for memory, and is read in parts: pass all "
            "rows as X, in one folder or dataset. Labels are not looked at."
        )
    return X


def check_weight(weight: Any, n: int, name: str) -> np.ndarray | None:
    """Return weights as (n,) float64."""
    if weight is None:
        return None
    known, present = read_column(weight, name)
    array = np.full(len(present), np.nan)
    array[present] = as_floats(
        known, name, "Expected one number for each row; 0 leaves a row out.", np.float64
    )
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


def _check_total(weight: np.ndarray, X: Any, name: str) -> None:
    """Raise, before rows are repeated, if their weights make far too many of them."""
    n, top = len(weight), float(weight.max())
    mean = float((weight / top).mean()) * top  # numpy warns of a sum beyond floats
    n_rows = mean * n
    size = n_rows * (_bytes_of_a_row(X) + BYTES_OF_AN_INDEX)
    is_large = size > MOST_BYTES and mean > MOST_TIMES
    if is_large or (n_rows > MANY_ROWS and mean > MANY_TIMES):
        raise ValueError(
            f"{name} adds up to {n_rows:.3g} rows, for {n} rows of X: a weight is how many times a "
            f"row counts, and all of these would take {size / 2**30:.3g} GiB in each pass. Divide "
            f"the weights by their mean, {mean:.6g}, so that a pass has {n} rows."
        )


def _bytes_of_a_row(X: Any) -> float:
    """Return about how many bytes a row takes once it is read."""
    shape = getattr(X, "shape", None)
    if shape is None and hasattr(X, "__array__"):
        shape = np.asarray(X).shape
    if shape is None:
        first = X[0] if len(X) else ()
        shape = (len(X), *(() if isinstance(first, str) else np.shape(first)))
    return 8.0 * math.prod(shape[1:])


def make_rows(x: Tensor, parts: list[Given]) -> Rows:
    """Return the rows in a canonical order, independent of the order of X.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        The rows of all parts, not copied.
    parts : list of Given
        Their weights and groups.

    Returns
    -------
    rows : Rows
        A row of weight 2.3 is in it twice, and once more with a share of 0.3. Equal rows are
        adjacent, so that a weight of 2 equals passing a row twice.
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
    """Concatenate the weights or groups of all parts; parts without them get the default."""
    if all(array is None for array in given):
        return None
    return np.concatenate(
        [
            np.full(count_rows(part.X), default) if array is None else array
            for array, part in zip(given, parts, strict=True)
        ]
    )


def _codes(groups: np.ndarray) -> np.ndarray:
    """Encode groups as integers; a row without a group becomes its own group."""
    groups = groups.copy()
    for row in np.flatnonzero(pd.isna(groups)):
        groups[row] = object()  # not equal to any other group
    return pd.factorize(groups)[0].astype(np.int64)


def _check_enough(rows: Rows, weight: np.ndarray | None) -> None:
    if weight is not None and len(rows) < 2:
        raise ValueError(
            f"The weights add up to {weight.sum():g}: a weight is how many times a row counts, and "
            "at least 2 rows are needed. Multiply them, so that their mean is 1 for example."
        )
    if rows.group is not None and not rows.group.any():
        raise ValueError(
            "All rows are of one group, and a batch has at most one row of each: at least 2 "
            "groups are needed. Pass groups=None, or what tells the rows apart."
        )


def hashes(x: Tensor) -> np.ndarray:
    """Hash each row to a number, (n,) uint64, that depends on its values only.

    Sums of integers are exact in any order; sums of floats are not, and training would amplify the
    difference.
    """
    factors = np.random.default_rng(0).integers(2**64, size=x[0].numel(), dtype=np.uint64) | 1
    out = np.empty(len(x), dtype=np.uint64)
    at_once = max(1, CELLS_AT_ONCE // len(factors))
    for start in range(0, len(x), at_once):
        cells = x[start : start + at_once].flatten(1).double().nan_to_num(nan=NO_CELL)
        bits = cells.add_(0.0).numpy().view(np.uint64)  # -0.0 + 0.0 is 0.0
        bits ^= bits >> np.uint64(32)  # round numbers end in many zero bits
        out[start : start + at_once] = bits @ factors
    return out
