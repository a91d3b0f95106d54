"""The nearest labelled mean: a classifier for one to five labels a class."""

from numbers import Real
from typing import Any, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import normalize
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skssl._compat import Interval, StrOptions, fit_context

# Of the mean distance between prototypes, which a temperature must scale with.
DEFAULT_TEMPERATURE = 0.5
FACTORS = np.logspace(-3, 3, 25, base=2)  # of the default, tried where labels can be left out


class PrototypeClassifier(ClassifierMixin, BaseEstimator):
    """Classify by the nearest of the classes' mean rows.

    With one to five labels a class there is nothing to tune a classifier by; the mean of a
    class is what is left to estimate. Put it behind an embedding learnt from all rows.

    Parameters
    ----------
    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance to a mean: the squared Euclidean one, or one minus the cosine. The cosine
        is about the origin, so centre the columns on all rows first.
    temperature : "auto" or float, default="auto"
        Distances are divided by it before the softmax of ``predict_proba``; predictions do
        not depend on it. ``"auto"`` is half the mean distance between prototypes where no
        class has two labels. Otherwise it is the most likely one, given the labelled rows,
        each left out of its class's mean in turn, if half the mean distance is right within
        a factor of two beforehand.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in ``fit``.
    prototypes_ : ndarray of shape (n_classes, n_features)
        Mean of each class's rows; of their directions, for the cosine.
    temperature_ : float
        The temperature in use.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen in ``fit``, if X had names that are all strings.

    References
    ----------
    .. [1] Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
       NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import PrototypeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PrototypeClassifier().fit(X[::25], y[::25])  # two labels a class
    >>> round(model.score(X, y), 2)
    0.89
    """

    _parameter_constraints = {
        "metric": [StrOptions({"euclidean", "cosine"})],
        "temperature": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, metric: str = "euclidean", temperature: Any = "auto"):
        self.metric = metric
        self.temperature = temperature

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Take the mean of each class's rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labelled rows: numbers without holes, as embeddings are.
        y : array-like of shape (n_samples,)
            A label for each; of one class or more.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, code = np.unique(y, return_inverse=True)
        X = self._scaled(X)
        member = np.arange(len(self.classes_))[:, None] == code
        self.prototypes_ = member @ X / member.sum(1, keepdims=True)
        self.temperature_ = self._choose_temperature(X, code, member.sum(1))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return minus the distances to the prototypes, divided by the temperature.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            The higher, the closer; for two classes the second's score minus the first's.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; every class is as likely as the others beforehand.
        """
        return softmax(self._scores(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with the nearest prototype.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            One of ``classes_`` for each row.
        """
        nearest = self._scores(X).argmax(1)
        return self.classes_[nearest]

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._scaled(validate_data(self, X, dtype=np.float64, reset=False))
        return -self._distances(X, self.prototypes_) / self.temperature_

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return normalize(X) if self.metric == "cosine" else X

    def _distances(self, X: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        if self.metric == "cosine":
            return 1 - X @ normalize(prototypes).T
        return euclidean_distances(X, prototypes, squared=True)

    def _choose_temperature(self, X: np.ndarray, code: np.ndarray, counts: np.ndarray) -> float:
        if self.temperature != "auto":
            return float(self.temperature)
        between = self._distances(self._scaled(self.prototypes_), self.prototypes_)
        default = DEFAULT_TEMPERATURE * between.sum() / max(1, len(counts) * (len(counts) - 1))
        if not default > 0:  # a single class, or classes that are all alike
            return 1.0
        several = counts[code] > 1
        if not several.any():
            return float(default)
        X, code = X[several], code[several]
        n = counts[code][:, None]
        others = (n * self.prototypes_[code] - X) / (n - 1)  # the mean of a class without the row
        distances = self._distances(X, self.prototypes_)
        rows = np.arange(len(X))
        distances[rows, code] = self._pairwise(X, others)
        losses = [
            np.log2(factor) ** 2 / 2  # a few rows are easily told apart: no reason to be certain
            - log_softmax(-distances / (factor * default), axis=1)[rows, code].sum()
            for factor in FACTORS
        ]
        return float(FACTORS[np.argmin(losses)] * default)

    def _pairwise(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return the distance of each row of X to the same row of Y."""
        if self.metric == "cosine":
            return 1 - (X * normalize(Y)).sum(1)
        return ((X - Y) ** 2).sum(1)
