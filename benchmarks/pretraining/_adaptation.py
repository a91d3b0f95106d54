"""Going on at the user's: the columns of a public table, without its labels, as targets.

From the mean of the weights, the net trains on tasks whose rows and columns are those of one table,
the labels never among them; then it predicts the test rows from 100 labels, as it did before that.
"""

import time

import numpy as np
import pandas as pd
import torch
from _prior import Drawn, real, task_of
from _public_tables import predict_split, scores, splits
from _real_tables import read
from _steps import Both, Tasks, from_memory, loss

from skssl._data._draws import Draws
from skssl._training._loop import Plan, train
from skssl.in_context._net import InContextNet

RATES = (0.0, 1e-4, 3e-4)
N_TASKS, N_ROWS = 96, 256
AT_LEAST = 0.1  # of what is left above the commonest class, by shallow trees
PATIENCE = 20.0  # seconds for drawing tasks
STEPS = 20  # between two looks at the clock


def own_tasks(frame: pd.DataFrame, seed: int) -> list[Drawn]:
    """Draw tasks of one table: some of its columns predict another."""
    columns, random, tasks = read(frame), np.random.default_rng(seed), []
    start = time.process_time()
    while len(columns) > 2 and len(tasks) < N_TASKS and time.process_time() - start < PATIENCE:
        d = min(60, max(2, int(0.8 * (len(columns) - 1))))
        raw = real(random, min(N_ROWS, len(frame)), d, [columns])
        task = None if raw is None else task_of(random, raw, AT_LEAST)
        tasks += [] if task is None else [task]
    return tasks


def adapt(net: InContextNet, tasks: list[Drawn], minutes: float, rate: float) -> int:
    """Train a net on tasks, in place, and return its steps; the rate falls to 0 over the time."""
    net.step, net.progress = 0, 0.0
    start = time.process_time()

    def left() -> float:
        return max(0.0, 1 - (time.process_time() - start) / (60 * minutes))

    plan = Plan(10**9, 4, lambda step: max(0.01, left()), endless=True)
    optimizer = Both(net, 2 * rate, rate)
    batches = Tasks(from_memory(tasks), seed=0, n_steps=STEPS)
    train(net, optimizer, batches, loss, plan, Draws(0), lambda losses: left() == 0)
    return net.step


def compare_adapted(net: InContextNet, half: int, n_draws: int, minutes: float) -> pd.DataFrame:
    """Return accuracy and log loss without going on, and after it at several rates, by table."""
    rows = []
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    for table, seed, split in splits(half, n_draws):
        tasks = own_tasks(split.X, seed)
        for rate in RATES:
            net.load_state_dict(before)
            steps = adapt(net, tasks, minutes, rate) if rate and tasks else 0
            with torch.no_grad():
                p = predict_split(net.eval(), split, 0, 4)
            rows.append((table, seed, len(tasks), rate, steps, *scores(p, split)))
            print(*rows[-1], flush=True)
    names = ["table", "seed", "tasks", "rate", "steps", "accuracy", "log_loss"]
    found = pd.DataFrame(rows, columns=names)
    print(found.groupby("rate")[["accuracy", "log_loss"]].mean().round(4))
    return found
