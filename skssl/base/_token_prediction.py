"""``fill_mask`` and ``generate`` of methods that predict tokens."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skssl._compat import Seed, plain_torch
from skssl._data import MASK_TEXT, texts_of
from skssl._data._containers import as_given
from skssl._data._vocabulary import MASK, N_SPECIAL, PAD
from skssl.encoders._tokens import vectors_of


class PredictsTokens:
    """What such methods share: an ``encoder_`` of sequences and the ``decoder_`` of its tokens."""

    encoder_: Any
    decoder_: Any
    _reader: Any
    _read: Callable[[Any], Tensor]

    def _reads_texts(self) -> bool:
        """Tell whether the reader makes tokens of texts, and finds masks in them."""
        return hasattr(self._reader, "read_masked")

    def _score(self, h: Tensor) -> Tensor:
        """Score all tokens at the places of the given vectors; special tokens get -inf."""
        vectors = vectors_of(self.encoder_[1], self._reader.columns.size, h.shape[1])
        scores = self.decoder_(h, vectors)
        scores[:, :N_SPECIAL] = -torch.inf
        return scores


class FillsMasks(PredictsTokens):
    """Mixin for methods that predict masked tokens: ``fill_mask``.

    ``_build`` puts on ``net.decoder`` a :class:`skssl.encoders.VocabularyHead`.
    """

    @plain_torch()
    def fill_mask(self, X: Any, top: int | None = None) -> list[Any]:
        """Fill in the masked words of texts.

        Parameters
        ----------
        X : list, array or Series of str
            Texts with "[MASK]" in place of each missing word.
        top : int, default=None
            Return this number of candidates for each blank instead.

        Returns
        -------
        filled : list of str
            The texts with the most probable word in each blank. With ``top``, a list per text of
            a list per blank of (word, probability).

        Raises
        ------
        ValueError
            If the model was fitted to token arrays, whose ids are not words.
        """
        check_is_fitted(self)
        if not self._reads_texts():
            raise ValueError(
                f"fill_mask reads texts, but this {type(self).__name__} was fitted to token ids. "
                "Fit it to texts, with tokenizer= if they need one of their own."
            )
        texts = texts_of(X)
        if not any(MASK_TEXT in text for text in texts):
            return texts if top is None else [[] for _ in texts]
        x = self._reader.read_masked(texts)
        with torch.inference_mode():
            parts = zip(x.split(64), self._hidden(x), strict=True)
            scores = self._score(torch.cat([h[part == MASK] for part, h in parts]))
        found = scores.softmax(1).topk(min(top or 1, scores.shape[1] - N_SPECIAL))
        words = self._reader.restore(found.indices.reshape(-1, 1))
        chances = found.values.flatten().tolist()
        each = found.indices.shape[1]
        pairs = list(zip(words, chances, strict=True))
        blanks = iter([pairs[i : i + each] for i in range(0, len(pairs), each)])
        filled = [[next(blanks) for _ in range(text.count(MASK_TEXT))] for text in texts]
        if top is not None:
            return filled
        return [_join_columns(*parts) for parts in zip(texts, filled, strict=True)]

    def _hidden(self, x: Tensor) -> list[Tensor]:
        return [self.encoder_[1].sequence(part) for part in x.split(64)]


def _join_columns(text: str, blanks: list[list[tuple[str, float]]]) -> str:
    first, *rest = text.split(MASK_TEXT)
    return first + "".join(best[0][0] + part for best, part in zip(blanks, rest, strict=True))


class ContinuesTokens(PredictsTokens):
    """Mixin for methods that predict the next token: ``generate``.

    The encoder must look back only. ``_build`` puts on ``net.decoder`` a
    :class:`skssl.encoders.VocabularyHead`; the parameter ``chunk_length`` of the method is how
    many tokens the encoder reads at most.
    """

    chunk_length: int

    @plain_torch()
    def generate(
        self,
        prompt: Any,
        n_tokens: int = 50,
        *,
        temperature: float = 1.0,
        random_state: Seed = None,
    ) -> Any:
        """Continue texts or token sequences.

        Parameters
        ----------
        prompt : str, list of str, or int array of shape (length,) or (n_samples, length)
            Beginnings to continue, of the modality seen in ``fit``. May be empty.
        n_tokens : int, default=50
            Number of tokens to add. A frequent word is one token, a rare word several.
        temperature : float, default=1.0
            Below 1, probable tokens are drawn even more often; 0 always takes the most probable
            token.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.

        Returns
        -------
        continued : of the type of ``prompt``
            The prompt and its continuation. Arrays have ``n_tokens`` more columns, with padding
            behind the last token.
        """
        check_is_fitted(self)
        if temperature < 0 or n_tokens < 0:
            raise ValueError(
                "temperature and n_tokens must not be negative; got "
                f"temperature={temperature!r}, n_tokens={n_tokens!r}."
            )
        is_text = self._reads_texts()
        is_one = isinstance(prompt, str) if is_text else _is_one_sequence(prompt)
        many = [prompt] if is_one else prompt
        x = self._read(many)
        generator = torch.Generator().manual_seed(check_random_state(random_state).randint(2**31))
        with torch.inference_mode():
            longer = self._continue(x, n_tokens, temperature, generator)
        out = self._reader.restore(longer)
        if is_text:  # keep the prompt as it was written
            given = self._reader.restore(x)
            parts = zip(texts_of(many), given, out, strict=True)
            out = [text + new[len(old) :] for text, old, new in parts]
        return out[0] if is_one else out

    def _continue(
        self, x: Tensor, n_tokens: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Append tokens to rows of tokens."""
        x = F.pad(x, (1, n_tokens))
        x[:, 0] = MASK  # every sequence begins with it
        end, row = (x != PAD).sum(1), torch.arange(len(x))
        for _ in range(n_tokens):
            first = (end - self.chunk_length).clamp(min=0)
            step = torch.arange(min(self.chunk_length, int(end.max())))
            h = self.encoder_[1].sequence(x.gather(1, first[:, None] + step))
            scores = self._score(h[row, end - 1 - first])
            if temperature:
                chances = (scores / temperature).softmax(1)
                x[row, end] = chances.multinomial(1, generator=generator)[:, 0]
            else:
                x[row, end] = scores.argmax(1)
            end = end + 1
        return x[:, 1:]


def _is_one_sequence(prompt: Any) -> bool:
    """Tell whether a prompt is one sequence of tokens rather than several."""
    prompt = prompt if np.iterable(prompt) else as_given(prompt)
    if hasattr(prompt, "shape") and str(getattr(prompt, "dtype", "")) != "object":
        return len(prompt.shape) == 1
    return all(isinstance(token, Real) for token in prompt)
