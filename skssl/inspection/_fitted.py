"""Parts of fitted estimators that Displays read."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skssl._compat import Seed
from skssl._meta._steps import steps_of
from skssl.base._transformer import SSLTransformer
from skssl.semi_supervised._base import BasePretrained


def unwrap(estimator: Any, X: Any = None) -> tuple[SSLTransformer, Any]:
    """Return the fitted self-supervised transformer in an estimator, and X as that one reads it.

    Parameters
    ----------
    estimator : estimator
        A fitted transformer, a Pretrained estimator, or a Pipeline that ends in either.
    X : array-like, default=None
        Rows as the estimator reads them; None if there are none to hand on.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If there is no self-supervised transformer where one is looked for.
    """
    check_is_fitted(estimator)
    *front, last = steps_of(estimator)
    while isinstance(last, BasePretrained):
        *more, last = steps_of(last.transformer_)
        front += more
    if not isinstance(last, SSLTransformer):
        inside = "" if last is estimator else f", in which is {last!r}"
        raise TypeError(
            "Expected a self-supervised transformer such as SimCLR(), a PretrainedClassifier "
            f"or PretrainedRegressor, or a Pipeline that ends in one; got "
            f"{type(estimator).__name__}{inside}. Pass the part that was pretrained."
        )
    for step in front if X is not None else ():
        X = step.transform(X)
    return last, X


def column_names(transformer: SSLTransformer) -> list[str]:
    """Return the column names of a table; x0, x1, ... if it has none."""
    names = getattr(transformer, "feature_names_in_", None)
    if names is None:
        names = [f"x{i}" for i in range(transformer.n_features_in_)]
    return [str(name) for name in names]


def channels_last(images: Tensor) -> np.ndarray:
    """Convert a batch (n, channels, height, width) to an array (n, height, width, channels)."""
    return images.detach().movedim(1, -1).numpy()


def spread(n_rows: int, n_wanted: int) -> np.ndarray:
    """Return the positions of at most ``n_wanted`` evenly spaced rows."""
    return np.linspace(0, n_rows - 1, min(n_rows, n_wanted)).round().astype(int)


def draw_seed(random_state: Seed) -> int:
    """Return a seed from the user's ``random_state``; None leaves global generators alone."""
    if random_state is None:
        random_state = np.random.RandomState()
    return check_random_state(random_state).randint(2**31 - 1)
