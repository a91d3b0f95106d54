"""A net that fills in one column of a table from the other columns and the other rows."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.in_context._evidence import Evidence, Statistics
from skssl.in_context._layers import Block, Label, Trust, Vote, count_of, exact
from skssl.in_context._tokens import (
    CellTokens,
    Names,
    RowTokens,
    draw_names,
    number_features,
)

N_NAME = 32  # numbers that stand for a class; drawn anew at each pass
FLOOR = 1e-6  # a probability
VOTED = 0.25  # of a number that is predicted; the rest is regressed


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
    ):
        super().__init__()
        n_label = number_features(torch.zeros(1)).shape[-1] + N_NAME
        self.cells = CellTokens(cell_width, n_label)
        self.rows = RowTokens(cell_width, n_label, width)
        self.label = Label(n_label, width)
        self.thinking = nn.Parameter(torch.randn(n_thinking, width) / 2)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_blocks))
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
        one_hot = exact(F.one_hot(y, context.n_classes).to(rows.dtype))
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
        means = memory.one_hot.mT @ values / count_of(memory.one_hot).mT
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
        order = number_features(_centres(context)) * ordered
        return torch.cat([order, names], -1)


def _centres(context: Context) -> Tensor:
    """Return the middle of each class on the scale of a normal distribution, if it is ordered."""
    count = F.one_hot(context.y, context.n_classes).sum(1).to(context.x.dtype)
    share = (count.cumsum(1) - count / 2) / context.y.shape[1]
    return torch.special.ndtri(share.clamp(0.005, 0.995))
