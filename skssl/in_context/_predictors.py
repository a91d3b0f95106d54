"""In-context classifier and regressor: one forward pass, no training."""

from numbers import Integral
from typing import Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skssl._compat import Constraints, Interval, Seed, fit_context, plain_torch
from skssl._data import note_columns
from skssl._data._containers import as_native
from skssl._data._labels import separate_labelled
from skssl._data._table import CategoricalFeatures
from skssl.in_context._base import InContextEstimator
from skssl.in_context._passes import Classes, Target, draw_passes, standardized


class InContextPredictor(InContextEstimator):
    """Keep context rows, and predict new rows from them."""

    _parameter_constraints: Constraints = {
        **InContextEstimator._parameter_constraints,
        "max_labeled": [Interval(Integral, 1, None, closed="left")],
        "max_unlabeled": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_permutations: int = 4,
        max_labeled: int = 1000,
        max_unlabeled: int = 0,
        categorical_features: CategoricalFeatures = "from_dtype",
        random_state: Seed = None,
    ):
        self.n_permutations = n_permutations
        self.max_labeled = max_labeled
        self.max_unlabeled = max_unlabeled
        self.categorical_features = categorical_features
        self.random_state = random_state

    def _read(self, X: object, y: object, classes: bool) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Return the rows unscaled, the mask of the labelled ones, and their labels."""
        note_columns(self, X, y)
        x = self._read_table(as_native(X))
        mask, labels = separate_labelled(y, classes=classes)
        check_consistent_length(x, mask)
        if not len(labels):
            name = type(self).__name__
            raise ValueError(f"No row of y is labelled: {name} needs some labels.")
        return x, mask, labels

    def _keep(self, x: Tensor, target: Target) -> None:
        """Draw the passes over unscaled rows, and read them."""
        random, most = check_random_state(self.random_state), (self.max_labeled, self.max_unlabeled)
        cardinality = self.reader_.columns.cardinality
        self.passes_ = draw_passes(
            random, self.scaler_(x), cardinality, target, self.n_permutations, most
        )
        _ = self.passes_.memory  # so that the first prediction takes no longer than others

    def _predicted(self, X: object) -> np.ndarray:
        """Return the mean prediction of the passes."""
        check_is_fitted(self)
        x = self.scaler_(self.reader_.read(as_native(X)))
        note_columns(self, X, reset=False)
        return self.passes_.predict(x)


class InContextClassifier(ClassifierMixin, InContextPredictor):
    """Predict classes from the labelled rows of a table, without training.

    A net that was pretrained on other tables reads the labelled rows as a context, and predicts
    each new row from them in one pass. It builds on closed-form evidence: naive Bayes, and kernel
    ridge regressions that are weighted by their leave-one-out likelihood. The starting weights are
    part of the package.

    Use it for tables with a few hundred labels or fewer. Where classes form clusters and
    thousands of rows are unlabelled, :class:`skssl.PretrainedClassifier` learns more from those.

    Parameters
    ----------
    n_permutations : int, default=4
        Number of passes whose probabilities are averaged. Each draws its own order of columns
        and its own vectors of columns and classes.
    max_labeled : int, default=1000
        Greatest number of labelled rows per pass. If there are more, each pass draws a stratified
        sample.
    max_unlabeled : int, default=0
        Greatest number of unlabelled rows per pass. On public tables they changed nothing in the
        mean. All rows of ``fit`` are used to scale the columns in any case.
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None, \
            default="from_dtype"
        The columns that hold categories. ``"from_dtype"``: columns of strings, categories and
        booleans.
    random_state : int, RandomState instance or None, default=None
        Seeds the passes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen in ``fit``, if X had names that are all strings.

    See Also
    --------
    PretrainedClassifier : Learns an embedding from the unlabelled rows first.

    Notes
    -----
    The memory and time of ``fit`` grow with the square of the number of context rows; those of
    ``predict`` with the number of context rows times the number of new rows. If there are more
    than 60 columns, each pass reads a random 60. ``fit`` takes no ``sample_weight``.

    References
    ----------
    .. [1] Hollmann et al., "Accurate predictions on small data with a tabular foundation model",
       Nature 637, 2025.
    .. [2] Qu et al., "TabICL: A Tabular Foundation Model for In-Context Learning on Large Data",
       ICML 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from skssl import InContextClassifier
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> is_labelled = np.arange(len(y)) % 9 == 0  # 20 of 178 rows
    >>> model = InContextClassifier(random_state=0).fit(X, y.where(is_labelled, -1))
    >>> round(model.score(X[~is_labelled], y[~is_labelled]), 2)  # a random forest: 0.94
    0.96
    """

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def fit(self, X: object, y: object) -> Self:
        """Keep the labelled rows as a context.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows, labelled or not: numbers, categories, missing values.
        y : array-like of shape (n_samples,)
            Classes; None, NaN, NA and -1 mark unlabelled rows.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If no row is labelled, or if there are more classes than ``max_labeled``.
        """
        x, mask, labels = self._read(X, y, classes=True)
        check_classification_targets(labels)
        self.classes_, of_labelled = np.unique(labels, return_inverse=True)
        if len(self.classes_) > self.max_labeled:
            raise ValueError(
                f"y has {len(self.classes_)} classes, and a pass reads at most max_labeled="
                f"{self.max_labeled} labelled rows, one of each class. Raise max_labeled."
            )
        codes = np.full(len(mask), -1)
        codes[mask] = of_labelled
        self._keep(x, Classes(codes, len(self.classes_)))
        return self

    @plain_torch()
    def predict_proba(self, X: object) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows to predict; each is predicted by itself.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``, float64.
        """
        return self._predicted(X)

    def predict(self, X: object) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Classes, of the dtype of ``classes_``.
        """
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]


class InContextRegressor(RegressorMixin, InContextPredictor):
    """Predict numbers from the labelled rows of a table, without training.

    A prediction is the weighted mean of two parts. A quarter is the vote of the labelled rows, as
    in :class:`skssl.InContextClassifier`, where intervals of the numbers are the classes. The rest
    is a mean of kernel ridge regressions, weighted by their leave-one-out errors.

    Parameters
    ----------
    n_permutations : int, default=4
        Number of passes whose predictions are averaged. Each draws its own order and vectors of
        columns, and its own intervals.
    max_labeled : int, default=1000
        Greatest number of labelled rows per pass. If there are more, each pass draws a sample.
    max_unlabeled : int, default=0
        Greatest number of unlabelled rows per pass. On public tables they changed nothing in the
        mean. All rows of ``fit`` are used to scale the columns in any case.
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None, \
            default="from_dtype"
        The columns that hold categories. ``"from_dtype"``: columns of strings, categories and
        booleans.
    random_state : int, RandomState instance or None, default=None
        Seeds the passes.

    Attributes
    ----------
    target_mean_, target_scale_ : float
        Mean and standard deviation of the labels.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen in ``fit``, if X had names that are all strings.

    See Also
    --------
    PretrainedRegressor : Learns an embedding from the unlabelled rows first.

    Notes
    -----
    Predictions lie within the range of the labels: the model does not extrapolate.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from skssl import InContextRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> is_labelled = np.arange(len(y)) % 9 == 0  # 50 of 442 rows
    >>> model = InContextRegressor(random_state=0).fit(X, y.where(is_labelled))
    >>> round(model.score(X[~is_labelled], y[~is_labelled]), 2)  # a random forest: 0.36
    0.42
    """

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def fit(self, X: object, y: object) -> Self:
        """Keep the labelled rows as a context.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows, labelled or not: numbers, categories, missing values.
        y : array-like of shape (n_samples,)
            Numbers; None, NaN and NA mark unlabelled rows.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        x, mask, labels = self._read(X, y, classes=False)
        values = np.full(len(mask), np.nan)
        values[mask] = labels
        target, self.target_mean_, self.target_scale_ = standardized(values)
        self._keep(x, target)
        return self

    @plain_torch()
    def predict(self, X: object) -> np.ndarray:
        """Return a number for each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows to predict; each is predicted by itself.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            In the units of the labels, float64.
        """
        return self._predicted(X) * self.target_scale_ + self.target_mean_
