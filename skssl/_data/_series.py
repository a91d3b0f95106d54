"""The reader of time series: one tensor (n, channels, time), padded with NaN."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch

from skssl._data._containers import (
    as_array,
    as_column,
    as_floats,
    as_numbers,
    check_n_samples,
    is_frame,
    join_padded,
    to_tensor,
)
from skssl._data._masked import unmask

MAKE_SERIES = (
    "Pass series as (n, channels, time), as a list of arrays (channels, time) of different "
    "lengths, or, with modality='series', one channel as (n, time)."
)


class SeriesReader:
    """Turn series of equal or different lengths into one float32 tensor, padded with NaN.

    Attributes
    ----------
    n_channels : int
        Number of channels of the series seen in ``fit``. Lengths may differ between calls.
    """

    _saved_as = "SeriesReader"
    modality = "series"
    columns = None
    n_channels: int

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the number of channels."""
        array = _as_series(X)
        if np.isnan(array).all() and all(np.isnan(_as_series(part)).all() for part in more):
            raise ValueError(
                f"All {len(array)} series are NaN throughout: there is nothing to learn "
                "from. Check how they were read; NaN marks a missing value."
            )
        self.n_channels = array.shape[1]
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, channels, time) on the CPU."""
        array = _as_series(X)
        if array.shape[1] != self.n_channels:
            raise ValueError(
                f"X has series of {array.shape[1]} channels, but {self.n_channels} were seen in "
                "fit. Arrays are (n, channels, time): swap the axes if time comes first."
            )
        check_n_samples(array.shape, ensure_min_samples)
        return to_tensor(array)

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield a series of zeros of each of some lengths, as ``read`` returns it."""
        yield from (torch.zeros(1, self.n_channels, n) for n in (64, 1024, 8))

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``, padded to the greater length."""
        return join_padded(first, second, torch.nan)


def is_ragged(X: Any) -> bool:
    """Tell whether X is a list of numeric arrays of different lengths."""
    if is_frame(X):
        return False
    X = as_column(X) if getattr(X, "ndim", 1) == 1 else X
    if not isinstance(X, list | tuple | np.ndarray) or getattr(X, "ndim", 1) != 1:
        return False
    parts = [x for x in X if isinstance(x, np.ndarray | torch.Tensor | list | tuple)]
    if len(parts) < len(X) or not parts:
        return False
    try:
        shapes = {np.shape(x if isinstance(x, np.ndarray) else unmask(x)) for x in parts}
    except ValueError:
        return False
    return len(shapes) > 1 and {len(shape) for shape in shapes} in ({1}, {2})


def is_list_of_arrays(X: Any) -> bool:
    """Tell whether X is a list, or an array of objects, that holds arrays of one dimension."""
    is_list = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object)
    return is_list and all(isinstance(x, np.ndarray | torch.Tensor) and x.ndim == 1 for x in X)


def _as_series(X: Any) -> np.ndarray:
    """Return X as a new float32 array (n, channels, time)."""
    array = _stack(as_column(X)) if is_ragged(X) else as_numbers(X)
    if array.ndim == 1 and array.dtype == object and len(array):
        array = _stack(list(array))
    if array.ndim == 2:
        array = array[:, None]
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(f"Expected series, got an array of shape {array.shape}. {MAKE_SERIES}")
    if array.dtype.kind not in "fiubO":
        raise TypeError(f"Expected numbers in series, got dtype {array.dtype}. {MAKE_SERIES}")
    out = as_floats(array, "Series", MAKE_SERIES)
    if np.isinf(out).any():
        bad = np.flatnonzero(np.isinf(out).any((1, 2)))
        raise ValueError(
            f"Input X contains infinity, or values too large for float32: {len(bad)} of "
            f"{len(out)} series, the first in row {bad[0]}. NaN marks a missing value."
        )
    return out


def _stack(X: Any) -> np.ndarray:
    """Stack arrays of different lengths in one; they must have the same number of channels."""
    parts = [np.atleast_2d(as_floats(as_array(x), "Series", MAKE_SERIES)) for x in X]
    channels = {part.shape[0] for part in parts}
    if len(channels) > 1 or any(part.ndim != 2 for part in parts):
        raise ValueError(
            f"Series have {sorted(channels)} channels; expected the same number in each. "
            f"{MAKE_SERIES}"
        )
    return stack(parts)


def stack(parts: list[np.ndarray]) -> np.ndarray:
    """Stack arrays (channels, time) in one float32 array, padded with NaN."""
    length = max(part.shape[1] for part in parts)
    out = np.full((len(parts), len(parts[0]), length), np.nan, np.float32)
    with np.errstate(over="ignore"):  # infinity, which readers refuse
        for row, part in zip(out, parts, strict=True):
            row[:, : part.shape[1]] = part
    return out
