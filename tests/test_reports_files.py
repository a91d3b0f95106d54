"""What forged, damaged and unwritable files do; the right value of each report.

====== ============================ ===========================================================
number kind                         cousins
====== ============================ ===========================================================
26     a short file, much work      found: shared tuples in sets, keys and lists; depth without
                                    recursion; numbers of one hash; layers that an RNN counts;
                                    partials of partials
27     forged values and bombs      found: positions of every bit generator; circles; weights of
                                    neighbours; centres, labels, support vectors and stages that
                                    do not fit; trees that say more levels than nodes; shared
                                    arrays that are copied. skops is gone, so there is nothing
                                    compressed
====== ============================ ===========================================================
"""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier
from test_common import X_IRIS, Y_IRIS
from test_persistence import forge, parts

from skssl import load, save
from skssl._compat import PREDICTOR_RECORD_DTYPE


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skssl"


def forged(path, value, *entries, tensors=None):
    """Write a file of an estimator whose attribute is ``value``, with entries from number 1 on."""
    save(DummyClassifier(), path)
    content, _, _ = parts(path)
    (first,) = content["entries"]
    first["state"]["extra_"] = value
    forge(path, {**content, "entries": [first, *entries]}, tensors or {})
    return path


def refused(path, message):
    with pytest.raises(ValueError, match=f"cannot be loaded: .*{message}"):
        load(path)


def tuples(n, width=2, first=1):
    """Return entries from number ``first`` on, each a tuple of the next one, several times."""
    inner = [{"is": "tuple", "items": [[first + i + 1]] * width} for i in range(n)]
    return [*inner, {"is": "tuple", "items": [1]}]


# ---- 26: limits on depth and work, counted before anything is built -----------------------


@pytest.mark.parametrize(
    "around",
    [
        lambda of: {"is": "set", "items": [[of]]},
        lambda of: {"is": "frozenset", "items": [[of]]},
        lambda of: {"is": "dict", "keys": [[of]], "values": [1]},
        lambda of: {"is": "objects", "shape": [1], "items": [[of]]},
    ],
)
def test_a_short_file_does_not_load_for_ever(around, path):
    forged(path, [1], around(2), *tuples(60, first=2))
    assert path.stat().st_size < 4_000
    refused(path, "more memory or time than .* bytes may")


def test_depth_is_counted_however_objects_are_ordered(path):
    """The innermost comes first, so that no call is deep; to hash the outermost would be."""
    n = 5_000
    order = {"is": "list", "items": [[i] for i in range(n, 2, -1)]}
    forged(path, [1], order, {"is": "set", "items": [[3]]}, *tuples(n - 3, 1, first=3))
    refused(path, "more than 100 levels deep")


def test_keys_of_one_hash_are_refused(path):
    alike = [i * (2**61 - 1) for i in range(1, 5_000)]
    forged(path, [1], {"is": "set", "items": alike})
    refused(path, "same hash")
    forged(path, [1], {"is": "dict", "keys": alike, "values": alike})
    refused(path, "same hash")
    forged(path, [1], {"is": "set", "items": list(range(5_000))})
    assert load(path).extra_ == set(range(5_000))


def test_keys_are_plain_values(path):
    forged(path, [1], {"is": "set", "items": [[2]]}, {"is": "list", "items": []})
    refused(path, "a key of a set is a list")
    number = {"is": "instance", "class": "torch.nn.ReLU", "state": {}}
    forged(path, [1], {"is": "dict", "keys": [[2]], "values": [1]}, number)
    refused(path, "a key of a dict is a instance")


def test_numbers_in_a_file_are_not_counted_to(path):
    state = {"_all_weights": [2], "num_layers": 10**12, "bidirectional": False, "bias": True}
    layers = [{"is": "list", "items": [[3]]}, {"is": "list", "items": [1]}]
    forged(path, [1], {"is": "instance", "class": "torch.nn.GRU", "state": state}, *layers)
    refused(path, "weights of a GRU have no names")


def test_partials_are_of_functions(path):
    empty = [{"is": "tuple", "items": []}, {"is": "dict", "keys": [], "values": []}]
    inner = {"is": "partial", "items": [[5], [2], [3]]}
    function = {"is": "function", "path": "numpy.log1p"}
    forged(path, [1], {"is": "partial", "items": [[4], [2], [3]]}, *empty, inner, function)
    refused(path, "made of a partial")


@pytest.mark.parametrize("value", [{"a": 1}, [], [1, 2], ["1"], [True], [-1], [9]])
def test_what_is_no_reference_is_refused(value, path):
    forged(path, value, {"is": "list", "items": []})
    refused(path, "")


def test_save_refuses_what_load_would_refuse(path):
    model = DummyClassifier()
    model.extra_ = [model]
    with pytest.raises(ValueError, match="cannot be saved.*holds itself.*joblib.dump"):
        save(model, path)
    for depth in (150, 5_000):
        model.extra_ = None
        for _ in range(depth):
            model.extra_ = (model.extra_,)
        with pytest.raises(ValueError, match="deep.*joblib.dump"):
            save(model, path)
    model.extra_ = {(0, (1, frozenset([2.5, np.int64(3), float])), None)}
    save(model, path)
    assert load(path).extra_ == model.extra_


# ---- 27: forged values, and what a file may cost ------------------------------------------


@pytest.mark.parametrize("pos", [10**9, 625, -1, 1.0, None])
def test_random_states_have_a_position(pos, path):
    state = {"is": "random_state", "items": ["MT19937", [2], pos, 0, 0.0]}
    key = {"is": "array", "name": "key", "shape": [624], "dtype": "torch.uint32"}
    tensors = {"key": torch.from_numpy(np.ones(624, np.uint32))}
    forged(path, [1], state, key, tensors=tensors)
    refused(path, "random generator")
    state["items"][2] = 624
    forged(path, [1], state, key, tensors=tensors)
    assert 0 <= load(path).extra_.random_sample() < 1


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_generators_have_a_state_of_their_kind(kind, path):
    model = DummyClassifier()
    model.extra_ = np.random.Generator(getattr(np.random, kind)(0))
    save(model, path)
    assert load(path).extra_.normal() == model.extra_.normal()
    content, tensors, _ = parts(path)
    for entry in content["entries"]:
        for key in ("pos", "buffer_pos", "has_uint32", "inc", "uinteger"):
            if key in entry.get("keys", ()):
                values = list(entry["values"])
                entry["values"][entry["keys"].index(key)] = 2**130
                forge(path, content, tensors)
                refused(path, "random generator")
                entry["values"] = values
    for name, tensor in tensors.items():
        short = json.loads(json.dumps(content))
        (entry,) = [entry for entry in short["entries"] if entry.get("name") == name]
        entry["shape"] = [1]
        forge(path, short, {**tensors, name: tensor[:1].clone()})
        refused(path, "random generator")


def test_nothing_holds_itself(path):
    """A tree inside a model inside the tree's estimator would be checked before it is complete."""
    for kind in ("list", "dict", "instance"):
        entry = {"is": kind, "items": [[0]], "keys": [1], "values": [[0]]}
        entry |= {"class": "sklearn.dummy.DummyClassifier", "state": {"extra_": [0]}}
        forged(path, [1], entry)
        refused(path, "holds itself")


def of(kind, entries):
    (found,) = [e for e in entries if kind in (e.get("kind"), e.get("class", "").split(".")[-1])]
    return found


def set_short(name, owner, axis=0):
    """Return a change: an array of an estimator loses its last row or column."""

    def change(entries, tensors):
        entry = entries[of(owner, entries).get("state", of(owner, entries).get("parts"))[name][0]]
        old = tensors.pop(entry["name"]).movedim(axis, 0)[:-1].movedim(0, axis)
        tensors[entry["name"]] = old.contiguous()
        entry["shape"] = list(old.shape)

    return change


def set_to(name, owner, value):
    def change(entries, tensors):
        found = of(owner, entries)
        found.get("state", found.get("parts"))[name] = value

    return change


WEIGHTS = np.linspace(1, 2, len(X_IRIS))
FITS = {
    "density": lambda: KernelDensity().fit(X_IRIS, sample_weight=WEIGHTS),
    "neighbours": lambda: KNeighborsClassifier(algorithm="kd_tree").fit(X_IRIS, Y_IRIS),
    "brute": lambda: KNeighborsClassifier(algorithm="brute").fit(X_IRIS, Y_IRIS),
    "means": lambda: KMeans(2, n_init=1, random_state=0).fit(X_IRIS),
    "svc": lambda: SVC().fit(X_IRIS, Y_IRIS),
    "svr": lambda: SVR().fit(X_IRIS, Y_IRIS),
    "stages": lambda: GradientBoostingClassifier(n_estimators=1, max_depth=1).fit(X_IRIS, Y_IRIS),
    "bins": lambda: HistGradientBoostingClassifier(max_iter=1, max_depth=1).fit(X_IRIS, Y_IRIS),
    "tree": lambda: DecisionTreeClassifier(max_depth=1).fit(X_IRIS, Y_IRIS),
}


@pytest.mark.parametrize(
    ("fit", "change"),
    [
        ("density", set_short("weight", "KDTree")),
        ("density", set_to("leaf_size", "KDTree", 0)),
        ("density", set_to("metric", "KDTree", "os.system")),
        ("density", set_to("n_features_in_", "KernelDensity", 3)),
        ("neighbours", set_short("_y", "KNeighborsClassifier")),
        ("neighbours", set_to("n_features_in_", "KNeighborsClassifier", 3)),
        ("brute", set_short("_y", "KNeighborsClassifier")),
        ("brute", set_short("_fit_X", "KNeighborsClassifier")),
        ("means", set_short("cluster_centers_", "KMeans", axis=1)),
        ("svc", set_short("_intercept_", "SVC")),
        ("svc", set_short("_dual_coef_", "SVC", axis=1)),
        ("svc", set_short("_n_support", "SVC")),
        ("svc", set_to("_impl", "SVC", "one_class")),
        ("svr", set_short("support_vectors_", "SVR")),
        ("svr", set_to("n_features_in_", "SVR", 5)),
        ("stages", set_to("n_trees_per_iteration_", "GradientBoostingClassifier", 2)),
        ("stages", set_to("n_features_in_", "GradientBoostingClassifier", 3)),
        ("bins", set_to("n_features_in_", "HistGradientBoostingClassifier", 3)),
        ("tree", set_to("max_depth", "Tree", 10**12)),
    ],
)
def test_parts_that_do_not_fit_are_refused(fit, change, path):
    """Compiled code would read or write outside of their arrays, or ask for all memory."""
    model = FITS[fit]()
    save(model, path)
    verb = "predict" if hasattr(model, "predict") else "score_samples"
    assert np.array_equal(getattr(load(path), verb)(X_IRIS), getattr(model, verb)(X_IRIS))
    content, tensors, _ = parts(path)
    change(content["entries"], tensors)
    forge(path, content, tensors)
    refused(path, "")


def copies_of_a_tree(n):
    """Return entries of boosted trees that share their nodes, and their tensors."""
    nodes = np.zeros(2_001, PREDICTOR_RECORD_DTYPE)
    i = np.arange(1_000)
    nodes["left"][i], nodes["right"][i], nodes["is_leaf"][1_000:] = 2 * i + 1, 2 * i + 2, 1
    stored = torch.from_numpy(np.frombuffer(nodes.tobytes(), np.uint8).copy())
    tensors = {"nodes": stored, "none": torch.from_numpy(np.zeros((0, 8), np.uint32))}
    table = {"is": "dict", "keys": ["fields", "bytes"]}
    table["values"] = [str(PREDICTOR_RECORD_DTYPE.descr), [3]]
    entries = [
        {"is": "list", "items": [[5 + i] for i in range(n)]},
        table,
        {"is": "array", "name": "nodes", "shape": [len(stored)], "dtype": "torch.uint8"},
        {"is": "array", "name": "none", "shape": [0, 8], "dtype": "torch.uint32"},
    ]
    bits = {"binned_left_cat_bitsets": [4], "raw_left_cat_bitsets": [4]}
    one = {"is": "compiled", "kind": "TreePredictor", "parts": {"nodes": [2], **bits}}
    return entries + [one] * n, tensors


def neighbours(n):
    tensors = {"rows": torch.arange(40_000.0, dtype=torch.float64).reshape(-1, 2)}
    rows = {"is": "array", "name": "rows", "shape": [20_000, 2], "dtype": "torch.float64"}
    made_of = {"data": [2], "leaf_size": 1, "metric": "euclidean", "p": 2.0, "weight": None}
    one = {"is": "compiled", "kind": "KDTree", "parts": made_of}
    return [{"is": "list", "items": [[3 + i] for i in range(n)]}, rows] + [one] * n, tensors


def states(n):
    tensors = {"key": torch.from_numpy(np.ones(624, np.uint32))}
    key = {"is": "array", "name": "key", "shape": [624], "dtype": "torch.uint32"}
    one = {"is": "random_state", "items": ["MT19937", [2], 0, 0, 0.0]}
    return [{"is": "list", "items": [[3 + i] for i in range(n)]}, key] + [one] * n, tensors


def many(n, **entry):
    return [{"is": "list", "items": [[2 + i] for i in range(n)]}] + [entry] * n, {}


@pytest.mark.parametrize(("make", "n"), [(copies_of_a_tree, 3_000), (neighbours, 400)])
def test_bombs_are_refused_before_they_are_built(make, n, path):
    entries, tensors = make(n)
    forged(path, [1], *entries, tensors=tensors)
    refused(path, "more memory or time than")
    entries, tensors = make(2)
    forged(path, [1], *entries, tensors=tensors)
    assert len(load(path).extra_) == 2


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_file_costs_what_is_promised(path):
    """Of each kind as many as just load: 64 MB and 64 bytes per byte, and seconds likewise."""
    paths = []
    for name, (entries, tensors) in {
        "trees": copies_of_a_tree(30),
        "neighbours": neighbours(10),
        "states": states(5_000),
        "modules": many(8_000, **{"is": "instance", "class": "torch.nn.ReLU", "state": {}}),
        "models": many(8_000, **{"is": "instance", "class": "skssl.SimCLR", "state": {}}),
        "dicts": many(20_000, **{"is": "dict", "keys": [], "values": []}),
    }.items():
        paths.append(path.with_name(name))
        forged(paths[-1], [1], *entries, tensors=tensors)
    load(paths[0])  # imports what load needs
    for file in paths:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before, start, size = peak(), time.process_time(), file.stat().st_size
        load(file)
        took, seconds = peak() - before, time.process_time() - start
        assert took < 2**26 + 64 * size, (file.name, took / size)
        assert seconds < 2 + 5e-6 * size, (file.name, seconds)
