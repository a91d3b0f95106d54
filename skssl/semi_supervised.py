"""Meta-estimators that put a self-supervised embedding to work with few labels."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from skssl._compat import HasMethods
from skssl._heads import EnsembleClassifier, EnsembleRegressor
from skssl._labels import labelled
from skssl._pretrained import Pretrained, end_has


class PretrainedClassifier(ClassifierMixin, Pretrained):
    """Learn an embedding from all rows and a classifier from the labelled ones.

    The transformer is cloned and fitted on all rows, without labels. The classifier is
    cloned and fitted on the embedding of the labelled rows. Rows are unlabelled where
    ``y`` is None, NaN or NA, and where it is the number -1.

    Parameters
    ----------
    transformer : transformer, default=None
        What learns the embedding. None is :class:`MultiTask`, for images :class:`SimCLR`, and
        for texts :class:`TextContrast`. It is refitted unless it is wrapped in
        :class:`~sklearn.frozen.FrozenEstimator`.
    classifier : classifier, default=None
        What learns from the labels. None is a mean of logistic regressions and extra trees
        on the embedding and the raw columns, and of labels spread to neighbours, chosen and
        weighed by cross-validation on log loss. It needs no more than one label a class.
    passthrough : bool or "auto", default="auto"
        Whether to join the raw columns, encoded as numbers, to the embedding; of images the
        principal components of their pixels, of texts and tokens 100 topics (TF-IDF and a
        truncated SVD). ``"auto"`` does so for all of these. After the steps of a Pipeline,
        what its last step reads counts.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, so that a search over the classifier's
        parameters pretrains once a fold. They are found again by the rows, the
        transformer's parameters and its seed; where a ``random_state`` is not a number,
        nothing is kept.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer and the classifier, where their own ``random_state`` is None.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    classifier_ : classifier
        The fitted classifier.
    raw_columns_ : object or None
        What encodes the raw columns; None where they are not joined.
    classes_ : ndarray of shape (n_classes,)
        The labels, without the mark of unlabelled rows.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    skssl.UnlabeledKFold : Splits for searches and scorers.
    PretrainedRegressor : The same for numbers.

    Notes
    -----
    -1 is never a class of numeric labels. If it is one of yours, rename it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skssl import SCARF, PretrainedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> few = np.random.default_rng(0).choice(150, 15, replace=False)
    >>> labels = np.full(150, -1)
    >>> labels[few] = y[few]
    >>> scarf = SCARF(max_epochs=10, n_components=16)
    >>> model = PretrainedClassifier(scarf, LogisticRegression(), random_state=0)
    >>> model.fit(X, labels).score(X, y) > 0.8
    True
    """

    _end = "classifier"

    _parameter_constraints: dict[str, list[Any]] = {
        **Pretrained._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        classifier: Any = None,
        *,
        passthrough: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
    ):
        self.transformer = transformer
        self.classifier = classifier
        self.passthrough = passthrough
        self.memory = memory
        self.random_state = random_state

    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        return labelled(y)

    _default_end = EnsembleClassifier

    def _fit(self, every, few, others, labels, task):
        kind = type_of_target(labels, input_name="y")
        if kind not in {"binary", "multiclass"}:
            raise ValueError(
                f"Unknown label type: {kind}. Classes must be text, whole numbers or booleans; "
                "PretrainedRegressor learns from other numbers."
            )
        if len(np.unique(labels)) < 2:
            raise ValueError(
                f"All labelled rows are of one class, {labels.tolist()[0]!r}; at least two "
                "classes are needed. -1 means unlabelled in numeric labels: if it is a class of "
                "yours, rename it, to 0 for example."
            )
        super()._fit(every, few, others, labels, task)
        self.classes_ = getattr(self.classifier_, "classes_", np.unique(labels))

    @available_if(end_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return self._ask_end("predict_proba", X)

    @available_if(end_has("predict_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Logarithms of probabilities, in the order of ``classes_``.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(end_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the classifier's decision values.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        decision : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values; one a row if there are two classes.
        """
        return self._ask_end("decision_function", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy on the labelled rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows to test on.
        y : array-like of shape (n_samples,)
            Their labels; unlabelled rows are left out.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            The accuracy.
        """
        return super().score(*self._labelled_part(X, y, sample_weight))


class PretrainedRegressor(RegressorMixin, Pretrained):
    """Learn an embedding from all rows and a regressor from the labelled ones.

    The transformer is cloned and fitted on all rows, without targets. The regressor is
    cloned and fitted on the embedding of the labelled rows. Rows are unlabelled where
    ``y`` is None, NaN or NA; -1 is a number like others.

    Parameters
    ----------
    transformer : transformer, default=None
        What learns the embedding. None is :class:`MultiTask`, for images :class:`SimCLR`, and
        for texts :class:`TextContrast`. It is refitted unless it is wrapped in
        :class:`~sklearn.frozen.FrozenEstimator`.
    regressor : regressor, default=None
        What learns from the targets. None is a mean of ridge regressions and extra trees on
        the embedding and the raw columns, and of targets spread to neighbours, chosen and
        weighed by cross-validation on squared error.
    passthrough : bool or "auto", default="auto"
        Whether to join the raw columns, encoded as numbers, to the embedding; of images the
        principal components of their pixels, of texts and tokens 100 topics (TF-IDF and a
        truncated SVD). ``"auto"`` does so for all of these. After the steps of a Pipeline,
        what its last step reads counts.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer and the regressor, where their own ``random_state`` is None.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    regressor_ : regressor
        The fitted regressor.
    raw_columns_ : object or None
        What encodes the raw columns; None where they are not joined.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    skssl.UnlabeledKFold : Splits for searches and scorers.
    PretrainedClassifier : The same for classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from skssl import SCARF, PretrainedRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> targets = np.where(np.arange(len(y)) < 100, y, np.nan)
    >>> model = PretrainedRegressor(SCARF(max_epochs=5, n_components=16), random_state=0)
    >>> model.fit(X, targets).score(X[100:], y[100:]) > 0.3
    True
    """

    _end = "regressor"

    _parameter_constraints: dict[str, list[Any]] = {
        **Pretrained._parameter_constraints,
        "regressor": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        regressor: Any = None,
        *,
        passthrough: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
    ):
        self.transformer = transformer
        self.regressor = regressor
        self.passthrough = passthrough
        self.memory = memory
        self.random_state = random_state

    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        return labelled(y, classes=False)

    _default_end = EnsembleRegressor

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, R², on the labelled rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows to test on.
        y : array-like of shape (n_samples,)
            Their targets; unlabelled rows are left out.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            R²; 1 is perfect, 0 what predicting the mean gets.
        """
        return super().score(*self._labelled_part(X, y, sample_weight))
