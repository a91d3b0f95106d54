"""Ids of classes and functions in saved files: which are allowed, and how they are found.

An id is a public name, by which anybody may import the class or function: ``skssl.SCARF``,
``skssl.views.flip``, ``torch.nn.Linear``, ``sklearn.linear_model.LogisticRegression``. A class of
skssl that is not public but part of fitted models declares its id: ``_saved_as = "TableReader"`` in
its body makes it ``skssl.parts.TableReader``. Such classes of scikit-learn and torch are listed in
``PARTS``. No id contains the module that defines a class, so that it may move.

Nothing is imported because a file names it, only modules of skssl and those listed here. ``save``
applies the same checks as ``load``, so that it refuses what ``load`` would refuse.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import scipy.special
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skssl.persistence._changes import MOVED

PACKAGE = __name__.partition(".")[0]
OWN = f"{PACKAGE}.parts."  # prefix of _saved_as
BASES = f"{PACKAGE}.base"
KERNELS = "sklearn.gaussian_process.kernels"
SKLEARN = (
    "calibration cluster compose covariance cross_decomposition decomposition "
    "discriminant_analysis dummy ensemble feature_extraction feature_extraction.image "
    "feature_extraction.text feature_selection frozen gaussian_process impute isotonic "
    "kernel_approximation kernel_ridge linear_model manifold mixture model_selection multiclass "
    "multioutput naive_bayes neighbors neural_network pipeline preprocessing random_projection "
    "semi_supervised svm tree"
).split()
# Classes without a public name, by id, and their current location, which follows the class.
PARTS = {
    "sklearn.parts.AdamOptimizer": "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.parts.BinMapper": "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.parts.BinaryGaussianProcessClassifier": (
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace"
    ),
    "sklearn.parts.CalibratedClassifier": "sklearn.calibration._CalibratedClassifier",
    "sklearn.parts.ConstantPredictor": "sklearn.multiclass._ConstantPredictor",
    "sklearn.parts.CurveScorer": "sklearn.metrics._scorer._CurveScorer",
    "sklearn.parts.IdentityClassifier": "sklearn.linear_model._ridge._IdentityClassifier",
    "sklearn.parts.IdentityRegressor": "sklearn.linear_model._ridge._IdentityRegressor",
    "sklearn.parts.IterableSplits": "sklearn.model_selection._split._CVIterableWrapper",
    "sklearn.parts.MetadataRequest": "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.parts.MethodMetadataRequest": "sklearn.utils._metadata_requests.MethodMetadataRequest",
    "sklearn.parts.MultimetricScorer": "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.parts.PassthroughScorer": "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.parts.RidgeGCV": "sklearn.linear_model._ridge._RidgeGCV",
    "sklearn.parts.SGDOptimizer": "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.parts.Scorer": "sklearn.metrics._scorer._Scorer",
    "sklearn.parts.SigmoidCalibration": "sklearn.calibration._SigmoidCalibration",
    "sklearn.parts.TemperatureScaling": "sklearn.calibration._TemperatureScaling",
    "sklearn.impute.IterativeImputer": "sklearn.impute._iterative.IterativeImputer",
    "sklearn.model_selection.HalvingGridSearchCV": (
        "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV"
    ),
    "sklearn.model_selection.HalvingRandomSearchCV": (
        "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV"
    ),
    "torch.parts.NonDynamicallyQuantizableLinear": (
        "torch.nn.modules.linear.NonDynamicallyQuantizableLinear"
    ),
}
ACTIVATIONS = ("elu", "gelu", "leaky_relu", "mish", "relu", "selu", "sigmoid", "silu", "tanh")
UFUNCS, UFUNCS_OF_SCIPY = (
    tuple(name for name, value in vars(of).items() if isinstance(value, np.ufunc))
    for of in (np, scipy.special)
)
# Functions without side effects; None allows all that the module exports.
FUNCTIONS: dict[str, tuple[str, ...] | None] = {
    f"{PACKAGE}.views": None,
    "numpy": UFUNCS,
    "scipy.special": UFUNCS_OF_SCIPY,
    "sklearn.metrics": None,
    "sklearn.utils": ("check_array",),  # boosted trees have it in a step
    "torch.nn.functional": ACTIVATIONS,
}
BUILTINS = {one.__name__: one for one in (bool, int, float, str, list, object)}


def _is_module(cls: type) -> bool:
    return issubclass(cls, nn.Module)


def _is_estimator(cls: type) -> bool:
    """Tell whether a class is an estimator or a splitter."""
    return issubclass(cls, BaseEstimator) or hasattr(cls, "get_n_splits")


def _is_any(cls: type) -> bool:
    return True


# Modules whose exports files may name, and the test for classes that may have instances.
HOMES: dict[str, Callable[[type], bool]] = {
    PACKAGE: _is_estimator,
    f"{PACKAGE}.encoders": _is_module,
    f"{PACKAGE}.views": _is_any,
    "torch.nn": _is_module,
    **{f"sklearn.{name}": _is_estimator for name in SKLEARN},
    KERNELS: _is_any,
}
_found: dict[str, type] = {}  # parts of ours, by id


def path_of(thing: type | Callable[..., object]) -> str:
    """Return the module and the name of a class or function, for messages."""
    name = getattr(thing, "__qualname__", type(thing).__name__)
    return f"{getattr(thing, '__module__', None)}.{name}"


def class_id(cls: type) -> str | None:
    """Return the id by which files name a class, or None if they may not have instances of it."""
    return next((id for id in _candidates(cls) if find_class(id) is cls), None)


def find_class(id: str) -> type | None:
    """Return the class of that id if a file may have instances of it, or None."""
    id = MOVED.get(id, id)
    home, _, name = id.rpartition(".")
    if id in PARTS:
        found = _at(*PARTS[id].rsplit(".", 1))
    elif id.startswith(OWN):
        return _part(id)
    else:
        found = _exported(home, name) if home in HOMES else None
        found = found if isinstance(found, type) and HOMES[home](found) else None
    return found if isinstance(found, type) else None


def ids_of(cls: type) -> list[str]:
    """Return the ids of a class of ours and of what it inherits from, bases first."""
    ids = []
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == PACKAGE:
            is_public = _exported(BASES, base.__name__) is base
            ids.append(f"{BASES}.{base.__name__}" if is_public else class_id(base))
    return [id for id in ids if id is not None]


def _candidates(cls: type) -> Iterator[str]:
    """Yield the ids that a class may have."""
    if "_saved_as" in vars(cls):
        yield OWN + vars(cls)["_saved_as"]
    path, name = path_of(cls), cls.__name__
    yield from (id for id, place in PARTS.items() if place == path)
    package, *inner = cls.__module__.split(".")
    if package == "sklearn":
        public = takewhile(lambda part: not part.startswith("_"), inner)
        yield ".".join([package, *public, name])
    yield from (f"{home}.{name}" for home in HOMES if not home.startswith("sklearn."))


def _part(id: str) -> type | None:
    """Return the class of skssl that declares an id, or None."""
    if id not in _found:
        _look_around()
    if id not in _found:
        for module in pkgutil.walk_packages(sys.modules[PACKAGE].__path__, f"{PACKAGE}."):
            importlib.import_module(module.name)  # modules of skssl only
        _look_around()
    return _found.get(id)


def _look_around() -> None:
    """Collect the declared ids of all loaded modules of skssl."""
    for path, module in list(sys.modules.items()):
        if path.startswith(f"{PACKAGE}."):
            for value in list(vars(module).values()):
                if isinstance(value, type) and "_saved_as" in vars(value):
                    _found[OWN + vars(value)["_saved_as"]] = value


def _at(module: str, name: str) -> Any:
    """Return an attribute of a module, or None if this version has no such attribute."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


def _exported(module: str, name: str) -> Any:
    """Return a module's export of that name, or None."""
    package = importlib.import_module(module)
    lists = torch.nn.modules if package is nn else package
    if hasattr(lists, "__all__"):
        return getattr(package, name, None) if name in lists.__all__ else None
    found = vars(package).get(name)
    is_own = getattr(found, "__module__", None) == module
    return found if is_own and not name.startswith("_") else None


def function_id(function: object) -> str | None:
    """Return the id by which files name a function, or None if they may not."""
    ids = (f"{home}.{getattr(function, '__name__', '')}" for home in FUNCTIONS)
    return next((id for id in ids if find_function(id) is function), None)


def find_function(id: str) -> Callable[..., Any] | None:
    """Return the function of that id if a file may name it, or None."""
    home, _, name = MOVED.get(id, id).rpartition(".")
    if home not in FUNCTIONS:
        return None
    names = FUNCTIONS[home]
    found = _exported(home, name) if names is None else _at(home, name) if name in names else None
    return found if isinstance(found, FunctionType | BuiltinFunctionType | np.ufunc) else None


def find_type(name: str) -> type | None:
    """Return a type of numbers or strings, such as an encoder's ``dtype``, or None."""
    found = BUILTINS.get(name) or np.sctypeDict.get(name)
    return found if isinstance(found, type) else None
