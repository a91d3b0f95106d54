"""Unpacking: JSON entries and tensors become an estimator."""

import copy
import inspect
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import cache, partial
from inspect import Parameter
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skssl._compat import make_byte_pairs
from skssl._meta._raw_columns import RawColumns
from skssl.base._transformer import SSLTransformer
from skssl.persistence import _changes, _generators
from skssl.persistence._attributes import check_module, check_state
from skssl.persistence._compiled import rebuild
from skssl.persistence._consistency import check_estimator
from skssl.persistence._costs import check_keys, order
from skssl.persistence._names import find_class, find_function, find_type, ids_of
from skssl.persistence._pack import DICTS, SEQUENCES, Entry, Packed
from skssl.persistence._trial import check_raw_columns, check_transforms
from skssl.persistence._weights import check_arrays, check_module_weights, check_weights

T = TypeVar("T")

MOST_ALIKE = 16  # different keys of one hash, which are compared with each other
INFINITIES = ("inf", "-inf", "nan")  # floats that JSON lacks
TORCH_DTYPES = {
    str(one).removeprefix("torch."): one
    for one in vars(torch).values()
    if isinstance(one, torch.dtype)
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

    def model(self, size: int) -> Any:
        """Return the object of the first entry, for a file of ``size`` bytes.

        Raises
        ------
        ValueError
            If the entries cost more than such a file may, hold each other in a circle, or are not
            of the objects that they say.
        """
        self.size = size
        for n in order(self.entries, self.tensors, size):  # what an entry refers to is before it
            entry = self.entries[n]
            if entry["is"] not in MAKERS:
                raise ValueError(f"there is nothing called {entry['is']!r:.50} to make")
            self.made[n] = MAKERS[entry["is"]](self, entry)
        return self.made[0]

    def unpack(self, value: Packed) -> Any:
        """Return what a packed value stands for."""
        return self.made[value[0]] if isinstance(value, list) else value

    def _dict(self, entry: Entry) -> dict[Any, Any]:
        check_keys(entry, self.entries)
        keys = _hashable(map(self.unpack, entry["keys"]))
        values = map(self.unpack, entry["values"])
        made = DICTS[entry["is"]]()
        made.update(zip(keys, values, strict=True))
        return made

    def _sequence(self, entry: Entry) -> Collection[Any]:
        items = list(map(self.unpack, entry["items"]))
        if entry["is"] in ("set", "frozenset"):
            check_keys(entry, self.entries)
            items = _hashable(items)
        return SEQUENCES[entry["is"]](items)

    def _float(self, entry: Entry) -> float:
        if entry["value"] not in INFINITIES:
            raise ValueError(f"there is no float {entry['value']!r:.50}")
        return float(entry["value"])

    def _slice(self, entry: Entry) -> slice:
        return slice(*map(self.unpack, entry["items"]))

    def _partial(self, entry: Entry) -> partial[Any]:
        function, args, keywords = map(self.unpack, entry["items"])
        if isinstance(function, partial):  # their arguments would be joined, again and again
            raise ValueError("a partial is made of a partial")
        return partial(function, *args, **keywords)

    def _tensor(self, entry: Entry) -> Tensor:
        tensor = self._stored(entry)
        if entry["parameter"]:
            return nn.Parameter(tensor, requires_grad=entry["grad"])
        return tensor.requires_grad_(entry["grad"])

    def _array(self, entry: Entry) -> np.ndarray:
        return self._stored(entry).numpy()

    def _raw(self, entry: Entry) -> np.ndarray:
        dtype = _dtype(entry["holds"], "USMmcfV")
        return self._stored(entry).numpy().view(dtype).reshape(entry["of"])

    def _objects(self, entry: Entry) -> np.ndarray:
        made = np.empty(len(entry["items"]), dtype=object)
        for i, item in enumerate(entry["items"]):
            made[i] = self.unpack(item)
        return made.reshape(entry["shape"])

    def _scalar(self, entry: Entry) -> np.generic:
        array = self.unpack(entry["array"])
        if getattr(array, "shape", None) != ():
            raise ValueError("a number of numpy is not one number")
        return array[()]

    def _masked(self, entry: Entry) -> np.ma.MaskedArray:
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

    def _random_state(self, entry: Entry) -> np.random.RandomState:
        return _generators.random_state(list(map(self.unpack, entry["items"])))

    def _generator(self, entry: Entry) -> np.random.Generator:
        return _generators.generator(self.unpack(entry["state"]))

    def _dtype(self, entry: Entry) -> np.dtype:
        return _dtype(entry["name"], "biufcUSMmO")

    def _torch_dtype(self, entry: Entry) -> torch.dtype:
        return self._found(TORCH_DTYPES.get, entry["name"])

    def _torch_device(self, entry: Entry) -> torch.device:
        return torch.device(entry["name"])

    def _type(self, entry: Entry) -> type:
        return self._found(find_type, entry["name"])

    def _function(self, entry: Entry) -> Callable[..., Any]:
        return self._found(find_function, entry["path"])

    def _found(self, find: Callable[[str], T | None], name: str) -> T:
        found = find(name)
        if found is None:
            raise ValueError(
                f"{name} is not something of skssl, torch.nn or scikit-learn that it may name"
            )
        return found

    def _instance(self, entry: Entry) -> Any:
        cls: Any = self._found(find_class, entry["class"])
        made = cls.__new__(cls)
        if isinstance(made, nn.Module):
            nn.Module.__init__(made)  # what it always has, and is not saved
        state = self._state(entry, cls)
        check_state(cls, state)
        if isinstance(made, BaseEstimator):
            state = _with_all_parameters(cls, state)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        if isinstance(made, nn.Module):
            check_module(made)
            check_module_weights(made)
            return made
        check_estimator(made)
        check_arrays(made)
        if isinstance(made, SSLTransformer) and self.given["encoder"] is None:
            check_transforms(made, self.size)
        elif isinstance(made, RawColumns):
            check_raw_columns(made, self.size)
        return made

    def _state(self, entry: Entry, cls: type) -> dict[str, Any]:
        """Return the attributes that an instance has, under the names of today."""
        state = {name: self.unpack(part) for name, part in entry["state"].items()}
        for n in range(self.format, _changes.FORMAT):
            changes = _changes.CHANGES.get(n, {})
            for id in ids_of(cls):
                changes.get(id, dict)(state)
        return state

    def _given(self, entry: Entry) -> Any:
        if "parameter" in entry:
            return self._again(entry["parameter"], entry["path"])
        given = self._again("encoder", entry["class"])
        state = {name: self.unpack(part) for name, part in entry["state"].items()}
        modules = given.modules() if isinstance(given, nn.Module) else []
        for module in modules:
            is_such = type(module).__name__ == entry["class"].rpartition(".")[2]  # wherever it is
            if is_such and _shapes(module.state_dict()) == _shapes(state):
                made = copy.deepcopy(module).cpu()
                check_weights(state, entry["class"])
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

    def _compiled(self, entry: Entry) -> Any:
        parts = {name: self.unpack(part) for name, part in entry["parts"].items()}
        return rebuild(entry["kind"], parts)

    def _tokenizer(self, entry: Entry) -> Any:
        model = json.loads(entry["json"])["model"]
        merges = [
            tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in model["merges"]
        ]
        if sorted(model["vocab"].values()) != list(range(len(model["vocab"]))):
            raise ValueError("the ids of a tokenizer do not count its tokens")
        return make_byte_pairs(model["vocab"], merges)


MAKERS: dict[str, Callable[[Unpacker, Entry], Any]] = {
    **dict.fromkeys(DICTS, Unpacker._dict),
    **dict.fromkeys(SEQUENCES, Unpacker._sequence),
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
}


def _hashable(keys: Iterable[Any]) -> list[Any]:
    """Return keys; raise ValueError if many have the same hash, which takes quadratic time."""
    keys = list(keys)
    alike = Counter(map(hash, keys)).most_common(1)
    if alike and alike[0][1] > MOST_ALIKE:
        raise ValueError(f"{alike[0][1]} keys of a dictionary or set have the same hash")
    return keys


def _dtype(name: Any, kinds: str) -> np.dtype:
    """Return the dtype of a name or, of structured arrays, of a list of fields."""
    if isinstance(name, list):
        name = [(str(field), _dtype(kind, "biufc")) for field, kind in name]
    elif not isinstance(name, str) or "," in name:
        raise ValueError(f"there is no dtype {name!r:.50}")
    dtype = np.dtype(name)
    if dtype.kind not in kinds or dtype.hasobject and dtype.kind != "O":
        raise ValueError(f"it has an array of {dtype}")
    return dtype


def _with_all_parameters(cls: type, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator, with defaults of parameters that are new since."""
    missing = {p.name: p.default for p in _parameters(cls) if p.name not in state}
    without = sorted(name for name, default in missing.items() if default is Parameter.empty)
    if without:
        raise ValueError(f"its {cls.__name__} has no {', '.join(without)}")
    return state | missing


@cache
def _parameters(cls: type) -> list[Parameter]:
    known = inspect.signature(cls).parameters.values()
    return [p for p in known if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def _shapes(state: dict[str, Tensor]) -> dict[str, str]:
    """Return what tells the weights of one module from those of another."""
    return {name: f"{t.dtype} {tuple(t.shape)}" for name, t in state.items()}
