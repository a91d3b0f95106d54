"""Panels of predicted against true cells of a table, one per column."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import r2_score

from skssl._compat import import_pyplot
from skssl.inspection._drawing import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LEVELS = 8  # categories; with more, they are not named
MAX_LETTERS = 22  # of a title or a category; longer ones are cut


def draw_cells(
    ax: "Axes | None",
    true: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    levels: Sequence[Any],
) -> np.ndarray:
    """Draw one panel per column, in a new figure or in place of ``ax``; return their axes."""
    n_panels = true.shape[1]
    n_columns = min(4, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    if ax is None:
        size = max(2.1 * n_columns, 3), 2.3 * n_rows + 0.3
        area = import_pyplot().figure(figsize=size, layout="constrained")
    else:
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError("ax must come from subplots, so that panels can share its place.")
        ax.set_axis_off()
        area = ax.figure.add_subfigure(place)
    panels = area.subplots(n_rows, n_columns, squeeze=False).ravel()
    for panel in panels[n_panels:]:
        panel.set_axis_off()
    for i, panel in enumerate(panels[:n_panels]):
        draw = _draw_numbers if levels[i] is None else _draw_levels
        known = ~np.isnan(true[:, i]) & ~np.isnan(predicted[:, i])
        share = draw(panel, true[known, i], predicted[known, i], levels[i])
        panel.set_title(f"{_short(names[i])}\n{share}", fontsize=9)
        panel.tick_params(labelsize=7)
        panel.set_box_aspect(1)
        panel.spines[["top", "right"]].set_visible(False)
    area.supxlabel("true", fontsize=10)
    area.supylabel("predicted", fontsize=10)
    return panels[:n_panels]


def _draw_numbers(ax: "Axes", true: np.ndarray, predicted: np.ndarray, levels: None) -> str:
    """Draw predicted against true numbers, and return the share of explained variance."""
    if not len(true):
        ax.set(xticks=[], yticks=[])
        return "nothing known"
    ax.axline((0, 0), slope=1, color="0.6", linewidth=1, zorder=1)
    ax.scatter(true, predicted, s=8, color=BLUE, alpha=0.5, linewidth=0)
    low, high = true.min(), true.max()
    margin = 0.05 * (high - low) or 1.0
    low = min(low, predicted.min()) - margin
    high = max(high, predicted.max()) + margin
    ax.set(xlim=(low, high), ylim=(low, high))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(import_pyplot().MaxNLocator(3))
    return f"R² = {r2_score(true, predicted):.2f}" if np.ptp(true) else "constant"


def _draw_levels(ax: "Axes", true: np.ndarray, predicted: np.ndarray, levels: list[Any]) -> str:
    """Draw discs by true and predicted category, and return the accuracy."""
    n = len(levels)
    counts = np.zeros((n, n))
    known = (true < n) & (predicted < n)  # fit may not have seen all categories
    np.add.at(counts, (true[known].astype(int), predicted[known].astype(int)), 1)
    if not counts.any():
        ax.set(xticks=[], yticks=[])
        return "nothing known"
    x, y = np.nonzero(counts)
    shares = counts[x, y] / counts.sum(1)[x]
    ax.plot([-0.5, n - 0.5], [-0.5, n - 0.5], color="0.6", linewidth=1, zorder=1)
    ax.scatter(x, y, s=shares * (70 / max(n, 2)) ** 2, color=BLUE, alpha=0.8, linewidth=0)
    ax.set(xlim=(-0.5, n - 0.5), ylim=(-0.5, n - 0.5), xticks=[], yticks=[])
    if n <= MAX_LEVELS:
        words = [_short(str(level), 10) for level in levels]
        ax.set_xticks(range(n), words, rotation=30, ha="right")
        ax.set_yticks(range(n), words)
    return f"{counts.trace() / counts.sum():.0%} right"


def _short(text: str, n_letters: int = MAX_LETTERS) -> str:
    return text if len(text) <= n_letters else f"{text[: n_letters - 1]}…"
