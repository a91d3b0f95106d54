"""Rows a second of a fit on one rank and on two, of one thread each.

    OMP_NUM_THREADS=1 python benchmarks/ranks.py     # about 5 minutes, both cores free

Each fit is started by torchrun, as a user would start a script that calls `fit`. Rows a second are
those of the median epoch, the first left out. A batch is shared: two ranks take half of its rows
each. With TURNS above 1, fits on one rank and on two take turns, and medians are printed. Last
comes what an exchange between two ranks takes: a sum over both of so many numbers of float32.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from overhead import images, table

from skssl import SCARF, SimCLR
from skssl.encoders import MLP

TURNS = 1
EXCHANGED, EXCHANGES = (1_000, 100_000, 5_000_000), 30


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


def exchange() -> None:
    """Sum tensors over the ranks; the first one prints the median milliseconds of each size."""
    torch.distributed.init_process_group("gloo")
    for n in EXCHANGED:
        numbers, seconds = torch.ones(n), []
        for _ in range(EXCHANGES):
            torch.distributed.barrier()
            start = time.perf_counter()
            torch.distributed.all_reduce(numbers)
            seconds.append(time.perf_counter() - start)
        if os.environ["RANK"] == "0":
            print(1e3 * statistics.median(seconds))
    torch.distributed.destroy_process_group()


def on_ranks(n_ranks: int, *args: str) -> list[float]:
    """Start this file on so many ranks, and return the numbers that the first one prints."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_ranks)]
    command = [*start, "--rdzv-endpoint=localhost:0", "--rdzv-backend=c10d", __file__]
    out = subprocess.run([*command, *args], capture_output=True, check=True, text=True)
    return list(map(float, out.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=[*FITS, "exchange"], help="on this rank only")
    parser.add_argument("precision", nargs="?", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    if args.name == "exchange":
        exchange()
        return
    if args.name:
        fit(args.name, args.precision)
        return
    print("| fit | precision | rows/s, 1 rank | rows/s, 2 ranks | ratio |")
    print("|---|---|---|---|---|")
    for name in FITS:
        for precision in ("float32", "bfloat16"):
            turns = [[on_ranks(n, name, precision)[-1] for n in (1, 2)] for _ in range(TURNS)]
            one, two = (statistics.median(column) for column in zip(*turns, strict=True))
            ratio = statistics.median(b / a for a, b in turns)
            cells = name, precision, f"{one:.0f}", f"{two:.0f}", f"{ratio:.2f}"
            print("|", " | ".join(cells), "|", flush=True)
    print("\n| numbers summed over two ranks | ms |\n|---|---|")
    for n, milliseconds in zip(EXCHANGED, on_ranks(2, "exchange"), strict=True):
        print(f"| {n} | {milliseconds:.2f} |")


if __name__ == "__main__":
    main()
