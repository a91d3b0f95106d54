"""All or nothing: restore an estimator after a failed fit, and replace files atomically."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import torch
from sklearn.base import BaseEstimator


@contextlib.contextmanager
def restore_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of the estimator if the block fails or is interrupted."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException as error:
        for name in set(vars(estimator)) - set(before):
            if "callback" not in name:  # scikit-learn removes its own
                delattr(estimator, name)
        vars(estimator).update(before)
        if _is_of_memory(error):
            raise MemoryError(
                f"{estimator!r} needs more memory than there is: {str(error).splitlines()[0]} "
                "Lower batch_size, or whichever of the parameters above is large; if X is a "
                "large table, pass it as a file."
            ) from error
        raise


def _is_of_memory(error: BaseException) -> bool:
    """Tell whether memory could not be allocated; torch has no class for it on a CPU."""
    refusals = "can't allocate memory", "Storage size calculation overflowed"
    is_refusal = isinstance(error, RuntimeError) and any(text in str(error) for text in refusals)
    return is_refusal or isinstance(error, (MemoryError, torch.OutOfMemoryError))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a new file, which replaces ``path`` once the block has written it.

    Whatever happens to the process, ``path`` is the old file or the new one. If the block fails,
    the new file is removed; if the process is killed, it remains as a hidden file beside ``path``.
    A link stays, and the file that it leads to is replaced; devices and pipes are written to.
    """
    is_device = path.exists() and not (path.is_file() or path.is_dir())
    if path.is_symlink() and not is_device:  # /dev/stdout leads to a pipe without a name
        path = path.resolve()
    folder = Path(tempfile.gettempdir()) if is_device else path.parent
    new = folder / f".{path.name}.{uuid.uuid4().hex}"
    try:
        new.touch(exist_ok=False)
        yield new
        if is_device:
            path.write_bytes(new.read_bytes())
            return
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
