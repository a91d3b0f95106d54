"""A vocabulary of words, pieces of words and bytes, learned from texts without dependencies."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

N_BYTES = 256  # ids 1 to 256 are bytes, for characters that no piece has; 0 is padding
INSIDE = "##"  # prefix of pieces that continue a word; no word contains it
LONGEST_PIECE = 6
WORD = re.compile(r"\w+|[^\w\s]")
NO_SPACE_BEFORE, NO_SPACE_AFTER = set(".,;:!?%)]}'’"), set("([{'’")


class Words:
    """Words as ids; rare words are split into pieces, and rare characters into bytes.

    Parameters
    ----------
    vocab_size : int
        Number of ids: padding, 256 bytes, and pieces. At most a quarter of the pieces are single
        characters, a fifth are pieces of rare words, and the rest are frequent words.
    lowercase : bool
        Whether to convert texts to lower case first.

    Attributes
    ----------
    pieces : list of str
        The tokens of the ids from 257 on.
    """

    _saved_as = "Words"

    def __init__(self, vocab_size: int, lowercase: bool):
        self.vocab_size = vocab_size
        self.lowercase = lowercase

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the pieces from texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self._words(text))
        self.pieces = _learn(counts, self.vocab_size - N_BYTES - 1)
        self.index = {piece: 1 + N_BYTES + i for i, piece in enumerate(self.pieces)}
        self.longest = max(map(len, self.pieces), default=1)
        return self

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the ids of each text."""
        known: dict[str, list[int]] = {}
        out = []
        for text in texts:
            ids: list[int] = []
            for word in self._words(text):
                if word not in known:
                    known[word] = self._spell(word)
                ids += known[word]
            out.append(ids)
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; padding and unknown ids are dropped."""
        text, loose, before = "", b"", ""
        for i in ids:
            if 0 < i <= N_BYTES:
                loose += bytes([i - 1])
                continue
            text, loose = text + loose.decode("utf-8", "replace"), b""
            if not N_BYTES < i < len(self.pieces) + N_BYTES + 1:
                continue
            piece = self.pieces[i - N_BYTES - 1]
            is_inside = piece.startswith(INSIDE)
            joins = is_inside or piece in NO_SPACE_BEFORE or before in NO_SPACE_AFTER
            text += (
                piece[len(INSIDE) :] if is_inside else piece if joins or not text else " " + piece
            )
            before = piece
        return text + loose.decode("utf-8", "replace")

    def _words(self, text: str) -> list[str]:
        return WORD.findall(text.lower() if self.lowercase else text)

    def _spell(self, word: str) -> list[int]:
        """Return a word as one id, or as a sequence of the longest possible pieces."""
        ids, start = [], 0
        while start < len(word):
            prefix = INSIDE if start else ""
            for end in range(min(len(word), start + self.longest), start, -1):
                found = self.index.get(prefix + word[start:end])
                if found is not None:
                    ids.append(found)
                    break
            else:
                end = start + 1
                ids += [1 + byte for byte in word[start].encode("utf-8", "replace")]
            start = end
        return ids


def _learn(counts: Counter[str], size: int) -> list[str]:
    """Return at most ``size`` pieces: characters, then words, then pieces of the other words."""
    letters: Counter[str] = Counter()
    for word, n in counts.items():
        for i, letter in enumerate(word):
            letters[INSIDE + letter if i else letter] += n
    pieces = dict.fromkeys(_most_common(letters)[: size // 4])
    words = [word for word in _most_common(counts) if len(word) > 1 and counts[word] > 1]
    n_words = size - len(pieces) - size // 5
    pieces |= dict.fromkeys(words[:n_words])
    parts: Counter[str] = Counter()
    for word, n in counts.items():
        if word not in pieces:
            parts.update({part: (len(part) - 1) * n for part in _parts(word)})
    pieces |= dict.fromkeys(_most_common(parts)[: size - len(pieces)])
    pieces |= dict.fromkeys(words[n_words:][: size - len(pieces)])
    return list(pieces)


def _parts(word: str) -> list[str]:
    """Return the beginnings and the inner pieces of a word, of two or more characters."""
    return [
        INSIDE + word[start:end] if start else word[:end]
        for start in range(min(len(word), 40) - 1)
        for end in range(start + 2, min(len(word), start + LONGEST_PIECE) + 1)
    ]


def _most_common(counts: Counter[str]) -> list[str]:
    """Return the keys by decreasing count; ties are in alphabetical order."""
    return sorted(counts, key=lambda key: (-counts[key], key))


def pad(rows: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Return rows of ids as one int64 array (n, length), truncated or padded with 0."""
    out = np.zeros((len(rows), length), dtype=np.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = ids[:length]
    return out
