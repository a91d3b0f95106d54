"""Which classes and functions a saved file may name, and how they are found.

Nothing is imported because a file names it. A class is looked up in modules of skssl, torch and
scikit-learn that are loaded already, or are among those that the package itself lists, and must be
defined there; a function is one of a few that compute and do nothing else. ``save`` asks the same
questions, so that it refuses what ``load`` would.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import sklearn.metrics
import sklearn.utils
import torch
from sklearn.base import BaseEstimator
from torch import nn

PACKAGE = __name__.partition(".")[0]
# Of scikit-learn, classes beside estimators that hold plain attributes and nothing else.
PLAIN = {
    "sklearn.calibration",
    "sklearn.gaussian_process.kernels",
    "sklearn.metrics._scorer",
    "sklearn.model_selection._split",
    "sklearn.neural_network._stochastic_optimizers",
    "sklearn.utils._metadata_requests",
}
ACTIVATIONS = ("elu", "gelu", "leaky_relu", "mish", "relu", "selu", "sigmoid", "silu", "tanh")
FUNCTIONS: dict[str, tuple[Any, Collection[str]]] = {  # and those of skssl.views
    "torch.nn.functional": (torch.nn.functional, ACTIVATIONS),
    "sklearn.metrics": (sklearn.metrics, sklearn.metrics.__all__),
    "sklearn.utils": (sklearn.utils, ("check_array",)),  # boosted trees have it in a step
}
BUILTINS = {kind.__name__: kind for kind in (bool, int, float, str, object)}


def path_of(thing: Any) -> str:
    """Return the module and the name of a class or function."""
    name = getattr(thing, "__qualname__", type(thing).__name__)
    return f"{getattr(thing, '__module__', None)}.{name}"


def find_class(path: str) -> type | None:
    """Return the class of that path if a file may have instances of it, or None."""
    found = _loaded(path)
    if found is None and path.startswith("sklearn."):
        sklearn.utils.all_estimators()  # loads all of scikit-learn, by its own list
        found = _loaded(path)
    if found is None and path.startswith(f"{PACKAGE}."):
        for module in pkgutil.walk_packages(sys.modules[PACKAGE].__path__, f"{PACKAGE}."):
            importlib.import_module(module.name)  # by ours
        found = _loaded(path)
    return found if found is not None and _is_allowed(found) else None


def is_known(cls: type) -> bool:
    """Tell whether a file may have instances of a class."""
    return _is_allowed(cls) and _loaded(path_of(cls)) is cls


def _loaded(path: str) -> type | None:
    """Return the class of that path, from a module that is loaded and defines it."""
    module, _, name = path.rpartition(".")
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found if isinstance(found, type) and path_of(found) == path else None


def _is_allowed(cls: type) -> bool:
    package = cls.__module__.partition(".")[0]
    if package == "torch":
        return cls.__module__.startswith("torch.nn.modules.") and issubclass(cls, nn.Module)
    if package == "sklearn":
        return issubclass(cls, BaseEstimator) or cls.__module__ in PLAIN
    return package == PACKAGE


def function_path(function: Any) -> str | None:
    """Return the path that a file may name a function by, or None."""
    name = getattr(function, "__name__", "")
    candidates = [path_of(function), *(f"{module}.{name}" for module in FUNCTIONS)]
    return next((path for path in candidates if find_function(path) is function), None)


def find_function(path: str) -> Callable[..., Any] | None:
    """Return the function of that path if a file may name it, or None."""
    module, _, name = path.rpartition(".")
    if module in FUNCTIONS:
        package, names = FUNCTIONS[module]
        found = getattr(package, name) if name in names else None
    elif module.startswith("skssl.views.") and module in sys.modules:
        found = vars(sys.modules[module]).get(name)
    else:
        return None
    return found if isinstance(found, FunctionType | BuiltinFunctionType) else None


def find_type(name: str) -> type | None:
    """Return a type of numbers or strings, such as an encoder's ``dtype``, or None."""
    found = BUILTINS.get(name) or np.sctypeDict.get(name)
    return found if isinstance(found, type) else None
