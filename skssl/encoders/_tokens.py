"""Encoders of token sequences: a small transformer, and a bag of embeddings."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl import _compat
from skssl._data._vocabulary import PAD, Vocabulary
from skssl.encoders._build import check_name, user_module
from skssl.encoders._series import Pooling, pool
from skssl.encoders._transformer import Block, attend, choose_heads

TOKENS_AT_ONCE = 2**15  # per chunk outside training, which bounds the memory
LEAST_WEIGHT = 1e-6
WINDOW = 5  # tokens that the layer before the first block reads together


class TokenTransformer(nn.Module):
    """Transformer over the tokens of a document of any length; padding is ignored.

    Positions are rotary [1]_, so that only distances matter. Before the first block, a linear layer
    reads each token with its four neighbours, two on either side or, if causal, all before it:
    attention takes long to find neighbours, and they are the most informative.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary; 0 is padding.
    width : int, default=128
        Length of a token's vector, and so of the embedding.
    n_layers : int, default=3
        Number of blocks.
    n_heads : int, default=None
        Number of attention heads; must divide ``width``. None is one head per 32 numbers of a
        token.
    is_causal : bool, default=False
        Whether a token sees only the tokens before it.
    pooling : {"mean", "max"} or None, default="mean"
        How the tokens of a document become its embedding; None is the mean.

    Shape
    -----
    (n, length) of int -> (n, width)

    References
    ----------
    .. [1] Su, Ahmed, Lu, Pan, Bo and Liu, "RoFormer: Enhanced Transformer with Rotary Position
       Embedding", Neurocomputing 2024. https://arxiv.org/abs/2104.09864

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import TokenTransformer
    >>> encoder = TokenTransformer(100, width=32)
    >>> x = torch.tensor([[5, 6, 7, 8], [9, 5, 0, 0]])
    >>> encoder(x).shape, encoder.sequence(x).shape
    (torch.Size([2, 32]), torch.Size([2, 4, 32]))
    """

    def __init__(
        self,
        n_tokens: int,
        width: int = 128,
        n_layers: int = 3,
        n_heads: int | None = None,
        is_causal: bool = False,
        pooling: Pooling = "mean",
    ):
        super().__init__()
        n_heads = n_heads or choose_heads(width, 32)
        self.is_causal, self.pooling = is_causal, pooling
        self.embedding = nn.Embedding(n_tokens, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # also used to score tokens
        self.near = nn.Linear(WINDOW * width, width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def sequence(self, x: Tensor) -> Tensor:
        """Return the tokens of each document contextualised by each other.

        Parameters
        ----------
        x : int Tensor of shape (n, length)
            Tokens; 0 is padding.

        Returns
        -------
        tokens : Tensor of shape (n, length, width)
            0 at padding.
        """
        seen = _seen(x)
        mask = seen[:, None, None, :]
        if self.is_causal:
            mask = mask & seen.new_ones(x.shape[1], x.shape[1]).tril()

        def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return attend(rotate_positions(query), rotate_positions(key), value, mask)

        tokens = self.embedding(x) * (seen[:, :, None] * self.embedding.weight.shape[1] ** 0.5)
        tokens = self._with_neighbours(tokens)
        for block in self.blocks:
            tokens = block(tokens, attention)
        return self.norm(tokens) * seen[:, :, None]

    def forward(self, x: Tensor) -> Tensor:
        if self.training or _compat.is_exporting():
            return self._pool(x)
        parts = x.split(max(1, TOKENS_AT_ONCE // x.shape[1]))
        return torch.cat([self._pool(part) for part in parts])

    def _with_neighbours(self, tokens: Tensor) -> Tensor:
        """Add to each token a linear map of the tokens around it, or before it."""
        behind = 0 if self.is_causal else WINDOW // 2
        windows = F.pad(tokens, (0, 0, WINDOW - 1 - behind, behind)).unfold(1, WINDOW, 1)
        return tokens + self.near(windows.flatten(2))

    def _pool(self, x: Tensor) -> Tensor:
        x = trim(x)
        return pool(self.sequence(x), _seen(x), self.pooling)


class BagOfTokens(nn.Module):
    """The weighted mean of the vectors of a document's tokens; rare tokens weigh more.

    Its length is the square root of its width, or 0 if there is no token.

    Parameters
    ----------
    weight : Tensor of shape (n_tokens,)
        Weight of each token; 0 ignores it.
    width : int, default=256
        Length of a vector.
    pooling : {"mean", "max"} or None, default="mean"
        ``"max"`` is the elementwise maximum of the weighted vectors instead, of any length.

    Shape
    -----
    (n, length) of int -> (n, width)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import BagOfTokens
    >>> bag = BagOfTokens(torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0]), width=32)
    >>> bag(torch.tensor([[3, 4, 4], [3, 0, 0]])).square().sum(1).round().tolist()
    [32.0, 32.0]
    """

    weight: Tensor

    def __init__(self, weight: Tensor, width: int = 256, pooling: Pooling = "mean"):
        super().__init__()
        if width < 2 and pooling != "max":
            raise ValueError(
                f"A bag of tokens needs n_components of at least 2; got {width}, and one number "
                "that is normalised holds no more than a sign. Pass n_components=2 or more."
            )
        self.pooling = pooling
        self.embedding = nn.Embedding(len(weight), width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.register_buffer("weight", weight)

    def sequence(self, x: Tensor) -> Tensor:
        """Return the weighted vector of each token, (n, length, width)."""
        return self.embedding(x) * self.weight[x][:, :, None]

    def forward(self, x: Tensor) -> Tensor:
        x = trim(x)
        if self.pooling == "max":
            return pool(self.sequence(x), _seen(x), "max")
        if _compat.is_exporting():  # ONNX would loop over the rows of embedding_bag
            total = self.sequence(x).sum(1)
        else:
            weight = self.weight[x]
            total = F.embedding_bag(x, self.embedding.weight, per_sample_weights=weight, mode="sum")
        return F.normalize(total, dim=1, eps=LEAST_WEIGHT) * total.shape[1] ** 0.5


def token_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: Vocabulary,
    n_components: int,
    pooling: Pooling = "mean",
) -> nn.Module:
    """Build the encoder of tokens.

    Parameters
    ----------
    encoder : "auto", "transformer", "causal", "bag", module or callable
        ``"auto"`` and ``"transformer"`` are a :class:`TokenTransformer`, ``"causal"`` is one
        that reads only earlier tokens, ``"bag"`` a :class:`BagOfTokens`. A module is copied.
        A callable receives tokens, (n, length), and returns a module.
    X : int Tensor of shape (n, length)
        Training rows.
    columns : Vocabulary
        The vocabulary.
    n_components : int
        Width of the embedding of an encoder given by its name.
    pooling : {"mean", "max"} or None, default="mean"
        How an encoder given by its name pools the tokens of a document.

    Returns
    -------
    encoder : module
        Maps (n, length) to (n, n_components).
    """
    check_name(encoder, "tokens", ("auto", "transformer", "causal", "bag"))
    if not isinstance(encoder, str):
        return user_module(encoder, X[:256])
    if encoder == "bag":
        return BagOfTokens(columns.idf, n_components, pooling)
    return TokenTransformer(
        columns.size, n_components, is_causal=encoder == "causal", pooling=pooling
    )


class VocabularyHead(nn.Module):
    """Scores of all tokens at a place: products of its vector with the vectors of the tokens.

    Parameters
    ----------
    width : int
        Length of a vector.
    n_tokens : int
        Size of the vocabulary.
    is_tied : bool, default=True
        Whether the vectors of the tokens are passed at every call instead of learned here.
    """

    _saved_as = "VocabularyHead"

    def __init__(self, width: int, n_tokens: int, is_tied: bool = True):
        super().__init__()
        self.change = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(n_tokens))
        self.own = None if is_tied else nn.Parameter(width**-0.5 * torch.randn(n_tokens, width))

    def forward(self, h: Tensor, vectors: Tensor | None = None) -> Tensor:
        """Return the scores, (..., n_tokens), of vectors (..., width)."""
        vectors = self.own if self.own is not None else vectors
        return F.linear(self.change(h), vectors, self.bias)  # type: ignore[arg-type]


def vectors_of(encoder: Any, n_tokens: int, width: int) -> Tensor | None:
    """Return the token embeddings of an encoder, or None if it has none of that shape.

    Parameters
    ----------
    encoder : torch.nn.Module
        May have an ``embedding`` with one vector for each token.
    n_tokens : int
        Size of the vocabulary.
    width : int
        Length of the vectors wanted.

    Returns
    -------
    vectors : Tensor of shape (n_tokens, width) or None
        The argument of a :class:`VocabularyHead` that ``is_tied``.
    """
    weight = getattr(getattr(encoder, "embedding", None), "weight", None)
    return weight if weight is not None and weight.shape == (n_tokens, width) else None


def token_width(encoder: Any, X: Tensor, method: str) -> int:
    """Measure the width of an encoder's token vectors.

    Parameters
    ----------
    encoder : torch.nn.Module
        Its ``sequence(x)`` maps (n, length) to (n, length, width).
    X : int Tensor of shape (n, length)
        Some tokens.
    method : str
        Name of the method, for the error message.

    Returns
    -------
    width : int
        Length of a token's vector.

    Raises
    ------
    ValueError
        If the encoder has no ``sequence(x)``, or one that returns another shape.
    """
    if hasattr(encoder, "sequence"):
        with torch.no_grad():
            tokens = encoder.eval().sequence(X[:2])
        encoder.train()
        if isinstance(tokens, Tensor) and tokens.shape[:2] == X[:2].shape and tokens.ndim == 3:
            return tokens.shape[2]
    raise ValueError(
        f"{method} needs an encoder whose sequence(x) returns a vector for each token, (n, length, "
        f"width); {type(encoder).__name__} does not. Take encoder='auto', or give yours that "
        "method."
    )


def trim(x: Tensor) -> Tensor:
    """Drop the padding behind the last token of the longest row; keep at least one place."""
    if _compat.is_exporting():  # shapes must not depend on values there
        return x
    used = (x != PAD).any(0).nonzero()
    return x[:, : int(used.max()) + 1 if len(used) else 1]


def rotate_positions(x: Tensor) -> Tensor:
    """Rotary positions: rotate pairs of numbers so that products depend on distances only.

    Shape
    -----
    (n, n_heads, t, width) -> the same
    """
    half = x.shape[3] // 2
    frequency = 10_000 ** -(torch.arange(half, device=x.device) / max(1, half))
    angle = torch.arange(x.shape[2], device=x.device)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b, rest = x.split([half, half, x.shape[3] - 2 * half], 3)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], 3)


def _seen(x: Tensor) -> Tensor:
    """Return the places to read, (n, length) bool: tokens, or the first place of an empty row."""
    seen = x != PAD
    return torch.cat([seen[:, :1] | ~seen.any(1, keepdim=True), seen[:, 1:]], 1)
