"""State of compiled classes of scikit-learn and scipy as arrays, and back.

Compiled code trusts such arrays, so all of them are checked on the way back: a file must not make
it read outside of their memory.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.neighbors import BallTree, KDTree

from skssl._compat import (
    PREDICTOR_RECORD_DTYPE,
    Tree,
    TreePredictor,
    loss_classes,
)

TREES = {"Tree": Tree, "TreePredictor": TreePredictor}
NEIGHBOURS = {"KDTree": KDTree, "BallTree": BallTree}
METRICS = {
    "EuclideanDistance64": "euclidean",
    "ManhattanDistance64": "manhattan",
    "ChebyshevDistance64": "chebyshev",
    "MinkowskiDistance64": "minkowski",
}
SPARSE = {
    one.__name__: one
    for one in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix)
}
LOSSES = loss_classes()
OF_LOSSES = ("n_classes", "quantile", "delta", "power")  # parameters, of those that have them
CLASS_NAMES = {one: name for name, one in (TREES | NEIGHBOURS | SPARSE | LOSSES).items()}
NO_CHILD = -1


def class_name(value: object) -> str:
    """Return what files call a tree, a sparse matrix or a loss."""
    return CLASS_NAMES[type(value)]


def parts_of(value: Any) -> dict[str, Any] | None:
    """Return what ``rebuild`` makes a tree, sparse matrix or loss of; None for anything else."""
    if type(value) is Tree:
        _, (n_features, n_classes, n_outputs), state = value.__reduce__()
        nodes = _fields(state["nodes"])
        made_of = {"n_features": int(n_features), "n_classes": n_classes, "n_outputs": n_outputs}
        return made_of | {**state, "nodes": nodes}
    if type(value) is TreePredictor:
        return {**vars(value), "nodes": _fields(value.nodes)}
    if type(value) in NEIGHBOURS.values():
        data, *_, leaf_size, _, _, _, _, _, _, metric, weight = value.__getstate__()
        p = float(metric.__reduce__()[2][0])
        name = METRICS.get(type(metric).__name__)
        parts = {"data": data, "leaf_size": leaf_size, "metric": name, "p": p, "weight": weight}
        return parts if name is not None else None
    if type(value) in SPARSE.values():
        names = ("data", "indices", "indptr", "shape")
        return {name: getattr(value, name) for name in names}
    return _loss_parts(value) if type(value) in LOSSES.values() else None


def rebuild(name: str, parts: dict[str, Any]) -> Any:
    """Restore an object from its parts.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """
    if name == "Tree":
        return _tree(**parts)
    if name == "TreePredictor":
        return _predictor(**parts)
    if name in NEIGHBOURS:
        return _neighbours(NEIGHBOURS[name], **parts)
    if name in LOSSES:
        return _loss(LOSSES[name], **parts)
    if name not in SPARSE:
        raise ValueError(f"there is nothing called {name!r} to rebuild")
    if parts["data"].dtype.kind not in "biufc":
        raise ValueError("the numbers of a sparse matrix are none")
    made = SPARSE[name](
        (parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
    )
    made.check_format(full_check=True)
    return made


def _neighbours(cls: type, data: Any, leaf_size: Any, metric: Any, p: Any, weight: Any) -> Any:
    if metric not in METRICS.values():
        raise ValueError(f"there is no metric {metric!r:.50}")
    if data.dtype != np.float64 or data.ndim != 2 or not data.size or not np.isfinite(data).all():
        raise ValueError("a tree of neighbours is not of rows of numbers")
    if type(leaf_size) is not int or leaf_size < 1:
        raise ValueError("a tree of neighbours has leaves of no size")
    if weight is not None and (
        (weight.shape, weight.dtype) != (data.shape[:1], data.dtype) or not (weight >= 0).all()
    ):
        raise ValueError("a tree of neighbours has other weights than one for each row")
    order = {"p": p} if metric == "minkowski" else {}
    return cls(data, leaf_size=leaf_size, metric=metric, sample_weight=weight, **order)


def _loss_parts(value: Any) -> dict[str, Any]:
    """Return what a loss is made with; those of compiled code alone have no names for it."""
    if not hasattr(value, "closs"):
        return {"made_of": list(value.__reduce__()[1])}
    known = inspect.signature(type(value)).parameters
    made_of = [name for name in OF_LOSSES if name in known]
    given = {name: getattr(value, name, getattr(value.closs, name, None)) for name in made_of}
    return given | {"constant_hessian": value.constant_hessian}


def _loss(
    cls: type, made_of: Sequence[Any] = (), constant_hessian: bool | None = None, **given: Any
) -> Any:
    made = cls(*made_of, **given)
    if constant_hessian is not None:
        made.constant_hessian = constant_hessian
    return made


def _tree(
    n_features: int,
    n_classes: np.ndarray,
    n_outputs: int,
    nodes: dict[str, Any],
    **state: Any,
) -> "Tree":
    if n_classes.shape != (n_outputs,) or not (n_classes > 0).all() or n_features < 1:
        raise ValueError("a tree has no features or no outputs")
    blank = Tree(1, np.ones(1, np.intp), 1).__getstate__()["nodes"]
    table = _table(nodes, blank.dtype)
    splits = table["feature"][table["left_child"] != NO_CHILD]
    if state["node_count"] != len(table) or not ((splits >= 0) & (splits < n_features)).all():
        raise ValueError("the nodes of a tree are not for its features")
    inner = table["left_child"] != NO_CHILD
    depth = _depth(inner, table["left_child"], table["right_child"])
    if not depth <= state["max_depth"] < len(table):  # decision_path has room for as many nodes
        raise ValueError("a tree is deeper than it says, or says more levels than it has nodes")
    if not np.isfinite(state["values"]).all():
        raise ValueError("the values of a tree are not finite")
    tree = Tree(n_features, n_classes.astype(np.intp), n_outputs)
    tree.__setstate__({**state, "nodes": table})
    return tree


def _predictor(nodes: dict[str, Any], **bitsets: np.ndarray) -> "TreePredictor":
    table = _table(nodes, PREDICTOR_RECORD_DTYPE)
    inner = table["is_leaf"] == 0
    _depth(inner, table["left"].astype(np.intp), table["right"].astype(np.intp))
    if not np.isfinite(table["value"][~inner]).all():
        raise ValueError("the values of a tree are not finite")
    on_category = inner & (table["is_categorical"] != 0)
    for bits in bitsets.values():
        if bits.dtype != np.uint32 or bits.ndim != 2 or bits.shape[1] != 8:
            raise ValueError("the categories of a tree are not sets of bits")
        if (table["bitset_idx"][on_category] >= len(bits)).any():
            raise ValueError("a tree has a split without categories")
    return TreePredictor(table, **bitsets)


def _fields(table: np.ndarray) -> dict[str, Any]:
    return {"fields": str(table.dtype.descr), "bytes": np.frombuffer(table.tobytes(), np.uint8)}


def _table(nodes: dict[str, Any], dtype: np.dtype) -> np.ndarray:
    if nodes["fields"] != str(dtype.descr):
        raise ValueError("the nodes of a tree are of another version of scikit-learn")
    return np.frombuffer(nodes["bytes"].tobytes(), dtype).copy()


def _depth(inner: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """Return the depth of a tree in which nodes come before their children."""
    place = np.flatnonzero(inner)
    children = np.stack([left[place], right[place]])
    if not len(left) or (children <= place).any() or (children >= len(left)).any():
        raise ValueError("the nodes of a tree do not lead to leaves")
    level, depth = np.zeros(1, np.intp), 0
    while True:
        level = level[inner[level]]
        if not len(level):
            return depth
        level, depth = np.unique(np.concatenate([left[level], right[level]])), depth + 1
