"""Files that are there whole at any time."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


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
