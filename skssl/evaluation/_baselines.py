"""Baselines of pretraining: an untrained encoder, linear models, trees."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl._meta._steps import default_transformer, last_step, steps_of
from skssl.base._modalities import MODALITIES
from skssl.base._modality_of import readings
from skssl.base._transformer import SSLTransformer
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._base import BasePretrained
from skssl.semi_supervised._pretrained import PretrainedClassifier, PretrainedRegressor
from skssl.semi_supervised._target_scaler import TargetScaler


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
    around: type[BasePretrained] = PretrainedRegressor
    linear: BaseEstimator = RidgeCV(np.logspace(-3, 6, 28))
    forest: BaseEstimator = TransformedTargetRegressor(
        ExtraTreesRegressor(300), transformer=TargetScaler(), check_inverse=False
    )
    if is_classes:
        around, linear = PretrainedClassifier, TunedLogisticRegression()
        forest = ExtraTreesClassifier(300)
    return {
        **baselines,
        "raw columns": around(columns, linear, passthrough=False),
        "PCA": around(make_pipeline(columns, PCA(0.9)), linear, passthrough=False),
        "extra trees": around(columns, forest, passthrough=False),
    }


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
