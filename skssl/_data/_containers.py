"""Tables in any container, read by column."""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any, TypeGuard

import narwhals.stable.v2 as nw
import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skssl._compat import import_pyarrow
from skssl._data._masked import is_masked, stack_masked, unmask

VECTORIZER = "put skrub's TableVectorizer in front"


READ_LAZY = {"polars": "collect()", "dask": "compute()", "duckdb": "df()", "pyspark": "toPandas()"}


Names = list[Hashable]


@dataclass
class Table:
    """A table by column, from any container.

    ``kinds`` classifies the dtypes: "narrow" numbers are exact in float32, "wide" numbers
    are not; "bool", "category" and "text" are categories; "object" is anything.
    ``cells(i)`` is an array of numbers with NaN for missing, or a list of Python values.
    ``orders`` lists the categories of each ordered column, by its position, and ``refused`` has
    the error of each column that is neither numbers nor categories by its dtype.
    """

    shape: tuple[int, int]
    names: Names | None
    kinds: list[str]
    cells: Callable[[int], Any]
    orders: dict[int, list[Any]] = field(default_factory=dict)
    matrix: np.ndarray | None = None
    refused: dict[int, TypeError] = field(default_factory=dict)

    def missing(self, i: int) -> np.ndarray:
        """Return a mask of the cells of a column in which the user has no value."""
        cells = self.cells(i)
        if isinstance(cells, np.ndarray):
            return np.isnan(cells)
        return np.fromiter(map(is_missing, cells), bool, len(cells))


def open_table(X: Any) -> Table:
    """Return X by column; raise unless it is a two-dimensional table of cells."""
    if isinstance(X, Table):
        return X
    X = as_native(X)
    _check_unique(X)
    if isinstance(X, np.ndarray) and not holds_arrays(X):
        return _open_array(X)
    if issparse(X):
        raise TypeError(
            f"Expected a dense table, got a sparse {type(X).__name__}. Pass X.toarray(), or "
            "reduce it first, e.g. with TruncatedSVD."
        )
    if nw.dependencies.is_pandas_dataframe(X):
        return _open_pandas(X)
    if nw.dependencies.is_into_dataframe(X):
        return _open_frame(X)
    array = as_given(X)
    if array.ndim != 2:
        raise ValueError(wrong_dimension(array, X))
    return _open_array(array)


def as_native(X: Any) -> Any:
    """Return X without a wrapper of narwhals, and an Arrow batch as a table.

    Raises
    ------
    TypeError
        If X is lazy, or a container that no reader reads.
    """
    X = nw.to_native(X, pass_through=True)
    refuse_container(X)
    if type(X).__name__ == "RecordBatch":
        return import_pyarrow().Table.from_batches([X])
    if _is_lazy(X):
        library = type(X).__module__.partition(".")[0]
        raise TypeError(
            f"Expected a table in memory, got a {library} {type(X).__name__}. Pass "
            f"X.{READ_LAZY.get(library, 'to_pandas()')}."
        )
    return X


def refuse_container(X: Any) -> None:
    """Raise TypeError if X is a container that no reader reads."""
    if issparse(X):
        if X.ndim != 2:
            raise TypeError(
                f"Expected a dense table, got a sparse array of shape {X.shape}. Pass X.toarray()."
            )
        return
    if isinstance(X, Mapping):
        raise TypeError(
            f"Expected an array, a list or a dataframe, got a {type(X).__name__}. Pass "
            "pd.DataFrame(X) if it holds columns, or list(X.values()) if it holds rows."
        )
    if isinstance(X, Set):
        raise TypeError(
            f"Expected an array, a list or a dataframe, got a {type(X).__name__}, which has no "
            "order. Pass a list."
        )
    if hasattr(type(X), "agg") and not hasattr(type(X), "shape") and not _is_lazy(X):
        raise TypeError(
            f"Expected a table, got a {type(X).__name__}, which is not computed yet. Pass what it "
            "aggregates to, such as X.mean()."
        )
    if isinstance(X, memoryview | bytes | bytearray):
        raise TypeError(
            f"Expected an array, a list or a dataframe, got a {type(X).__name__}. Pass an array of "
            "numpy, as numpy.frombuffer and numpy.asarray make."
        )
    if not isinstance(X, torch.Tensor):
        return
    odd = [
        (X.is_nested, "a nested tensor", "a list of its parts, list(X.unbind())"),
        (X.device.type == "meta", "a tensor of the device 'meta', which has no numbers", "numbers"),
        (X.is_quantized, "a quantized tensor", "X.dequantize()"),
        (X.layout != torch.strided, f"a tensor of the layout {X.layout}", "X.to_dense()"),
    ]
    for is_so, what, remedy in odd:
        if is_so:
            raise TypeError(f"Expected a dense tensor of numbers, got {what}. Pass {remedy}.")


def _is_lazy(X: Any) -> bool:
    if nw.dependencies.is_into_dataframe(X):
        return False
    return isinstance(nw.from_native(X, pass_through=True), nw.LazyFrame)


def as_column(X: Any) -> Any:
    """Return a Series, an Index or an Arrow column as an array or a list, and others unchanged.

    Entries that are arrays of arrays, as Parquet and polars return images, become plain arrays.
    """
    if hasattr(X, "to_pylist") and hasattr(X, "type"):
        return X.to_pylist()
    if hasattr(X, "to_numpy"):
        try:
            X = X.to_numpy()
        except Exception as error:  # of a dtype that numpy does not have
            raise _unreadable(X, error) from error
    if _is_nested(X) and any(map(_is_nested, X)):
        return [_stack_nested(x) for x in X]
    return X


def _is_nested(X: object) -> TypeGuard[Sequence[object]]:
    """Tell whether X is a list, or an array of objects, that begins with an array."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], np.ndarray)
    return isinstance(X, list | tuple) and len(X) > 0 and isinstance(X[0], np.ndarray)


def _stack_nested(X: object) -> object:
    """Return an array of arrays as one array of numbers, if it is rectangular."""
    if not _is_nested(X):
        return X
    try:
        array = np.array([_stack_nested(x) for x in X])
    except ValueError:  # of different shapes
        return X
    return array if array.dtype.kind in "biuf" else X


def as_array(X: Any) -> np.ndarray:
    """Convert X, which is not a dataframe, to an array without a mask; mixed lists are objects."""
    return np.asarray(unmask(as_given(X)))


def as_plain(array: np.ndarray) -> np.ndarray:
    """Return a table of objects that are all numbers as numbers, and other arrays unchanged."""
    if array.dtype != object or array.ndim < 2 or isinstance(array, np.ma.MaskedArray):
        return array
    try:
        plain = np.array(array.tolist())
    except ValueError:  # of cells that are lists
        return array
    return plain if plain.dtype.kind in "biuf" else array


def read_tokens(X: Any) -> np.ndarray:
    """Return an array of numbers that may be tokens, masks kept; raise if X holds others."""
    if issparse(X):
        raise TypeError("Expected an array of tokens, got a sparse one. Pass X.toarray().")
    tokens = as_given(X)
    if tokens.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected an array of token numbers, got one of dtype {tokens.dtype}. Pass rows of "
            "one length that hold numbers alone, as transform returns them."
        )
    return tokens


def as_given(X: Any) -> np.ndarray:
    """Convert X as :func:`as_array` does, but keep masks, and with them the dtype of the user."""
    X = as_native(X)
    if isinstance(X, torch.Tensor):
        return _from_tensor(X)
    X = as_column(X)
    if isinstance(X, np.ndarray):
        check_one_shape(X)
        if not holds_arrays(X):
            return X
    check_pictures(X)
    X = list(X) if isinstance(X, np.ndarray) else X
    X = stack_masked(X) if is_masked(X) else X
    try:
        array = np.asanyarray(X)
    except Exception as error:  # objects of the user and of other libraries raise anything
        check_one_shape(X, least=2)
        if not isinstance(X, list | tuple):
            raise _unreadable(X, error) from error
        raise ValueError(
            "Expected a 2D table, got rows of different lengths (an inhomogeneous shape). Give "
            "every row one cell per column; None or NaN marks a missing one."
        ) from error
    if array.dtype.kind in "US" and not hasattr(X, "dtype"):
        return np.array(X, dtype=object)  # numpy turned the numbers into strings
    return array


def _unreadable(X: object, error: Exception) -> TypeError:
    return TypeError(
        f"Expected an array, a list or a dataframe, got a {type(X).__name__} that numpy does not "
        f"read: {first_line(error)} Convert it to an array of numpy."
    )


def _from_tensor(X: torch.Tensor) -> np.ndarray:
    X = X.detach().cpu().resolve_conj().resolve_neg()
    try:
        return X.numpy()
    except TypeError:  # numpy has no bfloat16, nor eight bits
        return X.float().numpy()


def as_floats(
    X: object, noun: str, make: str, dtype: np.typing.DTypeLike = np.float32
) -> np.ndarray:
    """Return X as a new array of floats; raise in our words unless each cell is a number."""
    try:
        with np.errstate(over="ignore"):  # infinity, which readers refuse
            array = np.asarray(X)
            if array.dtype.kind in "cmMV":
                raise TypeError(f"{array.dtype} is no real number.")
            return np.array(array, dtype=dtype)
    except Exception as error:  # what numpy, or an object that it converts, raises
        cells = X if isinstance(X, list | tuple) else np.ravel(np.asarray(X, dtype=object)).tolist()
        odd = [cell for cell in cells if not (is_missing(cell) or isinstance(cell, Real))]
        got = f"a {type(odd[0]).__name__}" if odd else "one that floats do not hold"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{noun} must be numbers, got {got}: {first_line(error)} {make}") from error


def as_matrix(X: object, name: str = "X", **checks: bool | int) -> np.ndarray:
    """Return numbers in any container as a finite array of float64.

    ``checks`` are further arguments of :func:`sklearn.utils.check_array`.
    """
    array = as_numbers(X)
    if array.dtype.kind in "OSUTVmM":
        make = "Expected finite numbers only; convert or drop the others."
        array = as_floats(array, name, make, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # it adds all numbers up
        return check_array(array, dtype=np.float64, input_name=name, **checks)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, as a sentence."""
    line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"{line[:200]}."


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor that shares its memory, or a copy's where torch cannot read it.

    torch reads neither negative strides, as of ``images[:, ::-1]``, nor read-only arrays, nor
    strides between elements, as of fields of records, nor the byte order of other machines.
    """
    strides = [0 <= stride and stride % array.itemsize == 0 for stride in array.strides]
    is_plain = array.flags.writeable and array.flags.aligned and array.dtype.isnative
    return torch.from_numpy(array if is_plain and all(strides) else array.copy())


def as_numbers(X: Any) -> np.ndarray:
    """Convert X to an array; the columns of a dataframe must hold numbers."""
    if not is_frame(X):
        return as_array(X)
    table = open_table(X)
    if table.matrix is not None:
        return table.matrix
    columns = [_as_number_column(table.cells(i)) for i in range(table.shape[1])]
    odd = [label_of(table.names, i) for i, column in enumerate(columns) if column is None]
    if odd:
        more = f" and {len(odd) - 5} more" * (len(odd) > 5)
        raise TypeError(
            "Expected a dataframe of numbers only, such as pixels or samples; "
            f"{', '.join(odd[:5])}{more} hold something else. Drop or convert these columns; one "
            "whose cells are arrays is passed alone, X['images'] for example."
        )
    numbers = [column for column in columns if column is not None]
    return np.column_stack(numbers) if numbers else np.empty(table.shape)


def _as_number_column(cells: Any) -> np.ndarray | None:
    """Return cells as an array of numbers, NaN where they are missing; None if they are others."""
    if isinstance(cells, np.ndarray):
        return cells
    cells = [np.nan if is_missing(cell) else cell for cell in cells]
    is_numeric = all(isinstance(cell, Real | Decimal | np.bool_) for cell in cells)
    array = np.asarray(cells) if is_numeric else None
    if array is None or array.dtype != object:
        return array
    return as_floats(array, "Columns", "Drop or convert them.", np.float64)


def check_one_shape(X: Any, least: int = 3) -> None:
    """Raise ValueError if X, a list or an array of objects, is arrays of different shapes.

    Those of fewer than ``least`` dimensions pass: with two, they may be series.
    """
    if getattr(X, "ndim", 1) != 1 or not len(X) or getattr(X[0], "ndim", 0) < least:
        return
    shapes = sorted({_shape(x) for x in X})
    if len(shapes) > 1:
        what = "Clips, or images with channels," if len(shapes[0]) > 2 else "Images"
        raise ValueError(
            f"{what} of different shapes: {shapes[0]} and {shapes[-1]} among them. All clips need "
            "the same number of frames and all frames one size: cut clips to one length, resize "
            "or crop frames and images, and pass np.stack(clips)."
        )


def _shape(x: object) -> tuple[int, ...]:
    try:
        return tuple(np.shape(x))  # type: ignore[call-overload]
    except ValueError:  # a ragged list
        return ()


def holds_arrays(X: np.ndarray) -> bool:
    """Tell whether X is an array of objects that are arrays of one shape."""
    if X.dtype != object or X.ndim != 1 or not len(X) or isinstance(X, np.ma.MaskedArray):
        return False
    is_array = (hasattr(x, "__array_interface__") or isinstance(x, list | tuple) for x in X)
    try:
        return all(is_array) and len({np.shape(x) for x in X}) == 1
    except ValueError:  # a ragged list
        return False


def is_pictures(X: Any) -> bool:
    """Tell whether X is a list or an array of images of PIL."""
    if not isinstance(X, list | tuple) and getattr(X, "ndim", 0) != 1:
        return False
    return len(X) > 0 and all(hasattr(x, "getbands") for x in as_column(X))


def check_pictures(X: Any) -> None:
    """Raise ValueError if X is an image of PIL, or some that make no array."""
    if hasattr(X, "getbands"):
        raise ValueError("Expected many images, got a single one. Pass a list of them, [image].")
    if not is_pictures(X):
        return
    modes, sizes = sorted({x.mode for x in X}), sorted({x.size for x in X})
    if len(modes) > 1 or modes[0] == "P":
        what = "colours of a palette" if modes == ["P"] else f"several modes, {', '.join(modes)}"
        raise ValueError(
            f"Images of {what}. Expected one mode of grey or colours: pass "
            "[image.convert('RGB') for image in X]."
        )
    if len(sizes) > 1:
        raise ValueError(
            f"Images of different sizes, {sizes[0]} and {sizes[-1]} among them. Expected one size: "
            f"resize or crop them, as in [image.resize({sizes[0]}) for image in X]."
        )


def check_n_samples(shape: tuple[int, ...], least: int) -> None:
    """Raise ValueError, in scikit-learn's words, if there are fewer rows than ``least``."""
    if shape[0] < least:
        raise ValueError(
            f"Found array with {shape[0]} sample(s) (shape={shape}) while a minimum of {least} is "
            "required."
        )


def join_padded(first: torch.Tensor, second: torch.Tensor, filler: float) -> torch.Tensor:
    """Concatenate the rows of two tensors; the shorter ones are padded at their end."""
    length = max(first.shape[-1], second.shape[-1])
    parts = (F.pad(x, (0, length - x.shape[-1]), value=filler) for x in (first, second))
    return torch.cat(list(parts))


def _open_array(X: np.ndarray, names: Names | None = None) -> Table:
    if X.ndim != 2:
        raise ValueError(wrong_dimension(X, X))
    dtype, kind = X.dtype, X.dtype.kind
    X, shape = np.asarray(unmask(X)), X.shape  # a matrix keeps two dimensions in a column
    if kind in "fiub":
        kinds = [_number_kind(dtype)] * shape[1]
        return Table(shape, names, kinds, lambda i: X[:, i], matrix=X)
    if kind == "c":
        raise ValueError(
            "Complex data not supported. Expected real numbers; pass the real and imaginary "
            "parts as two columns, np.hstack([X.real, X.imag])."
        )
    if kind not in "OUT":
        raise refusal("Every column", dtype, kind in "mM")
    return Table(shape, names, ["object"] * shape[1], lambda i: X[:, i].tolist())


def _open_pandas(X: Any) -> Table:
    """Open a pandas dataframe without narwhals, which takes 25 microseconds per column."""
    names, dtypes = X.columns.tolist(), X.dtypes.tolist()
    kinds = [_pandas_kind(X, i, dtype) for i, dtype in enumerate(dtypes)]
    plain = [isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in dtypes]
    if names and all(plain) and "bool" not in kinds:
        return _open_array(X.to_numpy(), names)
    series = [column for _, column in X.items()]

    def cells(i: int) -> Any:
        if plain[i]:
            return series[i].to_numpy()
        if kinds[i] in ("narrow", "wide", "bool"):
            return series[i].to_numpy(dtype=np.float64, na_value=np.nan)
        return series[i].tolist()

    ordered = [i for i, dtype in enumerate(dtypes) if getattr(dtype, "ordered", False)]
    orders = {i: dtypes[i].categories.tolist() for i in ordered}
    return Table(X.shape, names, kinds, cells, orders, refused=_refused(kinds, dtypes, names))


def is_frame(X: Any) -> bool:
    """Tell whether X is a dataframe or a sparse matrix, which hold tables."""
    if isinstance(X, np.ndarray):
        return False
    is_lazy = _is_lazy(nw.to_native(X, pass_through=True))  # it is an error when it is read
    return is_lazy or issparse(X) or nw.dependencies.is_into_dataframe(as_native(X))


def _pandas_kind(X: Any, i: int, dtype: Any) -> str:
    plain = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", None)
    if plain is not None and plain.kind in "fiub":
        return _number_kind(plain)
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return "object"
    if dtype.name in ("category", "str", "string"):
        return "category" if dtype.name == "category" else "text"
    return _kind(nw.from_native(X.iloc[:, i], series_only=True).dtype)


def _open_frame(X: Any) -> Table:
    frame = nw.from_native(X, eager_only=True)
    names, series = frame.columns, list(frame.iter_columns())
    dtypes = [column.dtype for column in series]
    kinds = [_kind(dtype) for dtype in dtypes]

    def cells(i: int) -> Any:
        if kinds[i] not in ("narrow", "wide"):
            return series[i].to_list()  # to_numpy fills nulls of a pyarrow dictionary
        if dtypes[i] in (nw.Decimal, nw.Int128, nw.UInt128):
            return series[i].cast(nw.Float64).to_numpy()
        return series[i].to_numpy()

    ordered = [i for i, dtype in enumerate(dtypes) if isinstance(dtype, nw.Enum)]
    orders = {i: list(dtypes[i].categories) for i in ordered}
    refused = _refused(kinds, dtypes, names)
    return Table(frame.shape, names, kinds, cells, orders, refused=refused)


def _kind(dtype: Any) -> str:
    """Classify a narwhals dtype; "times" and "other" are neither numbers nor categories."""
    if dtype in (nw.Float32, nw.Float16, nw.Int8, nw.Int16, nw.UInt8, nw.UInt16):
        return "narrow"
    if dtype.is_numeric():
        return "wide"
    if dtype in (nw.Boolean, nw.String):
        return "bool" if dtype == nw.Boolean else "text"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    if dtype in (nw.Object, nw.Unknown):
        return "object"
    return "times" if dtype.is_temporal() else "other"


def _refused(kinds: list[str], dtypes: list[Any], names: Names) -> dict[int, TypeError]:
    """Return the errors of the columns that are neither numbers nor categories."""
    return {
        i: refusal(label_of(names, i), dtypes[i], kind == "times")
        for i, kind in enumerate(kinds)
        if kind in ("times", "other")
    }


def _number_kind(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "bool"
    return "narrow" if dtype.itemsize <= (4 if dtype.kind == "f" else 2) else "wide"


def refusal(label: str, what: object, is_time: bool) -> TypeError:
    """Return the error for a column that is neither numbers nor categories."""
    if is_time:
        return TypeError(
            f"{label} holds dates or times ({what}); expected numbers or categories. Turn them "
            f"into numbers such as year, weekday or age in days, or {VECTORIZER}."
        )
    return TypeError(
        f"{label} holds {what}: argument must be a string or a number, or a bool or missing. "
        f"Convert or drop the column, or {VECTORIZER}."
    )


def is_missing(value: object) -> bool:
    """Tell whether a cell is None, NaN, NaT, pandas' NA or masked."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    if isinstance(value, Decimal):
        return value.is_nan()  # comparing a signalling one raises
    return isinstance(value, Real) and value != value


def label_of(names: Names | None, i: int) -> str:
    """Return the name of a column for messages."""
    return f"Column {i}" if names is None else f"Column {names[i]!r}"


def labels_of(names: Names | None, width: int) -> list[str]:
    """Return the names of all columns for messages."""
    if names is None:
        return [f"Column {i}" for i in range(width)]
    return [f"Column {name!r}" for name in names]


def note_columns(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool = True) -> None:
    """Store the number and the names of the columns of X, or compare X with those stored."""
    X = as_native(X)
    _check_unique(X)
    if isinstance(X, list | tuple) and not X:
        check_n_samples((0,), 1)
    validate_data(estimator, X, y, reset=reset, skip_check_array=True)


def _check_unique(X: Any) -> None:
    """Raise if a dataframe has two columns of the same name."""
    if not nw.dependencies.is_into_dataframe(X):
        return
    names = list(getattr(X, "column_names", None) or getattr(X, "columns", []))
    if len(set(names)) != len(names):
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        raise ValueError(
            f"Duplicate column names: {twice}. Expected every column to have a name of its own; "
            "rename or drop the repeated ones."
        )


def wrong_dimension(X: np.ndarray, given: Any) -> str:
    """Return the message for an array that is not a table, made of what was given."""
    if len(X.shape) > 2:
        return (
            f"Found array with dim {len(X.shape)}, while a table has dim 2. Flatten each sample to "
            "a row, or say what X is with modality=."
        )
    got, is_series = "1D" if X.shape else "scalar", hasattr(given, "to_frame")
    got = f"Expected 2D array, got {got} array instead: shape {X.shape}, dtype {X.dtype}."
    if X.dtype.names:
        return f"{got} Of an array of records, pass pd.DataFrame(X)."
    return (
        f"{got} Reshape your data either using array.reshape(-1, 1) if your data has a single "
        "feature or array.reshape(1, -1) if it contains a single sample."
        + (" Of a Series, X.to_frame() is one feature, df.iloc[[0]] one sample." * is_series)
    )
