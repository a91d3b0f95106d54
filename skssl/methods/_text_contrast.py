"""Contrast of chunks of documents."""

from functools import partial
from numbers import Real

from torch import Tensor

from skssl.base import Interval, Net, ReadsTokens, SSLTransformer
from skssl.encoders import encode
from skssl.losses import nt_xent
from skssl.methods._projections import mean_over_pairs
from skssl.views import Compose, View, drop_tokens, random_chunk


class TextContrast(ReadsTokens, SSLTransformer):
    """Contrast chunks: two chunks of a document recognise each other among other documents.

    One chunk lies in the first half of the document and the other in the second. They have no
    token in common, so what they share is the topic. Reads texts, or arrays of token ids.

    The default encoder is a bag of words with learned vectors, in which rare words weigh more. It
    trains in seconds and encodes topics, but not the order of words.

    Parameters
    ----------
    temperature : float, default=0.05
        Divides the similarities: the lower, the more weight similar documents have.
    chunk_range : tuple of two floats, default=(0.5, 1.0)
        Shortest and longest chunk, as shares of the tokens of its half.
    dropout : float, default=0.1
        Probability that a token of a chunk is dropped.
    encoder : "bag", "transformer", "auto", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"bag"``, :class:`skssl.encoders.BagOfTokens`. ``"transformer"`` also reads
        the order of words and takes minutes: set ``batch_size=64`` and
        ``learning_rate=1e-3``.
    learning_rate : float, default=3e-3
        Peak learning rate of AdamW, after a linear warm-up and before a cosine decay.

    See Also
    --------
    skssl.PretrainedClassifier : Joins 100 topics (TF-IDF and a truncated SVD) to the embedding.

    References
    ----------
    .. [1] Giorgi, Nitski, Wang and Bader, "DeCLUTR: Deep Contrastive Learning for Unsupervised
       Textual Representations", ACL 2021. https://arxiv.org/abs/2006.03659

    Examples
    --------
    >>> from skssl import TextContrast
    >>> texts = ["the cat sat on the mat", "the dog lay on the rug"] * 20
    >>> TextContrast(n_components=32, max_epochs=5, random_state=0).fit_transform(texts).shape
    (40, 32)
    """

    temperature: float = 0.05
    chunk_range: tuple[float, float] = (0.5, 1.0)
    dropout: float = 0.1
    learning_rate: float = 3e-3

    _auto_encoder = "bag"
    _negatives = True
    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "chunk_range": [tuple, list],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        low, high = self.chunk_range
        if not 0 <= low <= high <= 1:
            raise ValueError(
                "chunk_range must hold two shares, 0 <= shortest <= longest <= 1; got "
                f"{self.chunk_range!r}."
            )
        chunk = partial(random_chunk, low=low, high=high)
        drop = partial(drop_tokens, p=self.dropout)
        halves = (0.0, 0.5), (0.5, 1.0)
        return tuple(Compose((partial(chunk, within=half), drop)) for half in halves)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The contrastive loss of [1], section 3.1, over every pair of views."""
        z = encode(net.encoder, net.views(x))
        return mean_over_pairs(lambda a, b: nt_xent(a, b, self.temperature), z)
