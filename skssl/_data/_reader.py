"""What all readers have in common."""

from typing import Any, Protocol, Self

from torch import Tensor


class Reader(Protocol):
    """Turns data of one modality into one tensor, as the data of ``fit`` was."""

    modality: str
    columns: Any  # Columns of a table or of bags, the Vocabulary of tokens, else None

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn columns, shapes or words from X, and from ``more`` rows."""
        ...

    def read(self, X: Any, ensure_min_samples: int = 1) -> Tensor:
        """Return the rows of X as a tensor."""
        ...

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the rows of two tensors as one."""
        ...
