"""The end of an epoch: early stopping, progress messages, callbacks, checkpoints."""

import contextlib
import copy
import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from skssl import _ranks
from skssl._data._draws import Draws
from skssl._data._rows import Rows, RowsLike
from skssl._training import _loop
from skssl._training._checkpoint import CheckpointFile, check_moments, check_weights
from skssl._training._collapse import ROWS, Look, look, warn_of_collapse
from skssl._training._loop import Net, Patience, Place, Plan

SECONDS_TO_TIME = 1.0  # of steps, before the length of the fit is told
PARTS = ("decoder_", "scorer_")  # modules that a method may keep beside its encoder


class Report:
    """The state of one fit for its epochs, callbacks and checkpoints.

    A fit calls ``look_untrained``, ``open``, ``resume`` and ``begin_epoch``, trains with the report
    as ``on_epoch`` (which returns whether to stop), then calls ``restore_best``, takes the
    ``attributes``, and calls ``close``. Callbacks find the report as ``estimator._report`` and call
    its ``identity``, ``write_to``, ``note`` and ``watch``.
    """

    def __init__(
        self,
        estimator: Any,
        data: dict[str, Any],
        net: Net,
        optimizer: torch.optim.Optimizer,
        plan: Plan,
        rows: RowsLike,
        held_out: Rows | None,
        seed: int,
        draws: Draws,
    ):
        self.estimator, self.data = estimator, data  # data: the X and y of callbacks
        self.net, self.optimizer, self.plan = net, optimizer, plan
        self.rows, self.held_out, self.seed = rows, held_out, seed
        self.draws, self.place = draws, Place()
        self.sample = Rows(rows.some(ROWS), scale=rows.scale)
        per_epoch = min(rows.n_batches(plan.batch_size), _loop.STEPS_PER_REPORT)
        self.n_epochs = math.ceil(plan.n_steps / per_epoch)
        self.patience = Patience(estimator.n_iter_no_change) if held_out else None
        self.watches: dict[object, Patience] = {}  # of callbacks
        self.curves: dict[str, list[float]] = {}
        self.watchers: dict[str, object] = {}  # the callback of each curve
        self.checkpoint: CheckpointFile | None = None
        self.unclaimed: list[Patience] = []  # of callbacks that have not asked since resuming
        self.untrained: Look | None = None
        self.start = time.perf_counter()
        self.follow = estimator.__dict__.pop("_follow", None)  # of a meta-estimator that tells
        self.has_told = plan.endless or not (estimator.verbose or self.follow)
        self.times: list[float] = []  # when the first steps ended

    def apart(self) -> contextlib.AbstractContextManager[None]:
        """Let callbacks draw as they like: it moves neither training nor other draws."""
        has_callbacks = bool(getattr(self.estimator, "_skl_callbacks", ()))
        return self.draws.apart().here(everywhere=has_callbacks)

    def look_untrained(self) -> None:
        """Look at the untrained embedding, unless this fit is part of a stream."""
        if self.plan.n_steps and not self.plan.endless:
            self.untrained = look(self.net, self.sample, self.plan.batch_size)

    def open(self) -> None:
        """Begin the callbacks' task of the fit; a Checkpoint sets its file here."""
        self.estimator._report = self
        self.context = self.estimator._init_callback_context(max_subtasks=self.n_epochs)
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def resume(self) -> None:
        """Resume from the checkpoint, if there is one."""
        if self.checkpoint is not None:
            self.checkpoint.read(self.restore)
        for _ in self.place.curve:  # so that the next epoch gets its number
            self.context.subcontext(task_name="epoch")

    def begin_epoch(self) -> None:
        """Begin the callbacks' task of the next epoch, unless training is over."""
        if self.place.stopped or len(self.place.curve) >= self.n_epochs:
            return
        task = self.context.subcontext(task_name="epoch")
        self.task = task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def step(self) -> None:
        """Tell what the fit does and how long it takes, once its first steps have been timed."""
        if self.has_told:
            return
        self.times.append(time.perf_counter())
        seconds, n_timed = self.times[-1] - self.times[0], len(self.times) - 1
        if seconds < SECONDS_TO_TIME and n_timed < self.plan.n_steps - 1:
            return
        self.has_told = True
        shape = " x ".join(map(str, self.sample.tensors[0].shape[1:]))
        total = seconds / max(n_timed, 1) * self.plan.n_steps
        follows = "" if self.follow is None else self.follow(self.attributes(), total)
        self.start += time.perf_counter() - self.times[-1]  # training has waited
        print(
            f"[{type(self.estimator).__name__}] {self.net.n_rows} rows "
            f"({self.estimator._reader.modality}, {shape}): {self.n_epochs} epochs, "
            f"{self.plan.n_steps} steps, about {total:.0f} s{follows}"
        )

    def __call__(self, curve: list[float]) -> bool:
        """End an epoch, and return whether to stop."""
        self.place.now = self.draws.states()
        with self.apart():
            return self._end_epoch(curve)

    def _end_epoch(self, curve: list[float]) -> bool:
        stop = False
        if self.patience is not None and self.held_out is not None:
            draws = self.draws.apart()
            draws.seed(self.seed)
            held_out = _loop.held_out_loss(
                self.net, self.held_out, self.estimator._loss, self.plan, draws
            )
            stop = self.patience(self.net, held_out)
        if self.estimator.verbose:
            self._print(curve)
        stop |= self.task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            # Callbacks may pickle the copy, which must not contain the running fit.
            reconstruction_attributes=lambda: self.attributes() | {"_report": None},
        )
        with _ranks.together():
            self.place.stopped = stop = _ranks.agree(bool(stop))
            is_over = stop or len(curve) == self.n_epochs
            if self.checkpoint is not None:
                self.checkpoint.write(self.state, now=is_over)
        self.begin_epoch()
        return stop

    def _print(self, curve: list[float]) -> None:
        self.has_told |= self.follow is None  # the line of an epoch tells what is left
        spent = time.perf_counter() - self.start
        left = spent / len(curve) * (self.n_epochs - len(curve))
        held_out = f", held out {self.patience.curve[-1]:.4f}" if self.patience else ""
        print(
            f"[{type(self.estimator).__name__}] epoch {len(curve)}/{self.n_epochs}, "
            f"loss {curve[-1]:.4f}{held_out}, {spent:.1f} s, about {left:.0f} s left"
        )

    def restore_best(self) -> None:
        """Load the best weights of early stopping into the net, if there are any."""
        for patience in self._patiences():
            if patience.best:
                self.net.load_state_dict(patience.best)

    def attributes(self) -> dict[str, Any]:
        """Return the current fitted attributes, copied from the net."""
        scaler = self.estimator._scaler
        kept: Any = [self.net.encoder, self.net.trunk]
        kept += [getattr(self.net, name.removesuffix("_"), None) for name in PARTS]
        encoder, trunk, *parts = copy.deepcopy(nn.ModuleList(kept)).cpu().eval()
        attributes = {
            "encoder_": nn.Sequential(scaler, encoder).eval(),
            "views_": self.net.views,
            "loss_curve_": list(self.place.curve),
            "n_iter_": len(self.place.curve),
            "_trunk": trunk,
        }
        attributes |= {
            name: part for name, part in zip(PARTS, parts, strict=True) if part is not None
        }
        if self.patience is not None:
            attributes["validation_loss_curve_"] = list(self.patience.curve)
        if self.curves:
            attributes["probe_curves_"] = {name: list(c) for name, c in self.curves.items()}
        return attributes

    def identity(self) -> list[Any] | None:
        """Return arrays that identify this fit; None in a stream, which cannot be resumed."""
        if self.plan.endless:
            return None
        return [*self.rows.parts, np.array([self.net.step, _ranks.n_started()])]

    def write_to(self, checkpoint: CheckpointFile) -> None:
        """Write checkpoints to a file from now on."""
        self.checkpoint = checkpoint

    def state(self) -> dict[str, Any]:
        """Return the complete state of the fit as tensors and plain values."""
        return {
            "net": self.net.state_dict(),
            "step": self.net.step,
            "optimizer": self.optimizer.state_dict(),
            "place": vars(self.place) | {"now": _ranks.every(self.place.now)},
            "patience": list(map(vars, self._patiences())),
            "curves": self.curves,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state; callbacks get their patience in the order in which they ask."""
        like = self.net.state_dict()
        for weights in [state["net"], *(each["best"] for each in state["patience"])]:
            if weights:  # else no epoch was the best so far
                check_weights(weights, like)
        self.net.load_state_dict(state["net"])
        self.net.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        check_moments(self.optimizer)
        place = state["place"] | {"now": state["place"]["now"][_ranks.index()]}
        self.place = Place(**{name: place[name] for name in vars(self.place)})
        self.curves = state["curves"]
        self.unclaimed = [Patience(**each) for each in state["patience"]]
        if self.patience is not None:
            self.patience = self.unclaimed.pop(0)

    def _patiences(self) -> list[Patience]:
        own = [] if self.patience is None else [self.patience]
        return [*own, *self.watches.values(), *self.unclaimed]

    def note(self, watcher: object, name: str, value: float) -> None:
        """Append a value of a callback to a curve of the estimator."""
        if self.watchers.setdefault(name, watcher) is not watcher:
            raise ValueError(
                f"Two callbacks of this fit record {name!r}. Give the curve of one of them another "
                f"name, as in ProbeMonitor(scoring={{'other': {name!r}}})."
            )
        self.curves.setdefault(name, []).append(value)

    def watch(self, watcher: object, value: float, n_epochs: int, keep_best: bool) -> bool:
        """Return whether a callback's value has not fallen for ``n_epochs`` epochs."""
        if watcher not in self.watches:
            new = self.unclaimed.pop(0) if self.unclaimed else Patience(n_epochs, keep_best)
            self.watches[watcher] = new
        return self.watches[watcher](self.net, value)

    def close(self) -> None:
        """End the callbacks' task of the fit; the estimator is fitted by now."""
        del self.estimator._report
        if self.untrained is not None:
            batch_size = self.plan.batch_size
            warn_of_collapse(self.estimator, self.net, self.sample, batch_size, self.untrained)
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
