"""Pretrain the in-context learner of tables.

Each step goes on where it was broken off; `--folder` (build/pretraining) holds what is drawn:

    python benchmarks/pretraining/tables.py draw --shards 500    # tasks, from seeds: 64 a shard
    python benchmarks/pretraining/tables.py train --hours 2      # takes shards as they come
    python benchmarks/pretraining/tables.py evaluate             # 100 labels, public tables, rivals
    python benchmarks/pretraining/tables.py adapt --hours .02    # the same, after going on there
    python benchmarks/pretraining/tables.py write                # weights as the package reads them

`draw` and `train` run beside each other, one core each. `train` writes the state (NAME.pt: the
mean of the weights, step) and appends to NAME.csv the loss of tasks held out.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _real_tables import collect
from _steps import (
    IGNORED,
    N_TASKS,
    Both,
    Tasks,
    assemble,
    from_shards,
    loss,
    predict,
    read_shard,
    write_shard,
)
from torch import Tensor

from skssl._data._draws import Draws
from skssl._training._checkpoint import CheckpointFile
from skssl._training._loop import Plan, train
from skssl._weights import write_weights
from skssl.in_context._net import InContextNet

HERE = Path(__file__).parent
HELD_OUT = 10_000_000  # the first seed of shards that are never trained on

ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "narrow": {"cell_width": 96},
    "wide": {"cell_width": 96, "width": 192},
    "heads": {"n_heads": 8},
    "deep": {"cell_width": 96, "n_blocks": 9},
}


# ---- training ----------------------------------------------------------------------------


class Run:
    """A training that can be broken off: its net, its state on the disk, its curve.

    The state is the mean of the weights in float16. Each piece begins there, and warms up.
    """

    def __init__(self, given: argparse.Namespace):
        self.given = given
        torch.manual_seed(given.seed)
        self.net = InContextNet(**ARMS[given.arm])
        self.net.step, self.net.progress = 0, 0.0
        self.mean = InContextNet(**ARMS[given.arm])
        self.mean.load_state_dict(self.net.state_dict())
        self.optimizer = Both(self.net, given.muon, given.adamw)
        name = f"{given.arm}-{given.seed}"
        self.curve = given.states / f"{name}.csv"
        self.file = CheckpointFile(given.states / f"{name}.pt", name, every=300.0)
        self.minutes = 0.0
        self.file.read(self._restore)
        self.first = self.net.step
        self.began = self.looked = time.process_time()

    def _state(self) -> dict[str, Any]:
        return {
            "mean": {k: v.half() for k, v in self.mean.state_dict().items()},
            "step": self.net.step,
            "minutes": self.minutes + self._minutes_now(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for net in (self.net, self.mean):  # training goes on from the mean
            net.load_state_dict(state["mean"])
        self.net.step, self.minutes = state["step"], state["minutes"]

    def _minutes_now(self) -> float:
        return (time.process_time() - self.began) / 60

    def rate(self, step: int) -> float:
        """Warm up over 100 steps; decay over the last part of the time, if that is asked for."""
        over = self._minutes_now() / (60 * self.given.hours)
        left = min(1.0, (1 - over) / self.given.decay) if self.given.decay else 1.0
        return min(1.0, (step - self.first + 1) / 100) * max(0.01, left)

    def train(self) -> None:
        """Train for the hours given: of CPU time, whatever else runs on the machine."""
        plan = Plan(10**9, self.given.batch_size, self.rate, endless=True)
        seed = self.given.seed + 1000 * self.net.step
        tasks = Tasks(from_shards(self.given.folder / "shards", self.given.cells), seed)
        train(self.net, self.optimizer, tasks, loss, plan, Draws(seed), self._on_epoch)

    def _on_epoch(self, losses: list[float]) -> bool:
        weight = min(0.9, len(losses) / (len(losses) + 5))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(now, 1 - weight)
        is_over = self._minutes_now() >= 60 * self.given.hours
        if is_over or time.process_time() - self.looked > 60 * self.given.every:
            self.looked = time.process_time()
            self._log(float(np.mean(losses[-10:])))
        self.file.write(self._state, now=is_over)
        return is_over

    def _log(self, training_loss: float) -> None:
        held_out, accuracy = look(self.mean, held_out_batches(self.given.folder))
        minutes = self.minutes + self._minutes_now()
        row = [self.net.step, f"{minutes:.1f}"]
        row += [f"{value:.4f}" for value in (training_loss, held_out, accuracy)]
        is_new = not self.curve.exists()
        with self.curve.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "minutes", "training_loss", "held_out_loss", "accuracy"])
            writer.writerow(row)
        print(*row, flush=True)


def held_out_batches(folder: Path) -> list[tuple[Tensor, ...]]:
    """Return the same batches at every call, from shards that are never trained on."""
    batches = []
    for path in sorted((folder / "held_out").glob("[0-9]*.npz")):
        tasks, random = read_shard(path), np.random.default_rng(0)
        batches += [assemble(random, tasks[i : i + 8]) for i in range(0, 32, 8)]
    return batches


@torch.no_grad()
def look(net: InContextNet, batches: list[tuple[Tensor, ...]]) -> tuple[float, float]:
    """Return the mean loss and accuracy of tasks, of which each counts the same."""
    losses, hits = [], []
    net.eval()
    for batch in batches:
        log_probability, y_new = predict(net, *batch, torch.Generator().manual_seed(0))
        for each, y in zip(log_probability, y_new, strict=True):
            losses.append(F.nll_loss(each, y, ignore_index=IGNORED).item())
            hits.append((each.argmax(1) == y)[y != IGNORED].float().mean().item())
    return float(np.nanmean(losses)), float(np.nanmean(hits))


def evaluate(given: argparse.Namespace) -> None:
    """Compare the mean of the weights with rivals on public tables, and write the scores."""
    from _public_tables import compare  # reads what the benchmarks read

    torch.manual_seed(given.seed)
    untrained = InContextNet(**ARMS[given.arm]).eval()
    found = compare(Run(given).mean.eval(), untrained, given.half, given.draws)
    found.to_csv(given.states / f"{given.arm}-{given.seed}-public-{given.half}.csv", index=False)


def adapt(given: argparse.Namespace) -> None:
    """Compare it with itself after going on with columns of each table, and write the scores."""
    from _adaptation import compare_adapted

    found = compare_adapted(Run(given).mean, given.half, given.draws, 60 * given.hours)
    found.to_csv(given.states / f"{given.arm}-{given.seed}-adapted-{given.half}.csv", index=False)


def write(given: argparse.Namespace) -> None:
    """Write the mean of the weights for the package, and print the digest."""
    path = given.states / f"{given.arm}-{given.seed}.npz"
    print(path, write_weights(path, ARMS[given.arm], Run(given).mean.state_dict()))


# ---- command line ------------------------------------------------------------------------


def draw_shards(given: argparse.Namespace) -> None:
    """Draw what is missing of the shards held out and of those to train on."""
    tables = collect(given.folder / "real.pkl")
    wanted = [given.folder / "held_out" / f"{HELD_OUT + i:08d}.npz" for i in range(20)]
    first = given.seed * given.shards
    wanted += [given.folder / "shards" / f"{first + i:08d}.npz" for i in range(given.shards)]
    for path in wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_shard(path, int(path.stem), tables)
    print(f"{len(wanted)} shards of {N_TASKS} tasks are in {given.folder}")


def main() -> None:
    """Run a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps: dict[str, Callable[[argparse.Namespace], None]] = {
        "draw": draw_shards,
        "train": lambda given: Run(given).train(),
        "evaluate": evaluate,
        "adapt": adapt,
        "write": write,
    }
    parser.add_argument("do", choices=steps)
    parser.add_argument("--folder", type=Path, default=Path("build/pretraining"))
    parser.add_argument("--states", type=Path, default=HERE / "states")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=500)
    parser.add_argument("--arm", choices=ARMS, default="base")
    parser.add_argument("--hours", type=float, default=1.0, help="of CPU")
    parser.add_argument("--every", type=float, default=10.0, help="minutes of CPU between looks")
    parser.add_argument("--decay", type=float, default=0.0, help="share of the hours that decays")
    parser.add_argument("--half", type=int, choices=(0, 1), default=0, help="of the public tables")
    parser.add_argument("--draws", type=int, default=5, help="of labels")
    parser.add_argument("--batch-size", type=int, default=8, help="tasks of a step, at most")
    parser.add_argument("--cells", type=int, default=12_000, help="of a step, at most")
    parser.add_argument("--muon", type=float, default=1.5e-3)
    parser.add_argument("--adamw", type=float, default=7e-4)
    given = parser.parse_args()
    given.states.mkdir(parents=True, exist_ok=True)
    steps[given.do](given)


if __name__ == "__main__":
    main()
