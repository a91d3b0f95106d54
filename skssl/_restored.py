"""A fit that fails leaves nothing behind."""

import contextlib
from collections.abc import Iterator

from sklearn.base import BaseEstimator


@contextlib.contextmanager
def restored_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator the attributes back that it had, if the block fails or is stopped."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        for name in set(vars(estimator)) - set(before):
            if "callback" not in name:  # scikit-learn removes its own
                delattr(estimator, name)
        vars(estimator).update(before)
        raise
