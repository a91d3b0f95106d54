"""From what the user holds (frame, array, list, bags, images) to one tensor, and back.

A table is one float tensor ``(n, d)``: numbers as they are, categories as codes ``0..k-1``,
a category that ``fit`` never saw as ``k``, anything missing as NaN. Bags of events are such
tensors ``(n, length, d)``, one after the other. Images are one tensor ``(n, channels, height,
width)``, and clips one ``(n, time, channels, height, width)``, of bytes where they are bytes.
Texts and tokens are one int64 tensor ``(n, length)``, 0 behind the last token. Series are ``(n,
channels, time)`` and waveforms ``(n, time)``, NaN where there is nothing.
"""

import os
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy.sparse import issparse

from skssl._data._audio import MAKE_AUDIO, AudioReader
from skssl._data._bags import is_bags
from skssl._data._columns import Columns
from skssl._data._containers import (
    as_array,
    check_one_shape,
    is_missing,
    note_columns,
    wrong_dimension,
)
from skssl._data._events import MAKE_BAGS, BagReader, bags_of, check_time, event_columns
from skssl._data._images import MAKE_CLIPS, MAKE_IMAGES, ImageReader, VideoReader
from skssl._data._series import MAKE_SERIES, SeriesReader, is_ragged
from skssl._data._sources import Source, lies_outside, open_source
from skssl._data._survey import SAMPLE_ROWS, survey
from skssl._data._table import TableReader
from skssl._data._text import (
    MAKE_TEXT,
    MAKE_TOKENS,
    MASK_TEXT,
    TextReader,
    TokenReader,
    texts_of,
)
from skssl._data._words import Words, padded

__all__ = [
    "MAKE_AUDIO",
    "MAKE_BAGS",
    "MAKE_CLIPS",
    "MAKE_IMAGES",
    "MAKE_SERIES",
    "MAKE_TEXT",
    "MAKE_TOKENS",
    "MASK_TEXT",
    "SAMPLE_ROWS",
    "AudioReader",
    "BagReader",
    "Columns",
    "ImageReader",
    "SeriesReader",
    "Source",
    "TableReader",
    "TextReader",
    "TokenReader",
    "VideoReader",
    "Words",
    "bags_of",
    "check_time",
    "event_columns",
    "infer_modality",
    "is_bags",
    "lies_outside",
    "note_columns",
    "open_source",
    "padded",
    "survey",
    "texts_of",
]

MODALITIES = ("table", "bags", "image", "series", "audio", "text", "tokens", "video")


def infer_modality(X: Any, modality: str = "auto", *, is_flat_image: bool = False) -> str:
    """Return what X is, from its container, dimensions and dtype, never from its values.

    Parameters
    ----------
    X : array-like or dataframe
        The user's data.
    modality : str, default="auto"
        What the user says it is; anything but "auto" is the answer.
    is_flat_image : bool, default=False
        Whether two dimensions are images whose pixels stand in a row.

    Returns
    -------
    modality : {"table", "bags", "image", "series", "audio", "text", "tokens", "video"}
    """
    if modality != "auto":
        if modality not in MODALITIES:
            raise ValueError(f"modality must be 'auto' or one of {MODALITIES}, got {modality!r}.")
        return modality
    if isinstance(X, str | os.PathLike):
        raise ValueError(
            f"Expected 2D array, got scalar array instead: {X!r}. A path is read by fit, "
            "partial_fit and transform of methods for tables, and by transform_to. Here pass the "
            "rows, as pandas.read_parquet returns them."
        )
    if is_bags(X):
        return "bags"
    if is_ragged(X):
        return "series"
    if not isinstance(X, np.ndarray):
        if issparse(X) or nw.dependencies.is_into_dataframe(nw.to_native(X, pass_through=True)):
            return "table"
        if nw.dependencies.is_polars_lazyframe(X):
            return "table"
        if not hasattr(getattr(X, "dtype", None), "kind") or not hasattr(X, "shape"):
            X = as_array(X)
    n_dimensions = len(X.shape)
    if is_flat_image and n_dimensions in (2, 3, 4):
        return "image"
    if n_dimensions == 1 and _is_text(X):
        return "text"
    if n_dimensions < 2:
        check_one_shape(X)
        raise ValueError(wrong_dimension(X))
    by_shape = {2: "table", 4: "image", 5: "video"}
    if n_dimensions == 3:
        by_shape[3] = "image" if X.dtype == np.uint8 else "series" if X.dtype.kind == "f" else ""
    if not by_shape.get(n_dimensions):
        raise ValueError(
            f"X of dtype {X.dtype} and shape {X.shape} could be several things. Say which with "
            f"modality=, one of {MODALITIES}."
        )
    return by_shape[n_dimensions]


def _is_text(X: Any) -> bool:
    """Tell whether a column is of texts, or of objects that are all missing, as texts may be."""
    first = next((value for value in X if not is_missing(value)), None)
    return isinstance(first, str) or (first is None and X.dtype == object and len(X) > 0)
