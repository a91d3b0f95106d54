"""Next-token prediction."""

from functools import partial
from numbers import Integral
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._data._draws import randperm
from skssl._data._vocabulary import MASK, PAD, UNKNOWN
from skssl.base import ContinuesTokens, Interval, Net, ReadsTokens, SSLTransformer
from skssl.encoders._tokens import VocabularyHead, token_width, vectors_of
from skssl.methods._projections import average
from skssl.views import View, random_chunk

SCORES_AT_ONCE = 2**22  # per step, which bounds the number of predicted tokens


class NextToken(ContinuesTokens, ReadsTokens, SSLTransformer):
    """Predict each token from the tokens before it (GPT); ``generate`` continues a text.

    Reads texts, or arrays of token ids: any sequence of symbols. The embedding of a document is
    the mean of its tokens' embeddings, each of which encodes the tokens before it.

    Parameters
    ----------
    chunk_length : int, default=128
        Number of tokens in the random runs that longer documents are trained on, and that
        ``generate`` looks back.
    encoder : "causal", "auto", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"causal"``, a transformer. Another one needs ``sequence(x)``, which maps
        tokens (n, length) to (n, length, width), and must not look ahead.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=32
        Documents per step; all of them if there are fewer. A last ragged batch is left out.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Predicts the next token from the embedding at a place.

    Notes
    -----
    With a large vocabulary a step predicts a random part of the tokens, about 500, because the
    scores of 8000 words at each of 4000 places would take most of the time.

    References
    ----------
    .. [1] Radford, Narasimhan, Salimans and Sutskever, "Improving Language Understanding by
       Generative Pre-Training", 2018.

    Examples
    --------
    >>> from skssl import NextToken
    >>> texts = ["the cat sat on the mat", "a dog lay on a rug"] * 20
    >>> gpt = NextToken(n_components=32, max_epochs=40, learning_rate=3e-3, random_state=0)
    >>> gpt = gpt.fit(texts)
    >>> gpt.transform(texts).shape
    (40, 32)
    >>> gpt.generate("the cat", n_tokens=4, temperature=0)
    'the cat sat on the mat'
    """

    chunk_length: int = 128
    n_components: int = 128
    batch_size: int | Literal["auto"] = 32

    _auto_encoder = "causal"
    _parameter_constraints = {"chunk_length": [Interval(Integral, 1, None, closed="left")]}

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(random_chunk, low=1.0, high=1.0, longest=self.chunk_length),)

    def _build(self, net: Net, X: Tensor) -> None:
        width, n_tokens = token_width(net.encoder, X, type(self).__name__), net.columns.size
        # An empty row, all padding, would see its only token.
        _check_causal(net.encoder, X[(X != PAD).sum(1).argsort(descending=True)[:2]])
        net.reader = net.encoder  # keeps its tokens when net.encoder is wrapped
        is_tied = vectors_of(net.reader, n_tokens, width) is not None
        net.decoder = VocabularyHead(width, n_tokens, is_tied)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 1 of [1], per token, over all views."""
        views = net.views(x)
        return average(self._error(net, view) for view in views)

    def _error(self, net: Net, x: Tensor) -> Tensor:
        n_tokens = net.columns.size
        before = F.pad(x[:, :-1], (1, 0), value=MASK)  # every sequence begins with the mask token
        known = ((x != PAD) & (x != UNKNOWN)).flatten().nonzero()[:, 0]
        some = known[randperm(len(known))[: max(1, SCORES_AT_ONCE // n_tokens)]]
        h = net.reader.sequence(before).flatten(0, 1)[some]
        scores = net.decoder(h, vectors_of(net.reader, n_tokens, h.shape[1])).float()
        return F.cross_entropy(scores, x.flatten()[some], reduction="sum") / max(1, len(some))


@torch.no_grad()
def _check_causal(encoder: Any, x: Tensor) -> None:
    other = x.clone()
    other[:, -1] = torch.where(x[:, -1] == MASK, PAD, MASK)
    encoder.eval()
    seen, unseen = (encoder.sequence(rows)[:, :-1] for rows in (x, other))
    encoder.train()
    if not torch.allclose(seen, unseen, atol=1e-4):
        raise ValueError(
            f"NextToken needs an encoder that looks back only; sequence(x) of "
            f"{type(encoder).__name__} changes before a token that is changed. Take "
            "encoder='causal', or mask what lies ahead."
        )
