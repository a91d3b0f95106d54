"""Encoders of video, built from encoders of images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skssl import _compat
from skssl.encoders._build import user_module
from skssl.encoders._image import ImageScaler, image_encoder
from skssl.encoders._resnet import convolution
from skssl.encoders._series import Pooling, pool


class VideoEncoder(nn.Module):
    """An image encoder that reads a clip by runs of consecutive frames.

    The frames of a run are stacked as the channels of one image, so that already the first layer
    sees motion and its direction.

    Parameters
    ----------
    frames : module
        Maps images (n, context * n_channels, height, width) to (n, width).
    context : int, default=2
        Number of frames in a run. 1 applies an encoder of single images frame by frame.
    pooling : {"mean", "max"} or None, default="mean"
        How the runs of a clip become one row; None is the mean.

    Shape
    -----
    (n, time, n_channels, height, width) -> (n, width)

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import ResNet, VideoEncoder
    >>> net = VideoEncoder(ResNet(6, widths=(8, 16), n_blocks=(0, 1)), context=2)
    >>> x = torch.zeros(5, 7, 3, 16, 16)
    >>> net(x).shape, net.sequence(x).shape
    (torch.Size([5, 16]), torch.Size([5, 7, 16]))
    """

    def __init__(self, frames: nn.Module, context: int = 2, pooling: Pooling = "mean"):
        super().__init__()
        self.frames = frames
        self.context, self.pooling = context, pooling

    def sequence(self, x: Tensor) -> Tensor:
        """Return one vector per frame, (n, time, width), of the run that ends there.

        The first frame is repeated where a run would begin before it.
        """
        front = x[:, :1].expand(-1, self.context - 1, -1, -1, -1)
        return self._rows(torch.cat([front, x], 1))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of runs (n, context, ...) by ``frames.maps``."""
        return self.frames.maps(x.flatten(1, 2))  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        if _compat.is_exporting():  # the same without a branch on the length
            place = torch.arange(x.shape[1])
            kept = place >= place[-1:].clamp(max=self.context - 1)
            return pool(self.sequence(x), kept.expand(x.shape[0], -1), self.pooling)
        rows = self._rows(x) if x.shape[1] >= self.context else self.sequence(x)[:, -1:]
        return rows.amax(1) if self.pooling == "max" else rows.mean(1)

    def _rows(self, x: Tensor) -> Tensor:
        stacked = runs(x, self.context)
        return self.frames(stacked.flatten(0, 1)).unflatten(0, stacked.shape[:2])


def runs(x: Tensor, context: int) -> Tensor:
    """Return all runs of frames, stacked: (n, time - context + 1, context * channels, ...)."""
    return x.unfold(1, context, 1).movedim(-1, 2).flatten(2, 3)


def video_scaler(X: Tensor, columns: object = None) -> ImageScaler:
    """Build a scaler that standardises each channel over all frames of X (n, time, ...)."""
    return ImageScaler(X.flatten(0, 1))


def video_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: object,
    n_components: int,
    context: int = 2,
    pooling: Pooling = "mean",
) -> nn.Module:
    """Build the encoder of clips.

    Parameters
    ----------
    encoder : "auto", "resnet18", "vit", module or callable
        A name is that of an image encoder, which reads runs of frames in a
        :class:`VideoEncoder`. A module is copied. A callable receives scaled clips and returns
        a module.
    X : Tensor of shape (n, time, n_channels, height, width)
        Scaled training clips.
    columns : None
        Ignored; only tables have columns.
    n_components : int
        Width of the embedding of an encoder given by its name.
    context : int, default=2
        Number of frames in a run.
    pooling : {"mean", "max"} or None, default="mean"
        How the runs of a clip become one row.

    Returns
    -------
    encoder : module
        Maps (n, time, n_channels, height, width) to (n, n_components).
    """
    if not isinstance(encoder, str):
        return user_module(encoder, X[:256])
    image = X[:1, 0].repeat(1, context, 1, 1)
    return VideoEncoder(image_encoder(encoder, image, columns, n_components), context, pooling)


class FramePredictor(nn.Module):
    """The decoder of a U-net: from the feature maps of a run of frames to the next frame.

    It predicts the difference between the next frame and the last one, initially zero.

    Parameters
    ----------
    maps : list of Tensor of shape (n, width, height, width)
        Maps of a run, the largest first; only their shapes are used.
    X : Tensor of shape (n, context, n_channels, height, width)
        Runs of frames, of which only the shape is used.

    Shape
    -----
    (n, context, n_channels, height, width), maps -> (n, n_channels, height, width)

    References
    ----------
    .. [1] Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
       Segmentation", MICCAI 2015. https://arxiv.org/abs/1505.04597
    """

    def __init__(self, maps: list[Tensor], X: Tensor):
        super().__init__()
        below, ups = maps[-1].shape[1], []
        for beside in maps[-2::-1]:
            width = max(16, beside.shape[1] // 2)  # half the encoder's width, to save time
            ups.append(convolution(below + beside.shape[1], width, 3))
            below = width
        self.ups = nn.ModuleList(ups)
        n_channels, n_stacked = X.shape[2], X.shape[1] * X.shape[2]
        self.top = convolution(below + n_stacked, 16, 3)
        self.residual = nn.Conv2d(16, n_channels, 3, padding=1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, run: Tensor, maps: list[Tensor]) -> Tensor:
        h = maps[-1]
        for up, beside in zip(self.ups, maps[-2::-1], strict=True):
            h = up(torch.cat([_at(h, beside), beside], 1))
        h = self.top(torch.cat([_at(h, run), run.flatten(1, 2).to(h.dtype)], 1))
        return run[:, -1] + self.residual(h)


@torch.no_grad()
def maps_of(encoder: Any, run: Tensor) -> list[Tensor]:
    """Return the feature maps of runs of frames (n, context, ...), in evaluation mode.

    Raises
    ------
    ValueError
        If the encoder has no feature maps.
    """
    if not hasattr(getattr(encoder, "frames", encoder), "maps"):
        raise ValueError(
            "NextFrame needs an encoder with maps(x), its feature maps of a run of frames; "
            f"{type(getattr(encoder, 'frames', encoder)).__name__} has none. Pass encoder='auto' "
            "or 'resnet18', or a skssl.encoders.VideoEncoder of a net that has maps(x)."
        )
    maps = encoder.eval().maps(run)
    encoder.train()
    return maps


def go_on(encoder: Any, predictor: nn.Module, run: Tensor, n_frames: int) -> Tensor:
    """Predict the frames that follow each run, one from those before it."""
    frames = run
    for _ in range(n_frames):
        last = frames[:, -run.shape[1] :]
        frames = torch.cat([frames, predictor(last, encoder.maps(last))[:, None]], 1)
    return frames[:, -n_frames:]


def _at(h: Tensor, like: Tensor) -> Tensor:
    """Resize maps to the height and width of others."""
    return nn.functional.interpolate(h, like.shape[-2:])
