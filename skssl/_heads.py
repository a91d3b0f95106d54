"""The default estimators at the end: linear models on the embedding beside the raw columns.

Some tables are linear in their raw columns, others in the embedding. Standardised as one
table, the many columns of an embedding drown the few raw ones; so each of the two blocks
is scaled to a share of the total variance, and the share is chosen by cross-validation
together with the regularisation.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from skssl.model_selection import FewLabelsKFold

RAW_SHARES = [0.1, 0.5, 0.9]  # of the variance; the embedding has the rest
CLASSIFIER_CS = np.logspace(-2, 4, 9)
CLASSIFIER_FIXED_C = 10.0  # where fewer labels than this can be held out to choose by
CLASSIFIER_MIN_HELD_OUT = 10
REGRESSOR_ALPHAS = np.logspace(-5, 3, 13)
N_FOLDS = 5


class BlockScaler(TransformerMixin, BaseEstimator):
    """Standardise columns, and scale two blocks of them to shares of the total variance.

    Parameters
    ----------
    n_first : int
        Number of columns of the first block, the embedding.
    second_share : float, default=0.5
        Share of the total variance, which is 1, that the second block gets. Without one of
        the blocks the other gets it all.
    """

    def __init__(self, n_first: int, second_share: float = 0.5):
        self.n_first = n_first
        self.second_share = second_share

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn means and scales of the columns."""
        X = validate_data(self, X, dtype=np.float64)
        self.mean_ = X.mean(0)
        std = X.std(0)
        varies = std > 1e-6 * np.maximum(1, np.abs(self.mean_))
        first = np.arange(X.shape[1]) < self.n_first
        share = np.where(first, 1 - self.second_share, self.second_share)
        if not (varies & first).any() or not (varies & ~first).any():
            share = np.ones(X.shape[1])
        width = np.where(first, (varies & first).sum(), (varies & ~first).sum())
        self.scale_ = np.sqrt(share / np.maximum(width, 1)) / np.where(varies, std, 1.0)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the scaled columns."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return (X - self.mean_) * self.scale_


def default_classifier(labels: np.ndarray, n_embedding: int, n_raw: int) -> Any:
    """Return a logistic regression that chooses C, and the blocks' shares, by log loss."""
    counts = np.unique(labels, return_counts=True)[1]
    model = make_pipeline(
        BlockScaler(n_embedding), LogisticRegression(C=CLASSIFIER_FIXED_C, max_iter=200)
    )
    if counts[counts > 1].sum() < CLASSIFIER_MIN_HELD_OUT:
        return model
    grid = {"logisticregression__C": CLASSIFIER_CS, **_shares(n_raw)}
    cv = FewLabelsKFold(N_FOLDS)
    return GridSearchCV(model, grid, scoring=negative_log_loss, cv=cv, error_score="raise")


def default_regressor(labels: np.ndarray, n_embedding: int, n_raw: int) -> Any:
    """Return a ridge regression that chooses alpha, and the blocks' shares, by squared error."""
    n_folds = min(N_FOLDS, len(labels))
    if n_folds < 2:
        return DummyRegressor()
    grid = {"ridge__alpha": REGRESSOR_ALPHAS * len(labels), **_shares(n_raw)}
    cv = KFold(n_folds, shuffle=True, random_state=0)
    model: Pipeline = make_pipeline(BlockScaler(n_embedding), Ridge())
    scoring = "neg_mean_squared_error"
    return GridSearchCV(model, grid, scoring=scoring, cv=cv, error_score="raise")


def negative_log_loss(estimator: Any, X: Any, y: Any) -> float:
    """Score probabilities, whichever of the classes ``y`` holds."""
    return -log_loss(y, estimator.predict_proba(X), labels=estimator.classes_)


def _shares(n_raw: int) -> dict[str, Any]:
    return {"blockscaler__second_share": RAW_SHARES} if n_raw else {}
