"""The parameter of a mixture of methods: its tasks."""

import math
from collections.abc import Sequence
from dataclasses import fields
from numbers import Real
from typing import Any, Self

from torch import nn

from skssl._compat import BaseComposition
from skssl.base import ReadsAll, ReconstructionMixin, SSLTransformer
from skssl.methods._default_tasks import DEFAULT_TASKS, LEAST_STEPS

Tasks = list[tuple[str, SSLTransformer, float]]

_SHARED = {f.name for base in (SSLTransformer, ReadsAll) for f in fields(base)}


class ManyTasks(ReconstructionMixin, ReadsAll, SSLTransformer, BaseComposition):
    """What concerns the list of tasks, whose parameters are among its own."""

    tasks: Tasks | None

    def _tasks(self) -> Tasks:
        return DEFAULT_TASKS if self.tasks is None else self.tasks

    @property
    def _least_steps(self) -> int:  # type: ignore[override]
        return LEAST_STEPS if self.tasks is None else SSLTransformer._least_steps

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

    def _runs_other_code(self, encoder: nn.Module | None = None) -> bool:
        check_tasks(self._tasks())
        tasks = any(task._runs_other_code(encoder) for _, task, _ in self._tasks())
        return tasks or super()._runs_other_code(encoder)

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


def check_tasks(tasks: Sequence[object]) -> None:
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
        if not isinstance(method, SSLTransformer) or isinstance(method, ManyTasks):
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
