"""The Display of an embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from skssl._compat import Seed, plain_torch
from skssl._meta._steps import check_embedding
from skssl.base._modalities import MODALITIES
from skssl.inspection._drawing import axes_or_new, to_colors
from skssl.inspection._fitted import channels_last, draw_seed, unwrap
from skssl.inspection._map import apart, draw_images, draw_points, project, read_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EmbeddingDisplay:
    """A map of the embedding in two dimensions: similar rows should lie together.

    Rows are coloured by y. If X is images, some of them are drawn at their positions.

    Parameters
    ----------
    positions : ndarray of shape (n_samples, 2)
        Position of each row.
    y : array-like of shape (n_samples,), default=None
        Classes, or numbers; None, NaN and, for classes, -1 mark unlabelled rows.
    images : ndarray of shape (n_samples, height, width, n_channels), default=None
        Images to draw on the map.
    axis_names : sequence of two str, default=("", "")
        Names of the dimensions.
    n_thumbnails : int, default=60
        Greatest number of images on the map; images do not overlap.
    channels : int or sequence of three int, default=None
        Channels of an image to show. None is all channels if there are three, else their mean
        in grey.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    scatters_ : list of matplotlib.collections.PathCollection
        The points: of unlabelled rows, if there are any, then of each class.
    thumbnails_ : list of matplotlib.image.AxesImage
        The images on the map.

    See Also
    --------
    ViewsDisplay : Draws the views that the embedding was trained on.

    Notes
    -----
    A map reduces hundreds of dimensions to two. Rows that lie together are similar; rows that look
    mixed may still be told apart by a linear model on the embedding itself.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF, EmbeddingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> display = EmbeddingDisplay.from_estimator(scarf, X, y)
    >>> display.positions.shape, len(display.scatters_)
    ((150, 2), 3)
    """

    def __init__(
        self,
        positions: np.ndarray,
        *,
        y: Any = None,
        images: np.ndarray | None = None,
        axis_names: Sequence[str] = ("", ""),
        n_thumbnails: int = 60,
        channels: int | Sequence[int] | None = None,
    ):
        self.positions = positions
        self.y = y
        self.images = images
        self.axis_names = axis_names
        self.n_thumbnails = n_thumbnails
        self.channels = channels

    @classmethod
    @plain_torch()
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        method: Literal["pca", "tsne"] | Any = "pca",
        n_thumbnails: int = 60,
        channels: int | Sequence[int] | None = None,
        random_state: Seed = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Embed X with a fitted estimator and draw the map.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer, PretrainedClassifier or PretrainedRegressor, or a Pipeline
            that ends in one.
        X : array-like or dataframe of shape (n_samples, ...)
            Rows to embed.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers to colour by; None, NaN and, for classes, -1 mark unlabelled
            rows. Numbers with decimals, or more than 30 distinct numbers, have a colour bar.
        method : {"pca", "tsne"} or transformer, default="pca"
            How to reduce the embedding to two dimensions. A transformer is cloned and fitted;
            its first two columns are drawn. t-SNE takes seconds for a thousand rows: pass a
            part of X.
        n_thumbnails : int, default=60
            Greatest number of images on the map, if X is images.
        channels : int or sequence of three int, default=None
            Channels of an image to show. None is all channels if there are three, else their mean
            in grey.
        random_state : int, RandomState instance or None, default=None
            Seeds ``method`` if its own is None; an int draws the same map at every call.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : EmbeddingDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are fewer than two rows, or fewer than two columns to draw.
        """
        transformer, X = unwrap(estimator, X)
        Z = transformer.transform(X)
        check_embedding(Z, transformer)
        positions, axis_names = project(np.asarray(Z), method, draw_seed(random_state))
        images = None
        if n_thumbnails and MODALITIES[transformer._reader.modality].has_thumbnails:
            images = channels_last(transformer._read(X))
        display = cls(
            positions,
            y=y,
            images=images,
            axis_names=axis_names,
            n_thumbnails=n_thumbnails,
            channels=channels,
        )
        return display.plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : EmbeddingDisplay
            The display, with the attributes listed above.
        """
        spans = np.ptp(self.positions, axis=0)
        height = 5 * spans[1] / max(spans[0], 1e-12)
        self.ax_ = ax = axes_or_new(ax, 6.4, float(np.clip(height, 3, 6)))
        self.figure_ = ax.figure
        labels = read_labels(self.y, len(self.positions))
        self.scatters_ = draw_points(ax, self.positions, labels)
        self.thumbnails_ = []
        if self.images is not None and self.n_thumbnails:
            rows, side = apart(self.positions, self.n_thumbnails)
            images = to_colors(self.images[rows], self.channels)
            frames = labels.colors()[rows]
            self.thumbnails_ = draw_images(ax, self.positions[rows], images, frames, side)
        ax.set(xticks=[], yticks=[], xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        ax.use_sticky_edges = False  # so that the frames of images stay inside
        ax.set_aspect("equal", adjustable="datalim")
        ax.autoscale()
        return self
