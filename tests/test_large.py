"""Tables outside memory: who reads them, how they are shuffled, and what is said of bad ones."""

import datetime
import importlib.util
import itertools
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader

import skssl
from skssl import SCARF, VIME, SimCLR
from skssl._data import TableReader, _chunked_rows, _sources, _survey, open_source, survey
from skssl._data._chunked_rows import ChunkedRows
from skssl._data._draws import Draws
from skssl._data._rows import Rows
from skssl._training import _epoch_end, _loop
from skssl._training._loop import Place
from skssl.base import _transformer
from skssl.callbacks import Checkpoint

CHEAP = {
    "n_components": 8,
    "encoder": torch.nn.Linear(4, 8),
    "max_epochs": 2,
    "batch_size": 32,
    "precision": "float32",
    "random_state": 0,
}
N = 1000
X = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)
NUMBERS = np.arange(N, dtype=np.float32)[:, None].repeat(4, 1)  # row 7 is 7, 7, 7, 7
SCALED = torch.linspace(-1, 1, 40).view(10, 4)
FRAME = pd.DataFrame(X, columns=list("abcd"))


class Slices:
    """What zarr, h5py and dask arrays are to us: a shape, a dtype, and slices."""

    def __init__(self, array, chunks=None):
        self.array, self.chunks, self.taken = array, chunks, []
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, rows):
        out = self.array[rows]
        self.taken.append(len(out))
        return out

    def __array__(self, dtype=None, copy=None):
        self.taken.append(len(self.array))
        return np.array(self.array, dtype)


class Batches:
    """An iterable of batches that starts again each time."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def cut(X, n=100):
    return [X[start : start + n] for start in range(0, len(X), n)]


def memmap(folder, X=X):
    np.save(folder / "rows.npy", X)
    return np.load(folder / "rows.npy", mmap_mode="r")


def parquet(folder, frame=FRAME, **kwargs):
    frame.to_parquet(folder / "rows.parquet", row_group_size=100, **kwargs)
    return folder / "rows.parquet"


def files(folder, frames=None):
    (folder / "many" / "deep").mkdir(parents=True)
    for i, frame in enumerate(frames or [FRAME[:300], FRAME[300:]]):
        frame.to_parquet(folder / "many" / ("deep" if i else ".") / f"{i}.parquet", index=False)
    (folder / "many" / "_SUCCESS").touch()
    return folder / "many"


SOURCES = {
    "memmap": memmap,
    "slices": lambda folder: Slices(X, chunks=(30, 4)),
    "path": lambda folder: str(parquet(folder)),
    "folder": files,
    "dataset": lambda folder: ds.dataset(parquet(folder)),
    "table in memory": lambda folder: ds.InMemoryDataset(pa.Table.from_pandas(FRAME)),
    "arrays": lambda folder: Batches(*cut(X)),
    "frames": lambda folder: Batches(*cut(FRAME)),
    "polars": lambda folder: Batches(*cut(pl.from_pandas(FRAME))),
    "arrow": lambda folder: Batches(*pa.Table.from_pandas(FRAME).to_batches(100)),
    "loader": lambda folder: DataLoader(X, batch_size=100),
}


def zarr_array(folder):
    array = importlib.import_module("zarr").create_array(
        str(folder / "rows.zarr"), shape=X.shape, chunks=(64, 4), dtype="float32"
    )
    array[:] = X
    return array


def h5_dataset(folder):
    return importlib.import_module("h5py").File(folder / "rows.h5", "w").create_dataset("x", data=X)


for module, make in {"zarr": zarr_array, "h5py": h5_dataset}.items():
    if importlib.util.find_spec(module):  # not among the packages that tests need
        SOURCES[module] = make


@pytest.fixture
def tiny(monkeypatch):
    """What does not fit into memory, here: more than 400 rows."""
    monkeypatch.setattr(_sources, "IN_MEMORY", 1600)
    monkeypatch.setattr(_sources, "BLOCK", 4 * 25)
    monkeypatch.setattr(_chunked_rows, "WINDOW", 4 * 256)
    monkeypatch.setattr(_survey, "SAMPLE_ROWS", 200)
    monkeypatch.setattr(_survey, "RUNS", 20)


def rows_of(given):
    """Return the rows of a fit, read as they are."""
    source, read = open_source(given), TableReader().fit(X).read
    seen = survey(source, [])
    return ChunkedRows(source, seen.n_rows, read, read(seen.sample), seen.numbers)


def numbers_of(batches):
    return [batch[:, 0].int().tolist() for (batch,) in batches]


# ---------------------------------------------------------------------------------- fits


@pytest.fixture(scope="module")
def in_memory():
    return SCARF(**CHEAP).fit(X)


@pytest.mark.parametrize("name", SOURCES)
def test_what_fits_into_memory_is_fitted_as_if_it_had_been_there(name, in_memory, tmp_path):
    given = SOURCES[name](tmp_path)
    fitted = SCARF(**CHEAP).fit(given)
    assert fitted.loss_curve_ == in_memory.loss_curve_
    assert torch.equal(fitted.encoder_[1](SCALED), in_memory.encoder_[1](SCALED))
    assert fitted.n_features_in_ == 4
    is_array = name in ("memmap", "slices", "arrays", "loader", "zarr", "h5py")
    assert hasattr(fitted, "feature_names_in_") is not is_array


@pytest.mark.parametrize("name", SOURCES)
def test_what_does_not_is_read_in_parts(name, in_memory, tmp_path, tiny):
    given = SOURCES[name](tmp_path)
    state = torch.random.get_rng_state()
    fitted = SCARF(**CHEAP).fit(given)
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_allclose(fitted.loss_curve_, in_memory.loss_curve_, rtol=0.05)
    assert fitted.loss_curve_ != in_memory.loss_curve_
    whole = fitted.transform(pd.DataFrame(X, columns=getattr(fitted, "feature_names_in_", None)))
    np.testing.assert_allclose(fitted.transform(given), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["path", "arrays"])
def test_partial_fit_makes_one_pass(name, tmp_path, tiny):
    given = SOURCES[name](tmp_path)
    fitted = SCARF(**CHEAP).partial_fit(given)
    assert fitted._net.step == N // 32
    assert fitted.loss_curve_ == SCARF(**CHEAP).partial_fit(given).loss_curve_
    assert fitted.partial_fit(given)._net.step == 2 * (N // 32)


def digits():
    """Return rows of digits, sorted by class, others, and the classes of both."""
    X, y = load_digits(return_X_y=True)
    X = PCA(16, random_state=0).fit_transform(X).astype(np.float32)
    X, X_test, y, y_test = train_test_split(X, y, test_size=900, random_state=0)
    order = y.argsort(kind="stable")
    return X[order], X_test, y[order], y_test


def test_the_probe_of_a_sorted_file_is_that_of_the_rows_in_memory(tmp_path, monkeypatch):
    """Means of two seeds: .899 in memory, .912 on a disk, .854 there if it is not shuffled."""
    rows, others, y, y_others = digits()

    def probe(given, seed):
        method = SCARF(n_components=32, max_epochs=10, batch_size=64, random_state=seed)
        encoder = method.set_params(precision="float32").fit(given)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        return model.fit(encoder.transform(rows), y).score(encoder.transform(others), y_others)

    expected = np.mean([probe(rows, seed) for seed in range(2)])
    monkeypatch.setattr(_sources, "IN_MEMORY", 16 * 400)
    monkeypatch.setattr(_sources, "BLOCK", 16 * 6)
    monkeypatch.setattr(_chunked_rows, "WINDOW", 16 * 400)
    found = np.mean([probe(memmap(tmp_path, rows), seed) for seed in range(2)])
    assert found >= expected - np.sqrt(expected * (1 - expected) / len(others))


def test_memory_holds_a_block_and_a_window(tiny):
    given = Slices(NUMBERS)
    rows = rows_of(given)
    assert max(given.taken) <= 25
    blocks = rows._blocks(torch.arange(len(rows.source.pieces)), 1.0)
    assert list(map(len, _chunked_rows._windows(blocks, 256))) == [256, 256, 256, N - 3 * 256]
    list(rows.batches(32))
    assert max(given.taken) <= 25


@pytest.mark.parametrize("given", [X, X[:, None]], ids=["table", "series"])
def test_rows_in_memory_are_scaled_and_not_copied_once_more(given, monkeypatch):
    """What scaling and parts are learnt from is a copy, of as many rows as shall be."""
    monkeypatch.setattr(_transformer, "SAMPLE_ROWS", 64)
    monkeypatch.setattr(_epoch_end, "ROWS", 64)
    n_copied, some = [], Rows.some
    monkeypatch.setattr(Rows, "some", lambda *args: n_copied.append(len(x := some(*args))) or x)
    SimCLR(n_components=4, max_epochs=1, batch_size=100).fit(given)
    assert 32 <= max(n_copied) <= 64


def test_chunks_of_an_array_are_read_whole(tiny):
    given = Slices(NUMBERS, chunks=(40, 2))
    list(open_source(given).blocks())
    assert given.taken == [40] * 25
    dask = Slices(NUMBERS, chunks=((60, 40) * 10, (4,)))
    list(open_source(dask).blocks())
    assert dask.taken == [60] * 16 + [40]


# ------------------------------------------------------------------------------- shuffling


@pytest.mark.parametrize("batch_size, n_batches", [(32, 31), (100, 10), (999, 1), (1000, 1)])
def test_a_pass_has_each_row_once(batch_size, n_batches, tiny):
    rows = rows_of(Slices(NUMBERS))
    batches = numbers_of(rows.batches(batch_size))
    assert len(batches) == n_batches == rows.n_batches(batch_size)
    assert {len(batch) for batch in batches} == {batch_size}
    flat = sum(batches, [])
    assert len(set(flat)) == len(flat)
    assert rows.cap(5000) == len(rows) == N


def test_each_pass_has_another_order_and_generators_repeat_it(tiny, tmp_path):
    rows = rows_of(parquet(tmp_path, pd.DataFrame(NUMBERS, columns=list("abcd"))))
    first, again = (
        numbers_of(rows.batches(50, torch.Generator().manual_seed(0))) for _ in range(2)
    )
    other = numbers_of(rows.batches(50, torch.Generator().manual_seed(1)))
    assert first == again != other
    assert sorted(sum(first, [])) == sorted(sum(other, [])) == list(range(N))


def test_batches_mix_distant_rows(tiny):
    """A batch of 50 has rows of at least 6 tenths of the table; a window has 10 blocks."""
    batches = numbers_of(rows_of(Slices(NUMBERS)).batches(50))
    assert min(len({row // 100 for row in batch}) for batch in batches[:-5]) >= 5
    assert all(np.ptp(batch) > 300 for batch in batches)


@pytest.mark.parametrize("n_taken", [32, 96, 160, 256, 480, 992])
@pytest.mark.parametrize("n_left_out", [0, 1, 100])
def test_a_short_fit_reads_no_more_rows_but_from_as_many_places(n_taken, n_left_out, tiny):
    """Windows of 256 rows have 11 pieces of 25; a piece and a batch at most are read in vain."""
    rows = rows_of(Slices(NUMBERS)).split(n_left_out)[0]
    read, n_read = rows.read, []
    rows = replace(rows, read=lambda block: n_read.append(len(block)) or read(block))
    rows = rows.place_on(torch.device("cpu"), n_taken)
    some = rows.n_batches(32) * 32 if n_taken == 992 else n_taken
    batches = numbers_of(itertools.islice(rows.batches(32), some // 32))
    assert [len(batch) for batch in batches] == [32] * (some // 32)
    flat = sum(batches, [])
    assert len(set(flat)) == len(flat)
    assert not np.isin(flat, rows.left_out).any()
    assert some <= sum(n_read) <= some + 32 + 25
    n_windows = -(-some // rows._window(32)[0])
    assert len(n_read) <= 1 + 11 * n_windows
    assert len({row // 25 for row in flat}) >= min(40, 10 * -(-some // 256))


def test_a_short_fit_to_what_one_window_holds_has_whole_batches(tiny, monkeypatch):
    """However the numbers are rounded, and whatever is left out."""
    monkeypatch.setattr(_chunked_rows, "WINDOW", 4 * N)
    for n_left_out, batch_size in [(0, 7), (1, 9), (3, 33), (100, 10)]:
        rows = rows_of(Slices(NUMBERS)).split(n_left_out)[0]
        for n_batches in range(1, rows.n_batches(batch_size) + 1):
            placed = rows.place_on(torch.device("cpu"), n_batches * batch_size)
            sizes = [
                len(batch) for (batch,) in itertools.islice(placed.batches(batch_size), n_batches)
            ]
            assert sizes == [batch_size] * n_batches


@pytest.mark.parametrize(("n", "n_strata"), [(1, 1), (5, 9), (12, 12), (1000, 82), (61, 7)])
def test_pieces_come_from_all_over_the_data(n, n_strata):
    """In every pass in another order, each once; so many in a row as there are strata, of each."""
    passes = [
        _chunked_rows._spread(n, n_strata, torch.Generator().manual_seed(i)) for i in range(40)
    ]
    assert all(torch.equal(order.sort().values, torch.arange(n)) for order in passes)
    assert n == 1 or len({tuple(order.tolist()) for order in passes}) > 30
    first = torch.stack([order[: min(n, n_strata)] for order in passes]) * n_strata // n
    assert all(len(set(strata.tolist())) == len(strata) for strata in first)


def test_row_groups_are_cut_into_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(_sources, "BLOCK", 4 * 5)
    source = open_source(parquet(tmp_path, pd.DataFrame(NUMBERS, columns=list("abcd"))))
    starts = [piece.start for piece in source.pieces]
    assert starts == [100 * group + 15 * part for group in range(10) for part in range(7)]
    for piece in source.pieces:
        assert next(piece.blocks())["a"][0].as_py() == piece.start
    assert [len(block) for block in source.pieces[1].blocks()] == [5, 5, 5]
    assert sum(len(block) for block in source.blocks()) == N


def test_training_goes_on_within_a_pass(tiny):
    rows = rows_of(Slices(NUMBERS))
    draws = Draws(0)

    def drawn(place, n):
        batches = place.batches(rows, 100, draws)
        with draws.here(everywhere=True):
            return [(next(batches)[0].sum().item(), torch.rand(()).item()) for _ in range(n)]

    whole = drawn(Place(), 14)
    draws.seed(0)
    place = Place()
    assert drawn(place, 13) == whole[:13]
    place.now = draws.states()
    draws.seed(5)
    resumed = Place(began=place.began, n_taken=place.n_taken, now=place.now)
    assert drawn(resumed, 1) == whole[13:]


class Killed:
    """A callback that ends a fit in its second epoch."""

    n_epochs = 0

    def setup(self, estimator, context):
        """Nothing to do, here and in the next two."""

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.n_epochs += context.task_name == "epoch"
        if self.n_epochs == 2:
            raise KeyboardInterrupt


def test_a_fit_goes_on_from_a_checkpoint(tiny, tmp_path):
    given = memmap(tmp_path)
    whole = SCARF(**CHEAP).fit(given)
    path = tmp_path / "fit.pt"
    with pytest.raises(KeyboardInterrupt):
        SCARF(**CHEAP).set_callbacks(Checkpoint(path, every=0), Killed()).fit(given)
    assert path.exists()
    resumed = SCARF(**CHEAP).set_callbacks(Checkpoint(path, every=0)).fit(given)
    assert resumed.loss_curve_ == whole.loss_curve_
    assert np.array_equal(resumed.transform(X), whole.transform(X))


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_held_out_rows_are_in_no_batch(n_blocks, tiny, tmp_path, monkeypatch):
    """Pieces have one block or several."""
    monkeypatch.setattr(_sources, "BLOCK", 4 * 5)
    frame = pd.DataFrame(NUMBERS, columns=list("abcd"))
    rows = rows_of(Slices(NUMBERS) if n_blocks == 1 else parquet(tmp_path, frame))
    assert max(len(list(piece.blocks())) for piece in rows.source.pieces) == n_blocks
    rows, held_out = rows.split(100)
    away = held_out.tensors[0][:, 0].int().tolist()
    assert len(set(away)) == len(away) == 100 and len(rows) == 900
    taken = sum(numbers_of(rows.batches(45)), [])
    assert sorted(taken + away) == list(range(N))


def test_early_stopping_looks_at_rows_of_the_sample(tiny):
    fitted = SCARF(**CHEAP | {"max_epochs": 3}, n_iter_no_change=1).fit(Slices(X))
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_


# --------------------------------------------------------------------- what is seen before


@pytest.mark.parametrize("name", ["memmap", "path", "arrays"])
def test_the_sample_is_spaced_evenly(name, tiny, tmp_path):
    write = {"memmap": lambda: memmap(tmp_path, NUMBERS), "arrays": lambda: Batches(*cut(NUMBERS))}
    write["path"] = lambda: parquet(tmp_path, pd.DataFrame(NUMBERS, columns=list("abcd")))
    rows = rows_of(write[name]())
    assert 200 <= len(rows.sample) <= 400
    assert rows.sample[:, 0].int().tolist() == rows.numbers.tolist()
    assert np.diff(np.histogram(rows.numbers, 10, (0, N))[0]).max() <= 1
    assert len(rows.some(50)) <= 50


def test_a_sample_of_a_long_stream_is_merged_and_thinned():
    sample = _survey._Spaced(100)
    for start in range(0, 30_000, 10):
        sample.add(np.arange(start, start + 10)[:, None])
    kept = np.concatenate(sample.parts)[:, 0]
    assert 100 <= len(kept) <= 200 and set(np.diff(kept)) == {sample.every}
    assert np.array_equal(np.concatenate(sample.numbers), kept)


def test_categories_are_those_of_all_rows(tiny, tmp_path):
    frame = FRAME.assign(kind=["x"] * 999 + ["rare"], on=[True, False] * 500)
    frame["kind"] = frame["kind"].where(frame.index != 5)
    path = parquet(tmp_path, frame)
    fitted = SCARF(**CHEAP | {"encoder": "auto", "max_epochs": 0}).fit(path)
    assert fitted._reader.levels == [None] * 4 + [["rare", "x"], [False, True]]
    assert fitted._reader.levels == TableReader().fit(frame).levels
    assert np.isfinite(fitted.transform(path)).all()
    listed = SCARF(**CHEAP | {"encoder": "auto", "max_epochs": 0}, categorical_features=[3])
    numbers = X.round()
    levels = listed.fit(Slices(numbers))._reader.levels
    assert levels[:3] == [None] * 3 and levels[3] == np.unique(numbers[:, 3]).tolist()


def test_dictionaries_decimals_and_holes_of_parquet(tiny, tmp_path):
    column = pa.array(["u", None, "v", "u"] * 250).dictionary_encode()
    table = pa.table(
        {"c": column, "d": pa.array(range(N), pa.decimal128(9, 2)), "none": pa.nulls(N)}
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    fitted = VIME(**CHEAP | {"encoder": "auto", "max_epochs": 0}).fit(tmp_path / "t.parquet")
    assert fitted._reader.levels[:2] == [["u", "v"], None]
    assert np.isfinite(fitted.transform(tmp_path / "t.parquet")).all()


def test_columns_of_parquet_are_those_that_pandas_reads(tmp_path, tiny):
    frame = FRAME.set_index(pd.Index(range(1, N + 1), name="id"))
    fitted = SCARF(**CHEAP).fit(parquet(tmp_path, frame))
    assert fitted.feature_names_in_.tolist() == list("abcd")
    ds.write_dataset(
        pa.table({**{c: FRAME[c] for c in "abc"}, "part": ["u", "v"] * 500}),
        tmp_path / "parts",
        format="parquet",
        partitioning=["part"],
        partitioning_flavor="hive",
    )
    fitted = SCARF(**CHEAP | {"encoder": "auto", "max_epochs": 0}).fit(tmp_path / "parts")
    assert fitted.feature_names_in_.tolist() == ["a", "b", "c", "part"]
    assert fitted._reader.levels[3] == ["u", "v"]


def test_a_dataset_converts_to_its_schema(tiny, tmp_path):
    folder = files(tmp_path, [FRAME[:300].astype("float64"), FRAME[300:]])
    schema = pa.schema([(name, pa.float32()) for name in "abcd"])
    dataset = ds.dataset(folder, schema=schema, format="parquet")
    blocks = list(open_source(dataset).blocks())
    assert all(block.schema.equals(schema) for block in blocks)
    assert sum(map(len, blocks)) == N and max(map(len, blocks)) <= 25


# --------------------------------------------------------------------------------- streams


def test_an_iterator_makes_one_pass(tiny, in_memory):
    with pytest.raises(ValueError, match="makes one pass, and fit makes several.*partial_fit"):
        SCARF(**CHEAP).fit(iter(cut(X)))
    fitted = SCARF(**CHEAP).partial_fit(iter(cut(X)))
    by_hand = SCARF(**CHEAP)
    for window in (X[:400], X[400:800], X[800:]):
        by_hand.partial_fit(window)
    assert np.array_equal(fitted.transform(X), by_hand.transform(X))
    np.testing.assert_allclose(
        in_memory.transform(iter(cut(X, 7))), in_memory.transform(X), rtol=1e-4, atol=1e-5
    )


def test_a_row_left_over_by_an_iterator_is_left_out(tiny):
    fitted = SCARF(**CHEAP).partial_fit(iter([X[:400], X[400:401]]))
    assert fitted._net.step == 400 // 32
    with pytest.raises(ValueError, match="minimum of 2"):
        SCARF(**CHEAP).partial_fit(iter([X[:1]]))


def test_a_stream_that_breaks_leaves_the_estimator_as_it_was(tiny):
    fitted = SCARF(**CHEAP).partial_fit(X[:100])
    before = vars(fitted).copy()
    with pytest.raises(ValueError, match="Batches of X differ"):
        fitted.partial_fit(iter([X[:400], X[:400, :3]]))
    assert vars(fitted) == before


def test_batches_that_change_are_said(tiny):
    class Shrinking(Batches):
        n = 12

        def __iter__(self):
            self.n -= 1
            return iter(cut(X)[: self.n])

    with pytest.raises(ValueError, match="A pass over X gave [0-9]+ rows.*starts again"):
        SCARF(**CHEAP).fit(Shrinking())

    stream = iter(cut(X))

    class Once:
        def __iter__(self):
            return stream

    with pytest.raises(ValueError, match="yields no batches"):
        SCARF(**CHEAP).fit(Once())


# ---------------------------------------------------------------------------------- errors


def nested(folder):
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": [[1], [2, 3]]}), folder / "t.parquet")
    return folder / "t.parquet"


def no_rows(folder):
    return parquet(folder, FRAME[:0])


def dates(folder):
    day = datetime.date(2026, 1, 1)
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": [day, day]}), folder / "t.parquet")
    return folder / "t.parquet"


def no_parquet(folder):
    (folder / "rows.parquet").write_text("a,b\n1,2\n")
    return folder / "rows.parquet"


BAD = {
    no_rows: (ValueError, "X has no rows: 1 files with 4 columns and 0 rows.*Pass the"),
    nested: (TypeError, "Column 'b' holds List.*Convert or drop"),
    dates: (TypeError, "Column 'b' holds dates.*Turn them"),
    no_parquet: (ValueError, "rows.parquet' cannot be read as Parquet.*to_parquet"),
    lambda f: f: (ValueError, "has no Parquet files: none whose name ends in .parquet"),
    lambda f: f / "absent": (FileNotFoundError, "no file or folder '.*absent'.*must be"),
    lambda f: files(f, [FRAME, FRAME.rename(columns={"b": "z"})]): (
        ValueError,
        "same columns.*column 'b' is missing here and float there, in '.*1.parquet'",
    ),
    lambda f: files(f, [FRAME, FRAME.astype({"c": "int64"})]): (
        ValueError,
        "column 'c' is int64 here and float there.*convert",
    ),
    lambda f: files(f, [FRAME, FRAME[list("bacd")]]): (ValueError, "order of the columns differs"),
    lambda f: ds.dataset(parquet(f)).filter(ds.field("a") > 0): (
        ValueError,
        "filtered dataset cannot be read in parts.*write_dataset",
    ),
    lambda f: Batches(): (ValueError, "X yields no batches"),
    lambda f: Batches([X, X]): (TypeError, "A batch must be an array or frame.*got a list of 2"),
    lambda f: Batches(X[0]): (ValueError, "Expected 2D array, got 1D"),
    lambda f: Batches(X, X[:, :3]): (ValueError, "Batches of X differ: after columns 4 came 3"),
    lambda f: Slices(X.astype(complex)): (ValueError, "Complex data not supported"),
    lambda f: Slices(np.where(X > 3, np.inf, X)): (ValueError, "contains infinity"),
}


@pytest.mark.parametrize("make", BAD, ids=[str(i) for i in range(len(BAD))])
@pytest.mark.parametrize("limit", [1600, 2**26])
def test_errors(make, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(_sources, "IN_MEMORY", limit)
    kind, message = BAD[make]
    with pytest.raises(kind, match=message):
        SCARF(**CHEAP).fit(make(tmp_path))


def test_who_reads_no_paths_says_who_does(tmp_path):
    with pytest.raises(ValueError, match="A path is read by fit, partial_fit and transform.*Here"):
        skssl.DenoisingAutoencoder(**CHEAP).fit(X).reconstruct(parquet(tmp_path))


def test_texts_of_a_large_table_are_no_categories(tiny, tmp_path, monkeypatch):
    path = parquet(tmp_path, FRAME.assign(a=[f"t{i}" for i in range(N)]))
    with pytest.raises(ValueError, match="Column 'a' holds 1000 different strings"):
        SCARF(**CHEAP).fit(path)
    monkeypatch.setattr(_survey, "MOST_LEVELS", 100)
    with pytest.raises(ValueError, match="Column 'a' holds more than 100 different values"):
        SCARF(**CHEAP).fit(path)


@pytest.mark.parametrize("name", ["sample_weight", "groups"])
def test_weights_and_groups_need_memory(name, tiny):
    given = {name: np.arange(N) % 50 + 1}
    for call in (SCARF(**CHEAP).fit, SCARF(**CHEAP).partial_fit):
        with pytest.raises(ValueError, match="sample_weight and groups need rows in memory"):
            call(Slices(X), **given)
    with pytest.raises(ValueError, match="need rows in memory"):
        SCARF(**CHEAP).partial_fit(iter(cut(X)), **given)
    assert SCARF(**CHEAP).partial_fit(Slices(X[:200]), **{name: given[name][:200]}).n_iter_ == 1


def test_large_rows_are_not_joined_to_others(tiny):
    for pair in ((X[:10], Slices(X)), (Slices(X), X[:10])):
        with pytest.raises(ValueError, match="pass all rows as X"):
            SCARF(**CHEAP).fit(pair[0], X_unlabeled=pair[1])


def test_other_modalities_of_data_are_left_alone(tiny, tmp_path):
    images = np.random.default_rng(0).integers(256, size=(30, 8, 8), dtype=np.uint8)
    method = SimCLR(n_components=4, max_epochs=1, random_state=0, precision="float32")
    expected = method.fit(images).loss_curve_
    assert method.fit(memmap(tmp_path, images)).loss_curve_ == expected
    flat = images.reshape(30, 64)
    assert method.set_params(image_shape=(8, 8)).fit(memmap(tmp_path, flat)).loss_curve_ == expected


# ----------------------------------------------------------------------------- transform_to


@pytest.mark.parametrize("name", ["memmap", "path", "frames"])
def test_transform_to(name, tmp_path, tiny):
    path, given = tmp_path / "Z.npy", SOURCES[name](tmp_path)
    fitted = SCARF(**CHEAP | {"max_epochs": 0}).fit(given)
    Z = skssl.transform_to(fitted, given, str(path))
    assert isinstance(Z, np.memmap) and not Z.flags.writeable
    assert Z.dtype == np.float32
    np.testing.assert_array_equal(Z, fitted.transform(given))
    np.testing.assert_array_equal(np.load(path), Z)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_transform_to_of_rows_in_memory_and_other_estimators(tmp_path, monkeypatch):
    monkeypatch.setattr("skssl.persistence._transform_to.ROWS_AT_ONCE", 300)
    model = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    for given in (X, list(X), iter(cut(X))):
        Z = skssl.transform_to(model, given, tmp_path / "Z.npy")
        np.testing.assert_allclose(Z, model.transform(X), rtol=1e-4, atol=1e-5)


def test_transform_to_leaves_the_old_file_where_it_fails(tmp_path, in_memory):
    path = tmp_path / "Z.npy"
    skssl.transform_to(in_memory, X, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Batches of X differ"):
        skssl.transform_to(in_memory, iter([X, X[:, :2]]), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["Z.npy"]


def test_transform_to_says_what_it_cannot_write(tmp_path, in_memory):
    with pytest.raises(ValueError, match="must end in .npy.*got '.*Z.csv'"):
        skssl.transform_to(in_memory, X, tmp_path / "Z.csv")
    with pytest.raises(FileNotFoundError, match="no folder '.*absent'.*make it first"):
        skssl.transform_to(in_memory, X, tmp_path / "absent" / "Z.npy")
    with pytest.raises(ValueError, match="X has no rows"):
        skssl.transform_to(in_memory, X[:0], tmp_path / "Z.npy")
    assert not list(Path(tmp_path).iterdir())


def test_the_page_on_large_tables_runs(tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "large.rst"
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page.read_text("utf-8"))
    np.save(tmp_path / "rows.npy", X)
    parquet(tmp_path)
    files(tmp_path).rename(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 2)
    names = {"X_few": FRAME[:50], "y_few": np.arange(50) % 2}
    for block in blocks:
        exec(textwrap.dedent(block), names)
    assert names["Z"].shape == (N, 256)
    assert names["model"].score(FRAME[:50], names["y_few"]) > 0.5
