"""Encoders of event sequences."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from skssl._data._columns import Columns
from skssl.encoders._build import check_name, user_module
from skssl.encoders._numbers import Numeric
from skssl.encoders._table import QuantileScaler, TableFront


class EventScaler(nn.Module):
    """Scale the numbers of events as :class:`QuantileScaler` does; padding stays NaN.

    Parameters
    ----------
    X : Tensor of shape (n, length, d)
        Padded events; the last column is NaN at padding.
    columns : Columns
        The meaning of the d columns.

    Shape
    -----
    (n, length, d) of any float dtype -> (n, length, d) float32
    """

    def __init__(self, X: Tensor, columns: Columns):
        super().__init__()
        self.cells = QuantileScaler(X[_is_event(X)], columns)

    def forward(self, x: Tensor) -> Tensor:
        is_event = _is_event(x)
        out = x.new_full(x.shape, torch.nan, dtype=torch.float32)
        out[is_event] = self.cells(x[is_event])
        return out


class EventEncoder(nn.Module):
    """A :class:`TableFront` for single events and a net that reads their sequence.

    Shape
    -----
    (n, length, d) scaled events, padded with NaN -> (n, n_components)
    """

    def __init__(self, front: TableFront, body: nn.Module):
        super().__init__()
        self.front = front
        self.body = body

    def sequence(self, x: Tensor) -> Tensor:
        """Return the input of the body, (n, length, n_inputs); its last column is 1 at events.

        Padding is 0.
        """
        is_event = _is_event(x)
        cells = self.front(x[is_event]).float()
        out = cells.new_zeros(*x.shape[:2], cells.shape[1] + 1)
        out[is_event] = torch.cat([cells, cells.new_ones(len(cells), 1)], 1)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.sequence(x))


class MeanState(nn.Module):
    """The mean of a GRU's states over the events; padding is ignored.

    Parameters
    ----------
    n_in : int
        Number of columns of a sequence; the last column is 1 at events and 0 at padding.
    width : int
        Width of the state.

    Shape
    -----
    (n, length, n_in) -> (n, width)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import MeanState
    >>> MeanState(3, 8)(torch.ones(5, 7, 3)).shape
    torch.Size([5, 8])
    """

    def __init__(self, n_in: int, width: int):
        super().__init__()
        self.gru = nn.GRU(n_in, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        length = x[..., -1].sum(1).clamp(min=1)
        packed = pack_padded_sequence(x, length.cpu(), batch_first=True, enforce_sorted=False)
        with torch.autocast(x.device.type, enabled=False):
            states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return states.sum(1) / length[:, None]


def event_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: Columns,
    n_components: int,
    numeric: Numeric = "plain",
) -> nn.Module:
    """Build the encoder of event sequences.

    Parameters
    ----------
    encoder : "auto", module or callable
        ``"auto"`` is :class:`MeanState`. A module is copied. A callable receives
        :meth:`EventEncoder.sequence` of X and returns a module.
    X : Tensor of shape (n, length, d)
        Scaled training sequences.
    columns : Columns
        The meaning of the d columns of an event.
    n_components : int
        Width of the embedding of the ``"auto"`` encoder.
    numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
        Numeric embeddings: see the parameter ``numeric`` of the methods.

    Returns
    -------
    encoder : EventEncoder
        Maps (n, length, d) to (n, width).
    """
    check_name(encoder, "bags", ("auto",))
    front = TableFront(X[_is_event(X)], columns, numeric=numeric)
    if isinstance(encoder, str):
        return EventEncoder(front, MeanState(front.n_features_out + 1, n_components))
    with torch.no_grad():
        sequence = EventEncoder(front, nn.Identity()).sequence(X[:256])
        return EventEncoder(front, user_module(encoder, sequence))


def _is_event(x: Tensor) -> Tensor:
    return ~x[..., -1].isnan()
