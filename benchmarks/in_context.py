"""Where in-context prediction is good and bad, and what it costs: the figures of its card.

    python benchmarks/tables.py --methods in_context    # first; --labels 5_a_class and 500, too
    python benchmarks/in_context.py                     # -> results/in_context.csv and .md

- By number of labels, rows, columns and classes: what `tables.py` found, by groups of tables.
- By missing cells: 100 labels, a share of the known cells removed at random from all rows.
- Seconds: of one thread, 2 000 rows of 20 columns, 100 labels; one row; memory of 100 000 rows.
"""

import resource
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _data import default_cache, load, table_names
from sklearn.datasets import make_classification
from tables import RESULTS, Split, in_context, make_split, random_forest

from skssl import InContextClassifier

SHARES, SEEDS = (0.0, 0.1, 0.3, 0.5), (0,)
N_TABLES = 10  # of those with missing cells
RIVALS = ["extra_trees", "random_forest", "gradient_boosting", "lr"]
LABELS = {"5 a class": "tables_5_a_class.csv", "100": "tables.csv", "500": "tables_500.csv"}


def by_group() -> pd.DataFrame:
    """Return the difference to each rival, in points, for groups of tables."""
    rows = []
    shapes = {name: load(name, default_cache()) for name in table_names(default_cache())}
    facts = pd.DataFrame(
        {
            "rows": {name: len(X) for name, (X, _) in shapes.items()},
            "columns": {name: X.shape[1] for name, (X, _) in shapes.items()},
            "classes": {name: len(np.unique(y)) for name, (_, y) in shapes.items()},
        }
    )
    edges = {"rows": (0, 1000, 5000), "columns": (0, 10, 30), "classes": (0, 2, 9)}
    for labels, file in LABELS.items():
        found = pd.read_csv(RESULTS / file)
        mean = found.pivot_table(index="table", columns="method", values="accuracy")
        if "in_context" not in mean:  # not run yet
            continue
        gain = 100 * mean.reindex(columns=RIVALS).rsub(mean["in_context"], axis=0)
        rows.append(("labels", labels, gain))
        if labels == "100":
            for fact, cuts in edges.items():
                groups = pd.cut(facts[fact].loc[gain.index], [*cuts, np.inf])
                rows += [(fact, str(k), gain[groups == k]) for k in groups.cat.categories]
    made = [
        {"by": by, "group": group, "tables": len(gain), **gain.mean()} for by, group, gain in rows
    ]
    return pd.DataFrame(made)


def with_holes(split: Split, share: float) -> Split:
    """Return a split of whose known cells a share was removed, at random."""
    random = np.random.default_rng(split.seed)
    X = split.X.mask(random.random(split.X.shape) < share)
    X_test = split.X_test.mask(random.random(split.X_test.shape) < share)
    return Split(X, split.y, X_test, split.y_test, split.seed)


def by_missing_share(path: Path) -> pd.DataFrame:
    """Return accuracies with cells removed; what the file has already is not run again."""
    fields = ["table", "seed", "share", "in_context", "random_forest"]
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=fields)
    names = table_names(default_cache())
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, N_TABLES).round().astype(int)]
    known = set(done[fields[:3]].itertuples(index=False, name=None))
    for seed, table, share in product(SEEDS, chosen, SHARES):
        if (table, seed, share) in known:
            continue
        split = with_holes(make_split(table, seed, default_cache()), share)
        row = pd.DataFrame([(table, seed, share, *in_context(split), *random_forest(split))])
        row.columns = fields
        done = row if done.empty else pd.concat([done, row], ignore_index=True)
        done.to_csv(path, index=False, float_format="%.5f", lineterminator="\n")
    return (100 * done.groupby("share")[["in_context", "random_forest"]].mean()).reset_index()


def cost() -> pd.DataFrame:
    """Return seconds of one thread, and memory."""
    X, y = make_classification(102_000, 20, n_informative=10, random_state=0)
    y[100:] = -1

    def fitted(n_permutations: int) -> InContextClassifier:
        return InContextClassifier(n_permutations, random_state=0).fit(X[:2000], y[:2000])

    def seconds(n: int) -> float:
        start = time.perf_counter()
        fitted(n).predict(X[:2000])
        return time.perf_counter() - start

    seconds(1)
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
    return pd.DataFrame(figures.items(), columns=["what", "value"])


def table(frame: pd.DataFrame, digits: int = 1) -> str:
    """Return a frame as a table of Markdown."""
    cells = [
        [f"{value:.{digits}f}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.itertuples(index=False)
    ]
    lines = [list(frame.columns), ["---"] * frame.shape[1], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Run what is missing, and write the report."""
    seconds = cost()  # first: memory is that of the process at its highest
    parts = [
        "`InContextClassifier` minus the rival, points of accuracy, mean over tables.\n",
        table(by_group()),
        "Accuracy x 100 with a share of all cells removed, 100 labels, 10 tables, one draw.\n",
        table(by_missing_share(RESULTS / "in_context.csv")),
        "Cost, one thread; 2 000 rows of 20 columns, 100 labels.\n",
        table(seconds, 2),
    ]
    text = "\n".join(parts)
    (RESULTS / "in_context.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
