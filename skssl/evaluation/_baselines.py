"""Baselines of pretraining: an untrained encoder, linear models, trees, prediction in context."""

from collections.abc import Sized
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state

from skssl._compat import Seed
from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl._meta._steps import default_transformer, last_step, steps_of
from skssl.base._modalities import MODALITIES
from skssl.base._modality_of import readings
from skssl.base._transformer import SSLTransformer
from skssl.in_context import InContextClassifier, InContextRegressor
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._base import BasePretrained
from skssl.semi_supervised._pretrained import PretrainedClassifier, PretrainedRegressor
from skssl.semi_supervised._target_scaler import TargetScaler

N_TREES = 300
COLUMNS_PER_SPLIT = ("sqrt", 0.3, 1.0)  # ties: the first


def default_baselines(X: Any, model: BasePretrained, is_classes: bool) -> dict[str, BaseEstimator]:
    """Return the default baselines by name, behind the front steps of the first transformer."""
    baselines: dict[str, BaseEstimator] = {}
    first = default_transformer(X) if model.transformer is None else model.transformer
    *front, last = steps_of(first, keep_frozen=True)
    if isinstance(last, SSLTransformer):
        untrained = clone(first)
        last_step(untrained).set_params(max_epochs=0)
        baselines["untrained encoder"] = clone(model).set_params(transformer=untrained)
    said = getattr(last, "modality", "auto")
    modality = readings(X).first if said == "auto" else said
    if not modality or not MODALITIES[modality].is_table:
        return baselines
    categories = getattr(last, "categorical_features", "from_dtype")
    columns = make_pipeline(*front, ColumnsAsNumbers(categories))
    around: type[BasePretrained] = PretrainedClassifier if is_classes else PretrainedRegressor
    linear, extra_trees, forest = _classifiers() if is_classes else _regressors()
    in_context = InContextClassifier if is_classes else InContextRegressor
    return {
        **baselines,
        "raw columns": around(columns, linear, passthrough=False),
        "PCA": around(make_pipeline(columns, PCA(0.9)), linear, passthrough=False),
        "extra trees": around(columns, extra_trees, passthrough=False),
        "random forest": around(columns, forest, passthrough=False),
        "in context": make_pipeline(*front, in_context(categorical_features=categories)),
    }


def _classifiers() -> list[BaseEstimator]:
    """Return a linear classifier, extra trees and a forest."""
    return [
        TunedLogisticRegression(),
        ExtraTreesClassifier(N_TREES),
        TunedForestClassifier(N_TREES),
    ]


def _regressors() -> list[BaseEstimator]:
    """Return a linear regression, extra trees and a forest."""
    trees = [ExtraTreesRegressor(N_TREES), TunedForestRegressor(N_TREES)]
    return [RidgeCV(np.logspace(-3, 6, 28))] + [
        TransformedTargetRegressor(model, transformer=TargetScaler(), check_inverse=False)
        for model in trees
    ]


class TunedLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression whose ``C`` is chosen by cross-validated accuracy if possible."""

    _saved_as = "TunedLogisticRegression"

    def fit(self, X: Any, y: Any) -> Self:
        """Choose ``C`` and fit."""
        self.model_ = LogisticRegression(max_iter=2000)
        if np.unique(y, return_counts=True)[1].max() > 1:
            grid = {"C": [1, 0.1, 10, 0.01, 100, 0.001]}  # ties: moderate first
            self.model_ = GridSearchCV(self.model_, grid, cv=FewLabelsKFold(5))
        self.classes_ = self.model_.fit(X, y).classes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.model_.predict(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class."""
        return self.model_.predict_proba(X)


class _TunedForest(BaseEstimator):
    """Base of the forests whose ``max_features`` is chosen by the rows out of the bag."""

    _forest: type[Any]

    def __init__(self, n_estimators: int = N_TREES, random_state: Seed = None):
        self.n_estimators = n_estimators
        self.random_state = random_state

    def fit(self, X: object, y: Sized) -> Self:
        """Fit a forest for each number of columns per split and keep the best."""
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        can_choose = len(y) > 1
        forests = [
            self._forest(
                self.n_estimators, max_features=share, oob_score=can_choose, random_state=seed
            ).fit(X, y)
            for share in COLUMNS_PER_SPLIT[: None if can_choose else 1]
        ]
        self.model_ = max(forests, key=lambda forest: getattr(forest, "oob_score_", 0.0))
        return self

    def predict(self, X: object) -> np.ndarray:
        """Return the predictions of the best forest."""
        return self.model_.predict(X)


class TunedForestRegressor(RegressorMixin, _TunedForest):
    """A random forest whose number of columns per split has the best R² out of the bag."""

    _saved_as = "TunedForestRegressor"
    _forest = RandomForestRegressor


class TunedForestClassifier(ClassifierMixin, _TunedForest):
    """A random forest whose number of columns per split has the best accuracy out of the bag."""

    _saved_as = "TunedForestClassifier"
    _forest = RandomForestClassifier

    @property
    def classes_(self) -> np.ndarray:
        """The classes, in the order of the probabilities."""
        return self.model_.classes_

    def predict_proba(self, X: object) -> np.ndarray:
        """Return the probability of each class."""
        return self.model_.predict_proba(X)
