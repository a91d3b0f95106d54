"""The Display of predicted frames."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skssl._compat import import_pyplot, plain_torch, take_rows
from skssl._data._containers import as_array
from skssl.inspection._drawing import draw_rows, pick_channels, to_colors
from skssl.inspection._fitted import spread, unwrap
from skssl.methods._next_frame import NextFrame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class NextFrameDisplay:
    """The last frames of clips, and their predictions from the frames before them.

    Each clip has two rows: the true frames from left to right, and below them the predictions.

    Parameters
    ----------
    clips : ndarray of shape (n, time, height, width, n_channels)
        The frames that predictions are based on, followed by the true next frames.
    predictions : ndarray of shape (n, n_frames, height, width, n_channels)
        Predictions of the last ``n_frames``.
    channels : int or sequence of three int, default=None
        Channels to show. None is all channels if there are three, else their mean in grey.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    image_ : matplotlib.image.AxesImage
        The frames.

    See Also
    --------
    ReconstructionDisplay : Draws reconstructions of single images.

    Examples
    --------
    >>> from skssl import NextFrame, NextFrameDisplay
    >>> from skssl.datasets import make_moving_digits
    >>> clips, digits, velocities = make_moving_digits(40, n_frames=6, random_state=0)
    >>> model = NextFrame(context=3, max_epochs=1, random_state=0).fit(clips)
    >>> display = NextFrameDisplay.from_estimator(model, clips, n_frames=2)
    >>> display.clips.shape, display.predictions.shape
    ((3, 5, 20, 20, 1), (3, 2, 20, 20, 1))
    """

    def __init__(
        self,
        clips: np.ndarray,
        predictions: np.ndarray,
        *,
        channels: int | Sequence[int] | None = None,
    ):
        self.clips = clips
        self.predictions = predictions
        self.channels = channels

    @classmethod
    @plain_torch()
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int = 3,
        n_frames: int = 1,
        channels: int | Sequence[int] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the predictions of a fitted NextFrame for the last frames of clips.

        Parameters
        ----------
        estimator : estimator
            A fitted NextFrame, PretrainedClassifier or PretrainedRegressor with it, or a Pipeline
            that ends in one.
        X : array-like of shape (n_samples, time, height, width[, channels])
            Clips of at least ``context + n_frames`` frames.
        n_samples : int, default=3
            Number of clips to show, evenly spaced.
        n_frames : int, default=1
            Number of last frames to predict, from the ``context`` frames before them.
        channels : int or sequence of three int, default=None
            Channels to show. None is all channels if there are three, else their mean in grey.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : NextFrameDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the method does not predict frames, or the clips are too short.
        """
        transformer, X = unwrap(estimator, X)
        if not isinstance(transformer, NextFrame):
            raise ValueError(
                f"{type(transformer).__name__} does not predict frames. Fit NextFrame on clips."
            )
        reader, needed = transformer._reader, transformer.context + n_frames
        X = as_array(take_rows(X, spread(len(X), n_samples)))[:, -needed:]
        if X.shape[1] < needed or n_frames < 1:
            raise ValueError(
                f"Predicting {n_frames} frames from {transformer.context} needs clips of at least "
                f"{needed} frames, with their truth; got {X.shape[1]}."
            )
        predicted = transformer.predict_next(X[:, :-n_frames], n_frames)
        parts = (reader.read(part).movedim(2, -1).numpy() for part in (X, predicted))
        return cls(*parts, channels=channels).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw clips and predictions.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : NextFrameDisplay
            The display, with the attributes listed above.
        """
        import_pyplot()
        pixels = pick_channels(self.clips.reshape(-1, *self.clips.shape[2:]), self.channels)
        limits = float(pixels.min()), float(pixels.max())
        rows = []
        for clip, predicted in zip(self.clips, self.predictions, strict=True):
            true, made = (to_colors(part, self.channels, limits) for part in (clip, predicted))
            nothing = np.zeros_like(true[: len(true) - len(made)])  # transparent
            rows += [true, np.concatenate([nothing, made])]
        self.image_ = draw_rows(ax, rows, ["true", "predicted"] * len(self.clips))
        self.ax_, self.figure_ = self.image_.axes, self.image_.axes.figure
        return self
