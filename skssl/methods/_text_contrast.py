"""Contrast of chunks of documents."""

from functools import partial
from numbers import Real
from typing import Any

from skssl._base import SSLTransformer
from skssl._compat import Interval
from skssl._joint import mean_over_pairs
from skssl._parameters import ReadsTokens
from skssl.encoders import encode
from skssl.losses import nt_xent
from skssl.views import Compose, drop_tokens, random_chunk


class TextContrast(ReadsTokens, SSLTransformer):
    """Recognise a document by any part of it: chunks of one attract, those of others repel.

    Parameters
    ----------
    temperature : float, default=0.05
        Divides the similarities: the lower, the more the loss dwells on similar documents.
    chunk_range : tuple of two floats, default=(0.25, 0.75)
        Shortest and longest chunk, as shares of the document's tokens.
    dropout : float, default=0.1
        Probability that a token of a chunk is left out.

    Examples
    --------
    >>> from skssl import TextContrast
    >>> texts = ["the cat sat on the mat", "the dog lay on the rug"] * 20
    >>> TextContrast(n_components=32, max_epochs=5, random_state=0).fit_transform(texts).shape
    (40, 32)
    """

    temperature: float = 0.05
    chunk_range: Any = (0.25, 0.75)
    dropout: float = 0.1

    _auto_encoder = "bag"
    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "chunk_range": [tuple, list],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def _views(self, augment):
        low, high = self.chunk_range
        if not 0 <= low <= high <= 1:
            raise ValueError(
                "chunk_range must hold two shares, 0 <= shortest <= longest <= 1; got "
                f"{self.chunk_range!r}."
            )
        chunk = partial(random_chunk, low=low, high=high)
        return (Compose((chunk, partial(drop_tokens, p=self.dropout))),) * 2

    def _loss(self, net, x):
        """Contrast."""
        z = encode(net.encoder, net.views(x))
        return mean_over_pairs(lambda a, b: nt_xent(a, b, self.temperature), z)
