"""Tables from any container become one tensor, and come back."""

import datetime
import json
import pickle
import tracemalloc
from decimal import Decimal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from scipy import sparse

from skssl._data import Columns, TableReader
from skssl.base._modality_of import infer_modality

nan = np.nan
NO_STR = pd.Series([None, None], dtype="str")  # of objects before pandas 3
WHOLE, HOLES = [3, 1, 4, 2], [3, 1, None, 2]
WORDS, FLAGS = ["b", "a", None, "b"], [True, False, None, True]


def arrow(values, kind):
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


def dictionary(values, ordered=False):
    return pa.array(values).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))


# name: (column, what is read, levels, whether float32 is enough)
PANDAS = {
    "int64": (pd.Series(WHOLE), WHOLE, None, False),
    "int8": (pd.Series(WHOLE, dtype="int8"), WHOLE, None, True),
    "uint16": (pd.Series(WHOLE, dtype="uint16"), WHOLE, None, True),
    "float64": (pd.Series(HOLES, dtype="float64"), HOLES, None, False),
    "float32": (pd.Series(HOLES, dtype="float32"), HOLES, None, True),
    "Int64": (pd.Series(HOLES, dtype="Int64"), HOLES, None, False),
    "Int16": (pd.Series(HOLES, dtype="Int16"), HOLES, None, True),
    "Float32": (pd.Series(HOLES, dtype="Float32"), HOLES, None, True),
    "Float64": (pd.Series(HOLES, dtype="Float64"), HOLES, None, False),
    "int64[pyarrow]": (arrow(HOLES, pa.int64()), HOLES, None, False),
    "int8[pyarrow]": (arrow(HOLES, pa.int8()), HOLES, None, True),
    "double[pyarrow]": (arrow(HOLES, pa.float64()), HOLES, None, False),
    "decimal[pyarrow]": (
        arrow([Decimal("1.50"), None], pa.decimal128(5, 2)),
        [1.5, None],
        None,
        False,
    ),
    "object of ints": (pd.Series(HOLES, dtype=object), HOLES, None, False),
    "object with NA": (pd.Series([3, 1, pd.NA, 2], dtype=object), HOLES, None, False),
    "object of Decimal": (
        pd.Series([Decimal("1.5"), None, Decimal(2)]),
        [1.5, None, 2],
        None,
        False,
    ),
    "bool": (pd.Series([True, False]), [1, 0], [False, True], True),
    "boolean": (pd.Series(FLAGS, dtype="boolean"), [1, 0, None, 1], [False, True], True),
    "bool[pyarrow]": (arrow(FLAGS, pa.bool_()), [1, 0, None, 1], [False, True], True),
    "object of bool": (pd.Series(FLAGS, dtype=object), [1, 0, None, 1], [False, True], True),
    "str": (pd.Series(WORDS, dtype="str"), [1, 0, None, 1], ["a", "b"], True),
    "string": (pd.Series(WORDS, dtype="string"), [1, 0, None, 1], ["a", "b"], True),
    "string[pyarrow]": (arrow(WORDS, pa.string()), [1, 0, None, 1], ["a", "b"], True),
    "large_string[pyarrow]": (arrow(WORDS, pa.large_string()), [1, 0, None, 1], ["a", "b"], True),
    "dictionary[pyarrow]": (
        arrow(WORDS, pa.dictionary(pa.int32(), pa.string())),
        [1, 0, None, 1],
        ["a", "b"],
        True,
    ),
    "object of str": (pd.Series(WORDS, dtype=object), [1, 0, None, 1], ["a", "b"], True),
    "object of str, nan": (
        pd.Series(["b", "a", float("nan"), "b"], dtype=object),
        [1, 0, None, 1],
        ["a", "b"],
        True,
    ),
    "object of str, NA": (
        pd.Series(["b", pd.NA, "a"], dtype=object),
        [1, None, 0],
        ["a", "b"],
        True,
    ),
    "category": (pd.Series(WORDS, dtype="category"), [1, 0, None, 1], ["a", "b"], True),
    "category, ordered": (
        pd.Series(pd.Categorical(WORDS, ["z", "b", "a"], ordered=True)),
        [0, 1, None, 0],
        ["b", "a"],
        True,
    ),
    "category of ints": (
        pd.Series([7, 0, 10, 7], dtype="category"),
        [1, 0, 2, 1],
        [0, 7, 10],
        True,
    ),
    "category of ints, null": (
        pd.Series([7, 0, None, 7], dtype="category"),
        [1, 0, None, 1],
        [0, 7],
        True,
    ),
    "all missing float": (pd.Series([nan, nan]), [None, None], None, False),
    "all missing str": (NO_STR, [None, None], [], NO_STR.dtype != object),
    "all missing object": (pd.Series([None, None], dtype=object), [None, None], [], False),
    "constant": (pd.Series(["a", "a"]), [0, 0], ["a"], True),
}
POLARS = {
    "Int64": (pl.Series(HOLES), HOLES, None, False),
    "Int8": (pl.Series(HOLES, dtype=pl.Int8), HOLES, None, True),
    "UInt64": (pl.Series(HOLES, dtype=pl.UInt64), HOLES, None, False),
    "Int128": (pl.Series(HOLES, dtype=pl.Int128), HOLES, None, False),
    "Float32": (pl.Series(HOLES, dtype=pl.Float32), HOLES, None, True),
    "Float64": (pl.Series(HOLES, dtype=pl.Float64), HOLES, None, False),
    "Decimal": (
        pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(5, 2)),
        [1.5, None],
        None,
        False,
    ),
    "Boolean": (pl.Series(FLAGS), [1, 0, None, 1], [False, True], True),
    "String": (pl.Series(WORDS), [1, 0, None, 1], ["a", "b"], True),
    "Categorical": (pl.Series(WORDS, dtype=pl.Categorical), [1, 0, None, 1], ["a", "b"], True),
    "Enum": (
        pl.Series(WORDS, dtype=pl.Enum(["z", "b", "a"])),
        [0, 1, None, 0],
        ["b", "a"],
        True,
    ),
    "Null": (pl.Series([None, None]), [None, None], [], False),
    "String of nulls": (pl.Series([None, None], dtype=pl.String), [None, None], [], True),
}
ARROW = {
    "int64": (pa.array(HOLES), HOLES, None, False),
    "uint8": (pa.array(HOLES, pa.uint8()), HOLES, None, True),
    "float16": (pa.array(HOLES, pa.float16()), HOLES, None, True),
    "float64": (pa.array(HOLES, pa.float64()), HOLES, None, False),
    "decimal": (pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)), [1.5, None], None, False),
    "bool": (pa.array(FLAGS), [1, 0, None, 1], [False, True], True),
    "string": (pa.array(WORDS), [1, 0, None, 1], ["a", "b"], True),
    "large_string": (pa.array(WORDS, pa.large_string()), [1, 0, None, 1], ["a", "b"], True),
    "dictionary": (dictionary(WORDS), [1, 0, None, 1], ["a", "b"], True),
    "null": (pa.nulls(2), [None, None], [], False),
}
MAKERS = {
    "pandas": (PANDAS, lambda column: pd.DataFrame({"x": column})),
    "polars": (POLARS, lambda column: pl.DataFrame({"x": column})),
    "pyarrow": (ARROW, lambda column: pa.table({"x": column})),
}
CASES = [
    pytest.param(make(column), *expected, id=f"{library}-{kind}")
    for library, (columns, make) in MAKERS.items()
    for kind, (column, *expected) in columns.items()
]


def read(X, *more, **kwargs):
    return TableReader(**kwargs).fit(X, *more).read(X).numpy()


def floats(values):
    return np.array(values, dtype=float).reshape(-1, 1)


@pytest.mark.parametrize("X, expected, levels, narrow", CASES)
def test_every_kind_of_column(X, expected, levels, narrow):
    reader = TableReader().fit(X)
    tensor = reader.read(X)
    assert reader.levels == [levels]
    assert [type(v) for v in reader.levels[0] or ()] == [type(v) for v in levels or ()]
    assert reader.columns == Columns((len(levels or ()),))
    assert tensor.dtype == (torch.float32 if narrow else torch.float64)
    assert_array_equal(tensor.numpy(), floats(expected))


@pytest.mark.parametrize("X, expected, levels, narrow", CASES)
def test_one_row_reads_as_in_the_table(X, expected, levels, narrow):
    reader = TableReader().fit(X)
    for i, value in enumerate(expected):
        tensor = reader.read(X[i : i + 1])
        assert_array_equal(tensor.numpy(), floats([value]))
        assert tensor.dtype == reader.read(X).dtype


@pytest.mark.parametrize("X, expected, levels, narrow", CASES)
def test_restore_is_the_inverse(X, expected, levels, narrow):
    reader = TableReader().fit(X)
    back = reader.restore(reader.read(X).numpy(), X)
    assert type(back) is type(X)
    if not isinstance(X, pd.DataFrame):
        assert back.equals(X)
        return
    assert_array_equal(back.dtypes, X.dtypes)
    assert_array_equal(back.isna(), X.isna())
    assert [v for v in back["x"] if not pd.isna(v)] == [v for v in X["x"] if not pd.isna(v)]


@pytest.mark.parametrize("X, expected, levels, narrow", CASES)
def test_reader_survives_pickle(X, expected, levels, narrow):
    reader = TableReader().fit(X)
    reader.read(X)
    again = pickle.loads(pickle.dumps(reader))
    assert_array_equal(again.read(X), reader.read(X))
    assert json.loads(json.dumps(vars(again)["levels"])) == reader.levels


MIXED = {"age": [31, 20, 45], "city": ["b", "a", None], "member": [True, False, True]}


@pytest.mark.parametrize("first", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("then", [pd.DataFrame, pl.DataFrame, pa.table])
def test_libraries_agree(first, then):
    reader = TableReader().fit(first(MIXED))
    expected = [[31, 1, 1], [20, 0, 0], [45, nan, 1]]
    assert_array_equal(reader.read(then(MIXED)), expected)
    new = then({"age": [1, 2], "city": ["zebra", None], "member": [None, False]})
    assert_array_equal(reader.read(new), [[1, 2, nan], [2, nan, 0]])


def test_array_and_list_agree_with_frame():
    frame = pd.DataFrame(MIXED)
    reader = TableReader().fit(frame)
    array = frame.astype(object).to_numpy()
    for X in (array, array.tolist()):
        assert_array_equal(reader.read(X), reader.read(frame))
        assert TableReader().fit(X).levels == reader.levels


def test_levels_are_learnt_over_all_tables():
    X, more = pd.DataFrame({"x": ["b", "c"]}), pl.DataFrame({"x": ["a", None]})
    reader = TableReader().fit(X, more)
    assert reader.levels == [["a", "b", "c"]]
    assert_array_equal(reader.read(more), floats([0, None]))


def test_number_categories_match_by_value():
    reader = TableReader().fit(pd.DataFrame({"x": pd.Series([0, 7, 10], dtype="category")}))
    for X in (
        pd.DataFrame({"x": [10.0, 0.0, nan, 3.0]}),
        pd.DataFrame({"x": pd.Series([10, 0, None, 3], dtype="category")}),
        pl.DataFrame({"x": [10, 0, None, 3]}),
        [[10], [0], [None], [3.5]],
        np.array([[10], [0], [nan], [3]], dtype=np.float32),
    ):
        assert_array_equal(reader.read(X), floats([2, 0, None, 3]))
    assert_array_equal(reader.read(pd.DataFrame({"x": ["10", "a"]})), floats([3, 3]))


def test_numbers_in_a_column_of_strings_are_unseen():
    reader = TableReader().fit(pd.DataFrame({"x": ["0", "1"]}))
    assert_array_equal(reader.read(np.array([[0.0], [nan]])), floats([2, None]))


def test_order_of_ordered_categories_merges():
    X = pl.DataFrame({"x": pl.Series(["hi", "lo"], dtype=pl.Enum(["lo", "hi"]))})
    more = pl.DataFrame({"x": ["huge"]})
    assert TableReader().fit(X, more).levels == [["lo", "hi", "huge"]]


def test_a_column_without_a_value_accepts_what_comes_later():
    reader = TableReader().fit(pd.DataFrame({"x": pd.Series([None, None], dtype="str")}))
    assert reader.columns.numeric == [0]
    assert_array_equal(reader.read(pd.DataFrame({"x": ["a", None]})), floats([None, None]))
    assert_array_equal(reader.read(pd.DataFrame({"x": [1.5, nan]})), floats([1.5, None]))


def test_declared_column_without_a_value():
    X = pd.DataFrame({"x": [None, None]})
    reader = TableReader(["x"]).fit(X)
    assert reader.columns.cardinality == (1,)
    assert_array_equal(reader.read(X), floats([None, None]))
    assert_array_equal(reader.read(pd.DataFrame({"x": ["a", None]})), floats([1, None]))
    assert_array_equal(reader.read(pd.DataFrame({"x": [2, 3]})), floats([1, 1]))


# Declared categories


@pytest.mark.parametrize(
    "features",
    [["b", "c"], [1, 2], np.array([1, 2]), [False, True, True], np.array([False, True, True])],
    ids=repr,
)
def test_declared_categories(features):
    X = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": [30, 10, 20], "c": ["x", None, "y"]})
    reader = TableReader(features).fit(X)
    assert reader.columns == Columns((0, 3, 2))
    assert_array_equal(reader.read(X), [[1.5, 2, 0], [2.5, 0, nan], [3.5, 1, 1]])
    assert_frame_equal(reader.restore(reader.read(X).numpy(), X), X)


def test_declared_categories_of_an_array():
    X = np.array([[5, 1.5], [3, 2.5], [nan, 0.5], [5, nan]], dtype=np.float32)
    before = X.copy()
    reader = TableReader([0]).fit(X)
    out = reader.read(X)
    assert reader.levels == [[3.0, 5.0], None]
    assert out.dtype == torch.float32
    assert_array_equal(out, [[1, 1.5], [0, 2.5], [nan, 0.5], [1, nan]])
    assert_array_equal(reader.restore(out.numpy(), X), X)
    assert_array_equal(X, before)


def test_no_categories():
    X = pd.DataFrame({"a": [True, False], "b": pd.Series([3.25, 7.1], dtype="category")})
    for features in (None, []):
        out = TableReader(features).fit(X).read(X)
        assert out.dtype == torch.float64
        assert_array_equal(out, [[1, 3.25], [0, 7.1]])


def test_undeclared_strings_are_an_error():
    X = pd.DataFrame({"a": [1, 2], "city": ["x", "y"]})
    with pytest.raises(TypeError, match="Column 'city' holds strings such as 'x'; expected num"):
        read(X, categorical_features=None)


@pytest.mark.parametrize(
    "features, message",
    [
        (["z"], r"names \['z'\], not found among the columns \['a', 'b'\]"),
        ([2], r"lists \[2\], but X has 2 columns"),
        ([-1], r"lists \[-1\]"),
        ([True], "mask of 1 entries, but X has 2 columns"),
        (["a", 1], "must be a list of column names"),
        ([0.5], "must be a list of column names"),
        ("dtype", "must be a list of column names.* got 'dtype'"),
        (3, "must be a list of column names.* got 3"),
    ],
)
def test_wrong_categorical_features(features, message):
    with pytest.raises(ValueError, match=message):
        TableReader(features).fit(pd.DataFrame({"a": [1], "b": [2]}))


def test_names_need_a_frame():
    with pytest.raises(ValueError, match="whose columns have no names.*listed by position"):
        TableReader(["a"]).fit(np.ones((2, 2)))


# Arrays


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_arrays_are_not_copied(dtype):
    X = np.arange(6, dtype=dtype).reshape(3, 2)
    out = TableReader().fit(X).read(X)
    assert out.data_ptr() == X.ctypes.data
    assert out.dtype == getattr(torch, dtype)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "backwards": lambda X: X[::-1],
    "mirrored": lambda X: X[:, ::-1],
    "every other": lambda X: X[::2],
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "unaligned": lambda X: np.frombuffer(b"_" + X.tobytes(), X.dtype, offset=1).reshape(X.shape),
    "broadcast": lambda X: np.broadcast_to(X[:1], X.shape),
    "one column": lambda X: X[:, 1:2],
    "matrix": lambda X: X.view(np.matrix),
}
DTYPES = ["float16", "float32", "float64", "longdouble", "int8", "uint8", "int16", "uint16"]
DTYPES += ["int32", "int64", "uint64", "object"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_and_dtypes_of_arrays(layout, dtype):
    if dtype == "object" and layout in ("unaligned", "big-endian"):
        pytest.skip("objects have neither")
    X = LAYOUTS[layout](np.arange(12).reshape(4, 3).astype(dtype))
    before = X.copy()
    reader = TableReader().fit(X)
    out = reader.read(X)
    narrow = X.dtype.name in ("float16", "float32", "int8", "uint8", "int16", "uint16")
    assert out.dtype == (torch.float32 if narrow else torch.float64)
    assert out.is_contiguous()
    assert_array_equal(out.numpy(), np.asarray(X).astype(float))
    back = reader.restore(out.numpy(), X)
    assert_array_equal(back, np.asarray(X))
    assert back.dtype.newbyteorder("=") == X.dtype.newbyteorder("=")
    assert_array_equal(X, before)


def test_bool_array_is_categories():
    X = np.array([[True, False], [False, False]])
    reader = TableReader().fit(X)
    out = reader.read(X)
    assert reader.columns == Columns((2, 2))
    assert out.dtype == torch.float32
    assert_array_equal(out, X)
    assert reader.restore(out.numpy(), X).dtype == bool
    assert_array_equal(reader.read([[0, 1], [1, 2]]), [[0, 1], [1, 2]])


def test_identifiers_keep_their_digits():
    X = np.array([[2**24 + 1], [2**53 - 1]])
    assert_array_equal(read(X), X.astype(float))
    assert read(pd.DataFrame({"id": X[:, 0], "x": ["a", "b"]}))[1, 0] == 2**53 - 1


def test_string_arrays_are_categories():
    X = np.array([["b", "x"], ["a", "x"]])
    for array in (X, X.astype(object), X.astype(np.dtypes.StringDType())):
        reader = TableReader().fit(array)
        assert reader.levels == [["a", "b"], ["x"]]
        assert_array_equal(reader.read(array), [[1, 0], [0, 0]])
        assert_array_equal(reader.restore(reader.read(array).numpy(), array), X)
    assert reader.restore(np.array([[0, nan]]), X).tolist() == [["a", None]]


def test_lists():
    assert_array_equal(read([[1, 2.5], [3, None]]), [[1, 2.5], [3, nan]])
    assert_array_equal(read([["a", 2.5], ["b", None]]), [[0, 2.5], [1, nan]])
    assert_array_equal(read(((1, 2), (3, 4))), [[1, 2], [3, 4]])
    reader = TableReader().fit([["a", 2.5], ["b", None]])
    assert reader.restore(np.array([[1, 0.5]]), [["a", 2.5]]).tolist() == [["b", 0.5]]


def test_other_holders_of_numbers(tmp_path):
    X = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / "X.npy"
    np.save(path, X)
    weights = torch.from_numpy(X).requires_grad_()
    for other in (weights, weights.bfloat16(), np.load(path, mmap_mode="r"), nw_frame(X)):
        assert_array_equal(read(other), X)


def nw_frame(X):
    return nw.from_native(pl.DataFrame(X))


def test_masked_cells_are_missing():
    X = np.ma.masked_array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]])
    assert_array_equal(read(X), [[1, nan], [3, 4]])
    assert_array_equal(read(X.astype(object)), [[1, nan], [3, 4]])


def test_reading_floats_needs_no_memory():
    X = np.ones((100_000, 20), dtype=np.float32)
    X[::3, 4] = nan
    X[7] = 3e38  # the sum overflows, no cell does
    tracemalloc.start()
    reader = TableReader().fit(X)
    assert reader.read(X).data_ptr() == X.ctypes.data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 100


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_are_not_written_to(make):
    X = make(MIXED | {"f": [1.0, 2.0, 3.0]})
    before = pickle.dumps(X)
    reader = TableReader().fit(X)
    out = reader.read(X)
    out += 1
    reader.restore(out.numpy(), X)
    assert pickle.loads(before).equals(X)


def test_float_frame_is_read_like_its_array():
    X = np.random.default_rng(0).normal(size=(5, 3))
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    assert_array_equal(read(frame), X)
    assert read(frame.astype("float32")).dtype == np.float32
    mixed = frame.astype({"a": "float32"})
    assert read(mixed).dtype == np.float64
    assert_array_equal(read(mixed), mixed)


def test_columns_of_columns():
    columns = Columns((0, 3, 0, 2, 3))
    assert columns.numeric == [0, 2]
    assert columns.categorical == [1, 3, 4]


# Restoring


def test_restore_keeps_index_and_names():
    X = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}, index=pd.Index([7, 9], name="id"))
    X.columns.name = "what"
    reader = TableReader().fit(X)
    assert_frame_equal(reader.restore(reader.read(X).numpy(), X), X)
    more = reader.restore(np.array([[1, 0], [2, 1], [3, nan]]), X)
    assert more.index.tolist() == [0, 1, 2]
    assert more["b"].tolist()[:2] == ["x", "y"]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_restore_some_columns(make):
    X = make(MIXED)
    reader = TableReader().fit(X)
    back = nw.from_native(reader.restore(np.array([[1, 20.4], [0, 30.0]]), X, columns=[1, 0]))
    assert back.columns == ["city", "age"]
    assert back["city"].to_list() == ["b", "a"]
    assert back["age"].to_list() == [20, 30]
    assert back.schema["age"] == nw.Int64


def test_restore_rounds_clips_and_gives_way():
    X = np.array([[0], [255]], dtype=np.uint8)
    reader = TableReader().fit(X)
    assert reader.restore(floats([3.7, 300, -4]), X).tolist() == [[4], [255], [0]]
    assert_array_equal(reader.restore(floats([3.7, None]), X), floats([4, None]))
    frame = pd.DataFrame(X, columns=["a"])
    assert reader.restore(floats([3.7, 300]), frame)["a"].tolist() == [4, 255]
    assert_array_equal(reader.restore(floats([3.7, None]), frame), floats([4, None]))
    for dtype in (np.int64, np.uint64):
        top = reader.restore(floats([1e30]), X.astype(dtype))
        assert top.dtype == dtype
        assert top[0, 0] > 9e18


def test_restore_codes_without_a_category_are_missing():
    X = pd.DataFrame({"x": ["a", "b"]})
    reader = TableReader().fit(X)
    assert reader.restore(floats([2, -1, None, 1]), X)["x"].isna().tolist() == [1, 1, 1, 0]


def test_restore_flags_with_holes():
    X = pd.DataFrame({"x": [True, False]})
    back = TableReader().fit(X).restore(floats([1, None]), X)
    assert back["x"].tolist() == [True, None]
    X = pl.DataFrame({"x": [True, False]})
    assert TableReader(None).fit(X).restore(floats([0.9, None]), X)["x"].to_list() == [True, None]


def test_restore_a_category_the_frame_does_not_know():
    X = pd.DataFrame({"x": pd.Series(["a", "b"], dtype="category")})
    reader = TableReader().fit(X)
    like = pd.DataFrame({"x": pd.Series(["a"], dtype="category")})
    assert reader.restore(floats([1]), like)["x"].tolist() == ["b"]
    reader = TableReader().fit(pl.DataFrame({"x": ["a", "b"]}))
    like = pl.DataFrame({"x": pl.Series(["a"], dtype=pl.Enum(["a"]))})
    assert reader.restore(floats([1]), like)["x"].to_list() == ["b"]


# Filling


@pytest.mark.parametrize("X, expected, levels, narrow", CASES)
def test_fill_touches_missing_cells_only(X, expected, levels, narrow):
    reader = TableReader().fit(X)
    cells = np.zeros((len(expected), 1))
    back = reader.fill(cells, X)
    assert type(back) is type(X)
    known = floats(expected)
    if levels != []:  # else there is nothing to fill with
        known = np.where(np.isnan(known), 0, known)
    assert_array_equal(reader.read(back), known)
    assert nw.from_native(back).schema == nw.from_native(X).schema


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_fill_keeps_what_it_does_not_know(make):
    reader = TableReader().fit(make({"city": ["a", "b", "a"], "id": [1, 2, 3]}))
    X = make({"city": ["zebra", None, "b"], "id": [2**60 + 1, 5, 6]})
    before = pickle.dumps(X)
    back = nw.from_native(reader.fill(np.array([[1, 0.2]] * 3), X))
    assert back["city"].to_list() == ["zebra", "b", "b"]
    assert back["id"].to_list() == [2**60 + 1, 5, 6]
    assert pickle.loads(before).equals(X)


def test_fill_a_category_the_frame_does_not_know():
    reader = TableReader().fit(pd.DataFrame({"x": ["a", "b"]}))
    X = pd.DataFrame({"x": pd.Categorical(["a", None, "c"])}, index=[5, 5, 6])
    back = reader.fill(floats([1, 1, 1]), X)
    assert back["x"].tolist() == ["a", "b", "c"]
    assert back.index.tolist() == [5, 5, 6]
    X = pl.DataFrame({"x": pl.Series(["a", None], dtype=pl.Enum(["a"]))})
    assert reader.fill(floats([1, 1]), X)["x"].to_list() == ["a", "b"]


def test_fill_arrays():
    X = np.array([[1, nan], [nan, 4]], dtype=np.float32)
    reader = TableReader().fit(X)
    back = reader.fill(np.array([[9.0, 8], [7, 6]]), X)
    assert back.dtype == np.float32
    assert_array_equal(back, [[1, 8], [7, 4]])
    assert np.isnan(X).sum() == 2
    whole = np.array([[2**60 + 1]])
    back = reader.fit(whole).fill(floats([None]), whole)
    assert_array_equal(back, whole)
    assert back is not whole
    X = [["a", 1], [None, 2], ["c", None]]
    back = TableReader().fit([["a", 1], ["b", 2]]).fill(np.array([[1, 7.5]] * 3), X)
    assert back.tolist() == [["a", 1], ["b", 2], ["c", 7.5]]


# Errors


class Interval:
    """Something that is no number."""


STRANGE = [
    ({"when": pd.to_datetime(["2020-01-01"])}, "Column 'when' holds dates.*TableVectorizer"),
    ({"when": pd.to_datetime(["2020-01-01"], utc=True)}, "Column 'when' holds dates"),
    ({"when": pd.to_timedelta(["1s"])}, "Column 'when' holds dates"),
    ({"when": pd.Series([datetime.date(2020, 1, 1)], dtype=object)}, "Column 'when' holds dates"),
    ({"when": pd.Series(["2020-01-01"], dtype="datetime64[ns]").astype("category")}, "holds dates"),
    ({"when": pd.period_range("2020", periods=1)}, "Column 'when' holds a Period"),
    ({"mix": pd.Series(["a", 1, None], dtype=object)}, "Column 'mix' mixes strings.*'a'.* 1 "),
    ({"mix": pd.Series(["a", True], dtype=object)}, "Column 'mix' mixes strings"),
    ({"mix": pd.Series(pd.Categorical(["a", 1]))}, "Column 'mix' mixes strings"),
    ({"cells": [{"a": 1}]}, "Column 'cells' holds a dict"),
    ({"cells": [[1, 2]]}, "Column 'cells' holds a list"),
    ({"cells": [Interval()]}, "Column 'cells' holds a Interval"),
    ({"cells": [b"a"]}, "Column 'cells' holds a bytes"),
    ({"cells": [(1, [2])]}, "Column 'cells' holds a tuple"),
    ({"cells": pd.interval_range(0, 2).astype("category")}, "Column 'cells' holds a Interval"),
]


@pytest.mark.parametrize("columns, message", STRANGE)
def test_strange_columns_of_pandas(columns, message):
    frame = pd.DataFrame(columns)
    with pytest.raises(TypeError, match=message):
        TableReader().fit(frame)
    reader = TableReader().fit(pd.DataFrame({list(columns)[0]: [1.0]}))
    with pytest.raises(TypeError, match=message):
        reader.read(frame)


@pytest.mark.parametrize(
    "values, message",
    [
        (pl.Series([datetime.date(2020, 1, 1)]), "Column 'x' holds dates or times .Date"),
        (pl.Series([datetime.datetime(2020, 1, 1)]), "holds dates or times"),
        (pl.Series([datetime.time(1)]), "holds dates or times"),
        (pl.Series([datetime.timedelta(1)]), "holds dates or times"),
        (pl.Series([[1, 2]]), "Column 'x' holds List"),
        (pl.Series([{"a": 2}]), "Column 'x' holds Struct"),
        (pl.Series([b"a"]), "Column 'x' holds (Binary|a bytes)"),
    ],
    ids=str,
)
def test_strange_columns_of_polars_and_pyarrow(values, message):
    frame = pl.DataFrame({"x": values})
    for X in (frame, frame.to_arrow()):
        with pytest.raises(TypeError, match=message):
            TableReader().fit(X)


@pytest.mark.parametrize(
    "X, error, message",
    [
        (np.ones(3), ValueError, "Expected 2D array, got 1D array instead(.|\n)*Reshape your data"),
        (pd.Series([1.0, 2.0]), ValueError, "Expected 2D array, got 1D array instead"),
        (np.array(3.0), ValueError, "Expected 2D array, got scalar array instead"),
        (None, ValueError, "Expected 2D array, got scalar array instead"),
        (np.ones((2, 2, 2)), ValueError, "Found array with dim 3.*modality="),
        (np.ones((0, 3)), ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 3\)\) while"),
        (np.ones((3, 0)), ValueError, r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is"),
        (pd.DataFrame(index=[1, 2]), ValueError, r"0 feature\(s\) \(shape=\(2, 0\)\)"),
        (pd.DataFrame({"a": []}), ValueError, r"Found array with 0 sample\(s\)"),
        (np.ones((2, 2)) * 1j, ValueError, "Complex data not supported"),
        (np.array([[1j, 2]], dtype=object), ValueError, "Complex data not supported: Column 0"),
        (sparse.csr_array(np.eye(3)), TypeError, r"sparse csr_array. Pass X.toarray\(\)"),
        (sparse.coo_matrix(np.eye(3)), TypeError, "sparse"),
        ([[1, 2], [3]], ValueError, "rows of different lengths"),
        ([["a", {}]], TypeError, "Column 1 holds a dict: argument must be a string or a number"),
        (np.array([["2020"]], dtype="datetime64"), TypeError, "Every column holds dates"),
        (np.array([[b"a"]]), TypeError, r"Every column holds \|S1"),
        (np.array([["a", 1], [2, 1]], dtype=object), TypeError, "Column 0 mixes strings"),
        ([[10**400]], ValueError, "Column 0 holds an integer too large"),
        (pl.LazyFrame({"a": [1]}), TypeError, r"Pass X.collect\(\)"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            ValueError,
            r"Duplicate column names: \['a'\]",
        ),
        (pa.table([[1], [2]], names=["a", "a"]), ValueError, r"Duplicate column names: \['a'\]"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:30],
)
def test_what_is_no_table(X, error, message):
    with pytest.raises(error, match=message):
        read(X)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "object"])
@pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_infinity_names_its_column(bad, dtype, make):
    if dtype == "object" and make is pl.DataFrame:
        pytest.skip("polars has no object columns of numbers")
    X = np.ones((5, 3))
    X[:, 0] = nan
    X[3, 1] = bad
    X = make(X.astype(dtype))
    label = repr(X.columns[1]) if hasattr(X, "columns") else "1"
    with pytest.raises(ValueError, match=f"contains infinity: Column {label}"):
        read(X)


def test_opposite_infinities_and_huge_numbers():
    with pytest.raises(ValueError, match="infinity"):
        read(np.array([[np.inf], [-np.inf]]))
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        with pytest.raises(ValueError, match="infinity"):
            read(np.array([[np.longdouble("1e400")]]))
    X = np.array([[3e38, 1e308], [3e38, 1e308], [nan, nan]])
    assert_array_equal(read(X), X)


def test_free_text():
    X = pd.DataFrame({"note": [f"words {i}" for i in range(51)], "x": 1.0})
    with pytest.raises(ValueError, match="Column 'note' holds 51 different strings.*skrub"):
        TableReader().fit(X)
    assert TableReader().fit(X[:50]).columns == Columns((50, 0))
    assert TableReader(["note"]).fit(X).columns == Columns((51, 0))
    assert TableReader().fit(X.astype({"note": "category"})).columns == Columns((51, 0))
    assert TableReader().fit(X, *[X] * 5).columns == Columns((51, 0))
    with pytest.raises(ValueError, match="Column 0 holds 51 different strings"):
        TableReader().fit(X.to_numpy(dtype=object))


def test_widths():
    reader = TableReader().fit(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"X has 1 features, but \w+ is expecting 4 features as"):
        reader.read(np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"X has 2 features, but \w+ is expecting 4 features as"):
        TableReader().fit(np.ones((3, 4)), np.ones((3, 2)))


def test_enough_rows():
    reader = TableReader().fit(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"1 sample\(s\).* while a minimum of 2 is required"):
        reader.read(np.ones((1, 4)), ensure_min_samples=2)


def test_strings_where_numbers_were():
    reader = TableReader().fit(pd.DataFrame({"age": [1.0, 2.0]}))
    for values in (["old", "new"], pd.Categorical(["old", "new"])):
        with pytest.raises(TypeError, match="Column 'age' holds strings such as 'old'"):
            reader.read(pd.DataFrame({"age": values}))


def test_a_list_in_a_column_of_categories():
    reader = TableReader().fit(pd.DataFrame({"x": ["a", "b"]}))
    with pytest.raises(TypeError, match="Column 'x' holds a list"):
        reader.read(pd.DataFrame({"x": ["a", ["b"]]}))


# What X is


@pytest.mark.parametrize(
    "X, modality",
    [
        (np.ones((2, 3)), "table"),
        (np.ones((2, 3), dtype=np.uint8), "table"),
        ([[1, 2], [3, 4]], "table"),
        ([["a", 2], ["b", 4]], "table"),
        (pd.DataFrame({"a": [1]}), "table"),
        (pl.DataFrame({"a": ["x"]}), "table"),
        (pl.LazyFrame({"a": ["x"]}), "table"),
        (pa.table({"a": [1]}), "table"),
        (nw_frame(np.ones((2, 2))), "table"),
        (sparse.eye_array(3), "table"),
        (torch.ones(2, 3), "table"),
        (["a", "b"], "text"),
        ((None, "b"), "text"),
        (np.array(["a", "b"]), "text"),
        (np.array(["a", None], dtype=object), "text"),
        (pd.Series(["a", None]), "text"),
        (pd.Series(["a", "b"], dtype="category"), "text"),
        (pl.Series(["a", "b"]), "text"),
        (np.ones((2, 3, 4), dtype=np.uint8), "image"),
        (np.ones((2, 3, 4), dtype=np.float32), "series"),
        (torch.ones(2, 3, 4), "series"),
        (torch.ones(2, 3, 4, dtype=torch.uint8), "image"),
        ([[[1.0, 2.0]]], "series"),
        (np.ones((2, 3, 4, 5)), "image"),
        (np.ones((2, 3, 4, 5, 6), dtype=np.uint8), "video"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_infer_modality(X, modality):
    assert infer_modality(X) == modality
    assert infer_modality(X, "tokens") == "tokens"


@pytest.mark.parametrize(
    "X, message",
    [
        (np.ones((2, 3, 4), dtype=int), "modality="),
        (np.ones((2, 3, 4), dtype=bool), "modality="),
        (np.ones((1,) * 6), "modality="),
        (np.ones(3), "Expected 2D array, got 1D array instead(.|\n)*Reshape your data"),
        ([1, 2, 3], "Expected 2D array, got 1D array"),
        (pd.Series([1.0]), "Expected 2D array, got 1D array"),
        ([], "Expected 2D array, got 1D array"),
        ("text", "Expected 2D array, got scalar array"),
        (None, "Expected 2D array, got scalar array"),
    ],
)
def test_infer_modality_asks(X, message):
    with pytest.raises(ValueError, match=message):
        infer_modality(X)


def test_infer_modality_wrong_modality():
    with pytest.raises(ValueError, match="modality must be 'auto' or one of.* got 'pictures'"):
        infer_modality(np.ones((2, 2)), "pictures")
