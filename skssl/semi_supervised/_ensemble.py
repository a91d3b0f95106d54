"""The default ensemble: classifiers and regressors that few labels choose by cross-validation.

No estimator is best on every table: some tables are linear in their raw columns, others in the
embedding, some need trees, and if classes are clusters, labels can be propagated to neighbours
among the unlabelled rows. So a library of all these predicts the labelled rows out of fold, and a
greedy selection mixes the members whose mean predicts them best (Caruana, Niculescu-Mizil, Crew
and Ksikes, "Ensemble Selection from Libraries of Models", ICML 2004).

A handful of labels choose badly. So one member of each type is in the prior, whose plain mean has
the same weight as if ``PRIOR_LABELS`` labels had chosen it.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skssl._compat import Seed
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._block_scaler import BlockScaler, Span
from skssl.semi_supervised._propagation import (
    NeighborGraph,
    PropagatedClassifier,
    PropagatedRegressor,
)
from skssl.semi_supervised._target_scaler import TargetScaler

Trees = Literal["extra trees", "random forest"]

RAW_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)  # share of the variance; the rest is the embedding's
JOINED = 0.5  # share of the members in the prior
TREES: tuple[tuple[Trees, float, str | float], ...] = (  # share, columns tried per split
    ("extra trees", 0.5, "sqrt"),
    ("extra trees", 0.5, 0.3),
    ("extra trees", 1.0, "sqrt"),
    ("extra trees", 1.0, 1.0),
    ("random forest", 1.0, "sqrt"),
    ("random forest", 1.0, 0.3),
)
TREES_ALONE: tuple[tuple[Trees, float, str | float], ...] = (  # without raw columns
    ("extra trees", 0.0, "sqrt"),
    ("extra trees", 0.0, 0.3),
)
N_TREES = 100
GRAPH_SHARES = (0.0, 0.5, 1.0)
PROPAGATION_ALPHAS = (0.5, 0.9, 0.98)
POWERS = (2, 4)  # exponents for least squares
PRIOR_LABELS = 20
N_FOLDS = 5
N_ROUNDS = 20

Key = tuple[str, float]  # the name of features, and the share of raw columns
Features = dict[Key, BaseEstimator]
Fold = tuple[np.ndarray, np.ndarray]
Each = Callable[[list[Any]], Iterable[Any]]  # yields the items, and counts them for callbacks


@dataclass(frozen=True)
class Member:
    """An estimator, the key of its features, and whether it is in the prior."""

    _saved_as = "EnsembleMember"
    features: Key
    estimator: BaseEstimator
    in_prior: bool = False


class Ensemble(BaseEstimator):
    """Base of the two ensembles.

    Parameters
    ----------
    n_embedding : int
        Number of columns of the embedding, which come before the raw columns.
    random_state : int, RandomState instance or None, default=None
        Seeds the trees.

    Attributes
    ----------
    members_ : list of (float, Member)
        Weights and fitted members.
    held_out_losses_ : list of float
        Mean loss of each member on held-out labels; NaN where there were too few to hold out.
    features_ : dict of (str, float) to transformer
        Transformers that compute the features of the members.
    """

    def __init__(self, n_embedding: int, random_state: Seed = None):
        self.n_embedding = n_embedding
        self.random_state = random_state

    def _fit(self, X: Any, y: np.ndarray, folds: list[Fold], X_unlabeled: Any, each: Each) -> Self:
        X = validate_data(self, X, dtype=np.float64)
        every = X if X_unlabeled is None else np.vstack([X, X_unlabeled])
        features = self._fit_features(X, every)
        read = {key: feature.transform(X) for key, feature in features.items()}
        library = list(self._library(features, len(y), check_random_state(self.random_state)))
        weights, losses = self._weigh(library, read, y, folds, each)
        self.members_ = [
            (
                weight,
                replace(member, estimator=clone(member.estimator).fit(read[member.features], y)),
            )
            for weight, member in zip(weights, library, strict=True)
            if weight > 0
        ]
        self.held_out_losses_ = losses[weights > 0].tolist()
        used = {member.features for _, member in self.members_}
        self.features_ = {key: feature for key, feature in features.items() if key in used}
        return self

    def _fit_features(self, X: np.ndarray, every: np.ndarray) -> Features:
        """Fit scales and neighbours to all rows, and spans to the labelled rows."""
        is_joined = X.shape[1] > self.n_embedding
        features: Features = {}
        for share in RAW_SHARES if is_joined else [0.0]:
            scaler = BlockScaler(self.n_embedding, share).fit(every)
            features["scaled", share] = scaler
            features["spanned", share] = make_pipeline(scaler, Span().fit(scaler.transform(X)))
            if share in GRAPH_SHARES and len(every) > 1:
                graph = NeighborGraph().fit(scaler.transform(every))
                features["placed", share] = make_pipeline(scaler, graph)
        return features

    def _library(
        self, features: Features, n_labels: int, random: np.random.RandomState
    ) -> Iterator[Member]:
        """Yield the unfitted members to choose from."""
        joined = JOINED if ("scaled", JOINED) in features else 0.0
        many = joined if self.n_features_in_ - self.n_embedding > n_labels else np.inf
        for (space, share), feature in features.items():
            if space == "spanned":
                for model, is_middling in self._linear(n_labels):
                    yield Member((space, share), model, is_middling and share == joined)
                for model, is_middling in self._of_many_columns(n_labels) if share >= many else []:
                    yield Member((space, share), model, is_middling and share == 1.0)
            if space == "placed":
                for alpha in PROPAGATION_ALPHAS:
                    model = self._propagate(feature[-1].spread_, alpha)
                    yield Member((space, share), model, alpha == 0.9 and share == joined)
        kinds: set[Trees] = set()
        for kind, share, max_features in TREES if joined else TREES_ALONE:
            trees = self._trees(kind, max_features, random.randint(2**31 - 1))
            yield Member(("scaled", share), trees, kind not in kinds)
            kinds.add(kind)

    def _weigh(
        self,
        library: list[Member],
        read: dict[Key, np.ndarray],
        y: np.ndarray,
        folds: list[Fold],
        each: Each,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights of the members, selected and shrunk to the prior, and their losses."""
        prior = np.array([member.in_prior for member in library], dtype=float)
        prior /= prior.sum()
        held_out = [row for _, test in folds for row in test]
        if not held_out:
            return prior, np.full(len(prior), np.nan)
        predictions = np.stack([self._out_of_fold(m, read, y, folds) for m in each(library)])
        loss = self._loss_of(y[held_out])
        n, chosen = len(held_out), select(predictions, loss)
        return (PRIOR_LABELS * prior + n * chosen) / (PRIOR_LABELS + n), loss(predictions)

    def _out_of_fold(
        self, member: Member, read: dict[Key, np.ndarray], y: np.ndarray, folds: list[Fold]
    ) -> np.ndarray:
        """Return the out-of-fold predictions of a member, one number per row."""
        X = read[member.features]
        return np.concatenate(
            [
                self._predicted(clone(member.estimator).fit(X[train], y[train]), X[test], y[test])
                for train, test in folds
            ]
        )

    def _mean(self, X: Any, predict: Callable[[Any, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the weighted mean of the members' predictions."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        read = {key: feature.transform(X) for key, feature in self.features_.items()}
        return sum(
            weight * predict(member.estimator, read[member.features])
            for weight, member in self.members_
        )


class EnsembleClassifier(ClassifierMixin, Ensemble):
    """A weighted mean of class probabilities, chosen by log loss."""

    _saved_as = "EnsembleClassifier"

    def fit(self, X: Any, y: Any, X_unlabeled: Any = None, each: Each = iter) -> Self:
        """Choose and fit members to the embedding, with raw columns behind it, of labelled rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labelled rows.
        y : array-like of shape (n_samples,)
            Their classes.
        X_unlabeled : array-like of shape (n_more, n_features), default=None
            Rows without labels, for scales and neighbours.
        each : callable, default=iter
            Yields the members while they are compared, for callbacks.

        Returns
        -------
        self : object
        """
        codes, folds = self._targets(y)
        with warnings.catch_warnings():
            # Stopping early regularises and is part of the cross-validation: no reason to warn.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # With few labels, as many classes as labels do not indicate a regression.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            return self._fit(X, codes, folds, X_unlabeled, each)

    def _targets(self, y: np.ndarray) -> tuple[np.ndarray, list[Fold]]:
        self.classes_, codes = np.unique(y, return_inverse=True)
        return codes, list(FewLabelsKFold(N_FOLDS).split(codes, codes))

    def _linear(self, n_labels: int) -> list[tuple[BaseEstimator, bool]]:
        Cs = np.logspace(-2, 4, 5)
        return [(LogisticRegression(C=C, max_iter=200, tol=1e-3), i == 2) for i, C in enumerate(Cs)]

    def _of_many_columns(self, n_labels: int) -> list[tuple[BaseEstimator, bool]]:
        return [
            (Sharpened(LeastSquares(model), power), is_middling and power == max(POWERS))
            for model, is_middling in ridges(n_labels)
            for power in POWERS
        ]

    def _propagate(self, spread: sparse.csr_array, alpha: float) -> BaseEstimator:
        return Sharpened(PropagatedClassifier(spread, alpha))

    def _trees(self, kind: Trees, max_features: float | str, seed: int) -> BaseEstimator:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier  # slow to import

        made = ExtraTreesClassifier if kind == "extra trees" else RandomForestClassifier
        return Sharpened(made(N_TREES, max_features=max_features, random_state=seed))

    def _predicted(self, model: Any, X: Any, y: np.ndarray) -> np.ndarray:
        """Return the probability of the true class; every class is in every training fold."""
        return model.predict_proba(X)[np.arange(len(y)), y]

    def _loss_of(self, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda p: -np.log(np.maximum(p, 1e-6)).mean(1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``."""
        return self._mean(X, lambda model, Z: model.predict_proba(Z))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return log probabilities; for two classes their difference."""
        return decision(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(1)]


class EnsembleRegressor(RegressorMixin, Ensemble):
    """A weighted mean of predictions, chosen by squared error."""

    _saved_as = "EnsembleRegressor"

    def fit(self, X: Any, y: Any, X_unlabeled: Any = None, each: Each = iter) -> Self:
        """Choose and fit members to the embedding, with raw columns behind it, of labelled rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labelled rows.
        y : array-like of shape (n_samples,)
            Their targets.
        X_unlabeled : array-like of shape (n_more, n_features), default=None
            Rows without labels, for scales and neighbours.
        each : callable, default=iter
            Yields the members while they are compared, for callbacks.

        Returns
        -------
        self : object
        """
        scaler = TargetScaler()
        self._fit(X, *self._targets(scaler.fit_transform(y)), X_unlabeled, each)
        for _, member in self.members_:
            predict_in_units(member.estimator, scaler)
        spread = scaler.spread_
        self.held_out_losses_ = [loss * spread * spread for loss in self.held_out_losses_]
        return self

    def _targets(self, y: np.ndarray) -> tuple[np.ndarray, list[Fold]]:
        folds = KFold(min(N_FOLDS, len(y)), shuffle=True, random_state=0) if len(y) > 1 else None
        return y, list(folds.split(y)) if folds else []

    def _linear(self, n_labels: int) -> list[tuple[BaseEstimator, bool]]:
        return ridges(n_labels)

    def _of_many_columns(self, n_labels: int) -> list[tuple[BaseEstimator, bool]]:
        return []  # these are in _linear already

    def _propagate(self, spread: sparse.csr_array, alpha: float) -> BaseEstimator:
        return PropagatedRegressor(spread, alpha)

    def _trees(self, kind: Trees, max_features: float | str, seed: int) -> BaseEstimator:
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor  # slow to import

        made = ExtraTreesRegressor if kind == "extra trees" else RandomForestRegressor
        return made(N_TREES, max_features=max_features, random_state=seed)

    def _predicted(self, model: Any, X: Any, y: np.ndarray) -> np.ndarray:
        return model.predict(X)

    def _loss_of(self, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda prediction: ((prediction - y) ** 2).mean(1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted number of each row."""
        return self._mean(X, lambda model, Z: model.predict(Z))


def predict_in_units(model: Any, scaler: TargetScaler) -> None:
    """Let a member that learnt from standardised targets predict in the units of the targets."""
    if isinstance(model, Ridge):
        model.coef_ = scaler.spread_ * model.coef_
        model.intercept_ = float(scaler.inverse_transform(model.intercept_))
    elif isinstance(model, PropagatedRegressor):
        model.mean_ = float(scaler.inverse_transform(model.mean_))
        model.values_ = scaler.inverse_transform(model.values_)
    else:
        for tree in model.estimators_:
            tree.tree_.value[...] = scaler.inverse_transform(tree.tree_.value)


def ridges(n_labels: int) -> list[tuple[BaseEstimator, bool]]:
    """Return linear regressions of increasing penalty, and whether each is the middle one."""
    return [(Ridge(n_labels * alpha), i == 3) for i, alpha in enumerate(np.logspace(-5, 1, 7))]


class LeastSquares(ClassifierMixin, BaseEstimator):
    """Least-squares classification: a linear regression of class membership for each class.

    With many more columns than labels, classes can be separated in many ways; here all labelled
    rows have an influence, not only those near the boundary.
    """

    _saved_as = "LeastSquares"

    def __init__(self, regression: BaseEstimator):
        self.regression = regression

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the regression."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        is_of_class = np.eye(len(self.classes_))[codes]
        self.regression_ = clone(self.regression).fit(X, is_of_class)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the predictions, clipped to at least 0.01 and normalised."""
        shares = np.maximum(self.regression_.predict(X), 0.01)
        return shares / shares.sum(1, keepdims=True)


class Sharpened(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are raised to a power: trees are underconfident."""

    _saved_as = "Sharpened"

    def __init__(self, classifier: Any, power: int = 2):
        self.classifier = classifier
        self.power = power

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the classifier."""
        self.classifier_ = clone(self.classifier).fit(X, y)
        self.classes_ = self.classifier_.classes_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the sharpened probabilities of the classes."""
        sharp = self.classifier_.predict_proba(X) ** self.power + 1e-9
        return sharp / sharp.sum(1, keepdims=True)


def select(predictions: np.ndarray, loss: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weigh the members of a library by greedy selection with replacement.

    Parameters
    ----------
    predictions : ndarray of shape (n_members, n_samples)
        Out-of-fold predictions of each member.
    loss : callable
        Maps predictions (n_members, n_samples) to losses (n_members,).

    Returns
    -------
    weights : ndarray of shape (n_members,)
        They sum to 1; most are 0.
    """
    counts, total = np.zeros(len(predictions)), np.zeros(predictions.shape[1])
    for turn in range(1, N_ROUNDS + 1):
        best = loss((total + predictions) / turn).argmin()
        counts[best] += 1
        total += predictions[best]
    return counts / N_ROUNDS


def decision(proba: np.ndarray) -> np.ndarray:
    """Return log probabilities (n, n_classes); for two classes their difference."""
    log_proba = np.log(np.maximum(proba, np.finfo(float).tiny))
    return log_proba[:, 1] - log_proba[:, 0] if proba.shape[1] == 2 else log_proba
