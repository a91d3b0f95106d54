"""The argument ``embedding=`` of the functions in this package."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skssl._compat import HasMethods
from skssl._data._containers import as_matrix

EMBEDDING: list[Any] = [HasMethods("fit"), "array-like", None]  # for validate_params


def embed(embedding: Any, X: Any, *others: Any) -> tuple[np.ndarray, ...]:
    """Embed X and ``others``, and return matrices of float64.

    Parameters
    ----------
    embedding : None, array-like of shape (n_samples, n_components) or fitted transformer
        With None, X is the embedding already. An array is the embedding of X, and allows no
        ``others``. A fitted transformer, or Pipeline, computes it.
    X, *others : array-like or dataframe
        Rows to embed.
    """
    if embedding is None:
        hint = "embedding=None takes X for one; pass a fitted transformer that reads X."
        parts = [_matrix(part, hint) for part in (X, *others)]
    elif hasattr(embedding, "fit"):
        parts = [_transformed(embedding, part) for part in (X, *others)]
    elif others:
        raise ValueError(
            "An array as embedding= is that of X alone. Pass a fitted transformer, or pass two "
            "embeddings in place of the rows, with embedding=None."
        )
    else:
        check_consistent_length(X, embedding)
        parts = [_matrix(embedding, "Pass one row for each row of X.")]
    widths = [part.shape[1] for part in parts]
    if len(set(widths)) > 1:
        raise ValueError(
            f"The embeddings have {' and '.join(map(str, widths))} columns, and cannot be "
            "compared. Make them with one transformer."
        )
    return tuple(parts)


def _transformed(transformer: Any, X: Any) -> np.ndarray:
    if not hasattr(transformer, "transform"):
        raise TypeError(
            f"embedding must be a fitted transformer; {type(transformer).__name__} has no "
            "transform. Of a PretrainedClassifier, pass the transformer_."
        )
    check_is_fitted(transformer)
    return _matrix(transformer.transform(X), "Pass a transformer that returns one row per sample.")


def _matrix(Z: Any, hint: str) -> np.ndarray:
    try:
        return as_matrix(Z)
    except (TypeError, ValueError) as error:
        raise ValueError(f"An embedding is a matrix of finite numbers: {error} {hint}") from error
