"""What a method is: the base class, and the mixins that say what it reads and can do."""

from skssl.base._parameters import (
    ReadsAll,
    ReadsAudio,
    ReadsImages,
    ReadsSeries,
    ReadsTables,
    ReadsTokens,
    ReadsVideo,
)
from skssl.base._reconstruction import ReconstructionMixin
from skssl.base._row_scores import ScoresRows
from skssl.base._transformer import SSLTransformer

__all__ = [
    "ReadsAll",
    "ReadsAudio",
    "ReadsImages",
    "ReadsSeries",
    "ReadsTables",
    "ReadsTokens",
    "ReadsVideo",
    "ReconstructionMixin",
    "SSLTransformer",
    "ScoresRows",
]
