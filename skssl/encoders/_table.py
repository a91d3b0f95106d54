"""Scalers of tables, and the table front: from columns to floats that a net can read."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from skssl import _compat
from skssl._data._columns import Columns
from skssl.encoders._numbers import Numeric, numeric_embedding

ONE_HOT_LIMIT = 20  # columns of more categories than this get a learned embedding
FEW = 128  # numbers per column, below which torch's own search is faster


class QuantileScaler(nn.Module):
    """Map each numeric column to a normal distribution by interpolating between quantiles.

    Category codes and missing cells pass through. Knots are stored and compared in float64,
    because three timestamps 30 s apart are one number in float32. The result is float32.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Rows to learn from.
    columns : Columns
        The meaning of the d columns.
    n_knots : int, default=64
        Greatest number of quantiles per column.
    subsample : int, default=100_000
        Greatest number of rows to learn from, evenly spaced.

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
        segment = _segment(self.knots, numbers)
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


def _segment(knots: Tensor, numbers: Tensor) -> Tensor:
    """Return the index of the last knot (d, k) not above each number (d, n); at least 0."""
    if _compat.is_exporting():  # ONNX has no searchsorted; this takes more memory
        return (numbers[:, :, None] >= knots[:, None]).sum(2).sub_(1).clamp_(min=0)
    if numbers.shape[1] < FEW:
        return torch.searchsorted(knots, numbers, right=True).sub_(1).clamp_(min=0)
    # A binary search for all numbers at once, without branches, which processors mispredict.
    last = knots.shape[1] - 1
    found = torch.zeros_like(numbers, dtype=torch.int64)
    for bit in reversed(range(last.bit_length())):
        at = (found + 2**bit).clamp_(max=last)
        found.add_(knots.gather(1, at) <= numbers, alpha=2**bit)
    return found.clamp_(max=last)


class Standardizer(nn.Module):
    """Subtract each numeric column's mean, divide by its standard deviation, and clip.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Rows to learn from.
    columns : Columns
        The meaning of the d columns.
    limit : float, default=5.0
        The result is clipped to ``[-limit, limit]``; a missing value is 0.

    Shape
    -----
    (n, d) of any float dtype -> (n, n_numeric) float32
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, X: Tensor, columns: Columns, limit: float = 5.0):
        super().__init__()
        self.numeric, self.limit = columns.numeric, limit
        numbers = X[:, self.numeric].double()
        mean = numbers.nanmean(0).nan_to_num()
        std = (numbers - mean).square().nanmean(0).sqrt().nan_to_num()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(std > 1e-9 * mean.abs(), 1 / std, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x[:, self.numeric].double() - self.mean) * self.scale
        return scaled.nan_to_num().clamp(-self.limit, self.limit).float()


class SideBySide(nn.Module):
    """The outputs of several modules, concatenated along the columns."""

    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], 1)


def _quantile_knots(column: Tensor, n_knots: int) -> tuple[Tensor, Tensor]:
    """Return at most n_knots distinct values and the normal quantile of each one's mid-rank."""
    column = column[~column.isnan()]
    if len(column) == 0:  # an all-missing column stays missing, in both directions
        return torch.full((1,), torch.nan, dtype=torch.float64), torch.zeros(1).double()
    values, counts = column.unique(return_counts=True)
    rank = (counts.cumsum(0) - counts / 2) / len(column)
    if len(values) > n_knots:
        at = torch.searchsorted(rank, torch.linspace(0, 1, n_knots, dtype=torch.float64))
        keep = at.clamp_(max=len(values) - 1).unique()
        values, rank = values[keep], rank[keep]
    return values, torch.special.ndtri(rank)


class TableFront(nn.Module):
    """Turn scaled numbers, category codes and missing values into floats that a net can read.

    Missing numbers become 0, with an indicator if the column had missing values in training.
    Columns of up to ``one_hot_limit`` categories are one-hot encoded, others have a learned
    embedding; a missing or unseen category is all zeros.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled training rows.
    columns : Columns
        The meaning of the d columns.
    one_hot_limit : int, default=20
        Greatest number of categories of a one-hot encoded column.
    numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
        Numeric embedding beside the plain numbers: none, :class:`PiecewiseLinear` or
        :class:`Periodic`.

    Shape
    -----
    (n, d) -> (n, n_features_out)
    """

    levels: Tensor

    def __init__(
        self,
        X: Tensor,
        columns: Columns,
        one_hot_limit: int = ONE_HOT_LIMIT,
        numeric: Numeric = "plain",
    ):
        super().__init__()
        cardinality = self.cardinality = columns.cardinality
        categorical = columns.categorical
        one_hot = [j for j in categorical if cardinality[j] <= one_hot_limit]
        self.numeric = columns.numeric
        self.numbers = numeric_embedding(X, self.numeric, numeric)
        self.embedded = [j for j in categorical if cardinality[j] > one_hot_limit]
        self.with_missing = X.isnan().any(0).nonzero().flatten().tolist()
        self.one_hot = [j for j in one_hot for _ in range(cardinality[j])]
        levels = [float(level) for j in one_hot for level in range(cardinality[j])]
        self.register_buffer("levels", torch.tensor(levels))
        self.embeddings = nn.ModuleList(
            nn.Embedding(c + 1, min(50, (c + 1) // 2), padding_idx=c)
            for c in (cardinality[j] for j in self.embedded)
        )
        self.n_features_out = (
            len(self.numeric)
            + (self.numbers.n_features_out if self.numbers else 0)
            + len(self.with_missing)
            + len(self.one_hot)
            + sum(min(50, (cardinality[j] + 1) // 2) for j in self.embedded)
        )
        self.plain = len(self.numeric) == self.n_features_out

    def forward(self, x: Tensor) -> Tensor:
        if self.plain:
            return x.nan_to_num()
        numbers = x[:, self.numeric]
        parts = [numbers.nan_to_num()]
        if self.numbers is not None:
            parts.append(self.numbers(numbers))
        if self.with_missing:
            parts.append(x[:, self.with_missing].isnan().to(x.dtype))
        if self.one_hot:
            parts.append((x[:, self.one_hot] == self.levels).to(x.dtype))
        for j, embedding in zip(self.embedded, self.embeddings, strict=True):
            unknown = self.cardinality[j]
            codes = x[:, j].nan_to_num(nan=unknown).clamp(max=unknown)
            parts.append(embedding(codes.long()))
        return torch.cat(parts, 1)


class TableEncoder(nn.Sequential):
    """A :class:`TableFront` followed by a net.

    Shape
    -----
    (n, d) scaled rows -> (n, n_components)
    """

    front: TableFront
    body: nn.Module

    def __init__(self, front: TableFront, body: nn.Module):
        super().__init__(OrderedDict(front=front, body=body))

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer of the body, if it has ``layers``."""
        if not hasattr(self.body, "layers"):
            raise ValueError(
                "layers='all' needs an encoder that has layers(x) -> list of Tensor, as "
                f"skssl.encoders.MLP has; encoder= made a {type(self.body).__name__}."
            )
        return self.body.layers(self.front(x))  # type: ignore[operator]
