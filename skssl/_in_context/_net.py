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
class Context:
    """The rows of tables of one size that tell how one column of each is to be filled in.

    Attributes
    ----------
    x : Tensor of shape (n_tables, n_rows, n_columns)
        Scaled numbers and codes of categories; NaN where a value is missing. Rows with a label
        come first.
    cardinality : Tensor of shape (n_tables, n_columns)
        The number of categories of each column, 0 for numbers.
    y : Tensor of shape (n_tables, n_labelled)
        Classes, from 0 to ``n_classes - 1``.
    n_classes : int
        Of the table that has most.
    is_ordered : Tensor of shape (n_tables,)
        Whether the classes are intervals of a number, in order.
    """

    _saved_as = "InContextRows"
    x: Tensor
    cardinality: Tensor
    y: Tensor
    n_classes: int
    is_ordered: Tensor


@dataclass
class Names:
    """Random vectors that stand for columns and categories, (n_tables, 1, n_columns, N_RANDOM)."""

    is_number: Tensor
    frequency: Tensor
    phase: Tensor
    identity: Tensor


@dataclass
class Memory:
    """What is kept of a context: all that is needed to predict further rows.

    Attributes
    ----------
    names : Names
        Of the columns.
    seen : list of tuple of Tensor
        For each block, the keys and the values that rows attend to.
    voters, members : Tensor of shape (n_tables, n_labelled, width) and (n_tables, n_classes, width)
        Embeddings of the labelled rows, and the mean of each class.
    one_hot : Tensor of shape (n_tables, n_labelled, n_classes)
        Their classes.
    """

    names: Names
    seen: list[tuple[Tensor, Tensor]]
    voters: Tensor
    members: Tensor
    one_hot: Tensor


class InContextNet(nn.Module):
    """Tokens of cells, attention over the rows of a column and over the columns of a row, a vote.

    What a row is to be is told by the labelled rows: each votes for its label, with a weight by
    how similar its embedding is, and each class by the mean of its rows. So any number of classes
    will do, and with random weights the net is a kernel method already. Nothing depends on the
    rows to be predicted, so a context is read once, and each of them is predicted by itself.

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
    n_row_blocks : int, default=0
        Blocks after those of cells, in which a row is one token: attention over rows, a multilayer
        perceptron.
    row_width : int, default=192
        Of such a token, into which the cells of a row are pooled by learnt weights.

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
        n_row_blocks: int = 0,
        row_width: int = 192,
    ):
        super().__init__()
        self.numeric = numeric
        n_features = number_features(torch.zeros(1), numeric).shape[-1]
        self.cell = nn.Linear(n_features + N_RANDOM + 1, width)
        self.neighbours = nn.Linear(2 * n_features, width, bias=False)
        self.column = nn.Linear(N_RANDOM, width, bias=False)
        self.label = Label(n_features + N_RANDOM, width) if n_blocks else None
        self.label_of_cells = nn.Linear(width, width, bias=False) if label_in_cells else None
        self.thinking = nn.Parameter(torch.randn(n_thinking, width) / 2)
        self.blocks = nn.ModuleList(Block(width, n_heads, scalable) for _ in range(n_blocks))
        self.pool, self.row_label = None, None
        if n_row_blocks:
            self.pool = Pool(width, row_width)
            self.row_label = Label(n_features + N_RANDOM, row_width)
            width = row_width
        self.row_blocks = nn.ModuleList(
            Block(width, n_heads, scalable, of_columns=False) for _ in range(n_row_blocks)
        )
        self.norm = nn.LayerNorm(width, bias=False)
        self.voter = nn.Linear(width, width, bias=False)
        self.member = nn.Linear(width, width, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.mixture = nn.Parameter(torch.tensor(0.0))
        nn.init.zeros_(self.neighbours.weight)
        if self.label_of_cells is not None:
            nn.init.zeros_(self.label_of_cells.weight)

    def forward(
        self, context: Context, x: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        context : Context
            Rows with and without a label.
        x : Tensor of shape (n_tables, n_predicted, n_columns)
            Rows to be predicted.
        generator : torch.Generator, default=None
            What draws the vectors that stand for columns, categories and classes.

        Returns
        -------
        log_probability : Tensor of shape (n_tables, n_predicted, n_classes)
        """
        return self.predict(self.read(context, generator), x)

    def read(self, context: Context, generator: torch.Generator | None = None) -> Memory:
        """Return what is to be kept of a context."""
        names = _draw_names(context, generator)
        thinking = self.thinking[:, None].expand(len(context.x), -1, context.x.shape[2], -1)
        tokens = torch.cat([thinking, self._cells(context.x, names)], 1)
        first = len(self.thinking)
        given = self._label(context, generator), context.y, first, tokens.shape[1]
        seen: list[tuple[Tensor, Tensor]] = []
        if self.label is not None:
            labels = self.label(*given)
            if self.label_of_cells is not None:
                tokens = tokens + self.label_of_cells(labels)
            tokens, seen = _read(self.blocks, tokens, labels)
        if self.pool is not None and self.row_label is not None:
            tokens, more = _read(self.row_blocks, self.pool(tokens), self.row_label(*given))
            seen += more
        rows = self.norm(tokens[:, first : first + context.y.shape[1]].mean(2))
        one_hot = F.one_hot(context.y, context.n_classes).float()
        means = one_hot.mT @ self.member(rows).float() / one_hot.sum(1).clamp(min=1)[..., None]
        voters = F.normalize(self.voter(rows).float(), dim=-1)
        return Memory(names, seen, voters, F.normalize(means, dim=-1), one_hot)

    def predict(self, memory: Memory, x: Tensor) -> Tensor:
        """Return the logarithms of the probabilities of the classes of the rows in ``x``."""
        of_rows, of_classes = self._shares(self._embed(memory, x), memory)
        mixed = of_rows @ memory.one_hot + of_classes
        # what no labelled row has is as improbable as it can be
        return ((1 - FLOOR * mixed.shape[-1]) * mixed + FLOOR).log()

    def expect(self, memory: Memory, x: Tensor, values: Tensor) -> Tensor:
        """Return the mean of what labelled rows are worth, by their votes and those of classes.

        Parameters
        ----------
        memory : Memory
            Of a context.
        x : Tensor of shape (n_tables, n_predicted, n_columns)
            Rows to be predicted.
        values : Tensor of shape (n_tables, n_labelled)
            The numbers of which the classes of the context are intervals.

        Returns
        -------
        mean : Tensor of shape (n_tables, n_predicted)
        """
        of_rows, of_classes = self._shares(self._embed(memory, x), memory)
        count = memory.one_hot.sum(1).clamp(min=1)
        means = memory.one_hot.mT @ values[..., None] / count[..., None]
        return (of_rows @ values[..., None] + of_classes @ means)[..., 0]

    def _embed(self, memory: Memory, x: Tensor) -> Tensor:
        """Return the rows that are to be predicted, (n_tables, n_predicted, width)."""
        tokens = self._cells(x, memory.names)
        n_blocks = len(self.blocks)
        for block, seen in zip(self.blocks, memory.seen[:n_blocks], strict=True):
            tokens = block(tokens, seen)
        if self.pool is not None:
            tokens = self.pool(tokens)
        for block, seen in zip(self.row_blocks, memory.seen[n_blocks:], strict=True):
            tokens = block(tokens, seen)
        return self.norm(tokens.mean(2))

    def _cells(self, x: Tensor, names: Names) -> Tensor:
        """Return a token for each cell: features of its value times a random vector."""
        known = ~x.isnan()
        value = x.nan_to_num()
        category = (value[..., None] * names.frequency + names.phase).cos()
        category = category * (known & ~names.is_number)[..., None]
        number = number_features(value * names.is_number, self.numeric)
        number = number * (known & names.is_number)[..., None]
        near = torch.cat([number.roll(1, 2), number.roll(3, 2)], -1)
        given = torch.cat([number, category, (~known)[..., None].to(number.dtype)], -1)
        dtype = self.column.weight.dtype
        made = self.cell(given.to(dtype)) + self.neighbours(near.to(dtype))
        return made * (SPREAD * self.column(names.identity.to(dtype)))

    def _label(self, context: Context, generator: torch.Generator | None) -> Tensor:
        """Return what stands for each class, (n_tables, n_classes, n_features + N_RANDOM)."""
        shape = len(context.x), context.n_classes, N_RANDOM
        names = torch.randn(shape, generator=generator, device=context.y.device)
        ordered = context.is_ordered[:, None, None]
        names = 4 * F.normalize(names, dim=-1) * ~ordered
        order = number_features(_centres(context), self.numeric) * ordered
        return torch.cat([order, names], -1)

    def _shares(self, rows: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the shares of labelled rows and of classes in the vote on rows; their sum is 1."""
        similarity = F.normalize(self.voter(rows).float(), dim=-1) @ memory.voters.mT
        sharpness = SHARPNESS * self.sharpness.float().exp()
        vote = (sharpness * similarity).softmax(-1)
        count = memory.one_hot.sum(1, keepdim=True)
        near = F.normalize(self.member(rows).float(), dim=-1) @ memory.members.mT
        logit = 8 * near + (count / memory.one_hot.shape[1]).clamp(min=FLOOR).log()
        logit = logit.masked_fill(count == 0, -torch.inf)
        share = self.mixture.float().sigmoid()
        return share * vote, (1 - share) * logit.softmax(-1)


class Label(nn.Module):
    """What is added to the keys and values of a context: its labels, or that there is none."""

    _saved_as = "InContextLabel"

    def __init__(self, n_given: int, width: int):
        super().__init__()
        self.made = nn.Linear(n_given, width, bias=False)
        self.unlabelled = nn.Parameter(torch.zeros(width))

    def forward(self, label: Tensor, y: Tensor, n_thinking: int, n: int) -> Tensor:
        """Return (n_tables, n, 1, width): nothing for the thinking rows, which come first."""
        made = self.made(label.to(self.made.weight.dtype))
        made = made.gather(1, y[..., None].expand(-1, -1, made.shape[-1]))
        n_unlabelled = n - n_thinking - made.shape[1]
        others = self.unlabelled.expand(len(made), n_unlabelled, -1)
        return torch.cat([made.new_zeros(len(made), n_thinking, made.shape[2]), made, others], 1)[
            :, :, None
        ]


class Pool(nn.Module):
    """The cells of a row as one token: their means by several learnt weights, side by side."""

    _saved_as = "InContextPool"

    def __init__(self, width: int, row_width: int, n_pools: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.weight = nn.Linear(width, n_pools, bias=False)
        self.made = nn.Linear(n_pools * width, row_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n_tables, n, 1, row_width)."""
        x = self.norm(x)
        pooled = self.weight(x).softmax(2).mT @ x
        return self.made(pooled.flatten(2))[:, :, None]


class Block(nn.Module):
    """Attention over the rows of each column, a multilayer perceptron, attention over columns."""

    _saved_as = "InContextBlock"

    def __init__(self, width: int, n_heads: int, scalable: bool, of_columns: bool = True):
        super().__init__()
        self.of_rows = Attention(width, n_heads, scalable)
        self.row_norm, self.norm = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.of_columns = self.column_norm = None
        if of_columns:
            self.of_columns = Attention(width, n_heads)
            self.column_norm = nn.LayerNorm(width, bias=False)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def look(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a context's tokens, to which its labels are added.

        Tokens are (n_tables, n, n_columns, width), labels (n_tables, n, 1, width).
        """
        return self.of_rows.look((self.row_norm(x) + labels).transpose(1, 2))

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor]) -> Tensor:
        """Return the tokens of rows that attend to a context, after the block."""
        x = x + self.of_rows(self.row_norm(x).transpose(1, 2), seen).transpose(1, 2)
        x = x + self.narrow(F.gelu(self.wide(self.norm(x))))
        if self.of_columns is None or self.column_norm is None:
            return x
        normed = self.column_norm(x)
        return x + self.of_columns(normed, self.of_columns.look(normed))


def _read(
    blocks: nn.ModuleList, tokens: Tensor, labels: Tensor
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Return the tokens of a context after blocks, and the keys and values of each block."""
    seen = []
    for block in blocks:
        assert isinstance(block, Block)
        seen.append(block.look(tokens, labels))
        tokens = block(tokens, seen[-1])
    return tokens, seen


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

    def look(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a context (..., n, width)."""
        return self._heads(self.key(context)), self._heads(self.value(context))

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor]) -> Tensor:
        """Return what each token of ``x``, (..., n, width), reads in keys and values."""
        query, (key, value) = self._heads(self.query(x)), seen
        if self.power is not None:
            query = query * (self.power * math.log(key.shape[2] / USUAL)).exp()
        made = _attend(query, key, value)
        return self.out(made.transpose(1, 2).flatten(2)).view(x.shape)

    def _heads(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


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


def _draw_names(context: Context, generator: torch.Generator | None) -> Names:
    """Draw what stands for the columns and their categories."""
    n_tables, _, n_columns = context.x.shape
    shape, device = (n_tables, 1, n_columns, N_RANDOM), context.x.device
    frequency, phase = torch.rand(2, *shape, generator=generator, device=device) * 2 * torch.pi
    identity = torch.randn(shape, generator=generator, device=device)
    return Names((context.cardinality == 0)[:, None], frequency, phase, identity)


def _centres(context: Context) -> Tensor:
    """Return the middle of each class on the scale of a normal distribution, if it is ordered."""
    count = F.one_hot(context.y, context.n_classes).sum(1).to(context.x.dtype)
    share = (count.cumsum(1) - count / 2) / context.y.shape[1]
    return torch.special.ndtri(share.clamp(0.005, 0.995))
