"""Base class and mixins for methods of your own, and checks of their parameters."""

from skssl._compat import Interval, StrOptions
from skssl._training._loop import Net
from skssl.base._context import TakesContext
from skssl.base._image_generation import GeneratesImages
from skssl.base._parameters import (
    ReadsAll,
    ReadsAudio,
    ReadsEvents,
    ReadsImages,
    ReadsSeries,
    ReadsTables,
    ReadsTokens,
    ReadsVideo,
)
from skssl.base._reconstruction import ReconstructionMixin
from skssl.base._row_scores import ScoresRows
from skssl.base._token_prediction import ContinuesTokens, FillsMasks
from skssl.base._transformer import SSLTransformer

__all__ = [
    "ContinuesTokens",
    "FillsMasks",
    "GeneratesImages",
    "Interval",
    "Net",
    "ReadsAll",
    "ReadsAudio",
    "ReadsEvents",
    "ReadsImages",
    "ReadsSeries",
    "ReadsTables",
    "ReadsTokens",
    "ReadsVideo",
    "ReconstructionMixin",
    "SSLTransformer",
    "ScoresRows",
    "StrOptions",
    "TakesContext",
]
