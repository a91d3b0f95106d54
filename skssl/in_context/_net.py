"""The in-context net: predicts one column of a table from the other columns and other rows."""

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

N_NAME = 32  # width of the random vector that represents a class in one pass
FLOOR = 1e-6  # least probability of a class
VOTED = 0.25  # weight of the vote in a predicted number; the rest is ridge regression


@dataclass
class Context:
    """The context rows of some tables of one size, and the column to predict.

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
        Number of classes of the table that has the most.
    is_ordered : Tensor of shape (n_tables,)
        Whether the classes are intervals of a number, in order.
    values : Tensor of shape (n_tables, n_labelled), default=None
        Labels that are numbers; the classes are then intervals of them.
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
    """Everything about a context that is needed to predict new rows.

    Attributes
    ----------
    names : Names
        Random vectors of the columns.
    statistics : Statistics
        Computes the evidence about new rows.
    seen : list of tuple of Tensor
        Keys and values of the context for each block.
    voters, members : Tensor of shape (n_tables, n_labelled, width) and (n_tables, n_classes, width)
        Embeddings of the labelled rows, and the mean of each class.
    one_hot : Tensor of shape (n_tables, n_labelled, n_classes)
        Classes of the labelled rows.
    values : Tensor of shape (n_tables, n_labelled) or None
        Labels that are numbers.
    """

    names: Names
    statistics: Statistics
    seen: list[tuple[Tensor, Tensor]]
    voters: Tensor
    members: Tensor
    one_hot: Tensor
    values: Tensor | None


class InContextNet(nn.Module):
    """Merge the cells of each row into a token, attend to the context, and let it vote.

    Each labelled row votes for its label, weighted by the similarity of its embedding, and each
    class by the mean of its rows, so the number of classes is not limited. Closed-form evidence
    (`Statistics`) enters the tokens, the attention and the vote: with random weights the net is
    already a kernel method, and training improves on that. A context is read once, independently
    of the rows to predict, and each of these is predicted by itself.

    Parameters
    ----------
    width : int, default=128
        Width of a row's token.
    cell_width : int, default=192
        Width of a cell's token.
    n_blocks : int, default=6
        Number of blocks: attention over rows, then a multilayer perceptron.
    n_heads : int, default=4
        Number of attention heads.
    n_thinking : int, default=8
        Number of learnt rows that every row attends to.

    Notes
    -----
    The net computes in the dtype of its weights; votes are in float32 or wider.

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
            Draws the vectors of columns, categories and classes, and the partitions.

        Returns
        -------
        log_probability : Tensor of shape (n_tables, n_predicted, n_classes)
        """
        return self.predict(self.read(context, generator), x)

    def read(self, context: Context, generator: torch.Generator | None = None) -> Memory:
        """Read a context, and return what is needed to predict new rows."""
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
        """Return log-probabilities of the classes for the rows in ``x``."""
        of_rows, of_classes = self._shares(memory, *self.embed(memory, x))
        mixed = of_rows @ memory.one_hot + of_classes
        # a class without labelled rows gets the least probability
        return ((1 - FLOOR * mixed.shape[-1]) * mixed + FLOOR).log()

    def expect(self, memory: Memory, x: Tensor) -> Tensor:
        """Predict a number for each row: the weighted mean of ridge regressions and the vote.

        A labelled row votes for its number, a class for the mean of its rows.

        Parameters
        ----------
        memory : Memory
            A context whose labels are numbers.
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
        """Return embeddings of rows, (n_tables, n_predicted, width), and their evidence."""
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
        """Return the weights of labelled rows and of classes in the vote; they sum to 1."""
        trust = self.trust(evidence.scores)
        return self.vote(rows, evidence, trust, memory.voters, memory.members, memory.one_hot)

    def _label(self, context: Context, generator: torch.Generator | None) -> Tensor:
        """Return the vector of each class, (n_tables, n_classes, n_features + N_NAME)."""
        shape = len(context.x), N_NAME, context.n_classes
        names = torch.randn(shape, generator=generator, device=context.y.device)
        if context.n_classes <= N_NAME:  # at right angles to each other
            names = torch.linalg.qr(names).Q
        ordered = context.is_ordered[:, None, None]
        names = 4 * F.normalize(names, dim=1).mT * ~ordered
        order = number_features(_centres(context)) * ordered
        return torch.cat([order, names], -1)


def _centres(context: Context) -> Tensor:
    """Return the middle of each class as a quantile of the normal distribution."""
    count = F.one_hot(context.y, context.n_classes).sum(1).to(context.x.dtype)
    share = (count.cumsum(1) - count / 2) / context.y.shape[1]
    return torch.special.ndtri(share.clamp(0.005, 0.995))
