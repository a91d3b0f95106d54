"""Embedding of tables larger than memory, into a file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from scipy.sparse import issparse

from skssl._atomic import replacing
from skssl._compat import count_rows, take_rows
from skssl._data import Source, lies_outside, open_source

ROWS_AT_ONCE = 4096  # per chunk of data in memory


def transform_to(estimator: Any, X: Any, path: str | os.PathLike[str]) -> np.memmap:
    """Transform rows chunk by chunk, and write the result to a file.

    Memory holds one chunk of X and one of the result. The file appears once it is complete: it
    replaces an existing file atomically, and a run that fails leaves the existing file unchanged.

    Parameters
    ----------
    estimator : estimator
        A fitted transformer, of skssl or not, or a Pipeline of transformers. It gets rows of
        Parquet files and datasets as pyarrow Tables.
    X : path, pyarrow.dataset.Dataset, array-like, dataframe or iterable of batches
        The n rows, in any form that ``fit`` of a transformer of skssl reads, or an iterator.
    path : str or path
        The file to write; its name must end in ``.npy``.

    Returns
    -------
    Z : numpy.memmap of shape (n, n_components), float32
        The file as ``np.load(path, mmap_mode="r")`` returns it. Shape and dtype are those of
        ``estimator.transform``.

    Raises
    ------
    ValueError
        If ``path`` does not end in ``.npy``, or if chunks of the result differ in shape.
    FileNotFoundError
        If the folder of ``path`` does not exist.

    Examples
    --------
    >>> import os, tempfile
    >>> import skssl
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> scarf = skssl.SCARF(n_components=8, max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Z = skssl.transform_to(scarf, X, os.path.join(folder, "Z.npy"))
    ...     Z.shape
    (150, 8)
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise ValueError(f"path must end in .npy, numpy's format of arrays; got {str(path)!r}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} for it: make it first.")
    with replacing(path) as new, open(new, "wb") as file:
        _write(file, (estimator.transform(block) for block in _blocks(X)))
    return np.load(path, mmap_mode="r")


def _blocks(X: Any) -> Iterator[Any]:
    """Yield the rows of X in parts."""
    if lies_outside(X) and len(getattr(X, "shape", (0, 0))) == 2:
        X = open_source(X)
        if isinstance(X, Source):
            yield from X.blocks()
            return
    for start in range(0, count_rows(X), ROWS_AT_ONCE):
        yield take_rows(X, slice(start, start + ROWS_AT_ONCE))


def _write(file: BinaryIO, parts: Iterator[Any]) -> None:
    """Concatenate arrays into one .npy file; the row count goes into the header last."""
    n, shape, dtype = 0, None, None
    for part in parts:
        if issparse(part):
            raise TypeError("transform must return a dense array; it returned a sparse one.")
        part = np.ascontiguousarray(part)
        if shape is None:
            shape, dtype = part.shape[1:], part.dtype
            _write_header(file, (0, *shape), dtype)
        if part.shape[1:] != shape or part.dtype != dtype:
            raise ValueError(
                f"transform made rows of shape {part.shape[1:]}, {part.dtype}, behind rows of "
                f"shape {shape}, {dtype}: a file has one. Give all rows one length."
            )
        file.write(part.data)
        n += len(part)
    if shape is None or dtype is None:
        raise ValueError("X has no rows, while a minimum of 1 is required.")
    _write_header(file, (n, *shape), dtype)


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the .npy header at the beginning, with room for any number of rows."""
    if dtype.hasobject:
        raise TypeError(f"transform must return numbers, got an array of dtype {dtype}.")
    file.seek(0)
    descr = npy.dtype_to_descr(dtype)
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
