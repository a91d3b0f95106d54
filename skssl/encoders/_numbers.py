"""Numeric embeddings: a net fits steps and waves more easily on several features per number."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Numeric = Literal["plain", "piecewise-linear", "periodic"]


def quantile_edges(X: Tensor, n_bins: int, subsample: int = 100_000) -> list[Tensor]:
    """Return the distinct edges of each column's quantile bins; missing values are ignored.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Numbers.
    n_bins : int
        Greatest number of bins per column; ties give fewer.
    subsample : int, default=100_000
        Approximate greatest number of rows to use, evenly spaced.

    Returns
    -------
    edges : list of Tensor of shape (1 to n_bins + 1,), or (0,) for an all-missing column
        In ascending order.
    """
    rows = X[:: max(1, len(X) // subsample)].float()
    return [_quantiles(column[~column.isnan()], n_bins) for column in rows.T]


def _quantiles(column: Tensor, n_bins: int) -> Tensor:
    # Values of the column: a binary column gets no bin between its two values.
    ranks = [(len(column) - 1) * i // n_bins for i in range(n_bins + 1)]
    return column.sort().values[ranks].unique() if len(column) else column


class PiecewiseLinear(nn.Module):
    """Encode each number by the share of each quantile bin of its column that lies below it.

    The share is 1 for bins below the number, 0 for bins above it, and in between for the bin that
    holds it. Columns of a single bin (constant, or of two values) are left out, because they
    would add nothing. A missing number is all zeros.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled numbers.
    n_bins : int, default=8
        Greatest number of bins per column.

    Shape
    -----
    (n, d) -> (n, n_features_out)

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular
       Deep Learning", NeurIPS 2022. https://arxiv.org/abs/2203.05556

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import PiecewiseLinear
    >>> x = torch.arange(5.0)[:, None]
    >>> PiecewiseLinear(x, n_bins=2)(x)[3]  # through the bin 0 to 2, half through 2 to 4
    tensor([1.0000, 0.5000])
    """

    column: Tensor
    low: Tensor
    width: Tensor

    def __init__(self, X: Tensor, n_bins: int = 8):
        super().__init__()
        edges = {j: e for j, e in enumerate(quantile_edges(X, n_bins)) if len(e) > 2}
        column = [j for j, e in edges.items() for _ in e[1:]]
        nothing = [X.new_empty(0, dtype=torch.float32)]
        self.register_buffer("column", torch.tensor(column, dtype=torch.long))
        self.register_buffer("low", torch.cat([e[:-1] for e in edges.values()] or nothing))
        self.register_buffer("width", torch.cat([e.diff() for e in edges.values()] or nothing))
        self.n_features_out = len(column)

    def forward(self, x: Tensor) -> Tensor:
        share = (x.index_select(1, self.column) - self.low) / self.width
        return share.clamp(0, 1).nan_to_num()


class Periodic(nn.Module):
    """Encode each number by sines and cosines of learned frequencies, then a layer per column.

    A missing number is all zeros.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled numbers.
    n_frequencies : int, default=16
        Number of frequencies per column.
    width : int, default=8
        Number of outputs per column.
    scale : float, default=0.1
        Standard deviation of the initial frequencies, in turns per unit of x.

    Shape
    -----
    (n, d) -> (n, d * width)

    References
    ----------
    .. [1] Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular
       Deep Learning", NeurIPS 2022. https://arxiv.org/abs/2203.05556

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import Periodic
    >>> x = torch.zeros(5, 3)
    >>> Periodic(x, width=4)(x).shape
    torch.Size([5, 12])
    """

    column: Tensor

    def __init__(self, X: Tensor, n_frequencies: int = 16, width: int = 8, scale: float = 0.1):
        super().__init__()
        d, bound = X.shape[1], 1 / math.sqrt(2 * n_frequencies)
        self.frequency = nn.Parameter(scale * torch.randn(d, n_frequencies))
        self.weight = nn.Parameter(torch.empty(d, 2 * n_frequencies, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d, width).uniform_(-bound, bound))
        self.register_buffer("column", torch.arange(d).repeat_interleave(width))
        self.n_features_out = d * width

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * self.frequency * x.nan_to_num()[:, :, None]
        waves = torch.cat([angle.sin(), angle.cos()], 2)
        out = torch.einsum("njk,jkd->njd", waves, self.weight) + self.bias
        return (out.relu() * ~x.isnan()[:, :, None]).flatten(1)


def numeric_embedding(
    X: Tensor, numbers: list[int], numeric: Numeric
) -> PiecewiseLinear | Periodic | None:
    """Build the extra numeric embedding, if one is configured and has outputs.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled rows.
    numbers : list of int
        The columns that hold numbers.
    numeric : {"plain", "piecewise-linear", "periodic"}
        The parameter of that name.
    """
    if numeric == "plain":
        return None
    module = {"piecewise-linear": PiecewiseLinear, "periodic": Periodic}[numeric](X[:, numbers])
    return module if module.n_features_out else None
