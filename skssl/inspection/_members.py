"""The members of the default ensemble: a table and its Display."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skssl._meta._steps import last_step
from skssl.inspection._drawing import BLUE, ORANGE, axes_or_new
from skssl.semi_supervised._base import BasePretrained
from skssl.semi_supervised._ensemble import Ensemble, Key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREEN = "#009E73"
COLUMNS = ["weight", "model", "reads", "held_out_loss"]
NAMES = {
    "LogisticRegression": "logistic regression",
    "Ridge": "ridge regression",
    "ExtraTreesClassifier": "extra trees",
    "ExtraTreesRegressor": "extra trees",
    "RandomForestClassifier": "random forest",
    "RandomForestRegressor": "random forest",
    "PropagatedClassifier": "label propagation",
    "PropagatedRegressor": "target propagation",
}
TUNED = ("C", "alpha", "max_features")  # the parameters in which members differ


def members(model: Any) -> pd.DataFrame:
    """List the members of the default ensemble, the heaviest first.

    Parameters
    ----------
    model : estimator
        A fitted :class:`PretrainedClassifier` or :class:`PretrainedRegressor` without a classifier
        or regressor of yours, its ``classifier_`` or ``regressor_``, or a Pipeline or search
        around it.

    Returns
    -------
    members : pandas.DataFrame
        One row per member. Columns: ``weight``, its share of the prediction; ``model``, its name
        and parameters; ``reads``, the embedding, the raw columns, or the shares of both in the
        variance; ``held_out_loss``, its mean loss on labels that cross-validation held out: log
        loss for classes, squared error for numbers. It is NaN where there were too few labels to
        hold out, and for fine-tuning, which compares its own epochs only.

    Raises
    ------
    TypeError
        If the model has no default ensemble.

    See Also
    --------
    MembersDisplay : Draws the table.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skssl import SCARF, PretrainedRegressor
    >>> from skssl.inspection import members
    >>> X, y = load_diabetes(return_X_y=True)
    >>> scarf = SCARF(n_components=16, max_epochs=5)
    >>> model = PretrainedRegressor(scarf, random_state=0).fit(X[:60], y[:60])
    >>> table = members(model)
    >>> list(table.columns)
    ['weight', 'model', 'reads', 'held_out_loss']
    >>> round(float(table["weight"].sum()), 3)
    1.0
    """
    check_is_fitted(model)
    model = last_step(getattr(model, "best_estimator_", model))
    ensemble = model
    if isinstance(model, BasePretrained):
        ensemble = getattr(model, f"{model._predictor}_")
    if not isinstance(ensemble, Ensemble):
        raise TypeError(
            "Expected a model with the default ensemble, PretrainedClassifier(transformer) or "
            f"PretrainedRegressor(transformer); got {model!r}, which ends in "
            f"{type(ensemble).__name__}. Leave classifier= or regressor= out."
        )
    losses = getattr(ensemble, "held_out_losses_", [np.nan] * len(ensemble.members_))
    rows = [
        (float(weight), _name(member.estimator), _read(member.features), loss)
        for (weight, member), loss in zip(ensemble.members_, losses, strict=True)
    ]
    if getattr(model, "fine_tuned_", None) is not None:
        rows = [(weight / 2, *others) for weight, *others in rows]
        rows.append((0.5, "fine-tuned encoder", "input", np.nan))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)


def _name(estimator: Any) -> str:
    """Return the name of a model and what sets it apart from other members."""
    power = getattr(estimator, "power", None)
    model = getattr(estimator, "classifier", estimator)  # without Sharpened
    name = "least squares" if hasattr(model, "regression") else NAMES[type(model).__name__]
    model = getattr(model, "regression", model)
    own = {key: value for key in TUNED if (value := getattr(model, key, None)) is not None}
    if name in ("extra trees", "random forest") or name.endswith("propagation"):
        power = None  # the same for all of them
    own |= {} if power is None else {"power": power}
    values = (f"{k}={v if isinstance(v, str) else format(v, '.3g')}" for k, v in own.items())
    return f"{name}, {', '.join(values)}"


def _read(features: Key) -> str:
    """Return what a member reads."""
    share = features[1]
    if share in (0, 1):
        return "raw columns" if share else "embedding"
    return f"{1 - share:.0%} embedding, {share:.0%} raw columns"


class MembersDisplay:
    """Bars of the weights of the default ensemble's members.

    Parameters
    ----------
    members : pandas.DataFrame
        The result of :func:`skssl.inspection.members`, or a part of its rows.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    bars_ : matplotlib.container.BarContainer
        One bar per member, the heaviest on top; blue reads the embedding, orange the raw columns,
        green both.
    texts_ : list of matplotlib.text.Text
        The held-out loss of each member, at the end of its bar.

    See Also
    --------
    skssl.inspection.members : Makes the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from skssl import MembersDisplay
    >>> table = pd.DataFrame(
    ...     {
    ...         "weight": [0.7, 0.3],
    ...         "model": ["logistic regression, C=10", "extra trees, max_features=sqrt"],
    ...         "reads": ["embedding", "raw columns"],
    ...         "held_out_loss": [0.21, 0.32],
    ...     }
    ... )
    >>> [text.get_text() for text in MembersDisplay(table).plot().texts_]
    ['0.21', '0.32']
    """

    def __init__(self, members: pd.DataFrame):
        missing = [name for name in COLUMNS if name not in members]
        if missing or members.empty:
            what = f"lacks the columns {missing}" if missing else "has no rows"
            raise ValueError(f"members {what}; pass what skssl.inspection.members returned.")
        self.members = members

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> Self:
        """Draw the members of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A model with the default ensemble, as for :func:`skssl.inspection.members`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : MembersDisplay
            The display, drawn.
        """
        return cls(members(estimator)).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : MembersDisplay
            The display, with the attributes listed above.
        """
        table = self.members
        self.ax_ = ax = axes_or_new(ax, 8, 1.2 + 0.32 * len(table))
        self.figure_ = ax.figure
        names = [
            f"{model}\n{reads}" for model, reads in zip(table["model"], table["reads"], strict=True)
        ]
        places = np.arange(len(table))
        self.bars_ = ax.barh(places, table["weight"], color=[*map(_color, table["reads"])])
        ax.set_yticks(places, names, fontsize=8)
        losses = ["" if np.isnan(loss) else f"{loss:.3g}" for loss in table["held_out_loss"]]
        self.texts_ = ax.bar_label(self.bars_, losses, padding=4, fontsize=8)
        ax.invert_yaxis()
        ax.set(xlabel="weight; at the end of a bar, the held-out loss")
        ax.margins(x=0.12)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", alpha=0.25)
        ax.spines[["top", "right", "left"]].set_visible(False)
        return self


def _color(reads: str) -> str:
    has = "embedding" in reads, "raw columns" in reads
    return {(True, True): GREEN, (False, True): ORANGE}.get(has, BLUE)
