"""Preprocessing of texts, audio, time series and event sequences."""

from skssl.preprocessing._audio import MuLaw, log_mel
from skssl.preprocessing._phenotypes import BagArray, BagDtype, PhenotypeTransformer, to_bags
from skssl.preprocessing._series import sliding_windows
from skssl.preprocessing._text import TextTokenizer

__all__ = [
    "BagArray",
    "BagDtype",
    "MuLaw",
    "PhenotypeTransformer",
    "TextTokenizer",
    "log_mel",
    "sliding_windows",
    "to_bags",
]
