"""An encoder whose embedding depends on a context: what was done to a few rows."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.encoders._transformer import attend, choose_heads

NARROWEST = 32  # tokens of the transformer, where the embedding is narrower


class ContextBlock(nn.Module):
    """Attention and a gated feed-forward layer for a context and the rows that read it.

    A pair of the context sees itself and the pairs before it; a row sees itself and the first
    ``length`` pairs, never another row. One set of weights serves both.

    Shape
    -----
    (g, m, width), (g, n, width), (g,) -> (g, m, width), (g, n, width)

    References
    ----------
    .. [1] Shazeer, "GLU Variants Improve Transformer", 2020. https://arxiv.org/abs/2002.05202
    """

    _saved_as = "ContextBlock"

    def __init__(self, width: int):
        super().__init__()
        self.n_heads = choose_heads(width, 16)
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(2 * width, width)

    def forward(self, context: Tensor, rows: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = self._heads(rows)
        if context.shape[1] == 0:  # a row sees itself only; ONNX has no empty attention
            return context, self._feed(rows, value)
        seen, keys, values = self._heads(context)
        place = torch.arange(context.shape[1], device=context.device)
        earlier = place <= place[:, None]
        context = self._feed(context, attend(seen, keys, values, earlier))
        own = (query * key).sum(3, keepdim=True)
        others = query @ keys.mT
        others = others.masked_fill((place >= length[:, None])[:, None, None], -torch.inf)
        share = (torch.cat([others, own], 3) / math.sqrt(query.shape[3])).softmax(3)
        share = share.to(value.dtype)
        return context, self._feed(rows, share[..., :-1] @ values + share[..., -1:] * value)

    def _heads(self, x: Tensor) -> Tensor:
        """Return queries, keys and values, (3, g, n_heads, t, width / n_heads)."""
        qkv = self.qkv(self.before_attention(x)).unflatten(2, (3, self.n_heads, -1))
        return qkv.permute(2, 0, 3, 1, 4)

    def _feed(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.glu(self.up(self.before_dense(x))))


class ContextEncoder(nn.Module):
    """Embed rows by an encoder and a small causal transformer that reads a context before each.

    A token of the context is a pair: the features of a row, those of the row after some actions,
    the parameters of the actions that the context tells of, and which these are.

    Parameters
    ----------
    encoder : module
        Maps a batch to features (n, width).
    width : int
        Width of the features and of the embedding.
    parameters : list of Tensor of shape (n, p)
        Parameters of each action on some rows; they are standardised by these.
    n_layers : int, default=2
        Number of blocks.

    Attributes
    ----------
    context : Tensor of shape (m, n_inputs)
        The context of ``forward``; no pairs by default.

    Shape
    -----
    (n, ...) -> (n, width)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import ContextEncoder
    >>> encoder = ContextEncoder(torch.nn.Linear(3, 8), 8, [torch.randn(9, 2), torch.randn(9, 1)])
    >>> encoder(torch.randn(5, 3)).shape
    torch.Size([5, 8])
    """

    context: Tensor
    pairs: Tensor
    mean: Tensor
    scale: Tensor
    action: Tensor

    def __init__(self, encoder: nn.Module, width: int, parameters: list[Tensor], n_layers: int = 2):
        super().__init__()
        self.encoder = encoder
        numbers, sizes = torch.cat(parameters, 1), [part.shape[1] for part in parameters]
        n_inputs = 2 * width + len(sizes) + sum(sizes)
        wide = max(width, NARROWEST)
        self.read, self.pair = nn.Linear(width, wide), nn.Linear(n_inputs, wide)
        self.blocks = nn.ModuleList(ContextBlock(wide) for _ in range(n_layers))
        self.norm = nn.LayerNorm(wide)
        self.gate, self.out = nn.Linear(wide, 4 * wide), nn.Linear(2 * wide, width)
        std = numbers.std(0, correction=0)
        self.register_buffer("mean", numbers.mean(0))
        self.register_buffer("scale", torch.where(std > 1e-6, 1 / std, 0.0))
        action = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        self.register_buffer("action", action)  # that each parameter is of
        self.register_buffer("pairs", torch.zeros(0, n_inputs - len(sizes)))
        self.register_buffer("context", torch.zeros(0, n_inputs))

    def standardised(self, parameters: Tensor) -> Tensor:
        """Return the parameters of all actions, side by side (n, p), standardised."""
        return (parameters - self.mean) * self.scale

    def make_context(self, before: Tensor, after: Tensor, changes: Tensor, told: Tensor) -> Tensor:
        """Return pairs that hide the parameters of actions not told, and say which are told.

        Parameters
        ----------
        before, after : Tensor of shape (g, m, width)
            Features of the rows of each context, before and after the actions.
        changes : Tensor of shape (g, m, p)
            Standardised parameters.
        told : Tensor of shape (g, n_actions)
            1 for the actions that a context tells of, 0 for the others.

        Returns
        -------
        context : Tensor of shape (g, m, n_inputs)
        """
        which = told[:, None].expand(-1, changes.shape[1], -1)
        return torch.cat([before, after, changes * told[:, None, self.action], which], 2)

    def embed(self, features: Tensor, context: Tensor, length: Tensor) -> Tensor:
        """Embed rows in several contexts.

        Parameters
        ----------
        features : Tensor of shape (g, n, width)
            Features of the rows of each context.
        context : Tensor of shape (g, m, n_inputs)
            Pairs of each context.
        length : int Tensor of shape (g,)
            How many pairs of each context are seen, from the first on.

        Returns
        -------
        embedding : Tensor of shape (g, n, width)
        """
        rows = self.read(features)
        context = self.pair(context)
        for block in self.blocks:
            context, rows = block(context, rows, length)
        return self.out(F.glu(self.gate(self.norm(rows))))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.tensor([len(self.context)], device=x.device)
        return self.embed(self.encoder(x)[None], self.context[None], length)[0]

    def keep(self, before: Tensor, after: Tensor, changes: Tensor) -> None:
        """Keep pairs of which later contexts are made: features, and standardised parameters."""
        self.pairs = torch.cat([before, after, changes], 1)

    def set_context(self, told: Tensor, n: int) -> None:
        """Read the first ``n`` of the pairs that are kept, and what they tell, from now on."""
        width = self.read.in_features
        before, after, changes = self.pairs[None, :n].split([width, width, len(self.action)], 2)
        self.context = self.make_context(before, after, changes, told[None])[0]
