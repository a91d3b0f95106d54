"""Columns of numbers and categories, converted back to the container of the user."""

from collections.abc import Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from skssl._compat import import_pyarrow
from skssl._data._containers import as_given, as_native, is_missing


def build(parts: list[np.ndarray], like: Any, where: Sequence[int], n: int) -> Any:
    """Build a container like the user's from columns of n cells.

    Parameters
    ----------
    parts : list of ndarray
        Columns as float64 with NaN for missing values, or as objects with None.
    like : array-like or dataframe
        Container to imitate.
    where : sequence of int
        The position in ``like`` of each column.
    n : int
        Number of rows.
    """
    like = as_native(like)
    if not nw.dependencies.is_into_dataframe(like):
        return _build_masked(parts, as_given(like), n)
    schema = list(nw.from_native(like, eager_only=True).schema.values())
    parts = [_fit_dtype(part, schema[i]) for part, i in zip(parts, where, strict=True)]
    if nw.dependencies.is_polars_dataframe(like):
        return _build_polars(parts, like, where)
    if nw.dependencies.is_pyarrow_table(like):
        return _build_arrow(parts, like, where)
    return _build_pandas(parts, like, where, n)


def merge(like: Any, new: Any, filled: np.ndarray) -> Any:
    """Copy the user's container, with the cells ``filled`` from ``new``."""
    like = as_native(like)
    if not nw.dependencies.is_into_dataframe(like):
        old = as_given(like)
        if isinstance(old, np.ma.MaskedArray):
            data, mask = np.ma.getdata(old), np.ma.getmaskarray(old)
            return np.ma.MaskedArray(merge(data, np.ma.getdata(new), filled), mask & ~filled)
        return np.where(filled, new, old) if filled.any() else old.copy()
    holes = np.flatnonzero(filled.any(0)).tolist()
    if nw.dependencies.is_polars_dataframe(like):
        merged = [_merge_polars(like[:, i], new[:, i], filled[:, i]) for i in holes]
        return like.with_columns(merged)
    if nw.dependencies.is_pyarrow_table(like):
        return _merge_arrow(like, new, filled, holes)
    out = like.copy()
    for i in holes:
        rows = np.flatnonzero(filled[:, i])
        dtype = new.dtypes.iloc[i]
        settable = getattr(dtype, "subtype", dtype)  # cells of a sparse column cannot be set
        column, made = (_without_views(frame.iloc[:, i]) for frame in (like, new))
        settable = made.dtype if "view" in str(dtype) else settable
        column = column.astype(settable)
        column.iloc[rows] = made.astype(settable).iloc[rows].array
        out.isetitem(i, column.astype(dtype))
    return out


def _without_views(column: Any) -> Any:
    """Return a column of pandas; views of text as objects, for pandas can do nothing with them."""
    if "view" not in str(column.dtype):
        return column
    return type(column)(column.tolist(), column.index, object)


def _merge_polars(old: Any, new: Any, filled: np.ndarray) -> Any:
    pl = nw.get_native_namespace(old)
    if old.dtype == pl.Object:
        pairs = zip(filled.tolist(), old.to_list(), new.to_list(), strict=True)
        return pl.Series(old.name, [b if is_new else a for is_new, a, b in pairs], pl.Object)
    return new.zip_with(pl.Series(filled), old.cast(new.dtype))


def _merge_arrow(like: Any, new: Any, filled: np.ndarray, holes: list[int]) -> Any:
    pa = nw.get_native_namespace(like)
    rows = np.arange(len(filled))
    for i in holes:
        name, kind = like.column_names[i], like.schema.types[i]
        old, column = _indexable(like.column(i)), _indexable(new.column(i))
        chunks = [*old.cast(column.type).chunks, *column.chunks]
        both = pa.chunked_array(chunks, type=column.type).unify_dictionaries()
        which = np.where(filled[:, i], rows + len(rows), rows)
        merged = both.take(pa.array(which))
        if pa.types.is_run_end_encoded(kind):
            merged = import_pyarrow().compute.run_end_encode(merged)
        elif "view" in str(kind):
            merged = merged.cast(kind)
        like = like.set_column(i, name, merged)
    return like


def _indexable(column: Any) -> Any:
    """Return an Arrow column in a type whose cells can be taken."""
    pa = import_pyarrow()
    if pa.types.is_run_end_encoded(column.type):
        return pa.compute.run_end_decode(column)
    return column.cast(pa.large_string()) if str(column.type) == "string_view" else column


def _fit_dtype(part: np.ndarray, dtype: Any) -> np.ndarray:
    """Round numbers of a column of integers or booleans."""
    if part.dtype == object or not (dtype.is_integer() or dtype == nw.Boolean):
        return part
    missing = np.isnan(part)
    if dtype == nw.Boolean:
        out = (part > 0.5).astype(object)
        out[missing] = None
        return out
    return _round(part, str(dtype).lower())


def _round(part: np.ndarray, dtype: str) -> np.ndarray:
    """Round to the range of an integer dtype; floats if a value is missing."""
    part = np.rint(part)
    if "128" in dtype:
        return part
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    top = float(high) if int(float(high)) <= high else np.nextafter(float(high), 0)
    part = part.clip(low, top)
    return part if np.isnan(part).any() else part.astype(dtype)


def _build_pandas(parts: list[np.ndarray], like: Any, where: Sequence[int], n: int) -> Any:
    pd = nw.get_native_namespace(like)
    index = like.index if len(like) == n else pd.RangeIndex(n)
    data = {}
    for j, (part, i) in enumerate(zip(parts, where, strict=True)):
        dtype = like.dtypes.iloc[i]
        if dtype.name == "category":
            new = [v for v in dict.fromkeys(part.tolist()) if not is_missing(v)]
            new = [v for v in new if v not in dtype.categories]
            if new:
                dtype = pd.CategoricalDtype([*dtype.categories, *new], dtype.ordered)
        elif isinstance(dtype, np.dtype) and dtype.kind in "iub" and part.dtype.kind in "fO":
            dtype = part.dtype if pd.isna(part).any() else dtype
        try:
            data[j] = pd.Series(part, index=index, dtype=dtype)
        except (TypeError, ValueError, NotImplementedError):
            data[j] = pd.Series(part, index=index)
    out = pd.DataFrame(data, index=index)
    out.columns = like.columns[list(where)]
    return out


def _build_polars(parts: list[np.ndarray], like: Any, where: Sequence[int]) -> Any:
    pl = nw.get_native_namespace(like)
    data = []
    for part, i in zip(parts, where, strict=True):
        values = part.tolist() if part.dtype == object else part
        if like.dtypes[i] == pl.Object:
            cells = [None if is_missing(value) else value for value in part.tolist()]
            data.append(pl.Series(like.columns[i], cells, pl.Object))
            continue
        series = pl.Series(like.columns[i], values, nan_to_null=True)
        cast = series.cast(like.dtypes[i], strict=False)
        data.append(cast if cast.null_count() == series.null_count() else series)
    return pl.DataFrame(data)


def _build_arrow(parts: list[np.ndarray], like: Any, where: Sequence[int]) -> Any:
    pa = nw.get_native_namespace(like)
    data = []
    for part, i in zip(parts, where, strict=True):
        values = pa.array(part, from_pandas=True)
        if values.null_count == len(values):
            values = pa.nulls(len(values))  # fits every type
        try:
            data.append(values.cast(like.schema.types[i], safe=False))
        except (ValueError, TypeError, NotImplementedError):
            data.append(values)
    return pa.table(data, names=[like.column_names[i] for i in where])


def _build_masked(parts: list[np.ndarray], like: np.ndarray, n: int) -> np.ndarray:
    """Build an array; one with a mask, where there is no value, if the user's has one."""
    if not isinstance(like, np.ma.MaskedArray):
        return _build_array(parts, like, n)
    masks = [np.array([is_missing(value) for value in part.tolist()]) for part in parts]
    numbers = [
        part if part.dtype == object else np.where(mask, 0.0, part)
        for part, mask in zip(parts, masks, strict=True)
    ]
    return np.ma.MaskedArray(_build_array(numbers, like, n), np.column_stack(masks))


def _build_array(parts: list[np.ndarray], like: np.ndarray, n: int) -> np.ndarray:
    kind = like.dtype.kind
    out = np.empty((n, len(parts)), dtype=object if kind in "OUT" else np.float64)
    for j, part in enumerate(parts):
        out[:, j] = part
    if kind == "f":
        return out.astype(like.dtype)
    if kind in "iu":
        return _round(out, like.dtype.name)
    if kind == "b" and not np.isnan(out).any():
        return out > 0.5
    return out.astype(str) if kind == "U" and None not in out.ravel().tolist() else out
