"""100 labels a table: skssl beside the baselines one would pick instead.

For every table and seed, 30 % of the rows are a stratified test set, all others are training rows,
of which 100 have a label; with `--labels`, 5 of each class, or 500 on tables of at least 1 000
training rows. A method is a function `Split -> accuracy on the test rows`. It may use every
training row for what needs no label (scaling, principal components, pretraining) and only the
labelled ones for the rest, the choice of its hyper-parameters included.

    python benchmarks/tables.py --fetch         # once: download the tables
    python benchmarks/tables.py                 # run what is missing from results/tables.csv
    python benchmarks/tables.py --report        # print the comparison, write results/tables.md
    python benchmarks/tables.py --labels 500    # the same, with results/tables_500.csv

With SKSSL_MEMORY set to a folder, pretrained encoders are kept there: the budgets of one table and
seed then pretrain once, and their seconds are those of the classifier at the end.
"""

import os
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _data import load, table_names
from _runner import Benchmark, Method, best_search, main
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

N_LABELS = 100
RESULTS = Path(__file__).parent / "results"
C_GRID = {"C": np.logspace(-3, 3, 9)}
MLP_GRID = {"hidden_layer_sizes": [(256,), (128, 128)], "alpha": [1e-2, 3e-1]}
VARIANCE_SHARES = (0.8, 0.95, 0.999)
TREES_GRID = {"max_features": ["sqrt", 0.3, 1.0]}


# ------------------------------------------------------------------------------- protocol


@dataclass(frozen=True)
class Split:
    """One table under one seed; `y` is -1 where a training row has no label."""

    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    seed: int

    @property
    def X_few(self) -> pd.DataFrame:
        return self.X[self.y >= 0]

    @property
    def y_few(self) -> np.ndarray:
        return self.y[self.y >= 0]


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path, labels: str = "100") -> Split:
    X, y = load(table, cache)
    train, test = train_test_split(np.arange(len(X)), test_size=0.3, stratify=y, random_state=seed)
    choose = choose_a_class if labels == "5_a_class" else choose_labels
    labelled = train[choose(y[train], int(labels.partition("_")[0]), seed)]
    masked = np.full(len(X), -1)
    masked[labelled] = y[labelled]
    return Split(X.iloc[train], masked[train], X.iloc[test], y[test], seed)


def choose_labels(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Positions of `n` rows: one of each class, the others in proportion to the class's size."""
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(y, return_counts=True)
    wanted = n * counts / len(y)
    quota = np.ones(len(classes), dtype=int)
    while quota.sum() < n:
        quota[np.argmax(np.where(quota < counts, wanted - quota, -np.inf))] += 1
    rows = [
        rng.permutation(np.flatnonzero(y == c))[:k] for c, k in zip(classes, quota, strict=True)
    ]
    return np.sort(np.concatenate(rows))


def choose_a_class(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Positions of `n` rows of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == c))[:n] for c in np.unique(y)]
    return np.sort(np.concatenate(rows))


def folds(y: np.ndarray, n_splits: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified folds that neither fail nor warn where classes have few labels.

    The shuffled rows of each class are dealt to the folds in turn. A class with fewer rows than
    folds is missing from some test folds; the only row of a class is always a training row.
    """
    rng = np.random.default_rng(seed)
    fold = np.full(len(y), -1)
    dealt = 0
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        if len(rows) > 1:
            fold[rows] = (dealt + np.arange(len(rows))) % n_splits
            dealt += len(rows)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_splits)]


# ------------------------------------------------------------------------------- baselines


def columns(split: Split, quantile: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All training rows, the labelled ones and the test rows as numbers.

    Numeric columns are standardised, made normal by their quantiles first where `quantile` is set;
    a missing number is the median and an indicator, a missing category is one more category.
    """
    scale = [StandardScaler()]
    if quantile:
        n_quantiles = min(1000, len(split.X))
        scale.insert(0, QuantileTransformer(n_quantiles=n_quantiles, output_distribution="normal"))
        scale[0].set_params(random_state=split.seed)
    numbers = make_pipeline(*scale, SimpleImputer(strategy="median", add_indicator=True))
    onehot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    table = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", onehot, make_column_selector(dtype_include="category")),
        ]
    )
    Z = table.fit_transform(split.X)
    return Z, Z[split.y >= 0], table.transform(split.X_test)


def tuned(
    model: ClassifierMixin, grid: dict[str, list], n_splits: int, views: list[tuple], split: Split
) -> tuple[float]:
    """Test accuracy of the parameters and columns, a pair (Z_few, Z_test), best in the folds."""
    cv = folds(split.y_few, n_splits, split.seed)
    best, Z_test = best_search(model, grid, cv, "accuracy", views, split.y_few)
    return (best.score(Z_test, split.y_test),)


def lr(split: Split, quantile: bool = False) -> tuple[float]:
    return tuned(
        LogisticRegression(max_iter=5000), C_GRID, 5, [columns(split, quantile)[1:]], split
    )


def pca_lr(split: Split) -> tuple[float]:
    """Components of all training rows; C and their share of the variance by cross-validation."""
    Z, Z_few, Z_test = columns(split, quantile=False)
    views = []
    for share in VARIANCE_SHARES:
        pca = PCA(n_components=share, svd_solver="full").fit(Z)
        views.append((pca.transform(Z_few), pca.transform(Z_test)))
    return tuned(LogisticRegression(max_iter=5000), C_GRID, 5, views, split)


def mlp(split: Split) -> tuple[float]:
    """Columns (of `lr` or `lr_quantile`), size and penalty by cross-validation."""
    model = MLPClassifier(
        batch_size=32, learning_rate_init=3e-3, max_iter=100, random_state=split.seed
    )
    views = [columns(split, quantile)[1:] for quantile in (False, True)]
    with warnings.catch_warnings():  # a fixed number of epochs is meant
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger", UserWarning)
        return tuned(model, MLP_GRID, 3, views, split)


def extra_trees(split: Split) -> tuple[float]:
    """Columns tried at each cut by cross-validation."""
    model = ExtraTreesClassifier(n_estimators=300, random_state=split.seed)
    return tuned(model, TREES_GRID, 3, [columns(split, quantile=False)[1:]], split)


def random_forest(split: Split) -> tuple[float]:
    """Columns tried at each cut by the rows out of the bag."""
    from skssl.evaluation._baselines import TunedForestClassifier

    _, Z_few, Z_test = columns(split, quantile=False)
    model = TunedForestClassifier(random_state=split.seed).fit(Z_few, split.y_few)
    return (model.score(Z_test, split.y_test),)


def gradient_boosting(split: Split) -> tuple[float]:
    """On the frame itself: it takes categories and missing cells as they are. Not tuned."""
    model = HistGradientBoostingClassifier(min_samples_leaf=5, random_state=split.seed)
    return (model.fit(split.X_few, split.y_few).score(split.X_test, split.y_test),)


# ------------------------------------------------------------------------------- skssl


def pretrained(split: Split, transformer: str = "MultiTask", **params: Any) -> tuple[float]:
    """`PretrainedClassifier` on the frame, -1 where there is no label."""
    import skssl

    joined = params.pop("passthrough", "auto")
    first = getattr(skssl, transformer)(random_state=split.seed, **params)
    model = skssl.PretrainedClassifier(first, passthrough=joined, random_state=split.seed)
    return (model.fit(split.X, split.y).score(split.X_test, split.y_test),)


def default(split: Split) -> tuple[float]:
    """`PretrainedClassifier` with nothing but a seed."""
    return (fitted_default(split).score(split.X_test, split.y_test),)


def fitted_default(split: Split) -> Any:
    import skssl

    memory = os.environ.get("SKSSL_MEMORY")
    model = skssl.PretrainedClassifier(memory=memory, random_state=split.seed)
    return model.fit(split.X, split.y)


def in_context(split: Split) -> tuple[float]:
    """`InContextClassifier` on the frame, -1 where there is no label: nothing is trained."""
    return (fitted_in_context(split).score(split.X_test, split.y_test),)


def fitted_in_context(split: Split) -> Any:
    import skssl

    return skssl.InContextClassifier(random_state=split.seed).fit(split.X, split.y)


def mixed(split: Split) -> tuple[float]:
    """A quarter of the probabilities of `in_context`, the rest those of `skssl`."""
    models = fitted_default(split), fitted_in_context(split)
    ours, others = (model.predict_proba(split.X_test) for model in models)
    best = (0.75 * ours + 0.25 * others).argmax(1)
    return (float(np.mean(models[0].classes_[best] == split.y_test)),)


METHODS: dict[str, Method] = {
    "lr": lr,
    "lr_quantile": partial(lr, quantile=True),
    "pca_lr": pca_lr,
    "mlp": mlp,
    "extra_trees": extra_trees,
    "random_forest": random_forest,
    "gradient_boosting": gradient_boosting,
    "untrained_lr": partial(pretrained, max_epochs=0, passthrough=False),
    "skssl": default,
    "untrained_joined": partial(pretrained, max_epochs=0),
    "in_context": in_context,
    "mixed": mixed,
    "scarf": partial(pretrained, transformer="SCARF"),
    "vime": partial(pretrained, transformer="VIME"),
    "dae": partial(pretrained, transformer="DenoisingAutoencoder"),
}


# ------------------------------------------------------------------------------- label budgets


def large_table_names(cache: Path) -> list[str]:
    """Names of the tables with at least 1 000 training rows."""
    return [name for name in table_names(cache) if 0.7 * len(load(name, cache)[0]) >= 1000]


BENCHMARK = Benchmark(
    title=f"Test rows, {N_LABELS} labels",
    results=RESULTS / "tables.csv",
    scores=("accuracy",),
    methods=METHODS,
    baselines=tuple(METHODS)[:8],
    table_names=table_names,
    make_split=make_split,
    clock="wall_seconds",
)
BENCHMARKS = {
    "100": BENCHMARK,
    "5_a_class": replace(
        BENCHMARK,
        title="Test rows, 5 labels a class",
        results=RESULTS / "tables_5_a_class.csv",
        make_split=partial(make_split, labels="5_a_class"),
        seeds=(0, 1, 2),
    ),
    "500": replace(
        BENCHMARK,
        title="Test rows, 500 labels",
        results=RESULTS / "tables_500.csv",
        table_names=large_table_names,
        make_split=partial(make_split, labels="500"),
        seeds=(0, 1, 2),
    ),
}

if __name__ == "__main__":
    raise SystemExit(main("tables", option="labels"))
