"""The reader of audio: waveforms as one float tensor (n, time), padded with NaN."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch

from skssl._data._containers import (
    as_array,
    as_floats,
    as_numbers,
    as_plain,
    check_n_samples,
    join_padded,
    to_tensor,
)
from skssl._data._series import is_ragged, stack

MAKE_AUDIO = (
    "Pass waveforms of one channel as (n, time), floats from -1 to 1 or signed integers of 16, 24 "
    "or 32 bits, or as a list of arrays of different lengths, and their sampling_rate; for other "
    "data leave sampling_rate out, or say what it is with modality=."
)
LOUDEST = 1e12  # sample: its power over a frame is finite in float32
FULL_SCALES = tuple(2.0 ** (bits - 1) - 1 for bits in (16, 24, 32))


class AudioReader:
    """Turn waveforms of equal or different lengths into one float32 tensor.

    Whole numbers are divided by the greatest sample of 16, 24 or 32 bits, the first that none of
    those seen in ``fit`` exceeds, so that they lie between -1 and 1 whatever the dtype in which
    they arrive. Shorter waveforms are padded with NaN.

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples per second.

    Attributes
    ----------
    full_scale : float or None
        The greatest sample of whole numbers; None if ``fit`` saw none.
    floats_are_whole : bool or None
        Whether floats were whole numbers, such as samples of 16 bits as floats; None if ``fit``
        saw integers only.
    """

    _saved_as = "AudioReader"
    modality = "audio"
    columns = None
    full_scale: float | None = None
    floats_are_whole: bool | None = False

    def __init__(self, sampling_rate: int | None = 16_000):
        self.sampling_rate = sampling_rate

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn what the greatest sample is."""
        if self.sampling_rate is None:
            raise ValueError("Waveforms need their sampling_rate, in samples per second.")
        self.full_scale = self.floats_are_whole = None
        parts = [_as_waveforms(part) for part in (X, *more)]
        scales = [self._unit(x, dtype) for x, dtype in parts]
        found = {scale for scale in scales if scale != 1}
        if len(found) > 1:
            raise ValueError(
                f"X and X_unlabeled have samples of different full scales, {sorted(found)}. Bring "
                "both to one number of bits, or to floats from -1 to 1."
            )
        floats = [
            scale != 1 for scale, (_, dtype) in zip(scales, parts, strict=True) if dtype.kind == "f"
        ]
        del self.full_scale, self.floats_are_whole  # readers of floats keep the defaults
        if found:
            self.full_scale = found.pop()
            self.floats_are_whole = any(floats) if floats else None
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, time) on the CPU."""
        x, dtype = _as_waveforms(X)
        check_n_samples(x.shape, ensure_min_samples)
        x /= np.float32(self._unit(x, dtype))
        return to_tensor(x)

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield silence of each of some lengths, as ``read`` returns it."""
        yield from (torch.zeros(1, n) for n in (1_000, 16_000))

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``, padded to the greater length."""
        return join_padded(first, second, torch.nan)

    def restore(self, waveforms: np.ndarray, like: Any) -> np.ndarray:
        """Return waveforms (n, time) in the user's units and dtype; a ragged list is float32."""
        scale = self._unit(*_as_waveforms(like))
        out = waveforms if scale == 1 else waveforms.astype(np.float64) * scale
        given = None if is_ragged(like) else as_numbers(like)
        if given is None or given.dtype.kind not in "fi":
            return out.astype(np.float32)
        if given.dtype.kind == "i":
            out = out.round().clip(-scale - 1, scale)
        return out.reshape(given.shape).astype(given.dtype)

    def _unit(self, x: np.ndarray, dtype: np.dtype) -> float:
        """Return what waveforms are divided by: 1 for floats from -1 to 1, else a full scale."""
        peak = _peak(x)
        if dtype.kind == "f" and not self._are_whole(x, peak):
            return 1.0
        scale = self.full_scale or next((s for s in FULL_SCALES if peak <= s + 1), FULL_SCALES[-1])
        is_narrow = dtype.kind == "i" and np.iinfo(dtype).max < scale
        if peak > scale + 1 or is_narrow:
            what = f"{dtype} samples" if is_narrow else f"samples up to {peak:.0f}"
            raise ValueError(
                f"X has {what}; expected whole numbers up to {scale:.0f}, "
                f"{'the most that there are' if self.full_scale is None else 'as in fit'}. Bring "
                "all waveforms to one number of bits, or to floats from -1 to 1."
            )
        return scale

    def _are_whole(self, x: np.ndarray, peak: float) -> bool:
        """Tell whether floats are samples of integers: whole and, if fit saw none, beyond 1."""
        if self.floats_are_whole is False or (peak <= 1 and not self.floats_are_whole):
            return False
        return bool(((x == np.rint(x)) | np.isnan(x)).all())


def refuse_gaps(x: np.ndarray) -> None:
    """Raise if a sample is missing between others; NaN behind the last sample is padding."""
    missing = np.isnan(x)
    rows, places = np.nonzero(missing[:, :-1] & ~missing[:, 1:])
    if len(rows):
        raise ValueError(
            f"X has missing samples between others, as in row {rows[0]} before sample "
            f"{places[0] + 1}; expected NaN only behind the last sample, where it is padding. Fill "
            "gaps, with zeros or by interpolation, or cut the waveforms there."
        )


def _as_waveforms(X: Any) -> tuple[np.ndarray, np.dtype]:
    """Return X as a new float32 array (n, time), and the dtype of its samples."""
    array = X if is_ragged(X) else as_numbers(X)
    if is_ragged(X) or (array.ndim == 1 and array.dtype == object and len(array)):
        array, dtype = _stack(X if is_ragged(X) else array)
    else:
        array = as_plain(array)
        dtype = array.dtype
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 2 or not array.shape[1] or dtype.kind not in "fi":
        raise ValueError(f"Expected waveforms, got {dtype} of shape {array.shape}. {MAKE_AUDIO}")
    out = as_floats(array, "Waveforms", MAKE_AUDIO)
    silent = (np.abs(out) > LOUDEST).any(1) | np.isnan(out).all(1)
    if silent.any():
        raise ValueError(
            f"Input X contains infinity, samples beyond {LOUDEST:.0g}, or waveforms without a "
            f"sample: {silent.sum()} of {len(out)}, the first in row {np.flatnonzero(silent)[0]}. "
            "Leave them out."
        )
    return out, dtype


def _stack(X: Any) -> tuple[np.ndarray, np.dtype]:
    """Stack waveforms of different lengths in one array, padded with NaN; return their dtype."""
    parts = [as_array(x) for x in X]
    if any(part.ndim != 1 or part.dtype.kind not in "fi" for part in parts):
        raise ValueError(f"Expected a list of arrays of one dimension. {MAKE_AUDIO}")
    whole = [part for part in parts if part.dtype.kind == "i"]
    if whole and len(whole) < len(parts) and any(_peak(part) > 1 for part in whole):
        raise ValueError(f"Some of the waveforms are integers and some floats. {MAKE_AUDIO}")
    return stack([part[None] for part in parts])[:, 0], np.result_type(*parts)


def _peak(x: np.ndarray) -> float:
    """Return the greatest sample, whatever its sign."""
    return max(float(np.nanmax(x, initial=0)), -float(np.nanmin(x, initial=0)))
