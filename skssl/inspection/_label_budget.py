"""The Display of label budgets."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression

from skssl.inspection._drawing import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

PRETRAINED_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
BASELINE_COLORS = ["#222222", "#8c6d31", "#7b6888", "#4a7c7c", "#777777"]
BASELINE_DASHES = ["--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3))]
LABEL_GAP = 11.0  # points between the names at the ends of lines
LABEL_SIZE = 9.0


class LabelBudgetDisplay:
    """Scores by number of labels: plot and summary of :func:`label_budget_report`.

    Parameters
    ----------
    report : pandas.DataFrame
        The result of :func:`label_budget_report`, or a part of its rows.
    score_name : str, default=None
        Name of the scores. None is the name in the report.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    lines_ : list of matplotlib.lines.Line2D
        The mean score of each method, in the order of the report.
    fill_between_ : list of matplotlib.collections.PolyCollection
        The band of each method: one standard error on either side.
    texts_ : list of matplotlib.text.Annotation
        The name of each method, at the end of its line.

    See Also
    --------
    label_budget_report : Computes the report.

    Notes
    -----
    Draws of labels within one split share test rows and encoder, so they vary less than results
    from scratch would. The standard error of a mean is therefore the larger of two: that over all
    draws and that over the means of the splits. Bands include variation that all methods share,
    such as a lucky draw; ``comparison`` removes it.

    Examples
    --------
    >>> import pandas as pd
    >>> from skssl import LabelBudgetDisplay
    >>> report = pd.DataFrame(
    ...     {
    ...         "method": ["SCARF"] * 4 + ["extra trees"] * 4,
    ...         "role": ["pretrained"] * 4 + ["baseline"] * 4,
    ...         "budget": [10, 10, 20, 20] * 2,
    ...         "split": 0,
    ...         "draw": [0, 1] * 4,
    ...         "score": [0.70, 0.76, 0.82, 0.84, 0.68, 0.72, 0.84, 0.84],
    ...     }
    ... )
    >>> display = LabelBudgetDisplay(report, score_name="accuracy")
    >>> display.comparison()[["budget", "baseline", "difference", "standard_error"]].round(3)
       budget     baseline  difference  standard_error
    0      10  extra trees        0.03            0.01
    1      20  extra trees       -0.01            0.01
    >>> print(display.verdict())
    The best pretrained method against the best baseline, accuracy, mean difference ±
    standard error over 2 paired draws: +0.030 ± 0.010 with 10 labels (SCARF, extra trees),
    -0.010 ± 0.010 with 20 labels (SCARF, extra trees).
    """

    def __init__(self, report: pd.DataFrame, *, score_name: str | None = None):
        expected = ["method", "role", "budget", "split", "draw", "score"]
        missing = [name for name in expected if name not in report]
        if missing or report.empty:
            what = f"lacks the columns {missing}" if missing else "has no rows"
            raise ValueError(f"report {what}; pass what label_budget_report returned.")
        self.report = report
        self.score_name = score_name

    @classmethod
    def from_report(
        cls, report: pd.DataFrame, *, score_name: str | None = None, ax: "Axes | None" = None
    ) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : pandas.DataFrame
            The result of :func:`label_budget_report`.
        score_name : str, default=None
            Name of the scores. None is the name in the report.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        display : LabelBudgetDisplay
            The display, drawn.
        """
        return cls(report, score_name=score_name).plot(ax=ax)

    def summary(self) -> pd.DataFrame:
        """Return the mean score of each method and budget, and its standard error.

        Returns
        -------
        summary : pandas.DataFrame
            Columns ``method``, ``budget``, ``mean`` and ``standard_error``.
        """
        rows = [
            (method, budget, scores.mean(), _standard_error(scores))
            for (method, budget), scores in self._scores().groupby(
                level=["method", "budget"], sort=False
            )
        ]
        return pd.DataFrame(rows, columns=["method", "budget", "mean", "standard_error"])

    def comparison(self) -> pd.DataFrame:
        """Compare, for each budget, the best pretrained method with the best baseline.

        The best are those with the highest mean in this report. If several compete, that
        flatters both sides: to judge one method, put only that one into the report.

        Returns
        -------
        comparison : pandas.DataFrame
            Columns ``budget``; ``pretrained`` and ``baseline``, the names; ``difference``,
            the mean over draws of the first's score minus the second's on the same labels
            and test rows; its ``standard_error``; and ``n_draws``.
        """
        role = self.report.drop_duplicates("method").set_index("method")["role"]
        if set(role) != {"pretrained", "baseline"}:
            raise ValueError(
                "A comparison takes pretrained methods and baselines; the report has only "
                f"{', '.join(role.index)}, with the role {role.iloc[0]!r}."
            )
        rows = []
        for budget, scores in self._scores().groupby(level="budget"):
            wide = scores.unstack("method")
            means = wide.mean()
            ours, theirs = (
                means[[name for name in means.index if role[name] == one]].idxmax()
                for one in ("pretrained", "baseline")
            )
            pairs = (wide[ours] - wide[theirs]).dropna()
            rows.append((budget, ours, theirs, pairs.mean(), _standard_error(pairs), len(pairs)))
        names = ["budget", "pretrained", "baseline", "difference", "standard_error", "n_draws"]
        return pd.DataFrame(rows, columns=names)

    def verdict(self) -> str:
        """Summarise ``comparison`` in one sentence.

        Returns
        -------
        verdict : str
            Differences with their standard errors; whether they are large enough is for you to
            decide.
        """
        table = self.comparison()
        parts = [
            f"{row.difference:+.3f} ± {row.standard_error:.3f} with {row.budget} labels "
            f"({row.pretrained}, {row.baseline})"
            for row in table.itertuples()
        ]
        n_draws = int(table["n_draws"].max())
        return (
            f"The best pretrained method against the best baseline, {self._score_name()}, mean "
            f"difference ± standard error over {n_draws} paired draw{'s' * (n_draws > 1)}: "
            f"{', '.join(parts)}."
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw a line with a band for each method.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        self : LabelBudgetDisplay
            The display, with the attributes listed above.
        """
        self.ax_ = ax = axes_or_new(ax, 8, 4.8)
        self.figure_ = ax.figure
        self.lines_, self.fill_between_ = [], []
        styles = self._styles()
        for method, part in self.summary().groupby("method", sort=False):
            line, band = styles[method]
            x, mean, error = part["budget"], part["mean"], part["standard_error"].fillna(0)
            self.lines_ += ax.plot(x, mean, "o", label=method, markersize=4, **line)
            self.fill_between_.append(ax.fill_between(x, mean - error, mean + error, lw=0, **band))
        self._draw_axes(ax)
        self.texts_ = _name_lines(ax, self.lines_)
        return self

    def _scores(self) -> pd.Series:
        index = ["method", "budget", "split", "draw"]
        return self.report.set_index(index)["score"]

    def _score_name(self) -> str:
        return self.score_name or self.report.attrs.get("score_name", "score")

    def _styles(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Return the styles of line and band: colours for methods, dashes for baselines."""
        styles = {}
        for role, part in self.report.drop_duplicates("method").groupby("role"):
            ours = role == "pretrained"
            colors = PRETRAINED_COLORS if ours else BASELINE_COLORS
            for i, method in enumerate(part["method"]):
                color = colors[i % len(colors)]
                dashes = "-" if ours else BASELINE_DASHES[i % len(BASELINE_DASHES)]
                line = {"color": color, "linestyle": dashes, "linewidth": 2.2 if ours else 1.3}
                band = {"color": color, "alpha": 0.18 if ours else 0.08}
                styles[method] = line | {"zorder": 3 if ours else 2}, band
        return styles

    def _draw_axes(self, ax: "Axes") -> None:
        budgets = sorted(self.report["budget"].unique().tolist())
        ax.set(xscale="log", xlabel="labels", ylabel=f"{self._score_name()} on held-out rows")
        ax.set_xticks(budgets, [str(budget) for budget in budgets])
        ax.minorticks_off()
        ax.grid(axis="y", alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines["bottom"].set_bounds(budgets[0], budgets[-1])


def _standard_error(scores: pd.Series) -> float:
    """Return the larger of the standard errors over draws and over the means of splits."""
    over_splits = scores.groupby(level="split").mean().sem()
    return float(np.fmax(scores.sem(), over_splits))


def _name_lines(ax: "Axes", lines: list["Line2D"]) -> list["Annotation"]:
    """Write the name of each line at its right end, without overlap, and make room for it."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # positions are known only after that
    data = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in lines]
    ends = [(float(x[-1]), float(y[-1])) for x, y in data]
    to_points = 72 / ax.figure.dpi
    heights = [ax.transData.transform(end)[1] * to_points for end in ends]
    texts = [
        ax.annotate(
            str(line.get_label()),
            end,
            xytext=(7, place - height),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            fontsize=LABEL_SIZE,
            fontweight="bold" if line.get_linestyle() == "-" else "normal",
        )
        for line, end, height, place in zip(lines, ends, heights, _apart(heights), strict=True)
    ]
    width = max(text.get_window_extent().width for text in texts) + 10 / to_points
    share = min(width / ax.get_window_extent().width, 0.6)  # share of the axes for the names
    low, high = ax.get_xlim()
    last = max(end[0] for end in ends)
    ax.set_xlim(low, low * (last / low) ** (1 / (1 - share)))
    return texts


def _apart(heights: list[float]) -> list[float]:
    """Return heights moved as little as possible to have a gap between them, in order."""
    order = np.argsort(heights, kind="stable")
    steps = LABEL_GAP * np.arange(len(heights))
    moved = np.empty(len(heights))
    moved[order] = isotonic_regression(np.asarray(heights)[order] - steps) + steps
    return moved.tolist()
