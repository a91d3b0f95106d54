"""Spectral normalisation, and discriminators of images that have it."""

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # of the leaky ReLU, as in the paper


class _Spectral(nn.Module):
    """A layer whose weight is divided by its greatest singular value."""

    weight: Tensor
    u: Tensor

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.register_buffer("u", F.normalize(torch.randn(len(self.weight)), dim=0))

    def normalised(self) -> Tensor:
        """Return the weight over its norm; a batch in training takes a step of power iteration."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                v = F.normalize(matrix.T @ self.u, dim=0)
                u = F.normalize(matrix @ v, dim=0)
                if self.training:
                    self.u.copy_(u)
            norm = u @ (matrix @ v)
            return self.weight / norm.clamp(min=1e-12)


class SpectralConv2d(_Spectral, nn.Conv2d):
    """A convolution with spectral normalisation."""

    _saved_as = "SpectralConv2d"

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.normalised(), self.bias)


class SpectralLinear(_Spectral, nn.Linear):
    """A linear layer with spectral normalisation."""

    _saved_as = "SpectralLinear"

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normalised(), self.bias)


class SpectralNet(nn.Module):
    """Convolutions with spectral normalisation that halve an image down to about 4 x 4 pixels.

    It has no batch normalisation, by which a discriminator could compare the rows of a batch. If
    ``n_components`` is a multiple of 4 and at least 64, each quarter of the image has its own part
    of the embedding.

    Parameters
    ----------
    n_channels : int
        Number of channels of an image.
    size : (int, int)
        Height and width of an image.
    n_components : int, default=256
        Width of the embedding.
    n_filters : int, default=32
        Number of channels after the first halving; each further one doubles it.

    Shape
    -----
    (n, n_channels, height, width) -> (n, n_components)

    References
    ----------
    .. [1] Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative
       Adversarial Networks", ICLR 2018. https://arxiv.org/abs/1802.05957

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import SpectralNet
    >>> net = SpectralNet(3, (28, 28), n_components=64)
    >>> net(torch.zeros(5, 3, 28, 28)).shape
    torch.Size([5, 64])
    >>> torch.linalg.matrix_norm(net.stack[0].normalised().flatten(1), 2) < 1.2
    tensor(True)
    """

    def __init__(
        self,
        n_channels: int,
        size: tuple[int, int],
        n_components: int = 256,
        n_filters: int = 32,
    ):
        super().__init__()
        if min(size) < 2:
            raise ValueError(
                f"A SpectralNet reads images of at least 2 pixels a side, got "
                f"{size[0]} x {size[1]}. Pad them."
            )
        self.grid = 2 if n_components % 4 == 0 and n_components >= 64 else 1
        n_halvings = max(1, round(math.log2(min(size) / 4)))
        widths = [n_channels, *(n_filters << i for i in range(n_halvings))]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [SpectralConv2d(n_in, n_out, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        last = SpectralConv2d(widths[-1], n_components // self.grid**2, 3, 1, 1)
        self.stack = nn.Sequential(*layers, last, nn.LeakyReLU(SLOPE))
        # channels-last weights give channels-last maps, on which convolutions are faster
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        maps = self.stack(x)
        n_summed = maps.shape[2] * maps.shape[3] / self.grid**2
        return F.adaptive_avg_pool2d(maps, self.grid).flatten(1) * n_summed


class TurnCritic(nn.Module):
    """A discriminator that also tells the quarter turn of an image."""

    _saved_as = "TurnCritic"

    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder = encoder
        self.score, self.turn = SpectralLinear(width, 1), SpectralLinear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores and, beside them, the logits of the four turns, (n, 5)."""
        z = self.encoder(x)
        return torch.cat([self.score(z), self.turn(z)], 1).float()


class PairCritic(nn.Module):
    """A discriminator of pairs of an image and its embedding."""

    _saved_as = "PairCritic"

    def __init__(self, width: int, X: Tensor, n_hidden: int = 256):
        super().__init__()
        self.image = SpectralNet(X.shape[1], (X.shape[2], X.shape[3]), n_hidden)
        self.code = nn.Sequential(SpectralLinear(width, n_hidden), nn.LeakyReLU(SLOPE))
        self.pair = nn.Sequential(
            SpectralLinear(2 * n_hidden, n_hidden),
            nn.LeakyReLU(SLOPE),
            SpectralLinear(n_hidden, n_hidden),
            nn.LeakyReLU(SLOPE),
            SpectralLinear(n_hidden, 1),
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.pair(torch.cat([self.image(x), self.code(z)], 1)).float()[:, 0]
