"""All or nothing: restore an estimator after a failed fit, and replace files atomically."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from sklearn.base import BaseEstimator


@contextlib.contextmanager
def restore_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of the estimator if the block fails or is interrupted."""
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
    """Yield the name of a new file, which replaces ``path`` once the block has written it.

    Whatever happens to the process, ``path`` is the old file or the new one. If the block fails,
    the new file is removed; if the process is killed, it remains as a hidden file beside ``path``.
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
