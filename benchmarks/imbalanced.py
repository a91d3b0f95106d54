"""Rare classes with 100 labels a table: skssl beside the baselines one would pick, by AUC.

For every table and seed, 30 % of the rows are a stratified test set, all others are training rows,
of which 100 have a label: the rare class in proportion to its size, but at least five of it, as one
would label after having looked for some. Methods answer with probabilities and are scored by the
area under the ROC curve and by average precision; hyper-parameters are chosen by AUC in folds.

    python benchmarks/imbalanced.py --fetch              # once: download the tables
    python benchmarks/imbalanced.py                      # all baselines -> results/imbalanced.csv
    python benchmarks/imbalanced.py --methods skssl      # skssl's default
    python benchmarks/imbalanced.py --report             # compare, write results/imbalanced.md
"""

import warnings
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import tables
from _data_imbalanced import load, table_names
from _runner import Benchmark, Method, best_search, main
from sklearn.base import ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from tables import C_GRID, MLP_GRID, N_LABELS, TREES_GRID, VARIANCE_SHARES, Split, folds

MIN_POSITIVES = 5
Scores = tuple[float, float]
View = tuple[np.ndarray, np.ndarray]


# ------------------------------------------------------------------------------- protocol


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    X, y = load(table, cache)
    train, test = train_test_split(np.arange(len(X)), test_size=0.3, stratify=y, random_state=seed)
    labelled = train[choose_labels(y[train], N_LABELS, seed)]
    few = np.full(len(X), -1)
    few[labelled] = y[labelled]
    return Split(X.iloc[train], few[train], X.iloc[test], y[test], seed)


def choose_labels(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Positions of `n` rows: positives in proportion to their share, but at least five."""
    rng = np.random.default_rng(seed)
    n_positive = max(MIN_POSITIVES, round(n * y.mean()))
    positive = rng.permutation(np.flatnonzero(y == 1))[:n_positive]
    negative = rng.permutation(np.flatnonzero(y == 0))[: n - n_positive]
    return np.sort(np.concatenate([positive, negative]))


def scores(split: Split, probability: np.ndarray) -> Scores:
    """AUC and average precision of the rare class's probabilities."""
    p = probability[:, 1]
    return roc_auc_score(split.y_test, p), average_precision_score(split.y_test, p)


# ------------------------------------------------------------------------------- baselines


def tuned(
    model: ClassifierMixin, grid: Mapping[str, Any], n_splits: int, views: list[View], split: Split
) -> Scores:
    """Scores of the parameters and columns with the best AUC in the folds."""
    cv = folds(split.y_few, n_splits, split.seed)
    best, Z_test = best_search(model, grid, cv, "roc_auc", views, split.y_few)
    return scores(split, best.predict_proba(Z_test))


def lr(split: Split, quantile: bool = False) -> Scores:
    view = tables.columns(split, quantile)[1:]
    return tuned(LogisticRegression(max_iter=5000), C_GRID, 5, [view], split)


def pca_lr(split: Split) -> Scores:
    """Components of all training rows; C and their share of the variance by folds."""
    Z, Z_few, Z_test = tables.columns(split, quantile=False)
    views = []
    for share in VARIANCE_SHARES:
        pca = PCA(n_components=share, svd_solver="full").fit(Z)
        views.append((pca.transform(Z_few), pca.transform(Z_test)))
    return tuned(LogisticRegression(max_iter=5000), C_GRID, 5, views, split)


def mlp(split: Split) -> Scores:
    """Columns (of `lr` or `lr_quantile`), size and penalty by cross-validation."""
    model = MLPClassifier(
        batch_size=32, learning_rate_init=3e-3, max_iter=100, random_state=split.seed
    )
    views = [tables.columns(split, quantile)[1:] for quantile in (False, True)]
    with warnings.catch_warnings():  # a fixed number of epochs is meant
        warnings.simplefilter("ignore", ConvergenceWarning)
        return tuned(model, MLP_GRID, 3, views, split)


def extra_trees(split: Split) -> Scores:
    """Columns tried at each cut by cross-validation."""
    model = ExtraTreesClassifier(n_estimators=300, random_state=split.seed)
    return tuned(model, TREES_GRID, 3, [tables.columns(split, quantile=False)[1:]], split)


def random_forest(split: Split) -> Scores:
    """Columns tried at each cut by cross-validation."""
    model = RandomForestClassifier(n_estimators=300, random_state=split.seed)
    return tuned(model, TREES_GRID, 3, [tables.columns(split, quantile=False)[1:]], split)


def gradient_boosting(split: Split) -> Scores:
    """On the frame itself: it takes categories and missing cells as they are. Not tuned."""
    model = HistGradientBoostingClassifier(min_samples_leaf=5, random_state=split.seed)
    model.fit(split.X_few, split.y_few)
    return scores(split, model.predict_proba(split.X_test))


# ------------------------------------------------------------------------------- skssl


def pretrained(split: Split, transformer: str | None = None, **params: Any) -> Scores:
    """`PretrainedClassifier` on the frame, -1 where there is no label."""
    import skssl

    joined = params.pop("passthrough", "auto")
    first = None if transformer is None else getattr(skssl, transformer)(**params)
    model = skssl.PretrainedClassifier(first, passthrough=joined, random_state=split.seed)
    return scores(split, model.fit(split.X, split.y).predict_proba(split.X_test))


def in_context(split: Split) -> Scores:
    """`InContextClassifier` on the frame, -1 where there is no label: nothing is trained."""
    import skssl

    model = skssl.InContextClassifier(random_state=split.seed).fit(split.X, split.y)
    return scores(split, model.predict_proba(split.X_test))


METHODS: dict[str, Method] = {
    "lr": lr,
    "lr_quantile": partial(lr, quantile=True),
    "pca_lr": pca_lr,
    "mlp": mlp,
    "extra_trees": extra_trees,
    "random_forest": random_forest,
    "gradient_boosting": gradient_boosting,
    "untrained_lr": partial(pretrained, transformer="MultiTask", max_epochs=0, passthrough=False),
    "untrained_joined": partial(pretrained, transformer="MultiTask", max_epochs=0),
    "skssl": pretrained,
    "in_context": in_context,
    "scarf": partial(pretrained, transformer="SCARF"),
    "vime": partial(pretrained, transformer="VIME"),
    "dae": partial(pretrained, transformer="DenoisingAutoencoder"),
}
BENCHMARK = Benchmark(
    title=f"Test rows, {N_LABELS} labels, at least {MIN_POSITIVES} of the rare class",
    results=Path(__file__).parent / "results" / "imbalanced.csv",
    scores=("AUC", "average precision"),
    methods=METHODS,
    baselines=tuple(METHODS)[:8],
    table_names=table_names,
    make_split=make_split,
)

if __name__ == "__main__":
    raise SystemExit(main("imbalanced"))
