"""A transformer over the cells of a table: each cell is a token."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl._data._columns import Columns
from skssl.encoders._mlp import NARROW, dense
from skssl.encoders._numbers import Numeric, numeric_embedding


class Tokenizer(nn.Module):
    """Turn each cell of a row into a vector: the embedding of its column plus that of its value.

    A number scales a learned vector of its column; a category looks up a vector. A missing or
    masked cell has the same learned mask token in every column. A category never seen in
    training adds nothing.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled rows.
    columns : Columns
        The meaning of the d columns.
    width : int
        Length of a token.
    numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
        Numeric embedding that is added to the token of a number.

    Shape
    -----
    (n, d) -> (n, d, width)
    """

    _saved_as = "TableTokenizer"
    levels: Tensor
    first: Tensor

    def __init__(self, X: Tensor, columns: Columns, width: int, numeric: Numeric = "plain"):
        super().__init__()
        self.numeric, self.categorical = columns.numeric, columns.categorical
        order = [*self.numeric, *self.categorical]
        self.place = [order.index(j) for j in range(len(order))]
        self.column = _uniform(len(order), width)
        self.mask = _uniform(width)
        self.slope = _uniform(len(self.numeric), width)
        self.numbers = numeric_embedding(X, self.numeric, numeric)
        self.number_vectors = _uniform(self.numbers.n_features_out, width) if self.numbers else None
        levels = torch.tensor([columns.cardinality[j] for j in self.categorical]).long()
        self.register_buffer("levels", levels)
        self.register_buffer("first", levels.cumsum(0) - levels)
        self.category = _uniform(int(levels.sum()), width)

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        if self.numeric:
            parts.append(self._number_tokens(x[:, self.numeric]))
        if self.categorical:
            codes = x[:, self.categorical].nan_to_num().long()
            token = F.embedding(codes.minimum(self.levels - 1) + self.first, self.category)
            parts.append(token * (codes < self.levels)[:, :, None])
        value = parts[0] if len(parts) == 1 else torch.cat(parts, 1)[:, self.place]
        return self.column + torch.where(x.isnan()[:, :, None], self.mask, value)

    def _number_tokens(self, x: Tensor) -> Tensor:
        token = x.nan_to_num()[:, :, None] * self.slope
        if self.numbers is None or self.number_vectors is None:
            return token
        embedded = self.numbers(x)[:, :, None] * self.number_vectors
        return token.index_add(1, self.numbers.column, embedded)


class Block(nn.Module):
    """Self-attention and a feed-forward layer, both pre-normalised and residual.

    Shape
    -----
    (n, t, width) -> (n, t, width)
    """

    _saved_as = "TransformerBlock"

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        if width < 3:
            raise ValueError(
                "A transformer needs a width, which is n_components where its tokens are the "
                f"embedding, of at least 3; got {width}, and one or two numbers that are "
                "normalised hold no more than a sign. Pass n_components=3 or more, or another "
                "encoder."
            )
        self.n_heads = n_heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(
        self, x: Tensor, attention: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        qkv = self.qkv(self.before_attention(x)).unflatten(2, (3, self.n_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = (attention or attend)(query, key, value)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.before_dense(x))))


def choose_heads(width: int, head_width: int) -> int:
    """Return the number of heads, each about ``head_width`` wide, that divides ``width``."""
    return next(h for h in range(max(1, width // head_width), 0, -1) if width % h == 0)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return scaled dot-product attention, by the implementation that is fast on the device.

    Parameters
    ----------
    query, key, value : Tensor of shape (n, n_heads, t, width)
        Queries, keys and values.
    mask : bool Tensor that broadcasts to (n, n_heads, t, t), optional
        Whether the query (third axis) sees the key (last axis); all keys by default.

    Returns
    -------
    attended : Tensor of shape (n, n_heads, t, width)
    """
    slow_backward = query.is_cpu and query.dtype == torch.bfloat16 and query.requires_grad
    if slow_backward and query.shape[2] <= 128:  # for few tokens the formula is 4 times faster
        score = query @ key.mT / math.sqrt(query.shape[3])
        score = score if mask is None else score.masked_fill(~mask, -torch.inf)
        return score.softmax(3).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value, mask)


class FTTransformer(nn.Module):
    """Transformer over the cells of a row; the embedding is a layer on all its tokens.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Scaled rows.
    columns : Columns
        The meaning of the d columns.
    n_components : int
        Width of the embedding.
    width : int, default=32
        Length of a token.
    n_layers : int, default=3
        Number of blocks.
    n_heads : int, default=4
        Number of attention heads.
    numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
        Numeric embedding that is added to the token of a number.

    Shape
    -----
    (n, d) -> (n, n_components)

    References
    ----------
    .. [1] Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting Deep Learning Models for
       Tabular Data", NeurIPS 2021. https://arxiv.org/abs/2106.11959

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import Columns, FTTransformer
    >>> x = torch.zeros(5, 3)
    >>> encoder = FTTransformer(x, Columns((0, 0, 0)), 16)
    >>> encoder(x).shape, encoder.tokens(x).shape
    (torch.Size([5, 16]), torch.Size([5, 3, 32]))
    """

    def __init__(
        self,
        X: Tensor,
        columns: Columns,
        n_components: int,
        width: int = 32,
        n_layers: int = 3,
        n_heads: int = 4,
        numeric: Numeric = "plain",
    ):
        super().__init__()
        self.tokenizer = Tokenizer(X, columns, width, numeric)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        make = dense if n_components >= NARROW else nn.Linear
        self.pool = make(X.shape[1] * width, n_components)

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the cells of each row contextualised by each other.

        Parameters
        ----------
        x : Tensor of shape (n, d)
            Scaled rows; NaN is a missing or masked cell.
        keep : int Tensor of shape (n, t), optional
            The columns of each row to read; all by default.

        Returns
        -------
        tokens : Tensor of shape (n, t, width)
        """
        return self.norm(self._read(x, keep)[-1])

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the mean token after each block, and last the embedding."""
        blocks = self._read(x)
        return [*(tokens.mean(1) for tokens in blocks), self._pool(self.norm(blocks[-1]))]

    def forward(self, x: Tensor) -> Tensor:
        return self._pool(self.tokens(x))

    def _read(self, x: Tensor, keep: Tensor | None = None) -> list[Tensor]:
        tokens = self.tokenizer(x)
        if keep is not None:
            tokens = tokens.take_along_dim(keep[:, :, None], 1)
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs

    def _pool(self, tokens: Tensor) -> Tensor:
        return self.pool(tokens.flatten(1))


def _uniform(*shape: int) -> nn.Parameter:
    bound = 1 / math.sqrt(shape[-1])
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
