"""The reader of series: one tensor (n, channels, time), NaN where there is nothing."""

from typing import Any

import numpy as np
import torch

from skssl._inputs._containers import as_array

MAKE_SERIES = (
    "Pass series as (n, channels, time), as a list of arrays (channels, time) of different "
    "lengths, or, with modality='series', one channel as (n, time)."
)


class SeriesReader:
    """Turn series of equal or different lengths into one float32 tensor, NaN behind the last step.

    Attributes
    ----------
    n_channels : int
        Channels of the series that ``fit`` saw. Lengths may differ from one call to the next.
    """

    kind = "series"
    columns = None
    n_channels: int

    def fit(self, X: Any, *more: Any) -> "SeriesReader":
        """Learn the number of channels."""
        self.n_channels = _as_series(X).shape[1]
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, channels, time) on the CPU."""
        array = _as_series(X)
        if array.shape[1] != self.n_channels:
            raise ValueError(
                f"X has series of {array.shape[1]} channels, but {self.n_channels} were seen in "
                "fit. Arrays are (n, channels, time): swap the axes if time comes first."
            )
        if len(array) < ensure_min_samples:
            raise ValueError(
                f"Found array with {len(array)} sample(s) (shape={array.shape}) while a minimum "
                f"of {ensure_min_samples} is required."
            )
        return torch.from_numpy(array)

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the series of two tensors that ``read`` made as one, of the greater length."""
        length = max(first.shape[2], second.shape[2])
        return torch.cat([_padded(first, length), _padded(second, length)])


def _padded(x: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(x, (0, length - x.shape[2]), value=torch.nan)


def is_ragged(X: Any) -> bool:
    """Tell whether X is a list of arrays of numbers whose lengths differ."""
    if not isinstance(X, list | tuple | np.ndarray) or getattr(X, "ndim", 1) != 1:
        return False
    parts = [x for x in X if isinstance(x, np.ndarray | torch.Tensor | list | tuple)]
    if len(parts) < len(X) or not parts:
        return False
    try:
        shapes = {np.shape(x) for x in parts}
    except ValueError:
        return False
    return len(shapes) > 1 and {len(shape) for shape in shapes} in ({1}, {2})


def _as_series(X: Any) -> np.ndarray:
    """Return X as a new float32 array (n, channels, time)."""
    array = _stacked(X) if is_ragged(X) else as_array(X.to_numpy() if _is_frame(X) else X)
    if array.ndim == 1 and array.dtype == object and len(array):
        array = _stacked(list(array))
    if array.ndim == 2:
        array = array[:, None]
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(f"Expected series, got an array of shape {array.shape}. {MAKE_SERIES}")
    if array.dtype.kind not in "fiubO":
        raise TypeError(f"Expected numbers in series, got dtype {array.dtype}. {MAKE_SERIES}")
    out = np.array(array, dtype=np.float32)
    if np.isinf(out).any():
        bad = np.flatnonzero(np.isinf(out).any((1, 2)))
        raise ValueError(
            f"Input X contains infinity, or values too large for float32: {len(bad)} of "
            f"{len(out)} series, the first in row {bad[0]}. NaN marks a missing value."
        )
    return out


def _is_frame(X: Any) -> bool:
    return hasattr(X, "to_numpy")


def _stacked(X: Any) -> np.ndarray:
    """Return arrays of different lengths as one, NaN behind the last step of each."""
    parts = [np.atleast_2d(np.asarray(as_array(x), dtype=np.float32)) for x in X]
    channels = {part.shape[0] for part in parts}
    if len(channels) > 1 or any(part.ndim != 2 for part in parts):
        raise ValueError(
            f"Series have {sorted(channels)} channels; expected the same number in each. "
            f"{MAKE_SERIES}"
        )
    out = np.full((len(parts), channels.pop(), max(p.shape[1] for p in parts)), np.nan, np.float32)
    for row, part in zip(out, parts, strict=True):
        row[:, : part.shape[1]] = part
    return out
