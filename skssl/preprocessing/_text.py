"""Tokens of texts."""

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skssl._compat import (
    Constraints,
    Estimator,
    Interval,
    StrOptions,
    fit_context,
    train_byte_pairs,
)
from skssl._data import Words, pad, texts_of
from skssl._data._containers import read_tokens
from skssl._data._text import MAX_LENGTH, VOCAB_SIZE

__all__ = ["TextTokenizer"]

FEWEST = 300  # ids: all bytes and some more
TOO_MANY = 2.0**62  # for any id


class TextTokenizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Turn texts into arrays of token ids, and back.

    Methods that read text tokenize it themselves (``tokenizer="auto"``); use this for another
    vocabulary, or to inspect the tokens. Missing and empty texts become rows of padding.

    Parameters
    ----------
    vocab_size : int, default=8000
        Greatest number of ids, at least 300. 256 of them are bytes, and 0 is padding.
    algorithm : {"words", "bpe"}, default="words"
        ``"words"`` gives an id to each frequent word and punctuation mark; it splits other words
        into pieces, and unseen characters into bytes. ``"bpe"`` merges frequent pairs of bytes
        [1]_ and needs the ``tokenizers`` package: ``pip install skssl[text]``.
    max_length : int, default=256
        Number of tokens in a row; longer texts are truncated.
    lowercase : bool, default=True
        Whether to convert texts to lower case first.

    Attributes
    ----------
    vocabulary_ : list of str
        With ``"words"``, the tokens of the ids from 257 on, where ``##`` marks a piece that
        continues a word; with ``"bpe"``, the tokens of the ids from 1 on.

    Notes
    -----
    ``inverse_transform`` restores texts that were not truncated, except for spaces, and for
    capitals if ``lowercase``; ``"bpe"`` restores spaces, too.

    References
    ----------
    .. [1] Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword
       Units", ACL 2016. https://arxiv.org/abs/1508.07909

    Examples
    --------
    >>> from skssl import TextTokenizer
    >>> texts = ["The cat sat.", "The dog sat, too.", None]
    >>> tokenizer = TextTokenizer(max_length=8).fit(texts)
    >>> X = tokenizer.transform(texts)
    >>> X.shape, X.dtype
    ((3, 8), dtype('int64'))
    >>> tokenizer.inverse_transform(X)
    ['the cat sat.', 'the dog sat, too.', '']
    """

    _parameter_constraints: Constraints = {
        "vocab_size": [Interval(Integral, FEWEST, None, closed="left")],
        "algorithm": [StrOptions({"words", "bpe"})],
        "max_length": [Interval(Integral, 1, None, closed="left")],
        "lowercase": ["boolean"],
    }

    def __init__(
        self,
        vocab_size: int = VOCAB_SIZE,
        *,
        algorithm: Literal["words", "bpe"] = "words",
        max_length: int = MAX_LENGTH,
        lowercase: bool = True,
    ):
        self.vocab_size = vocab_size
        self.algorithm = algorithm
        self.max_length = max_length
        self.lowercase = lowercase

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the vocabulary.

        Parameters
        ----------
        X : list, array or Series of str
            Texts; None and NaN are empty ones.
        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted tokenizer.
        """
        make = Words if self.algorithm == "words" else BytePairs
        self._coder: Any = make(self.vocab_size, self.lowercase).fit(texts_of(X))
        self.vocabulary_ = self._coder.pieces
        self._n_features_out = self.max_length
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the token ids of texts.

        Parameters
        ----------
        X : list, array or Series of str
            Texts; None and NaN are empty ones.

        Returns
        -------
        ids : ndarray of shape (n_samples, max_length), int64
            Token ids, padded with 0.
        """
        check_is_fitted(self)
        return pad(self._coder.encode(texts_of(X)), self.max_length)

    def inverse_transform(self, X: Any) -> list[str]:
        """Return the texts of token ids.

        Parameters
        ----------
        X : array-like of int of shape (n_samples, length)
            Token ids; padding is ignored.

        Returns
        -------
        texts : list of str
        """
        check_is_fitted(self)
        ids = np.ma.filled(read_tokens(X), 0)
        is_id = (ids == np.floor(ids)) & (np.abs(ids.astype(float)) < TOO_MANY)
        if ids.ndim != 2 or not is_id.all():
            raise ValueError(
                f"Expected whole numbers of shape (n_samples, length), got {ids.dtype} of shape "
                f"{ids.shape}. Pass what transform returned, or what a model made of it."
            )
        return [self._coder.decode(row) for row in ids.astype(np.int64).tolist()]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags


class BytePairs:
    """Byte pairs with the interface of :class:`skssl._data._words.Words`; 0 is padding."""

    _saved_as = "BytePairs"

    def __init__(self, vocab_size: int, lowercase: bool):
        self.vocab_size = vocab_size
        self.lowercase = lowercase

    def fit(self, texts: list[str]) -> Self:
        """Learn the pairs to merge."""
        self.model = train_byte_pairs(map(self._change_case, texts), self.vocab_size - 1)
        self.pieces = [self.model.id_to_token(i) for i in range(self.model.get_vocab_size())]
        return self

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text; they start at 1."""
        encoded = self.model.encode_batch(list(map(self._change_case, texts)))
        return [[1 + i for i in one.ids] for one in encoded]

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids."""
        return self.model.decode([i - 1 for i in ids if 0 < i <= len(self.pieces)])

    def _change_case(self, text: str) -> str:
        return text.lower() if self.lowercase else text
