"""An optimizer for tests that compare two fits whose kernels round differently."""

from typing import Any

import torch

from skssl._training._loop import make_optimizer


def gentle_optimizer(*args: Any) -> torch.optim.Optimizer:
    """AdamW that takes no whole step along a gradient that is nothing but rounding."""
    optimizer = make_optimizer(*args)
    for group in optimizer.param_groups:
        group["eps"] = 1e-3
    return optimizer
