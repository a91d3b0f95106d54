"""Fine-tuning beside the frozen encoder that it starts from, with 50, 100 and 500 labels.

Tables, splits and the choice of labels are those of `tables.py`, of tables with at least 1 000
training rows. For every table and seed `MultiTask()` learns once from all training rows without
labels, and every method starts from that encoder, so that seconds are without its training.

    python benchmarks/tables.py --fetch                 # once: download the tables
    python benchmarks/fine_tuning.py                    # -> results/fine_tuning.csv
    python benchmarks/fine_tuning.py --methods "ensemble 50" "ensemble 100" "ensemble 500"
    python benchmarks/fine_tuning.py --report           # -> results/fine_tuning.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tables
from _data import load
from _runner import Benchmark, Method, main, markdown, plus_minus
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import C_GRID, choose_labels, folds

from skssl import FineTunedClassifier, MultiTask, PretrainedClassifier

BUDGETS = (50, 100, 500)


@dataclass(frozen=True)
class Split:
    """Training rows, the encoder that learnt from them without `y`, and test rows."""

    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    encoder: Any
    seed: int

    def labels(self, n: int) -> np.ndarray:
        """Return `y`, with -1 in place of all but `n` labels."""
        masked = np.full(len(self.y), -1)
        few = choose_labels(self.y, n, self.seed)
        masked[few] = self.y[few]
        return masked


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    X, y = load(table, cache)
    train, test = train_test_split(np.arange(len(X)), test_size=0.3, stratify=y, random_state=seed)
    encoder = FrozenEstimator(MultiTask(random_state=seed).fit(X.iloc[train]))
    return Split(X.iloc[train], y[train], X.iloc[test], y[test], encoder, seed)


def frozen(split: Split, n_labels: int) -> tuple[float]:
    """A logistic regression, C chosen by cross-validation, on embedding and raw columns."""
    y = split.labels(n_labels)
    cv = folds(y[y >= 0], 5, split.seed)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-3))
    grid = {f"logisticregression__{name}": values for name, values in C_GRID.items()}
    model = PretrainedClassifier(split.encoder, GridSearchCV(linear, grid, cv=cv))
    return (model.fit(split.X, y).score(split.X_test, split.y_test),)


def ensemble(split: Split, n_labels: int) -> tuple[float]:
    """skssl's default classifier on embedding and raw columns."""
    model = PretrainedClassifier(split.encoder, random_state=split.seed)
    return (model.fit(split.X, split.labels(n_labels)).score(split.X_test, split.y_test),)


def fine_tuned(split: Split, n_labels: int) -> tuple[float]:
    model = FineTunedClassifier(split.encoder, random_state=split.seed)
    return (model.fit(split.X, split.labels(n_labels)).score(split.X_test, split.y_test),)


KINDS = {"frozen": frozen, "fine_tuned": fine_tuned, "ensemble": ensemble}
METHODS: Mapping[str, Method] = {
    f"{kind} {n}": partial(method, n_labels=n) for kind, method in KINDS.items() for n in BUDGETS
}


# ------------------------------------------------------------------------------- report


def report(results: pd.DataFrame) -> str:
    """Means over tables and differences to the frozen encoder, by number of labels."""
    kinds = results["method"].str.rsplit(n=1, expand=True)
    results = results.assign(kind=kinds[0], labels=kinds[1].astype(int))
    results = results[results["accuracy"].notna()]
    wide = results.pivot_table("accuracy", ["labels", "table", "seed"], "kind")
    wide = wide.dropna(subset=["frozen", "fine_tuned"])
    rows, by_table = [], {}
    for n, each in wide.groupby(level="labels"):
        means = each.groupby(level="table").mean()
        gain = means["fine_tuned"] - means["frozen"]
        by_table[f"{n} labels"] = gain
        row = [str(n), *(plus_minus(means[kind]) for kind in ("frozen", "fine_tuned"))]
        row += [plus_minus(gain), f"{(gain > 0).sum()} / {(gain < 0).sum()}"]
        row.append(f"{100 * gain.min():.1f} {gain.idxmin()}")
        known = means["ensemble"].dropna() if "ensemble" in means else means["frozen"][:0]
        row.append(plus_minus(known) if len(known) == len(means) else "")
        rows.append(row)
    tables_ = list(dict.fromkeys(results["table"]))
    gains = pd.DataFrame(by_table).reindex(tables_)
    head = ["labels", "frozen", "fine_tuned", "difference", "better / worse", "worst", "ensemble"]
    pairs = wide.groupby(level="labels").size()
    return "\n\n".join(
        [
            f"Accuracy × 100 on test rows, mean ± standard error over {len(gains)} tables; "
            + "; ".join(f"{n} labels: {size} fits" for n, size in pairs.items())
            + ". Frozen: a tuned logistic regression on the encoder; fine-tuned: "
            "`FineTunedClassifier` from the same; ensemble: skssl's default classifier on it, "
            "where all tables have that.",
            markdown(head, rows),
            "Fine-tuned minus frozen, × 100, mean over seeds.",
            markdown(
                ["table", *gains],
                [
                    [name, *("" if np.isnan(v) else f"{100 * v:.1f}" for v in row)]
                    for name, row in zip(gains.index, gains.to_numpy(), strict=True)
                ],
            ),
        ]
    )


BENCHMARK = Benchmark(
    title="Fine-tuning",
    results=Path(__file__).parent / "results" / "fine_tuning.csv",
    scores=("accuracy",),
    methods=METHODS,
    baselines=tuple(f"{kind} {n}" for n in BUDGETS for kind in ("frozen", "fine_tuned")),
    table_names=tables.large_table_names,
    make_split=make_split,
    seeds=(0, 1, 2),
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("fine_tuning"))
