"""Pretrain the in-context learner of tables.

Each step goes on where it was broken off; `--folder` (build/pretraining) holds what is drawn:

    python benchmarks/pretraining/tables.py draw --shards 500    # tasks, from seeds: 64 a shard
    python benchmarks/pretraining/tables.py train --hours 2      # takes shards as they come
    python benchmarks/pretraining/tables.py evaluate             # 100 labels, public tables, rivals
    python benchmarks/pretraining/tables.py write                # weights as the package reads them

`draw` and `train` run beside each other, one core each. `train` writes the state (NAME.pt: the
mean of the weights, step) and appends to NAME.csv the loss of tasks held out.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _prior import Drawn, draw, log_uniform
from _real_tables import collect
from torch import Tensor, nn
from torch.func import functional_call

from skssl._compat import has_native_bfloat16
from skssl._data._draws import Draws
from skssl._training._checkpoint import CheckpointFile
from skssl._training._loop import Plan, train
from skssl._weights import write_weights
from skssl.in_context._net import Context, InContextNet

HERE = Path(__file__).parent
N_TASKS = 64  # per shard: all of one size, so that they can be stacked
HELD_OUT = 10_000_000  # the first seed of shards that are never trained on
STEPS = 100  # between two looks at the clock
MANY_CLASSES = 0.2  # of the steps have tasks whose classes are split
IGNORED = -1  # a class that no labelled row has
DTYPE = torch.bfloat16 if has_native_bfloat16(torch.device("cpu")) else torch.float32

ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "rbf": {"numeric": "rbf"},
    "scalable": {"scalable": True},
    "narrow": {"cell_width": 96},
    "wide": {"cell_width": 96, "width": 192},
    "heads": {"n_heads": 8},
    "deep": {"cell_width": 96, "n_blocks": 9},
}


# ---- tasks -------------------------------------------------------------------------------


def write_shard(path: Path, seed: int, real_tables: Any) -> None:
    """Draw the tasks of a seed and write them."""
    random = np.random.default_rng(seed)
    n = int(random.choice([96, 192, 384, 640], p=[0.25, 0.35, 0.25, 0.15]))
    d = round(log_uniform(random, 1, 60))
    tasks = [draw(random, n, d, real_tables) for _ in range(N_TASKS)]
    new = path.with_suffix(".new.npz")
    np.savez(
        new,
        x=np.stack([t.x for t in tasks]),
        cardinality=np.stack([t.cardinality for t in tasks]).astype(np.int16),
        y=np.stack([t.y for t in tasks]).astype(np.int8),
        is_ordered=np.array([t.is_ordered for t in tasks]),
    )
    new.replace(path)


def read_shard(path: Path) -> list[Drawn]:
    """Return the tasks of a shard."""
    with np.load(path) as file:
        parts = [file[name] for name in ("x", "cardinality", "y", "is_ordered")]
    return [Drawn(*task) for task in zip(*parts, strict=True)]


def assemble(random: np.random.Generator, tasks: list[Drawn]) -> tuple[Tensor, ...]:
    """Choose which rows have labels, and mix rows, columns, signs and classes.

    Returns
    -------
    batch : tuple of Tensor
        x, cardinality, y of all rows, is_ordered, and the numbers of rows with and without label.
    """
    n, d = tasks[0].x.shape
    n_new = min(64, n // 3)
    n_labelled = int(log_uniform(random, 5, min(500, n - n_new)))
    room = n - n_new - n_labelled
    n_unlabelled = int(random.integers(16, min(256, room) + 1)) if room > 16 else 0
    n_unlabelled *= int(random.random() < 0.5)
    chosen = n_labelled + n_unlabelled + n_new
    parts = []
    for task in tasks:
        rows, columns = random.permutation(n)[:chosen], random.permutation(d)
        x = task.x[rows][:, columns].astype(np.float32)
        cardinality = task.cardinality[columns].astype(np.int64)
        x *= np.where(cardinality > 0, 1, random.choice([-1, 1], d))
        y = task.y[rows].astype(np.int64)
        present, count = np.unique(y[:n_labelled]), task.y.max() + 1
        new = np.full(count, IGNORED)
        new[present] = np.arange(len(present))
        if task.is_ordered and random.random() < 0.5:
            new[present] = new[present][::-1]
        parts.append((x, cardinality, new[y]))
    x, cardinality, y = (torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
    is_ordered = torch.tensor([bool(task.is_ordered) for task in tasks])
    return x, cardinality, y, is_ordered, torch.tensor([n_labelled, n_unlabelled])


def split_classes(random: np.random.Generator, task: Drawn) -> Drawn:
    """Split each class by what a column says, which is left out: a task of up to 32 classes."""
    most = 32 // (int(task.y.max()) + 1)
    j, n_parts = int(random.integers(task.x.shape[1])), int(random.integers(2, max(3, most + 1)))
    column = np.nan_to_num(task.x[:, j].astype(np.float32), nan=-4.0)
    if task.cardinality[j]:
        part = column.astype(np.int64) % n_parts
    else:
        part = np.searchsorted(np.quantile(column, np.arange(1, n_parts) / n_parts), column)
    _, y = np.unique(task.y.astype(np.int64) * n_parts + part, return_inverse=True)
    others = np.delete(np.arange(task.x.shape[1]), j)
    return Drawn(task.x[:, others], task.cardinality[others], y, False)


@dataclass
class Tasks:
    """What the loop takes batches from: any shard that is there, again and again."""

    folder: Path
    seed: int
    n_cells: int  # of a batch, of at least two tasks
    scale: None = None

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches without end."""
        random = np.random.default_rng(self.seed)
        while True:
            shards = sorted(self.folder.glob("[0-9]*.npz"))
            for path in random.choice(np.array(shards), STEPS):
                tasks = read_shard(path)
                n, d = tasks[0].x.shape
                size = int(np.clip(self.n_cells // (min(n, 300) * (d + 1)), 2, batch_size))
                chosen = [tasks[i] for i in random.choice(len(tasks), size, replace=False)]
                if d > 2 and random.random() < MANY_CLASSES:
                    chosen = [split_classes(random, task) for task in chosen]
                yield assemble(random, chosen)

    def place_on(self, device: torch.device, n_taken: int) -> "Tasks":
        """Return the tasks: batches are moved one by one."""
        return self

    def n_batches(self, batch_size: int) -> int:
        """Return the steps between two looks at the clock."""
        return STEPS

    def cap(self, batch_size: int) -> int:
        """Return the number of tasks per step."""
        return batch_size


def loss(
    net: InContextNet, x: Tensor, cardinality: Tensor, y: Tensor, is_ordered: Tensor, sizes: Tensor
) -> Tensor:
    """Return the mean negative log-likelihood of the classes of the rows to be predicted.

    Where the processor multiplies bfloat16, the net computes in it, with weights in float32.
    """
    log_probability, y_new = predict(net, x, cardinality, y, is_ordered, sizes, dtype=DTYPE)
    return F.nll_loss(log_probability.flatten(0, 1), y_new.flatten(), ignore_index=IGNORED)


def predict(
    net: InContextNet,
    x: Tensor,
    cardinality: Tensor,
    y: Tensor,
    is_ordered: Tensor,
    sizes: Tensor,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and the classes that were to be found."""
    n_labelled, n_unlabelled = sizes.tolist()
    n_classes = int(y[:, :n_labelled].max()) + 1
    n = n_labelled + n_unlabelled
    context = Context(x[:, :n], cardinality, y[:, :n_labelled], n_classes, is_ordered)
    weights = {name: p.to(dtype) for name, p in net.named_parameters()}
    return functional_call(net, weights, (context, x[:, n:], generator)), y[:, n:]


# ---- training ----------------------------------------------------------------------------


class Both:
    """Muon for the matrices of the blocks beside AdamW for the rest, as one optimizer.

    With ``muon=0`` AdamW takes all of them.
    """

    def __init__(self, net: nn.Module, muon: float, adamw: float, weight_decay: float = 0.01):
        inside = [p for n, p in net.named_parameters() if muon and p.ndim == 2 and "blocks." in n]
        ids = {id(p) for p in inside}
        others = [p for p in net.parameters() if id(p) not in ids]
        group = [{"params": others, "peak": adamw}]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(group, lr=adamw, weight_decay=weight_decay)
        ]
        if muon:
            self.optimizers.insert(0, _muon(inside, muon, weight_decay))
        self.param_groups = [g for one in self.optimizers for g in one.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        for one in self.optimizers:
            one.zero_grad(set_to_none)

    def step(self) -> None:
        """Take a step."""
        for one in self.optimizers:
            one.step()


def _muon(matrices: list[nn.Parameter], peak: float, weight_decay: float) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        sys.exit(f"Muon needs torch 2.9 or newer, this is {torch.__version__}: update torch.")
    group = [{"params": matrices, "peak": peak}]
    how = "match_rms_adamw"
    return torch.optim.Muon(group, lr=peak, weight_decay=weight_decay, adjust_lr_fn=how)


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
        tasks = Tasks(self.given.folder / "shards", seed, self.given.cells)
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

    found = compare(Run(given).mean.eval(), given.half, given.draws)
    found.to_csv(given.states / f"{given.arm}-{given.seed}-public-{given.half}.csv", index=False)


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
