"""The readers of texts and of tokens: one int64 tensor (n, length), padded with 0."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone

from skssl._data._containers import (
    as_array,
    as_given,
    as_plain,
    check_n_samples,
    is_missing,
    join_padded,
    to_tensor,
)
from skssl._data._vocabulary import MASK, N_SPECIAL, PAD, UNKNOWN, Vocabulary
from skssl._data._words import Words, pad

MAKE_TOKENS = (
    "Pass tokens as an array of integers (n, length), filled up with pad_token behind the last."
)
MAKE_TEXT = "Pass texts as a list, an array or a Series of str."
VOCAB_SIZE, MAX_LENGTH = 8000, 256  # of tokenizer="auto"
MASK_TEXT = "[MASK]"


class TokenReader:
    """Turn arrays of token ids into tensors of consecutive ids; remembers the ids seen.

    In the tensor, 0 is padding, 1 a token that ``fit`` never saw, 2 the mask, and the tokens of
    ``fit`` follow from 3 on, in the order of their ids.

    Parameters
    ----------
    pad_token : int or None, default=0
        The id of padding, which is moved to the end of rows; None if every id is a token.

    Attributes
    ----------
    columns : Vocabulary
        How many tokens there are, and how frequent each is.
    """

    _saved_as = "TokenReader"
    modality = "tokens"
    columns: Vocabulary

    def __init__(self, pad_token: int | None = 0):
        self.pad_token = pad_token

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the tokens."""
        arrays = [self._array(part) for part in (X, *more)]
        seen = np.unique(np.concatenate([np.unique(array) for array in arrays]))
        self.ids = seen[seen != self.pad_token] if self.pad_token is not None else seen
        if not len(self.ids):
            raise ValueError(
                "Expected at least one token to learn from, but X holds nothing but padding, or "
                "empty texts. Check what stands in it, and pad_token."
            )
        size = len(self.ids) + N_SPECIAL
        frequency = torch.zeros(size, dtype=torch.long)
        for array in arrays:
            x = self._encode(array).sort(1).values
            is_first = torch.ones_like(x, dtype=torch.bool)
            is_first[:, 1:] = x[:, 1:] != x[:, :-1]
            frequency += x[is_first].bincount(minlength=size)
        frequency[:N_SPECIAL] = 0
        self.columns = Vocabulary(frequency, sum(map(len, arrays)))
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one int64 tensor of shape (n, length) on the CPU."""
        array = self._array(X)
        check_n_samples(array.shape, ensure_min_samples)
        return self._encode(array)

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield a row of unknown and last tokens of some lengths, as ``read`` returns it."""
        tokens = torch.tensor([[len(self.ids) + N_SPECIAL - 1, UNKNOWN]])
        yield from (tokens.repeat(1, n) for n in (2, 32, 1))

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``, padded to the longest."""
        return join_padded(first, second, PAD)

    def restore(self, x: torch.Tensor) -> np.ndarray:
        """Map a tensor of tokens to the user's ids; specials become padding, or -1 without it."""
        pad = -1 if self.pad_token is None else self.pad_token
        codes = x.numpy()
        return np.where(codes < N_SPECIAL, pad, self.ids[(codes - N_SPECIAL).clip(0)])

    def _encode(self, array: np.ndarray) -> torch.Tensor:
        place = np.searchsorted(self.ids, array).clip(max=len(self.ids) - 1)
        codes = np.where(self.ids[place] == array, place + N_SPECIAL, UNKNOWN)
        if self.pad_token is not None:
            is_pad = array == self.pad_token
            codes[is_pad] = PAD
            if (is_pad[:, :-1] & ~is_pad[:, 1:]).any():
                codes = np.take_along_axis(codes, is_pad.argsort(1, kind="stable"), 1)
        return to_tensor(codes)

    def _array(self, X: Any) -> np.ndarray:
        array = as_given(X)
        is_masked = isinstance(array, np.ma.MaskedArray) and array.dtype.kind in "iu"
        if is_masked and self.pad_token is not None:
            array = np.ma.filled(array.astype(np.int64), self.pad_token)
        array = as_plain(as_array(array))
        if array.ndim != 2 or array.dtype.kind not in "iu" or not array.shape[1]:
            raise ValueError(
                f"Expected token ids, integers of shape (n, length), for modality='tokens'; got "
                f"{array.dtype} of shape {array.shape}. {MAKE_TOKENS} {MAKE_TEXT}"
            )
        if len(array) and array.min() < 0:
            raise ValueError(
                f"Token ids must not be negative; got {array.min()} in X. Fill short rows up with "
                "another id, and name it: pad_token=0."
            )
        return array.astype(np.int64)


class TextReader:
    """Turn texts into tensors of tokens; remembers the tokenizer.

    Parameters
    ----------
    tokenizer : "auto" or estimator, default="auto"
        Turns a list of str into token ids, (n, length), padded with 0; a clone of it is fitted.

    Attributes
    ----------
    columns : Vocabulary
        How many tokens there are, and how frequent each is.
    """

    _saved_as = "TextReader"
    modality = "text"

    def __init__(self, tokenizer: Any = "auto"):
        self.tokenizer = tokenizer

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the vocabulary of X and all of ``more``."""
        texts = [text for part in (X, *more) for text in texts_of(part)]
        if self.tokenizer == "auto":
            self.coder: Any = AutoTokenizer().fit(texts)
        else:
            self.coder = clone(self.tokenizer).fit(texts)
        self.tokens = TokenReader().fit(self.coder.transform(texts))
        self.columns = self.tokens.columns
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one int64 tensor of shape (n, length) on the CPU."""
        texts = texts_of(X)
        if not texts:
            raise ValueError("Found 0 texts (shape=(0,)) while a minimum of 1 is required.")
        return self.tokens.read(self.coder.transform(texts), ensure_min_samples)

    join = staticmethod(TokenReader.join)

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield a row of unknown and last tokens of some lengths, as ``read`` returns it."""
        return self.tokens.blank_rows()

    def read_masked(self, X: Any) -> torch.Tensor:
        """Read texts, with the mask token in place of "[MASK]"."""
        rows = []
        for text in texts_of(X):
            parts = [row[row != PAD].tolist() for row in self.read(text.split(MASK_TEXT))]
            rows.append([*parts[0], *(i for part in parts[1:] for i in (MASK, *part))])
        return torch.from_numpy(pad(rows, max(1, *map(len, rows))))

    def restore(self, x: torch.Tensor) -> list[str]:
        """Return the text of each row of a tensor, without special tokens."""
        return list(self.coder.inverse_transform(self.tokens.restore(x)))


class AutoTokenizer:
    """Words with default settings, for texts without a tokenizer."""

    _saved_as = "AutoTokenizer"

    def fit(self, texts: list[str]) -> "AutoTokenizer":
        """Learn the words."""
        self.words = Words(VOCAB_SIZE, lowercase=True).fit(texts)
        return self

    def transform(self, texts: list[str]) -> np.ndarray:
        """Return token ids, padded with 0."""
        return pad(self.words.encode(texts), MAX_LENGTH)

    def inverse_transform(self, ids: np.ndarray) -> list[str]:
        """Return the texts of rows of ids."""
        return [self.words.decode(row) for row in ids.tolist()]


def texts_of(X: Any) -> list[str]:
    """Return texts as a list of str; a missing one is empty.

    Raises
    ------
    ValueError
        If X is a single text, or not a list of texts.
    TypeError
        If an entry is neither text nor missing.
    """
    if isinstance(X, str):
        raise ValueError(f"Expected many texts, got a single str. {MAKE_TEXT}")
    array = as_array(X)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"Expected texts for modality='text', got an array of shape {array.shape}. {MAKE_TEXT}"
        )
    texts = ["" if is_missing(value) else value for value in array.tolist()]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"Expected texts, got {type(text).__name__} in row {i}. {MAKE_TEXT} None marks a "
                "missing one."
            )
    return texts


def is_text(X: Any) -> bool:
    """Tell whether a column holds texts, or objects that are all missing."""
    first = next((value for value in X if not is_missing(value)), None)
    return isinstance(first, str) or (first is None and X.dtype == object and len(X) > 0)
