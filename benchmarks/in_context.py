"""Where in-context prediction is good and bad, and what it costs: the figures of its card.

    python benchmarks/tables.py --methods in_context    # first; --labels 5_a_class and 500, too
    python benchmarks/in_context.py                     # run what results/in_context.csv lacks
    python benchmarks/in_context.py --report            # measure the cost, write in_context.md

- By number of labels, rows, columns and classes: what `tables.py` found, by groups of tables.
- By missing cells, ten tables with 100 labels: a share of all cells removed at random, of labelled,
  unlabelled and test rows alike. A table is named with that share.
- Cost: one thread, 2 000 rows of 20 columns, 100 labels; one row; memory of 100 000 rows.
"""

import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tables
from _data import default_cache, load, table_names
from _runner import Benchmark, main, markdown
from sklearn.datasets import make_classification
from tables import RESULTS, Split, in_context, random_forest

from skssl import InContextClassifier

SHARES = (0.0, 0.1, 0.3, 0.5)
N_TABLES = 10
RIVALS = ["extra_trees", "random_forest", "gradient_boosting", "lr"]
LABELS = {"5 a class": "tables_5_a_class.csv", "100": "tables.csv", "500": "tables_500.csv"}
EDGES = {"rows": (1000, 5000), "columns": (10, 30), "classes": (2, 9)}  # of groups of tables


# ------------------------------------------------------------------------------- missing cells


def names_with_holes(cache: Path) -> list[str]:
    """Ten tables, evenly spread over the names, each with every share of cells to be removed."""
    names = table_names(cache)
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, N_TABLES).round().astype(int)]
    return [f"{name} {share}" for name in chosen for share in SHARES]


def with_holes(name: str, seed: int, cache: Path) -> Split:
    """Return the split of a table of whose cells a share was removed."""
    table, share = name.rsplit(" ", 1)
    split, random = tables.make_split(table, seed, cache), np.random.default_rng(seed)
    X = split.X.mask(random.random(split.X.shape) < float(share))
    X_test = split.X_test.mask(random.random(split.X_test.shape) < float(share))
    return Split(X, split.y, X_test, split.y_test, seed)


def by_missing_share(results: pd.DataFrame) -> str:
    share = results["table"].str.rsplit(" ", n=1).str[1]
    mean = 100 * results.pivot_table(index=share, columns="method", values="accuracy")
    return markdown(["share", *mean], [[s, *points(row)] for s, row in mean.iterrows()])


# ------------------------------------------------------------------------------- groups


def points(values: pd.Series) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.1f}" for value in values]


def by_group() -> str:
    """Return the difference to each rival, in points, for groups of tables."""
    found = {labels: gains(RESULTS / file) for labels, file in LABELS.items()}
    groups = [("labels", labels, gain) for labels, gain in found.items() if len(gain)]
    gain = found["100"]
    shapes = {name: load(name, default_cache()) for name in gain.index}
    sizes = {
        "rows": {name: len(X) for name, (X, _) in shapes.items()},
        "columns": {name: X.shape[1] for name, (X, _) in shapes.items()},
        "classes": {name: len(np.unique(y)) for name, (_, y) in shapes.items()},
    }
    for by, (low, high) in EDGES.items():
        place = np.digitize(pd.Series(sizes[by])[gain.index], [low + 1, high + 1])
        names = f"up to {low}", f"{low + 1} to {high}", f"more than {high}"
        groups += [(by, name, gain[place == i]) for i, name in enumerate(names)]
    rows = [[by, name, str(len(gain)), *points(gain.mean())] for by, name, gain in groups]
    return markdown(["by", "group", "tables", *RIVALS], rows)


def gains(path: Path) -> pd.DataFrame:
    """Return the difference to each rival by table; empty if there are no figures yet."""
    mean = pd.read_csv(path).pivot_table(index="table", columns="method", values="accuracy")
    mean = mean.reindex(columns=[*RIVALS, "in_context"]).dropna(subset="in_context")
    return 100 * mean[RIVALS].rsub(mean["in_context"], axis=0)


# ------------------------------------------------------------------------------- cost


def cost() -> str:
    """Return seconds of one thread, and memory."""
    X, y = make_classification(102_000, 20, n_informative=10, random_state=0)
    y[100:] = -1

    def fitted(n_permutations: int) -> InContextClassifier:
        return InContextClassifier(n_permutations, random_state=0).fit(X[:2000], y[:2000])

    def seconds(n_permutations: int) -> float:
        start = time.perf_counter()
        fitted(n_permutations).predict(X[:2000])
        return time.perf_counter() - start

    model = fitted(4)
    model.predict(X[:1])
    single = []
    for i in range(30):
        start = time.perf_counter()
        model.predict(X[i : i + 1])
        single.append(time.perf_counter() - start)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.predict(X[2000:])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "fit and predict 2 000 rows, one permutation, s": min(seconds(1) for _ in range(3)),
        "fit and predict 2 000 rows, four permutations, s": min(seconds(4) for _ in range(3)),
        "one row, four permutations, ms": 1e3 * float(np.median(single)),
        "memory added by predicting 100 000 rows, MB": (after - before) / 1024,
        "memory of the process, MB": after / 1024,
    }
    return markdown(["what", "value"], [[what, f"{value:.2f}"] for what, value in figures.items()])


def report(results: pd.DataFrame) -> str:
    """Return the three parts."""
    seconds = cost()  # first: memory is that of the process at its highest
    return "\n\n".join(
        [
            "`InContextClassifier` minus the rival, points of accuracy, mean over tables.",
            by_group(),
            "Accuracy x 100 with a share of all cells removed, 100 labels, ten tables, one draw.",
            by_missing_share(results),
            "Cost, one thread; 2 000 rows of 20 columns, 100 labels.",
            seconds,
        ]
    )


BENCHMARK = Benchmark(
    title="Missing cells, 100 labels",
    results=RESULTS / "in_context.csv",
    scores=("accuracy",),
    methods={"in_context": in_context, "random_forest": random_forest},
    baselines=("in_context", "random_forest"),
    table_names=names_with_holes,
    make_split=with_holes,
    seeds=(0,),
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("in_context"))
