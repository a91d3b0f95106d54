"""Checkpoint files: written atomically, and read without running code from them."""

import hashlib
import io
import pickle
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skssl import _ranks
from skssl._atomic import replacing

FORMAT = 1
DIGEST = 20  # bytes before the state

# Errors of torch for values that do not fit a checkpoint.
UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


def digest(data: bytes | memoryview) -> bytes:
    """Return a digest of bytes, which detects damage."""
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def check_weights(saved: dict[str, Tensor], like: Mapping[str, Tensor]) -> None:
    """Raise ValueError if saved weights do not fit a net, or are NaN or infinite where its are not.

    Parameters
    ----------
    saved, like : dict of str to Tensor
        The saved state of a net, and the state of the net as it was made for this fit.
    """
    for name, now in like.items():
        fits = (saved[name].shape, saved[name].dtype) == (now.shape, now.dtype)
        if not fits or not (saved[name].cpu().isfinite() | ~now.cpu().isfinite()).all():
            raise ValueError(f"{name} has other numbers than this fit can have")


def check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError if a moment of a weight has another shape than it, or is not finite."""
    for weight, kept in optimizer.state.items():
        for name, part in kept.items():
            fits = not isinstance(part, Tensor) or part.shape in ((), weight.shape)
            if not fits or not torch.as_tensor(part).isfinite().all():
                raise ValueError(f"{name} of the optimizer has other numbers than it can have")


class CheckpointFile:
    """The checkpoint file of one fit.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Identifies the fit: another fit does not resume from the file.
    every : float
        Seconds between two writes.
    """

    def __init__(self, path: Path, key: str, every: float):
        self.path, self.key, self.every = path, key, every
        self.written = time.perf_counter()

    def write(self, make: Callable[[], dict[str, Any]], *, now: bool) -> None:
        """Replace the file, if it is due, by a state of plain values and tensors.

        If the process is killed meanwhile, the file stays as it was. If the disk is full, a
        warning is given and the older file stays.
        """
        if not _ranks.agree(now or time.perf_counter() - self.written >= self.every):
            return
        state = make()  # every rank contributes to it
        self.written = time.perf_counter()
        if _ranks.index() > 0:
            return
        buffer = io.BytesIO()
        about = {"format": FORMAT, "key": self.key, "n_threads": torch.get_num_threads()}
        torch.save(about | state, buffer)
        data = buffer.getvalue()
        try:
            with replacing(self.path) as new:
                new.write_bytes(digest(data) + data)
        except OSError as error:
            warnings.warn(
                f"No checkpoint could be written to {self.path}: {error}. Training goes on; an "
                "older checkpoint, if there is one, stays.",
                RuntimeWarning,
                stacklevel=2,
            )

    def read(self, restore: Callable[[dict[str, Any]], None]) -> None:
        """Pass the state in the file, if there is one, to ``restore``.

        Raises
        ------
        ValueError
            If the file is damaged, not a checkpoint of skssl, or of another fit.
        """
        if not self.path.exists():
            return
        data = memoryview(self.path.read_bytes())
        if data[:DIGEST] != digest(data[DIGEST:]):
            raise self._damaged()
        try:
            state = torch.load(io.BytesIO(data[DIGEST:]), map_location="cpu", weights_only=True)
            about = {name: state.pop(name) for name in ("format", "key", "n_threads")}
        except UNREADABLE as error:
            raise self._damaged() from error
        if (about["format"], about["key"]) != (FORMAT, self.key):
            raise ValueError(
                f"{self.path} is the checkpoint of another fit: of other parameters, rows or "
                "versions of skssl, torch, numpy or scikit-learn. Go back to those, delete the "
                "file to start again, or pass another path; a folder has room for many fits."
            )
        if about["n_threads"] != torch.get_num_threads():
            warnings.warn(
                f"{self.path} was written with {about['n_threads']} threads; training goes on "
                f"with {torch.get_num_threads()}, which rounds differently. For the result of a "
                "fit without a break, call torch.set_num_threads or set OMP_NUM_THREADS.",
                RuntimeWarning,
                stacklevel=2,
            )
        try:
            restore(state)
        except UNREADABLE as error:
            raise self._damaged() from error

    def _damaged(self) -> ValueError:
        return ValueError(
            f"{self.path} is no checkpoint of skssl, or is damaged. Delete it to start again, or "
            "pass another path."
        )
