"""Encoders: modules from a batch to (n, d) embeddings, and the builders that size them by X.

A module here keeps only plain attributes and buffers, so that it can be described, saved
and exported without running code.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skssl._columns import Columns

ONE_HOT_LIMIT = 20  # columns of more categories than this get a learned embedding


class MLP(nn.Module):
    """Fully connected layers with batch normalisation and ReLU between them.

    Parameters
    ----------
    *widths : int
        Width of the input, of each hidden layer, and of the output.
    activated : bool, default=False
        Whether the output, too, is normalised and passed through ReLU. Encoders' are:
        their embeddings serve small classifiers better than a linear output does.

    Shape
    -----
    (n, widths[0]) -> (n, widths[-1])

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import MLP
    >>> MLP(4, 32, 8)(torch.zeros(5, 4)).shape
    torch.Size([5, 8])
    """

    def __init__(self, *widths: int, activated: bool = False):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        hidden = pairs if activated else pairs[:-1]
        layers = [_dense(i, o) for i, o in hidden]
        self.stack = nn.ModuleList(layers if activated else [*layers, nn.Linear(*pairs[-1])])

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer, the last one's being the net's."""
        outputs = []
        for layer in self.stack:
            x = layer(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stack:
            x = layer(x)
        return x


def _dense(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU())


class QuantileScaler(nn.Module):
    """Map each numeric column to a normal distribution by interpolating between quantiles.

    Category codes and missing cells pass through. Knots are kept, and compared, in float64:
    three timestamps 30 s apart are one number in float32. The result is float32.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Rows to learn from.
    columns : Columns
        What the d columns mean.
    n_knots : int, default=64
        At most so many quantiles a column.
    subsample : int, default=100_000
        Learn from at most so many rows, evenly spaced.

    Shape
    -----
    (n, d) of any float dtype -> (n, d) float32
    """

    knots: Tensor
    values: Tensor
    slopes: Tensor

    def __init__(self, X: Tensor, columns: Columns, n_knots: int = 64, subsample: int = 100_000):
        super().__init__()
        self.numeric = columns.numeric
        rows = X[:: max(1, len(X) // subsample)]
        pairs = [_quantile_knots(rows[:, j].double(), n_knots) for j in self.numeric]
        width = max((len(knots) for knots, _ in pairs), default=1)
        shape = (len(pairs), width)
        self.register_buffer("knots", torch.full(shape, torch.inf, dtype=torch.float64))
        self.register_buffer("values", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("slopes", torch.zeros(shape, dtype=torch.float64))
        for j, (knots, values) in enumerate(pairs):
            k = len(knots)
            self.knots[j, :k] = knots
            if knots[0].isnan():
                self.knots[j] = torch.nan
            self.values[j, :k] = values
            self.values[j, k:] = values[-1]
            self.slopes[j, : k - 1] = (values.diff() / knots.diff()).clamp(max=1e300)

    def forward(self, x: Tensor) -> Tensor:
        if not self.numeric:
            return x.float()
        whole = len(self.numeric) == x.shape[1]
        numbers = (x if whole else x[:, self.numeric]).double().T.contiguous()
        segment = torch.searchsorted(self.knots, numbers, right=True).sub_(1).clamp_(min=0)
        offset = (numbers - self.knots.gather(1, segment)).clamp_(min=0)
        scaled = self.values.gather(1, segment).addcmul_(self.slopes.gather(1, segment), offset)
        if whole:
            return scaled.T.to(torch.float32, memory_format=torch.contiguous_format)
        out = x.to(torch.float32, copy=True)
        out[:, self.numeric] = scaled.T.float()
        return out

    def inverse(self, z: Tensor) -> Tensor:
        """Map scaled numbers (n, n_numeric) back to the columns' own units, in float64."""
        z = z.double().T.contiguous()
        segment = torch.searchsorted(self.values, z, right=True).sub_(1)
        last = (self.knots.isfinite().sum(1, keepdim=True) - 1).clamp(min=0)
        segment = segment.clamp(min=0).minimum(last)
        slope = self.slopes.gather(1, segment)
        rise = (z - self.values.gather(1, segment)).clamp(min=0)
        step = torch.where(slope > 0, rise / slope, 0.0)
        return (self.knots.gather(1, segment) + step).T


def _quantile_knots(column: Tensor, n_knots: int) -> tuple[Tensor, Tensor]:
    """Return at most n_knots distinct values and the normal quantile of each one's mid-rank."""
    column = column[~column.isnan()]
    if len(column) == 0:  # nothing is known of its values: they stay missing, either way
        return torch.full((1,), torch.nan, dtype=torch.float64), torch.zeros(1).double()
    values, counts = column.unique(return_counts=True)
    rank = (counts.cumsum(0) - counts / 2) / len(column)
    if len(values) > n_knots:
        at = torch.searchsorted(rank, torch.linspace(0, 1, n_knots, dtype=torch.float64))
        keep = at.clamp_(max=len(values) - 1).unique()
        values, rank = values[keep], rank[keep]
    return values, torch.special.ndtri(rank)


class TableFront(nn.Module):
    """Turn scaled numbers, codes and holes into the floats a net can read.

    Missing numbers become 0 and, where a column had holes in training, an indicator says
    so. Categories are one-hot up to ``one_hot_limit`` and a learned embedding above; a
    missing or unseen one is all zeros.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled rows, as the encoder will see them in training.
    columns : Columns
        What the d columns mean.
    one_hot_limit : int, default=20
        Columns of more categories than this are embedded.

    Shape
    -----
    (n, d) -> (n, n_features_out)
    """

    levels: Tensor

    def __init__(self, X: Tensor, columns: Columns, one_hot_limit: int = ONE_HOT_LIMIT):
        super().__init__()
        cardinality = self.cardinality = columns.cardinality
        one_hot = [j for j in columns.categorical if cardinality[j] <= one_hot_limit]
        self.numeric = columns.numeric
        self.embedded = [j for j in columns.categorical if cardinality[j] > one_hot_limit]
        self.holes = [j for j in range(X.shape[1]) if bool(X[:, j].isnan().any())]
        self.one_hot = [j for j in one_hot for _ in range(cardinality[j])]
        levels = [float(level) for j in one_hot for level in range(cardinality[j])]
        self.register_buffer("levels", torch.tensor(levels))
        self.embeddings = nn.ModuleList(
            nn.Embedding(c + 1, min(50, (c + 1) // 2), padding_idx=c)
            for c in (cardinality[j] for j in self.embedded)
        )
        self.n_features_out = (
            len(self.numeric)
            + len(self.holes)
            + len(self.one_hot)
            + sum(min(50, (cardinality[j] + 1) // 2) for j in self.embedded)
        )
        self.plain = len(self.numeric) == self.n_features_out

    def forward(self, x: Tensor) -> Tensor:
        if self.plain:
            return x.nan_to_num()
        parts = [x[:, self.numeric].nan_to_num()]
        if self.holes:
            parts.append(x[:, self.holes].isnan().to(x.dtype))
        if self.one_hot:
            parts.append((x[:, self.one_hot] == self.levels).to(x.dtype))
        for j, embedding in zip(self.embedded, self.embeddings, strict=True):
            unknown = self.cardinality[j]
            codes = x[:, j].nan_to_num(nan=unknown).clamp(max=unknown)
            parts.append(embedding(codes.long()))
        return torch.cat(parts, 1)


class TableEncoder(nn.Module):
    """A :class:`TableFront` and the net behind it.

    Shape
    -----
    (n, d) scaled rows -> (n, n_components)
    """

    def __init__(self, front: TableFront, body: nn.Module):
        super().__init__()
        self.front = front
        self.body = body

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the activations of every layer of the body, if it offers them."""
        if not hasattr(self.body, "layers"):
            raise ValueError(
                "layers='all' needs an encoder that has layers(x) -> list of Tensor, as "
                f"skssl.encoders.MLP has; encoder= made a {type(self.body).__name__}."
            )
        return self.body.layers(self.front(x))  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.front(x))


class AllLayers(nn.Module):
    """The activations of every layer of an encoder, side by side."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.encoder.layers(x), 1)  # type: ignore[operator]


def encode(encoder: Any, views: Sequence[Tensor]) -> list[Tensor]:
    """Embed each view of a batch; views of one shape share a pass of the encoder.

    Parameters
    ----------
    encoder : module, or any callable with an ``encode(views)`` of its own
        Maps (n, ...) to (n, width).
    views : list of Tensor of shape (n, ...)
        Altered batches, whose shapes may differ.

    Returns
    -------
    embeddings : list of Tensor of shape (n, width)
        In the order of the views.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import encode
    >>> [z.shape for z in encode(torch.nn.Linear(3, 2), [torch.ones(5, 3), torch.zeros(5, 3)])]
    [torch.Size([5, 2]), torch.Size([5, 2])]
    """
    if hasattr(encoder, "encode"):
        return encoder.encode(views)
    shapes = dict.fromkeys(view.shape[1:] for view in views)
    found: dict[int, Tensor] = {}
    for shape in shapes:
        group = [i for i, view in enumerate(views) if view.shape[1:] == shape]
        batch = views[group[0]] if len(group) == 1 else torch.cat([views[i] for i in group])
        embedded = encoder(batch).split([len(views[i]) for i in group])
        found.update(zip(group, embedded, strict=True))
    return [found[i] for i in range(len(views))]


def table_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: Columns,
    n_components: int,
) -> nn.Module:
    """Build the encoder of a table.

    Parameters
    ----------
    encoder : "auto", module or callable
        ``"auto"`` is an :class:`MLP` with two hidden layers of 256 units. A module is copied.
        A callable receives the table front's output for X, of shape (n, n_inputs), and
        returns a module.
    X : Tensor of shape (n, d)
        Scaled training rows.
    columns : Columns
        What the d columns mean.
    n_components : int
        Width of the embedding of the ``"auto"`` encoder.

    Returns
    -------
    encoder : TableEncoder
        Maps (n, d) to (n, width).
    """
    if isinstance(encoder, type):
        raise TypeError(
            f"encoder= must be a module or a function that makes one; got the class "
            f"{encoder.__name__}. Pass an instance, or for example "
            f"`lambda x: {encoder.__name__}(x.shape[1], 64)`."
        )
    front = TableFront(X, columns)
    if isinstance(encoder, nn.Module):
        body = copy.deepcopy(encoder)
    elif encoder == "auto":
        body = MLP(front.n_features_out, 256, 256, n_components, activated=True)
    else:
        with torch.no_grad():
            body = _checked_module(encoder(front(X[:1024])))  # type: ignore[operator]
    return TableEncoder(front, body)


def _checked_module(made: Any) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise TypeError(
            f"encoder= must return a torch.nn.Module; got {type(made).__name__}. Return the "
            "module itself, for example `lambda x: torch.nn.Linear(x.shape[1], 64)`."
        )
    return made


def width_of(encoder: nn.Module, X: Tensor) -> int:
    """Measure the width of the embeddings an encoder makes of X, in evaluation mode.

    Raises
    ------
    ValueError
        If the encoder cannot read X or does not return one row of numbers for each row.
    """
    rows = X[:2]
    try:
        with torch.no_grad():
            z = encoder.eval()(rows)
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(
            f"encoder= cannot read the data: given a batch of shape {tuple(rows.shape)} it "
            f"raised: {error}. On a table the module receives scaled numbers, missing "
            "indicators and one-hot categories: pass a callable to see their width first, "
            "as in `encoder=lambda x: torch.nn.Linear(x.shape[1], 64)`."
        ) from error
    finally:
        encoder.train()
    if not isinstance(z, Tensor) or z.ndim != 2 or len(z) != len(rows):
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(
            f"encoder= must return embeddings of shape (n_rows, width); for {len(rows)} rows "
            f"it returned {got}. End it with pooling or torch.nn.Flatten()."
        )
    return z.shape[1]
