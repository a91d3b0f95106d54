"""The key of a cached pretraining: a hash of all that the fit depends on, and nothing else.

Keys may differ although the fits are equal, which costs a pretraining; never the reverse. Anything
that cannot be hashed reliably makes a fit uncacheable.
"""

import hashlib
import inspect
import pickle
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import joblib
import narwhals.stable.v2 as nw
import numpy as np
import sklearn
import torch
from narwhals.exceptions import NarwhalsError
from sklearn.frozen import FrozenEstimator
from torch import nn

from skssl._data import is_bags
from skssl.base._transformer import SSLTransformer

PLAIN = (type(None), bool, int, float, complex, str, bytes)
VERSIONED = {"builtins", "numpy", "sklearn", "torch"}  # hashed by version instead of by source


class Uncacheable(Exception):
    """An object has no key, so a fit that depends on it must not be cached."""


def fit_key(transformer: Any, *data: Any, **metadata: Any) -> str | None:
    """Return a key of fitting a transformer to data, or None if it must not be cached.

    Parameters
    ----------
    transformer : estimator
        Its class and its parameters at all levels enter the key; modules enter by weights,
        attributes and source.
    *data : array-like or dataframe
        They enter by type, dtypes, names and bytes.
    **metadata : array-like
        Further arguments of ``fit``, such as weights; they enter in the same way.

    Returns
    -------
    key : str or None
        None if a ``random_state`` is not a number, or if a parameter cannot be read.
    """
    key = _Key()
    package = sys.modules[__name__.partition(".")[0]]
    versions = (np.__version__, sklearn.__version__, torch.__version__)
    try:
        key.add((*map(str, versions), getattr(package, "__version__", "")))
        key.add(transformer)
        for part in data:
            key.add_data(part)
        for name in sorted(metadata):
            key.text(name)
            key.add_data(metadata[name])
    except (Uncacheable, RecursionError, NarwhalsError):
        return None
    return key.digest.hexdigest()


class _Key:
    """A hash of a sequence of typed values."""

    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=20)
        self.functions: set[int] = set()  # functions may call each other
        self.is_seeded = False  # within a transformer that seeds all of its parts

    def text(self, text: str) -> None:
        """Add text with its length, so that it cannot be confused with the next text."""
        data = text.encode("utf-8", "surrogatepass")
        self.digest.update(f"{len(data)}:".encode())
        self.digest.update(data)

    def add(self, value: object) -> None:
        """Add the value of a parameter, of any type."""
        self.text(f"{type(value).__module__}.{type(value).__qualname__}")
        if isinstance(value, PLAIN):
            self.text(repr(value))
        elif isinstance(value, dict):
            self.add(list(value))
            self.add(list(value.values()))
        elif isinstance(value, (list, tuple)):
            self._add_sequence(value)
        elif isinstance(value, nn.Module):
            self._add_module(value)
        elif isinstance(value, ModuleType):
            self.text(value.__name__)
        elif isinstance(value, type):
            self._add_class(value)
        elif inspect.isroutine(value):
            self._add_function(value)
        elif hasattr(value, "get_params"):
            self._add_estimator(value)
        elif hasattr(value, "__array__"):
            self.add_data(value)
        else:
            self._add_other(value)

    def add_data(self, X: Any) -> None:
        """Add rows by their bytes; the index of a dataframe is ignored."""
        self.text(type(X).__qualname__)
        if is_bags(X):
            self._add_bags(X)
            return
        frame = nw.from_native(X, allow_series=True, pass_through=True)
        if isinstance(frame, nw.Series):
            self._add_column(frame)
        elif isinstance(frame, nw.DataFrame):
            for column in frame.iter_columns():
                self.add(column.name)
                self._add_column(column)
        elif isinstance(X, torch.Tensor):
            self.text(f"{X.dtype} {tuple(X.shape)}")
            self._add_array(X.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        elif isinstance(X, np.ma.MaskedArray):
            self._add_array(np.ma.getdata(X))
            self._add_array(np.ma.getmaskarray(X))
        elif hasattr(X, "__array__"):
            self._add_array(np.asarray(X))
        elif isinstance(X, (list, tuple)):
            self._add_sequence(X)
        else:  # sparse
            self._add_other(X)

    def _add_bags(self, X: Any) -> None:
        bags = getattr(X, "array", X).compact()
        self.add(bags.events.time)
        for part in (bags.events.frame, bags.events.gap, bags.lengths):
            self.add_data(part)

    def _add_column(self, column: Any) -> None:
        self.text(str(column.dtype))
        if isinstance(column.dtype, (nw.Categorical, nw.Enum)):
            self.add(column.cat.get_categories().to_list())
        null = column.is_null()
        self._add_array(null.to_numpy().astype(bool))
        self._add_array(np.asarray(column.filter(~null).to_numpy()))

    def _add_array(self, array: np.ndarray) -> None:
        self.text(f"{array.dtype.str} {array.shape}")
        if array.dtype.hasobject or array.dtype.kind == "T":
            # Equal strings may be pickled differently: hash their text instead.
            self._add_sequence(array.ravel().tolist())
            return
        transposed = array.flags.f_contiguous and not array.flags.c_contiguous
        self.text("F" if transposed else "C")
        lying = np.ascontiguousarray(array.T if transposed else array)
        self.digest.update(lying.reshape(-1).view(np.uint8).data)

    def _add_sequence(self, values: Sequence[Any]) -> None:
        self.text(str(len(values)))
        if all(type(value) is str for value in values):  # long columns of text
            self._add_array(np.fromiter(map(len, values), np.int64, len(values)))
            self.text("".join(values))
            return
        for value in values:
            self.add(value)

    def _add_estimator(self, estimator: Any) -> None:
        self._add_class(type(estimator))
        self.add(getattr(estimator, "_sklearn_output_config", None))
        params = estimator.get_params(deep=False)
        seed = params.get("random_state", 0)
        if not isinstance(seed, (int, np.integer)) and not (seed is None and self.is_seeded):
            raise Uncacheable
        was_seeded = self.is_seeded
        self.is_seeded |= isinstance(estimator, SSLTransformer)
        for name in sorted(params):
            self.text(name)
            self.add(params[name])
        self.is_seeded = was_seeded
        if isinstance(estimator, FrozenEstimator):  # its fitted state enters the key
            self._add_other(estimator)

    def _add_module(self, module: nn.Module) -> None:
        for name, part in module.named_modules():
            self.text(name)
            self._add_class(type(part))
            for attribute, value in sorted(vars(part).items()):
                if not attribute.startswith("_"):
                    self.text(attribute)
                    self.add(value)
        for name, tensor in module.state_dict().items():
            self.text(name)
            self.add_data(tensor)

    def _add_class(self, cls: type) -> None:
        for part in cls.__mro__:
            self.text(f"{part.__module__}.{part.__qualname__}")
            self.text(_source(part))

    def _add_function(self, function: Callable[..., object]) -> None:
        """Add a function by its source, its defaults, and the names it looks up."""
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            self.add(owner)
        function = inspect.unwrap(getattr(function, "__func__", function))
        self.text(f"{function.__module__}.{function.__qualname__}")
        if not inspect.isfunction(function) or id(function) in self.functions:
            return  # written in C and identified by its name, or hashed before
        self.functions.add(id(function))
        if _is_versioned(function):
            return
        self.text(_source(function))
        self.add(function.__defaults__)
        self.add(function.__kwdefaults__)
        names = inspect.getclosurevars(function)
        self.add(dict(sorted(names.nonlocals.items())))
        self.add(dict(sorted(names.globals.items())))

    def _add_other(self, value: object) -> None:
        try:
            self.text(joblib.hash(value))
        except (pickle.PicklingError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise Uncacheable from error


def _is_versioned(thing: type | Callable[..., object]) -> bool:
    return (thing.__module__ or "").partition(".")[0] in VERSIONED


def _source(thing: type | Callable[..., object]) -> str:
    """Return the source of a class or function."""
    if _is_versioned(thing):
        return ""
    code = getattr(thing, "__code__", None)
    if code is not None and code.co_filename == "<string>":  # Python 3.13 takes it for `python -c`
        raise Uncacheable
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError) as error:
        if thing.__module__ == "__main__" or isinstance(error, OSError):
            raise Uncacheable from error
        return ""  # written in C
