"""Residual convolutional nets for small images."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skssl.encoders._mlp import NARROW


class ResNet(nn.Module):
    """Residual net with a 3x3 stem, without max-pooling, for images of about 8 to 100 pixels.

    Each stage but the first halves height and width. The embedding is the mean over the last
    feature map, or over each cell of a coarse grid on it, so the net reads images of other sizes,
    such as small crops, as well.

    Parameters
    ----------
    n_channels : int
        Number of channels of an image.
    widths : sequence of int, default=(64, 128, 256, 512)
        Number of channels of each stage.
    n_blocks : sequence of int, default=(2, 2, 2, 2)
        Number of residual blocks of each stage, of two 3x3 convolutions each. The first may be
        0: then only the stem works at full resolution, which is cheap.
    n_components : int, default=None
        Width of the embedding. If the means of the last stage have another width, a 1x1
        convolution is added before the mean, without ReLU if there are fewer than 8. None keeps
        their width.
    stem_stride : int, default=1
        With 2 the stem halves height and width, too, which is several times cheaper.
    grid : int, default=1
        Number of rows and columns of the grid whose cells are averaged separately and
        concatenated. ``n_components`` must be a multiple of its square.

    Shape
    -----
    (n, n_channels, height, width) -> (n, n_components)

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
       https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import ResNet
    >>> net = ResNet(3, widths=(16, 32), n_blocks=(1, 1), n_components=64)
    >>> x = torch.zeros(5, 3, 32, 32)
    >>> net(x).shape
    torch.Size([5, 64])
    >>> [tuple(stage.shape) for stage in net.maps(x)]
    [(5, 16, 32, 32), (5, 32, 16, 16), (5, 64, 16, 16)]
    """

    def __init__(
        self,
        n_channels: int,
        widths: Sequence[int] = (64, 128, 256, 512),
        n_blocks: Sequence[int] = (2, 2, 2, 2),
        n_components: int | None = None,
        stem_stride: int = 1,
        grid: int = 1,
    ):
        super().__init__()
        self.grid = grid
        n_parts = grid**2
        if n_components is not None and n_components % n_parts:
            raise ValueError(
                f"n_components={n_components} must be a multiple of {n_parts}, the parts of a grid "
                f"of {grid} x {grid}."
            )
        self.stem = convolution(n_channels, widths[0], 3, stem_stride)
        stages = [_stage(widths[0], widths[0], n_blocks[0], stride=1)]
        rest = zip(itertools.pairwise(widths), n_blocks[1:], strict=True)
        stages += [_stage(n_in, n_out, n, stride=2) for (n_in, n_out), n in rest]
        if n_components not in (None, n_parts * widths[-1]):
            is_wide = n_components >= NARROW
            stages.append(convolution(widths[-1], n_components // n_parts, 1, activated=is_wide))
        self.stages = nn.ModuleList(stages)
        # channels-last weights give channels-last maps, on which convolutions are faster
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of each stage; the embedding is the means of the last.

        Returns
        -------
        maps : list of Tensor of shape (n, width, height, width)
            One per stage, and one more if ``n_components`` required a 1x1 convolution.
        """
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the means of each stage's maps, (n, width), and last the embedding."""
        *lower, last = self.maps(x)
        return [*(stage.mean((2, 3)) for stage in lower), self._embed(last)]

    def forward(self, x: Tensor) -> Tensor:
        return self._embed(self.maps(x)[-1])

    def _embed(self, last: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(last, self.grid).flatten(1)


class Residual(nn.Module):
    """Two 3x3 convolutions whose output is added to the input, or to a projection of it.

    Shape
    -----
    (n, n_in, height, width) -> (n, n_out, height / stride, width / stride), rounded up
    """

    _saved_as = "Residual"

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.first = convolution(n_in, n_out, 3, stride)
        self.second = convolution(n_out, n_out, 3, activated=False)
        same = n_in == n_out and stride == 1
        project = None if same else convolution(n_in, n_out, 1, stride, activated=False)
        self.shortcut = project or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x)) + self.shortcut(x)).relu_()


def convolution(
    n_in: int, n_out: int, size: int, stride: int = 1, activated: bool = True
) -> nn.Sequential:
    """Make a padded convolution with batch normalisation and, if ``activated``, ReLU."""
    linear = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
    norm = nn.BatchNorm2d(n_out)
    return (
        nn.Sequential(linear, norm, nn.ReLU(inplace=True))
        if activated
        else nn.Sequential(linear, norm)
    )


def _stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> nn.Sequential:
    shapes = [(n_in, n_out, stride), *[(n_out, n_out, 1)] * (n_blocks - 1)]
    return nn.Sequential(*(Residual(*shape) for shape in shapes[:n_blocks]))
