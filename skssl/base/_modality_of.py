"""Which modality X is, to an estimator that reads some of them."""

import os
from collections.abc import Sequence
from typing import Any

from skssl._data import Source, lies_outside, open_source
from skssl._data._containers import as_given, check_one_shape, wrong_dimension
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
    rows = sorted(MODALITIES.items(), key=lambda item: item[0] not in told)
    for name, row in rows:
        if row.is_container(X, name in told):
            return name
    if isinstance(X, str | os.PathLike):
        raise ValueError(
            f"Expected 2D array, got scalar array instead: {X!r}. A path is read by fit, "
            "partial_fit and transform of methods for tables, and by transform_to. Here pass the "
            "rows, as pandas.read_parquet returns them."
        )
    if not hasattr(getattr(X, "dtype", None), "kind") or not hasattr(X, "shape"):
        X = as_given(X)
    for name, row in rows:
        if row.is_array(X, name in told):
            return name
    if len(X.shape) < 2:
        check_one_shape(X)
        raise ValueError(wrong_dimension(X))
    raise ValueError(
        f"X of dtype {X.dtype} and shape {X.shape} could be several things. Say which with "
        f"modality=, one of {tuple(MODALITIES)}."
    )


def modality_of(X: Any, estimator: Any) -> str:
    """Return the modality of X for an estimator whose parameters, or modalities, may say it."""
    modality = getattr(estimator, "modality", "auto")
    told = [
        name
        for name in modalities_with("told_by")
        if getattr(estimator, MODALITIES[name].told_by, None) is not None
    ]
    found = infer_modality(X, modality, told)
    wanted = getattr(estimator, "_modalities", ())
    also = MODALITIES[found].also
    return also if modality == "auto" and found not in wanted and also in wanted else found


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


def open_if_outside(X: Any, estimator: Any) -> Any:
    """Return X, or what reads it part by part where it is a table outside memory."""
    read = getattr(estimator, "_modalities", ())
    tables = [modality for modality in read if MODALITIES[modality].is_table]
    if not tables or not lies_outside(X):
        return X
    is_said = estimator.modality in tables
    is_other = getattr(estimator, "image_shape", None) is not None or len(_shape(X)) != 2
    return open_source(X) if is_said or (estimator.modality == "auto" and not is_other) else X


def read_if_small(X: Any, estimator: Any) -> Any:
    """Return X, read whole where it is outside memory but small enough, as ``fit`` wants it."""
    source = open_if_outside(X, estimator)
    return source.read_if_small() if isinstance(source, Source) else source


def _shape(X: Any) -> tuple[int, ...]:
    return getattr(X, "shape", (0, 0))  # files, datasets and batches are tables
