"""The reader of images: one tensor (n, channels, height, width), of bytes where they are bytes."""

import math
from typing import Any

import numpy as np
import torch

from skssl._inputs._containers import as_array

MAKE_IMAGES = (
    "Pass images as (n, height, width), (n, height, width, channels) or (n, channels, height, "
    "width), or as rows of pixels with image_shape=(height, width)."
)


class ImageReader:
    """Turn arrays of images into one tensor, channels first; bytes stay bytes.

    Parameters
    ----------
    image_shape : tuple of int or None, default=None
        Shape of one image, for rows of pixels: (height, width), or with the channels first or
        last. For other arrays None will do.
    channel_axis : "auto" or int, default="auto"
        Axis of the channels in the array of all images, rows being reshaped first: 1 or -1.
        ``"auto"`` takes the axis that is shorter than height and width, where there is one.

    Attributes
    ----------
    shape : tuple of int
        Shape of one image as ``fit`` saw it, channels first.
    """

    kind = "image"
    columns = None
    shape: tuple[int, ...]

    def __init__(self, image_shape: Any = None, channel_axis: Any = "auto"):
        self.image_shape = image_shape
        self.channel_axis = channel_axis

    def fit(self, X: Any, *more: Any) -> "ImageReader":
        """Learn the shape of an image."""
        array = self._array(X)
        self.layout = array.shape[1:]
        self.axis = _channel_axis(array.shape, self.channel_axis)
        n_channels = 1 if self.axis is None else array.shape[self.axis]
        self.shape = (n_channels, *_others(array.shape, self.axis))
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, channels, height, width) on the CPU.

        It is uint8 where X is, else float32, and may share the memory of X: never write to it.
        """
        array = self._array(X)
        if array.shape[1:] != self.layout:
            raise ValueError(
                f"X has images of shape {array.shape[1:]}, but {self.layout} was seen in fit. "
                "Resize or crop them, and keep the channels where they were."
            )
        if len(array) < ensure_min_samples:
            raise ValueError(
                f"Found array with {len(array)} sample(s) (shape={array.shape}) while a minimum "
                f"of {ensure_min_samples} is required."
            )
        return self._channels_first(_numbers(array))

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the images of two tensors that ``read`` made as one."""
        return torch.cat([first, second])

    def restore(self, images: np.ndarray, like: Any) -> np.ndarray:
        """Return images (n, channels, height, width), in the user's units, laid out like theirs.

        Bytes are rounded and clipped to bytes.
        """
        given = as_array(like)
        out = images[:, 0] if self.axis is None else np.moveaxis(images, 1, self.axis)
        if given.dtype == np.uint8:
            out = out.round().clip(0, 255)
        dtype = given.dtype if given.dtype.kind == "f" or given.dtype == np.uint8 else np.float32
        return np.ascontiguousarray(out.reshape(len(out), *given.shape[1:]), dtype=dtype)

    def _array(self, X: Any) -> np.ndarray:
        """Return X as an array of three or four dimensions."""
        array = as_array(X.to_numpy() if hasattr(X, "to_numpy") else X)
        if array.ndim == 2 and self.image_shape is not None:
            shape = self._image_shape()
            if array.shape[1] != math.prod(shape):
                raise ValueError(
                    f"X has rows of {array.shape[1]} pixels, but image_shape={shape} makes "
                    f"{math.prod(shape)}."
                )
            array = array.reshape(len(array), *shape)
        if array.ndim not in (3, 4):
            raise ValueError(f"Expected images, got an array of shape {array.shape}. {MAKE_IMAGES}")
        if self.image_shape is not None and array.shape[1:] != self._image_shape():
            raise ValueError(
                f"X has images of shape {array.shape[1:]}, but image_shape is "
                f"{self._image_shape()}. Leave it out for arrays that are no rows of pixels."
            )
        if 0 in array.shape[1:]:
            raise ValueError(f"Expected images of at least one pixel, got shape {array.shape}.")
        return array

    def _image_shape(self) -> tuple[int, ...]:
        shape = tuple(np.atleast_1d(np.asarray(self.image_shape)).tolist())
        if len(shape) not in (2, 3) or not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(
                "image_shape must be (height, width), or three numbers with the channels first "
                f"or last; got {self.image_shape!r}."
            )
        return shape

    def _channels_first(self, array: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(array)
        return x.unsqueeze(1) if self.axis is None else x.movedim(self.axis, 1)


def _channel_axis(shape: tuple[int, ...], given: Any) -> int | None:
    """Return the axis of the channels, 1 or 3; None if the images have none."""
    if len(shape) == 3:
        return None
    if given != "auto":
        if given not in (1, 3, -1):
            raise ValueError(f"channel_axis must be 'auto', 1 or -1; got {given!r}.")
        return given % 4
    candidates = [axis for axis in (1, 3) if shape[axis] < min(_others(shape, axis))]
    if len(candidates) != 1:
        raise ValueError(
            f"X of shape {shape} does not tell its channels from height and width. Say which "
            "axis they are on: channel_axis=1 or channel_axis=-1."
        )
    return candidates[0]


def _others(shape: tuple[int, ...], axis: int | None) -> list[int]:
    return [n for i, n in enumerate(shape) if i not in (0, axis)]


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return bytes as they are, and any other numbers as finite float32; always writable."""
    kind = array.dtype.kind
    if kind == "b" or array.dtype == np.uint8:
        array = array.view(np.uint8) if kind == "b" else array
        return array if array.flags.writeable and array.dtype.isnative else array.copy()
    if kind == "c":
        raise ValueError("Complex data not supported. Pass magnitude and phase as two channels.")
    if kind not in "fiuO":
        raise TypeError(f"Expected numbers in images, got dtype {array.dtype}. {MAKE_IMAGES}")
    out = np.array(array, dtype=np.float32)
    if not np.isfinite(out.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(out.reshape(len(out), -1)).all(1))
        what = "NaN" if np.isnan(out[bad[0]]).any() else "infinity"
        raise ValueError(
            f"Input X contains {what}: {len(bad)} of {len(out)} images, the first in row "
            f"{bad[0]}. Expected finite pixels; leave these images out, or fill them in."
        )
    return out
