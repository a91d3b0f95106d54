"""Views of video: runs of frames, and image views that alter all frames of a clip alike."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from skssl.views._batches import uniform
from skssl.views._colors import color_jitter
from skssl.views._lists import Compose, View, _source_of
from skssl.views._presets import ImagePreset, image_views


def random_run(x: Tensor, n_frames: int = 2) -> Tensor:
    """Cut a random run of consecutive frames out of each clip.

    Parameters
    ----------
    x : Tensor of shape (n, time, channels, height, width)
        A batch of clips.
    n_frames : int, default=2
        Number of frames in a run.

    Returns
    -------
    view : Tensor of shape (n, n_frames, channels, height, width)
        The runs.

    Raises
    ------
    ValueError
        If the clips have fewer frames.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import random_run
    >>> random_run(torch.zeros(3, 12, 1, 8, 8), n_frames=4).shape
    torch.Size([3, 4, 1, 8, 8])
    """
    check_clips(x)
    if x.shape[1] < n_frames:
        raise ValueError(
            f"A run of {n_frames} frames is to be cut out of clips of {x.shape[1]}. Pass longer "
            "clips, or ask for shorter runs."
        )
    start = (uniform(x) * (x.shape[1] - n_frames + 1)).long()
    frame = start[:, None] + torch.arange(n_frames, device=x.device)
    return x[torch.arange(len(x), device=x.device)[:, None], frame]


def check_clips(x: Tensor) -> None:
    """Raise unless x is a float batch (n, time, channels, height, width)."""
    if x.ndim != 5 or not x.is_floating_point():
        raise ValueError(
            "Views of clips read a float batch (n, time, channels, height, width); got "
            f"{tuple(x.shape)}, {x.dtype}. Scale bytes to floats first."
        )


@dataclass(frozen=True, repr=False)
class Alike:
    """An image view as a view of clips: all frames of a clip are altered alike.

    Parameters
    ----------
    view : callable
        Maps a batch of images to an altered batch, each image independently.
    colors : bool, default=False
        Whether the view mixes the channels of a pixel. The frames of a clip are then stacked
        vertically, not as channels, and must keep their size.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import Alike, flip
    >>> x = torch.rand(4, 6, 3, 8, 8)
    >>> view = Alike(flip)(x)
    >>> mirrored = (view != x).flatten(2).any(2)  # (clips, frames)
    >>> bool((mirrored == mirrored[:, :1]).all())
    True
    """

    view: View
    colors: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        check_clips(x)
        if self.colors:
            tall = self.view(x.movedim(1, 2).flatten(2, 3))
            return tall.unflatten(2, (x.shape[1], x.shape[3])).movedim(2, 1)
        return self.view(x.flatten(1, 2)).unflatten(1, x.shape[1:3])

    def __repr__(self) -> str:
        return f"Alike({_source_of(self.view)})"


def clip_views(preset: ImagePreset, shape: tuple[int, ...], n_frames: int = 2) -> Compose:
    """Return a chain of views for clips: a random run of frames, altered like an image.

    Parameters
    ----------
    preset : {"weak", "strong", "no_flip", "rotations"}
        The alteration of all frames of a run: see :func:`image_views`.
    shape : tuple of int
        (time, channels, height, width) of a clip.
    n_frames : int, default=2
        Number of frames in a run; shorter clips are kept whole.

    Returns
    -------
    view : Compose
        From a batch to an altered batch.

    Examples
    --------
    >>> from skssl.views import clip_views
    >>> clip_views("weak", (12, 1, 28, 28))
    Compose(random_run(n_frames=2), Alike(resized_crop(scale=(0.6, 1.0), mirror=0.5)))
    """
    if len(shape) != 4:
        raise ValueError(f"shape must be (time, channels, height, width); got {tuple(shape)!r}.")
    chain = image_views(preset, tuple(shape[1:])).functions
    alike = (Alike(view, getattr(view, "func", view) is color_jitter) for view in chain)
    return Compose((partial(random_run, n_frames=min(n_frames, shape[0])), *alike))
