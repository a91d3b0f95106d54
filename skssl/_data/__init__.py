"""Readers: turn user data (dataframe, array, list, event sequences) into one tensor, and back.

A table is one float tensor ``(n, d)``: numbers unchanged, categories as codes ``0..k-1``, a
category that ``fit`` never saw as ``k``, missing values as NaN. Event sequences are such tensors
stacked to ``(n, length, d)``. Images are one tensor ``(n, channels, height, width)``, and clips
``(n, time, channels, height, width)``, of bytes if they are bytes. Texts and tokens are one int64
tensor ``(n, length)``, padded with 0. Series are ``(n, channels, time)`` and waveforms ``(n,
time)``, padded with NaN.
"""

from skssl._data._audio import MAKE_AUDIO, AudioReader, refuse_gaps
from skssl._data._bags import is_bags
from skssl._data._columns import Columns
from skssl._data._containers import is_frame, is_pictures, note_columns
from skssl._data._events import MAKE_BAGS, BagReader, bags_of, check_time, event_columns
from skssl._data._images import MAKE_CLIPS, MAKE_IMAGES, ImageReader, VideoReader
from skssl._data._series import MAKE_SERIES, SeriesReader, is_list_of_arrays, is_ragged
from skssl._data._sources import Source, lies_outside, open_source
from skssl._data._survey import SAMPLE_ROWS, survey
from skssl._data._table import TEXT_OF_MISSING, TableReader
from skssl._data._text import (
    MAKE_TEXT,
    MAKE_TOKENS,
    MASK_TEXT,
    TextReader,
    TokenReader,
    is_text,
    texts_of,
)
from skssl._data._words import Words, pad

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
    "TEXT_OF_MISSING",
    "TableReader",
    "TextReader",
    "TokenReader",
    "VideoReader",
    "Words",
    "bags_of",
    "check_time",
    "event_columns",
    "is_bags",
    "is_frame",
    "is_pictures",
    "is_list_of_arrays",
    "is_ragged",
    "is_text",
    "lies_outside",
    "note_columns",
    "open_source",
    "pad",
    "refuse_gaps",
    "survey",
    "texts_of",
]
