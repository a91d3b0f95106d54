"""Regression with 100 labels a table: skssl beside the baselines one would pick instead, by R².

For every table and seed, 30 % of the rows are the test set, all others are training rows, of which
100, drawn at random, have a label. As in `tables.py`, what needs no label may use every training
row, and everything else, the choice of hyper-parameters included, the 100 labelled ones only.

    python benchmarks/regression.py --fetch              # once: download the tables
    python benchmarks/regression.py                      # all baselines -> results/regression.csv
    python benchmarks/regression.py --methods skssl      # skssl's default
    python benchmarks/regression.py --report             # compare, write results/regression.md
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tables
from _data_regression import load, table_names
from _runner import Benchmark, Method, best_search, main
from sklearn.base import RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from tables import MLP_GRID, N_LABELS, TREES_GRID, VARIANCE_SHARES

ALPHA_GRID = {"alpha": np.logspace(-3, 4, 15)}
View = tuple[np.ndarray, np.ndarray]


# ------------------------------------------------------------------------------- protocol


@dataclass(frozen=True)
class Split:
    """One table under one seed; `y` is NaN where a training row has no label."""

    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    seed: int

    @property
    def is_labelled(self) -> np.ndarray:
        return ~np.isnan(self.y)

    @property
    def y_few(self) -> np.ndarray:
        return self.y[self.is_labelled]

    def columns(self, quantile: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All training rows, the labelled ones and the test rows as numbers."""
        marks = np.where(self.is_labelled, 0, -1)
        return tables.columns(
            tables.Split(self.X, marks, self.X_test, self.y_test, self.seed), quantile
        )


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    X, y = load(table, cache)
    train, test = train_test_split(np.arange(len(X)), test_size=0.3, random_state=seed)
    labelled = np.random.default_rng(seed).choice(train, N_LABELS, replace=False)
    few = np.full(len(X), np.nan)
    few[labelled] = y[labelled]
    return Split(X.iloc[train], few[train], X.iloc[test], y[test], seed)


# ------------------------------------------------------------------------------- baselines


def tuned(
    model: RegressorMixin, grid: Mapping[str, Any], n_splits: int, views: list[View], split: Split
) -> tuple[float]:
    """R² on the test rows of the parameters and columns with the least squared error in folds."""
    folds = KFold(n_splits, shuffle=True, random_state=split.seed)
    cv = list(folds.split(split.y_few))
    best, Z_test = best_search(model, grid, cv, "neg_mean_squared_error", views, split.y_few)
    return (r2_score(split.y_test, best.predict(Z_test)),)


def ridge(split: Split, quantile: bool = False) -> tuple[float]:
    return tuned(Ridge(), ALPHA_GRID, 5, [split.columns(quantile)[1:]], split)


def pca_ridge(split: Split) -> tuple[float]:
    """Components of all training rows; alpha and their share of the variance by folds."""
    Z, Z_few, Z_test = split.columns()
    views = []
    for share in VARIANCE_SHARES:
        pca = PCA(n_components=share, svd_solver="full").fit(Z)
        views.append((pca.transform(Z_few), pca.transform(Z_test)))
    return tuned(Ridge(), ALPHA_GRID, 5, views, split)


def mlp(split: Split) -> tuple[float]:
    """Columns (of `ridge` or `ridge_quantile`), size and penalty by cross-validation."""
    net = MLPRegressor(
        batch_size=32, learning_rate_init=3e-3, max_iter=100, random_state=split.seed
    )
    model = TransformedTargetRegressor(net, transformer=StandardScaler())
    grid = {f"regressor__{name}": values for name, values in MLP_GRID.items()}
    views = [split.columns(quantile)[1:] for quantile in (False, True)]
    with warnings.catch_warnings():  # a fixed number of epochs is meant
        warnings.simplefilter("ignore", ConvergenceWarning)
        return tuned(model, grid, 3, views, split)


def extra_trees(split: Split) -> tuple[float]:
    """Columns tried at each cut by cross-validation."""
    model = ExtraTreesRegressor(n_estimators=300, random_state=split.seed)
    return tuned(model, TREES_GRID, 3, [split.columns()[1:]], split)


def random_forest(split: Split) -> tuple[float]:
    """Columns tried at each cut by the rows out of the bag."""
    from skssl.evaluation._baselines import TunedForestRegressor

    _, Z_few, Z_test = split.columns()
    model = TunedForestRegressor(random_state=split.seed).fit(Z_few, split.y_few)
    return (r2_score(split.y_test, model.predict(Z_test)),)


def gradient_boosting(split: Split) -> tuple[float]:
    """On the frame itself: it takes categories and missing cells as they are. Not tuned."""
    model = HistGradientBoostingRegressor(min_samples_leaf=5, random_state=split.seed)
    model.fit(split.X[split.is_labelled], split.y_few)
    return (r2_score(split.y_test, model.predict(split.X_test)),)


# ------------------------------------------------------------------------------- skssl


def pretrained(split: Split, transformer: str | None = None, **params: Any) -> tuple[float]:
    """`PretrainedRegressor` on the frame, NaN where there is no label."""
    import skssl

    joined = params.pop("passthrough", "auto")
    first = None if transformer is None else getattr(skssl, transformer)(**params)
    model = skssl.PretrainedRegressor(first, passthrough=joined, random_state=split.seed)
    return (model.fit(split.X, split.y).score(split.X_test, split.y_test),)


def in_context(split: Split) -> tuple[float]:
    """`InContextRegressor` on the frame, NaN where there is no label: nothing is trained."""
    import skssl

    model = skssl.InContextRegressor(random_state=split.seed).fit(split.X, split.y)
    return (model.score(split.X_test, split.y_test),)


def mixed(split: Split) -> tuple[float]:
    """A quarter of what `in_context` predicts, the rest what `skssl` does."""
    import skssl

    classes = skssl.PretrainedRegressor, skssl.InContextRegressor
    models = [cls(random_state=split.seed).fit(split.X, split.y) for cls in classes]
    ours, others = (model.predict(split.X_test) for model in models)
    return (r2_score(split.y_test, 0.75 * ours + 0.25 * others),)


METHODS: dict[str, Method] = {
    "ridge": ridge,
    "ridge_quantile": partial(ridge, quantile=True),
    "pca_ridge": pca_ridge,
    "mlp": mlp,
    "extra_trees": extra_trees,
    "random_forest": random_forest,
    "gradient_boosting": gradient_boosting,
    "untrained_ridge": partial(
        pretrained, transformer="MultiTask", max_epochs=0, passthrough=False
    ),
    "untrained_joined": partial(pretrained, transformer="MultiTask", max_epochs=0),
    "skssl": pretrained,
    "in_context": in_context,
    "mixed": mixed,
    "scarf": partial(pretrained, transformer="SCARF"),
    "vime": partial(pretrained, transformer="VIME"),
    "dae": partial(pretrained, transformer="DenoisingAutoencoder"),
}
BENCHMARK = Benchmark(
    title=f"Test rows, {N_LABELS} labels",
    results=Path(__file__).parent / "results" / "regression.csv",
    scores=("R²",),
    methods=METHODS,
    baselines=tuple(METHODS)[:8],
    table_names=table_names,
    make_split=make_split,
    floor=0.0,
)

if __name__ == "__main__":
    raise SystemExit(main("regression"))
