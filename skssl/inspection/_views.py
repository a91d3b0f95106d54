"""The Display of views."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from skssl._compat import Seed, plain_torch
from skssl._data._draws import Draws
from skssl.base._modalities import MODALITIES, modalities_with, nouns, rows_per_step
from skssl.inspection._drawing import check_channels, draw_rows, pick_channels, to_colors
from skssl.inspection._fitted import column_names, draw_seed, spread, unwrap
from skssl.inspection._heat_map import draw_changes
from skssl.inspection._lines import draw_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIPPED = (1, 99)  # percentiles of the pixels shown as black and as white


class ViewsDisplay:
    """The input of the loss: altered copies of images, clips, waveforms, series or table rows.

    For images, the first row shows the originals and each row below it one view; for audio, the
    same with log-mel spectrograms, low bands at the bottom. Each clip has a row of its frames and a
    row for each view. Views of series are lines on top of the original. Cells of tables are
    coloured by the change that each view made.

    Parameters
    ----------
    originals : ndarray
        Images (n, height, width, n_channels), clips (n, time, height, width, n_channels) or series
        (n, n_channels, time) in their own units, spectrograms (n, n_mels, n_frames, 1) with the
        highest band first, or scaled rows of a table (n, n_features). NaN is left blank.
    views : sequence of ndarray
        Altered copies; views of images may differ in height and width, views of sequences in
        length.
    columns : sequence of str, default=None
        Names of the columns of a table.
    channels : int or sequence of three int, default=None
        Channels of an image or a frame to show. None is all channels if there are three, else
        their mean in grey. For series one channel; None is the first.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    image_ : matplotlib.image.AxesImage or matplotlib.collections.QuadMesh
        The images or the cells; absent for series.
    lines_ : list of matplotlib.lines.Line2D
        Only for series: all originals, then all first views, and so on.

    See Also
    --------
    EmbeddingDisplay : Draws the embedding that was trained on the views.

    Notes
    -----
    Black and white are the darkest and the brightest value of originals and views together, except
    for one percent of the pixels on either side.

    Later steps of a method are not shown: rotating views, cutting them into tiles, masking parts of
    them.

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
        channels: int | Sequence[int] | None = None,
    ):
        self.originals = originals
        self.views = views
        self.columns = columns
        self.channels = channels

    @classmethod
    @plain_torch()
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int | None = None,
        channels: int | Sequence[int] | None = None,
        random_state: Seed = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the views of X that a fitted estimator trains on.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer, PretrainedClassifier or PretrainedRegressor, or a Pipeline
            that ends in one.
        X : array-like or dataframe of shape (n_samples, ...)
            Data of the estimator's modality, except texts, tokens and event sequences. Views are
            drawn from a batch of ``batch_size`` rows.
        n_samples : int, default=None
            Number of rows of the batch to show, evenly spaced. None is 8 images, 3 clips, 4
            waveforms, 5 series, or 30 rows of a table.
        channels : int or sequence of three int, default=None
            Channels of an image or a frame to show. None is all channels if there are three,
            else their mean in grey. For series one channel; None is the first.
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
            If X is texts, tokens or event sequences, or if the method has no views.
        """
        transformer, X = unwrap(estimator, X)
        row, method = MODALITIES[transformer._reader.modality], type(transformer).__name__
        if not row.n_views_shown:
            can = nouns(modalities_with("n_views_shown"))
            raise ValueError(
                f"ViewsDisplay draws views of {can}; {method} was fitted on {row.noun}. Call its "
                "views_ on a batch to see what it returns."
            )
        x = transformer._read(X)
        x = x[spread(len(x), rows_per_step(transformer, x))]
        with torch.no_grad(), Draws(draw_seed(random_state)).here(everywhere=True):
            x, views = transformer._views_of(x)
        if not views:
            raise ValueError(f"{method} compares no altered copies: it has no views to draw.")
        rows = spread(len(x), n_samples or row.n_views_shown)
        parts = [part[rows] for part in (x, *views)]
        if row.is_table:
            first, *others = (part.numpy() for part in parts)
            return cls(first, others, columns=column_names(transformer)).plot(ax=ax)
        _check_alike(parts, method)
        inverse = transformer.encoder_[0].inverse
        first, *others = (row.as_drawn(inverse(part)).numpy() for part in parts)
        return cls(first, others, channels=channels).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the views.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : ViewsDisplay
            The display, with the attributes listed above.
        """
        names = [f"view {i + 1}" for i in range(len(self.views))]
        drawn: Any
        if self.originals.ndim == 3:
            n_channels, wanted = self.originals.shape[1], self.channels
            chosen = check_channels(0 if wanted is None else wanted, n_channels) or [0]
            self.lines_ = draw_lines(ax, self.originals, self.views, names, chosen[0])
            drawn = self.lines_[0]
        elif self.originals.ndim == 2:
            drawn = self.image_ = draw_changes(ax, self.originals, self.views, names, self.columns)
        else:
            rows, labels = self._rows(["original", *names])
            drawn = self.image_ = draw_rows(ax, rows, labels)
        self.ax_, self.figure_ = drawn.axes, drawn.axes.figure
        return self

    def _rows(self, names: list[str]) -> tuple[list[np.ndarray], list[str]]:
        """Return rows of colours and their labels: one row per view of images, or per clip."""
        parts = [self.originals, *self.views]
        if self.originals.ndim == 5:
            strips = [part[i] for i in range(len(self.originals)) for part in parts]
            parts, names = strips, names * len(self.originals)
        pixels = np.concatenate([pick_channels(part, self.channels).ravel() for part in parts])
        low, high = np.nanpercentile(pixels, CLIPPED)
        return [to_colors(part, self.channels, (low, high)) for part in parts], names


def _check_alike(parts: Sequence[Tensor], method: str) -> None:
    """Raise ValueError unless views have the axes and channels of the originals."""
    x, axis = parts[0], 2 if parts[0].ndim == 5 else 1
    for part in parts:
        if part.ndim != x.ndim or part.shape[axis] != x.shape[axis]:
            what = {3: "series or spectrograms", 4: "images", 5: "clips"}[x.ndim]
            raise ValueError(
                f"ViewsDisplay draws views that are {what} of {x.shape[axis]} channels like X; "
                f"{method} makes one of shape {tuple(part.shape)}."
            )
