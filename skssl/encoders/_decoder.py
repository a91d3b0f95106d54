"""Decoders from embeddings to images."""

import math

from torch import Tensor, channels_last, nn

from skssl.encoders._resnet import convolution

SMALLEST = 4  # pixels per side of the first map


class Decoder(nn.Module):
    """Convolutions that repeatedly double an image, starting from about 4 x 4 pixels.

    Each convolution is followed by a pixel shuffle of four channels into a square of four
    pixels, so that all arithmetic is done on the smaller image.

    Parameters
    ----------
    n_components : int
        Width of the embedding.
    n_channels : int
        Number of channels of the image.
    size : (int, int)
        Height and width of the image.
    n_filters : int, default=64
        Number of channels at the smallest size; each doubling halves it.

    Shape
    -----
    (n, n_components) -> (n, n_channels, *size)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import Decoder
    >>> Decoder(16, 3, (28, 20))(torch.zeros(5, 16)).shape
    torch.Size([5, 3, 28, 20])
    """

    def __init__(
        self, n_components: int, n_channels: int, size: tuple[int, int], n_filters: int = 64
    ):
        super().__init__()
        height, width = self.size = size
        n_doublings = max(0, round(math.log2(min(size) / SMALLEST)))
        start = (math.ceil(height / 2**n_doublings), math.ceil(width / 2**n_doublings))
        self.first = nn.Sequential(
            nn.Linear(n_components, n_filters * start[0] * start[1], bias=False),
            nn.Unflatten(1, (n_filters, *start)),
            nn.BatchNorm2d(n_filters),
            nn.ReLU(inplace=True),
        )
        doublings: list[nn.Module] = []
        for _ in range(n_doublings):
            n_in, n_filters = n_filters, max(8, n_filters // 2)
            doublings += [convolution(n_in, 4 * n_filters, 3), nn.PixelShuffle(2)]
        self.rest = nn.Sequential(*doublings, nn.Conv2d(n_filters, n_channels, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        height, width = self.size
        return self.rest(self.first(z))[:, :, :height, :width]


class Generator(Decoder):
    """A decoder whose pixels have the range that each channel has in X, at any input.

    Parameters
    ----------
    width : int
        Number of random numbers that an image is made from.
    X : Tensor of shape (n, n_channels, height, width)
        Images of which the range of each channel, and the shape, are used.
    n_filters : int, default=64
        As in :class:`Decoder`.

    Shape
    -----
    (n, width) -> (n, n_channels, height, width)
    """

    _saved_as = "Generator"
    low: Tensor
    range: Tensor

    def __init__(self, width: int, X: Tensor, n_filters: int = 64):
        super().__init__(width, X.shape[1], (X.shape[2], X.shape[3]), n_filters)
        self.width = width
        low, high = X.amin((0, 2, 3))[:, None, None], X.amax((0, 2, 3))[:, None, None]
        self.register_buffer("low", low)
        self.register_buffer("range", high - low)
        # channels-last weights give channels-last maps, on which convolutions are faster
        self.to(memory_format=channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor) -> Tensor:
        return self.low + self.range * super().forward(z).float().sigmoid()
