"""Heat map of the cells of a table that each view altered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skssl._compat import import_pyplot
from skssl._data._containers import to_tensor
from skssl.inspection._drawing import BLUE, ORANGE, PALE, axes_or_new
from skssl.views import altered

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LOOKS = {"as it was": PALE, "another value": BLUE, "now missing": ORANGE}
MAX_NAMES = 60  # columns; with more, they are not named
MAX_EDGES = 8000  # cells; with more, no lines are drawn between them


def draw_changes(
    ax: "Axes | None",
    rows: np.ndarray,
    views: Sequence[np.ndarray],
    names: Sequence[str],
    columns: Sequence[str] | None,
) -> "Artist":
    """Draw the blocks of the views side by side, one column of the table per line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Where to draw; None is a new figure.
    rows, views : ndarray of shape (n, n_features), sequence of such
        Rows of a table and altered copies of them.
    names, columns : sequence of str
        Names of the views and of the columns; None for unnamed columns.

    Returns
    -------
    cells : matplotlib.collections.QuadMesh
    """
    plt, changes = import_pyplot(), [_changes(rows, view) for view in views]
    n, d = rows.shape
    ax = axes_or_new(ax, min(3 + 2.6 * len(views), 14), min(max(1 + 0.2 * d, 2.4), 9))
    gap = max(1, round(n / 15))
    starts = np.arange(len(views)) * (n + gap)
    ground = np.full((d, starts[-1] + n), np.nan)
    for start, change in zip(starts, changes, strict=True):
        ground[:, start : start + n] = change.T
    colors = plt.matplotlib.colors.ListedColormap(list(LOOKS.values()))
    edges: dict[str, Any] = (
        {"edgecolors": "white", "linewidth": 0.4} if ground.size < MAX_EDGES else {}
    )
    cells = ax.pcolormesh(np.ma.masked_invalid(ground), cmap=colors, vmin=0, vmax=2, **edges)
    shares = [
        f"{name}\n{(c > 0).mean():.0%} altered" for name, c in zip(names, changes, strict=True)
    ]
    ax.set_xticks(starts + n / 2, shares)
    ax.xaxis.tick_top()
    labels = columns if columns is not None and d <= MAX_NAMES else []
    ax.set_yticks(np.arange(len(labels)) + 0.5, labels)
    ax.set(xlabel="rows of X", ylabel="" if len(labels) else "columns of X")
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    seen = [list(LOOKS.items())[i] for i in np.unique(np.concatenate(changes))]
    keys = [plt.Rectangle((0, 0), 1, 1, color=color) for _, color in seen]
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
    ax.legend(keys, [what for what, _ in seen], **beside)
    return cells


def _changes(rows: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Return the index in ``LOOKS`` of the change of each cell, (n, n_features)."""
    changed = altered(to_tensor(rows), to_tensor(view)).numpy()
    return changed.astype(int) + (changed & np.isnan(view))
