"""Tables outside memory: arrays on disk, Parquet, Arrow datasets, iterables of batches."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
import torch
from scipy.sparse import issparse

from skssl._compat import import_pyarrow
from skssl._data._containers import as_array, open_table, refuse_container
from skssl._data._draws import Draws

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.dataset import Dataset, Fragment

IN_MEMORY = 2**26  # cells; smaller tables are read whole
Read = Callable[[], Iterator[Any]]  # yields blocks of rows
BLOCK = 2**18  # cells per read
PARTS = 8  # per row group at most: to reach one, those before it are decoded
SUFFIXES = (".parquet", ".parq", ".pq")
# What Arrow's errors are; those of its base class alone are not errors of a file.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, NotImplementedError)


@dataclass(frozen=True)
class Piece:
    """Consecutive rows, which are read from the first one on.

    ``start`` is the index of the first row; ``blocks()`` yields arrays or dataframes of rows.
    """

    start: int
    blocks: Read


@dataclass
class Source:
    """A table outside memory: pieces that can be read in any order.

    Parameters
    ----------
    pieces : list of Piece
        Pieces that hold every row once.
    n_rows : int or None
        Number of rows; None if it is unknown before all are read.
    whole : callable, default=None
        Reads all rows into one dataframe, if that is faster than block by block.
    in_order : callable, default=None
        Yields all rows in order, if that is faster than piece by piece.
    at : callable, default=None
        Maps a slice to its rows, if rows can be read without those before them.
    is_once : bool, default=False
        Whether the source is an iterator, which allows one pass.
    """

    pieces: list[Piece]
    n_rows: int | None = None
    whole: Callable[[], Any] | None = None
    in_order: Read | None = None
    at: Callable[[slice], Any] | None = None
    is_once: bool = False

    @cached_property
    def head(self) -> Any:
        """The first rows."""
        return next(self.blocks())

    def blocks(self) -> Iterator[Any]:
        """Yield all rows in order."""
        if self.in_order is not None:
            return self.in_order()
        return chain.from_iterable(piece.blocks() for piece in self.pieces)

    def read_if_small(self) -> Any:
        """Return all rows as one array or dataframe if they are few, else the source."""
        if self.is_once:
            raise ValueError(
                "X is an iterator, which makes one pass, and fit makes several: over all rows to "
                "learn how columns are scaled, and then to train. Pass an object whose __iter__ "
                "starts again each time, such as a DataLoader; or call partial_fit, once over all "
                "of it."
            )
        width = open_table(self.head).shape[1]
        if self.n_rows is not None and self.n_rows * width > IN_MEMORY:
            return self
        if self.whole is not None:
            return self.whole()
        found, n = [], 0
        for block in self.blocks():
            found.append(block)
            n += len(block)
            if n * width > IN_MEMORY:
                return self
        return concatenate(found)

    def windows(self) -> Iterator[Any]:
        """Yield all rows in order, in dataframes or arrays of the allowed size in memory.

        A single last row is dropped, unless it is the only row.
        """
        found: list[Any] = []
        n, n_windows, most = 0, 0, 0
        for block in self.blocks():
            most = most or max(2, IN_MEMORY // open_table(block).shape[1])
            found.append(block)
            n += len(block)
            if n >= most:
                yield concatenate(found)
                n, n_windows, found = 0, n_windows + 1, []
        if n > 1 or (found and not n_windows):
            yield concatenate(found)


def lies_outside(X: Any) -> bool:
    """Tell whether X is a path, a dataset, an array outside memory, or batches."""
    refuse_container(X)
    if isinstance(X, str | os.PathLike | np.memmap) or _is_dataset(X):
        return True
    return _is_array_elsewhere(X) or _is_batches(X)


def open_source(X: Any) -> Any:
    """Return the source that reads X; an array in memory is returned unchanged."""
    if isinstance(X, str | os.PathLike):
        return _open_parquet(Path(X))
    if _is_dataset(X):
        return _open_dataset(X)
    if _is_batches(X):
        return Source([Piece(0, partial(_batches_of, X))], is_once=isinstance(X, Iterator))
    return _open_array(X) if X.shape[0] * X.shape[1] > IN_MEMORY else X


def concatenate(blocks: list[Any]) -> Any:
    """Concatenate blocks to one array or dataframe."""
    frames = [nw.from_native(block, pass_through=True) for block in blocks]
    if len(frames) == 1 or not isinstance(frames[0], nw.DataFrame):
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return nw.concat(frames).to_native()


def _is_dataset(X: Any) -> bool:
    module = sys.modules.get("pyarrow.dataset")  # a dataset exists only if the user imported it
    return module is not None and isinstance(X, module.Dataset)


def _is_array_elsewhere(X: Any) -> bool:
    """Tell whether X is an array of zarr, h5py, dask or the like, which is sliced like numpy's."""
    if isinstance(X, np.ndarray | torch.Tensor) or issparse(X) or not hasattr(X, "__getitem__"):
        return False
    return hasattr(getattr(X, "dtype", None), "kind") and len(getattr(X, "shape", ())) == 2


def _is_batches(X: Any) -> bool:
    if not isinstance(X, Iterable) or isinstance(X, list | tuple | dict | set | bytes | np.ndarray):
        return False
    is_data = hasattr(X, "shape") or hasattr(X, "__array__") or hasattr(X, "__getitem__")
    return not is_data and nw.from_native(X, pass_through=True) is X


# -------------------------------------------------------------------------------- arrays


def _open_array(X: Any) -> Source:
    n, width = X.shape
    chunk = (getattr(X, "chunks", None) or (1,))[0]
    chunk = max(chunk) if isinstance(chunk, tuple) else chunk  # dask lists every chunk
    n_rows = ceil(max(1, BLOCK // max(1, width)) / chunk) * chunk

    def at(rows: slice) -> np.ndarray:
        return as_array(X[rows])  # slices of netCDF are masked

    def blocks(start: int) -> Iterator[np.ndarray]:
        yield at(slice(start, min(start + n_rows, n)))

    pieces = [Piece(start, partial(blocks, start)) for start in range(0, n, n_rows)]
    return Source(pieces, n, at=at)


# -------------------------------------------------------------------------------- batches


def _batches_of(X: Iterable[Any]) -> Iterator[Any]:
    """Yield batches as dataframes or arrays; raise if there are none, or other objects."""
    with Draws(0).here(everywhere=True):  # a DataLoader draws from the global generator
        batches = iter(X)
        first = next(batches, None)
    if first is None:
        raise ValueError(
            "X yields no batches. Pass an iterable of arrays or frames that starts again each time "
            "it is iterated over."
        )
    columns = None
    for batch in chain([first], batches):
        if hasattr(batch, "to_struct_array"):  # a RecordBatch
            batch = import_pyarrow().Table.from_batches([batch])
        if isinstance(batch, list | tuple):
            raise TypeError(
                f"A batch must be an array or frame of shape (n, d), got a {type(batch).__name__} "
                f"of {len(batch)}. Where batches are pairs of X and y, pass X alone, as in "
                "DataLoader(X, batch_size=1024)."
            )
        table = open_table(batch)
        found = table.shape[1] if table.names is None else table.names
        columns = found if columns is None else columns
        if found != columns:
            raise ValueError(
                f"Batches of X differ: after columns {columns} came {found}. All need the same "
                "columns, in one order."
            )
        yield as_array(batch) if table.names is None else batch


# -------------------------------------------------------------------------------- Parquet


def _open_parquet(path: Path) -> Source:
    """Open a Parquet file, or all Parquet files in a folder and its subfolders."""
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file or folder {str(path)!r}. A path must be that of a Parquet file, or "
            "of a folder of them; rows are passed as an array or a DataFrame."
        )
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(
                f"The folder {str(path)!r} has no Parquet files: none whose name ends in "
                f"{', '.join(SUFFIXES)}. Pass the folder that has them, or the path of one."
            )
    pa = import_pyarrow()
    try:
        dataset = pa.dataset.dataset(
            list(map(str, files)),
            format="parquet",
            partitioning="hive" if path.is_dir() else None,
            partition_base_dir=str(path) if path.is_dir() else None,
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_parquet(path, error) from error
    fragments = list(dataset.get_fragments())
    for fragment in fragments:
        _check_schema(fragment, fragments[0])
    return _open_dataset(dataset)


def _not_parquet(path: Path, error: Exception) -> ValueError:
    reason = str(error).splitlines()[0]
    return ValueError(
        f"{str(path)!r} cannot be read as Parquet: {reason} Write it by DataFrame.to_parquet, or "
        "read it yourself and pass its rows as batches."
    )


def _check_schema(fragment: "Fragment", first: "Fragment") -> None:
    pa = import_pyarrow()
    try:
        found, wanted = fragment.physical_schema, first.physical_schema
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_parquet(Path(fragment.path), error) from error
    if found.equals(wanted):
        return
    columns, others = ({field.name: str(field.type) for field in s} for s in (found, wanted))
    differing = [name for name in [*others, *columns] if columns.get(name) != others.get(name)]
    what = "the order of the columns differs"
    if differing:
        kinds = (kinds.get(differing[0], "missing") for kinds in (columns, others))
        what = f"column {differing[0]!r} is {next(kinds)} here and {next(kinds)} there"
    raise ValueError(
        f"All files need the same columns, of the same types and in one order: {what}, in "
        f"{fragment.path!r} and {first.path!r}. Write them again with one schema, or pass "
        "pyarrow.dataset.dataset(folder, schema=...), which converts."
    )


def _open_dataset(dataset: "Dataset") -> Source:
    """Open an Arrow dataset: by parts of row groups, or by fragments if it is not Parquet."""
    hidden = _index_columns(dataset.schema)
    columns = [name for name in dataset.schema.names if name not in hidden]
    n_rows = max(1, BLOCK // max(1, len(columns)))
    try:
        fragments = list(dataset.get_fragments())
    except ValueError as error:
        raise ValueError(
            "A filtered dataset cannot be read in parts. Write what it keeps by "
            "pyarrow.dataset.write_dataset, and pass that folder; or pass an object whose "
            "__iter__ returns dataset.to_batches()."
        ) from error
    pieces, groups, start = [], [], 0
    for n, is_plain, read in _groups(fragments, dataset.schema, columns, n_rows):
        n_blocks = ceil(n / n_rows)
        step = max(1, ceil(n_blocks / PARTS) if is_plain else n_blocks)
        for i in range(0, n_blocks, step):
            pieces.append(Piece(start + i * n_rows, partial(_some_of, read, i, i + step)))
        groups.append(read)
        start += n
    if not start:
        raise ValueError(
            f"X has no rows: {len(fragments)} files with {len(columns)} columns and 0 rows, while "
            "a minimum of 1 is required. Pass the file or folder that has them."
        )

    def in_order() -> Iterator[Any]:
        return chain.from_iterable(read() for read in groups)

    def whole() -> Any:
        try:
            return dataset.to_table(columns=columns)
        except UNREADABLE:
            for _ in in_order():  # slower, and names the file
                pass
            raise

    return Source(pieces, start, whole, in_order)


def _groups(
    fragments: list["Fragment"], schema: "Schema", columns: list[str], n_rows: int
) -> Iterator[tuple[int, bool, Read]]:
    """Yield each row group: its rows, whether parts of it can be read, and what reads its blocks.

    A fragment that is not Parquet is one group.
    """
    pa = import_pyarrow()
    for fragment in fragments:
        file = _File(getattr(fragment, "path", "X"))
        with file.named():
            is_parquet = isinstance(fragment, pa.dataset.ParquetFileFragment)
            is_plain = is_parquet and fragment.physical_schema.equals(schema)
            parts = fragment.split_by_row_group() if is_parquet else [fragment]
        for group in parts:
            scan = _row_group if is_plain else partial(_scan, schema)
            read = partial(file.blocks, partial(scan, group, columns, n_rows))
            yield _n_rows(group, file), is_plain, read


class _File:
    """A file of a dataset: errors of reading it name it, and say if it has changed.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str):
        self.path = path
        self.opened = self._stamp()

    def blocks(self, read: Read) -> Iterator[Any]:
        """Yield the blocks of a reader."""
        with self.named():
            yield from read()

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Raise errors of the block, of Arrow or of the disk, with the name of the file."""
        self._check_unchanged()
        try:
            yield
        except UNREADABLE as error:
            self._check_unchanged()
            raise _not_parquet(Path(self.path), error) from error

    def _check_unchanged(self) -> None:
        now = self._stamp()
        if now != self.opened:
            what = "was removed" if now is None else "has changed"
            raise (FileNotFoundError if now is None else ValueError)(
                f"{self.path!r} {what} since it was opened, and its rows are read several times. "
                "Write new rows to another file, and fit again."
            )

    def _stamp(self) -> tuple[int, int] | None:
        """Return the size of a file on this machine and when it changed, or None."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns


def _n_rows(group: "Fragment", file: _File) -> int:
    """Count the rows of a fragment; for a row group, ``count_rows`` counts the whole file."""
    with file.named():
        if hasattr(group, "row_groups"):
            return sum(row_group.num_rows for row_group in group.row_groups)
        return group.count_rows()


def _some_of(read: Read, first: int, last: int) -> Iterator[Any]:
    return islice(read(), first, last)


def _index_columns(schema: "Schema") -> set[str]:
    """Return the columns in which pandas stored the index of a dataframe."""
    written = (schema.pandas_metadata or {}).get("index_columns", [])
    return {name for name in written if isinstance(name, str)}


def _row_group(group: "Fragment", columns: list[str], n_rows: int) -> Iterator[Any]:
    """Yield the rows of a row group, which is decoded page by page."""
    pa = import_pyarrow()
    with group.open() as file:
        parquet = pa.parquet.ParquetFile(
            file, metadata=group.metadata, buffer_size=2**16, pre_buffer=False
        )
        numbers = [row_group.id for row_group in group.row_groups]
        batches = parquet.iter_batches(n_rows, numbers, columns, use_threads=False)
        yield from (pa.Table.from_batches([batch]) for batch in batches)


def _scan(schema: "Schema", group: "Fragment", columns: list[str], n_rows: int) -> Iterator[Any]:
    """Yield the rows of another fragment of a dataset, converted to its schema."""
    pa = import_pyarrow()
    scanner = group.scanner(
        schema=schema, columns=columns, batch_size=n_rows, batch_readahead=0, use_threads=False
    )
    for batch in scanner.to_batches():
        for start in range(0, len(batch), n_rows):
            yield pa.Table.from_batches([batch.slice(start, n_rows)])
