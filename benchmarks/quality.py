"""Metrics without labels beside a probe with 100: do they choose the same encoder?

Every table and seed has 24 encoders, six settings of each of four methods. Each is judged by what
`skssl.metrics` says of its embedding of the training rows, and by the accuracy on the test rows of
a logistic regression on 100 labels, split as in `tables.py`. The report has the rank correlation
of each metric with that accuracy: within a method, and across all. Tables are dealt into two halves
in turn: choose a metric on the first, and see on the second whether it holds.

    python benchmarks/quality.py                           # 48 fits of 500 steps a table and seed
    python benchmarks/quality.py --tables digits vehicle --seeds 0
    python benchmarks/quality.py --report                  # -> results/quality.md

`digits` are scikit-learn's, as images of 8 x 8, for a net of two stages; the methods that read
tables only end in an error there, and are left out.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tables
from _runner import Benchmark, Method, best_search, main, markdown, plus_minus
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tables import C_GRID, Split, choose_labels, folds

from skssl import SCARF, VIME, SimCLR, VICReg
from skssl._training._loop import n_batches
from skssl.encoders import ResNet
from skssl.metrics import label_free_scorer, seed_stability

N_STEPS = 500
DIGITS = "digits"
TABLES = (DIGITS, "vehicle", "wdbc", "vowel", "segment", "splice", "optdigits", "satimage")
SCORERS = ("rankme alpha_req nesum stable_rank uniformity lidar alignment knn_consistency").split()
METRICS = (*SCORERS, "seed_stability")
SETTINGS: Mapping[str, list[Any]] = {
    "SCARF": [SCARF(corruption=c) for c in (0.1, 0.3, 0.6, 0.9)]
    + [SCARF(temperature=0.1), SCARF(learning_rate=0.02)],
    "VIME": [VIME(p=p) for p in (0.05, 0.15, 0.3, 0.6)]
    + [VIME(learning_rate=1e-4), VIME(learning_rate=0.02)],
    "SimCLR": [SimCLR(temperature=t) for t in (0.05, 0.2, 1.0)]
    + [SimCLR(batch_size=32), SimCLR(learning_rate=1e-4), SimCLR(learning_rate=0.02)],
    "VICReg": [VICReg(), VICReg(variance=1), VICReg(covariance=0), VICReg(covariance=25)]
    + [VICReg(learning_rate=1e-4), VICReg(learning_rate=0.02)],
}


def make_split(table: str, seed: int, cache: Path) -> Split:
    if table != DIGITS:
        return tables.make_split(table, seed, cache)
    data = load_digits()
    X, y = data.images.astype("uint8"), data.target
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
    few = choose_labels(y[train], tables.N_LABELS, seed)
    masked = np.full(len(train), -1)
    masked[few] = y[train][few]
    return Split(X[train], masked, X[test], y[test], seed)


def small_net(x: Any) -> ResNet:
    """Two stages: 8 x 8 pixels need no more."""
    return ResNet(x.shape[1], widths=(16, 32), n_blocks=(1, 1), n_components=64)


def judged(split: Split, transformer: Any) -> tuple[float, ...]:
    """Accuracy of the probe, then each metric, of which greater is better."""
    batch = min(transformer.batch_size, len(split.X))
    epochs = max(1, round(N_STEPS / n_batches(len(split.X), batch)))
    net = {"encoder": small_net} if np.ndim(split.X) == 3 else {}
    first, second = (
        clone(transformer).set_params(max_epochs=epochs, random_state=seed, **net).fit(split.X)
        for seed in (split.seed, split.seed + 1000)
    )
    Z = first.transform(split.X)
    scaler = StandardScaler().fit(Z)
    few, test = scaler.transform(Z[split.y >= 0]), scaler.transform(first.transform(split.X_test))
    cv = folds(split.y_few, 5, split.seed)
    model, test = best_search(
        LogisticRegression(max_iter=1000), C_GRID, cv, "accuracy", [(few, test)], split.y_few
    )
    found = [label_free_scorer(name)(first, split.X) for name in SCORERS]
    return model.score(test, split.y_test), *found, seed_stability(Z, second.transform(split.X))


METHODS: Mapping[str, Method] = {
    f"{family} {i}": partial(judged, transformer=transformer)
    for family, transformers in SETTINGS.items()
    for i, transformer in enumerate(transformers)
}


# ------------------------------------------------------------------------------- report


def correlations(results: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each metric with the probe, by table and by what is compared."""
    rows = []
    results = results[results["probe"].notna()]
    results = results.assign(family=results["method"].str.split().str[0])
    for (table, _), group in results.groupby(["table", "seed"]):
        within = [part for _, part in group.groupby("family") if len(part) >= 5]
        for kind, parts in {"within a method": within, "across methods": [group]}.items():
            for metric in METRICS:
                # A metric that says the same of all has chosen none.
                each = [part[metric].corr(part["probe"], method="spearman") for part in parts]
                rows.append((table, kind, metric, np.nan_to_num(each).mean()))
    return pd.DataFrame(rows, columns=["table", "kind", "metric", "rho"])


def gains(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the setting that each metric chooses, less the settings' mean, by table."""
    results = results[results["probe"].notna()]
    results = results.assign(family=results["method"].str.split().str[0])
    rows = []
    for (table, *_), group in results.groupby(["table", "seed", "family"]):
        mean = group["probe"].mean()
        chosen = {m: group["probe"].iloc[group[m].argmax()] - mean for m in (*METRICS, "probe")}
        rows.append({"table": table, **chosen})
    return pd.DataFrame(rows).groupby("table").mean()


def report(results: pd.DataFrame) -> str:
    """Mean correlations on either half of the tables, and what choosing by each metric gains."""
    found, gained = correlations(results), gains(results)
    names = [name for name in TABLES if name in set(found["table"])]
    rows = []
    for metric in METRICS:
        row = [metric]
        for kind in ("within a method", "across methods"):
            for half in (names[::2], names[1::2]):
                chosen = found[
                    (found["metric"] == metric)
                    & (found["kind"] == kind)
                    & found["table"].isin(half)
                ]
                row.append(plus_minus(chosen.groupby("table")["rho"].mean()))
        rows.append([*row, plus_minus(gained[metric])])
    kinds = [f"{kind}, {half} half" for kind in ("within", "across") for half in ("1st", "2nd")]
    n_fits = int(results["probe"].notna().sum())
    return "\n\n".join(
        [
            "Spearman's rank correlation × 100 of metrics without labels with the accuracy of a "
            f"probe on 100 labels; {n_fits} encoders on {len(names)} tables, mean ± standard error "
            f"over tables. First half: {', '.join(names[::2])}; second: {', '.join(names[1::2])}.\n"
            "Gained: how many points of accuracy the setting of a method that a metric puts first "
            f"is above the mean of its settings; the best one is {plus_minus(gained['probe'])}.",
            markdown(["metric", *kinds, "gained"], rows),
        ]
    )


BENCHMARK = Benchmark(
    title="Quality without labels",
    results=Path(__file__).parent / "results" / "quality.csv",
    scores=("probe", *METRICS),
    methods=METHODS,
    baselines=tuple(METHODS),
    table_names=lambda cache: list(TABLES),
    make_split=make_split,
    seeds=(0, 1),
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("quality"))
