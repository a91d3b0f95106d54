"""Estimators of scikit-learn whose compiled code trusts their attributes, checked together."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import MultiLabelBinarizer, OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from skssl._compat import BaseHistGradientBoosting, Tree, is_forest
from skssl.semi_supervised import PrototypeClassifier


def check_estimator(made: object) -> None:
    """Raise ValueError if attributes of an estimator do not fit each other.

    Whatever an estimator holds is made before it, so that nothing is missing here.
    """
    for classes, attribute, check in CHECKS:
        if isinstance(made, classes) and hasattr(made, attribute):
            check(made)


def _check_trees(made: Any) -> None:
    """Raise ValueError if a tree reads features that its estimator does not have."""
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


def _check_boosting(made: Any) -> None:
    """Raise ValueError if trees of a gradient boosting read features that it does not have."""
    mapper, n_features = made._bin_mapper, made._n_features
    trees = [tree for stage in made._predictors for tree in stage]
    is_categorical = np.asarray(mapper.is_categorical_)
    if trees and made.n_features_in_ != n_features:
        raise ValueError("the trees of a gradient boosting are not for its features")
    for j in np.flatnonzero(is_categorical):
        if not all(0 <= value < 256 for value in mapper.bin_thresholds_[j]):
            raise ValueError("a category of a gradient boosting is no number below 256")
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


def _check_stages(made: Any) -> None:
    """Raise ValueError if a gradient boosting has more trees per iteration than outputs."""
    n_outputs = made._loss.n_classes if made._loss.is_multiclass else 1
    if made.estimators_.ndim != 2 or made.estimators_.shape[1] != n_outputs:
        raise ValueError("a gradient boosting has other numbers of trees than of outputs")
    if made.n_trees_per_iteration_ != n_outputs:
        raise ValueError("a gradient boosting has other numbers of trees than of outputs")
    classes = getattr(made.init_, "classes_", None)
    if made._loss.is_multiclass and classes is not None and len(classes) != n_outputs:
        raise ValueError("a gradient boosting begins with other classes than it has")
    if {type(tree) for tree in made.estimators_.ravel()} != {DecisionTreeRegressor}:
        raise ValueError("a gradient boosting is not of trees")
    if any(tree.n_features_in_ != made.n_features_in_ for tree in made.estimators_.ravel()):
        raise ValueError("the trees of a gradient boosting are not for its features")


def _check_neighbours(made: Any) -> None:
    """Raise ValueError if an estimator of neighbours has not one label and leaf for each row."""
    rows, tree = made._fit_X, made._tree
    fits = rows.ndim == 2 and rows.shape == (made.n_samples_fit_, made.n_features_in_)
    fits = fits or getattr(made, "effective_metric_", None) == "precomputed"
    if tree is not None:
        fits = fits and np.asarray(tree.data).shape == rows.shape
    if hasattr(made, "_y"):
        fits = fits and len(made._y) == made.n_samples_fit_
    if not fits:
        raise ValueError(f"the rows of a {type(made).__name__} are not as many as it says")


def _check_density(made: Any) -> None:
    if np.asarray(made.tree_.data).shape[1] != made.n_features_in_:
        raise ValueError("the rows of a KernelDensity do not have its features")


def _check_prototypes(made: Any) -> None:
    if np.shape(made.prototypes_) != (len(made.classes_), made.n_features_in_):
        raise ValueError(f"the prototypes of a {type(made).__name__} are not one for each class")


def _check_coefficients(made: Any) -> None:
    """Raise ValueError if there is not one coefficient for each feature, and row for each class."""
    if "coef_" not in vars(made):  # a property, computed from what is checked elsewhere
        return
    *rows, n_features = np.shape(made.coef_)
    fits = n_features == made.n_features_in_
    if rows and "classes_" in vars(made):
        n_classes = len(made.classes_)
        fits = fits and rows[0] in ((1, 2) if n_classes == 2 else (n_classes,))
    if not fits:
        raise ValueError(f"the coefficients of a {type(made).__name__} do not fit it")


def _check_centers(made: Any) -> None:
    if made.cluster_centers_.ndim != 2 or made.cluster_centers_.shape[1] != made.n_features_in_:
        raise ValueError(f"the centers of a {type(made).__name__} do not have its features")


def _check_support(made: Any) -> None:
    """Raise ValueError if a support vector machine has other numbers of anything than vectors."""
    counts, vectors, weights = made._n_support, made.support_vectors_, made._dual_coef_
    is_classifier = hasattr(made, "classes_")
    n, n_groups = int(counts.sum() if is_classifier else counts[0]), len(counts)
    n_pairs = n_groups * (n_groups - 1) // 2
    fits = "_impl" not in vars(made) and (counts >= 0).all() and counts.dtype == np.int32
    fits = fits and n_groups == (len(made.classes_) if is_classifier else 2)
    fits = fits and (made.kernel == "precomputed" or vectors.shape == (n, made.n_features_in_))
    fits = fits and weights.shape == (n_groups - 1, n) and len(made.support_) == n
    n_fit = made.shape_fit_[0]  # of kernel="precomputed", X has as many columns
    fits = fits and bool(((made.support_ >= 0) & (made.support_ < n_fit)).all())
    fits = fits and made._intercept_.shape == (n_pairs,)
    fits = fits and all(len(one) in (0, n_pairs) for one in (made._probA, made._probB))
    if sparse.issparse(weights):
        fits = fits and weights.nnz == weights.shape[0] * n
    if not fits:
        raise ValueError(f"the vectors of a {type(made).__name__} are not as many as it says")


def _check_one_hot(made: OneHotEncoder) -> None:
    """Raise ValueError if codes of an encoder are beyond the columns that it makes."""
    n = len(made.categories_)
    dropped, infrequent, mappings = (
        [None] * n if (found := getattr(made, name, None)) is None else list(found)
        for name in (
            "_drop_idx_after_grouping",
            "_infrequent_indices",
            "_default_to_infrequent_mappings",
        )
    )
    if not getattr(made, "_infrequent_enabled", False):
        infrequent = mappings = [None] * n
    each = zip(made.categories_, made._n_features_outs, dropped, infrequent, mappings, strict=True)
    for categories, n_columns, drop, rare, mapping in each:
        codes = np.arange(len(categories)) if mapping is None else np.asarray(mapping)
        numbers = categories[~np.isnan(categories)] if categories.dtype.kind == "f" else categories
        fits = categories.dtype.kind not in "biuf" or bool((numbers[1:] > numbers[:-1]).all())
        fits = fits and len(codes) == len(categories) and bool((codes >= 0).all())
        fits = fits and (rare is None or mapping is not None)
        fits = fits and (drop is None or drop in codes)
        if not fits or (codes >= n_columns + (drop is not None)).any():
            raise ValueError(f"the categories of a {type(made).__name__} are not for its columns")


def _check_vocabulary(made: CountVectorizer | DictVectorizer) -> None:
    if sorted(made.vocabulary_.values()) != list(range(len(made.vocabulary_))):
        raise ValueError(f"the words of a {type(made).__name__} are not for its columns")


def _check_labels(made: MultiLabelBinarizer) -> None:
    if len(set(made.classes_)) < len(made.classes_):
        raise ValueError(f"the classes of a {type(made).__name__} are not for its columns")


# The class, an attribute that it has once fitted, and what it must fit.
CHECKS: list[tuple[type | tuple[type, ...], str, Callable[[Any], None]]] = [
    (BaseEstimator, "n_features_in_", _check_trees),
    (BaseHistGradientBoosting, "_predictors", _check_boosting),
    ((GradientBoostingClassifier, GradientBoostingRegressor), "estimators_", _check_stages),
    (BaseEstimator, "_tree", _check_neighbours),
    (KernelDensity, "tree_", _check_density),
    (BaseEstimator, "cluster_centers_", _check_centers),
    (PrototypeClassifier, "prototypes_", _check_prototypes),
    (BaseEstimator, "coef_", _check_coefficients),
    (BaseEstimator, "support_vectors_", _check_support),
    (OneHotEncoder, "_n_features_outs", _check_one_hot),
    ((CountVectorizer, DictVectorizer), "vocabulary_", _check_vocabulary),
    (MultiLabelBinarizer, "classes_", _check_labels),
]
