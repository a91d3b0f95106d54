"""Quantile bins as prediction targets for numbers, and their inverse."""

from typing import Literal

import torch
from torch import Tensor, nn

from skssl._data._columns import Columns, blocks
from skssl.encoders._mlp import MLP


class Bins(nn.Module):
    """Replace each number by the index of its quantile bin, as a prediction target.

    Indices are standardised, so that the squared errors of all columns have the same weight; with
    ``classes`` they are category codes. Missing values stay NaN and categories are unchanged. A
    column of few values has one bin per value.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled rows to learn the bins from.
    columns : Columns
        The meaning of the d columns.
    n_bins : int, default=10
        Greatest number of bins per column.
    classes : bool, default=False
        Whether indices are codes, for cross-entropy, instead of standardised numbers.
    subsample : int, default=100_000
        Approximate greatest number of rows to learn from, evenly spaced.

    Shape
    -----
    (n, d) -> (n, d)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import Bins, Columns
    >>> x = torch.tensor([[0.0], [0.1], [5.0], [9.0]])
    >>> Bins(x, Columns((0,)), n_bins=2)(x).flatten()
    tensor([-1., -1.,  1.,  1.])
    """

    thresholds: Tensor
    centers: Tensor
    last: Tensor
    mean: Tensor
    std: Tensor
    numbers: Tensor
    rest: Tensor

    def __init__(
        self,
        X: Tensor,
        columns: Columns,
        n_bins: int = 10,
        classes: bool = False,
        subsample: int = 100_000,
    ):
        super().__init__()
        self.numeric, self.classes = columns.numeric, classes
        rows = X[:: max(1, len(X) // subsample)].float()
        bins = [_learn(rows[:, j], n_bins) for j in self.numeric]
        counts = [len(centers) for _, centers, _, _ in bins]
        self.register_buffer("thresholds", _pad([b[0] for b in bins], torch.inf))
        self.register_buffer("centers", _pad([b[1] for b in bins], 0.0))
        self.register_buffer("mean", torch.tensor([b[2] for b in bins]))
        self.register_buffer("std", torch.tensor([b[3] for b in bins]))
        self.register_buffer("last", torch.tensor(counts, dtype=torch.long) - 1)
        cardinality = list(columns.cardinality)
        for j, count in zip(self.numeric, counts, strict=True):
            cardinality[j] = count if classes else 0
        self.cardinality = tuple(cardinality)
        numbers, rest = _positions(columns, self.columns)
        self.register_buffer("numbers", _pad(numbers, 0).long())
        self.register_buffer("rest", torch.tensor(rest, dtype=torch.long))

    @property
    def columns(self) -> Columns:
        """The meaning of the columns of the result."""
        return Columns(self.cardinality)

    def forward(self, x: Tensor) -> Tensor:
        numbers = x[:, self.numeric]
        index = torch.searchsorted(self.thresholds, numbers.T.contiguous(), right=True).T
        target = index.to(x.dtype)
        if not self.classes:
            target = (target - self.mean) / self.std
        out = x.clone()
        out[:, self.numeric] = torch.where(numbers.isnan(), numbers, target)
        return out

    def inverse(self, output: Tensor) -> Tensor:
        """Map predicted bins to predicted scaled numbers; logits are unchanged."""
        numbers = output[:, self.numbers]
        if self.classes:
            padding = torch.arange(numbers.shape[2], device=output.device) > self.last[:, None]
            share = numbers.masked_fill(padding, -torch.inf).softmax(2)
            scaled = (share * self.centers).sum(2)
        else:
            index = numbers.squeeze(2) * self.std + self.mean
            index = index.clamp(min=0).minimum(self.last).T
            below = index.long()
            above = (below + 1).minimum(self.last[:, None])
            low, high = self.centers.gather(1, below), self.centers.gather(1, above)
            scaled = torch.lerp(low, high, index - below).T
        return torch.cat([scaled, output[:, self.rest]], 1)


class Unbinned(nn.Module):
    """Decode an embedding to bins, and the bins to scaled numbers."""

    def __init__(self, predict: nn.Module, bins: Bins):
        super().__init__()
        self.predict = predict
        self.bins = bins

    def forward(self, z: Tensor) -> Tensor:
        return self.bins.inverse(self.predict(z))


def cell_heads(
    width: int, X: Tensor, columns: Columns, target: Literal["values", "bins"]
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Build the heads of a method that predicts the cells of a row from its embedding.

    Parameters
    ----------
    width : int
        Width of the embedding.
    X : Tensor of shape (n, d)
        Scaled rows.
    columns : Columns
        The meaning of the d columns.
    target : {"values", "bins"}
        Prediction target for numbers.

    Returns
    -------
    target : module
        Maps rows (n, d) to their prediction targets.
    predict : module
        Maps embeddings to predictions of these targets, the input of ``cell_error``.
    decoder : module
        Maps embeddings to predictions of the cells themselves.
    """
    predict = MLP(width, 256, columns.n_outputs)
    if target == "values":
        return nn.Identity(), predict, predict
    bins = Bins(X, columns)
    return bins, predict, Unbinned(predict, bins)


def _learn(column: Tensor, n_bins: int) -> tuple[Tensor, Tensor, float, float]:
    """Return a column's thresholds, bin means, and the mean and deviation of its bin index."""
    column = column[~column.isnan()]
    if len(column) == 0:
        return column, torch.zeros(1), 0.0, 1.0
    values = column.unique()
    thresholds = values[1:]
    if len(values) > n_bins:
        # The quantiles' ranks, rounded up; as floats they are a little above or below whole ones.
        ranks = [-(-(len(column) - 1) * i // n_bins) for i in range(1, n_bins)]
        cuts = column.sort().values[ranks].unique()
        cuts = cuts[cuts > values[0]]
        thresholds = cuts if len(cuts) else values[1:2]  # nearly all rows have the lowest value
    index = torch.bucketize(column, thresholds, right=True)
    size = index.bincount()
    centers = index.bincount(column.double()) / size
    std = index.double().std(correction=0).item()
    return thresholds, centers.float(), index.double().mean().item(), std or 1.0


def _positions(columns: Columns, predicted: Columns) -> tuple[list[Tensor], list[int]]:
    """Return the positions of each number's outputs, and all others, in a prediction."""
    at = {}
    for cardinality, index, span in blocks(predicted):
        starts = range(span.start, span.stop, max(cardinality, 1))
        for j, start in zip(index.tolist(), starts, strict=True):
            at[j] = list(range(start, start + max(cardinality, 1)))
    order = [j for cardinality, index, _ in blocks(columns) if cardinality for j in index.tolist()]
    return [torch.tensor(at[j]) for j in columns.numeric], [i for j in order for i in at[j]]


def _pad(rows: list[Tensor], value: float) -> Tensor:
    if not rows:
        return torch.empty(0, 1)
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
