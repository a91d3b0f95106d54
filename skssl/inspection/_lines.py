"""Line plots of time series and their altered copies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skssl._compat import import_pyplot
from skssl.inspection._drawing import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

GREY = "0.75"


def draw_lines(
    ax: "Axes | None",
    originals: np.ndarray,
    views: Sequence[np.ndarray],
    names: Sequence[str],
    channel: int,
) -> list["Line2D"]:
    """Draw each series with its views on top of it, one series below the other.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Where to draw; None is a new figure.
    originals, views : ndarray of shape (n, n_channels, time), sequence of such
        Series and altered copies of them, whose lengths may differ; NaN is a gap.
    names : sequence of str
        Names of the views.
    channel : int
        Channel to show.

    Returns
    -------
    lines : list of matplotlib.lines.Line2D
        Lines of all originals, then of all first views, and so on.
    """
    plt, n = import_pyplot(), len(originals)
    ax = axes_or_new(ax, 7, min(1 + 1.1 * n, 9))
    parts = [part[:, channel] for part in (originals, *views)]
    values = np.concatenate([part.ravel() for part in parts])
    room = 1.05 * float(np.nanmax(values) - np.nanmin(values)) or 1.0
    colors = [GREY, *plt.matplotlib.colormaps["tab10"].colors]
    lines = []
    for i, (part, name) in enumerate(zip(parts, ["original", *names], strict=True)):
        style: dict[str, Any] = {"color": colors[i % len(colors)], "linewidth": 0.9 if i else 3.0}
        for j, series in enumerate(part):
            label = name if j == 0 else None
            lines += ax.plot(np.arange(len(series)), series - j * room, label=label, **style)
    ax.set_yticks([])
    ax.set_xlabel("step")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return lines
