"""Data that is odd or bad: cells, columns, tables, arrays and rows of each modality, by chance."""

import datetime
import decimal
import fractions
import functools
import types
import uuid
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp
import torch
from sklearn.linear_model import Ridge
from test_common import SAMPLES, mixed_frame

import skssl
from skssl._data import is_bags

N = 12  # rows of a good input
REFUSED = (Exception, pl.exceptions.PanicException)  # containers that do not hold such cells


def pick(rng, items):
    """Return one of some items."""
    items = list(items)
    return items[rng.integers(len(items))]


# ------------------------------------------------------------------------------- cells

WORDS = ["", " ", "a", "b", "nan", "-1", "None", "1", "1.5", "体重", "🙂", "\x00", "b" * 300]


class Odd:
    """An object that no library knows."""


class Unhashable:
    """An object without a hash or an order."""

    __hash__ = None


class Rude:
    """An object whose truth, length and comparisons raise."""

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = object.__hash__

    def __bool__(self):
        raise RuntimeError("no truth")


CELLS = {
    "int": lambda rng: int(rng.integers(0, 3)),
    "float": lambda rng: float(rng.normal()),
    "text": lambda rng: f"w{rng.integers(0, 3)}",
    "bool": lambda rng: bool(rng.integers(2)),
    "None": lambda rng: None,
    "nan": lambda rng: float("nan"),
    "inf": lambda rng: pick(rng, [float("inf"), -float("inf")]),
    "NA": lambda rng: pd.NA,
    "NaT": lambda rng: pd.NaT,
    "masked": lambda rng: np.ma.masked,
    "word": lambda rng: pick(rng, WORDS),
    "str_": lambda rng: np.str_(f"w{rng.integers(0, 3)}"),
    "bytes": lambda rng: pick(rng, [b"", b"a", b"\xff"]),
    "bytearray": lambda rng: bytearray(b"a"),
    "huge int": lambda rng: pick(rng, [2**70, -(2**70), 2**63, 10**400]),
    "large float": lambda rng: pick(rng, [1e300, 3.5e38, 1e-300, -1e308]),
    "-1": lambda rng: pick(rng, [-1, -1.0, np.int8(-1)]),
    "int8": lambda rng: np.int8(rng.integers(0, 3)),
    "uint64": lambda rng: np.uint64(2**64 - 1 - int(rng.integers(0, 3))),
    "float16": lambda rng: np.float16(rng.normal()),
    "longdouble": lambda rng: np.longdouble(rng.normal()),
    "bool_": lambda rng: np.bool_(rng.integers(2)),
    "complex": lambda rng: complex(rng.normal(), pick(rng, [0, 1])),
    "Decimal": lambda rng: decimal.Decimal(pick(rng, ["1.5", "NaN", "sNaN", "Infinity", "1E+400"])),
    "Fraction": lambda rng: fractions.Fraction(int(rng.integers(1, 5)), 3),
    "date": lambda rng: datetime.date(2026, 1, int(rng.integers(1, 4))),
    "datetime": lambda rng: datetime.datetime(2026, 1, int(rng.integers(1, 4))),
    "timedelta": lambda rng: datetime.timedelta(days=int(rng.integers(1, 4))),
    "Timestamp": lambda rng: pd.Timestamp("2026-01-01", tz=pick(rng, [None, "UTC"])),
    "datetime64": lambda rng: np.datetime64(pick(rng, ["2026-01-01", "NaT"]), "D"),
    "timedelta64": lambda rng: np.timedelta64(int(rng.integers(1, 4)), "D"),
    "Period": lambda rng: pd.Period("2026-01"),
    "Interval": lambda rng: pd.Interval(0, int(rng.integers(1, 4))),
    "UUID": lambda rng: uuid.UUID(int=int(rng.integers(0, 3))),
    "Path": lambda rng: Path(f"p{rng.integers(0, 3)}"),
    "list": lambda rng: [1] * int(rng.integers(0, 4)),
    "nested": lambda rng: [[1.0], [2.0, 3.0]][: rng.integers(0, 3)],
    "tuple": lambda rng: (1, pick(rng, ["a", 2])),
    "set": lambda rng: {1, 2},
    "dict": lambda rng: {"a": 1},
    "array": lambda rng: rng.normal(size=int(rng.integers(0, 4))),
    "matrix": lambda rng: rng.normal(size=(int(rng.integers(1, 3)), 3)),
    "deep array": lambda rng: np.ones(pick(rng, [(), (2, 2, 2), (1, 2, 2, 3), (0, 3)])),
    "text array": lambda rng: np.array(["a", "b"]),
    "tensor": lambda rng: torch.ones(pick(rng, [(), (3,), (2, 3)])),
    "Series": lambda rng: pd.Series([1.0, 2.0]),
    "frame": lambda rng: pd.DataFrame({"a": [1.0]}),
    "object": lambda rng: Odd(),
    "unhashable": lambda rng: Unhashable(),
    "rude": lambda rng: Rude(),
    "function": lambda rng: len,
    "type": lambda rng: int,
    "range": lambda rng: range(3),
    "generator": lambda rng: (i for i in range(3)),
    "Ellipsis": lambda rng: ...,
    "estimator": lambda rng: Ridge(),
}
PLAIN = ["int", "float", "text", "bool"]
HOLES = ["None", "nan", "NA", "-1", "NaT", "masked"]


def make_cells(rng, n):
    """Return n cells of one kind, of one with holes, or of two; and what they are."""
    kinds = [pick(rng, CELLS if rng.integers(4) else PLAIN)]
    how = rng.integers(5)
    if how == 1:
        kinds.append(pick(rng, HOLES))
    elif how == 2:
        kinds.append(pick(rng, PLAIN))
    elif how == 3:
        kinds.append(pick(rng, CELLS))
    share = pick(rng, [0.1, 0.5, 0.9])
    cells = [CELLS[kinds[0] if rng.random() >= share else kinds[-1]](rng) for _ in range(n)]
    return cells, "+".join(dict.fromkeys(kinds))


# ---------------------------------------------------------------------------- containers


def as_objects(cells):
    out = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        out[i] = cell
    return out


def duck(array):
    """An object of another library that numpy can read."""
    return types.SimpleNamespace(__array__=lambda *_, **__: array)


class Lazy:
    """An array of another library, as of zarr."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def __getitem__(self, where):
        return self.array[where]

    def __len__(self):
        return len(self.array)


COLUMNS = {
    "list": list,
    "tuple": tuple,
    "objects": as_objects,
    "array": np.array,
    "column": lambda cells: as_objects(cells)[:, None],
    "list of rows": lambda cells: [[cell] for cell in cells],
    "StringDType": lambda cells: np.array(list(map(str, cells)), dtype=np.dtypes.StringDType()),
    "text array": lambda cells: np.array(list(map(str, cells))),
    "bytes array": lambda cells: np.array([str(cell)[:3].encode("utf8") for cell in cells]),
    "masked": lambda cells: np.ma.array(np.array(cells), mask=np.arange(len(cells)) % 3 == 0),
    "masked objects": lambda cells: np.ma.array(
        as_objects(cells), mask=np.arange(len(cells)) % 3 == 0
    ),
    "hard mask": lambda cells: np.ma.array(np.array(cells), mask=True),
    "scalar array": lambda cells: np.array(cells[0]),
    "records": lambda cells: np.array([(i, 1.0) for i in range(len(cells))], "i4, f4"),
    "read-only": lambda cells: np.broadcast_to(np.array(cells[0]), (len(cells),)),
    "big-endian": lambda cells: np.array(cells, dtype=">f8"),
    "strided": lambda cells: np.array([*cells, *cells])[::2],
    "reversed": lambda cells: np.array(cells)[::-1],
    "float16": lambda cells: np.array(cells, dtype="f2"),
    "longdouble": lambda cells: np.array(cells, dtype="g"),
    "series": pd.Series,
    "series of objects": lambda cells: pd.Series(cells, dtype=object),
    "series, another index": lambda cells: pd.Series(cells, index=[7] * len(cells)),
    "category": lambda cells: pd.Series(pd.Categorical(cells)),
    "Categorical": pd.Categorical,
    "Index": pd.Index,
    "MultiIndex": lambda cells: pd.MultiIndex.from_arrays([cells, cells]),
    "pd.array": pd.array,
    "Int64": lambda cells: pd.Series(cells, dtype="Int64"),
    "Float64": lambda cells: pd.Series(cells, dtype="Float64"),
    "string": lambda cells: pd.Series(list(map(str, cells)), dtype="string"),
    "Sparse": lambda cells: pd.Series(cells, dtype=pd.SparseDtype("float", 0.0)),
    "ArrowDtype": lambda cells: pd.Series(cells, dtype=pd.ArrowDtype(pa.array(cells).type)),
    "frame": lambda cells: pd.DataFrame({"a": as_objects(cells)}),
    "two columns": lambda cells: pd.DataFrame({"a": as_objects(cells), "b": 1.0}),
    "polars": pl.Series,
    "polars frame": lambda cells: pl.DataFrame({"a": cells}),
    "polars lazy": lambda cells: pl.LazyFrame({"a": cells}),
    "polars Object": lambda cells: pl.Series(cells, dtype=pl.Object),
    "polars Int128": lambda cells: pl.Series(cells, dtype=pl.Int128),
    "polars Categorical": lambda cells: pl.Series(list(map(str, cells)), dtype=pl.Categorical),
    "polars Decimal": lambda cells: pl.Series(cells).cast(pl.Decimal(20, 2)),
    "polars List": lambda cells: pl.Series([[cell] for cell in cells]),
    "polars Struct": lambda cells: pl.Series([{"a": cell} for cell in cells]),
    "polars Null": lambda cells: pl.Series([None] * len(cells)),
    "Arrow": pa.array,
    "Arrow chunks": lambda cells: pa.chunked_array([pa.array(cells[:2]), pa.array(cells[2:])]),
    "Arrow dictionary": lambda cells: pa.array(cells).dictionary_encode(),
    "Arrow null": lambda cells: pa.nulls(len(cells)),
    "Arrow list": lambda cells: pa.array([[cell] for cell in cells]),
    "Arrow view": lambda cells: pa.array(list(map(str, cells)), pa.string_view()),
    "Arrow table": lambda cells: pa.table({"a": cells}),
    "Arrow batch": lambda cells: pa.RecordBatch.from_pydict({"a": cells}),
    "narwhals": lambda cells: nw.from_native(pl.Series(cells), series_only=True),
    "narwhals lazy": lambda cells: nw.from_native(pl.LazyFrame({"a": cells})),
    "tensor": torch.tensor,
    "tensor with gradient": lambda cells: torch.tensor(cells, requires_grad=True),
    "bfloat16": lambda cells: torch.tensor(cells, dtype=torch.bfloat16),
    "sparse tensor": lambda cells: torch.tensor(cells).to_sparse(),
    "meta tensor": lambda cells: torch.tensor(cells).to("meta"),
    "sparse": lambda cells: sp.csr_matrix(np.array(cells, dtype=float)[:, None]),
    "duck": lambda cells: duck(np.array(cells)),
    "lazy": Lazy,
    "memoryview": lambda cells: memoryview(np.array(cells)),
    "bytes": lambda cells: bytes(len(cells)),
    "generator": iter,
    "dict of cells": lambda cells: dict(enumerate(cells)),
    "dict of columns": lambda cells: {"a": cells},
    "set": set,
    "range": lambda cells: range(len(cells)),
    "str": lambda cells: "a" * len(cells),
    "rows in a dict": lambda cells: [{"a": cell} for cell in cells],
    "one more": lambda cells: [*cells, *cells[:1]],
    "one less": lambda cells: list(cells[1:]),
    "empty": lambda cells: [],
    "empty array": lambda cells: np.empty((0,)),
    "matrix": lambda cells: np.tile(as_objects(cells)[:, None], 2),
    "deep": lambda cells: as_objects(cells)[:, None, None],
}
OTHERS = {
    "None": lambda: None,
    "int": lambda: 3,
    "float": lambda: 0.5,
    "str": lambda: "text",
    "path": lambda: "nowhere.parquet",
    "Path": lambda: Path("nowhere"),
    "bytes": lambda: b"bytes",
    "object": Odd,
    "type": lambda: int,
    "function": lambda: len,
    "estimator": Ridge,
    "dict": dict,
    "dict of columns": lambda: {"a": [1.0, 2.0], "b": [1.0, 2.0]},
    "set": lambda: {1, 2},
    "generator": lambda: (np.ones((3, 2)) for _ in range(2)),
    "batches": lambda: iter([np.ones((3, 2)), "a"]),
    "nothing": lambda: iter([]),
    "empty list": list,
    "lists": lambda: [[]],
    "many lists": lambda: [[] for _ in range(N)],
    "deep lists": lambda: [[[[[[1.0]]]]]],
    "Nones": lambda: [None],
    "dicts": lambda: [{"a": 1}, {"b": 2}],
    "no columns": lambda: pd.DataFrame(index=range(N)),
    "no rows": lambda: pd.DataFrame({"a": [], "b": []}),
    "polars of nothing": lambda: pl.DataFrame(),
    "Arrow of nothing": lambda: pa.table({}),
    "scalar array": lambda: np.array(1.0),
    "scalar of None": lambda: np.array(None),
    "scalar tensor": lambda: torch.tensor(1.0),
    "nested tensor": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "module": lambda: torch.nn.Linear(2, 2),
    "Ellipsis": lambda: ...,
    "Rude": Rude,
    "slice": lambda: slice(3),
    "timestamp": lambda: pd.Timestamp("2026-01-01"),
    "group by": lambda: pd.DataFrame({"a": [1, 1], "b": [1.0, 2.0]}).groupby("a"),
    "categories": lambda: pd.CategoricalDtype(["a"]),
    "iterator of rows": lambda: zip([1.0, 2.0], [3.0, 4.0], strict=True),
    "sparse array": lambda: sp.coo_array(np.eye(N)),
    "sparse row": lambda: sp.csr_matrix((1, N)),
    "memory": lambda: memoryview(bytes(N)),
}
NAMES = [
    lambda n: [f"c{i}" for i in range(n)],
    lambda n: list(range(n)),
    lambda n: ["same"] * n,
    lambda n: ["a", 1, None, 2.5, ("t", 1), b"b", pd.Timestamp("2026-01-01")][:n],
    lambda n: [None] * n,
    lambda n: [("a", i) for i in range(n)],
    lambda n: ["", " ", "__class__", "体重", "🙂"][:n],
    lambda n: [float("nan")] * n,
    lambda n: [True, False, 1, 0, "0"][:n],
]
FRAMES = {
    "pandas": lambda data, names: pd.DataFrame(dict(enumerate(data))).set_axis(names, axis=1),
    "pandas objects": lambda data, names: pd.DataFrame(
        dict(enumerate(map(as_objects, data)))
    ).set_axis(names, axis=1),
    "pandas categories": lambda data, names: pd.DataFrame(
        {i: pd.Categorical(column) for i, column in enumerate(data)}
    ).set_axis(names, axis=1),
    "pandas, odd index": lambda data, names: (
        pd.DataFrame(dict(enumerate(data)))
        .set_axis(names, axis=1)
        .set_index(pd.MultiIndex.from_arrays([["i"] * len(data[0])] * 2))
    ),
    "polars": lambda data, names: pl.DataFrame(dict(zip(names, data, strict=True))),
    "polars Object": lambda data, names: pl.DataFrame(
        [pl.Series(n, c, dtype=pl.Object) for n, c in zip(names, data, strict=True)]
    ),
    "polars lazy": lambda data, names: pl.LazyFrame(dict(zip(names, data, strict=True))),
    "Arrow": lambda data, names: pa.table(list(map(pa.array, data)), names=list(map(str, names))),
    "Arrow batch": lambda data, names: pa.RecordBatch.from_arrays(
        list(map(pa.array, data)), names=list(map(str, names))
    ),
    "narwhals": lambda data, names: nw.from_native(
        pl.DataFrame(dict(zip(names, data, strict=True)))
    ),
    "rows": lambda data, names: [list(row) for row in zip(*data, strict=True)],
    "ragged rows": lambda data, names: [
        list(row)[: 1 + i % 2] for i, row in enumerate(zip(*data, strict=True))
    ],
    "rows of dicts": lambda data, names: [
        dict(zip(names, row, strict=True)) for row in zip(*data, strict=True)
    ],
    "dict": lambda data, names: dict(zip(names, data, strict=True)),
    "objects": lambda data, names: np.array(list(map(as_objects, data))).T,
    "array": lambda data, names: np.array(data).T,
    "records": lambda data, names: pd.DataFrame(dict(enumerate(data))).to_records(),
    "masked": lambda data, names: np.ma.array(np.array(data).T, mask=np.eye(len(data[0]))[:, :1]),
    "columns": lambda data, names: pd.DataFrame(dict(enumerate(data))).set_axis(
        pd.MultiIndex.from_product([["x"], range(len(names))]), axis=1
    ),
}


def make_column(rng, n):
    """Return a column of n cells or more or less, and its description."""
    if not rng.integers(12):
        name = pick(rng, OTHERS)
        return OTHERS[name](), name
    cells, what = make_cells(rng, n)
    name = pick(rng, COLUMNS if rng.integers(3) else ["list", "objects", "series of objects"])
    try:
        return COLUMNS[name](cells), f"{name} of {what}"
    except REFUSED:
        return cells, f"list of {what}"


def make_frame(rng, n):
    """Return a table of n rows, and its description."""
    width = int(rng.integers(1, 5))
    data, said = [], []
    for _ in range(width):
        cells, what = make_cells(rng, n)
        data.append(cells)
        said.append(what)
    names, name = pick(rng, NAMES if not rng.integers(3) else NAMES[:1])(width), pick(rng, FRAMES)
    try:
        return FRAMES[name](data, names), f"{name} of {said}, {names}"
    except REFUSED:
        return [list(row) for row in zip(*data, strict=True)], f"rows of {said}"


# ------------------------------------------------------------------ arrays and other good rows

FILLS = {
    "noise": lambda rng, x: x,
    "large": lambda rng, x: x * 1e6,
    "huge": lambda rng, x: x * 1e300,
    "zeros": lambda rng, x: x * 0,
    "holes": lambda rng, x: np.where(rng.random(x.shape) < 0.3, np.nan, x),
    "NaN": lambda rng, x: x * np.nan,
    "infinity": lambda rng, x: np.where(rng.random(x.shape) < 0.1, np.inf, x),
    "counts": lambda rng, x: np.round(10 * np.abs(x)),
    "negative": lambda rng, x: -np.round(10 * np.abs(x)),
}
DTYPES = "f8 f4 f2 g i8 i4 i2 i1 u1 u2 u4 u8 ? c16 c8 O U5 S5 M8[ns] m8[s] >f4 >i2".split()
ARRAYS = {
    "array": lambda x: x,
    "lists": lambda x: x.tolist(),
    "list of arrays": list,
    "tuple of arrays": tuple,
    "objects of arrays": lambda x: as_objects(list(x)),
    "Series of arrays": lambda x: pd.Series(list(x)),
    "ragged": lambda x: [row[..., : x.shape[-1] - i % 2] for i, row in enumerate(x)],
    "ragged in front": lambda x: [row[: x.shape[1] - i % 2] for i, row in enumerate(x)],
    "ragged lists": lambda x: [row[: x.shape[1] - i % 2].tolist() for i, row in enumerate(x)],
    "arrays and None": lambda x: [None if i == 1 else row for i, row in enumerate(x)],
    "arrays and text": lambda x: ["a" if i == 1 else row for i, row in enumerate(x)],
    "arrays and nothing": lambda x: [[] if i == 1 else row for i, row in enumerate(x)],
    "arrays of two dtypes": lambda x: [
        row.astype("i4" if i % 2 else "f4") for i, row in enumerate(x)
    ],
    "frames": lambda x: [pd.DataFrame(row) for row in x],
    "Series": lambda x: [pd.Series(row) for row in x],
    "tensors": lambda x: [torch.tensor(row) for row in x],
    "tensor": torch.tensor,
    "tensor with gradient": lambda x: torch.tensor(x, requires_grad=True),
    "bfloat16": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "float8": lambda x: torch.tensor(x).to(torch.float8_e5m2),
    "sparse tensor": lambda x: torch.tensor(x).to_sparse(),
    "csr tensor": lambda x: torch.tensor(x).to_sparse_csr(),
    "meta tensor": lambda x: torch.tensor(x).to("meta"),
    "conjugated": lambda x: torch.tensor(x).to(torch.complex64).conj(),
    "quantized": lambda x: torch.quantize_per_tensor(torch.tensor(x).float(), 0.1, 0, torch.qint8),
    "nested tensor": lambda x: torch.nested.nested_tensor([torch.tensor(r) for r in x]),
    "sparse": lambda x: sp.csr_matrix(x),
    "sparse array": lambda x: sp.coo_array(x),
    "frame": pd.DataFrame,
    "frame of objects": lambda x: pd.DataFrame(x, dtype=object),
    "polars": lambda x: pl.DataFrame(x),
    "polars Int128": lambda x: pl.DataFrame(x).cast(pl.Int128),
    "polars of arrays": lambda x: pl.Series(x),
    "Arrow": lambda x: pa.Table.from_pandas(pd.DataFrame(x)),
    "Arrow of lists": lambda x: pa.array(x.tolist()),
    "Arrow tensor": pa.Tensor.from_numpy,
    "masked": lambda x: np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) % 5 == 0),
    "matrix": np.matrix,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[..., ::-1],
    "read-only": lambda x: np.broadcast_to(x[:1], x.shape),
    "duck": duck,
    "lazy": Lazy,
    "no rows": lambda x: x[:0],
    "one row": lambda x: x[:1],
    "a row": lambda x: x[0],
    "nothing in a row": lambda x: x[..., :0],
    "one number in a row": lambda x: x[..., :1],
    "one dimension more": lambda x: x[..., None],
    "two dimensions more": lambda x: x[None, :, None],
    "equal rows": lambda x: np.repeat(x[:1], len(x), 0),
    "three rows": lambda x: x[:3],
    "generator": iter,
    "dict": lambda x: {"a": x},
    "dict of rows": lambda x: dict(enumerate(x)),
    "other width": lambda x: x[..., 1:],
    "transposed": lambda x: x.T,
    "batches": lambda x: iter([x[:3], x[3:]]),
    "pairs": lambda x: [(row, 0) for row in x],
    "memoryview": memoryview,
    "buffer": lambda x: x.tobytes(),
}
SHAPES = {
    "table": (N, 4),
    "image": (N, 8, 8, 3),
    "series": (N, 2, 12),
    "audio": (N, 400),
    "video": (N, 3, 6, 6, 3),
    "text": (N, 3),
    "tokens": (N, 8),
    "bags": (N, 3),
}


def make_array(rng, shape):
    """Return rows of numbers of a shape in any container, and their description."""
    x = rng.normal(size=shape)
    fill, dtype = pick(rng, FILLS), pick(rng, DTYPES if rng.integers(2) else DTYPES[:2])
    name = pick(rng, ARRAYS)
    with np.errstate(all="ignore"):
        x = FILLS[fill](rng, x)
        try:
            x = x.astype(dtype)
        except (TypeError, ValueError):
            dtype = "f8"
    try:
        return ARRAYS[name](x), f"{name} of {fill}, {dtype} {shape}"
    except REFUSED:
        return x, f"array of {fill}, {dtype} {shape}"


@functools.cache
def good(modality):
    """Return good rows of a modality."""
    return mixed_frame(N) if modality == "table" else SAMPLES[modality](N)


def make_rows(rng, modality):
    """Return rows that are good, odd or bad for a modality, and their description."""
    how = rng.integers(8)
    if how < 3:
        other = pick(rng, SHAPES) if not rng.integers(4) else modality
        return make_array(rng, SHAPES[other])
    if how < 5:
        return make_frame(rng, N)
    if how == 5:
        return make_column(rng, N)
    other = pick(rng, SHAPES)
    X = good(other)
    if how == 6 or is_bags(X):
        return (X if how == 6 else spoil_bags(rng)), f"good {other}"
    name = pick(rng, ARRAYS)
    try:
        return ARRAYS[name](np.asarray(X)), f"{name} of good {other}"
    except REFUSED:
        return X, f"good {other}"


def spoil_bags(rng):
    """Return bags of odd columns, or the customers' frames in other containers."""
    bags = good("bags")
    how = rng.integers(7)
    if how == 0:
        return list(bags)
    if how == 1:
        return bags.to_frame()
    if how == 2:
        return bags.array
    if how == 3:
        return bags.reindex([*bags.index, "nobody"])
    if how == 4:
        return bags.iloc[:0]
    frame = pd.DataFrame({"owner": np.arange(N) // 3, "at": np.arange(N)})
    cells, _ = make_cells(rng, N)
    frame["odd"] = as_objects(cells)
    return skssl.to_bags(frame, id="owner", time="at" if how == 5 else None)
