"""Reading rows once per call, for a transformer and the raw columns beside it."""

from functools import cached_property, reduce
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from scipy import sparse

from skssl._compat import count_rows, take_rows
from skssl._meta._raw_columns import Raw
from skssl._meta._steps import check_embedding, steps_of
from skssl.base._modalities import MODALITIES, look_up, modalities_with, nouns, parameters_of
from skssl.base._modality_of import modality_of
from skssl.base._transformer import Read, SSLTransformer


class Seen(NamedTuple):
    """Rows as input of the last step of a transformer, and as tensor of its raw columns."""

    shown: Any
    raw: Any = None


class Reading:
    """The rows of a fit, transformed by the steps before the last one.

    Parameters
    ----------
    transformer : estimator
        Fitted.
    every : tuple of array-like or dataframe
        X, and X_unlabeled if it was passed.
    x : Tensor or None
        All of these rows as read by the last step in its fit, if it was.
    """

    def __init__(self, transformer: Any, every: tuple[Any, ...], x: torch.Tensor | None = None):
        *self.front, self.last = steps_of(transformer)
        self.every: tuple[Any, ...] = every
        self.raw: Any = None
        is_whole = x is not None and len(x) == sum(map(count_rows, every))
        self.x: torch.Tensor | None = x if is_whole else None  # rows of weight 0 are not read

    @cached_property
    def shown(self) -> tuple[Any, ...]:
        """All rows, transformed by the steps before the last one."""
        return tuple(_through(self.front, X) for X in self.every)

    def fit_raw_columns(self, passthrough: bool | Literal["auto"]) -> "Raw | None":
        """Fit the encoder of the raw columns, if they are joined to the embedding."""
        modality = None if passthrough is False else self._modality(passthrough)
        name = MODALITIES[modality].raw_columns if modality is not None else None
        if not name:
            if passthrough is not True:
                return None
            known = nouns(modalities_with("raw_columns"))
            raise ValueError(
                f"passthrough=True joins the raw columns of {known}; X looks like "
                f"modality={modality!r}. Pass passthrough='auto'."
            )
        make = look_up(name)
        raw = make(**parameters_of(make, self.last))
        if not (raw.reads_as_transformer and isinstance(self.last, SSLTransformer)):
            self.raw = raw.fit_read(*self.shown)
            return raw
        if self.x is None:
            first, *more = map(self.last._read, self.shown)
            self.x = reduce(self.last._reader.join, more, first)
        self.raw = self.x
        return raw.share(self.last, self.x)

    def _modality(self, passthrough: bool | Literal["auto"]) -> str | None:
        if isinstance(self.last, SSLTransformer):
            return self.last._reader.modality
        if passthrough == "auto" and sparse.issparse(self.shown[0]):
            return None
        return modality_of(self.shown[0], self.last)

    def take(self, rows: np.ndarray) -> list[Seen]:
        """Return rows by their ascending indices: those of X, and those of X_unlabeled.

        Rows that were not read before are read now.
        """
        found, start = [], 0
        for i, X in enumerate(self.every):
            end = start + count_rows(X)
            part = rows[(start <= rows) & (rows < end)]
            if len(part):
                raw = None if self.raw is None else _rows_of(self.raw, part)
                found.append(Seen(self._draw_shown(i, part, start), raw))
            start = end
        return found

    def all_of_X(self) -> Seen:
        """Return the rows of X."""
        (rows,) = self.take(np.arange(count_rows(self.every[0])))
        return rows

    def _draw_shown(self, i: int, rows: np.ndarray, start: int) -> Any:
        if self.x is not None:
            return Read(_rows_of(self.x, rows))
        if "shown" in vars(self):
            shown = take_rows(self.shown[i], rows - start)
        else:
            shown = _through(self.front, take_rows(self.every[i], rows - start))
        return Read(self.last._read(shown)) if isinstance(self.last, SSLTransformer) else shown


def see(transformer: Any, raw: "Raw | None", X: Any) -> Seen:
    """Return rows to predict; they are read here if the raw columns need them, too."""
    *front, last = steps_of(transformer)
    shown = _through(front, X)
    if raw is None:
        return Seen(shown)
    if not raw.is_shared:
        return Seen(shown, raw.reader.read(shown))
    x = last._read(shown)
    return Seen(Read(x), x)


def embedding_and_raw(transformer: Any, raw: "Raw | None", seen: Seen) -> list[Any]:
    """Return the embedding of rows and, if they are joined, their raw columns."""
    last = steps_of(transformer)[-1]
    Z = last.transform(seen.shown)
    check_embedding(Z, last)
    if raw is None:
        return [Z]
    return [Z.toarray() if sparse.issparse(Z) else np.asarray(Z), raw.encode(seen.raw)]


def _rows_of(x: Any, rows: np.ndarray) -> Any:
    return x if len(rows) == len(x) else x[rows]  # no copy of all rows


def _through(front: list[Any], X: Any) -> Any:
    for step in front:
        X = step.transform(X)
    return X
