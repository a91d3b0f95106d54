"""Reading a partly labelled y: the mask of labelled rows, and their labels."""

import math
import warnings
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d

from skssl._data._containers import is_missing
from skssl._data._masked import unmask

# Texts that files and libraries write for a missing value, beside those that float reads as NaN.
MISSING_TEXTS = {"", "none", "null", "na", "n/a", "#n/a", "<na>", "nat", "--"}

# Python types, and the numpy type that holds all of them; the first that fits is used.
NARROWER: list[tuple[set[str], type]] = [
    ({"bool"}, bool),
    ({"bool", "int"}, int),
    ({"bool", "int", "float"}, float),
]


def separate_labelled(y: Any, *, classes: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Separate labelled from unlabelled rows.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels, in a list, an array, or a pandas, polars or Arrow column of any type.
        None, NaN and NA mark unlabelled rows.
    classes : bool, default=True
        Whether labels are classes, where -1 also marks an unlabelled row, or numbers, where -1
        is a number.

    Returns
    -------
    mask : ndarray of shape (n_samples,), dtype bool
        True for labelled rows.
    labels : ndarray of shape (n_labelled,)
        The labels of these rows, with the type of the known labels: integers stay integers.

    Examples
    --------
    >>> mask, labels = separate_labelled([2, None, 0, -1])
    >>> mask
    array([ True, False,  True, False])
    >>> labels
    array([2, 0])
    """
    y, present = _column(y)
    mask = present.copy()
    mask[present] = ~_is_missing(y, classes)
    labels = _narrow(y[mask[present]])
    if classes:
        _refuse_look_alikes(labels)
    elif labels.dtype.kind == "c":
        raise ValueError("Complex data not supported, got y of complex numbers.")
    elif labels.dtype.kind not in "biuf":
        raise ValueError(
            f"Targets of a regression must be numbers, got y of dtype {labels.dtype}. Mark "
            "unlabelled rows with NaN or None."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("Input y contains infinity. Mark unlabelled rows with NaN or None.")
    return mask, labels


def _column(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of y that are not null in its container, and their mask."""
    column = nw.from_native(y, allow_series=True, pass_through=True)
    if isinstance(column, nw.DataFrame) and column.shape[1] == 1:
        _warn_column_vector()
        column = column[:, 0]
    if isinstance(column, nw.Series):
        present = ~column.is_null()
        kept = column.filter(present)
        if kept.dtype.is_decimal():
            kept = kept.cast(nw.Float64)
        return np.asarray(kept.to_numpy()), present.to_numpy().astype(bool)
    if isinstance(y, np.ma.MaskedArray):
        present = ~column_or_1d(np.ma.getmaskarray(y), warn=True)
        return column_or_1d(np.ma.getdata(y))[present], present
    values = _array(y)
    if values.ndim == 2 and values.shape[1] == 1:
        _warn_column_vector()
        values = values[:, 0]
    if values.ndim != 1:
        values = column_or_1d(values)  # raises
    return values, np.ones(len(values), dtype=bool)


def _array(y: Any) -> np.ndarray:
    """Convert y to an array that keeps None, -1 and text distinct, and integers integers."""
    if hasattr(y, "to_pylist"):  # Arrow
        y = y.to_pylist()
    elif hasattr(y, "isna") and hasattr(y, "tolist"):  # a pandas index or extension array
        y = y.tolist()
    y = unmask(y)
    if isinstance(y, (list, tuple)) and not any(
        isinstance(v, (list, tuple, np.ndarray)) for v in y
    ):
        values = np.empty(len(y), dtype=object)
        values[:] = y
        return values
    values = np.asarray(y)
    return values.astype(object) if values.dtype.kind == "T" else values


def _warn_column_vector() -> None:
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape "
        "of y to (n_samples, ), for example using ravel().",
        DataConversionWarning,
        stacklevel=2,
    )


def _is_missing(values: np.ndarray, classes: bool) -> np.ndarray:
    kind = values.dtype.kind
    if kind == "O":
        return np.fromiter((_is_missing_object(v, classes) for v in values), bool, len(values))
    missing = np.zeros(len(values), dtype=bool)
    if kind in "fc":
        missing |= np.isnan(values)
    elif kind in "Mm":
        missing |= np.isnat(values)
    if classes and kind in "if":
        missing |= values == -1
    return missing


def _is_missing_object(value: object, classes: bool) -> bool:
    if isinstance(value, bool | np.bool_ | str):
        return False
    return is_missing(value) or (classes and isinstance(value, Real | Decimal) and value == -1)


def _narrow(labels: np.ndarray) -> np.ndarray:
    """Convert Python objects to an array of booleans, integers or floats."""
    if labels.dtype.kind != "O":
        return labels
    kinds = {_kind(label) for label in labels}
    if "text" in kinds and len(kinds) > 1:
        raise ValueError(
            "y mixes text and other labels, which have no common order. Make all of its labels "
            "text, or all numbers; mark unlabelled rows with None, NaN or the number -1."
        )
    for accepted, dtype in NARROWER:
        if kinds and kinds <= accepted:
            return labels.astype(dtype)
    return labels


def _kind(label: object) -> str:
    if isinstance(label, str):
        return "text"
    if isinstance(label, (bool, np.bool_)):
        return "bool"
    if isinstance(label, Integral):
        return "int"
    return "float" if isinstance(label, Real | Decimal) else "other"


def _refuse_look_alikes(labels: np.ndarray) -> None:
    if labels.dtype.kind not in "OU":
        return
    texts = {str(label) for label in labels if isinstance(label, str)}
    found = sorted(text for text in texts if looks_missing(text) or _as_number(text) == -1)
    if found:
        raise ValueError(
            f"y holds the text {found[0]!r}, which files, numpy and pandas write for a missing "
            "label or for -1. Build y with dtype=object and None in unlabelled rows, or rename the "
            f"class if {found[0]!r} is one."
        )


def refuse_missing_groups_as_text(groups: np.ndarray, name: str) -> None:
    """Raise if a text stands for a missing group: all its rows would be of one group."""
    texts = {str(group) for group in groups.tolist() if isinstance(group, str)}
    found = sorted(filter(looks_missing, texts))
    if found:
        raise ValueError(
            f"{name} holds the text {found[0]!r}, which files, numpy and pandas write for a "
            "missing value. Pass None in rows without a group, with dtype=object, or rename the "
            f"group if {found[0]!r} is one."
        )


def looks_missing(text: str) -> bool:
    """Tell whether a text is what is written for a missing value, in any case and with spaces."""
    return text.strip().casefold() in MISSING_TEXTS or math.isnan(_as_number(text))


def _as_number(text: str) -> float:
    """Return the number that a text spells; 0 if it spells none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
