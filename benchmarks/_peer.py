"""The loop that scripts of other libraries time; it needs torch alone."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch


def milliseconds_a_step(
    batches: Iterable[Any],
    loss: Callable[[Any], torch.Tensor],
    parameters: Iterable[torch.nn.Parameter],
    n_steps: int,
) -> float:
    """Train on a few batches, made when asked for; return the median of all steps but the first."""
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    times = []
    start = time.perf_counter()
    for step, batch in enumerate(batches):
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
        if step == n_steps:
            break
    return statistics.median(times[1:]) * 1e3
