"""Masked arrays of numpy: a masked entry is a missing value."""

from typing import Any

import numpy as np


def is_masked(X: Any) -> bool:
    """Tell whether X is a masked array, or a list that holds a masked array or cell."""
    if isinstance(X, np.ma.MaskedArray):
        return True
    if not isinstance(X, list | tuple):
        return False
    kinds = set(map(type, X))
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return True
    return any(issubclass(kind, list | tuple) for kind in kinds) and any(map(is_masked, X))


def unmask(X: Any) -> Any:
    """Return X with missing values in place of masked entries, at any depth of lists.

    They are NaN among numbers, which become floats for that, and None in arrays of other values. An
    array without a masked entry keeps its dtype.
    """
    if X is np.ma.masked:  # a cell of a list
        return np.nan
    if isinstance(X, np.ma.MaskedArray):
        data, mask = np.ma.getdata(X), np.ma.getmaskarray(X)
        return np.asarray(data) if not mask.any() else _fill(np.asarray(data), mask)
    return [unmask(x) for x in X] if is_masked(X) else X


def stack_masked(X: Any) -> Any:
    """Return a list of masked arrays of one shape as one masked array, other lists unmasked."""
    if all(isinstance(x, np.ndarray) for x in X) and len({x.shape for x in X}) == 1:
        return np.ma.stack(X)
    return unmask(X)


def _fill(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    kind = data.dtype.kind
    if kind in "biu":
        data = data.astype(np.result_type(data.dtype, np.float32))
    elif kind not in "fcmM":
        data = data.astype(object)
    missing = None if data.dtype == object else "NaT" if kind in "mM" else np.nan
    return np.where(mask, np.array(missing, data.dtype), data)
