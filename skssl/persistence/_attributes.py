"""Attributes that files must not set: callbacks, hooks, and what takes the place of methods."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

HOOKS = {name for name in vars(nn.Module()) if name.endswith("_hooks")} | {
    "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
}
RUN = HOOKS | {"_compiled_call_impl", "_report", "_callback_fit_ctx", "_parent_callback_ctx"}
MEMBERS = {"_parameters": nn.Parameter, "_buffers": Tensor, "_modules": nn.Module}


def is_of_callbacks(name: str) -> bool:
    """Tell whether an attribute of an estimator is about callbacks, which concern fits only."""
    return "callback" in name


def check_state(cls: type, state: Mapping[str, Any]) -> None:
    """Raise ValueError if attributes would be run, by a fit or instead of methods of the class."""
    for name in state:
        is_run = name in RUN or is_of_callbacks(name) or not name.isidentifier()
        if is_run or name.startswith("__") or callable(getattr(cls, name, None)):
            raise ValueError(
                f"its {cls.__name__} has an attribute {name!r}, which no saved one has"
            )
    if issubclass(cls, nn.RNNBase):  # torch makes as many layers as it says, if they have no names
        names = [name for layer in state["_all_weights"] for name in layer]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"the weights of a {cls.__name__} have no names")


def check_module(module: nn.Module) -> None:
    """Raise ValueError if a module has no such parts as modules have, and of those kinds."""
    for name, kind in MEMBERS.items():
        members = vars(module).get(name)
        if not isinstance(members, dict):
            raise ValueError(f"the {name} of a {type(module).__name__} are no dictionary")
        for key, member in members.items():
            if not isinstance(key, str) or not isinstance(member, kind | None):
                raise ValueError(f"the {name} of a {type(module).__name__} are not of that kind")
    for name, value in vars(module).items():
        if callable(value) and not isinstance(value, nn.Module | type) and not _is_of_torch(value):
            raise ValueError(
                f"the {name} of a {type(module).__name__} is a {type(value).__name__}, which does "
                "not compute with tensors"
            )


def _is_of_torch(function: Callable[..., object]) -> bool:
    """Tell whether a function is of torch or of skssl, whose work is counted when it is tried."""
    function = function.func if isinstance(function, partial) else function
    where = getattr(function, "__module__", None) or ""
    return where.partition(".")[0] in ("torch", __name__.partition(".")[0])
