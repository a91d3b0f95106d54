"""What a file costs to load: its order, depth and memory, counted before anything is built.

Entries refer to each other, so a short text can describe what is deep, or long once every reference
is followed. Here no object exists yet, and each entry is looked at once.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from skssl.persistence._pack import Entry

MOST_DEEP = 100  # a Pipeline within a Pipeline takes 3, a module within a module 2
FREE = 2**26  # bytes that any file may cost,
PER_BYTE = 32  # and bytes for each byte of the file
PER_ENTRY = 500  # bytes of an object with few attributes
PER_VISIT = 100  # a step of hashing, comparing or cloning, counted like bytes
PRICES = {"instance": 5_000, "random_state": 6_000, "generator": 6_000, "compiled": 2_000}
PER_REFERENCE = 100
PER_CHARACTER = 100  # of a tokenizer's text
COPIES = {"compiled", "given"}  # kinds that copy their arrays,
TIMES = 16  # and at most this often: nodes and bounds of a KDTree with one row per leaf
BYTES = {"tensor", "array", "raw"}
HASHED = {"float", "scalar", "tuple", "frozenset", "type"}  # kinds of keys, beside plain values


def order(entries: list[Entry], tensors: dict[str, Tensor], size: int) -> list[int]:
    """Return the entries that the first needs, each after those that it refers to.

    Raises
    ------
    ValueError
        If an entry holds itself, if they are too deep, or if they cost more memory or work than a
        file of ``size`` bytes may.
    """
    found = list(_children_first(entries))
    limit = FREE + PER_BYTE * size
    depth: dict[int, int] = {}
    visits: dict[int, int] = {}  # if every reference was followed anew
    below: dict[int, int] = {}  # bytes of arrays, likewise
    cost = 0
    for n in found:
        entry, inner = entries[n], references(entries[n])
        depth[n] = 1 + max((depth[i] for i in inner), default=0)
        visits[n] = 1 + sum(visits[i] for i in inner)
        below[n] = _nbytes(entry, tensors) + sum(below[i] for i in inner)
        cost += PRICES.get(entry["is"], PER_ENTRY) + PER_REFERENCE * _width(entry)
        cost += TIMES * below[n] if entry["is"] in COPIES else 0
        cost += PER_CHARACTER * len(entry["json"]) if entry["is"] == "tokenizer" else 0
        if depth[n] > MOST_DEEP:
            raise ValueError(f"its objects hold each other more than {MOST_DEEP} levels deep")
        if cost + PER_VISIT * visits[n] + below[n] > limit:
            raise ValueError(
                f"its objects would take more memory or time than {size} bytes may: "
                f"{FREE / 1e6:.0f} MB, and {PER_BYTE} bytes for each of them"
            )
    return found


def references(entry: Entry) -> list[int]:
    """Return the numbers of the entries that an entry refers to; its keys must be hashable."""
    if not isinstance(entry, dict) or not isinstance(entry.get("is"), str):
        raise ValueError(
            f"it has an entry of type {type(entry).__name__} that does not say what it is"
        )
    values = list(_values(entry))
    if any(isinstance(value, dict) for value in values):
        raise ValueError("it has an object that is no entry")
    return [_number(value) for value in values if isinstance(value, list)]


def check_keys(entry: Entry, entries: list[Entry]) -> None:
    """Raise ValueError if keys of a dictionary or items of a set are objects of other kinds."""
    keys = entry["items"] if entry["is"] in ("set", "frozenset") else entry.get("keys", [])
    for key in keys:
        kind = entries[_number(key)]["is"] if isinstance(key, list) else "float"
        if kind not in HASHED:
            raise ValueError(
                f"a key of a {entry['is']} is a {kind}, which is not looked up by value"
            )


def _values(entry: Entry) -> Iterator[Any]:
    """Yield all values of an entry that may refer to others."""
    for name in ("keys", "values", "items"):
        yield from _as_list(entry.get(name, []), name)
    for name in ("state", "parts"):
        value = entry.get(name, {})
        yield from value.values() if isinstance(value, dict) else [value]
    yield entry.get("array")


def _as_list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"the {name} of an entry are a {type(value).__name__}")
    return value


def _number(value: list[Any]) -> int:
    if len(value) != 1 or type(value[0]) is not int:
        raise ValueError(f"it refers to an entry by {value!r:.50}")
    return value[0]


def _width(entry: Entry) -> int:
    return sum(1 for _ in _values(entry))


def _nbytes(entry: Entry, tensors: dict[str, Tensor]) -> int:
    name = entry.get("name") if entry["is"] in BYTES else None
    return tensors[name].nbytes if isinstance(name, str) and name in tensors else 0


def _children_first(entries: list[Entry]) -> Iterator[int]:
    """Walk from the first entry, and yield each after those that it refers to."""
    left: dict[int, list[int]] = {}  # of each entry on the path, what is still to be visited
    done: set[int] = set()
    path: list[int] = []
    ahead: int | None = 0
    while ahead is not None:
        if not 0 <= ahead < len(entries):
            raise ValueError(f"it refers to an entry {ahead}, and has {len(entries)}")
        if ahead in left and ahead not in done:
            raise ValueError(f"entry {ahead} holds itself")
        if ahead not in done:
            path.append(ahead)
            left[ahead] = references(entries[ahead])[::-1]
        ahead = None
        while path and ahead is None:
            if left[path[-1]]:
                ahead = left[path[-1]].pop()
            else:
                done.add(path[-1])
                yield path.pop()
