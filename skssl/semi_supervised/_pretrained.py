"""Meta-estimators that fit a classifier or regressor on a frozen embedding."""

from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skssl._compat import Constraints, HasMethods, Seed, Task, take_rows
from skssl._meta._fitting import fit_as_task
from skssl._meta._forecast import Forecast, Underway
from skssl._meta._reading import Seen
from skssl.base._modalities import MODALITIES
from skssl.base._modality_of import readings
from skssl.semi_supervised._base import BaseClassifier, BasePretrained, BaseRegressor
from skssl.semi_supervised._ensemble import EnsembleClassifier, EnsembleRegressor, decision
from skssl.semi_supervised._fine_tuned import FineTunedClassifier


class PretrainedClassifier(BaseClassifier):
    """Learn an embedding from all rows and a classifier from the labelled ones.

    The transformer is cloned and fitted on all rows, without labels. The classifier is
    cloned and fitted on the embedding of the labelled rows. Rows are unlabelled where
    ``y`` is None, NaN or NA, and where it is the number -1.

    Parameters
    ----------
    transformer : transformer, default=None
        Learns the embedding. None is :class:`MultiTask`, for images and video :class:`SimCLR`,
        for series :class:`TS2Vec`, and for texts :class:`TextContrast`. It is refitted unless it
        is wrapped in :class:`~sklearn.frozen.FrozenEstimator`.
    classifier : classifier, default=None
        Learns from the labels. None is the default ensemble: a weighted mean of logistic
        regressions and extra trees on the embedding and the raw columns, of random forests on
        the raw columns, and of label propagation, chosen by cross-validated log loss. It needs
        only one label per class. For images with 300 labels or more it is the mean of the
        ensemble and a :class:`FineTunedClassifier`, unless a transformer was passed.
    passthrough : bool or "auto", default="auto"
        Whether to join the raw columns, encoded as numbers, to the embedding: the columns of
        tables, principal components of the pixels of images, 100 topics (TF-IDF and a truncated
        SVD) of texts and tokens, 2 016 features of fixed kernels, as in MiniRocket, of series, and
        mean and deviation of each log-mel band of audio. ``"auto"`` does so for all of these. In
        a Pipeline, these are the columns that its last step reads.
    memory : str or joblib.Memory, default=None
        Cache of fitted transformers, so that a search over the classifier's parameters pretrains
        once per fold. The key is the rows, the transformer's parameters and its seed; if a
        ``random_state`` is not a number, nothing is cached.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer and the classifier if their own ``random_state`` is None.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    classifier_ : classifier
        The fitted classifier.
    raw_columns_ : object or None
        Encoder of the raw columns; None if they are not joined.
    fine_tuned_ : FineTunedClassifier or None
        With all defaults, images and at least 300 labels: half of the predicted probabilities
        come from it.
    classes_ : ndarray of shape (n_classes,)
        The labels, without the mark of unlabelled rows.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    skssl.UnlabeledKFold : Cross-validation for searches and scorers.
    PretrainedRegressor : The same for numeric targets.

    Notes
    -----
    -1 always means "unlabelled" in numeric labels. If -1 is one of your classes, rename it.

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

    _parameter_constraints: Constraints = {
        **BasePretrained._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        classifier: Any = None,
        *,
        passthrough: bool | Literal["auto"] = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.classifier = classifier
        self.passthrough = passthrough
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    _default_predictor = EnsembleClassifier

    def _fit(
        self,
        every: tuple[Any, ...],
        few: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        routed: dict[str, dict[str, Any]],
        task: Task,
    ) -> Seen:
        labelled_rows = super()._fit(every, few, others, labels, routed, task)
        self.fine_tuned_ = None
        if self._fine_tunes(every[0], len(labels)):
            tuned = self._make_tuned(self.transformer_)
            X, subtask = take_rows(every[0], few), task.subcontext(task_name="fine-tune")
            fit_as_task(self, tuned, subtask, X, labels, lambda: tuned.fit(X, labels))
            self.fine_tuned_ = tuned
        return labelled_rows

    def _make_tuned(self, transformer: BaseEstimator) -> FineTunedClassifier:
        return FineTunedClassifier(
            FrozenEstimator(transformer),
            passthrough=False,
            label_smoothing=0.1,
            random_state=self.random_state,
            verbose=self.verbose,
        )

    def _forecast(self, fit: Underway) -> list[Forecast]:
        stages = super()._forecast(fit)
        if self._fine_tunes(fit.every[0], len(fit.labels)):
            tuned = self._make_tuned(fit.transformer)
            stages += tuned._forecast(fit._replace(others=fit.others[:0]))
        return stages

    def _fine_tunes(self, X: Any, n_labels: int) -> bool:
        """Tell whether a fine-tuned encoder will be half of the predictions."""
        if self.transformer is not None or self.classifier is not None:
            return False
        found = readings(X)
        known = [name for name in (found.first, *found.others) if name]
        enough = MODALITIES[known[0]].labels_to_fine_tune if known else None
        return enough is not None and n_labels >= enough

    def _n_stages(self, X: Any, labels: np.ndarray) -> int:
        return 2 + self._fine_tunes(X, len(labels))

    def _apply_predictor(self, method: str, rows: Seen) -> Any:
        fine_tuned = getattr(self, "fine_tuned_", None)
        if fine_tuned is None:
            return super()._apply_predictor(method, rows)
        proba = super()._apply_predictor("predict_proba", rows)
        proba = proba + fine_tuned._apply_predictor("predict_proba", rows)
        if method == "predict":
            return self.classes_[proba.argmax(1)]
        return proba / 2 if method == "predict_proba" else decision(proba / 2)


class PretrainedRegressor(BaseRegressor):
    """Learn an embedding from all rows and a regressor from the labelled ones.

    The transformer is cloned and fitted on all rows, without targets. The regressor is
    cloned and fitted on the embedding of the labelled rows. Rows are unlabelled where
    ``y`` is None, NaN or NA; -1 is an ordinary number.

    Parameters
    ----------
    transformer : transformer, default=None
        Learns the embedding. None is :class:`MultiTask`, for images and video :class:`SimCLR`,
        for series :class:`TS2Vec`, and for texts :class:`TextContrast`. It is refitted unless it
        is wrapped in :class:`~sklearn.frozen.FrozenEstimator`.
    regressor : regressor, default=None
        Learns from the targets. None is the default ensemble: a weighted mean of ridge
        regressions and extra trees on the embedding and the raw columns, of random forests on
        the raw columns, and of target propagation, chosen by cross-validated squared error.
    passthrough : bool or "auto", default="auto"
        Whether to join the raw columns, encoded as numbers, to the embedding: the columns of
        tables, principal components of the pixels of images, 100 topics (TF-IDF and a truncated
        SVD) of texts and tokens, 2 016 features of fixed kernels, as in MiniRocket, of series, and
        mean and deviation of each log-mel band of audio. ``"auto"`` does so for all of these. In
        a Pipeline, these are the columns that its last step reads.
    memory : str or joblib.Memory, default=None
        Cache of fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer and the regressor if their own ``random_state`` is None.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    regressor_ : regressor
        The fitted regressor.
    raw_columns_ : object or None
        Encoder of the raw columns; None if they are not joined.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    skssl.UnlabeledKFold : Cross-validation for searches and scorers.
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

    _parameter_constraints: Constraints = {
        **BasePretrained._parameter_constraints,
        "regressor": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        regressor: Any = None,
        *,
        passthrough: bool | Literal["auto"] = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.regressor = regressor
        self.passthrough = passthrough
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    _default_predictor = EnsembleRegressor
