"""Reading a partly labelled y: the mask of labelled rows, and their labels."""

import math
import warnings
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.stable.v2.typing import IntoSeriesT
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import type_of_target

from skssl._data._containers import as_array, first_line, is_missing
from skssl._data._masked import unmask

# Texts that files and libraries write for a missing value, beside those that float reads as NaN.
MISSING_TEXTS = {"", "none", "null", "na", "n/a", "#n/a", "<na>", "nat", "--"}

BY_ENTRY = (nw.Object, nw.Unknown, nw.Int128, nw.UInt128)  # dtypes that numpy does not have

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
    mask, labels = _known(y, "y", classes)
    if classes:
        _refuse_look_alikes(labels, "Build y with dtype=object and None in unlabelled rows")
        refuse_unordered(labels, "y")
    elif labels.dtype.kind == "c":
        raise ValueError("Complex data not supported, got y of complex numbers.")
    elif labels.dtype.kind not in "biuf":
        raise ValueError(
            f"Targets of a regression must be numbers, got y of dtype {labels.dtype}. Mark "
            "unlabelled rows with NaN or None."
        )
    _refuse_infinity(labels)
    return mask, labels


def _refuse_infinity(labels: np.ndarray, name: str = "y") -> None:
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        what = "unlabelled rows" if name == "y" else "rows without one"
        raise ValueError(f"Input {name} contains infinity. Mark {what} with NaN or None.")


def read_labels(y: object) -> np.ndarray:
    """Return labels of which none is missing, with the type of the known ones; -1 is a label."""
    values, present = read_column(y)
    missing = ~present
    missing[present] = _is_missing(values, classes=False)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN: {missing.sum()} of {len(missing)} labels are missing, the "
            f"first in row {np.flatnonzero(missing)[0]}. Leave rows without a label out."
        )
    labels = _narrow(values)
    _refuse_look_alikes(labels, "Leave rows without a label out", also_minus_one=False)
    _refuse_infinity(labels)
    refuse_unordered(labels, "y")
    return labels


def read_known(values: object, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of the rows whose entry is not missing, and these entries; -1 is one."""
    mask, known = _known(values, name, classes=False)
    _refuse_infinity(known, name)
    refuse_unordered(known, name)
    return mask, known


def _known(values: object, name: str, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of the rows whose entry is not missing, and these entries."""
    found, present = read_column(values, name)
    mask = present.copy()
    mask[present] = ~_is_missing(found, classes)
    return mask, _narrow(found[mask[present]], name)


def read_column(values: object, name: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of a column that are not null in its container, and their mask."""
    column = nw.from_native(values, allow_series=True, pass_through=True)
    if isinstance(column, nw.DataFrame) and column.shape[1] == 1:
        _warn_column_vector(name)
        column = column[:, 0]
    if isinstance(column, nw.Series):
        return _read_series(column, name)
    if isinstance(values, np.ma.MaskedArray):
        present = ~_one_dimension(np.ma.getmaskarray(values), name)
        return _one_dimension(np.ma.getdata(values), name)[present], present
    array = _one_dimension(_array(values, name), name)
    return array, np.ones(len(array), dtype=bool)


def _read_series(column: nw.Series[IntoSeriesT], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a column of narwhals, entry by entry where its library does not know its dtype."""
    if column.dtype.is_nested() or column.dtype in BY_ENTRY:
        array = as_objects(column.to_list())
        return array, np.ones(len(array), dtype=bool)
    present = ~column.is_null()
    kept = column.filter(present)
    if kept.dtype.is_decimal():
        kept = kept.cast(nw.Float64)
    return _one_dimension(np.asarray(kept.to_numpy()), name), present.to_numpy().astype(bool)


def _one_dimension(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "V":
        raise TypeError(
            f"{name} is an array of records, {array.dtype}; expected one number, text or None for "
            "each row. Pass one of its fields."
        )
    if array.ndim == 2 and array.shape[1] == 1:
        _warn_column_vector(name)
        return array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name} should be a 1d array, one entry for each row, got an array of shape "
            f"{array.shape} instead."
        )
    return array


def _array(values: object, name: str) -> np.ndarray:
    """Convert a column to an array that keeps None, -1 and text distinct, and integers integers."""
    if hasattr(values, "isna") and hasattr(values, "tolist"):  # a pandas index or array
        values = values.tolist()
    if isinstance(values, list | tuple):
        cells: list[object] = list(unmask(values))
        nested = [v for v in cells if isinstance(v, list | tuple | np.ndarray)]
        if not nested:
            return as_objects(cells)
        if len(nested) < len(cells) or not all(map(_is_single, nested)):
            raise ValueError(
                f"{name} should be a 1d array, one entry for each row, got a list that holds a "
                f"{type(nested[0]).__name__}. Pass one number, text or None for each row."
            )
    array = as_array(values)
    return array.astype(object) if array.dtype.kind == "T" else array


def as_objects(values: Iterable[object]) -> np.ndarray:
    """Return values as an array of objects of one dimension, whatever they are."""
    values = list(values)
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def _is_single(value: Sequence[object] | np.ndarray) -> bool:
    """Tell whether a row of a column vector is one entry."""
    if np.asarray(value, dtype=object).shape != (1,):
        return False
    return isinstance(value[0], str | bytes) or not np.iterable(value[0])


def _warn_column_vector(name: str) -> None:
    warnings.warn(
        f"A column-vector {name} was passed when a 1d array was expected. Please change the shape "
        f"of {name} to (n_samples, ), for example using ravel().",
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


def _narrow(labels: np.ndarray, name: str = "y") -> np.ndarray:
    """Convert Python objects to an array of booleans, integers or floats."""
    if labels.dtype.kind != "O":
        return labels
    kinds = {_kind(label) for label in labels}
    if "text" in kinds and len(kinds) > 1:
        marks = "unlabelled rows with None, NaN or the number -1"
        raise ValueError(
            f"{name} mixes text and other labels, which have no common order. Make all of its "
            f"labels text, or all numbers; mark {marks if name == 'y' else 'others with None'}."
        )
    for accepted, dtype in NARROWER:
        if kinds and kinds <= accepted:
            return _as_numbers(labels, dtype, name)
    return labels


def _as_numbers(labels: np.ndarray, dtype: type, name: str) -> np.ndarray:
    try:
        return labels.astype(dtype)
    except (OverflowError, TypeError, ValueError) as error:
        greatest = max(labels, key=abs)
        raise ValueError(
            f"{name} holds {str(greatest)[:40]}, which is no number of 64 bits. Pass smaller "
            "numbers, or classes as text."
        ) from error


def refuse_unordered(labels: np.ndarray, name: str, *, allow_tuples: bool = False) -> None:
    """Raise unless entries are single ones that can be sorted, as scikit-learn sorts classes."""
    if labels.dtype.kind not in "OV":
        return
    one = str | bytes | tuple if allow_tuples else str | bytes
    for label in labels:
        if np.iterable(label) and not isinstance(label, one):  # it would be compared with all rows
            raise ValueError(
                f"{name} should be a 1d array, one entry for each row, got one that holds a "
                f"{type(label).__name__}. Pass one number, text or None for each row."
            )
    try:
        np.unique(labels)
    except Exception as error:  # comparing objects of the user raises anything
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise TypeError(
            f"{name} holds entries that cannot be sorted, of the types {', '.join(kinds)}: "
            f"{first_line(error)} Make all of them text, or all numbers, and None where one is "
            "missing."
        ) from error


def _kind(label: object) -> str:
    if isinstance(label, str):
        return "text"
    if isinstance(label, (bool, np.bool_)):
        return "bool"
    if isinstance(label, np.timedelta64):  # numpy counts it among the whole numbers
        return "other"
    if isinstance(label, Integral):
        return "int"
    return "float" if isinstance(label, Real | Decimal) else "other"


def _refuse_look_alikes(labels: np.ndarray, remedy: str, also_minus_one: bool = True) -> None:
    if labels.dtype.kind not in "OU":
        return
    texts = {str(label) for label in labels if isinstance(label, str)}
    found = sorted(
        text for text in texts if looks_missing(text) or (also_minus_one and _as_number(text) == -1)
    )
    if found:
        raise ValueError(
            f"y holds the text {found[0]!r}, which files, numpy and pandas write for a missing "
            f"label{' or for -1' * also_minus_one}. {remedy}, or rename the class if {found[0]!r} "
            "is one."
        )


def read_groups(groups: object, n: int, name: str) -> np.ndarray:
    """Return the groups of n rows as an array of objects, None in rows without one."""
    known, present = read_column(groups, name)
    if len(present) != n:
        raise ValueError(f"{name} must be of shape ({n},), one for each row, got {present.shape}.")
    out = np.full(n, None, dtype=object)
    out[present] = as_objects(known.tolist() if known.dtype.kind in "biufSU" else known)
    for row, group in enumerate(out):
        if is_missing(group):
            out[row] = None
    _refuse_missing_as_text(out, name)
    odd = next((group for group in out if not _has_hash(group)), None)
    if odd is not None:
        raise TypeError(
            f"{name} holds a {type(odd).__name__}, which cannot be compared with other groups. "
            "Pass a number or a text for each group, and None in rows without one."
        )
    return out


def _has_hash(value: object) -> bool:
    try:
        hash(value)
    except Exception:  # of a tuple that holds a list, too
        return False
    return True


def _refuse_missing_as_text(groups: np.ndarray, name: str) -> None:
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


def target_type(labels: np.ndarray) -> str:
    """Return scikit-learn's type of target, without a warning about numbers beyond 64 bits."""
    with np.errstate(invalid="ignore"):
        return str(type_of_target(labels, input_name="y"))
