"""Views of images that alter the values of pixels and leave them where they are.

Images are standardised: 0 is the training images' mean and 1 their standard deviation, channel
by channel. Strengths are in these units, and nothing is clipped to a range of colours.
"""

import math

import torch
from torch import Tensor

from skssl._data._draws import randn
from skssl.views._batches import between, check_images, choose_rows, per_image, uniform, wide


def color_jitter(
    x: Tensor,
    brightness: float = 0.8,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    p: float = 0.8,
    grey: float = 0.0,
) -> Tensor:
    """Alter brightness, contrast, saturation and hue of random images, each at random.

    All changes of an image together are one affine map of its colours. Saturation, hue and grey
    apply to images of three channels only.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of standardised images.
    brightness : float, default=0.8
        Greatest number of standard deviations that is added to or subtracted from all channels.
    contrast : float, default=0.4
        Stretch the distance from the image's mean, channel by channel, by a factor of
        1 +- contrast.
    saturation : float, default=0.4
        Stretch the distance from grey, the mean of a pixel's channels, by a factor of
        1 +- saturation.
    hue : float, default=0.1
        Turn colours about the grey axis by at most this share of a full turn, either way.
    p : float, default=0.8
        Probability that an image is altered.
    grey : float, default=0.0
        Probability, independent of p, that an image loses its colour, as by :func:`grayscale`.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
       Visual Representations", ICML 2020. https://arxiv.org/abs/2002.05709

    Examples
    --------
    >>> import torch
    >>> from skssl.views import color_jitter
    >>> x = torch.randn(2, 3, 4, 4)
    >>> view = color_jitter(x, brightness=0.0, contrast=0.0)  # colours turn about the grey axis
    >>> view.mean(1).allclose(x.mean(1), atol=1e-5)
    True
    """
    check_images(x)
    draw = between(-1, 1, uniform(x, 4)) * choose_rows(x, p)
    added, gain = brightness * draw[0][:, None, None], 1 + contrast * draw[1][:, None, None]
    pixels = x.flatten(2).to(wide(x))
    mean = pixels.mean(2, keepdim=True)
    if x.shape[1] != 3:
        return torch.addcmul(added + (1 - gain) * mean, gain, pixels).view(x.shape).to(x.dtype)
    spread = (1 + saturation * draw[2]) * ~choose_rows(x, grey)
    colors = color_matrices(spread, 2 * math.pi * hue * draw[3])
    with torch.autocast(x.device.type, enabled=False):
        offset = added + (1 - gain) * (colors @ mean)
        out = torch.baddbmm(offset, gain * colors, pixels)
    return out.view(x.shape).to(x.dtype)


def color_matrices(saturation: Tensor, angle: Tensor) -> Tensor:
    """Return the maps (n, 3, 3) that scale the distance from the grey axis and turn about it."""
    along, across = saturation * angle.cos(), saturation * angle.sin() / math.sqrt(3)
    same, left, right = (1 + 2 * along) / 3, (1 - along) / 3 - across, (1 - along) / 3 + across
    rows = [same, left, right, right, same, left, left, right, same]
    return torch.stack(rows, 1).view(-1, 3, 3)


def grayscale(x: Tensor, p: float = 0.2) -> Tensor:
    """Remove the colour of random images: each channel becomes the mean of all three.

    Parameters
    ----------
    x : Tensor of shape (n, 3, height, width)
        A batch of standardised images.
    p : float, default=0.2
        Probability that an image loses its colour.

    Returns
    -------
    view : Tensor of shape (n, 3, height, width)
        The altered copy.

    Raises
    ------
    ValueError
        If the images do not have three channels.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import grayscale
    >>> grayscale(torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1), p=1.0).flatten()
    tensor([3., 3., 3.])
    """
    check_images(x)
    if x.shape[1] != 3:
        raise ValueError(
            f"grayscale reads images of 3 channels; got {x.shape[1]}. Leave it out, or mix "
            "channels of other images with a function of your own."
        )
    grey = x.mean(1, keepdim=True).to(x.dtype)
    return torch.where(per_image(choose_rows(x, p)), grey, x)


def solarize(x: Tensor, p: float = 0.2, threshold: float = 0.0) -> Tensor:
    """Invert the pixels above a threshold in random images.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of standardised images.
    p : float, default=0.2
        Probability that an image is altered.
    threshold : float, default=0.0
        Values above it are reflected at it; in standard deviations from the mean.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    References
    ----------
    .. [1] Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020.
       https://arxiv.org/abs/2006.07733

    Examples
    --------
    >>> import torch
    >>> from skssl.views import solarize
    >>> solarize(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3), p=1.0).flatten()
    tensor([-1.0000, -0.5000, -2.0000])
    """
    check_images(x)
    turned = choose_rows(x, p)
    return torch.where(per_image(turned) & (x > threshold), 2 * threshold - x, x)


def add_noise(x: Tensor, std: tuple[float, float] = (0.0, 0.2), p: float = 1.0) -> Tensor:
    """Add Gaussian noise of random strength to random images.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of standardised images.
    std : tuple of float, default=(0.0, 0.2)
        Least and greatest strength of the noise, in standard deviations of the pixels.
    p : float, default=1.0
        Probability that an image is altered.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import add_noise
    >>> view = add_noise(torch.zeros(1, 1, 100, 100), std=(0.5, 0.5))
    >>> bool(0.48 < view.std() < 0.52)
    True
    """
    check_images(x)
    strength = between(*std, uniform(x)) * choose_rows(x, p)
    noise = randn(x.shape, dtype=x.dtype, device=x.device)
    return torch.addcmul(x, per_image(strength).to(x.dtype), noise)
