"""The reader of audio: waveforms as one float tensor (n, time), padded with NaN."""

from typing import Any, Self

import numpy as np
import torch

from skssl._data._containers import as_array, as_numbers, check_n_samples, join_padded
from skssl._data._series import is_ragged, stack

MAKE_AUDIO = (
    "Pass waveforms of one channel as (n, time), floats from -1 to 1 or integers of 16 or 32 "
    "bits, or as a list of arrays of different lengths, and their sampling_rate; for other data "
    "leave sampling_rate out, or say what it is with modality=."
)


class AudioReader:
    """Turn waveforms of equal or different lengths into one float32 tensor.

    Integers are divided by the greatest number of their dtype, so that they lie between -1 and 1.
    Shorter waveforms are padded with NaN.

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples per second.
    """

    _saved_as = "AudioReader"
    modality = "audio"
    columns = None

    def __init__(self, sampling_rate: int | None = 16_000):
        self.sampling_rate = sampling_rate

    def fit(self, X: Any, *more: Any) -> Self:
        """Check that X is waveforms."""
        if self.sampling_rate is None:
            raise ValueError("Waveforms need their sampling_rate, in samples per second.")
        _as_waveforms(X)
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, time) on the CPU."""
        array = _as_waveforms(X)
        check_n_samples(array.shape, ensure_min_samples)
        return torch.from_numpy(array)

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``, padded to the greater length."""
        return join_padded(first, second, torch.nan)

    def restore(self, waveforms: np.ndarray, like: Any) -> np.ndarray:
        """Return waveforms (n, time) in the user's units and dtype; a ragged list is float32."""
        given = None if is_ragged(like) else as_numbers(like)
        if given is None or given.dtype.kind not in "fi":
            return waveforms
        out = waveforms.reshape(given.shape)
        if given.dtype.kind == "f":
            return out.astype(given.dtype)
        most = np.iinfo(given.dtype).max
        return (out.astype(np.float64) * most).round().clip(-most - 1, most).astype(given.dtype)


def _as_waveforms(X: Any) -> np.ndarray:
    """Return X as a new float32 array (n, time)."""
    array = _stack(X) if is_ragged(X) else as_numbers(X)
    if array.ndim == 1 and array.dtype == object and len(array):
        array = _stack(list(array))
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fi":
        raise ValueError(
            f"Expected waveforms, got {array.dtype} of shape {array.shape}. {MAKE_AUDIO}"
        )
    out = np.array(array, dtype=np.float32)
    if array.dtype.kind == "i":
        out /= np.iinfo(array.dtype).max
    silent = np.isinf(out).any(1) | np.isnan(out).all(1)
    if silent.any():
        raise ValueError(
            f"Input X contains infinity, or waveforms without a sample: {silent.sum()} of "
            f"{len(out)}, the first in row {np.flatnonzero(silent)[0]}. Leave them out."
        )
    return out


def _stack(X: Any) -> np.ndarray:
    """Stack waveforms of different lengths in one array, padded with NaN."""
    parts = [as_array(x) for x in X]
    if any(part.ndim != 1 or part.dtype.kind not in "fi" for part in parts):
        raise ValueError(f"Expected a list of arrays of one dimension. {MAKE_AUDIO}")
    greatest = [np.iinfo(part.dtype).max if part.dtype.kind == "i" else 1 for part in parts]
    return stack([(part / most)[None] for part, most in zip(parts, greatest, strict=True)])[:, 0]
