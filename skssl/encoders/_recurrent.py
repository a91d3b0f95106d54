"""A recurrent encoder of time series, and the builder of series encoders."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skssl import _compat
from skssl.encoders._build import check_name, user_module
from skssl.encoders._series import MissingAsZeros, Pooling, TemporalConvNet, pool, steps_of
from skssl.encoders._series_transformer import SeriesTransformer

STRETCHES = 128  # per series: the recurrent net reads them one after the other
PATCH, LEAST_PATCHES = 12, 8  # steps per patch, fewer if a series has too few patches


def check_causal(encoder: Any, X: Tensor, method: str) -> tuple[int, int, int]:
    """Return the widths of a stretch and of a state, and the number of stretches of a series.

    Raises
    ------
    ValueError
        If the encoder does not read series stretch by stretch, or reads a single stretch.
    """
    if not all(hasattr(encoder, name) for name in ("local", "context", "steps")):
        raise ValueError(
            f"{method} needs an encoder that reads a series stretch by stretch, with `local(x)`, "
            f"`context(h)` and `steps(x)`; got {type(getattr(encoder, 'body', encoder)).__name__}. "
            "Pass encoder='gru', or a skssl.encoders.CausalGRU."
        )
    with torch.no_grad():
        local = encoder.local(X[:2])
        width = encoder.context(local).shape[2]
    if local.shape[1] < 2:
        raise ValueError(
            f"{method} predicts what comes next in a series: expected at least 2 stretches of "
            f"{encoder.stride} step(s), got series of {X.shape[2]} step(s)."
        )
    return local.shape[2], width, local.shape[1]


class CausalGRU(nn.Module):
    """A local encoder of short stretches, followed by a GRU over the stretches.

    Parameters
    ----------
    n_channels : int
        Number of channels of a series.
    n_components : int
        Width of the GRU's state, and so of the embedding.
    width : int, default=64
        Width of the local encoding of a stretch.
    stride : int, default=1
        Number of steps in a stretch; stretches do not overlap.
    pooling : {"mean", "max"} or None, default="mean"
        How the states of all stretches become the embedding of a series; None is the mean.

    Shape
    -----
    (n, n_channels, time), NaN where values are missing -> (n, n_components)

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. https://arxiv.org/abs/1807.03748

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import CausalGRU
    >>> net = CausalGRU(1, 16, stride=4)
    >>> x = torch.zeros(5, 1, 50)
    >>> net(x).shape, net.sequence(x).shape, net.local(x).shape
    (torch.Size([5, 16]), torch.Size([5, 13, 16]), torch.Size([5, 13, 64]))
    """

    def __init__(
        self,
        n_channels: int,
        n_components: int,
        width: int = 64,
        stride: int = 1,
        pooling: Pooling = "mean",
    ):
        super().__init__()
        self.stride, self.pooling = stride, pooling
        self.stretch = nn.Linear(2 * n_channels * stride, width)
        self.mix = nn.Linear(width, width)
        self.gru = nn.GRU(width, n_components, batch_first=True)

    def local(self, x: Tensor) -> Tensor:
        """Return the local encoding of each stretch, (n, n_stretches, width)."""
        parts = self._stretches(x)
        seen = ~parts.isnan()
        h = self.stretch(torch.cat([parts.nan_to_num(0.0), seen.to(parts.dtype)], 2))
        return self.mix(nn.functional.gelu(h))

    def sequence(self, x: Tensor) -> Tensor:
        """Return the state after each stretch, (n, n_stretches, n_components)."""
        return self.context(self.local(x))

    def context(self, h: Tensor) -> Tensor:
        """Return the states, given the local encoding of each stretch."""
        if _compat.is_exporting():
            return _exported(self.gru, nn.functional.gelu(h))
        with torch.autocast(h.device.type, enabled=False):
            return self.gru(nn.functional.gelu(h).float())[0]

    def steps(self, x: Tensor) -> Tensor:
        """Return the stretches from the first to the last known one, (n, n_stretches) bool."""
        return steps_of(self._stretches(x).mT)

    def forward(self, x: Tensor) -> Tensor:
        return pool(self.sequence(x), self.steps(x), self.pooling)

    def _stretches(self, x: Tensor) -> Tensor:
        """Cut series into stretches, (n, n_stretches, n_channels * stride), padded with NaN."""
        more = -x.shape[2] % self.stride
        x = nn.functional.pad(x, (0, more), value=torch.nan)
        return x.unflatten(2, (-1, self.stride)).permute(0, 2, 1, 3).flatten(2)


def _exported(gru: nn.GRU, h: Tensor) -> Tensor:
    """Return the states of a GRU by the operator of ONNX: torch would unroll the steps."""
    weights = [_reorder(weight) for weight in gru.all_weights[0][:2]]
    bias = torch.cat([_reorder(bias) for bias in gru.all_weights[0][2:]], 1)
    states = torch.onnx.ops.symbolic(
        "GRU",
        [h.transpose(0, 1), *weights, bias],
        {"hidden_size": gru.hidden_size, "linear_before_reset": 1},
        dtype=h.dtype,
        shape=(h.shape[1], 1, h.shape[0], gru.hidden_size),
        version=14,
    )
    return states[:, 0].transpose(0, 1)


def _reorder(weight: Tensor) -> Tensor:
    """Return the gates reset, update, new in ONNX's order: update, reset, new."""
    reset, update, new = weight.chunk(3)
    return torch.cat([update, reset, new])[None]


def series_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: object,
    n_components: int,
    pooling: Pooling = "max",
) -> nn.Module:
    """Build the encoder of series.

    Parameters
    ----------
    encoder : "auto", "gru", "transformer", module or callable
        ``"auto"`` is a :class:`TemporalConvNet` that sees about as many steps as X has, ``"gru"``
        a :class:`CausalGRU` of about 128 stretches, or one for each step of shorter series,
        ``"transformer"`` a :class:`SeriesTransformer` of patches of 12 steps at most. A module is
        copied; it receives zeros in the place of NaN, unless it has ``sequence(x)``. A callable
        receives scaled series and returns a module.
    X : Tensor of shape (n, n_channels, time)
        Scaled training series.
    columns : None
        Ignored; only tables have columns.
    n_components : int
        Width of the embedding of an encoder given by its name.
    pooling : {"max", "mean"} or None, default="max"
        How the steps of an encoder given by its name become one row.

    Returns
    -------
    encoder : module
        Maps (n, n_channels, time) to (n, n_components).
    """
    check_name(encoder, "series", ("auto", "gru", "transformer"))
    if not isinstance(encoder, str):
        made = user_module(encoder, X[:256])
        return made if hasattr(made, "sequence") else MissingAsZeros(made)
    if encoder == "transformer":
        patch_size = min(PATCH, max(1, X.shape[2] // LEAST_PATCHES))
        return SeriesTransformer(X.shape[1], n_components, patch_size, pooling=pooling)
    if encoder == "gru":
        stride = max(1, round(X.shape[2] / STRETCHES))
        return CausalGRU(X.shape[1], n_components, stride=stride, pooling=pooling)
    n_layers = min(10, max(3, math.ceil(math.log2(X.shape[2] / 4 + 1))))
    return TemporalConvNet(X.shape[1], n_components, n_layers=n_layers, pooling=pooling)
