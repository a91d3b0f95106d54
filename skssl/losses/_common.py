"""What several losses share."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def _wide(z: Tensor) -> Tensor:
    return z.to(torch.promote_types(z.dtype, torch.float32))


def _unit(z: Tensor) -> Tensor:
    # Next to zero there is no direction, and the slope would be one over the length.
    wide = torch.promote_types(z.dtype, torch.float32)
    return F.normalize(z.to(wide), dim=-1, eps=1e-6)


def _full_precision(z: Tensor) -> torch.autocast:
    """Switch autocast off: a factorisation fails on a matrix of rounded products."""
    return torch.autocast(z.device.type, enabled=False)


def _several(views: Sequence[Tensor], loss: str) -> None:
    if len(views) < 2:
        raise ValueError(
            f"{loss} compares views of the same rows: expected at least two, got {len(views)}. "
            "Give views= one more alteration."
        )
