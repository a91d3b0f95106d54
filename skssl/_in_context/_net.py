"""A net that fills in one column of a table from the other columns and the other rows."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_RANDOM = 16  # numbers that stand for a column, a category or a class; drawn anew at each pass
SPREAD = 1.7  # of what a cell's token is multiplied by, so that its variance is about one
SHARPNESS = 10.0  # of a vote, at the start of training
FLOOR = 1e-6  # a probability
USUAL = 64  # rows of a context


@dataclass
class Tables:
    """Tables of one size, in each of which one column is to be filled in.

    The rows are in this order: those with a label, those without one, and those to be predicted,
    which nothing else depends on.

    Attributes
    ----------
    x : Tensor of shape (n_tables, n_rows, n_columns)
        Scaled numbers and codes of categories; NaN where a value is missing.
    cardinality : Tensor of shape (n_tables, n_columns)
        The number of categories of each column, 0 for numbers.
    y : Tensor of shape (n_tables, n_labelled)
        Classes, from 0 to ``n_classes - 1``.
    n_unlabelled : int
        Rows after those with a label that are context, too.
    n_classes : int
        Of the table that has most.
    is_ordered : Tensor of shape (n_tables,)
        Whether the classes are intervals of a number, in order.
    """

    x: Tensor
    cardinality: Tensor
    y: Tensor
    n_unlabelled: int
    n_classes: int
    is_ordered: Tensor

    @property
    def n_labelled(self) -> int:
        """The number of rows with a label."""
        return self.y.shape[1]


class InContextNet(nn.Module):
    """Tokens of cells, attention over the rows of a column and over the columns of a row, a vote.

    What a row is to be is told by the labelled rows: each votes for its label, with a weight by
    how similar its embedding is, and each class by the mean of its rows. So any number of classes
    will do, and with random weights the net is a kernel method already.

    Parameters
    ----------
    width : int, default=96
        Of a token.
    n_blocks : int, default=4
        Attention over rows, a multilayer perceptron, attention over columns.
    n_heads : int, default=4
        Of each attention.
    n_thinking : int, default=8
        Learnt rows, which every row attends to.
    numeric : {"periodic", "rbf"}, default="periodic"
        Features of a number.
    scalable : bool, default=False
        Whether attention over rows is sharper the more rows there are, by a power of their number
        that each head learns.
    label_in_cells : bool, default=False
        Whether labels are added to the cells of their rows as well, not only to keys and values.

    Notes
    -----
    It computes in the dtype of its weights, and votes in float32.

    References
    ----------
    .. [1] Hollmann et al., "Accurate predictions on small data with a tabular foundation model",
       Nature 637, 2025.
    .. [2] Qu et al., "TabICLv2: A better, faster, scalable, and open tabular foundation model",
       arXiv:2602.11139, 2026.
    """

    _saved_as = "InContextNet"

    def __init__(
        self,
        width: int = 96,
        n_blocks: int = 4,
        n_heads: int = 4,
        n_thinking: int = 8,
        numeric: Literal["periodic", "rbf"] = "periodic",
        scalable: bool = False,
        label_in_cells: bool = False,
    ):
        super().__init__()
        self.numeric = numeric
        n_features = number_features(torch.zeros(1), numeric).shape[-1]
        self.cell = nn.Linear(n_features + N_RANDOM + 1, width)
        self.neighbours = nn.Linear(2 * n_features, width, bias=False)
        self.column = nn.Linear(N_RANDOM, width, bias=False)
        self.label = nn.Linear(n_features + N_RANDOM, width, bias=False)
        self.label_of_cells = nn.Linear(width, width, bias=False) if label_in_cells else None
        self.thinking = nn.Parameter(torch.randn(n_thinking, width) / 2)
        self.unlabelled = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, n_heads, scalable) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width, bias=False)
        self.voter = nn.Linear(width, width, bias=False)
        self.member = nn.Linear(width, width, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.mixture = nn.Parameter(torch.tensor(0.0))
        nn.init.zeros_(self.neighbours.weight)
        if self.label_of_cells is not None:
            nn.init.zeros_(self.label_of_cells.weight)

    def forward(self, tables: Tables, generator: torch.Generator | None = None) -> Tensor:
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        tables : Tables
            Tables.
        generator : torch.Generator, default=None
            What draws the vectors that stand for columns, categories and classes.

        Returns
        -------
        log_probability : Tensor of shape (n_tables, n_predicted, n_classes)
            Of the rows after those of the context.
        """
        tokens = self._cells(tables, generator)
        n_context = tables.n_labelled + tables.n_unlabelled
        n_thinking, width = self.thinking.shape
        n_tables, _, n_columns = tables.x.shape
        thinking = self.thinking[:, None].expand(n_tables, -1, n_columns, -1)
        tokens = torch.cat([thinking, tokens], 1)
        labels = self._labels(tables, generator)
        if self.label_of_cells is not None:
            n_others = tokens.shape[1] - labels.shape[1]
            tokens = tokens + F.pad(self.label_of_cells(labels), (0, 0, 0, 0, 0, n_others))
        for block in self.blocks:
            tokens = block(tokens, n_thinking + n_context, labels)
        return self._vote(self.norm(tokens[:, n_thinking:].mean(2)), tables)

    def _cells(self, tables: Tables, generator: torch.Generator | None) -> Tensor:
        """Return a token for each cell: features of its value times a random vector."""
        n_tables, _, n_columns = tables.x.shape
        shape, device = (n_tables, 1, n_columns, N_RANDOM), tables.x.device
        frequency, phase = torch.rand(2, *shape, generator=generator, device=device) * 2 * torch.pi
        known = ~tables.x.isnan()
        is_number = (tables.cardinality == 0)[:, None]
        value = tables.x.nan_to_num()[..., None]
        category = (value * frequency + phase).cos() * (known & ~is_number)[..., None]
        number = number_features(value[..., 0] * is_number, self.numeric)
        number = number * (known & is_number)[..., None]
        near = torch.cat([number.roll(1, 2), number.roll(3, 2)], -1)
        given = torch.cat([number, category, (~known)[..., None].to(number.dtype)], -1)
        identity = torch.randn(shape, generator=generator, device=device)
        dtype = self.column.weight.dtype
        made = self.cell(given.to(dtype)) + self.neighbours(near.to(dtype))
        return made * (SPREAD * self.column(identity.to(dtype)))

    def _labels(self, tables: Tables, generator: torch.Generator | None) -> Tensor:
        """Return what is added to the keys and values of the context, (n_tables, n, 1, width)."""
        n_tables, n_classes = len(tables.y), tables.n_classes
        names = torch.randn(
            n_tables, n_classes, N_RANDOM, generator=generator, device=tables.y.device
        )
        names = 4 * F.normalize(names, dim=-1) * ~tables.is_ordered[:, None, None]
        order = number_features(_centres(tables), self.numeric) * tables.is_ordered[:, None, None]
        label = self.label(torch.cat([order, names], -1).to(self.label.weight.dtype))
        label = label.gather(1, tables.y[..., None].expand(-1, -1, label.shape[-1]))
        thinking = label.new_zeros(n_tables, len(self.thinking), label.shape[-1])
        unlabelled = self.unlabelled.expand(n_tables, tables.n_unlabelled, -1)
        return torch.cat([thinking, label, unlabelled], 1)[:, :, None]

    def _vote(self, rows: Tensor, tables: Tables) -> Tensor:
        n_labelled = tables.n_labelled
        first = n_labelled + tables.n_unlabelled
        one_hot = F.one_hot(tables.y, tables.n_classes).float()
        voter = F.normalize(self.voter(rows).float(), dim=-1)
        similarity = voter[:, first:] @ voter[:, :n_labelled].mT
        vote = (SHARPNESS * self.sharpness.float().exp() * similarity).softmax(-1) @ one_hot
        count = one_hot.sum(1)
        member = self.member(rows).float()
        mean = one_hot.mT @ member[:, :n_labelled] / count.clamp(min=1)[..., None]
        logit = 8 * F.normalize(member[:, first:], dim=-1) @ F.normalize(mean, dim=-1).mT
        logit = logit + (count / n_labelled).clamp(min=FLOOR).log()[:, None]
        logit = logit.masked_fill((count == 0)[:, None], -torch.inf)
        share = self.mixture.float().sigmoid()
        mixed = share * vote + (1 - share) * logit.softmax(-1)
        # what no labelled row has is as improbable as it can be
        return ((1 - FLOOR * tables.n_classes) * mixed + FLOOR).log()


class Block(nn.Module):
    """Attention over the rows of each column, a multilayer perceptron, attention over columns."""

    _saved_as = "InContextBlock"

    def __init__(self, width: int, n_heads: int, scalable: bool):
        super().__init__()
        self.of_rows = Attention(width, n_heads, scalable)
        self.of_columns = Attention(width, n_heads)
        norms = (nn.LayerNorm(width, bias=False) for _ in range(3))
        self.row_norm, self.norm, self.column_norm = norms
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor, n_context: int, labels: Tensor) -> Tensor:
        """Return the tokens, (n_tables, n_rows, n_columns, width), after the block.

        Every row attends to the first ``n_context``, which have labels.
        """
        normed = self.row_norm(x)
        context = (normed[:, :n_context] + labels).transpose(1, 2)
        x = x + self.of_rows(normed.transpose(1, 2), context).transpose(1, 2)
        x = x + self.narrow(F.gelu(self.wide(self.norm(x))))
        normed = self.column_norm(x)
        return x + self.of_columns(normed, normed)


class Attention(nn.Module):
    """Multi-head attention over the last but one dimension; it begins as zero."""

    _saved_as = "InContextAttention"

    def __init__(self, width: int, n_heads: int, scalable: bool = False):
        super().__init__()
        self.n_heads = n_heads
        self.power = nn.Parameter(torch.zeros(n_heads, 1, 1)) if scalable else None
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return what each token of ``x`` reads in ``context``; all before are batches."""
        shape = x.shape
        query, key, value = (
            linear(given).flatten(0, 1).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for linear, given in ((self.query, x), (self.key, context), (self.value, context))
        )
        if self.power is not None:
            query = query * (self.power * math.log(key.shape[2] / USUAL)).exp()
        made = _attend(query, key, value)
        return self.out(made.transpose(1, 2).flatten(2)).view(shape)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return scaled dot-product attention; in bfloat16 on a CPU by the formula, which is faster."""
    if query.is_cpu and query.dtype == torch.bfloat16:
        return (query / math.sqrt(query.shape[3]) @ key.mT).softmax(3) @ value
    return F.scaled_dot_product_attention(query, key, value)


def number_features(x: Tensor, how: Literal["periodic", "rbf"]) -> Tensor:
    """Return features of scaled numbers, in a new last dimension."""
    if how == "rbf":
        centres = torch.linspace(-2.5, 2.5, 15, dtype=x.dtype, device=x.device)
        near = (-2 * (x[..., None] - centres).square()).exp()
        return torch.cat([x[..., None], near], -1)
    waves = [f(k * x) for k in (2, 4) for f in (torch.sin, torch.cos)]
    return torch.stack([x, x.abs(), *waves], -1)


def _centres(tables: Tables) -> Tensor:
    """Return the middle of each class on the scale of a normal distribution, if it is ordered."""
    count = F.one_hot(tables.y, tables.n_classes).sum(1).to(tables.x.dtype)
    share = (count.cumsum(1) - count / 2) / tables.n_labelled
    return torch.special.ndtri(share.clamp(0.005, 0.995))
