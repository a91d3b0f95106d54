"""State of compiled classes of scikit-learn and scipy as arrays, and back.

Compiled code trusts such arrays, so all of them are checked on the way back: a file must not make
it read outside of their memory.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import BallTree, KDTree

from skssl._compat import (
    PREDICTOR_RECORD_DTYPE,
    BaseHistGradientBoosting,
    Tree,
    TreePredictor,
    is_forest,
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
        data, metric = parts["data"], parts["metric"]
        if metric not in METRICS.values():
            raise ValueError(f"there is no metric {metric!r}")
        order = {"p": parts["p"]} if metric == "minkowski" else {}
        given = {"leaf_size": parts["leaf_size"], "metric": metric, **order}
        return NEIGHBOURS[name](data, sample_weight=parts["weight"], **given)
    if name in LOSSES:
        return _loss(LOSSES[name], **parts)
    if name not in SPARSE:
        raise ValueError(f"there is nothing called {name!r} to rebuild")
    made = SPARSE[name](
        (parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
    )
    made.check_format(full_check=True)
    return made


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


def check_features(made: Any) -> None:
    """Raise ValueError if a tree reads features that its estimator does not have."""
    if isinstance(made, BaseHistGradientBoosting):
        _check_predictors(made)
        return
    expected: list[tuple[Any, Any]] = [(made, getattr(made, "n_features_in_", None))]
    if is_forest(made):
        members = np.ravel(getattr(made, "estimators_", []))
        expected += [(part, made.n_features_in_) for part in members]
    elif isinstance(made, IsolationForest) and hasattr(made, "estimators_"):
        widths = map(len, made.estimators_features_)
        expected += zip(made.estimators_, widths, strict=True)
    for part, expects in expected:
        tree: Any = getattr(part, "tree_", None)
        if type(tree) is Tree and tree.n_features != expects:
            raise ValueError(f"the trees of its {type(made).__name__} are not for its features")


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
    if state["max_depth"] < _depth(inner, table["left_child"], table["right_child"]):
        raise ValueError("a tree is deeper than it says")
    tree = Tree(n_features, n_classes.astype(np.intp), n_outputs)
    tree.__setstate__({**state, "nodes": table})
    return tree


def _predictor(nodes: dict[str, Any], **bitsets: np.ndarray) -> "TreePredictor":
    table = _table(nodes, PREDICTOR_RECORD_DTYPE)
    inner = table["is_leaf"] == 0
    _depth(inner, table["left"].astype(np.intp), table["right"].astype(np.intp))
    on_category = inner & (table["is_categorical"] != 0)
    for bits in bitsets.values():
        if bits.dtype != np.uint32 or bits.ndim != 2 or bits.shape[1] != 8:
            raise ValueError("the categories of a tree are not sets of bits")
        if (table["bitset_idx"][on_category] >= len(bits)).any():
            raise ValueError("a tree has a split without categories")
    return TreePredictor(table, **bitsets)


def _check_predictors(made: object) -> None:
    """Raise ValueError if trees of a gradient boosting read features that it does not have."""
    mapper = getattr(made, "_bin_mapper", None)
    trees = [tree for stage in getattr(made, "_predictors", []) for tree in stage]
    is_categorical = np.asarray(getattr(mapper, "is_categorical_", []))
    n_features = getattr(made, "_n_features", 0)
    if trees and (
        is_categorical.shape != (n_features,) or is_categorical.dtype not in (bool, "u1")
    ):
        raise ValueError("a gradient boosting does not say which of its features are categories")
    for tree in trees:
        nodes = tree.nodes[tree.nodes["is_leaf"] == 0]
        if (nodes["feature_idx"] >= n_features).any():
            raise ValueError("the trees of a gradient boosting are not for its features")
        if (nodes["is_categorical"] > is_categorical[nodes["feature_idx"]]).any():
            raise ValueError("a tree has categories of a feature of numbers")


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
