"""All or nothing: a fit that fails leaves no trace, and a file is there whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a new file beside ``path``, and put it there once the block has written it.

    Whatever happens to the process, ``path`` is the old file or the new one. Nothing is left if
    the block fails; of a process that is killed while it writes, a hidden file is.
    """
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        new.touch(exist_ok=False)
        yield new
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
