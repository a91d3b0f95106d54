"""What happens at the end of each epoch: early stopping, a printed line, callbacks."""

import copy
import math
import time
from typing import Any

import torch
from torch import nn

from skssl import _train
from skssl._collapse import ROWS, look, warn_of_collapse
from skssl._rows import Rows
from skssl._train import Net, Patience, Plan

PARTS = ("decoder_", "scorer_")  # what a method may keep beside its encoder


class Report:
    """Called with the loss curve after each epoch; returns whether to stop.

    Callbacks may draw from torch's generator: training goes on from where it was.
    """

    @torch.random.fork_rng(devices=[])
    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        net: Net,
        plan: Plan,
        held_out: Rows | None,
        seed: int,
        rows: Rows,
    ):
        self.estimator, self.data = estimator, {"X": X, "y": y}
        self.net, self.plan, self.held_out, self.seed = net, plan, held_out, seed
        self.some = rows.some(ROWS)
        per_epoch = min(rows.n_batches(plan.batch_size), _train.STEPS_PER_REPORT)
        self.n_epochs = math.ceil(plan.n_steps / per_epoch)
        self.patience = Patience(estimator.n_iter_no_change) if held_out else None
        self.watches: dict[Any, Patience] = {}  # of callbacks
        self.curves: dict[str, list[float]] = {}
        self.watchers: dict[str, Any] = {}  # whose curves these are
        self.untrained = look(net, self.some) if plan.n_steps and not plan.endless else None
        self.start = time.perf_counter()
        estimator._report = self
        self.context = estimator._init_callback_context(max_subtasks=self.n_epochs)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)
        self.task: Any = self._begin_epoch() if self.n_epochs else None

    @torch.random.fork_rng(devices=[])
    def __call__(self, curve: list[float]) -> bool:
        stop = False
        if self.patience is not None and self.held_out is not None:
            held_out = _train.held_out_loss(
                self.net, self.held_out, self.estimator._batch_loss, self.plan, self.seed
            )
            stop = self.patience(self.net, held_out)
        if self.estimator.verbose:
            self._print(curve)
        stop |= self.task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            # A copy for callbacks may be pickled; what fit is about is no part of it.
            reconstruction_attributes=lambda: self.learnt(curve, best=False) | {"_report": None},
        )
        if not stop and len(curve) < self.n_epochs:
            self.task = self._begin_epoch()
        return stop

    def _begin_epoch(self) -> Any:
        task = self.context.subcontext(task_name="epoch")
        return task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def _print(self, curve: list[float]) -> None:
        spent = time.perf_counter() - self.start
        left = spent / len(curve) * (self.n_epochs - len(curve))
        held_out = f", held out {self.patience.curve[-1]:.4f}" if self.patience else ""
        print(
            f"[{type(self.estimator).__name__}] epoch {len(curve)}/{self.n_epochs}, "
            f"loss {curve[-1]:.4f}{held_out}, {spent:.1f} s, about {left:.0f} s left"
        )

    def learnt(self, curve: list[float], best: bool = True) -> dict[str, Any]:
        """Return the fitted attributes as of now, copied from the net in training."""
        if best:
            for patience in filter(None, [self.patience, *self.watches.values()]):
                if patience.best:
                    self.net.load_state_dict(patience.best)
        scaler = self.estimator._scaler
        kept: Any = [self.net.encoder, self.net.trunk]
        kept += [getattr(self.net, name.removesuffix("_"), None) for name in PARTS]
        encoder, trunk, *parts = copy.deepcopy(nn.ModuleList(kept)).cpu().eval()
        attributes = {
            "encoder_": nn.Sequential(scaler, encoder).eval(),
            "views_": self.net.views,
            "loss_curve_": list(curve),
            "n_iter_": len(curve),
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

    def note(self, watcher: Any, name: str, value: float) -> None:
        """Add to a curve that the estimator shall have, of a callback's."""
        if self.watchers.setdefault(name, watcher) is not watcher:
            raise ValueError(
                f"Two callbacks of this fit record {name!r}. Give the curve of one of them another "
                f"name, as in ProbeMonitor(scoring={{'other': {name!r}}})."
            )
        self.curves.setdefault(name, []).append(value)

    def watch(self, watcher: Any, value: float, n_epochs: int, keep_best: bool) -> bool:
        """Return whether a callback's value has not fallen for so many epochs."""
        patience = self.watches.setdefault(watcher, Patience(n_epochs, keep_best))
        return patience(self.net, value)

    def end(self) -> None:
        """Close the fit's task; the estimator is fitted by now."""
        del self.estimator._report
        if self.untrained is not None:
            warn_of_collapse(self.estimator, self.net, self.some, self.untrained)
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
