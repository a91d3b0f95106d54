"""The nearest labelled mean: a classifier for one to five labels per class."""

from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import normalize
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skssl._compat import Estimator, Interval, StrOptions, fit_context
from skssl._data._containers import as_matrix, note_columns
from skssl._data._given import check_weight
from skssl._data._labels import read_labels

# Factor of the mean distance between prototypes, to which a temperature must be proportional.
DEFAULT_TEMPERATURE = 0.5
FACTORS = np.logspace(-3, 3, 25, base=2)  # factors of the default, tried if labels can be left out


class PrototypeClassifier(ClassifierMixin, Estimator):
    """Classify rows by the nearest class mean.

    With one to five labels per class a classifier cannot be tuned, and the mean of a class is all
    that can be estimated. Use it on an embedding learned from all rows.

    Parameters
    ----------
    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance to a mean: squared Euclidean, or one minus the cosine. The cosine is relative to
        the origin, so centre the columns on all rows first.
    temperature : "auto" or float, default="auto"
        Divides the distances before the softmax of ``predict_proba``; predictions do not depend
        on it. ``"auto"`` is half the mean distance between prototypes if no class has two
        labels. Otherwise it maximises the leave-one-out likelihood of the labelled rows, with a
        log-normal prior around half the mean distance whose deviation is a factor of two.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in ``fit``.
    prototypes_ : ndarray of shape (n_classes, n_features)
        Mean of the rows of each class; for the cosine, of their directions.
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
    >>> model = PrototypeClassifier().fit(X[::25], y[::25])  # two labels per class
    >>> round(model.score(X, y), 2)
    0.89
    """

    _parameter_constraints = {
        "metric": [StrOptions({"euclidean", "cosine"})],
        "temperature": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        temperature: float | Literal["auto"] = "auto",
    ):
        self.metric = metric
        self.temperature = temperature

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Compute the mean of the rows of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labelled rows: numbers without missing values, such as embeddings.
        y : array-like of shape (n_samples,)
            Their labels, of one class or more.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        matrix = as_matrix(X)
        note_columns(self, X, y)
        labels = read_labels(y)
        check_consistent_length(matrix, labels)
        check_classification_targets(labels)
        self.classes_, code = np.unique(labels, return_inverse=True)
        X = self._scaled(matrix)
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
            The higher, the closer; for two classes, the score of the second minus that of the
            first.
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
            In the order of ``classes_``, with equal prior probabilities.
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

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            The share of rows whose label is predicted.
        """
        labels = read_labels(y)
        weight = check_weight(sample_weight, len(labels), "sample_weight")
        return float(super().score(X, labels, weight))

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        matrix = as_matrix(X)
        note_columns(self, X, reset=False)
        return -self._distances(self._scaled(matrix), self.prototypes_) / self.temperature_

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
        if not default > 0:  # a single class, or equal class means
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
            np.log2(factor) ** 2 / 2  # prior: few rows separate easily
            - log_softmax(-distances / (factor * default), axis=1)[rows, code].sum()
            for factor in FACTORS
        ]
        return float(FACTORS[np.argmin(losses)] * default)

    def _pairwise(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return the distance of each row of X to the same row of Y."""
        if self.metric == "cosine":
            return 1 - (X * normalize(Y)).sum(1)
        return ((X - Y) ** 2).sum(1)
