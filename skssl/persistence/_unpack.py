"""Unpacking: JSON entries and tensors become an estimator."""

import copy
import inspect
from collections.abc import Callable, Collection
from functools import partial
from inspect import Parameter
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skssl._compat import import_skops, read_tokenizer
from skssl.persistence import _changes
from skssl.persistence._compiled import check_features, rebuild
from skssl.persistence._names import find_class, find_function, find_type, ids_of
from skssl.persistence._pack import DICTS, SEQUENCES, Entry, Packed

T = TypeVar("T")

PENDING = object()  # placeholder of an object under construction
BIT_GENERATORS = {
    one.__name__: one
    for one in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}


class Unpacker:
    """The objects of entries, each made once.

    Parameters
    ----------
    entries : list of dict
        Entries of :class:`skssl.persistence._pack.Packer`.
    tensors : dict of str to Tensor
        Tensors that the entries name.
    given : dict of str to object or None
        Arguments of the user: ``encoder`` and ``views``.
    format : int
        Format of the file, from which attributes are converted.
    """

    def __init__(
        self,
        entries: list[Entry],
        tensors: dict[str, Tensor],
        given: dict[str, Any],
        format: int,
    ):
        self.entries, self.tensors, self.given, self.format = entries, tensors, given, format
        self.made: dict[int, Any] = {}
        self.used: set[str] = set()  # of what was given

    def unpack(self, value: Packed) -> Any:
        """Return what a packed value stands for."""
        if not isinstance(value, list):
            return value
        (n,) = value
        if type(n) is not int or not 0 <= n < len(self.entries):
            raise ValueError(f"it refers to an entry {n!r}, and has {len(self.entries)}")
        if n not in self.made:
            self.made[n] = PENDING
            entry = self.entries[n]
            self.made[n] = MAKERS[entry["is"]](self, entry, n)
        if self.made[n] is PENDING:
            raise ValueError(f"entry {n} holds itself")
        return self.made[n]

    def _dict(self, entry: Entry, n: int) -> dict[Any, Any]:
        made = self.made[n] = DICTS[entry["is"]]()
        for key, value in zip(entry["keys"], entry["values"], strict=True):
            made[self.unpack(key)] = self.unpack(value)
        return made

    def _list(self, entry: Entry, n: int) -> list[Any]:
        made = self.made[n] = []
        made.extend(map(self.unpack, entry["items"]))
        return made

    def _sequence(self, entry: Entry, n: int) -> Collection[Any]:
        return SEQUENCES[entry["is"]](map(self.unpack, entry["items"]))

    def _float(self, entry: Entry, n: int) -> float:
        return float(entry["value"])

    def _slice(self, entry: Entry, n: int) -> slice:
        return slice(*map(self.unpack, entry["items"]))

    def _partial(self, entry: Entry, n: int) -> partial[Any]:
        function, args, keywords = map(self.unpack, entry["items"])
        return partial(function, *args, **keywords)

    def _tensor(self, entry: Entry, n: int) -> Tensor:
        tensor = self._stored(entry)
        if entry["parameter"]:
            return nn.Parameter(tensor, requires_grad=entry["grad"])
        return tensor.requires_grad_(entry["grad"])

    def _array(self, entry: Entry, n: int) -> np.ndarray:
        return self._stored(entry).numpy()

    def _raw(self, entry: Entry, n: int) -> np.ndarray:
        dtype = np.dtype(entry["holds"])
        if dtype.kind not in "USMmcf":
            raise ValueError(f"it has an array of {dtype}")
        return self._stored(entry).numpy().view(dtype).reshape(entry["of"])

    def _objects(self, entry: Entry, n: int) -> np.ndarray:
        made = np.empty(len(entry["items"]), dtype=object)
        for i, item in enumerate(entry["items"]):
            made[i] = self.unpack(item)
        return made.reshape(entry["shape"])

    def _scalar(self, entry: Entry, n: int) -> np.generic:
        return self.unpack(entry["array"])[()]

    def _masked(self, entry: Entry, n: int) -> np.ma.MaskedArray:
        data, mask, fill_value = map(self.unpack, entry["items"])
        return np.ma.MaskedArray(data, mask, fill_value=fill_value)

    def _stored(self, entry: Entry) -> Tensor:
        name = entry["name"]
        if name not in self.tensors:
            raise ValueError(f"the tensor {name!r} is missing")
        tensor = self.tensors[name]
        expected = (entry["dtype"], tuple(entry["shape"]))
        if (str(tensor.dtype), tuple(tensor.shape)) != expected:
            raise ValueError(
                f"the tensor {name!r} should be {expected[0]} of shape {expected[1]}, and is "
                f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        if "axes" in entry:
            axes = entry["axes"]
            tensor = tensor.permute([axes.index(i) for i in range(len(axes))])
        return tensor

    def _random_state(self, entry: Entry, n: int) -> np.random.RandomState:
        made = np.random.RandomState()
        made.set_state(tuple(map(self.unpack, entry["items"])))
        return made

    def _generator(self, entry: Entry, n: int) -> np.random.Generator:
        state = self.unpack(entry["state"])
        bits = BIT_GENERATORS[state["bit_generator"]]()
        bits.state = state
        return np.random.Generator(bits)

    def _dtype(self, entry: Entry, n: int) -> np.dtype:
        return np.dtype(entry["name"])

    def _torch_dtype(self, entry: Entry, n: int) -> torch.dtype:
        found = getattr(torch, entry["name"])
        if not isinstance(found, torch.dtype):
            raise ValueError(f"there is no torch.dtype {entry['name']!r}")
        return found

    def _torch_device(self, entry: Entry, n: int) -> torch.device:
        return torch.device(entry["name"])

    def _type(self, entry: Entry, n: int) -> type:
        return self._found(find_type, entry["name"])

    def _function(self, entry: Entry, n: int) -> Callable[..., Any]:
        return self._found(find_function, entry["path"])

    def _found(self, find: Callable[[str], T | None], name: str) -> T:
        found = find(name)
        if found is None:
            raise ValueError(
                f"{name} is not something of skssl, torch.nn or scikit-learn that it may name"
            )
        return found

    def _instance(self, entry: Entry, n: int) -> Any:
        cls: Any = self._found(find_class, entry["class"])
        made = self.made[n] = cls.__new__(cls)
        if isinstance(made, nn.Module):
            nn.Module.__init__(made)  # what it always has, and is not saved
        state = self._state(entry, cls)
        if isinstance(made, BaseEstimator):
            state = _with_all_parameters(cls, state)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        check_features(made)
        return made

    def _state(self, entry: Entry, cls: type) -> dict[str, Any]:
        """Return the attributes that an instance has, under the names of today."""
        state = {name: self.unpack(part) for name, part in entry["state"].items()}
        for n in range(self.format, _changes.FORMAT):
            changes = _changes.CHANGES.get(n, {})
            for id in ids_of(cls):
                changes.get(id, dict)(state)
        return state

    def _given(self, entry: Entry, n: int) -> Any:
        if "parameter" in entry:
            return self._again(entry["parameter"], entry["path"])
        given = self._again("encoder", entry["class"])
        state = {name: self.unpack(part) for name, part in entry["state"].items()}
        modules = given.modules() if isinstance(given, nn.Module) else []
        for module in modules:
            is_such = type(module).__name__ == entry["class"].rpartition(".")[2]  # wherever it is
            if is_such and _shapes(module.state_dict()) == _shapes(state):
                made = copy.deepcopy(module).cpu()
                made.load_state_dict(state)
                return made.train(entry["training"])
        raise ValueError(
            f"it holds the weights {_shapes(state)} of a {entry['class']}, and encoder= has none "
            "of that class with weights of these names, dtypes and shapes. Make it as for fit"
        )

    def _again(self, parameter: str, path: str) -> Any:
        given = self.given.get(parameter)
        if given is None:
            raise ValueError(
                f"its {parameter} was your own, {path}. Give it again: "
                f"skssl.load(path, {parameter}=...)"
            )
        self.used.add(parameter)
        return given

    def _compiled(self, entry: Entry, n: int) -> Any:
        parts = {name: self.unpack(part) for name, part in entry["parts"].items()}
        return rebuild(entry["kind"], parts)

    def _tokenizer(self, entry: Entry, n: int) -> Any:
        return read_tokenizer(entry["json"])

    def _skops(self, entry: Entry, n: int) -> Any:
        return import_skops().loads(self._stored(entry).numpy().tobytes())


MAKERS: dict[str, Callable[[Unpacker, Entry, int], Any]] = {
    **dict.fromkeys(DICTS, Unpacker._dict),
    **dict.fromkeys(SEQUENCES, Unpacker._sequence),
    "list": Unpacker._list,
    "float": Unpacker._float,
    "slice": Unpacker._slice,
    "partial": Unpacker._partial,
    "tensor": Unpacker._tensor,
    "array": Unpacker._array,
    "raw": Unpacker._raw,
    "objects": Unpacker._objects,
    "scalar": Unpacker._scalar,
    "masked": Unpacker._masked,
    "random_state": Unpacker._random_state,
    "generator": Unpacker._generator,
    "dtype": Unpacker._dtype,
    "torch_dtype": Unpacker._torch_dtype,
    "torch_device": Unpacker._torch_device,
    "type": Unpacker._type,
    "function": Unpacker._function,
    "instance": Unpacker._instance,
    "given": Unpacker._given,
    "compiled": Unpacker._compiled,
    "tokenizer": Unpacker._tokenizer,
    "skops": Unpacker._skops,
}


def _with_all_parameters(cls: type, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator, with defaults of parameters that are new since."""
    known = inspect.signature(cls).parameters.values()
    named = [p for p in known if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    missing = {p.name: p.default for p in named if p.name not in state}
    without = sorted(name for name, default in missing.items() if default is Parameter.empty)
    if without:
        raise ValueError(f"its {cls.__name__} has no {', '.join(without)}")
    return state | missing


def _shapes(state: dict[str, Tensor]) -> dict[str, str]:
    """Return what tells the weights of one module from those of another."""
    return {name: f"{t.dtype} {tuple(t.shape)}" for name, t in state.items()}
