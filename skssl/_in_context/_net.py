"""A net that fills in one column of a table from the other columns and the other rows."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl._in_context._evidence import (
    LEAST,
    N_KERNELS,
    N_RIDGES,
    STEEPNESS,
    Evidence,
    Statistics,
)
from skssl._in_context._tokens import (
    CellTokens,
    Names,
    Numeric,
    RowTokens,
    draw_names,
    number_features,
)

N_NAME = 32  # numbers that stand for a class; drawn anew at each pass
SHARPNESS = 10.0  # of a vote, at the start of training
USUAL_STEEPNESS = 4.0  # of ridge regressions, at the start of training
FLOOR = 1e-6  # a probability
USUAL = 64  # rows of a context
VOTED = 0.5  # of a number that is predicted; the rest is regressed


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
    values : Tensor of shape (n_tables, n_labelled), default=None
        The numbers of which they are intervals.
    """

    _saved_as = "InContextRows"
    x: Tensor
    cardinality: Tensor
    y: Tensor
    n_classes: int
    is_ordered: Tensor
    values: Tensor | None = None


@dataclass
class Memory:
    """What is kept of a context: all that is needed to predict further rows.

    Attributes
    ----------
    names : Names
        Of the columns.
    statistics : Statistics
        What tells the evidence of further rows.
    seen : list of tuple of Tensor
        For each block, the keys and the values that rows attend to.
    voters, members : Tensor of shape (n_tables, n_labelled, width) and (n_tables, n_classes, width)
        Embeddings of the labelled rows, and the mean of each class.
    one_hot : Tensor of shape (n_tables, n_labelled, n_classes)
        Their classes.
    values : Tensor of shape (n_tables, n_labelled) or None
        Their numbers, of which the classes are intervals.
    """

    names: Names
    statistics: Statistics
    seen: list[tuple[Tensor, Tensor]]
    voters: Tensor
    members: Tensor
    one_hot: Tensor
    values: Tensor | None


class InContextNet(nn.Module):
    """Cells become one token per row; rows attend to those of a context, which then vote.

    What a row is to be is told by the labelled rows: each votes for its label, with a weight by
    how similar its embedding is, and each class by the mean of its rows. So any number of classes
    will do. Evidence in closed form (`Statistics`) goes into the tokens, into attention and into
    the vote: with random weights the net is a kernel method already, and it learns what to make of
    it. Nothing depends on the rows to be predicted, so a context is read once, and each of them is
    predicted by itself.

    Parameters
    ----------
    width : int, default=128
        Of the token of a row.
    cell_width : int, default=192
        Of the token of a cell.
    n_blocks : int, default=6
        Attention over rows, a multilayer perceptron.
    n_heads : int, default=4
        Of each attention.
    n_thinking : int, default=8
        Learnt rows, which every row attends to.
    numeric : {"periodic", "rbf"}, default="periodic"
        Features of a number.
    scalable : bool, default=False
        Whether attention is sharper the more rows there are, by a power of their number that each
        head learns.

    Notes
    -----
    It computes in the dtype of its weights, and votes in float32 at least.

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
        width: int = 128,
        cell_width: int = 192,
        n_blocks: int = 6,
        n_heads: int = 4,
        n_thinking: int = 8,
        numeric: Numeric = "periodic",
        scalable: bool = False,
    ):
        super().__init__()
        self.numeric: Numeric = numeric
        n_label = number_features(torch.zeros(1), numeric).shape[-1] + N_NAME
        self.cells = CellTokens(cell_width, n_label, numeric)
        self.rows = RowTokens(cell_width, n_label, width)
        self.label = Label(n_label, width)
        self.thinking = nn.Parameter(torch.randn(n_thinking, width) / 2)
        self.blocks = nn.ModuleList(Block(width, n_heads, scalable) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width, bias=False)
        self.trust = Trust()
        self.vote = Vote(width)

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
            What draws the vectors that stand for columns, categories and classes, and partitions.

        Returns
        -------
        log_probability : Tensor of shape (n_tables, n_predicted, n_classes)
        """
        return self.predict(self.read(context, generator), x)

    def read(self, context: Context, generator: torch.Generator | None = None) -> Memory:
        """Return what is to be kept of a context."""
        names = draw_names(context.cardinality, generator)
        label = self._label(context, generator)
        x, y, first = context.x, context.y, len(self.thinking)
        statistics = Statistics(x, context.cardinality, y, label, context.values, generator)
        own = statistics.own
        rows = self._tokens(x, names, own)
        tokens = torch.cat([self.thinking.expand(len(x), -1, -1), rows], 1)
        labels = self.label(label, y, first, tokens.shape[1])
        like = F.pad(own.likeness, (first, 0, first, 0)).to(tokens.dtype)
        seen = []
        for block in self.blocks:
            assert isinstance(block, Block)
            seen.append(block.look(tokens, labels))
            tokens = block(tokens, seen[-1], like)
        rows = self.norm(tokens[:, first : first + y.shape[1]])
        one_hot = _exact(F.one_hot(y, context.n_classes).to(rows.dtype))
        voters, members = self.vote.look(rows, one_hot)
        return Memory(names, statistics, seen, voters, members, one_hot, context.values)

    def predict(self, memory: Memory, x: Tensor) -> Tensor:
        """Return the logarithms of the probabilities of the classes of the rows in ``x``."""
        of_rows, of_classes = self._shares(memory, *self.embed(memory, x))
        mixed = of_rows @ memory.one_hot + of_classes
        # what no labelled row has is as improbable as it can be
        return ((1 - FLOOR * mixed.shape[-1]) * mixed + FLOOR).log()

    def expect(self, memory: Memory, x: Tensor) -> Tensor:
        """Return a number for each row: the mean of ridge regressions and of votes.

        A labelled row votes for its number, a class for the mean of its rows.

        Parameters
        ----------
        memory : Memory
            Of a context whose labelled rows have numbers.
        x : Tensor of shape (n_tables, n_predicted, n_columns)
            Rows to be predicted.

        Returns
        -------
        mean : Tensor of shape (n_tables, n_predicted)
        """
        rows, evidence = self.embed(memory, x)
        assert memory.values is not None and evidence.number is not None
        of_rows, of_classes = self._shares(memory, rows, evidence)
        values = memory.values[..., None].to(memory.one_hot.dtype)
        means = memory.one_hot.mT @ values / _count(memory.one_hot).mT
        voted = (of_rows @ values + of_classes @ means)[..., 0]
        return VOTED * voted + (1 - VOTED) * evidence.number.to(voted.dtype)

    def embed(self, memory: Memory, x: Tensor) -> tuple[Tensor, Evidence]:
        """Return embeddings of rows, (n_tables, n_predicted, width), and what is said of them."""
        evidence = memory.statistics.read(x)
        tokens = self._tokens(x, memory.names, evidence)
        like = F.pad(evidence.likeness, (len(self.thinking), 0)).to(tokens.dtype)
        for block, seen in zip(self.blocks, memory.seen, strict=True):
            tokens = block(tokens, seen, like)
        return self.norm(tokens), evidence

    def _tokens(self, x: Tensor, names: Names, evidence: Evidence) -> Tensor:
        """Return tokens of rows, (n_tables, n_rows, width)."""
        cells = self.cells(x, names, evidence.of_cells)
        return self.rows(cells, evidence, self.trust(evidence.scores).sum(2))

    def _shares(self, memory: Memory, rows: Tensor, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Return the shares of labelled rows and of classes in the vote on rows; their sum is 1."""
        trust = self.trust(evidence.scores)
        return self.vote(rows, evidence, trust, memory.voters, memory.members, memory.one_hot)

    def _label(self, context: Context, generator: torch.Generator | None) -> Tensor:
        """Return what stands for each class, (n_tables, n_classes, n_features + N_NAME)."""
        shape = len(context.x), N_NAME, context.n_classes
        names = torch.randn(shape, generator=generator, device=context.y.device)
        if context.n_classes <= N_NAME:  # at right angles to each other
            names = torch.linalg.qr(names).Q
        ordered = context.is_ordered[:, None, None]
        names = 4 * F.normalize(names, dim=1).mT * ~ordered
        order = number_features(_centres(context), self.numeric) * ordered
        return torch.cat([order, names], -1)


class Trust(nn.Module):
    """The share of each ridge regression and steepness, by how it predicts rows left out."""

    _saved_as = "InContextTrust"

    def __init__(self) -> None:
        super().__init__()
        far = (torch.tensor(STEEPNESS) / USUAL_STEEPNESS).log().square()
        self.prior = nn.Parameter((-2 * far).repeat(N_RIDGES, 1))
        self.sharpness = nn.Parameter(torch.tensor(-1.0))

    def forward(self, scores: Tensor) -> Tensor:
        """Return (n_tables, N_RIDGES, len(STEEPNESS)), of sum 1."""
        share = _exact(self.prior) + _exact(self.sharpness).exp() * scores
        return share.flatten(1).softmax(1).view(scores.shape)


class Vote(nn.Module):
    """The shares that labelled rows and classes have in what is predicted."""

    _saved_as = "InContextVote"

    def __init__(self, width: int):
        super().__init__()
        self.voter = nn.Linear(width, width, bias=False)
        self.member = nn.Linear(width, width, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.mixture = nn.Parameter(torch.tensor(-3.0))
        self.rows_alike = nn.Parameter(torch.full((N_KERNELS,), 0.5))
        self.classes_alike = nn.Parameter(torch.zeros(N_KERNELS))
        self.nearness = nn.Parameter(torch.tensor(0.5))

    def look(self, rows: Tensor, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """Return voters and members: the labelled rows, and the means of classes."""
        means = one_hot.mT @ _exact(self.member(rows)) / _count(one_hot).mT
        return F.normalize(_exact(self.voter(rows)), dim=-1), F.normalize(means, dim=-1)

    def forward(
        self,
        rows: Tensor,
        evidence: Evidence,
        trust: Tensor,
        voters: Tensor,
        members: Tensor,
        one_hot: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return (n_tables, n, n_labelled) and (n_tables, n, n_classes)."""
        like = evidence.likeness[..., : one_hot.shape[1]]
        similarity = F.normalize(_exact(self.voter(rows)), dim=-1) @ voters.mT
        vote = SHARPNESS * _exact(self.sharpness).exp() * similarity
        vote = vote + _mixed(self.rows_alike, like)
        near = F.normalize(_exact(self.member(rows)), dim=-1) @ members.mT
        near = _exact(self.nearness) * near
        near = near + _mixed(self.classes_alike, like) @ one_hot / _count(one_hot)
        told = evidence.probabilities(trust).to(near.dtype)
        logit = near + told.clamp(min=LEAST).log()
        logit = logit.masked_fill(one_hot.sum(1, keepdim=True) == 0, -torch.inf)
        mixture = _exact(self.mixture).sigmoid()
        return mixture * vote.softmax(-1), (1 - mixture) * logit.softmax(-1)


def _exact(x: Tensor) -> Tensor:
    """Return a tensor in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _mixed(weight: Tensor, given: Tensor) -> Tensor:
    """Return the sum over the second dimension, by weights."""
    weight = _exact(weight)
    return torch.einsum("tk...,k->t...", given.to(weight.dtype), weight)


def _count(one_hot: Tensor) -> Tensor:
    """Return the number of rows of each class, at least 1, (n_tables, 1, n_classes)."""
    return one_hot.sum(1, keepdim=True).clamp(min=1)


class Label(nn.Module):
    """What is added to the keys and values of a context: its labels, or that there is none."""

    _saved_as = "InContextLabel"

    def __init__(self, n_given: int, width: int):
        super().__init__()
        self.made = nn.Linear(n_given, width, bias=False)
        self.unlabelled = nn.Parameter(torch.zeros(width))

    def forward(self, label: Tensor, y: Tensor, n_thinking: int, n: int) -> Tensor:
        """Return (n_tables, n, width): nothing for the thinking rows, which come first."""
        made = self.made(label.to(self.made.weight.dtype))
        made = made.gather(1, y[..., None].expand(-1, -1, made.shape[-1]))
        n_unlabelled = n - n_thinking - made.shape[1]
        others = self.unlabelled.expand(len(made), n_unlabelled, -1)
        return torch.cat([made.new_zeros(len(made), n_thinking, made.shape[2]), made, others], 1)


class Block(nn.Module):
    """Attention over the rows of a context, a multilayer perceptron."""

    _saved_as = "InContextBlock"

    def __init__(self, width: int, n_heads: int, scalable: bool):
        super().__init__()
        self.attention = Attention(width, n_heads, scalable)
        self.row_norm, self.norm = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def look(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a context's tokens, to which its labels are added."""
        return self.attention.look(self.row_norm(x) + labels)

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor], like: Tensor) -> Tensor:
        """Return the tokens of rows that attend to a context, after the block."""
        x = x + self.attention(self.row_norm(x), seen, like)
        return x + self.narrow(F.gelu(self.wide(self.norm(x))))


class Attention(nn.Module):
    """Multi-head attention, drawn to like rows; it begins as zero."""

    _saved_as = "InContextAttention"

    def __init__(self, width: int, n_heads: int, scalable: bool):
        super().__init__()
        self.n_heads = n_heads
        self.power = nn.Parameter(torch.zeros(n_heads, 1, 1)) if scalable else None
        self.alike = nn.Parameter(torch.full((n_heads, N_KERNELS), 0.5))
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        nn.init.zeros_(self.out.weight)

    def look(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a context (n_tables, n, width)."""
        return self._heads(self.key(context)), self._heads(self.value(context))

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor], like: Tensor) -> Tensor:
        """Return what each token of ``x``, (n_tables, n, width), reads in keys and values."""
        query, (key, value) = self._heads(self.query(x)), seen
        if self.power is not None:
            query = query * (self.power * math.log(key.shape[2] / USUAL)).exp()
        bias = (self.alike @ like.flatten(2)).unflatten(2, like.shape[2:])
        # in bfloat16 on a CPU the formula is faster than torch's function
        score = query / math.sqrt(query.shape[3]) @ key.mT + bias
        return self.out((score.softmax(3) @ value).transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def _centres(context: Context) -> Tensor:
    """Return the middle of each class on the scale of a normal distribution, if it is ordered."""
    count = F.one_hot(context.y, context.n_classes).sum(1).to(context.x.dtype)
    share = (count.cumsum(1) - count / 2) / context.y.shape[1]
    return torch.special.ndtri(share.clamp(0.005, 0.995))
