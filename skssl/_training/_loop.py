"""The training loop: the only place that plans steps, moves batches and takes gradients."""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from skssl import _ranks
from skssl._data._draws import Draws
from skssl._data._rows import Rows, RowsLike, n_batches

Loss = Callable[..., Tensor]

STEPS_PER_REPORT = 2000  # greatest number of steps in an "epoch" of a large table
NUMBERS_PER_STEP = 2**24  # at most: 256 grey images of 256 x 256 pixels
LEAST_STEPS = 1500  # of a default fit
PLACES = 10_000_000  # places that a default fit reads of sequences: minutes on two cores


class Net(nn.Module):
    """The namespace of what a method trains: encoder, views, heads, and the clock.

    Give it any attribute in ``_build``. Modules are trained, moved to the device and saved by
    checkpoints; it is dropped when ``fit`` ends.

    Attributes
    ----------
    encoder : torch.nn.Module
        Maps a batch to embeddings, (n, width).
    views : callable
        Maps a batch to the list of its altered versions.
    augment : callable
        The random alteration that ``_views`` was given.
    decoder, scorer : torch.nn.Module
        Optional: kept as ``decoder_`` and ``scorer_``.
    step : int
        Steps of the optimizer so far.
    progress : float
        Rises from 0 to 1 over a fit.
    n_rows : int
        Number of training rows.
    columns : object
        ``columns.cardinality`` lists the number of categories of each column of a table, 0 for
        numbers.
    raw : Tensor
        The batch as it was read, before it is scaled; only while its loss is computed.
    display_loss : Tensor of shape ()
        Optional, set by a loss in training: the loss of modules that only show what was learnt,
        which read detached tensors. They are trained by it, but neither the reported losses nor
        the clipping of the other gradients see it.
    lr_scale : dict of str to float
        Optional: factors of the learning rate of parts, by their name.
    betas : (float, float)
        Optional: decay rates of AdamW's moments, by default (0.9, 0.999).
    """

    _saved_as = "Net"
    step: int = 0
    n_rows: int = 0
    n_places: int = 0
    progress: float = 0.0
    raw: Any = None
    display_loss: Any = None
    columns: Any = None
    views: Any = None
    augment: Any = None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

        encoder: Any
        trunk: nn.Module


def auto_batch(n_numbers: int) -> int:
    """Return the number of rows per step: 256, and fewer if a row has many numbers.

    The number is halved until a batch has at most 16 million numbers; it is at least 32.
    """
    size = 256
    while size > 32 and size * n_numbers > NUMBERS_PER_STEP:
        size //= 2
    return size


def auto_steps(n_rows: int, batch_size: int, n_places: int = 0, at_least: int = LEAST_STEPS) -> int:
    """Return the number of steps of a sensible fit: a budget of 1 500 to 6 000, unless told.

    In between it is ten passes: small data is read more often, large data less often. Passes are
    complete unless that exceeds the budget. Sequences have ``n_places`` per row; at most ten
    million places are read, but each row at least once.
    """
    per_pass = n_batches(n_rows, batch_size)
    passes = math.ceil(max(10 * per_pass, at_least) / per_pass)
    if n_places:
        passes = min(passes, max(1, PLACES // (per_pass * batch_size * n_places)))
    return min(passes * per_pass, 6000)


def one_cycle(n_steps: int) -> Callable[[int], float]:
    """Return the schedule: linear warm-up over a tenth of the steps, then cosine decay to 0."""
    warmup = max(1, min(n_steps // 10, 500))

    def rate(step: int) -> float:
        decay = 0.5 * (1 + math.cos(math.pi * (step / n_steps)))
        return min(1.0, (step + 1) / warmup) * decay

    return rate


def constant(warmup: int = 100) -> Callable[[int], float]:
    """Return the schedule of a stream: linear warm-up, then constant."""
    return lambda step: min(1.0, (step + 1) / warmup)


def make_optimizer(
    net: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW over the parameters of ``net``; ``net.lr_scale`` scales rates of its parts.

    ``net.betas`` are the decay rates of its moments.
    """
    scale: dict[str, float] = getattr(net, "lr_scale", {})
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            part = next((s for s in scale if name.startswith(s)), "")
            parts.setdefault(part, []).append(parameter)
    groups = [{"params": ps, "peak": learning_rate * scale.get(s, 1)} for s, ps in parts.items()]
    betas = getattr(net, "betas", (0.9, 0.999))
    return torch.optim.AdamW(
        groups, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
    )


@dataclass
class Plan:
    """Number of steps, batch size, schedule and precision of a training."""

    n_steps: int
    batch_size: int
    rate: Callable[[int], float]
    dtype: torch.dtype | None = None  # of autocast; None is the dtype of the parameters
    endless: bool = False  # a stream: progress stays 0 and steps keep counting

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """Return the autocast context of the losses."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)


def make_plan(
    rows: RowsLike,
    batch_size: int,
    n_epochs: int | Literal["auto"],
    dtype: torch.dtype | None,
    *,
    n_places: int = 0,
    at_least: int = LEAST_STEPS,
    endless: bool = False,
) -> Plan:
    """Return the plan of ``max_epochs`` passes over the rows; ``"auto"`` is a budget of steps."""
    batch_size = rows.cap(batch_size)
    per_pass = rows.n_batches(batch_size)
    if n_epochs == "auto":
        n_steps = auto_steps(per_pass * batch_size, batch_size, n_places, at_least)
    else:
        n_steps = n_epochs * per_pass
    rate = constant() if endless else one_cycle(n_steps)
    return Plan(n_steps, batch_size, rate, dtype, endless)


@dataclass
class Place:
    """Position of training and states of the generators, from which it can be resumed."""

    curve: list[float] = field(default_factory=list)
    began: Tensor | None = None  # state of the CPU's generator at the start of the current pass
    n_taken: int = 0  # batches taken of that pass
    now: list[Tensor] = field(default_factory=list)  # states of all generators after an epoch
    stopped: bool = False

    def batches(
        self, rows: RowsLike, batch_size: int, draws: Draws
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield this rank's share of the batches, pass after pass, from where training stopped."""
        n_skipped = self.n_taken
        if self.began is not None:
            draws.cpu.set_state(self.began)
        while True:
            self.began = draws.cpu.get_state()
            passing = _ranks.shares(rows.batches(batch_size, _ranks.one_order(draws.cpu)))
            for self.n_taken, batch in enumerate(passing, 1):
                if n_skipped:
                    n_skipped -= 1
                    if not n_skipped:
                        draws.restore(self.now)
                else:
                    yield batch


def train(
    net: Net,
    optimizer: torch.optim.Optimizer,
    rows: RowsLike,
    loss: Loss,
    plan: Plan,
    draws: Draws,
    on_epoch: Callable[[list[float]], bool],
    place: Place | None = None,
    on_step: Callable[[], object] | None = None,
) -> list[float]:
    """Minimise ``loss(net, *batch)`` and return the mean loss of each epoch.

    ``net.step`` counts the steps, and ``net.progress``, in [0, 1), is the share of training that is
    over: the clock for all schedules of a loss. ``on_epoch`` receives the loss curve after each
    epoch, or after ``STEPS_PER_REPORT`` steps of a longer epoch, and returns whether to stop.
    Training resumes from ``place`` if that is not the beginning. Ranks that compute together share
    the batches.
    """
    place = Place() if place is None else place
    device = next(net.parameters()).device
    rows = rows.place_on(device, plan.n_steps * plan.batch_size)
    per_epoch = min(rows.n_batches(plan.batch_size), STEPS_PER_REPORT)
    batches, curve = place.batches(rows, plan.batch_size, draws), place.curve
    end, autocast = 0 if place.stopped else plan.n_steps, plan.autocast(device)
    with _ranks.one_net(net) as several, draws.here():
        if several:
            _ranks.check_batch(plan.batch_size)
            draws.seed(_ranks.own_seed(draws.cpu))
        for start in range(len(curve) * per_epoch, end, per_epoch):
            net.train()  # a callback may have looked at the encoder in evaluation mode
            steps = range(start, min(start + per_epoch, plan.n_steps))
            total = torch.zeros((), device=device)
            for step, batch in zip(steps, batches, strict=False):
                net.progress = 0.0 if plan.endless else step / plan.n_steps
                rate = plan.rate(net.step if plan.endless else step)
                with autocast:
                    value = _apply(loss, net, batch, rows.scale, device)
                total += _step(net, optimizer, value, rate, several)
                if on_step is not None:
                    on_step()
            curve.append(_ranks.mean(total).item() / len(steps))  # .item() waits for the device
            _check_finite(curve[-1], "The loss", len(curve))
            with _ranks.apart():
                if on_epoch(curve):
                    break
    _check_weights(optimizer, len(curve))  # no loss tells of the last step
    return curve


def _check_weights(optimizer: torch.optim.Optimizer, n_epochs: int) -> None:
    if not n_epochs:
        return
    trained = [p for group in optimizer.param_groups for p in group["params"] if p.numel()]
    largest = torch.stack([p.detach().abs().max() for p in trained]).max().item()
    _check_finite(largest, "A weight", n_epochs)


def _step(
    net: Net, optimizer: torch.optim.Optimizer, value: Tensor, rate: float, several: bool
) -> Tensor:
    """Take a gradient step, given the loss of this rank's share of a batch, and return that.

    ``rate`` is the share of their highest learning rates that parameters have. ``several`` tells
    whether other ranks have shares of the batch, whose gradients count as much.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    trained = [p for p in parameters if p.grad is not None]
    if (display_loss := net.__dict__.pop("display_loss", None)) is not None:
        display_loss.backward()
    if several:
        _ranks.average_gradients(parameters)
    nn.utils.clip_grad_norm_(trained, 1.0)
    if display_loss is not None:
        known = set(trained)
        nn.utils.clip_grad_norm_([p for p in parameters if p not in known], 1.0)
    optimizer.step()
    net.step += 1
    return value.detach()


def _apply(
    loss: Loss,
    net: Net,
    batch: tuple[Tensor, ...],
    scale: nn.Module | None,
    device: torch.device,
) -> Tensor:
    """Return ``loss(net, *batch)`` of a batch on the device, scaled."""
    net.raw, *others = (t.to(device, non_blocking=True) for t in batch)
    value = loss(net, net.raw if scale is None else scale.to(device)(net.raw), *others)
    del net.raw
    return value


def _check_finite(value: float, what: str, n_epochs: int) -> None:
    if not math.isfinite(value):
        raise ValueError(
            f"{what} became {value} in epoch {n_epochs}. Lower learning_rate, or try "
            "precision='float32'; if views= or encoder= is yours, look for a division by zero "
            "or a logarithm of zero there."
        )


@torch.no_grad()
def held_out_loss(net: Net, rows: Rows, loss: Loss, plan: Plan, draws: Draws) -> float:
    """Return the loss of held-out rows in evaluation mode, with the same views at every call."""
    device = next(net.parameters()).device
    net.eval()
    total, n_rows = 0.0, 0
    with draws.here(), plan.autocast(device):
        for batch in rows.in_order(plan.batch_size):
            value = _apply(loss, net, batch, rows.scale, device)
            total += value.item() * len(batch[0])
            n_rows += len(batch[0])
    return total / n_rows


@torch.no_grad()
def outputs(net: Net, rows: Rows, function: Loss, at_once: int) -> Tensor:
    """Return ``function(net, *batch)`` of all rows, in evaluation mode and on the CPU."""
    device = next(net.parameters()).device
    was_training = net.training
    net.eval()
    batches = rows.in_order(at_once)
    made = [_apply(function, net, batch, rows.scale, device) for batch in batches]
    net.train(was_training)
    return torch.cat(made).cpu()


@dataclass
class Patience:
    """Stop once a value has not fallen for ``n_iter_no_change`` epochs; keep the best weights."""

    n_iter_no_change: int
    keep_best: bool = True
    curve: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, net: nn.Module, value: float) -> bool:
        """Record the value of an epoch and return whether to stop."""
        self.curve.append(value)
        if self.keep_best and value <= min(self.curve):
            self.best = copy.deepcopy(net.state_dict())
        return len(self.curve) - self.curve.index(min(self.curve)) > self.n_iter_no_change


def on_cpu(state: Any) -> Any:
    """Return the state of an optimizer with its tensors on the CPU."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [on_cpu(value) for value in state]
    return state
