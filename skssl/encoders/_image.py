"""Scaler and encoders of images."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from skssl.encoders._build import check_name, user_module
from skssl.encoders._resnet import ResNet
from skssl.encoders._vit import ViT

NUMBERS_AT_ONCE = 2**22  # pixels per chunk in which statistics are computed


class ImageScaler(nn.Module):
    """Subtract each channel's mean and divide by its standard deviation.

    A channel that is constant in ``X`` becomes 0 everywhere.

    Parameters
    ----------
    X : Tensor of shape (n, n_channels, height, width)
        Images to learn from, bytes or floats.
    columns : None
        Ignored; only tables have columns.
    subsample : int, default=10_000
        Greatest number of images to learn from, evenly spaced.

    Shape
    -----
    (n, n_channels, height, width) of bytes or floats -> the same in float32

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import ImageScaler
    >>> x = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(1, 1, 2, 2)
    >>> scaler = ImageScaler(x)
    >>> scaler(x).flatten()
    tensor([-1.3416, -0.4472,  0.4472,  1.3416])
    >>> scaler.inverse(scaler(x)).flatten()
    tensor([10., 20., 30., 40.])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, X: Tensor, columns: object = None, subsample: int = 10_000):
        super().__init__()
        images = X[:: max(1, math.ceil(len(X) / subsample))]
        mean = _channel_mean(images, lambda pixels: pixels)
        std = _channel_mean(images, lambda pixels: (pixels - mean).square()).sqrt()
        scale = torch.where(std > 1e-9 * mean.abs(), 1 / std, 0.0)
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean).mul_(self.scale).float()

    def inverse(self, z: Tensor) -> Tensor:
        """Map scaled images back to the user's units, in float32."""
        return torch.where(self.scale > 0, z / self.scale, 0.0) + self.mean


def _channel_mean(images: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the mean of a function of pixels, (n_channels, 1, 1), in float64."""
    chunks = images.split(max(1, NUMBERS_AT_ONCE // images[0].numel()))
    sums = [of(chunk.double()).sum((0, 2, 3), keepdim=True)[0] for chunk in chunks]
    return torch.stack(sums).sum(0) * (images.shape[1] / images.numel())


def small_resnet(X: Tensor, n_components: int) -> ResNet:
    """Build a small residual net for CPUs, whose depth follows the size of the images.

    Stages halve the image down to about 4 x 4 pixels. The last stage has 128 channels, and each
    stage before it half as many: 0.3 to 0.4 million parameters. Full resolution is the most
    expensive: there, a net for images of 24 pixels or more has only its stem. If ``n_components``
    is a multiple of 4 and at least 64, each quarter of the image has its own part of the
    embedding.

    Parameters
    ----------
    X : Tensor of shape (n, n_channels, height, width)
        Images, of which only the shape is used.
    n_components : int
        Width of the embedding.

    Returns
    -------
    net : ResNet
        Maps (n, n_channels, height, width) to (n, n_components).

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import small_resnet
    >>> x = torch.zeros(2, 1, 28, 28)
    >>> [tuple(stage.shape[1:]) for stage in small_resnet(x, 256).maps(x)]
    [(16, 28, 28), (32, 14, 14), (64, 7, 7), (128, 4, 4), (64, 4, 4)]
    """
    n_halvings = max(1, round(math.log2(min(X.shape[2:]) / 4)))
    n_stages = min(n_halvings, 3)
    widths = [128 >> i for i in reversed(range(n_stages + 1))]
    n_blocks = [int(n_stages < 3), *[1] * n_stages]
    grid = 2 if n_components % 4 == 0 and n_components >= 64 else 1
    return ResNet(X.shape[1], widths, n_blocks, n_components, 1 + (n_halvings > 3), grid)


def image_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: object,
    n_components: int,
) -> nn.Module:
    """Build the encoder of images.

    Parameters
    ----------
    encoder : "auto", "resnet18", "vit", module or callable
        ``"auto"`` is :func:`small_resnet`, ``"resnet18"`` a :class:`ResNet` of 11 million
        parameters (as published where ``n_components`` is 512), ``"vit"`` a :class:`ViT` of
        that width. A module is copied. A callable receives scaled images and returns a module.
    X : Tensor of shape (n, n_channels, height, width)
        Scaled training images.
    columns : None
        Ignored; only tables have columns.
    n_components : int
        Width of the embedding of an encoder given by its name.

    Returns
    -------
    encoder : module
        Maps (n, n_channels, height, width) to (n, n_components).
    """
    check_name(encoder, "images", ("auto", "resnet18", "vit"))
    if not isinstance(encoder, str):
        return user_module(encoder, X[:256])
    if encoder == "vit":
        return ViT(X.shape[1], (X.shape[2], X.shape[3]), width=n_components)
    if encoder == "resnet18":
        return ResNet(X.shape[1], n_components=n_components)
    return small_resnet(X, n_components)
