"""The Display of loss curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skssl.inspection._drawing import BLUE, axes_or_new
from skssl.inspection._fitted import unwrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERMILION = "#D55E00"


class LossCurveDisplay:
    """The loss of each epoch, and the held-out loss if there is one.

    Parameters
    ----------
    loss_curve : sequence of float
        Mean loss of each epoch of training.
    validation_loss_curve : sequence of float, default=None
        Loss on the held-out rows after each epoch.
    name : str, default=None
        Name of the method.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    lines_ : list of matplotlib.lines.Line2D
        The training curve, then the held-out curve.
    best_ : matplotlib.lines.Line2D
        The mark of the epoch whose weights were kept; only with held-out rows.

    See Also
    --------
    EmbeddingDisplay : Draws the resulting embedding.

    Notes
    -----
    Losses show whether training makes progress, not how good the embedding is: losses of two
    methods, or of two temperatures, cannot be compared.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF, LossCurveDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> display = LossCurveDisplay.from_estimator(scarf)
    >>> display.lines_[0].get_xdata()
    array([1, 2, 3, 4, 5])
    """

    def __init__(
        self,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        *,
        name: str | None = None,
    ):
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: "Axes | None" = None
    ) -> Self:
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer, PretrainedClassifier or PretrainedRegressor, or a Pipeline
            that ends in one.
        name : str, default=None
            Name of the method. None is the name of its class.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the encoder is untrained.
        """
        transformer, _ = unwrap(estimator)
        if not transformer.loss_curve_:
            raise ValueError(
                f"This {type(transformer).__name__} was not trained: its loss curve is empty. "
                "Fit it with max_epochs of at least 1, or 'auto'."
            )
        held_out = getattr(transformer, "validation_loss_curve_", None)
        display = cls(transformer.loss_curve_, held_out, name=name or type(transformer).__name__)
        return display.plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : LossCurveDisplay
            The display, with the attributes listed above.
        """
        self.ax_ = ax = axes_or_new(ax, 6, 3.6)
        self.figure_ = ax.figure
        self.lines_ = []
        curves = {"training": (self.loss_curve, BLUE)}
        if self.validation_loss_curve is not None:
            curves["held out"] = (self.validation_loss_curve, VERMILION)
        for label, (curve, color) in curves.items():
            style = "o-" if len(curve) == 1 else "-"
            epochs = np.arange(1, len(curve) + 1)
            self.lines_ += ax.plot(epochs, curve, style, color=color, linewidth=2, label=label)
        if self.validation_loss_curve is not None:
            best = int(np.argmin(self.validation_loss_curve))
            at = [best + 1], [self.validation_loss_curve[best]]
            mark: dict[str, Any] = {
                "color": VERMILION,
                "markersize": 7,
                "label": f"kept: epoch {best + 1}",
            }
            (self.best_,) = ax.plot(*at, "o", **mark)
            ax.legend(frameon=False)
        ax.set(xlabel="epoch", ylabel="loss", title=self.name or "")
        ax.locator_params(axis="x", integer=True)
        ax.grid(axis="y", alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        return self
