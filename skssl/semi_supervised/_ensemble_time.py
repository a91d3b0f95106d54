"""About how long the default ensemble will choose, from a few of its models on some of the rows."""

import numpy as np
from sklearn.base import BaseEstimator, clone

from skssl._meta._forecast import Forecast, evenly, evenly_by_label, seconds_for
from skssl.semi_supervised._ensemble import Ensemble, Features, Member

FEW_TREES = 20
AGAIN = 0.7  # of the models are fitted once more, to all labels


def forecast_choice(
    ensemble: Ensemble,
    X: np.ndarray,
    y: np.ndarray,
    chosen: np.ndarray,
    n_every: int,
    X_unlabeled: np.ndarray | None = None,
) -> Forecast:
    """Forecast the fit of the ensemble.

    Parameters
    ----------
    ensemble : Ensemble
        Not fitted; it is changed.
    X : ndarray of shape (n_chosen, n_features)
        Some labelled rows.
    y : ndarray of shape (n_labels,)
        All labels.
    chosen : ndarray of shape (n_chosen,)
        Their positions.
    n_every : int
        Number of labelled rows and rows without labels.
    X_unlabeled : ndarray of shape (n_more, n_features), default=None
        Some rows without labels.

    Returns
    -------
    forecast : Forecast
        The number of models, and seconds.
    """
    every = X if X_unlabeled is None else np.vstack([X, X_unlabeled])
    targets, folds = ensemble._targets(y)
    ensemble.n_features_in_ = X.shape[1]
    features, seconds = _time_features(ensemble, X, every, n_every)
    library = list(ensemble._library(features, len(y), np.random.RandomState(0)))
    if not folds:  # too few labels to choose by
        library = [member for member in library if member.in_prior]
    kinds: dict[object, list[Member]] = {}
    for member in library:
        kinds.setdefault(_kind(member), []).append(member)
    n_times = len(folds) + AGAIN if folds else 1
    for members in kinds.values():
        middle = members[len(members) // 2]
        read = features[middle.features].transform(X)
        once = _time_fit(middle, read, targets[chosen], len(y))
        if middle.features[0] == "placed":
            once *= n_every / read.shape[1]  # each node of the graph takes its share
        seconds += n_times * len(members) * once
    return Forecast(f"{'choosing among' if folds else 'fitting'} {len(library)} models", seconds)


def _time_features(
    ensemble: Ensemble, X: np.ndarray, every: np.ndarray, n_every: int
) -> tuple[Features, float]:
    """Return features fitted to some rows, and the seconds of a fit to all."""
    features: Features = {}

    def fit(k: int) -> None:
        some = X[evenly(len(X), k)]
        features.update(ensemble._fit_features(some, every[evenly(len(every), k)]))
        for feature in features.values():
            feature.transform(some)

    return features, seconds_for(fit, n_every, len(every), power=1.3)  # neighbours: 1.5


def _kind(member: Member) -> tuple[object, ...]:
    """Return what members share that take about the same time."""
    model = _inside(member.estimator)
    return member.features[0], type(model), getattr(model, "max_features", None)


def _inside(model: BaseEstimator) -> BaseEstimator:
    return getattr(model, "classifier", model)


def _time_fit(member: Member, X: np.ndarray, y: np.ndarray, n_labels: int) -> float:
    """Return the seconds of a fit to four of five folds, and of the predictions of the fifth."""
    model = clone(member.estimator)
    n_trees = getattr(_inside(model), "n_estimators", None)

    def fit(k: int) -> None:
        some = evenly_by_label(y, k)
        fitted: BaseEstimator = clone(model).fit(X[some], y[some])
        predict = fitted.predict_proba if hasattr(fitted, "predict_proba") else fitted.predict
        predict(X[some[::4]])

    def seconds(n_trees: int | None) -> float:
        if n_trees is not None:
            _inside(model).set_params(n_estimators=n_trees)
        return seconds_for(fit, -(-4 * n_labels // 5), len(y))

    if n_trees is None or n_trees <= FEW_TREES:
        return seconds(n_trees)
    none, few = seconds(1), seconds(FEW_TREES)
    return few + max(few - none, 0.0) * (n_trees - FEW_TREES) / (FEW_TREES - 1)
