"""Helpers of image views: checks of the batch, draws per image, matrix products."""

import torch
from torch import Tensor

from skssl._data._draws import rand


def check_images(x: Tensor) -> None:
    """Raise unless x is a float batch (n, channels, height, width)."""
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            "Views of images read a float batch (n, channels, height, width); got "
            f"{tuple(x.shape)}, {x.dtype}. Scale bytes to floats first; grey images have one "
            "channel, x[:, None]."
        )


def wide(x: Tensor) -> torch.dtype:
    """Return the dtype to compute in: that of x, but at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def uniform(x: Tensor, *shape: int) -> Tensor:
    """Draw numbers in [0, 1), one for each image in the last dimension."""
    return rand(*shape, len(x), dtype=wide(x), device=x.device)


def choose_rows(x: Tensor, p: float) -> Tensor:
    """Draw which images to alter, each with probability p."""
    if not 0 <= p <= 1:
        raise ValueError(f"The share of images to alter must be between 0 and 1; got {p!r}.")
    return uniform(x) < p


def between(low: float, high: float, draw: Tensor) -> Tensor:
    """Stretch draws in [0, 1) to [low, high)."""
    return low + (high - low) * draw


def per_image(values: Tensor) -> Tensor:
    """Reshape one value per image so that it broadcasts over a batch of images."""
    return values[:, None, None, None]


def along_axes(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply each image from both sides: ``rows @ image @ columns.T``.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    rows : Tensor of shape (n, new_height, height)
        Weights of the old rows in each new row.
    columns : Tensor of shape (n, new_width, width)
        Weights of the old columns in each new column.

    Returns
    -------
    out : Tensor of shape (n, channels, new_height, new_width)
        In the dtype of x; computed in at least float32, even under autocast.
    """
    out = x.to(wide(x))
    n, channels, height, _ = x.shape
    out = product(out.flatten(1, 2), columns.mT).view(n, channels, height, -1)
    beside = out.transpose(1, 2).flatten(2)  # channels: one matrix per image, without a copy
    out = product(rows, beside).view(n, rows.shape[1], channels, -1).transpose(1, 2)
    return out.to(x.dtype)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices in their own dtype, even under autocast."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b
