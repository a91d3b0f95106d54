"""What happens at the end of each epoch: early stopping, a printed line, callbacks."""

import copy
import math
import time
from typing import Any

import torch
from torch import nn

from skssl import _ranks
from skssl._data._rows import Rows, Shuffled
from skssl._training import _loop
from skssl._training._checkpoint import CheckpointFile
from skssl._training._collapse import ROWS, look, warn_of_collapse
from skssl._training._loop import Net, Patience, Place, Plan

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
        rows: Shuffled,
        optimizer: torch.optim.Optimizer,
    ):
        self.estimator, self.data = estimator, {"X": X, "y": y}
        self.net, self.plan, self.held_out, self.seed = net, plan, held_out, seed
        self.rows, self.optimizer, self.place = rows, optimizer, Place()
        self.some = rows.some(ROWS)
        per_epoch = min(rows.n_batches(plan.batch_size), _loop.STEPS_PER_REPORT)
        self.n_epochs = math.ceil(plan.n_steps / per_epoch)
        self.patience = Patience(estimator.n_iter_no_change) if held_out else None
        self.watches: dict[Any, Patience] = {}  # of callbacks
        self.curves: dict[str, list[float]] = {}
        self.watchers: dict[str, Any] = {}  # whose curves these are
        self.checkpoint: CheckpointFile | None = None
        self.resumed: list[Patience] = []  # of callbacks that have not asked since a break
        self.untrained = look(net, self.some) if plan.n_steps and not plan.endless else None
        self.start = time.perf_counter()
        estimator._report = self
        self.context = estimator._init_callback_context(max_subtasks=self.n_epochs)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)
        for _ in self.place.curve:  # epochs of before a break: the next one has its number
            self.context.subcontext(task_name="epoch")
        if len(self.place.curve) < self.n_epochs and not self.place.stopped:
            self.task: Any = self._begin_epoch()

    @torch.random.fork_rng(devices=[])
    def __call__(self, curve: list[float]) -> bool:
        self.place.now = _loop.generators(next(self.net.parameters()).device)
        stop = False
        if self.patience is not None and self.held_out is not None:
            held_out = _loop.held_out_loss(
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
        with _ranks.together():
            self.place.stopped = stop = _ranks.agree(bool(stop))
            is_over = stop or len(curve) == self.n_epochs
            if self.checkpoint is not None:
                self.checkpoint.write(self.state, now=is_over)
        if not is_over:
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
            for patience in self._patient():
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

    def keep(self, checkpoint: CheckpointFile) -> None:
        """Write checkpoints from now on, and go on from the one there is."""
        self.checkpoint = checkpoint
        checkpoint.read(self.restore)

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the fit depends on, as tensors and plain values."""
        return {
            "net": self.net.state_dict(),
            "step": self.net.step,
            "optimizer": self.optimizer.state_dict(),
            "place": vars(self.place) | {"now": _ranks.every(self.place.now)},
            "patience": list(map(vars, self._patient())),
            "curves": self.curves,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state; callbacks ask for their patience in the order in which they did."""
        self.net.load_state_dict(state["net"])
        self.net.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        place = state["place"] | {"now": state["place"]["now"][_ranks.index()]}
        self.place = Place(**{name: place[name] for name in vars(self.place)})
        self.curves = state["curves"]
        self.resumed = [Patience(**each) for each in state["patience"]]
        if self.patience is not None:
            self.patience = self.resumed.pop(0)

    def _patient(self) -> list[Patience]:
        own = [] if self.patience is None else [self.patience]
        return [*own, *self.watches.values(), *self.resumed]

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
        if watcher not in self.watches:
            new = self.resumed.pop(0) if self.resumed else Patience(n_epochs, keep_best)
            self.watches[watcher] = new
        return self.watches[watcher](self.net, value)

    def end(self) -> None:
        """Close the fit's task; the estimator is fitted by now."""
        del self.estimator._report
        if self.untrained is not None:
            warn_of_collapse(self.estimator, self.net, self.some, self.untrained)
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)
