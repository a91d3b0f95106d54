"""Presets: chains of image views."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from torch import Tensor

from skssl.views._batches import check_images
from skssl.views._colors import color_jitter
from skssl.views._images import Range, Size, erase, flip, pair, quarter_turns, resized_crop
from skssl.views._lists import Compose, View

ImagePreset = Literal["weak", "strong", "no_flip", "rotations"]
IMAGE_PRESETS = get_args(ImagePreset)
BLURRED_FROM = 64  # pixels; Gaussians scaled to smaller images are narrower than a pixel
AT_ONCE = 2**20  # numbers; more do not fit the cache


def image_views(
    preset: ImagePreset,
    shape: tuple[int, ...],
    scale: Range | None = None,
    size: Size | None = None,
) -> Compose:
    """Return a chain of views for images of one shape.

    All presets but ``"weak"`` alter colours. They also erase a box from half of the images that do
    not have three channels, and blur half of those of at least 64 pixels each way, by up to 2
    pixels at 224.

    Parameters
    ----------
    preset : {"weak", "strong", "no_flip", "rotations"}
        ``"weak"`` crops gently and mirrors. ``"strong"``, SimCLR's [1]_, crops to as little as
        a fifth, mirrors and alters colours. ``"no_flip"`` is the same without mirroring, for
        digits and signs. ``"rotations"`` adds all quarter turns, for cells and satellites;
        images that are not square are turned upside down only.
    shape : tuple of int
        (channels, height, width) of an image.
    scale : tuple of float or None, default=None
        Least and greatest share of the area to crop to; None is (0.6, 1) for ``"weak"`` and
        (0.2, 1) for the others.
    size : int, tuple of int or None, default=None
        Height and width of the views; None keeps the image's.

    Returns
    -------
    view : Compose
        From a batch to an altered batch.

    Raises
    ------
    ValueError
        If there is no preset of that name, or shape is not of three numbers.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
       Visual Representations", ICML 2020. https://arxiv.org/abs/2002.05709

    Examples
    --------
    >>> from skssl.views import image_views
    >>> image_views("weak", (1, 28, 28))
    Compose(resized_crop(scale=(0.6, 1.0), mirror=0.5))
    """
    if preset not in IMAGE_PRESETS:
        names = ", ".join(map(repr, IMAGE_PRESETS))
        raise ValueError(f"There is no preset of views {preset!r}; there are {names}.")
    if len(shape) != 3:
        raise ValueError(f"shape must be (channels, height, width); got {tuple(shape)!r}.")
    height, width = pair((shape[1], shape[2]) if size is None else size)
    crop: dict[str, Any] = {"scale": scale or ((0.6, 1.0) if preset == "weak" else (0.2, 1.0))}
    if size is not None:
        crop["size"] = (height, width)
    if preset != "no_flip":
        crop["mirror"] = 0.5
    if preset != "weak" and min(height, width) >= BLURRED_FROM:
        widest = round(2.0 * min(height, width) / 224, 2)
        crop |= {"blurred": 0.5, "sigma": (round(widest / 20, 3), widest)}
    functions: list[View] = [partial(resized_crop, **crop)]
    if preset == "rotations":
        square = height == width
        functions.append(quarter_turns if square else partial(flip, p=0.0, vertical=0.5))
    if preset != "weak":
        functions += _appearance(shape[0])
    return Compose(tuple(functions), AT_ONCE)


def _appearance(channels: int) -> list[View]:
    """Return the view functions of the strong presets that alter pixel values."""
    color: dict[str, Any] = {"saturation": 0.4, "hue": 0.1, "grey": 0.2} if channels == 3 else {}
    functions: list[View] = [partial(color_jitter, brightness=0.8, contrast=0.4, p=0.8, **color)]
    if channels != 3:
        functions.append(partial(erase, p=0.5))
    return functions


@dataclass(frozen=True)
class MultiCrop:
    """Multi-crop for ``views=``: a few large crops of each image and several cheap small ones.

    The losses compare all crops, so a step learns more from each image at little cost. Large
    crops come first. For several views of one size, as in FastSiam, use
    ``MultiCrop(n_large=4, n_small=0)``; for your own function, ``Views((function,) * 4)``.

    Parameters
    ----------
    n_large : int, default=2
        Number of crops at the size of the image.
    n_small : int, default=4
        Number of crops at the small size.
    preset : {"weak", "strong", "no_flip", "rotations"}, default="strong"
        The other alterations of each crop: see :func:`image_views`.
    large_scale : tuple of float, default=(0.3, 1.0)
        Least and greatest share of the image's area in a large crop.
    small_scale : tuple of float, default=(0.05, 0.3)
        The same for a small crop.
    small_size : int, tuple of int or None, default=None
        Height and width of small crops; None is half the image's, rounded up to a multiple
        of 4.

    References
    ----------
    .. [1] Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster
       Assignments", NeurIPS 2020. https://arxiv.org/abs/2006.09882
    .. [2] Pototzky, Sultan and Schmidt-Thieme, "FastSiam: Resource-Efficient Self-supervised
       Learning on a Single GPU", GCPR 2022.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import MultiCrop
    >>> [view.shape[-1] for view in MultiCrop(n_large=2, n_small=3)(torch.rand(8, 3, 32, 32))]
    [32, 32, 16, 16, 16]
    """

    n_large: int = 2
    n_small: int = 4
    preset: ImagePreset = "strong"
    large_scale: Range = (0.3, 1.0)
    small_scale: Range = (0.05, 0.3)
    small_size: Size | None = None

    def __call__(self, x: Tensor) -> list[Tensor]:
        check_images(x)
        shape = tuple(x.shape[1:])
        large = image_views(self.preset, shape, self.large_scale)
        half = (_half(shape[1]), _half(shape[2]))
        size = half if self.small_size is None else self.small_size
        small = image_views(self.preset, shape, self.small_scale, size)
        return [view(x) for view in [large] * self.n_large + [small] * self.n_small]


def _half(side: int) -> int:
    return min(side, -(-side // 8) * 4)
