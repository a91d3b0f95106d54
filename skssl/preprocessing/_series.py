"""Windows of long time series."""

from typing import Any

import numpy as np

from skssl._data._containers import as_array


def sliding_windows(series: Any, length: int, step: int | None = None) -> np.ndarray:
    """Cut one long series into windows of equal length.

    Parameters
    ----------
    series : array-like of shape (n_channels, time) or (time,)
        One long series, NaN where a value is missing.
    length : int
        Number of steps in a window.
    step : int, default=None
        Number of steps from the start of one window to the start of the next. None is
        ``length``, so that windows do not overlap. Steps behind the last whole window are
        dropped.

    Returns
    -------
    windows : ndarray of shape (n_windows, n_channels, length)
        A read-only view of the series, which costs no memory; window ``i`` starts at step
        ``i * step``.

    Raises
    ------
    ValueError
        If the series has other dimensions, or is shorter than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.preprocessing import sliding_windows
    >>> sliding_windows(np.arange(6), length=4, step=2)
    array([[[0, 1, 2, 3]],
    <BLANKLINE>
           [[2, 3, 4, 5]]])
    """
    x = as_array(series)
    x = x[None] if x.ndim == 1 else x
    step = length if step is None else step
    if x.ndim != 2:
        raise ValueError(
            f"Expected one series, (n_channels, time) or (time,); got shape {x.shape}. Cut "
            "several one by one."
        )
    if length < 1 or step < 1:
        raise ValueError(f"length and step must be at least 1; got {length} and {step}.")
    if x.shape[1] < length:
        raise ValueError(f"The series has {x.shape[1]} steps, a window {length}.")
    windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=1)
    return windows[:, ::step].swapaxes(0, 1)
