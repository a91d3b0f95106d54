"""The Display of reconstructions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skssl._compat import count_rows, import_pyplot, plain_torch, take_rows
from skssl.base._modalities import MODALITIES
from skssl.inspection._drawing import draw_rows, pick_channels, to_colors
from skssl.inspection._fitted import channels_last, column_names, spread, unwrap
from skssl.inspection._panels import draw_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIDDEN = (0.62, 0.79, 0.88, 1.0)  # not grey, so that it is not mistaken for a pixel
MAX_COLUMNS = 12  # of a table, by default


class ReconstructionDisplay:
    """Reconstructions from the embedding, beside the originals.

    For images, the last row shows the reconstructions; if the method masks a part of each image,
    the row above shows the masked input. For tables, there is a panel for each column: numbers are
    points, which lie on the line if the prediction is exact, and categories are discs, whose area
    is the share of the rows of that true category.

    Parameters
    ----------
    originals : ndarray of shape (n, height, width, n_channels) or (n, n_features)
        Images, or the cells of a table: numbers in their own units, category codes, NaN for
        missing values.
    reconstructions : ndarray of the same shape
        The predictions.
    columns : sequence of str, default=None
        Names of the columns of a table.
    levels : sequence of (list or None), default=None
        Categories of each column of a table in the order of their codes; None for numbers.
    channels : int or sequence of three int, default=None
        Channels of an image to show. None is all channels if there are three, else their mean
        in grey.
    hidden : ndarray of shape (height, width), dtype bool, default=None
        The part of each image that was masked and predicted from the rest.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (1,) or (n_features,)
        The axes drawn on: one for images, one for each column of a table.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    EmbeddingDisplay : Draws the embedding that is decoded.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import DenoisingAutoencoder, ReconstructionDisplay
    >>> X, _ = load_iris(return_X_y=True, as_frame=True)
    >>> dae = DenoisingAutoencoder(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(dae, X)
    >>> display.columns[0], display.axes_.shape
    ('sepal length (cm)', (4,))
    """

    def __init__(
        self,
        originals: np.ndarray,
        reconstructions: np.ndarray,
        *,
        columns: Sequence[str] | None = None,
        levels: Sequence[list[Any] | None] | None = None,
        channels: int | Sequence[int] | None = None,
        hidden: np.ndarray | None = None,
    ):
        self.originals = originals
        self.reconstructions = reconstructions
        self.columns = columns
        self.levels = levels
        self.channels = channels
        self.hidden = hidden

    @classmethod
    @plain_torch()
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int | None = None,
        columns: Sequence[Any] | None = None,
        channels: int | Sequence[int] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the reconstructions of X by a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer, PretrainedClassifier or PretrainedRegressor, or a Pipeline
            that ends in one, whose transformer has ``reconstruct``.
        X : array-like or dataframe of shape (n_samples, ...)
            Images, or rows of a table.
        n_samples : int, default=None
            Number of samples to show, evenly spaced. None is 8 images, or 500 rows.
        columns : sequence of str or int, default=None
            Names or positions of the columns of a table to show. None is the first 12.
        channels : int or sequence of three int, default=None
            Channels of an image to show. None is all channels if there are three, else their mean
            in grey.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure. The panels of a table share its place.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the method does not reconstruct, or there is no such column.
        """
        transformer, X = unwrap(estimator, X)
        reader = transformer._reader
        if not hasattr(transformer, "reconstruct"):
            raise ValueError(
                f"{type(transformer).__name__} does not reconstruct what it embeds. Fit a method "
                "that has reconstruct(X), such as DenoisingAutoencoder for tables."
            )
        n = count_rows(X)
        row = MODALITIES[reader.modality]
        rows = spread(n, n_samples or row.n_reconstructions_shown)
        X = X if len(rows) == n else take_rows(X, rows)
        parts = reader.read(X), reader.read(transformer.reconstruct(X))
        if not row.is_table:
            hidden = getattr(transformer.decoder_, "hidden", None)
            hidden = None if hidden is None else hidden.numpy()
            return cls(*map(channels_last, parts), channels=channels, hidden=hidden).plot(ax=ax)
        names = column_names(transformer)
        where = _positions(columns, names)
        return cls(
            *(part.numpy()[:, where] for part in parts),
            columns=[names[i] for i in where],
            levels=[reader.levels[i] for i in where],
        ).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw originals and reconstructions.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure. The panels of a table share its place.

        Returns
        -------
        self : ReconstructionDisplay
            The display, with the attributes listed above.
        """
        import_pyplot()
        if self.originals.ndim == 4:
            parts = self.originals, self.reconstructions
            pixels = pick_channels(self.originals, self.channels)
            limits = float(pixels.min()), float(pixels.max())
            rows = [to_colors(part, self.channels, limits) for part in parts]
            labels = ["original", "reconstructed"]
            if self.hidden is not None:
                seen = rows[0].copy()
                seen[:, self.hidden] = HIDDEN
                rows, labels = [rows[0], seen, rows[1]], ["original", "seen", "reconstructed"]
            self.axes_ = np.array([draw_rows(ax, rows, labels).axes])
        else:
            d = self.originals.shape[1]
            names = [f"x{i}" for i in range(d)] if self.columns is None else self.columns
            levels = [None] * d if self.levels is None else self.levels
            self.axes_ = draw_cells(ax, self.originals, self.reconstructions, names, levels)
        self.figure_ = self.axes_[0].figure
        return self


def _positions(columns: Sequence[Any] | None, names: list[str]) -> list[int]:
    """Return the positions of columns given by name or position."""
    if columns is None:
        return list(range(min(len(names), MAX_COLUMNS)))
    where = [names.index(c) if c in names else c for c in columns]
    unknown = [c for c in where if not isinstance(c, int | np.integer) or not 0 <= c < len(names)]
    if unknown or not where:
        raise ValueError(f"columns={columns!r}: expected names or positions of columns of {names}.")
    return [int(i) for i in where]
