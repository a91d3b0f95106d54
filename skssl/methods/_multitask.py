"""Several methods that train one encoder."""

import copy
import math
from collections.abc import Hashable, Sequence
from dataclasses import field, fields
from numbers import Real
from typing import Any, Self

from torch import Tensor, nn

from skssl._compat import BaseComposition
from skssl.base import Net, ReadsAll, ReconstructionMixin, SSLTransformer
from skssl.base._modalities import Modality
from skssl.encoders._build import SharedEncoder
from skssl.methods._scarf import SCARF
from skssl.methods._sharing import Maker, SharedViews, number_functions
from skssl.methods._vime import VIME
from skssl.views import View, original


class MultiTask(ReconstructionMixin, ReadsAll, SSLTransformer, BaseComposition):
    """Train one encoder on the weighted sum of several methods' losses.

    Each method has its own heads. Views that several methods share are made and encoded once per
    step. On tables, predicting swapped cells and contrasting rows together is better than either
    alone.

    Parameters
    ----------
    tasks : list of (str, transformer, float), default=None
        Name, method and weight of each task. Shared parameters (encoder, epochs, batch size,
        views, device, seed ...) are set here, not on the tasks. None is
        ``[("vime", VIME(p=0.3), 1.0), ("scarf", scarf, 0.2)]`` with ``scarf =
        SCARF(corruption=0.3, temperature=0.2, exact=False)``.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        The decoder of the first task that has one; absent if none has.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF, DenoisingAutoencoder, MultiTask
    >>> X, _ = load_iris(return_X_y=True)
    >>> tasks = [("dae", DenoisingAutoencoder(), 1.0), ("scarf", SCARF(corruption=0.15), 0.2)]
    >>> MultiTask(tasks, n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    tasks: list[tuple[str, SSLTransformer, float]] | None = field(default=None, kw_only=False)

    _parameter_constraints = {"tasks": [list, None]}

    @property
    def _modalities(self) -> tuple[str, ...]:  # type: ignore[override]
        """The modalities that every task reads."""
        tasks = [
            task._modalities for _, task in self._named_tasks if isinstance(task, SSLTransformer)
        ]
        first = tasks[0] if tasks else SSLTransformer._modalities
        return tuple(
            modality for modality in first if all(modality in modalities for modalities in tasks)
        )

    @property
    def _negatives(self) -> bool | None:  # type: ignore[override]
        """True if a task has negatives, False if all tasks lack them."""
        found = {task._negatives for _, task, _ in self._tasks()}
        return True if True in found else None if None in found else False

    @property
    def _about(self) -> str:  # type: ignore[override]
        """The modality that every task is about, if it is one."""
        tasks = (task for _, task in self._named_tasks)
        about = {task._about for task in tasks if isinstance(task, SSLTransformer)}
        return about.pop() if len(about) == 1 else ""

    def _scales_batches(self, row: Modality) -> bool:
        _check_tasks(self._tasks())
        return any(task._scales_batches(row) for _, task, _ in self._tasks())

    def _tasks(self) -> list[tuple[str, SSLTransformer, float]]:
        return _DEFAULT_TASKS if self.tasks is None else self.tasks

    def _copy_tasks(self) -> list[tuple[str, SSLTransformer, float]]:
        """Return copies of the tasks that know the sampling rate and how rows are scaled."""
        copies = [(name, copy.copy(task), weight) for name, task, weight in self._tasks()]
        for _, task, _ in copies:
            task._scaler = self._scaler
            if hasattr(task, "sampling_rate"):
                task.sampling_rate = self.sampling_rate
        return copies

    def _views(self, augment: View) -> tuple[View, ...]:
        return self._most_views(augment)[1]

    def _fewest_views(self, augment: View) -> int:
        return max(task._fewest_views(augment) for _, task, _ in self._copy_tasks())

    def _most_views(self, augment: View) -> tuple[SSLTransformer, tuple[View, ...]]:
        """Return the views of the task that has the most, and that task."""
        tasks = (task for _, task, _ in self._copy_tasks())
        return max(((task, task._views(augment)) for task in tasks), key=lambda pair: len(pair[1]))

    def _views_of(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        task, _ = self._most_views(original)
        task.encoder_, task.views_ = self.encoder_, self.views_
        return task._views_of(x)

    def _build(self, net: Net, X: Tensor) -> None:
        net.tasks, net.lr_scale = nn.ModuleDict(), {}
        net.shared = SharedEncoder(net.encoder)
        net.made = {}
        numbers: dict[Hashable, int] = {}
        at_first: dict[int, Maker] = {}
        for name, task, _ in self._copy_tasks():
            space = net.tasks[name] = Net()
            space.columns, space.encoder = net.columns, net.encoder
            functions: dict[int, Maker] = {0: net.views}
            if isinstance(self.views, str):
                functions = number_functions(task._views(net.augment), numbers)
            space.views = SharedViews(functions, net.made)
            task._build(space, X)
            scales = getattr(space, "lr_scale", {})
            net.lr_scale.update({f"tasks.{name}.{part}": s for part, s in scales.items()})
            if space.encoder is net.encoder:  # false if the task reads other layers of the encoder
                del space.encoder
                space.encoder = net.shared
                if getattr(space, "student", None) is not net.encoder:
                    at_first |= functions  # others read steps of the encoder, not its pooled output
                reconstructs = isinstance(task, ReconstructionMixin) and hasattr(space, "decoder")
                if reconstructs and not hasattr(net, "decoder"):
                    net.decoder = space.decoder
        net.views_to_embed = SharedViews(at_first, net.made)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The weighted sum of the tasks' losses."""
        loss: Any = 0.0
        tasks = self._copy_tasks()
        net.shared.encode(net.views_to_embed(x))
        for name, task, weight in tasks:
            space = net.tasks[name]
            space.step, space.progress, space.raw = net.step, net.progress, net.raw
            loss = loss + weight * task._loss(space, x)
            del space.raw
            if (shown := space.__dict__.pop("display_loss", None)) is not None:
                net.display_loss = shown if net.display_loss is None else net.display_loss + shown
        net.made.clear()
        net.shared.made.clear()
        return loss

    def _reconstructs(self) -> bool:
        if hasattr(self, "encoder_"):  # tasks that read all layers leave no decoder_
            return hasattr(self, "decoder_")
        parts = (part for task in self._tasks() if isinstance(task, tuple | list) for part in task)
        return any(isinstance(part, ReconstructionMixin) for part in parts)

    @property
    def _named_tasks(self) -> list[tuple[str, SSLTransformer]]:
        try:
            return [(name, task) for name, task, _ in self.tasks or []]
        except (TypeError, ValueError):  # not a list of tasks: fit raises
            return []

    @_named_tasks.setter
    def _named_tasks(self, value: list[tuple[str, SSLTransformer]]) -> None:
        self.tasks = [
            (name, task, old[2]) for (name, task), old in zip(value, self._tasks(), strict=True)
        ]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all parameters; those of a task as ``name__parameter``."""
        return self._get_params("_named_tasks", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``name=method`` replaces a task, ``name__parameter`` one of its own."""
        self._set_params("_named_tasks", **params)
        return self


def _check_tasks(tasks: Sequence[object]) -> None:
    """Raise unless each task is a uniquely named method with a weight and no shared settings."""
    names = set()
    for task in tasks or [()]:
        if not (isinstance(task, tuple | list) and len(task) == 3):
            raise ValueError(
                "tasks must be a non-empty list of (name, method, weight), such as "
                f"[('vime', VIME(), 1.0)]; got {tasks!r}."
            )
        name, method, weight = task
        if not isinstance(name, str) or "__" in name or "." in name or name in names:
            raise ValueError(
                f"Task names must be distinct strings without '__' or '.'; got {name!r}."
            )
        names.add(name)
        if not isinstance(method, SSLTransformer) or isinstance(method, MultiTask):
            raise TypeError(
                f"Task {name!r} must be a self-supervised method such as VIME() or SCARF(); "
                f"got {method!r}."
            )
        if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            raise ValueError(f"The weight of task {name!r} must be a number >= 0; got {weight!r}.")
        for shared in (f for f in fields(method) if f.name in _SHARED):
            value, default = getattr(method, shared.name), shared.default
            if value is not default and (type(value) is not type(default) or value != default):
                raise ValueError(
                    f"{shared.name} is shared by all tasks: set it on MultiTask, not on task "
                    f"{name!r}."
                )
        method._validate_params()


_SHARED = {f.name for base in (SSLTransformer, ReadsAll) for f in fields(base)}
_DEFAULT_TASKS: list[tuple[str, SSLTransformer, float]] = [
    ("vime", VIME(p=0.3), 1.0),
    ("scarf", SCARF(corruption=0.3, temperature=0.2, exact=False), 0.2),
]
