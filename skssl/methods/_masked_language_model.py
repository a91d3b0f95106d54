"""Masked language model."""

from functools import partial
from numbers import Integral, Real
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from skssl.base import FillsMasks, Interval, Net, ReadsTokens, SSLTransformer
from skssl.encoders._tokens import VocabularyHead, token_width, vectors_of
from skssl.methods._projections import average
from skssl.views import View, mask_tokens, random_chunk


class MaskedLanguageModel(FillsMasks, ReadsTokens, SSLTransformer):
    """Predict masked tokens from the tokens before and after them (BERT).

    Reads texts, or arrays of token ids: any sequence of symbols. The embedding of a document is
    the mean of its tokens' embeddings, which ``pooling=None`` returns one by one.

    Parameters
    ----------
    mask_ratio : float, default=0.15
        Share of the tokens that are predicted. Of these, 80 % are masked, 10 % replaced at
        random and 10 % unchanged.
    chunk_length : int, default=128
        Number of tokens in the random runs that longer documents are trained on.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=32
        Documents per step; all of them if there are fewer. A last ragged batch is left out.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Predicts the token at a place from the embedding there.

    References
    ----------
    .. [1] Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional
       Transformers for Language Understanding", NAACL 2019. https://arxiv.org/abs/1810.04805

    Examples
    --------
    >>> from skssl import MaskedLanguageModel
    >>> texts = ["the cat sat on the mat", "the dog lay on the rug"] * 20
    >>> bert = MaskedLanguageModel(n_components=32, max_epochs=40, learning_rate=3e-3)
    >>> bert = bert.set_params(random_state=0).fit(texts)
    >>> bert.transform(texts).shape
    (40, 32)
    >>> bert.fill_mask(["the [MASK] sat on the mat"])
    ['the cat sat on the mat']
    """

    mask_ratio: float = 0.15
    chunk_length: int = 128
    n_components: int = 128
    batch_size: int | Literal["auto"] = 32

    _parameter_constraints = {
        "mask_ratio": [Interval(Real, 0, 1, closed="right")],
        "chunk_length": [Interval(Integral, 1, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(random_chunk, low=1.0, high=1.0, longest=self.chunk_length),)

    def _build(self, net: Net, X: Tensor) -> None:
        width, n_tokens = token_width(net.encoder, X, type(self).__name__), net.columns.size
        net.reader = net.encoder  # keeps its tokens when net.encoder is wrapped
        is_tied = vectors_of(net.reader, n_tokens, width) is not None
        net.decoder = VocabularyHead(width, n_tokens, is_tied)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Task #1 of [1], section 3.1, over all views."""
        views = net.views(x)
        return average(self._error(net, view) for view in views)

    def _error(self, net: Net, x: Tensor) -> Tensor:
        n_tokens = net.columns.size
        view, chosen = mask_tokens(x, n_tokens, self.mask_ratio)
        h = net.reader.sequence(view)[chosen]
        scores = net.decoder(h, vectors_of(net.reader, n_tokens, h.shape[1])).float()
        return F.cross_entropy(scores, x[chosen], reduction="sum") / max(1, len(h))
