"""The reader of tables: one float tensor, and the meaning of its columns."""

import datetime
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from numbers import Complex, Integral, Real
from types import NoneType
from typing import Any, Literal, Self

import numpy as np
import torch

from skssl._data._column_errors import attempt, one_error
from skssl._data._columns import Columns
from skssl._data._containers import (
    VECTORIZER,
    Names,
    Table,
    check_n_samples,
    is_missing,
    label_of,
    labels_of,
    open_table,
    refusal,
    to_tensor,
)
from skssl._data._restore_table import build, merge

# What numpy, pandas and onnxruntime write for a missing value. A column of text that has no such
# category reads them as missing; so do ONNX graphs, which cannot tell None from its text.
TEXT_OF_MISSING = ("", "None", "nan", "NaN", "NaT", "<NA>")
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)

CategoricalFeatures = Literal["from_dtype"] | Sequence[str] | Sequence[int] | np.ndarray | None


class TableReader:
    """Turn tables into tensors and back; remembers the categories.

    Parameters
    ----------
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None
        ``"from_dtype"`` takes category, Enum, bool, str and object-of-str columns as
        categories. A list or mask is exact: every other column must hold numbers. None
        means no categories.

    Attributes
    ----------
    columns : Columns
        The meaning of the columns of the tensor.
    levels : list
        Per column, None for numbers, else its categories (str, int, float or bool) in the
        order of their codes. An empty list means that ``fit`` saw no value at all.
    names : list or None
        Column names, for messages.
    """

    _saved_as = "TableReader"
    modality = "table"
    columns: Columns
    levels: list[list[Any] | None]
    names: Names | None

    def __init__(self, categorical_features: CategoricalFeatures = "from_dtype"):
        self.categorical_features = categorical_features

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_codes"}

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the categories of the columns over X and all of ``more``."""
        tables = [open_table(part) for part in (X, *more)]
        names, width = tables[0].names, tables[0].shape[1]
        for table in tables:
            _check_shape(table.shape, width)
        kinds = [set(of) for of in zip(*(table.kinds for table in tables), strict=True)]
        declared = _declared(self.categorical_features, names, kinds)
        labels = labels_of(names, width)
        learnt, errors = attempt(lambda i: _learn(tables, i, labels[i], declared[i]), range(width))
        if errors:  # name what reading would refuse, too
            errors |= attempt(
                lambda i: _check_numbers(tables, i, labels[i], learnt[i][1] == []),
                [i for i, (cardinality, _) in learnt.items() if not cardinality],
            )[1]
            raise one_error(errors)
        self.names = None if names is None else _plain_names(names)
        self.levels = [levels for _, levels in learnt.values()]
        self.columns = Columns(tuple(cardinality for cardinality, _ in learnt.values()))
        vars(self).pop("_codes", None)
        return self

    open = staticmethod(open_table)  # ``fit`` and ``read`` take what it returns, too

    def asks(self, X: Any) -> list[int]:
        """Return the columns of which ``fit`` must see all values, given the dtypes of X."""
        table = open_table(X)
        kinds = [{kind} for kind in table.kinds]
        declared = _declared(self.categorical_features, table.names, kinds)
        return [
            i
            for i, (kind, choice) in enumerate(zip(table.kinds, declared, strict=True))
            if choice is not False and kind != "bool" and i not in table.refused
        ]

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n_samples, n_columns) on the CPU.

        It is float32 if that represents the dtypes of X exactly, else float64, and may share the
        memory of X: never write to it.
        """
        table = open_table(X)
        _check_shape(table.shape, len(self.levels), ensure_min_samples)
        array = table.matrix
        if array is None or any(self.columns.cardinality):
            array = self._fill(table)
        elif not (array.flags.carray and array.dtype in (np.float32, np.float64)):
            narrow = table.kinds[0] != "wide"
            with np.errstate(over="ignore"):  # longdouble beyond float64: checked below
                array = np.array(array, np.float32 if narrow else np.float64, order="C")
        out = to_tensor(array)
        _check_finite(out, table.names)
        return out

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``."""
        return torch.cat([first, second])

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield rows of the least and the greatest codes and numbers, as ``read`` returns them."""
        if [len(levels or ()) for levels in self.levels] != [*self.columns.cardinality]:
            raise ValueError("the columns of a table do not have the categories that it says")
        yield extreme_rows(self.columns)

    def _fill(self, table: Table) -> np.ndarray:
        narrow = all(
            cardinality or kind in ("narrow", "bool", "text")
            for kind, cardinality in zip(table.kinds, self.columns.cardinality, strict=True)
        )
        out = np.empty(table.shape, np.float32 if narrow else np.float64)

        done, errors = attempt(partial(self._fill_column, out, table), range(table.shape[1]))
        if errors:
            infinite = (i for i in done if np.isinf(out[:, i]).any())
            errors |= {i: _infinity(label_of(table.names, i)) for i in infinite}
            raise one_error(errors)
        return out

    def _fill_column(self, out: np.ndarray, table: Table, i: int) -> None:
        """Write one column as floats: numbers, or codes."""
        if i in table.refused:
            raise table.refused[i]
        unseen, levels, cells = self.columns.cardinality[i], self.levels[i], table.cells(i)
        if not unseen:
            if not isinstance(cells, np.ndarray):
                label = label_of(table.names, i)
                cells = _numbers(cells, label, text_is_missing=levels == [])
            out[:, i] = cells
            return
        assert levels is not None
        if isinstance(cells, np.ndarray):
            out[:, i] = _encode_numbers(cells, levels, unseen)
            return
        cache = vars(self).setdefault("_codes", {})
        if i not in cache:
            cache[i] = _Codes(((level, code) for code, level in enumerate(levels)), unseen)
        try:
            out[:, i] = np.fromiter(map(cache[i].__getitem__, cells), np.float32, len(cells))
        except TypeError:  # an unhashable cell, such as a list
            distinct(cells, label_of(table.names, i))
            raise

    def restore(self, cells: np.ndarray, like: Any, columns: Sequence[int] | None = None) -> Any:
        """Convert numbers and codes to a container like the user's.

        Parameters
        ----------
        cells : ndarray of shape (n, n_columns)
            Numbers in the user's units, category codes, NaN for missing values.
        like : array-like or dataframe
            Container to imitate: its type, column names, dtypes and, if it has the same number of
            rows, its index.
        columns : sequence of int, default=None
            Positions of the columns that ``cells`` holds; None means all.

        Returns
        -------
        X : dataframe or ndarray
            An ndarray for a list. A dtype that cannot hold a value, such as int with NaN, is
            replaced by one that can.
        """
        where = range(len(self.levels)) if columns is None else list(columns)
        cells = np.asarray(cells)
        parts = [self._decode(cells[:, j], i) for j, i in enumerate(where)]
        return build(parts, like, where, len(cells))

    def fill(self, cells: np.ndarray, X: Any) -> Any:
        """Copy X and fill its missing cells from ``cells``; all other cells are unchanged.

        A cell that ``cells`` has no value for, in a column that ``fit`` saw empty, stays missing.
        """
        table = open_table(X)
        known = [self._known(column, i) for i, column in enumerate(cells.T)]
        filled = [mask & table.missing(i) if mask.any() else mask for i, mask in enumerate(known)]
        return merge(X, self.restore(cells, X), np.column_stack(filled))

    def _decode(self, column: np.ndarray, i: int) -> np.ndarray:
        """Return one column of cells as float64, or as an object array of its categories."""
        levels = self.levels[i]
        if levels is None:
            return column.astype(np.float64)
        values = np.array([*levels, None], dtype=object)
        return values[np.where(self._known(column, i), column, len(levels)).astype(np.intp)]

    def _known(self, column: np.ndarray, i: int) -> np.ndarray:
        """Tell which numbers, or codes, of a column stand for a value."""
        levels = self.levels[i]
        return ~np.isnan(column) if levels is None else (column >= 0) & (column < len(levels))


def extreme_rows(columns: Columns) -> torch.Tensor:
    """Return rows of zeros, of small numbers, of great ones with unseen categories, and of NaN."""
    greatest = torch.tensor([[n or 1e30 for n in columns.cardinality]], dtype=torch.float64)
    is_number = torch.tensor([not n for n in columns.cardinality])
    rows = greatest * torch.tensor([[0.0], [-1.0], [1.0], [torch.nan]], dtype=torch.float64)
    rows[1, ~is_number] = 0.0  # the first category
    return rows


class _Codes(dict[Any, int]):
    """Category -> code; numbers of equal value share a code because they share a hash."""

    def __init__(self, items: Iterable[tuple[Any, int]], unseen: int):
        super().__init__(items)
        self.unseen = unseen

    def __missing__(self, value: object) -> float:
        is_text = isinstance(value, str)
        is_hole = value in TEXT_OF_MISSING if is_text else is_missing(value)
        return math.nan if is_hole else self.unseen


def _declared(
    features: CategoricalFeatures, names: Names | None, kinds: list[set[str]]
) -> list[bool | None]:
    """Return per column whether it is a category, given its dtypes; None: its values decide."""
    width = len(kinds)
    if isinstance(features, str) and features == "from_dtype":
        return [False if of <= {"narrow", "wide"} else None for of in kinds]
    ask = "a list of column names, a list of positions, a boolean mask, 'from_dtype' or None"
    if isinstance(features, str) or not (features is None or np.iterable(features)):
        raise ValueError(f"categorical_features must be {ask}, got {features!r}.")
    items = [] if features is None else list(features)
    if items and all(isinstance(item, bool | np.bool_) for item in items):
        if len(items) != width:
            raise ValueError(
                f"categorical_features is a mask of {len(items)} entries, but X has {width} "
                "columns. Pass one entry per column."
            )
        return [bool(item) for item in items]
    if not all(isinstance(item, Integral) for item in items):
        if not all(isinstance(item, str) for item in items):
            raise ValueError(f"categorical_features must be {ask}, got {items!r}.")
        known = {name: i for i, name in enumerate(names or [])}
        missing = [item for item in items if item not in known]
        if missing:
            where = f"among the columns {names}" if names else "in X, whose columns have no names"
            raise ValueError(
                f"categorical_features names {missing}, not found {where}. Names need a "
                "DataFrame; columns of an array are listed by position."
            )
        items = [known[item] for item in items]
    outside = [int(item) for item in items if not 0 <= item < width]
    if outside:
        raise ValueError(
            f"categorical_features lists {outside}, but X has {width} columns. Expected "
            f"positions from 0 to {width - 1}."
        )
    return [i in set(items) for i in range(width)]


def _learn(
    tables: list[Table], i: int, label: str, declared: bool | None
) -> tuple[int, list[Any] | None]:
    """Return the cardinality of a column, 0 for numbers, and its categories."""
    for table in tables:
        if i in table.refused:
            raise table.refused[i]
    kinds = {table.kinds[i] for table in tables}
    if declared is False:
        return 0, None
    if kinds == {"bool"}:
        return 2, [False, True]
    found = dict.fromkeys(v for table in tables for v in distinct(table.cells(i), label))
    family = _family(found, label)
    if declared is None and not found:
        return 0, []
    if declared is None and family == "number" and "category" not in kinds:
        return 0, None
    limit = max(50, sum(table.shape[0] for table in tables) / 5)
    if declared is None and len(found) > limit and kinds <= {"text", "object"}:
        raise ValueError(
            f"{label} holds {len(found)} different strings: free text or an identifier rather "
            f"than a category (at most max(50, n_samples / 5) = {limit:.0f} expected). Drop it, "
            f"convert it if it holds numbers, or {VECTORIZER}; if it is a category all the "
            "same, list the categories in categorical_features."
        )
    order = dict.fromkeys(v for table in tables for v in table.orders.get(i, ()))
    rank = {v: r for r, v in enumerate(order)}
    levels = sorted(found, key=lambda v: (rank.get(v, len(rank)), v))
    return max(1, len(levels)), _plain(levels)


def _plain(levels: list[Any]) -> list[Any]:
    """Convert categories to types that JSON has."""
    if levels and isinstance(levels[0], str):  # and so are all
        return list(map(str, levels))
    return [
        bool(v)
        if isinstance(v, bool | np.bool_)
        else int(v)
        if isinstance(v, Integral)
        else float(v)
        for v in levels
    ]


def distinct(cells: Any, label: str) -> list[Any]:
    """Return the distinct values of a column without missing values."""
    if isinstance(cells, np.ndarray):
        return np.unique(cells[~np.isnan(cells)]).tolist()
    try:
        values = dict.fromkeys(cells)
        return [value for value in values if isinstance(value, str) or not is_missing(value)]
    except TypeError as error:
        odd = next((value for value in cells if type(value).__hash__ is None), ())
        raise refusal(label, f"a {type(odd).__name__}", False) from error


def _family(values: Iterable[Any], label: str) -> str:
    """Return the common type of all values: "text", "bool" or "number"; "" for no values."""
    examples: dict[str, Any] = {}
    for kind, value in {type(value): value for value in values}.items():
        if issubclass(kind, str):
            examples["text"] = value
        elif issubclass(kind, bool | np.bool_):
            examples["bool"] = value
        elif issubclass(kind, Real | Decimal):
            examples["number"] = value
        elif issubclass(kind, Complex):
            raise ValueError(f"Complex data not supported: {label} holds {value!r}.")
        else:
            raise refusal(label, f"a {kind.__name__}", issubclass(kind, _TIMES))
    if "text" in examples and len(examples) > 1:
        mix = " and ".join(f"{v!r} ({type(v).__name__})" for v in examples.values())
        raise TypeError(
            f"{label} mixes strings with other values: {mix}. Expected one kind per column; "
            "convert it with .astype(str), or to numbers with None for what is missing."
        )
    return "number" if "number" in examples else next(iter(examples), "")


def _numbers(cells: list[Any], label: str, text_is_missing: bool) -> np.ndarray:
    """Convert a list of numbers and missing values to floats."""
    if not all(issubclass(kind, Real | Decimal | NoneType) for kind in set(map(type, cells))):
        cells = [
            math.nan if is_missing(v) or (text_is_missing and isinstance(v, str)) else v
            for v in cells
        ]
        present = distinct(cells, label)
        if _family(present, label) == "text":
            raise TypeError(
                f"{label} holds strings such as {present[0]!r}; expected numbers. Convert it to "
                "numbers, or fit again with the column in categorical_features."
            )
    try:
        return np.array(cells, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"{label} holds an integer too large for float64 (infinity).") from error


def _encode_numbers(cells: np.ndarray, levels: list[Any], unseen: int) -> np.ndarray:
    """Encode numeric cells; a string never equals a number."""
    if levels == [False, True] and cells.dtype == np.bool_:
        return cells
    codes = np.full(len(cells), float(unseen))
    if levels and not isinstance(levels[0], str):
        table = np.array(levels)
        order = np.argsort(table, kind="stable")
        place = order[np.searchsorted(table, cells, sorter=order).clip(max=len(levels) - 1)]
        codes = np.where(table[place] == cells, place, codes)
    return np.where(np.isnan(cells), np.nan, codes)


def _plain_names(names: Iterable[Hashable]) -> list[Hashable]:
    """Return names of columns as they can be saved: numbers and text, and others as text."""
    return [
        tuple(_plain_names(name))
        if isinstance(name, tuple)
        else name
        if name is None or isinstance(name, str | int | float)
        else str(name)
        for name in names
    ]


def _check_shape(shape: tuple[int, int], width: int, min_samples: int = 1) -> None:
    check_n_samples(shape, min_samples)
    if not shape[1]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    if shape[1] != width:
        raise ValueError(
            f"X has {shape[1]} features, but TableReader is expecting {width} features as input."
        )


def _check_finite(X: torch.Tensor, names: Names | None) -> None:
    """Raise if a cell is infinite, without a temporary of the size of X."""
    if math.isfinite(X.nansum()):
        return
    infinite = torch.zeros(X.shape[1], dtype=torch.bool)
    for chunk in X.split(max(1, 2**20 // X.shape[1])):
        infinite |= chunk.isinf().any(0)
    found = infinite.nonzero()[:, 0].tolist()
    if found:  # else the sum was too large
        raise one_error({i: _infinity(label_of(names, i)) for i in found})


def _infinity(label: str) -> ValueError:
    return ValueError(
        f"Input X contains infinity: {label} holds inf or -inf. Expected finite numbers, or NaN "
        "where one is missing; replace or clip them."
    )


def _check_numbers(tables: list[Table], i: int, label: str, is_empty: bool) -> None:
    """Raise if a column of numbers holds something else, or infinity."""
    for table in tables:
        cells = table.cells(i)
        cells = cells if isinstance(cells, np.ndarray) else _numbers(cells, label, is_empty)
        if np.isinf(cells).any():
            raise _infinity(label)
