"""How an ONNX graph reads each modality: its inputs, what a reader makes of them, raw columns."""

import math
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skssl._data import TEXT_OF_MISSING, ImageReader, SeriesReader, TableReader, TokenReader
from skssl._data._vocabulary import N_SPECIAL, PAD, UNKNOWN
from skssl._meta._raw_columns import Raw
from skssl.base._modalities import MODALITIES, look_up
from skssl.base._transformer import SSLTransformer
from skssl.persistence._onnx_graph import Graph, Value
from skssl.persistence._onnx_predictors import Affine, Scaled


def inputs_of(first: Any) -> list[Value]:
    """Return the inputs of a graph for the fitted estimator that reads them.

    Parameters
    ----------
    first : estimator
        A transformer of skssl, or one of scikit-learn that reads numbers.

    Returns
    -------
    inputs : list of Value
        One input named X; for a table with text, one per column with the column's name.

    Raises
    ------
    ValueError
        If ONNX cannot represent the input of the estimator.
    """
    if not isinstance(first, SSLTransformer):
        if not hasattr(first, "n_features_in_"):
            raise ValueError(
                f"{type(first).__name__} reads no table of numbers, which ONNX could be given. "
                "Export the steps behind it: to_onnx(pipeline[1:])."
            )
        return [Value("X", np.dtype(np.float64), (None, first.n_features_in_))]
    row = MODALITIES[first._reader.modality]
    if not row.onnx:
        what = f"{type(first).__name__} fitted on modality={first._reader.modality!r}"
        raise ValueError(f"{what} cannot be exported to ONNX: {row.no_onnx}")
    return look_up(row.onnx).inputs(first._reader, hasattr(first, "n_features_in_"))


def read(graph: Graph, reader: Any, X: list[Value]) -> tuple[Value, nn.Module]:
    """Return a value, and a module that turns it into the tensor of the reader.

    Parameters
    ----------
    graph : Graph
        Gets the nodes that torch cannot export: the codes of text and of tokens.
    reader : object
        The fitted reader of a modality that ONNX takes.
    X : list of Value
        Inputs; several are the columns of a table.
    """
    return look_up(MODALITIES[reader.modality].onnx).read(graph, reader, X)


def raw_module(raw: Raw) -> nn.Module:
    """Return the module that encodes fitted raw columns, of what their reader reads.

    Raises
    ------
    ValueError
        If these are words or tokens, which are counted by scikit-learn.
    """
    names = {row.raw_columns: row.onnx for row in MODALITIES.values()}
    onnx = names[f"{type(raw).__module__}.{type(raw).__name__}"]
    if not onnx or not hasattr(look_up(onnx), "raw_module"):
        raise ValueError(
            "The topics of texts and tokens that stand beside the embedding have no form in ONNX. "
            "Fit with passthrough=False."
        )
    return look_up(onnx).raw_module(raw)


def _make_standardizer(scaler: StandardScaler) -> nn.Module:
    return Scaled(scaler.mean_, 1 / scaler.scale_, np.arange(scaler.n_features_in_))


class TableInput:
    """One input of numbers, or one for each column of a table with text."""

    @staticmethod
    def inputs(reader: TableReader, has_columns: bool) -> list[Value]:
        """Return the inputs of a graph."""
        if not any(_is_text(levels) for levels in reader.levels):
            return [Value("X", np.dtype(np.float64), (None, len(reader.levels)))]
        names = [name for name in reader.names or [] if isinstance(name, str) and name]
        if len(names) < len(reader.levels):
            names = [f"x{i}" for i in range(len(reader.levels))]
        dtypes = [np.dtype(object if _is_text(levels) else np.float64) for levels in reader.levels]
        return [Value(name, dtype, (None, 1)) for name, dtype in zip(names, dtypes, strict=True)]

    @staticmethod
    def read(graph: Graph, reader: TableReader, X: list[Value]) -> tuple[Value, nn.Module]:
        """Return the columns side by side, and the module that makes codes of the rest."""
        return _join_columns(graph, reader, X), NumericCodes(reader)

    @staticmethod
    def raw_module(raw: Any) -> nn.Module:
        """Return the module that encodes fitted raw columns."""
        return raw.module


class ImageInput:
    """One input of images or clips as they were laid out in ``fit``, or of rows of pixels."""

    @staticmethod
    def inputs(reader: ImageReader, has_columns: bool) -> list[Value]:
        """Return the inputs of a graph."""
        shape = (*(None,) * reader._lead, *reader.layout)
        if has_columns and reader._lead == 1:
            shape = (None, math.prod(reader.layout))
        return [Value("X", np.dtype(np.uint8 if reader.is_bytes else np.float32), shape)]

    @staticmethod
    def read(graph: Graph, reader: ImageReader, X: list[Value]) -> tuple[Value, nn.Module]:
        """Return the images, and the module that puts their channels first."""
        return X[0], ChannelsFirst(reader)

    @staticmethod
    def raw_module(raw: Any) -> nn.Module:
        """Return the module that encodes fitted raw columns."""
        pca, scale = raw.components.pca, raw.components.scale
        return nn.Sequential(nn.Flatten(), Affine(pca.mean_, pca.components_.T / scale))


class TokenInput:
    """One input of token ids, of any length."""

    @staticmethod
    def inputs(reader: TokenReader, has_columns: bool) -> list[Value]:
        """Return the inputs of a graph."""
        return [Value("X", np.dtype(np.int64), (None, None))]

    @staticmethod
    def read(graph: Graph, reader: TokenReader, X: list[Value]) -> tuple[Value, nn.Module]:
        """Return the codes of the tokens, and the module that moves padding to the end."""
        (x,), pad = X, reader.pad_token
        ids = [*reader.ids.tolist(), *([] if pad is None else [pad])]
        codes = [*range(N_SPECIAL, N_SPECIAL + len(reader.ids)), *([] if pad is None else [PAD])]
        coded = graph.node(
            "LabelEncoder",
            x.name,
            domain="ai.onnx.ml",
            keys_int64s=ids,
            values_int64s=codes,
            default_int64=UNKNOWN,
        )
        return x._replace(name=coded), nn.Identity() if pad is None else PaddingLast()


class SeriesInput:
    """One input of series, of any length, which are read as they are."""

    @staticmethod
    def inputs(reader: SeriesReader, has_columns: bool) -> list[Value]:
        """Return the inputs of a graph."""
        return [Value("X", np.dtype(np.float32), (None, reader.n_channels, None), 2**14)]

    @staticmethod
    def read(graph: Graph, reader: Any, X: list[Value]) -> tuple[Value, nn.Module]:
        """Return the series, and a module that leaves them alone."""
        return X[0], nn.Identity()

    @staticmethod
    def raw_module(raw: Any) -> nn.Module:
        """Return the module that encodes fitted raw columns."""
        return nn.Sequential(raw.module, _make_standardizer(raw.scaler))


class AudioInput(SeriesInput):
    """One input of waveforms, of any length, which are read as they are."""

    @staticmethod
    def inputs(reader: Any, has_columns: bool) -> list[Value]:
        """Return the inputs of a graph."""
        return [Value("X", np.dtype(np.float32), (None, None), 2**21)]

    @staticmethod
    def read(graph: Graph, reader: Any, X: list[Value]) -> tuple[Value, nn.Module]:
        """Return the waveforms, and the module that scales samples of integers."""
        return X[0], nn.Identity() if reader.full_scale is None else WholeSamples(reader)

    @staticmethod
    def raw_module(raw: Any) -> nn.Module:
        """Return the module that encodes fitted raw columns."""
        return nn.Sequential(raw.front, MeanAndDeviation(), _make_standardizer(raw.scaler))


def _join_columns(graph: Graph, reader: TableReader, X: list[Value]) -> Value:
    """Concatenate the columns of a table, text as codes."""
    if len(X) == 1:
        return X[0]
    columns = []
    for x, levels, unseen in zip(X, reader.levels, reader.columns.cardinality, strict=True):
        if levels and _is_text(levels) != (x.dtype == object):
            raise ValueError(
                f"Column {x.name!r} was text to one part of the model and none to another. Fit all "
                "of it on the same rows."
            )
        columns.append(_encode(graph, x, levels or [], unseen) if x.dtype == object else x.name)
    joined = graph.node("Concat", *columns, axis=1)
    return Value(joined, np.dtype(np.float64), (None, len(X)))


def _encode(graph: Graph, x: Value, levels: list[str], unseen: int) -> str:
    """Return the codes of a column of text, as in ``TableReader``."""
    holes = [text for text in TEXT_OF_MISSING if text not in levels]
    codes = graph.node(
        "LabelEncoder",
        x.name,
        domain="ai.onnx.ml",
        keys_strings=[*levels, *holes],
        values_floats=[*map(float, range(len(levels))), *[np.nan] * len(holes)],
        default_float=float(unseen) if unseen else np.nan,
    )
    return graph.node("Cast", codes, to=graph.onnx.TensorProto.DOUBLE)


def _is_text(levels: list[Any] | None) -> bool:
    return bool(levels and isinstance(levels[0], str))


class NumericCodes(nn.Module):
    """Codes of categories that are numbers or booleans, as in :class:`TableReader`.

    Shape
    -----
    (n, d) numbers, and codes of text -> the same in float64, with codes for all categories
    """

    def __init__(self, reader: TableReader):
        super().__init__()
        self.levels = {
            j: torch.tensor([float(level) for level in levels], dtype=torch.float64)
            for j, levels in enumerate(reader.levels)
            if levels and not _is_text(levels)
        }
        for j, levels in self.levels.items():
            if len(levels.unique()) < len(levels):
                raise ValueError(
                    f"Column {j} has categories that float64, which ONNX reads numbers as, cannot "
                    "tell apart: whole numbers beyond 2**53. Make them text, and fit again."
                )

    def forward(self, x: Tensor) -> Tensor:
        x = x.double()
        if not self.levels:
            return x
        columns = list(x.split(1, 1))
        for j, levels in self.levels.items():
            is_level = columns[j] == levels
            place = torch.arange(len(levels), dtype=x.dtype)
            code = (is_level * place).sum(1, keepdim=True)
            code = code.where(is_level.any(1, keepdim=True), len(levels))
            columns[j] = code.where(~columns[j].isnan(), torch.nan)
        return torch.cat(columns, 1)


class ChannelsFirst(nn.Module):
    """Images or clips in the layout of :class:`ImageReader`; all but bytes are float32."""

    def __init__(self, reader: ImageReader):
        super().__init__()
        self.layout, self.axis, self.lead = tuple(reader.layout), reader.axis, reader._lead

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.dtype == torch.uint8 else x.float()
        if self.lead == 1:  # rows of pixels
            x = x.reshape(-1, *self.layout)
        return x.unsqueeze(self.lead) if self.axis is None else x.movedim(self.axis, self.lead)


class WholeSamples(nn.Module):
    """Divide waveforms of whole numbers by their full scale, as :class:`AudioReader` does."""

    def __init__(self, reader: Any):
        super().__init__()
        self.full_scale, self.least = reader.full_scale, 0.0 if reader.floats_are_whole else 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        is_whole = ((x == x.round()) | x.isnan()).all() & (
            x.nan_to_num(0.0).abs() > self.least
        ).any()
        return torch.where(is_whole, x / self.full_scale, x)


class PaddingLast(nn.Module):
    """Move the padding of rows of codes to their end."""

    def forward(self, x: Tensor) -> Tensor:
        is_pad = x == PAD
        tokens, pads = (~is_pad).cumsum(1), is_pad.cumsum(1)
        place = torch.where(is_pad, tokens[:, -1:] + pads, tokens) - 1
        return torch.empty_like(x).scatter(1, place, x)


class MeanAndDeviation(nn.Module):
    """Mean and standard deviation of (n, bands, frames) over frames, NaN left out."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.double()
        mean = x.nanmean(2, keepdim=True)
        return torch.cat([mean[:, :, 0], (x - mean).square().nanmean(2).sqrt()], 1)
