"""Which modality X is, to an estimator that reads some of them."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skssl._data import Source, lies_outside, open_source
from skssl._data._containers import (
    as_given,
    as_native,
    check_one_shape,
    refuse_container,
    wrong_dimension,
)
from skssl.base._modalities import MODALITIES, modalities_with, nouns


def infer_modality(X: Any, modality: str = "auto", told: Sequence[str] = ()) -> str:
    """Return what X is, from its container, dimensions and dtype, never from its values.

    Parameters
    ----------
    X : array-like or dataframe
        The user's data.
    modality : str, default="auto"
        What the user says it is; anything but "auto" is the answer.
    told : sequence of str, default=()
        Modalities that parameters of the estimator speak for, such as ``image_shape``.

    Returns
    -------
    modality : str
        A key of :data:`skssl.base._modalities.MODALITIES`.
    """
    if modality != "auto":
        if modality not in MODALITIES:
            raise ValueError(
                f"modality must be 'auto' or one of {tuple(MODALITIES)}, got {modality!r}."
            )
        return modality
    found = readings(X, told)
    if not found.first:
        raise found.open_error()
    return found.first


@dataclass(frozen=True)
class Readings:
    """What X is by its container, dimensions and dtype, and what else it may be.

    Parameters
    ----------
    first : str
        What X is; "" where that is left open.
    others : list of str
        What X may be to estimators that do not read the first, or to methods about it.
    dtype, shape : dtype and tuple of int, or None
        Those of X, for messages.
    """

    first: str
    others: list[str]
    dtype: Any = None
    shape: Any = None

    def open_error(self) -> ValueError:
        """Return the error where it is left open what X is."""
        return ValueError(
            f"X of dtype {self.dtype} and shape {self.shape} could be several things. Say which "
            f"with modality=, one of {tuple(MODALITIES)}."
        )

    def decide(
        self, wanted: Iterable[str], about: str = "", choose: str = "modality={modality!r}"
    ) -> str:
        """Return what an estimator that reads the modalities ``wanted`` reads X as.

        Where a method that is ``about`` another modality may read X as that, it does; a warning
        says what was decided and how to ``choose``.
        """
        possible = [name for name in (self.first, *self.others) if name in wanted]
        if not self.first and len(possible) != 1:
            raise self.open_error()
        if self.first not in possible:
            return possible[0] if possible else self.first
        rivals = possible[1:] if MODALITIES[self.first].is_doubtful else []
        if not rivals:
            return self.first
        taken = about if about in rivals else self.first
        ways = (choose.format(modality=m, method=MODALITIES[m].method) for m in possible)
        warnings.warn(
            f"X of dtype {self.dtype} and shape {self.shape} may be {nouns(possible)}, and is read "
            f"as {MODALITIES[taken].noun}. Say which it is: {' or '.join(ways)}.",
            UserWarning,
            stacklevel=9,  # whoever called fit
        )
        return taken


def readings(X: Any, told: Sequence[str] = ()) -> Readings:
    """Return what X may be; parameters of an estimator speak for the modalities ``told``."""
    refuse_container(X)
    rows = sorted(MODALITIES.items(), key=lambda item: item[0] not in told)
    for name, row in rows:
        if row.is_container(X, name in told):
            return Readings(name, [row.also] if row.also else [])
    _check_rows(X)
    has_dtype = hasattr(getattr(X, "dtype", None), "kind") and hasattr(X, "shape")
    is_plain = has_dtype and not hasattr(X, "to_numpy") and X.dtype.kind != "O"
    array = X if is_plain else as_given(X)
    first = next((name for name, row in rows if row.is_array(array, name in told)), "")
    if not first and len(array.shape) < 2:
        check_one_shape(array)
        raise ValueError(wrong_dimension(array, X))
    others = [] if first in told else [name for name, row in rows if row.may_be(X, array)]
    also = [MODALITIES[first].also] if first and MODALITIES[first].also else []
    return Readings(first, [*also, *others], array.dtype, array.shape)


def _check_rows(X: Any) -> None:
    """Raise ValueError if X is no rows but a path, a dataset or batches of them."""
    if lies_outside(X) and not hasattr(X, "shape"):
        raise ValueError(
            f"Expected 2D array, got scalar array instead: {X!r}. A path is read by fit, "
            "partial_fit and transform of methods for tables, and by transform_to, as datasets "
            "and batches are. Here pass the rows, as pandas.read_parquet returns them."
        )


def modality_of(X: Any, estimator: Any) -> str:
    """Return the modality of X for an estimator whose parameters, or modalities, may say it."""
    modality = getattr(estimator, "modality", "auto")
    told = _told(estimator)
    wanted = getattr(estimator, "_modalities", ())
    if modality != "auto" or not wanted:
        return infer_modality(X, modality, told)
    return readings(X, told).decide(wanted, getattr(estimator, "_about", ""))


def _told(estimator: Any) -> list[str]:
    """Return the modalities that parameters of an estimator speak for."""
    rows = [(name, MODALITIES[name].told_by) for name in modalities_with("told_by")]
    return [name for name, parameter in rows if getattr(estimator, parameter, None) is not None]


def check_modality(X: Any, estimator: Any, wanted: Sequence[str]) -> str:
    """Return the modality of X, which must be one of those wanted."""
    found = modality_of(X, estimator)
    if found not in wanted:
        raise wrong_modality(estimator, wanted, found)
    return found


def wrong_modality(estimator: Any, wanted: Sequence[str], found: str) -> ValueError:
    """Return the error of an estimator that reads other modalities."""
    hints = [MODALITIES[modality].make for modality in wanted]
    hints += [MODALITIES[found].read_by] if MODALITIES[found].read_by else []
    return ValueError(
        f"{type(estimator).__name__} reads {nouns(wanted) if wanted else 'nothing'}; X looks like "
        f"modality={found!r}. {' '.join(hints)}"
    )


@contextlib.contextmanager
def reading_as(modality: str, X: Any, estimator: Any) -> Iterator[None]:
    """Read X as a modality in the block; where that fails, say what X looks like instead."""
    _check_rows(X)
    try:
        yield
    except (TypeError, ValueError) as error:
        other = "" if estimator.modality != "auto" else _other_than(modality, X, estimator)
        if not other:
            raise
        raise wrong_modality(estimator, (modality,), other) from error


def _other_than(modality: str, X: Any, estimator: Any) -> str:
    """Return what X is, or "" if it may be of the modality, or cannot be told."""
    try:
        found = readings(X, _told(estimator))
    except (TypeError, ValueError):
        return ""
    return "" if modality in (found.first, *found.others) else found.first


def open_if_outside(X: Any, estimator: Any, read_before: str = "") -> Any:
    """Return X, or what reads it part by part where it is a table outside memory.

    ``read_before`` is the modality of earlier rows, which decides.
    """
    X = as_native(X)
    read = getattr(estimator, "_modalities", ())
    tables = [modality for modality in read if MODALITIES[modality].is_table]
    if not tables or not lies_outside(X):
        return X
    said = read_before or estimator.modality
    if said != "auto":
        return open_source(X) if said in tables else X
    return X if _told(estimator) or len(_shape(X)) != 2 else open_source(X)


def read_if_small(X: Any, estimator: Any, read_before: str = "") -> Any:
    """Return X, read whole where it is outside memory but small enough, as ``fit`` wants it."""
    source = open_if_outside(X, estimator, read_before)
    return source.read_if_small() if isinstance(source, Source) else source


def _shape(X: Any) -> tuple[int, ...]:
    return getattr(X, "shape", (0, 0))  # files, datasets and batches are tables
