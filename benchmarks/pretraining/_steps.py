"""Steps of the pretraining: batches of tasks, their loss, and the optimizer."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _prior import Drawn, draw, log_uniform
from torch import Tensor, nn
from torch.func import functional_call

from skssl._compat import has_native_bfloat16
from skssl.in_context._net import Context, InContextNet

N_TASKS = 64  # per shard: all of one size, so that they can be stacked
STEPS = 100  # between two looks at the clock
MANY_CLASSES = 0.2  # of the steps have tasks whose classes are split
IGNORED = -1  # a class that no labelled row has
DTYPE = torch.bfloat16 if has_native_bfloat16(torch.device("cpu")) else torch.float32


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


Choose = Callable[[np.random.Generator, int], Iterator[list[Drawn]]]


def from_shards(folder: Path, n_cells: int) -> Choose:
    """Choose from any shard that is there, again and again: so many cells, two tasks at least."""

    def choose(random: np.random.Generator, at_most: int) -> Iterator[list[Drawn]]:
        while True:
            shards = sorted(folder.glob("[0-9]*.npz"))
            for path in random.choice(np.array(shards), STEPS):
                tasks = read_shard(path)
                n, d = tasks[0].x.shape
                size = int(np.clip(n_cells // (min(n, 300) * (d + 1)), 2, at_most))
                chosen = [tasks[i] for i in random.choice(len(tasks), size, replace=False)]
                if d > 2 and random.random() < MANY_CLASSES:
                    chosen = [split_classes(random, task) for task in chosen]
                yield chosen

    return choose


def from_memory(tasks: list[Drawn]) -> Choose:
    """Choose from tasks of one size."""

    def choose(random: np.random.Generator, at_most: int) -> Iterator[list[Drawn]]:
        while True:
            size = min(at_most, len(tasks))
            yield [tasks[i] for i in random.choice(len(tasks), size, replace=False)]

    return choose


@dataclass
class Tasks:
    """What the loop takes batches from, without end."""

    choose: Choose
    seed: int
    n_steps: int = STEPS
    scale: None = None

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches."""
        random = np.random.default_rng(self.seed)
        return (assemble(random, tasks) for tasks in self.choose(random, batch_size))

    def place_on(self, device: torch.device, n_taken: int) -> "Tasks":
        """Return the tasks: batches are moved one by one."""
        return self

    def n_batches(self, batch_size: int) -> int:
        """Return the steps between two looks at the clock."""
        return self.n_steps

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


# ---- optimizer ---------------------------------------------------------------------------


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
