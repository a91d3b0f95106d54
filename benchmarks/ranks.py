"""Rows a second of a fit on one rank and on two, of one thread each.

    OMP_NUM_THREADS=1 python benchmarks/ranks.py     # about 5 minutes, both cores free

Each fit is started by torchrun, as a user would start a script that calls `fit`. Rows a second are
those of the median epoch, the first left out. A batch is shared: two ranks take half of its rows
each. With TURNS above 1, fits on one rank and on two take turns, and medians are printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from overhead import images, table

from skssl import SCARF, SimCLR
from skssl.encoders import MLP

TURNS = 1


class Epochs:
    """A callback that notes when each epoch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing to prepare."""

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch":
            self.ends.append(time.perf_counter())


def wide(x: Any) -> MLP:
    """Four layers of 1 024 units."""
    return MLP(x.shape[1], 1024, 1024, 1024, 1024, activated=True)


def narrow(x: Any) -> MLP:
    """Four layers of 256 units."""
    return MLP(x.shape[1], 256, 256, 256, 256, activated=True)


FITS: dict[str, tuple[Any, Any]] = {
    "SimCLR, images of 28 x 28, batch 1024": (SimCLR(batch_size=1024, max_epochs=3), images),
    "SCARF, 4 x 1 024 units, batch 1024": (
        SCARF(encoder=wide, batch_size=1024, max_epochs=4),
        table,
    ),
    "SCARF, 4 x 256 units, batch 1024": (
        SCARF(encoder=narrow, batch_size=1024, max_epochs=10),
        table,
    ),
    "SCARF, 4 x 256 units, batch 128": (
        SCARF(encoder=narrow, batch_size=128, max_epochs=10),
        table,
    ),
}


def fit(name: str, precision: str) -> None:
    """Fit on this rank; the first one prints the rows a second."""
    (method, make), epochs = FITS[name], Epochs()
    X = make()
    method.set_params(precision=precision, random_state=0).set_callbacks(epochs).fit(X)
    n_rows = len(X) // method.batch_size * method.batch_size
    if os.environ["RANK"] == "0":
        print(n_rows / statistics.median(np.diff(epochs.ends)))


def rows_a_second(name: str, precision: str, n_ranks: int) -> float:
    """Start a fit on so many ranks."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_ranks)]
    command = [*start, "--rdzv-endpoint=localhost:0", "--rdzv-backend=c10d", __file__]
    out = subprocess.run([*command, name, precision], capture_output=True, check=True, text=True)
    return float(out.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=FITS, help="fit on this rank only")
    parser.add_argument("precision", nargs="?", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    if args.name:
        fit(args.name, args.precision)
        return
    print("| fit | precision | rows/s, 1 rank | rows/s, 2 ranks | ratio |")
    print("|---|---|---|---|---|")
    for name in FITS:
        for precision in ("float32", "bfloat16"):
            turns = [[rows_a_second(name, precision, n) for n in (1, 2)] for _ in range(TURNS)]
            one, two = (statistics.median(column) for column in zip(*turns, strict=True))
            ratio = statistics.median(b / a for a, b in turns)
            cells = name, precision, f"{one:.0f}", f"{two:.0f}", f"{ratio:.2f}"
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
