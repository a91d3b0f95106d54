"""Linear models with a cross-validated penalty: the start of fine-tuning."""

from typing import Any, Literal, Self

import numpy as np
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._target_scaler import TargetScaler

PENALTIES = np.logspace(-4, 3, 8)  # up to 1000 for labels that are mostly noise
N_FOLDS = 5


class Linear(BaseEstimator):
    """Base of both models: an affine map of standardised columns to outputs.

    Parameters
    ----------
    penalty : float or None, default=None
        Strength of the L2 penalty; None chooses it by cross-validation.

    Attributes
    ----------
    penalty_ : float
        The penalty used.
    greater_penalty_ : float
        The greatest penalty whose score is within a standard error of the best score [1]_. It
        leaves more for further training to learn.
    mean_, scale_ : ndarray of shape (n_features,)
        Mean and scale of the columns.
    coef_ : ndarray of shape (n_outputs, n_features)
        Coefficients of standardised columns.
    intercept_ : ndarray of shape (n_outputs,)
        Outputs of the mean row.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984.
    """

    def __init__(self, penalty: float | None = None):
        self.penalty = penalty

    def _fit_linear(self, X: Any, y: Any, model: Any, grid: dict[str, Any], how: Any) -> Any:
        """Standardise X, choose the penalty where folds allow, and return the model fitted.

        The grid holds the value of the model's parameter for each of ``PENALTIES``.
        """
        X = validate_data(self, X, dtype=np.float64)
        scaler = StandardScaler().fit(X)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        Z = scaler.transform(X)
        folds, scoring, weight = how
        self.penalty_ = self.greater_penalty_ = self.penalty or 1.0
        if folds:
            search = GridSearchCV(model, grid, scoring=scoring, cv=folds, refit=False)
            with config_context(enable_metadata_routing=False):  # where it is a plain argument
                results = search.fit(Z, y, sample_weight=weight).cv_results_
            mean, error = results["mean_test_score"], results["std_test_score"]
            least = mean.max() - error[mean.argmax()] / (len(folds) - 1) ** 0.5
            self.penalty_ = float(PENALTIES[mean.argmax()])
            self.greater_penalty_ = float(PENALTIES[mean >= least].max())
            model.set_params(**search.best_params_)
        return model.fit(Z, y, sample_weight=weight)

    def decision(self, X: Any) -> np.ndarray:
        """Return the outputs, (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return (X - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_


class LinearClassifier(ClassifierMixin, Linear):
    """Logistic regression with one output per class, two outputs for two classes.

    Parameters
    ----------
    penalty : float or None, default=None
        One over the ``C`` of :class:`~sklearn.linear_model.LogisticRegression`.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    """

    _saved_as = "LinearClassifier"

    def __init__(
        self,
        penalty: float | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
    ):
        super().__init__(penalty)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit rows (n_samples, n_features), their classes and their weights (n_samples,)."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        folds = [] if self.penalty else list(FewLabelsKFold(N_FOLDS).split(codes, codes))
        weight = compute_sample_weight(self.class_weight, y)
        weight = weight if sample_weight is None else weight * sample_weight
        model = LogisticRegression(C=1 / (self.penalty or 1.0), max_iter=300, tol=1e-3)
        how = folds, make_scorer(log_likelihood, response_method="predict_proba"), weight
        model = self._fit_linear(X, codes, model, {"C": 1 / PENALTIES}, how)
        halves = (
            np.array([[-0.5], [0.5]]) if len(self.classes_) == 2 else np.eye(len(self.classes_))
        )
        self.coef_, self.intercept_ = halves @ model.coef_, halves @ model.intercept_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``."""
        return softmax(self.decision(X), axis=1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits; for two classes their difference."""
        logits = self.decision(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.classes_[self.decision(X).argmax(1)]


class LinearRegressor(RegressorMixin, Linear):
    """Ridge regression; its penalty is per row.

    Attributes
    ----------
    target_scale_ : (float, float)
        Mean and standard deviation of the targets.
    """

    _saved_as = "LinearRegressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit rows (n_samples, n_features), their targets and their weights (n_samples,)."""
        scaler = TargetScaler()
        y = scaler.fit_transform(y)
        self.target_scale_ = center, spread = scaler.center_, scaler.spread_
        n_folds = 0 if self.penalty else min(N_FOLDS, len(y) // 2)
        folds = list(KFold(n_folds, shuffle=True, random_state=0).split(y)) if n_folds > 1 else []
        model = Ridge((self.penalty or 1.0) * len(y))
        how = folds, "neg_mean_squared_error", sample_weight
        model = self._fit_linear(X, y, model, {"alpha": PENALTIES * len(y)}, how)
        self.coef_ = spread * model.coef_[None]
        self.intercept_ = center + spread * np.array([model.intercept_])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted number of each row."""
        return self.decision(X)[:, 0]


def log_likelihood(codes: np.ndarray, proba: np.ndarray, sample_weight: Any = None) -> float:
    """Return the mean log probability of the true classes; some classes may be missing."""
    proba = proba if proba.ndim == 2 else np.stack([1 - proba, proba], 1)
    likely = proba[np.arange(len(codes)), codes]
    return float(np.average(np.log(np.maximum(likely, 1e-15)), weights=sample_weight))
