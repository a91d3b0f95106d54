"""Views of images that move, blur or hide pixels.

Crops, shifts and blurs work on rows and columns separately, as two batched matrix products.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from skssl.views._batches import (
    along_axes,
    between,
    check_images,
    choose_rows,
    per_image,
    product,
    uniform,
    wide,
)

Range = tuple[float, float]
Size = int | tuple[int, int]


def resized_crop(
    x: Tensor,
    scale: Range = (0.2, 1.0),
    ratio: Range = (3 / 4, 4 / 3),
    size: Size | None = None,
    mirror: float = 0.0,
    blurred: float = 0.0,
    sigma: Range = (0.1, 2.0),
) -> Tensor:
    """Crop a random box of each image and resample it bilinearly to one size.

    Where this shrinks the box, a new pixel is the average of the pixels it covers.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    scale : tuple of float, default=(0.2, 1.0)
        Least and greatest share of the image's area to keep.
    ratio : tuple of float, default=(3/4, 4/3)
        Least and greatest ratio of width to height; the whole image has ratio 1. A box that
        does not fit is made as long as possible at the same area.
    size : int, tuple of int or None, default=None
        Height and width of the result, or one number for a square; None keeps those of x.
    mirror : float, default=0.0
        Probability that a crop is mirrored left to right, in the same products.
    blurred : float, default=0.0
        Probability that a crop is blurred, as by :func:`blur`, in the same products.
    sigma : tuple of float, default=(0.1, 2.0)
        Least and greatest standard deviation of that Gaussian, in new pixels.

    Returns
    -------
    view : Tensor of shape (n, channels, new_height, new_width)
        The crops.

    Raises
    ------
    ValueError
        If scale is not within (0, 1], or ratio or sigma not positive, least first.

    References
    ----------
    .. [1] Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
       https://arxiv.org/abs/1409.4842

    Examples
    --------
    >>> import torch
    >>> from skssl.views import resized_crop
    >>> resized_crop(torch.rand(5, 3, 32, 32), scale=(0.1, 0.4), size=16).shape
    torch.Size([5, 3, 16, 16])
    """
    check_images(x)
    height, width = pair((x.shape[2], x.shape[3]) if size is None else size)
    (top, left), (tall, broad) = boxes(x, scale, ratio)
    mirrored = choose_rows(x, mirror)  # read from right to left
    left, broad = torch.where(mirrored, left + broad, left), torch.where(mirrored, -broad, broad)
    rows = resampling(top, tall, x.shape[2], height)
    columns = resampling(left, broad, x.shape[3], width)
    if blurred:
        smooth_rows, smooth_columns = _smoothings(x, sigma, blurred, (height, width))
        rows, columns = product(smooth_rows, rows), product(smooth_columns, columns)
    return along_axes(x, rows, columns)


def crop_images(x: Tensor, scale: Range = (0.4, 1.0)) -> Tensor:
    """Crop a random box of each image; leave a batch that is no images as it is.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width) or (n, ...)
        A batch of images, or of anything else.
    scale : tuple of float, default=(0.4, 1.0)
        Least and greatest share of the image's area to keep, as in :func:`resized_crop`.

    Returns
    -------
    view : Tensor of the shape of x
        The crops, or x itself.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import crop_images
    >>> crop_images(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """
    return resized_crop(x, scale) if x.ndim == 4 else x


def pair(size: Size) -> tuple[int, int]:
    """Return (height, width) of a size given as one number or two."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be at least one pixel each way; got {size!r}.")
    return height, width


def boxes(
    x: Tensor, scale: Range, ratio: Range
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Draw a box in each image: (top, left) and (height, width), n numbers each, in pixels."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale must be two shares within (0, 1], least first; got {scale!r}.")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must be two positive numbers, least first; got {ratio!r}.")
    draw = uniform(x, 4)
    area = between(*scale, draw[0])
    aspect = between(math.log(ratio[0]), math.log(ratio[1]), draw[1]).exp()
    aspect = aspect.maximum(area).minimum(1 / area)  # sides of at most the image's
    tall, broad = x.shape[2] * (area / aspect).sqrt(), x.shape[3] * (area * aspect).sqrt()
    return (draw[2] * (x.shape[2] - tall), draw[3] * (x.shape[3] - broad)), (tall, broad)


def resampling(start: Tensor, length: Tensor, n_in: int, n_out: int) -> Tensor:
    """Return the weights of the old pixels in each new one, (n, n_out, n_in); rows sum to 1.

    A new pixel weighs the old ones by a triangle around its centre, as wide as the wider of the
    two pixels. A negative length reads backwards.
    """
    step = (length / n_out)[:, None, None]
    new = torch.arange(0.5, n_out, dtype=start.dtype, device=start.device)[:, None]
    old = torch.arange(0.5, n_in, dtype=start.dtype, device=start.device)
    reach = step.abs().clamp(min=1)
    weight = (start[:, None, None] + step * new) / reach - old / reach
    weight = weight.abs_().sub_(1).clamp_(max=0)  # negative like its sum: the signs cancel
    return weight.div_(weight.sum(2, keepdim=True))


def flip(x: Tensor, p: float = 0.5, vertical: float = 0.0) -> Tensor:
    """Flip random images left to right, and random images upside down.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    p : float, default=0.5
        Probability that an image is mirrored left to right.
    vertical : float, default=0.0
        Probability that an image is turned upside down.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import flip
    >>> flip(torch.tensor([[[[1.0, 2.0, 3.0]]]]), p=1.0)
    tensor([[[[3., 2., 1.]]]])
    """
    check_images(x)
    for share, axis in ((p, 3), (vertical, 2)):
        if share:
            x = torch.where(per_image(choose_rows(x, share)), x.flip(axis), x)
    return x


def quarter_turns(x: Tensor) -> Tensor:
    """Turn each image by 0, 90, 180 or 270 degrees, each as likely.

    Parameters
    ----------
    x : Tensor of shape (n, channels, side, side)
        A batch of square images.

    Returns
    -------
    view : Tensor of shape (n, channels, side, side)
        The altered copy.

    Raises
    ------
    ValueError
        If the images are not square.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import quarter_turns
    >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> any(torch.equal(quarter_turns(x), x.rot90(k, (2, 3))) for k in range(100))
    True
    """
    check_images(x)
    if x.shape[2] != x.shape[3]:
        raise ValueError(
            f"Quarter turns need square images; got {x.shape[2]} x {x.shape[3]} pixels. Crop "
            "them to squares with resized_crop(x, size=side), or use flip(x, vertical=0.5)."
        )
    turns = per_image((4 * uniform(x)).long())
    out = torch.where(turns % 2 == 1, x.rot90(1, (2, 3)), x)
    return torch.where(turns >= 2, out.flip(2, 3), out)


def rotate(x: Tensor, degrees: float = 10.0, p: float = 1.0) -> Tensor:
    """Rotate each image about its centre by a random small angle, bilinearly.

    Pixels from outside the image repeat those at the border.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    degrees : float, default=10.0
        Greatest angle, either way.
    p : float, default=1.0
        Probability that an image is rotated.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import rotate
    >>> rotate(torch.ones(2, 1, 8, 8)).allclose(torch.ones(2, 1, 8, 8))
    True
    """
    check_images(x)
    return turn(x, math.radians(degrees) * between(-1, 1, uniform(x)) * choose_rows(x, p))


def turn(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate each image about its centre by its own angle in radians, bilinearly."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    aspect = x.shape[2] / x.shape[3]  # the grid's units are half the width and half the height
    matrix = torch.stack([cos, -sin * aspect, zero, sin / aspect, cos, zero], 1).view(-1, 2, 3)
    with torch.autocast(x.device.type, enabled=False):
        grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
        out = F.grid_sample(x.to(wide(x)), grid, padding_mode="border", align_corners=False)
    return out.to(x.dtype)


def shift(x: Tensor, share: float = 0.1) -> Tensor:
    """Shift each image by a random whole number of pixels; border pixels fill the gap.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    share : float, default=0.1
        Greatest shift in each of the four directions, as a share of height or width.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    References
    ----------
    .. [1] Yarats, Kostrikov and Fergus, "Image Augmentation Is All You Need", ICLR 2021.
       https://arxiv.org/abs/2004.13649

    Examples
    --------
    >>> import torch
    >>> from skssl.views import shift
    >>> shift(torch.eye(8)[None, None], share=0.25).shape
    torch.Size([1, 1, 8, 8])
    """
    check_images(x)
    taken = []
    for draw, side in zip(uniform(x, 2), x.shape[2:], strict=True):
        most = int(share * side)
        way = ((2 * most + 1) * draw).long() - most
        to = torch.arange(side, device=x.device)
        source = (to - way[:, None]).clamp(0, side - 1)
        taken.append((source[:, :, None] == to).to(wide(x)))
    return along_axes(x, *taken)


def blur(x: Tensor, sigma: Range = (0.1, 2.0), p: float = 0.5) -> Tensor:
    """Blur random images with a Gaussian; at the border it averages over the pixels there are.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    sigma : tuple of float, default=(0.1, 2.0)
        Least and greatest standard deviation of the Gaussian, in pixels.
    p : float, default=0.5
        Probability that an image is blurred.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import blur
    >>> x = torch.randn(4, 1, 16, 16)
    >>> bool(blur(x, sigma=(1.0, 2.0), p=1.0).std() < 0.5 * x.std())
    True
    """
    check_images(x)
    return along_axes(x, *_smoothings(x, sigma, p, (x.shape[2], x.shape[3])))


def _smoothings(x: Tensor, sigma: Range, p: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw a Gaussian for random images, and return its weights for rows and for columns."""
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be two positive numbers, least first; got {sigma!r}.")
    spread = torch.where(
        choose_rows(x, p), between(*sigma, uniform(x)), 0.02
    )  # 0.02 changes nothing
    rows = smoothing(spread, size[0])
    return rows, rows if size[0] == size[1] else smoothing(spread, size[1])


def smoothing(spread: Tensor, side: int) -> Tensor:
    """Return Gaussian weights between the pixels of a row, (n, side, side); rows sum to 1."""
    at = torch.arange(side, dtype=spread.dtype, device=spread.device)
    distance = at[:, None] - at
    exponent = (distance / spread[:, None, None]).square_().mul_(-0.5)
    weight = exponent.clamp_(min=-50).exp_()  # denormal numbers would make the product crawl
    return weight.div_(weight.sum(2, keepdim=True))


def erase(
    x: Tensor, scale: Range = (0.02, 0.33), ratio: Range = (0.3, 10 / 3), p: float = 0.5
) -> Tensor:
    """Set a random box of random images to 0, the mean of standardised pixels.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    scale : tuple of float, default=(0.02, 0.33)
        Least and greatest share of the image's area to erase.
    ratio : tuple of float, default=(0.3, 10/3)
        Least and greatest ratio of width to height; the whole image has ratio 1.
    p : float, default=0.5
        Probability that an image loses a box.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    References
    ----------
    .. [1] Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
       https://arxiv.org/abs/1708.04896

    Examples
    --------
    >>> import torch
    >>> from skssl.views import erase
    >>> view = erase(torch.ones(1, 1, 50, 50), scale=(0.5, 0.5), p=1.0)
    >>> bool(0.4 < view.mean() < 0.6)
    True
    """
    check_images(x)
    start, length = boxes(x, scale, ratio)
    inside = []
    for low, long, side in zip(start, length, x.shape[2:], strict=True):
        at = torch.arange(0.5, side, dtype=low.dtype, device=x.device) - low[:, None]
        inside.append((at >= 0) & (at < long[:, None]))
    box = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x.masked_fill(box & per_image(choose_rows(x, p)), 0.0)
