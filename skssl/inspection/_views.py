"""The Display of views."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from skssl._base import _apply
from skssl._train import local_seed
from skssl.inspection._drawing import draw_rows, shown, to_colors
from skssl.inspection._fitted import channels_last, column_names, draw_seed, spread, unwrap
from skssl.inspection._heat_map import draw_changes

CLIPPED = (1, 99)  # percent of the pixels that are darker than black, and than white


class ViewsDisplay:
    """What the loss sees: the altered copies of each image, or of each row of a table.

    Of images, the first row shows the originals and each row below it one view. Of tables,
    cells are coloured by what each view did to them.

    Parameters
    ----------
    originals : ndarray of shape (n, height, width, n_channels) or (n, n_features)
        Images in their own units, or rows of a table, scaled.
    views : sequence of ndarray
        Altered copies of these; those of images may differ in height and width.
    columns : sequence of str, default=None
        Names of the columns of a table.
    channels : int or sequence of three int, default=None
        Channels of an image to show. None is all of three, else their mean, in grey.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    image_ : matplotlib.image.AxesImage or matplotlib.collections.QuadMesh
        The images, or the cells.

    See Also
    --------
    EmbeddingDisplay : Draws what was learnt from the views.

    Notes
    -----
    Black and white are the darkest and the brightest value of originals and views together,
    but for one in a hundred pixels on either side.

    What a method itself does to a view afterwards is not shown: turning it, cutting it to
    tiles, hiding parts of it from the encoder.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import SimCLR, ViewsDisplay
    >>> X = load_digits().images.astype("uint8")
    >>> simclr = SimCLR(views="no_flip", max_epochs=0).fit(X)
    >>> display = ViewsDisplay.from_estimator(simclr, X, n_samples=6, random_state=0)
    >>> [view.shape for view in display.views]
    [(6, 8, 8, 1), (6, 8, 8, 1)]
    """

    def __init__(
        self,
        originals: np.ndarray,
        views: Sequence[np.ndarray],
        *,
        columns: Sequence[str] | None = None,
        channels: Any = None,
    ):
        self.originals = originals
        self.views = views
        self.columns = columns
        self.channels = channels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int | None = None,
        channels: Any = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw the views that a fitted estimator's method makes of X.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer, PretrainedClassifier or PretrainedRegressor, or a Pipeline
            that ends in one.
        X : array-like or dataframe of shape (n_samples, ...)
            Images, or rows of a table. As many as the estimator's ``batch_size`` make the
            batch that views are drawn from.
        n_samples : int, default=None
            How many of the batch to show, evenly spaced. None is 8 images, or 30 rows.
        channels : int or sequence of three int, default=None
            Channels of an image to show. None is all of three, else their mean, in grey.
        random_state : int, RandomState instance or None, default=None
            An int draws the same views at every call.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : ViewsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If X is neither images nor a table, or the method makes no views.
        """
        transformer, X = unwrap(estimator, X)
        kind, method = transformer._reader.kind, type(transformer).__name__
        if kind not in ("image", "table"):
            raise ValueError(
                f"ViewsDisplay draws views of images and tables; {method} was fitted on "
                f"{kind}. Call its views_ on a batch to see what it returns."
            )
        x = transformer._read(X)
        scaler = transformer.encoder_[0]
        x = _apply(scaler, x[spread(len(x), transformer.batch_size)])
        with torch.no_grad(), local_seed(draw_seed(random_state), torch.device("cpu")):
            views = transformer.views_(x)
        if not views:
            raise ValueError(f"{method} compares no altered copies: it has no views to draw.")
        rows = spread(len(x), n_samples or (8 if kind == "image" else 30))
        parts = [part[rows] for part in (x, *views)]
        if kind == "table":
            first, *others = (part.numpy() for part in parts)
            return cls(first, others, columns=column_names(transformer)).plot(ax=ax)
        for part in parts:
            if part.ndim != 4 or part.shape[1] != x.shape[1]:
                raise ValueError(
                    f"ViewsDisplay draws views that are images of {x.shape[1]} channels like X; "
                    f"{method} makes one of shape {tuple(part.shape)}."
                )
        first, *others = (channels_last(scaler.inverse(part)) for part in parts)
        return cls(first, others, channels=channels).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the views.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : ViewsDisplay
            The display, with the attributes of what was drawn.
        """
        names = [f"view {i + 1}" for i in range(len(self.views))]
        if self.originals.ndim == 4:
            parts = [self.originals, *self.views]
            pixels = np.concatenate([shown(part, self.channels).ravel() for part in parts])
            low, high = np.percentile(pixels, CLIPPED)
            rows = [to_colors(part, self.channels, (low, high)) for part in parts]
            self.image_ = draw_rows(ax, rows, ["original", *names])
        else:
            self.image_ = draw_changes(ax, self.originals, self.views, names, self.columns)
        self.ax_, self.figure_ = self.image_.axes, self.image_.axes.figure
        return self
