"""The readers of images and of video: one tensor, channels first; bytes stay bytes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

from skssl._data._containers import (
    as_array,
    as_floats,
    as_numbers,
    check_n_samples,
    check_one_shape,
    is_frame,
    to_tensor,
)
from skssl._data._restore_table import build

MAKE_IMAGES = (
    "Pass images as (n, height, width), (n, height, width, channels) or (n, channels, height, "
    "width), or as rows of pixels, also of a DataFrame, with image_shape=(height, width)."
)
MAKE_CLIPS = (
    "Pass clips of one length as (n, time, height, width), (n, time, height, width, channels) or "
    "(n, time, channels, height, width)."
)

ChannelAxis = Literal["auto", 1, 2, 3, 4, -1]


class ImageReader:
    """Turn arrays of images into one tensor, channels first; bytes stay bytes.

    Parameters
    ----------
    image_shape : tuple of int or None, default=None
        Shape of one image for rows of pixels: (height, width), or with the channels first or
        last. Not needed for other arrays.
    channel_axis : "auto" or int, default="auto"
        Axis of the channels in the array of all images, after reshaping rows: 1 or -1. ``"auto"``
        takes the axis that is shorter than height and width, if there is one.

    Attributes
    ----------
    shape : tuple of int
        Shape of one image seen in ``fit``, channels first.
    is_bytes : bool
        Whether images were bytes.
    """

    _saved_as = "ImageReader"
    modality = "image"
    columns = None
    _noun, _make = "images", MAKE_IMAGES
    shape: tuple[int, ...]
    is_bytes: bool
    _lead: ClassVar[int] = 1  # number of axes before those of an image

    def __init__(
        self, image_shape: Sequence[int] | None = None, channel_axis: ChannelAxis = "auto"
    ):
        self.image_shape = image_shape
        self.channel_axis = channel_axis

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the shape of an image."""
        array = self._array(X)
        self.is_bytes = array.dtype in (np.uint8, np.bool_)
        self.layout = array.shape[self._lead :]
        self.axis = _channel_axis(array.shape, self.channel_axis, self._lead)
        n_channels = 1 if self.axis is None else array.shape[self.axis]
        self.shape = (n_channels, *_others(array.shape, self.axis, self._lead))
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n, channels, height, width) on the CPU.

        It is uint8 if X is, else float32, and may share the memory of X: never write to it.
        """
        array = self._array(X)
        if array.shape[self._lead :] != self.layout:
            raise ValueError(
                f"X has images of shape {array.shape[self._lead :]}, but {self.layout} was seen in "
                "fit. Resize or crop them, and keep the channels where they were."
            )
        check_n_samples(array.shape, ensure_min_samples)
        x = to_tensor(_numbers(array, self._noun, self._make))
        if self.axis is None:
            return x.unsqueeze(self._lead)
        return x.movedim(self.axis, self._lead)

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``."""
        return torch.cat([first, second])

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield one black image, as ``read`` returns it."""
        yield torch.zeros(1, *self.shape, dtype=torch.uint8 if self.is_bytes else torch.float32)

    def restore(self, images: np.ndarray, like: Any) -> Any:
        """Return images (n, channels, height, width) in the container and units of the user.

        If X was bytes, values are rounded and clipped to bytes.
        """
        lead = self._lead
        out = images.squeeze(lead) if self.axis is None else np.moveaxis(images, lead, self.axis)
        if is_frame(like):  # rows of pixels
            pixels = out.reshape(len(out), -1).astype(np.float64)
            return build(list(pixels.T), like, range(pixels.shape[1]), len(pixels))
        given = as_array(like)
        if given.dtype == np.uint8:
            out = out.round().clip(0, 255)
        dtype = given.dtype if given.dtype.kind == "f" or given.dtype == np.uint8 else np.float32
        out = out.reshape(*out.shape[:lead], *given.shape[lead:])
        return np.ascontiguousarray(out, dtype=dtype)

    def _array(self, X: Any) -> np.ndarray:
        """Return X as an array of three or four dimensions."""
        array = as_numbers(X)
        if array.ndim == 2 and self.image_shape is not None:
            shape = self._image_shape()
            if array.shape[1] != math.prod(shape):
                raise ValueError(
                    f"X has rows of {array.shape[1]} pixels, but image_shape={shape} makes "
                    f"{math.prod(shape)}."
                )
            array = array.reshape(len(array), *shape)
        check_one_shape(array, least=2)
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


class VideoReader(ImageReader):
    """Turn arrays of clips into one tensor (n, time, channels, height, width).

    Frames are read like images by :class:`ImageReader`. All clips of an array have the same
    length; other arrays may have another length.

    Parameters
    ----------
    channel_axis : "auto" or int, default="auto"
        Axis of the channels in the array of all clips: 2 or -1. ``"auto"`` takes the axis that
        is shorter than height and width, if there is one.

    Attributes
    ----------
    shape : tuple of int
        Shape of one frame seen in ``fit``, channels first.
    """

    _saved_as = "VideoReader"
    modality = "video"
    _noun, _make = "clips", MAKE_CLIPS
    _lead = 2

    def __init__(self, channel_axis: ChannelAxis = "auto"):
        super().__init__(None, channel_axis)

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``."""
        if first.shape[1] != second.shape[1]:
            raise ValueError(
                f"X has clips of {first.shape[1]} frames and X_unlabeled of {second.shape[1]}. "
                "Cut them to one length."
            )
        return torch.cat([first, second])

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield a black clip of each of some lengths, as ``read`` returns it."""
        dtype = torch.uint8 if self.is_bytes else torch.float32
        yield from (torch.zeros(1, n, *self.shape, dtype=dtype) for n in (4, 2, 8, 16, 1))

    def _array(self, X: Any) -> np.ndarray:
        """Return X as an array of four or five dimensions."""
        array = as_numbers(X)
        if array.ndim not in (4, 5):
            raise ValueError(f"Expected clips, got an array of shape {array.shape}. {MAKE_CLIPS}")
        if 0 in array.shape[1:]:
            raise ValueError(f"Expected clips of at least one pixel, got shape {array.shape}.")
        return array


def _channel_axis(shape: tuple[int, ...], given: ChannelAxis, lead: int = 1) -> int | None:
    """Return the axis of the channels, the first or last of an image; None if there is none.

    ``lead`` is the number of axes before those of an image.
    """
    if len(shape) == lead + 2:
        return None
    if given != "auto":
        if given not in (lead, lead + 2, -1):
            raise ValueError(
                f"channel_axis must be 'auto', {lead} or -1 for an array of shape {shape}; got "
                f"{given!r}."
            )
        return given % len(shape)
    first, last = lead, lead + 2
    candidates = [a for a in (first, last) if shape[a] < min(_others(shape, a, lead))]
    if len(candidates) != 1:
        raise ValueError(
            f"X of shape {shape} does not tell its channels from height and width. Say which "
            f"axis they are on: channel_axis={lead} or channel_axis=-1."
        )
    return candidates[0]


def _others(shape: tuple[int, ...], axis: int | None, lead: int = 1) -> list[int]:
    return [n for i, n in enumerate(shape) if i >= lead and i != axis]


def _numbers(array: np.ndarray, noun: str, make: str) -> np.ndarray:
    """Return bytes unchanged and other numbers as finite float32."""
    kind = array.dtype.kind
    if kind == "b" or array.dtype == np.uint8:
        array = array.view(np.uint8) if kind == "b" else array
        return array
    if kind == "c":
        raise ValueError("Complex data not supported. Pass magnitude and phase as two channels.")
    if kind not in "fiuO":
        raise TypeError(f"Expected numbers in images, got dtype {array.dtype}. {make}")
    out = as_floats(array, noun.capitalize(), make)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        is_finite = np.isfinite(out.sum(dtype=np.float64))
    if not is_finite:
        bad = np.flatnonzero(~np.isfinite(out.reshape(len(out), -1)).all(1))
        what = "NaN" if np.isnan(out[bad[0]]).any() else "infinity"
        raise ValueError(
            f"Input X contains {what}: {len(bad)} of {len(out)} {noun}, the first in row "
            f"{bad[0]}. Expected finite pixels; leave these {noun} out, or fill them in."
        )
    return out
