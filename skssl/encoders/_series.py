"""Encoders of time series, their scaler, and pooling over steps."""

import inspect
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

Pooling = Literal["mean", "max"] | None


class SeriesScaler(nn.Module):
    """Subtract each channel's mean and divide by its standard deviation; NaN stays NaN.

    Parameters
    ----------
    X : Tensor of shape (n, n_channels, time)
        Series to learn from.
    columns : None
        Ignored; only tables have columns.

    Shape
    -----
    (n, n_channels, time) -> the same in float32

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import SeriesScaler
    >>> x = torch.tensor([[[1.0, 3.0, torch.nan]]])
    >>> SeriesScaler(x)(x)
    tensor([[[-1.,  1., nan]]])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, X: Tensor, columns: object = None):
        super().__init__()
        x = X.double()
        mean = x.nanmean((0, 2), keepdim=True).nan_to_num()[0]
        std = (x - mean).square().nanmean((0, 2), keepdim=True).nan_to_num().sqrt()[0]
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", torch.where(std > 1e-9 * mean.abs(), 1 / std, 0.0).float())

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) * self.scale).float()

    def inverse(self, z: Tensor) -> Tensor:
        """Map scaled series back to the user's units, in float32."""
        return torch.where(self.scale > 0, z / self.scale, 0.0 * z) + self.mean


def steps_of(x: Tensor) -> Tensor:
    """Return the steps from the first to the last known one of each series, (n, time) bool.

    Parameters
    ----------
    x : Tensor of shape (n, n_channels, time)
        Series; a step is missing where all channels are NaN.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import steps_of
    >>> nan = torch.nan
    >>> steps_of(torch.tensor([[[nan, 1.0, nan, 2.0, nan]]]))
    tensor([[False,  True,  True,  True, False]])
    """
    seen = ~x.isnan().all(1)
    return (seen.cumsum(1) > 0) & (seen.flip(1).cumsum(1) > 0).flip(1)  # ONNX has no cummax


def pool(h: Tensor, steps: Tensor, pooling: Pooling) -> Tensor:
    """Pool the steps (n, time, d) of each series to one row, (n, d).

    Parameters
    ----------
    h : Tensor of shape (n, time, d)
        Embedding of each step.
    steps : bool Tensor of shape (n, time)
        Which steps exist; a series without any becomes zeros.
    pooling : {"max", "mean"} or None
        How to pool; None is the mean.
    """
    inside = steps[:, :, None]
    if pooling != "max":
        return (h * inside).sum(1) / inside.sum(1).clamp(min=1)
    top = h.masked_fill(~inside, -torch.inf).amax(1)
    return top.masked_fill(~steps.any(1)[:, None], 0.0)


class TemporalConvNet(nn.Module):
    """Dilated convolutions over time with residual connections, pooled over all steps.

    One more layer follows the last block. Missing steps are zeros after the first layer. Neither
    the padding of shorter series nor the length of the batch changes the embedding.

    Parameters
    ----------
    n_channels : int
        Number of channels of a series.
    n_components : int
        Width of the embedding.
    width : int, default=64
        Number of channels of the hidden layers.
    n_layers : int, default=10
        Number of blocks of two convolutions; the dilation doubles from block to block.
    pooling : {"max", "mean"} or None, default="max"
        How the steps become the embedding of a series; None is the mean.

    Shape
    -----
    (n, n_channels, time), NaN where values are missing -> (n, n_components)

    References
    ----------
    .. [1] Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022.
       https://arxiv.org/abs/2106.10466

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import TemporalConvNet
    >>> net = TemporalConvNet(3, 16, width=8, n_layers=4)
    >>> x = torch.zeros(5, 3, 50)
    >>> net(x).shape, net.sequence(x).shape
    (torch.Size([5, 16]), torch.Size([5, 50, 16]))
    """

    def __init__(
        self,
        n_channels: int,
        n_components: int,
        width: int = 64,
        n_layers: int = 10,
        pooling: Pooling = "max",
    ):
        super().__init__()
        self.pooling = pooling
        self.embed = nn.Conv1d(n_channels, width, 1)
        self.blocks = nn.ModuleList(_Block(width, 2**i) for i in range(n_layers))
        self.head = nn.Conv1d(width, n_components, 1)

    def sequence(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the embedding of each step, contextualised by the steps around it.

        Parameters
        ----------
        x : Tensor of shape (n, n_channels, time)
            Series, NaN where values are missing.
        keep : bool Tensor of shape (n, time), optional
            The steps to read; all by default.

        Returns
        -------
        h : Tensor of shape (n, time, n_components)
        """
        inside = steps_of(x)[:, None]
        seen = ~x.isnan().all(1, keepdim=True)
        if keep is not None:
            seen = seen & keep[:, None]
        h = self.embed(x.nan_to_num(0.0)) * seen
        for block in self.blocks:
            h = block(h, inside)
        return self.head(nn.functional.gelu(h)).transpose(1, 2)

    def steps(self, x: Tensor) -> Tensor:
        """Return the steps from the first to the last known one, (n, time) bool."""
        return steps_of(x)

    def forward(self, x: Tensor) -> Tensor:
        return pool(self.sequence(x), self.steps(x), self.pooling)


class _Block(nn.Module):
    _saved_as = "ConvBlock"

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        # padding stays 0 in every layer: otherwise it would change the steps before it
        h = self.first(nn.functional.gelu(x)) * inside
        return x + self.second(nn.functional.gelu(h)) * inside


def check_sequence(encoder: Any, X: Tensor, method: str, hides: bool = True) -> None:
    """Raise ValueError unless an encoder embeds each step of a series by ``sequence(x)``.

    A method that ``hides`` steps needs ``sequence(x, keep=...)``.
    """
    sequence = getattr(encoder, "sequence", None)
    is_told = sequence is not None and "keep" in inspect.signature(sequence).parameters
    if sequence is None or (hides and not is_told) or places_of(encoder, X) != X.shape[2]:
        raise ValueError(
            f"{method} needs an encoder with `sequence(x{', keep=None' if hides else ''})`, which "
            "maps (n, channels, time) to (n, time, width); got "
            f"{type(getattr(encoder, 'body', encoder)).__name__}. "
            "Pass encoder='auto', or a skssl.encoders.TemporalConvNet."
        )


def places_of(encoder: Any, X: Tensor) -> int:
    """Return the number of places of a series or a clip at which an encoder computes.

    For a series, places are the rows of its ``sequence``: steps, stretches or patches; all steps
    if it has no such method. For a clip, they are squares of 4 x 4 pixels in one run of frames.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import CausalGRU, places_of
    >>> places_of(CausalGRU(1, 16, stride=4), torch.zeros(5, 1, 50))
    13
    """
    if X.ndim == 5:
        height, width = X.shape[3:]
        return getattr(encoder, "context", 1) * math.ceil(height / 4) * math.ceil(width / 4)
    if not hasattr(encoder, "sequence"):
        return X.shape[2]
    with torch.no_grad():
        n_places = encoder.eval().sequence(X[:1]).shape[1]
    encoder.train()
    return n_places


class MissingAsZeros(nn.Module):
    """A user's module that reads zeros, the mean, instead of missing values."""

    _saved_as = "MissingAsZeros"

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.nan_to_num(0.0))
