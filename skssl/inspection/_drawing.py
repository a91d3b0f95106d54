"""Drawing helpers of the Displays: colours, axes, rows of images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skssl._compat import import_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

BLUE, ORANGE, PALE = "#0072B2", "#E69F00", "#E8E8E8"  # of Okabe and Ito, colour-blind safe


def axes_or_new(ax: "Axes | None", width: float, height: float) -> "Axes":
    """Return the given axes, or those of a new figure of the given size in inches."""
    plt = import_pyplot()
    if ax is None:
        ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
    return ax


def check_channels(channels: int | Sequence[int] | None, n_channels: int) -> list[int] | None:
    """Return the one or three channels to show; None is the mean of all."""
    if channels is None:
        return [0, 1, 2] if n_channels == 3 else None
    chosen = np.atleast_1d(np.asarray(channels))
    known = chosen.dtype.kind in "iu" and chosen.ndim == 1 and len(chosen) in (1, 3)
    if not known or not all(-n_channels <= c < n_channels for c in chosen):
        raise ValueError(
            "channels must be one channel, or three to show as red, green and blue, out of the "
            f"{n_channels} there are, counted from 0; got {channels!r}."
        )
    return chosen.tolist()


def to_colors(
    images: np.ndarray,
    channels: int | Sequence[int] | None = None,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Convert images to colours between 0 and 1.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
        Images to show.
    channels : None, int or sequence of three int, default=None
        Channels to show. None is all channels if there are three, else their mean in grey.
    limits : (float, float), default=None
        Values shown as black and as white; None is the least and the greatest value.

    Returns
    -------
    colors : ndarray of shape (n, height, width, 4)
        Red, green, blue and opacity, which is 0 where a pixel is NaN.
    """
    pixels = pick_channels(images, channels)
    low, high = limits or (float(np.nanmin(pixels)), float(np.nanmax(pixels)))
    colors = ((pixels - low) / max(high - low, 1e-12)).clip(0, 1)
    seen = ~np.isnan(colors).any(-1, keepdims=True)
    red_green_blue = np.broadcast_to(np.nan_to_num(colors), (*colors.shape[:3], 3))
    return np.concatenate([red_green_blue, seen.astype(colors.dtype)], -1)


def pick_channels(images: np.ndarray, channels: int | Sequence[int] | None) -> np.ndarray:
    """Return the one or three channels to show, as floats."""
    chosen = check_channels(channels, images.shape[-1])
    return (images.mean(-1, keepdims=True) if chosen is None else images[..., chosen]) * 1.0


def mosaic(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrange rows of images on one transparent canvas; smaller images are centred.

    Parameters
    ----------
    rows : sequence of ndarray of shape (n, height, width, 4)
        Images from left to right; sizes may differ from row to row.

    Returns
    -------
    ground : ndarray of shape (total_height, total_width, 4)
        Colours and opacity.
    middles : ndarray of shape (n_rows,)
        Vertical position of the middle of each row.
    """
    height, width = np.max([row.shape[1:3] for row in rows], axis=0).tolist()
    gap = max(1, round(max(height, width) / 12))
    tops = np.cumsum([0, *(row.shape[1] + gap for row in rows)])
    ground = np.zeros((tops[-1] - gap, len(rows[0]) * (width + gap) - gap, 4), np.float32)
    for row, top in zip(rows, tops, strict=False):
        own_height, own_width = row.shape[1:3]
        for j, image in enumerate(row):
            left = j * (width + gap) + (width - own_width) // 2
            ground[top : top + own_height, left : left + own_width] = image
    return ground, (tops[:-1] + tops[1:] - gap - 1) / 2


def draw_rows(ax: "Axes | None", rows: Sequence[np.ndarray], labels: Sequence[str]) -> "AxesImage":
    """Draw rows of images, each with a label on its left, and return the artist.

    With ``ax=None`` a new figure is made; the artist's ``axes`` are the axes drawn on.
    """
    ground, middles = mosaic(rows)
    height, width = ground.shape[:2]
    inches = min(0.85 * len(rows[0]), 12)  # from the first image to the last
    ax = axes_or_new(ax, inches + 0.2 + 0.08 * max(map(len, labels)), inches * height / width + 0.1)
    smooth = height / len(rows) > 100
    artist = ax.imshow(ground, interpolation="auto" if smooth else "nearest")
    ax.set_xticks([])
    ax.set_yticks(middles, labels)
    ax.set_anchor("E")  # the remaining space is for the labels
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return artist
