"""Packing: an estimator becomes JSON entries and tensors."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from sklearn.utils import Bunch
from torch import Tensor, nn

from skssl.persistence._attributes import HOOKS, is_of_callbacks
from skssl.persistence._compiled import class_name, parts_of
from skssl.persistence._names import class_id, find_type, function_id, path_of
from skssl.persistence._weights import check_arrays, check_module_weights

DICTS = {"dict": dict, "OrderedDict": OrderedDict, "Bunch": Bunch}
SEQUENCES = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
BUILTINS = (str, int, float, list, dict, set, np.ndarray)  # their contents are not attributes
GIVEN = ("encoder", "views")  # parameters that the user may pass to load again
INSTEAD = "joblib.dump saves anything, as a pickle, which runs code when it is loaded."

# Of JSON: a value that stands for itself, or the number of the entry of another object, in a list.
Packed = None | bool | int | float | str | list[int]
Entry = dict[str, Any]  # what "is" its kind, and what that takes


class Packer:
    """Entries and tensors of an estimator; shared objects are packed once.

    Attributes
    ----------
    entries : list of dict
        One per object, except None, booleans, integers, finite floats and strings.
    tensors : dict of str to Tensor
        Tensors by the attributes that lead to them.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.tensors: dict[str, Tensor] = {}
        self.known: dict[int, tuple[Any, int]] = {}  # holds the object, so that its id stays unique
        self.stored: dict[
            Hashable, tuple[Tensor, str]
        ] = {}  # by address in memory, for the same reason
        self.places: set[int] = set()

    def pack(self, value: Any, *where: str) -> Packed:
        """Return a value as JSON, or ``[n]`` for the n-th entry."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if id(value) not in self.known:
            n = len(self.entries)
            self.known[id(value)] = value, n
            self.entries.append({})
            self.entries[n] = self._entry(value, where)
        return [self.known[id(value)][1]]

    def _entry(self, value: Any, where: tuple[str, ...]) -> Entry:
        for classes, pack in PACKERS:
            if type(value) in classes:
                return pack(self, value, where)
        if isinstance(value, FunctionType | BuiltinFunctionType) or function_id(value) is not None:
            return self._function(value, where)
        if isinstance(value, np.random.RandomState):
            return self._random_state(value, where)
        if isinstance(value, np.generic):
            return {"is": "scalar", "array": self.pack(np.asarray(value), *where)}
        if isinstance(value, np.dtype):
            return {"is": "dtype", "name": value.str}
        if isinstance(value, torch.dtype | torch.device):
            name = f"torch_{type(value).__name__}"
            return {"is": name, "name": str(value).removeprefix("torch.")}
        if isinstance(value, type) and find_type(value.__name__) is value:
            return {"is": "type", "name": value.__name__}
        id = class_id(type(value))
        if id is not None and not isinstance(value, BUILTINS):
            return {"is": "instance", "class": id, "state": self._instance(value, where)}
        if isinstance(value, nn.Module):
            return self._given_module(value, where)
        if type(value).__module__.partition(".")[0] == "tokenizers":
            return {"is": "tokenizer", "json": value.to_str()}
        return self._of_others(value, where)

    def _dict(self, value: Any, where: tuple[str, ...]) -> Entry:
        keys = [self.pack(key, *where, "key") for key in value]
        values = [self.pack(part, *where, str(key)) for key, part in value.items()]
        return {"is": type(value).__name__, "keys": keys, "values": values}

    def _sequence(self, value: Any, where: tuple[str, ...]) -> Entry:
        parts = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        items = [self.pack(part, *where, str(i)) for i, part in enumerate(parts)]
        return {"is": type(value).__name__, "items": items}

    def _float(self, value: float, where: tuple[str, ...]) -> Entry:
        return {"is": "float", "value": str(value)}

    def _slice(self, value: slice, where: tuple[str, ...]) -> Entry:
        ends = [self.pack(end, *where) for end in (value.start, value.stop, value.step)]
        return {"is": "slice", "items": ends}

    def _partial(self, value: partial[Any], where: tuple[str, ...]) -> Entry:
        parts = [value.func, value.args, value.keywords]
        return {"is": "partial", "items": [self.pack(part, *where, "partial") for part in parts]}

    def _tensor(self, value: Tensor, where: tuple[str, ...]) -> Entry:
        parameter = type(value) is nn.Parameter
        stored = self._store(value.detach().cpu(), where)
        return {"is": "tensor", **stored, "parameter": parameter, "grad": value.requires_grad}

    def _array(self, value: np.ndarray, where: tuple[str, ...]) -> Entry:
        if value.dtype.kind == "O":
            items = [self.pack(part, *where, str(i)) for i, part in enumerate(value.ravel())]
            return {"is": "objects", "shape": list(value.shape), "items": items}
        if value.dtype.kind in "biuf" and value.dtype.isnative and value.dtype.itemsize <= 8:
            copied = value if min(value.strides, default=0) >= 0 else value.copy()
            tensor = torch.from_numpy(copied if copied.flags.writeable else copied.copy("K"))
            return {"is": "array", **self._store(tensor, where)}
        fields = _fields(value.dtype)
        if value.dtype.kind not in "USMmcf" and not fields:
            raise _refused(value, where, "Set what holds it to something else first.")
        flat = np.array(value, order="C")  # text, times and complex numbers as their bytes
        raw = torch.from_numpy(np.frombuffer(flat.tobytes(), np.uint8).copy())
        entry = {"is": "raw", "holds": fields or value.dtype.str, "of": list(value.shape)}
        return entry | self._store(raw, where)

    def _masked(self, value: np.ma.MaskedArray, where: tuple[str, ...]) -> Entry:
        parts = (value.data, np.ma.getmaskarray(value), value.fill_value)
        return {"is": "masked", "items": [self.pack(part, *where) for part in parts]}

    def _store(self, tensor: Tensor, where: tuple[str, ...]) -> Entry:
        """Store a tensor with its axes in memory order, so that results stay equal bit by bit."""
        strides = tensor.stride()
        axes = sorted(range(tensor.ndim), key=lambda i: -strides[i])
        if not tensor.permute(axes).is_contiguous():
            axes = list(range(tensor.ndim))
        at = tensor.data_ptr(), tensor.shape, strides, tensor.dtype
        if at not in self.stored or not tensor.numel():
            self.stored[at] = tensor, self._keep(tensor.permute(axes), ".".join(where))
        name = self.stored[at][1]
        stored = self.tensors[name]
        what = {"name": name, "shape": list(stored.shape), "dtype": str(stored.dtype)}
        return what if axes == sorted(axes) else what | {"axes": axes}

    def _keep(self, tensor: Tensor, path: str) -> str:
        """Add a tensor to the file, in memory of its own, and return its name."""
        name, n = path, 1
        while name in self.tensors:
            name, n = f"{path}~{n}", n + 1
        stored = tensor.contiguous()
        whole = stored.numel() > 1 and stored.untyped_storage().nbytes() == stored.nbytes
        if not whole or stored.data_ptr() in self.places:
            stored = stored.clone(memory_format=torch.contiguous_format)  # in memory of its own
        self.places.add(stored.data_ptr())
        self.tensors[name] = stored
        return name

    def _random_state(self, value: np.random.RandomState, where: tuple[str, ...]) -> Entry:
        state = value.get_state()
        if not isinstance(state, tuple):
            raise _refused(value, where, "Only a Mersenne twister can be saved.")
        return {"is": "random_state", "items": [self.pack(part, *where) for part in state]}

    def _generator(self, value: np.random.Generator, where: tuple[str, ...]) -> Entry:
        return {"is": "generator", "state": self.pack(value.bit_generator.state, *where)}

    def _instance(self, value: Any, where: tuple[str, ...]) -> Entry:
        check = check_module_weights if isinstance(value, nn.Module) else check_arrays
        try:
            check(value)
        except ValueError as error:
            place = ".".join(where) or "the model"
            raise ValueError(f"{place} cannot be saved: {error}. Fit it again.") from None
        state = dict(value.__getstate__() or {})
        for name in filter(is_of_callbacks, list(state)):  # about fits only, and may hold anything
            del state[name]
        if isinstance(value, nn.Module):
            hooks = [name for name in HOOKS & set(state) if state.pop(name)]
            if hooks or state.pop("_compiled_call_impl", None):
                raise _refused(value, where, "It is compiled, or has hooks: remove them first.")
        return self._state(state, where)

    def _state(self, state: dict[str, Any], where: tuple[str, ...]) -> Entry:
        return {name: self.pack(part, *where, name) for name, part in state.items()}

    def _given_module(self, value: nn.Module, where: tuple[str, ...]) -> Entry:
        """Pack the weights of a module of a class that load may not look up."""
        state = self._state(value.state_dict(), where)
        path = path_of(type(value))
        return {"is": "given", "class": path, "state": state, "training": value.training}

    def _function(self, value: Any, where: tuple[str, ...]) -> Entry:
        id = function_id(value)
        if id is not None:
            return {"is": "function", "path": id}
        for name in GIVEN:
            if any(part.strip("_") == name for part in where):
                return {"is": "given", "parameter": name, "path": path_of(value)}
        raise _refused(value, where, "Set what holds it to something else first.")

    def _of_others(self, value: object, where: tuple[str, ...]) -> Entry:
        """Pack an object of numpy, scipy or scikit-learn that is not an estimator."""
        parts = parts_of(value)
        if parts is not None:
            return {"is": "compiled", "kind": class_name(value), "parts": self._state(parts, where)}
        raise _refused(value, where, "Set what holds it to something else first.")


PACKERS: list[tuple[tuple[type, ...], Callable[[Packer, Any, tuple[str, ...]], Entry]]] = [
    ((*DICTS.values(),), Packer._dict),
    ((*SEQUENCES.values(),), Packer._sequence),
    ((float,), Packer._float),
    ((slice,), Packer._slice),
    ((partial,), Packer._partial),
    ((Tensor, nn.Parameter), Packer._tensor),
    ((np.ndarray,), Packer._array),
    ((np.ma.MaskedArray,), Packer._masked),
    ((np.random.Generator,), Packer._generator),
]


def _fields(dtype: np.dtype) -> list[list[str]] | None:
    """Return the names and dtypes of fields of numbers that stand next to each other, or None."""
    parts = [(name, dtype[name].str) for name in dtype.names or ()]
    is_such = all(dtype[name].kind in "biufc" for name, _ in parts) and np.dtype(parts) == dtype
    return [list(part) for part in parts] if parts and is_such else None


def _refused(value: object, where: tuple[str, ...], why: str) -> ValueError:
    what = path_of(value if isinstance(value, FunctionType) else type(value))
    return ValueError(
        f"{'.'.join(where) or 'The model'} is a {what}, which cannot be saved without pickle. "
        f"{why} {INSTEAD}"
    )
