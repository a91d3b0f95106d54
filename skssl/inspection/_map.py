"""Parts of the map of an embedding: positions, colours of rows, room for images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from skssl._compat import import_pyplot
from skssl._data._labels import separate_labelled
from skssl._meta._fitting import seeded
from skssl.inspection._drawing import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.image import AxesImage

# M. A. Petroff, "Accessible color sequences for data visualization", 2021.
CLASS_COLORS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"]
CLASS_COLORS += ["#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]
CLASS_MARKERS = "o^s"
MAX_CLASSES = len(CLASS_COLORS) * len(CLASS_MARKERS)
UNLABELLED = "#d0d0d0"
THUMBNAIL = 1 / 18  # side of an image as a share of the map's longer side


def project(
    Z: np.ndarray, method: Literal["pca", "tsne"] | Any, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Return two coordinates of each row, and their names."""
    if min(Z.shape) < 2:
        raise ValueError(
            f"A map takes at least 2 rows and 2 columns of embedding; got {Z.shape[0]} rows and "
            f"{Z.shape[1]} columns."
        )
    if isinstance(method, str):
        if method not in ("pca", "tsne"):
            raise ValueError(f"method must be 'pca', 'tsne' or a transformer; got {method!r}.")
        method = PCA(2) if method == "pca" else TSNE(perplexity=min(30, (len(Z) - 1) / 3))
    method = seeded(clone(method), np.random.RandomState(seed))
    fit_transform = getattr(method, "fit_transform", None)
    flat = fit_transform(Z) if fit_transform else method.fit(Z).transform(Z)
    flat = np.asarray(flat)
    if flat.ndim != 2 or flat.shape[1] < 2:
        raise ValueError(f"method must return at least 2 columns; got shape {flat.shape}.")
    name = type(method).__name__
    name = {"PCA": "principal component", "TSNE": "t-SNE"}.get(name, name)
    names = [f"{name} {i}" for i in (1, 2)]
    ratio = getattr(method, "explained_variance_ratio_", None)
    if ratio is not None:
        names = [f"{n} ({share:.0%} of variance)" for n, share in zip(names, ratio, strict=False)]
    return flat[:, :2], names


@dataclass(frozen=True)
class Labels:
    """Values to colour rows by: ``values``, (n_labelled,), of the rows in ``mask``, (n,)."""

    mask: np.ndarray
    values: np.ndarray
    are_numbers: bool = False
    name: str | None = None

    def classes(self) -> list[tuple[object, np.ndarray, str, str]]:
        """Return each class with its rows, its colour and its marker."""
        rows = np.flatnonzero(self.mask)
        return [
            (
                label,
                rows[self.values == label],
                CLASS_COLORS[i % len(CLASS_COLORS)],
                CLASS_MARKERS[i // len(CLASS_COLORS)],
            )
            for i, label in enumerate([] if self.are_numbers else np.unique(self.values))
        ]

    def colors(self) -> np.ndarray:
        """Return the colour of each row: that of its class, or grey."""
        colors = np.full(len(self.mask), UNLABELLED)
        for _, rows, color, _ in self.classes():
            colors[rows] = color
        return colors


def read_labels(y: Any, n: int) -> Labels:
    """Read the labels of ``n`` rows to colour by; in a regression, -1 is a number."""
    if y is None:
        return Labels(np.zeros(n, dtype=bool), np.empty(0))
    mask, values = separate_labelled(y)
    if len(mask) != n:
        raise ValueError(f"y has {len(mask)} labels for {n} rows of X. Pass one for each row.")
    name = getattr(y, "name", None)
    name = None if name is None else str(name)
    n_different = len(np.unique(values))
    is_numeric = values.dtype.kind in "iuf"
    if is_numeric and (n_different > MAX_CLASSES or (values != np.rint(values)).any()):
        return Labels(*separate_labelled(y, classes=False), True, name)
    if n_different > MAX_CLASSES:
        raise ValueError(
            f"y has {n_different} classes; at most {MAX_CLASSES} can be told apart. Replace rare "
            "ones by None, or group them."
        )
    return Labels(mask, values, name=name)


def draw_points(ax: "Axes", positions: np.ndarray, labels: Labels) -> list["PathCollection"]:
    """Draw the rows as points, unlabelled rows first, and the legend of their colours."""
    size = float(np.clip(14000 / len(positions), 5, 30))
    look: dict[str, Any] = {"s": size, "linewidth": 0, "alpha": 0.8}
    if not labels.mask.any():
        return [_scatter(ax, positions, color=BLUE, **look)]
    drawn = []
    if not labels.mask.all():
        others = positions[~labels.mask]
        drawn.append(_scatter(ax, others, color=UNLABELLED, label="unlabelled", **look))
    if labels.are_numbers:
        points = _scatter(ax, positions[labels.mask], c=labels.values, cmap="viridis", **look)
        ax.figure.colorbar(points, ax=ax, label=labels.name or "y")
        return [*drawn, points]
    for label, rows, color, marker in labels.classes():
        named: dict[str, Any] = {"color": color, "marker": marker, "label": str(label)}
        drawn.append(_scatter(ax, positions[rows], **named, **look))
    place: dict[str, Any] = {
        "loc": "center left",
        "bbox_to_anchor": (1, 0.5),
        "ncols": 1 + len(drawn) // 16,
    }
    legend = ax.legend(**place, title=labels.name, frameon=False, handletextpad=0.2)
    for handle in filter(None, legend.legend_handles):
        handle.set(sizes=[36], alpha=1)
    return drawn


def _scatter(ax: "Axes", positions: np.ndarray, **look: Any) -> "PathCollection":
    return ax.scatter(positions[:, 0], positions[:, 1], **look)


def apart(positions: np.ndarray, n_wanted: int) -> tuple[list[int], float]:
    """Return at most ``n_wanted`` rows with room for an image, and the side of an image."""
    side = max(float(np.ptp(positions, axis=0).max()), 1e-9) * THUMBNAIL
    chosen: list[int] = []
    free = np.ones(len(positions), dtype=bool)
    while free.any() and len(chosen) < n_wanted:
        chosen.append(int(np.argmax(free)))
        free &= np.abs(positions - positions[chosen[-1]]).max(1) > 1.5 * side
    return chosen, side


def draw_images(
    ax: "Axes", positions: np.ndarray, images: np.ndarray, colors: np.ndarray, side: float
) -> list["AxesImage"]:
    """Draw images at positions, in coloured frames; ``side`` is their longer side."""
    size = np.array([images.shape[2], images.shape[1]]) / max(images.shape[1:3]) * side
    drawn = []
    for corner, image, color in zip(positions - size / 2, images, colors, strict=True):
        (left, bottom), (right, top) = corner, corner + size
        frame = import_pyplot().Rectangle(corner, *size, fill=False, edgecolor=color, zorder=3)
        frame.set_linewidth(2.2)
        ax.add_patch(frame)
        extent = (left, right, bottom, top)
        drawn.append(ax.imshow(image, extent=extent, interpolation="nearest", zorder=3))
    return drawn
