"""Tables larger than memory: peak memory, rows per second and the probe, beside a fit in memory.

    OMP_NUM_THREADS=1 python benchmarks/large.py                  # 20 GB, half an hour
    OMP_NUM_THREADS=1 python benchmarks/large.py --gigabytes 1    # a quick look

A table of 50 float32 columns and 10 classes of 4 clusters each is written twice, one after the
other: as ``.npy``, and as Parquet with row groups of 131 072 rows. Both are *sorted by class*.
``SCARF(batch_size=128)``, 6 000 steps by default, is fitted in turn to a million rows of the same
distribution in memory and to the file, each in a process of its own. *Memory* is the peak of
RssAnon in /proc/self/status, what the imports take included. *Rows/s* are those trained on in the
epochs, reading included, by the clock on the wall and by the processor's; *ratio* is the median
share of the latter that is left of those in memory. The *probe* is the accuracy of a
LogisticRegression, fitted to 2 000 labelled rows, on 50 000 others.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _runner import markdown, plus_minus
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, transform_to
from skssl._training import _loop

N_COLUMNS, N_CLASSES, N_CLUSTERS = 50, 10, 40
ROWS_AT_ONCE = 2**17
ROWS_IN_MEMORY = 1_000_000
ROWS_TO_TRANSFORM = 5_000_000
HEAD = [
    "rows",
    "peak MB",
    "before MB",
    "seconds before training",
    "rows/s",
    "CPU rows/s",
    "ratio",
    "probe",
]


def rows_of(clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of clusters, bent, so that classes are no half-spaces of the columns."""
    fixed = np.random.default_rng(0)
    centers = 1.2 * fixed.standard_normal((N_CLUSTERS, 8), dtype=np.float32)
    mix = fixed.standard_normal((8, N_COLUMNS), dtype=np.float32) / 2
    latent = centers[clusters] + rng.standard_normal((len(clusters), 8), dtype=np.float32) / 2
    noise = rng.standard_normal((len(clusters), N_COLUMNS), dtype=np.float32) / 2
    return np.sin(latent @ mix) + noise


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows in random order, and their classes."""
    rng = np.random.default_rng(seed)
    clusters = rng.integers(N_CLUSTERS, size=n)
    return rows_of(clusters, rng), clusters % N_CLASSES


def sorted_blocks(n: int):
    """Yield blocks of rows, sorted by class from the first block to the last."""
    rng = np.random.default_rng(1)
    for start in range(0, n, ROWS_AT_ONCE):
        at = np.arange(start, min(start + ROWS_AT_ONCE, n))
        classes = at * N_CLASSES // n
        yield rows_of(
            classes + N_CLASSES * rng.integers(N_CLUSTERS // N_CLASSES, size=len(at)), rng
        )


def write_npy(path: Path, n: int) -> None:
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, N_COLUMNS))
    start = 0
    for block in sorted_blocks(n):
        out[start : start + len(block)] = block
        start += len(block)


def write_parquet(path: Path, n: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = [f"x{i}" for i in range(N_COLUMNS)]
    writer = None
    for block in sorted_blocks(n):
        table = pa.table(list(block.T.copy()), names)
        writer = writer or parquet.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table, row_group_size=ROWS_AT_ONCE)
    writer.close()


WRITERS: dict[str, Callable[[Path, int], None]] = {".npy": write_npy, ".parquet": write_parquet}

# -------------------------------------------------------------------- in a process of its own


class Peak:
    """The largest RssAnon, in MB, sampled every 10 ms."""

    def __enter__(self) -> "Peak":
        self.now, self.largest, self.stop = self.read(), 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop.set()
        self.thread.join()

    @staticmethod
    def read() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def watch(self) -> None:
        while not self.stop.wait(0.01):
            self.largest = max(self.largest, self.read())


class Epochs:
    """A callback that notes when the first epoch begins and the last one ends."""

    def setup(self, estimator, context):
        """Nothing to prepare."""

    def teardown(self, estimator, context):
        """Nothing to release."""

    def on_fit_task_begin(self, estimator, context):
        """Note when the first epoch begins."""
        if context.task_name == "epoch" and not hasattr(self, "begin"):
            self.begin = time.perf_counter(), time.process_time()

    def on_fit_task_end(self, estimator, context):
        """Note when an epoch ends."""
        if context.task_name == "epoch":
            self.end = time.perf_counter(), time.process_time()


def fit(path: Path | None, seed: int) -> dict[str, float]:
    """Fit to a file, or to rows in memory; return memory, speed and the probe."""
    X: Any = path
    if path is None:
        X = drawn(ROWS_IN_MEMORY, 2)[0]
    elif path.suffix == ".npy":
        X = np.load(path, mmap_mode="r")
    epochs = Epochs()
    encoder = SCARF(batch_size=128, random_state=seed).set_callbacks(epochs)
    with Peak() as peak:
        start = time.perf_counter()
        encoder.fit(X)
    n_rows = _loop.STEPS_PER_REPORT * encoder.n_iter_ * encoder.batch_size
    wall, cpu = (end - begin for begin, end in zip(epochs.begin, epochs.end, strict=True))
    few, y_few = drawn(2_000, 3 + seed)
    rest, y_rest = drawn(50_000, 100)
    if hasattr(encoder, "feature_names_in_"):
        few, rest = (pd.DataFrame(x, columns=encoder.feature_names_in_) for x in (few, rest))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    raw = clone(probe).fit(few, y_few).score(rest, y_rest)
    probe.fit(encoder.transform(few), y_few)
    return {
        "MB before": peak.now,
        "MB": peak.largest,
        "seconds before training": epochs.begin[0] - start,
        "rows/s": n_rows / wall,
        "rows/s of the processor": n_rows / cpu,
        "probe": probe.score(encoder.transform(rest), y_rest),
        "raw": raw,
    }


def transform(path: Path) -> dict[str, float]:
    """Embed rows of a file into another one."""
    encoder = SCARF(n_components=32, max_epochs=1, random_state=0).fit(drawn(10_000, 2)[0])
    X = np.load(path, mmap_mode="r")[:ROWS_TO_TRANSFORM]
    with Peak() as peak, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        start = time.perf_counter()
        n = len(transform_to(encoder, X, Path(folder, "Z.npy")))
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        encoder.transform(drawn(200_000, 4)[0])
        bare = time.perf_counter() - start
    return {"MB": peak.largest, "rows/s": n / seconds, "rows/s in memory": 200_000 / bare}


def alone(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--formats", nargs="+", choices=WRITERS, default=list(WRITERS))
    args = parser.parse_args()
    n = round(args.gigabytes * 1e9 / 4 / N_COLUMNS)
    found: dict[str, list[dict[str, float]]] = {}
    for name in args.formats:
        write = WRITERS[name]
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            path = Path(folder, f"rows{name}")
            write(path, n)
            print(f"{name}: {n:_} rows, {path.stat().st_size / 1e9:.1f} GB".replace("_", " "))
            for seed in args.seeds:  # one after the other: what else runs now slows both
                bare, run = alone(fit, None, seed), alone(fit, path, seed)
                run["share"] = run["rows/s of the processor"] / bare["rows/s of the processor"]
                found.setdefault(f"in memory, beside {name}", []).append(bare)
                found.setdefault(name, []).append(run)
            if name == ".npy":
                into = alone(transform, path)
    print(markdown(HEAD, [[name, *summary(runs)] for name, runs in found.items()]))
    raw = plus_minus(pd.DataFrame(found[args.formats[0]])["raw"])
    print(f"\nThe probe on the columns themselves: {raw}.")
    if ".npy" in args.formats:
        print(
            f"transform_to of 5 million rows: {into['rows/s']:.0f} rows/s at a peak of "
            f"{into['MB']:.0f} MB; transform in memory: {into['rows/s in memory']:.0f}."
        )


def summary(runs: list[dict[str, float]]) -> list[str]:
    """The cells of one way to hold rows: the largest peak, and means over seeds."""
    frame = pd.DataFrame(runs)
    mean = frame.mean()
    return [
        f"{frame['MB'].max():.0f}",
        f"{mean['MB before']:.0f}",
        f"{mean['seconds before training']:.0f}",
        f"{mean['rows/s']:.0f}",
        f"{mean['rows/s of the processor']:.0f}",
        f"{frame['share'].median():.2f}" if "share" in frame else "",
        plus_minus(frame["probe"]),
    ]


if __name__ == "__main__":
    main()
