"""Encoders: modules that map a batch to (n, d) embeddings, and builders that size them by X.

Modules keep only plain attributes and buffers, so that they can be saved and exported without
running code.
"""

from skssl._data._columns import Columns
from skssl.encoders._audio import AudioScaler, LogMel
from skssl.encoders._bins import Bins, Unbinned, cell_heads
from skssl.encoders._build import front_and_body, table_encoder, width_of
from skssl.encoders._context import ContextEncoder
from skssl.encoders._decoder import Decoder
from skssl.encoders._events import EventEncoder, EventScaler, MeanState, event_encoder
from skssl.encoders._image import ImageScaler, image_encoder, small_resnet
from skssl.encoders._kernels import RandomKernels
from skssl.encoders._mlp import MLP, AllLayers
from skssl.encoders._numbers import Periodic, PiecewiseLinear
from skssl.encoders._recurrent import CausalGRU, check_causal, series_encoder
from skssl.encoders._resnet import ResNet
from skssl.encoders._series import (
    SeriesScaler,
    TemporalConvNet,
    check_sequence,
    places_of,
    pool,
    steps_of,
)
from skssl.encoders._series_transformer import SeriesTransformer, check_series_patches
from skssl.encoders._sharing import encode
from skssl.encoders._spectral import SpectralNet
from skssl.encoders._table import (
    ONE_HOT_LIMIT,
    QuantileScaler,
    SideBySide,
    Standardizer,
    TableEncoder,
    TableFront,
)
from skssl.encoders._tokens import (
    BagOfTokens,
    TokenTransformer,
    VocabularyHead,
    token_encoder,
    token_width,
    vectors_of,
)
from skssl.encoders._transformer import FTTransformer
from skssl.encoders._video import FramePredictor, VideoEncoder, video_encoder, video_scaler
from skssl.encoders._vit import ViT, grid_positions, patchify, unpatchify

__all__ = [
    "MLP",
    "ONE_HOT_LIMIT",
    "AllLayers",
    "AudioScaler",
    "BagOfTokens",
    "Bins",
    "CausalGRU",
    "ContextEncoder",
    "Columns",
    "Decoder",
    "EventEncoder",
    "EventScaler",
    "FTTransformer",
    "FramePredictor",
    "ImageScaler",
    "LogMel",
    "MeanState",
    "Periodic",
    "PiecewiseLinear",
    "QuantileScaler",
    "RandomKernels",
    "ResNet",
    "SeriesScaler",
    "SeriesTransformer",
    "SideBySide",
    "SpectralNet",
    "Standardizer",
    "TableEncoder",
    "TableFront",
    "TokenTransformer",
    "TemporalConvNet",
    "Unbinned",
    "ViT",
    "VideoEncoder",
    "VocabularyHead",
    "cell_heads",
    "check_causal",
    "check_sequence",
    "check_series_patches",
    "encode",
    "event_encoder",
    "front_and_body",
    "grid_positions",
    "image_encoder",
    "patchify",
    "places_of",
    "pool",
    "series_encoder",
    "small_resnet",
    "steps_of",
    "table_encoder",
    "token_encoder",
    "token_width",
    "unpatchify",
    "vectors_of",
    "video_encoder",
    "video_scaler",
    "width_of",
]
