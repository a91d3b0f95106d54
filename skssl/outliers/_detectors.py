"""Detectors of outliers: frauds, intrusions, faults, and whatever else is rare and unlike."""

from collections.abc import Callable
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state, get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from skssl._atomic import restored_on_failure
from skssl._compat import HasMethods, Interval, StrOptions, fit_context
from skssl._data import note_columns
from skssl._meta._fitting import RoutesFit, fit_transformer, part_of
from skssl._meta._reading import Reading, Seen, embedding_and_raw, see
from skssl._meta._steps import (
    check_columns,
    default_transformer,
    last_step,
)
from skssl.base._modalities import MODALITIES, look_up, modalities_with
from skssl.base._modality_of import infer_modality, wrong_modality
from skssl.base._parameters import CONSTRAINTS
from skssl.base._reconstruction import check_reconstructs
from skssl.base._row_scores import ThresholdMixin, threshold
from skssl.base._transformer import SSLTransformer
from skssl.methods import DenoisingAutoencoder
from skssl.outliers._density import Density

RAW_SHRINKAGE = 0.1  # how much columns that mean something are decorrelated: nearly wholly
SHRINKAGE = 1.0  # of an embedding, many of whose directions say little, by half

_SHARED_CONSTRAINTS: dict[str, list[Any]] = {
    "transformer": [HasMethods(["fit", "transform"]), None],
    "contamination": CONSTRAINTS["contamination"],
    "memory": [str, HasMethods(["cache"]), None],
    "random_state": ["random_state"],
}


class EmbeddingOutlierDetector(
    RoutesFit, ThresholdMixin, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator
):
    """Call rows outliers that lie where an embedding has few others.

    The transformer is cloned and fitted on all rows. Their embedding, and the raw columns beside
    it, are decorrelated in part and scored each; the score is the mean of both. Fit it on
    normal rows alone where you have them; where you do not, outliers among the rows do harm
    that grows with their share.

    Parameters
    ----------
    transformer : transformer, default=None
        What learns the embedding, a Pipeline if need be. None is
        :class:`DenoisingAutoencoder` for tables, and what :class:`PretrainedClassifier` takes for
        other data. It is refitted unless it is wrapped in :class:`~sklearn.frozen.FrozenEstimator`.
    scorer : {"knn", "mahalanobis", "density"}, default="knn"
        The score of a row: minus the logarithm of the distance to its neighbours, minus the
        logarithm of the Mahalanobis distance to the mean, or the logarithm of the density of a
        mixture of normal distributions.
    n_neighbors : "auto" or int, default="auto"
        Which neighbour's distance ``"knn"`` takes. ``"auto"`` is the mean over the 5th, 10th,
        20th, 50th and 100th: near ones tell single outliers, far ones small groups of them.
        A row of the training data counts as its own first neighbour.
    passthrough : bool or "auto", default="auto"
        Whether to score the raw columns, encoded as numbers, as well. ``"auto"`` does so for
        tables, images, series, texts and tokens. After the steps of a Pipeline, what its last
        step reads counts.
    support_fraction : float, default=1.0
        Share of the training rows that others are compared with: those with the greatest
        scores, once all have been compared. Leave it at 1 where all of them are normal.
    contamination : "auto" or float, default="auto"
        Share of the training rows that ``predict`` calls outliers. ``"auto"`` calls those so whose
        score is more than 1.5 interquartile ranges below the first quartile of all. Scores do not
        depend on it.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer, where its own ``random_state`` is None, and the mixture.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    raw_columns_ : object or None
        What encodes the raw columns; None where they are not scored.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    ReconstructionOutlierDetector : By the error of what is predicted back.
    ICL, NeuTraL : Methods whose own loss is the score.

    References
    ----------
    .. [1] Bergman, Cohen and Hoshen, "Deep Nearest Neighbor Anomaly Detection", 2020.
       https://arxiv.org/abs/2002.10445

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skssl import SCARF, EmbeddingOutlierDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> benign = X[y == 1][:200]
    >>> scarf = SCARF(n_components=16, max_epochs=10)
    >>> detector = EmbeddingOutlierDetector(scarf, contamination=0.05, random_state=0)
    >>> found = detector.fit(benign).predict(X[y == 0]) == -1
    >>> bool(found.mean() > 0.5)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **_SHARED_CONSTRAINTS,
        "scorer": [StrOptions({"knn", "mahalanobis", "density"})],
        "n_neighbors": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "passthrough": [StrOptions({"auto"}), "boolean"],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        transformer: Any = None,
        scorer: str = "knn",
        *,
        n_neighbors: Any = "auto",
        passthrough: Any = "auto",
        support_fraction: float = 1.0,
        contamination: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
    ):
        self.transformer = transformer
        self.scorer = scorer
        self.n_neighbors = n_neighbors
        self.passthrough = passthrough
        self.support_fraction = support_fraction
        self.contamination = contamination
        self.memory = memory
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the transformer, and learn where its embedding has many rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows as the transformer reads them: normal ones, or mostly.
        y : Ignored
            Present for API consistency.
        **params : dict
            Metadata that the transformer requests, with metadata routing enabled.

        Returns
        -------
        self : object
            The fitted detector.
        """

        def learn(rows: Reading, random: np.random.RandomState) -> np.ndarray:
            self.raw_columns_ = rows.fit_raw_columns(self.passthrough)
            parts = self._parts(rows.all_of_X())
            seed = random.randint(2**31 - 1)
            fraction = self.support_fraction
            self._densities = [
                Density(self.scorer, self.n_neighbors, shrinkage, seed, fraction).fit(Z)
                for shrinkage, Z in zip((SHRINKAGE, RAW_SHRINKAGE), parts, strict=False)
            ]
            return self._score(parts)

        return _fit_detector(self, X, y, params, learn)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how many others there are where each row lies.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The greater, the more normal: 0 is the median of the training rows, and the unit
            their interquartile range.
        """
        check_is_fitted(self)
        check_columns(self, self.transformer_, X)
        return self._score(self._parts(see(self.transformer_, self.raw_columns_, X)))

    def _default(self, X: Any) -> SSLTransformer:
        name = MODALITIES[infer_modality(X)].outlier_method
        return look_up(name)() if name else default_transformer(X)

    def _parts(self, rows: Seen) -> list[np.ndarray]:
        """Return what is scored: the embedding and, where they are, the raw columns."""
        parts = embedding_and_raw(self.transformer_, self.raw_columns_, rows)
        dense = (part.toarray() if sparse.issparse(part) else np.asarray(part) for part in parts)
        return [part.astype(np.float64) for part in dense]

    def _score(self, parts: list[np.ndarray]) -> np.ndarray:
        scores = [density.score(Z) for density, Z in zip(self._densities, parts, strict=True)]
        return np.mean(scores, axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = _with_input_tags_of(super().__sklearn_tags__(), self.transformer)
        tags.input_tags.sparse &= self.passthrough is not True
        return tags


class ReconstructionOutlierDetector(
    RoutesFit, ThresholdMixin, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator
):
    """Call rows outliers that a method does not predict back from their embedding.

    The transformer is cloned and fitted on all rows. The error of a cell is squared, in scaled
    units, for numbers and pixels, and a cross-entropy for categories. It is divided by what is
    usual in its column, and its logarithm's mean over the columns is the score, so that no
    single cell decides. A missing cell does not count.

    Parameters
    ----------
    transformer : transformer, default=None
        What predicts back: one with ``reconstruct``, for tables or images, or a Pipeline that
        ends in one. None is :class:`DenoisingAutoencoder` for tables and
        :class:`MaskedAutoencoder` for images. It is refitted unless it is wrapped in
        :class:`~sklearn.frozen.FrozenEstimator`.
    contamination : "auto" or float, default="auto"
        As in :class:`EmbeddingOutlierDetector`.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer, where its own ``random_state`` is None.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    scale_ : ndarray of shape (n_features,)
        The usual error of each column, or pixel, that the method reads: the mean over the
        training rows but for the tenth of them with the largest.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    EmbeddingOutlierDetector : By the place of rows in an embedding; the one to begin with.

    References
    ----------
    .. [1] Hawkins, He, Williams and Baxter, "Outlier Detection Using Replicator Neural
       Networks", DaWaK 2002.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skssl import DenoisingAutoencoder, ReconstructionOutlierDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> benign = X[y == 1][:200]
    >>> method = DenoisingAutoencoder(n_components=16, max_epochs=30)
    >>> detector = ReconstructionOutlierDetector(method, contamination=0.05, random_state=0)
    >>> found = detector.fit(benign).predict(X[y == 0]) == -1
    >>> bool(found.mean() > 0.5)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = _SHARED_CONSTRAINTS

    def __init__(
        self,
        transformer: Any = None,
        *,
        contamination: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
    ):
        self.transformer = transformer
        self.contamination = contamination
        self.memory = memory
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the transformer, and learn how well it predicts each column back.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows as the transformer reads them: normal ones, or mostly.
        y : Ignored
            Present for API consistency.
        **params : dict
            Metadata that the transformer requests, with metadata routing enabled.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If the transformer does not reconstruct, or if X is neither a table nor images.
        """

        def learn(rows: Reading, random: np.random.RandomState) -> np.ndarray:
            errors = last_step(self.transformer_)._errors(rows.all_of_X().shown)
            self.scale_ = _usual(errors)
            return self._score(errors)

        if self.transformer is not None:
            check_reconstructs(last_step(self.transformer))
        return _fit_detector(self, X, y, params, learn)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the error of each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The greater, the more normal; at most 0.
        """
        check_is_fitted(self)
        check_columns(self, self.transformer_, X)
        rows = see(self.transformer_, None, X)
        return self._score(last_step(self.transformer_)._errors(rows.shown))

    def _default(self, X: Any) -> SSLTransformer:
        modality = infer_modality(X)
        name = MODALITIES[modality].reconstruction_method
        if not name:
            raise wrong_modality(self, modalities_with("reconstruction_method"), modality)
        return look_up(name)()

    def _score(self, errors: np.ndarray) -> np.ndarray:
        present = ~np.isnan(errors)
        excess = np.log1p(np.where(present, errors, 0) / self.scale_)
        return -excess.sum(1) / np.maximum(present.sum(1), 1)

    def __sklearn_tags__(self) -> Any:
        return _with_input_tags_of(super().__sklearn_tags__(), self.transformer)


def _fit_detector(
    owner: Any,
    X: Any,
    y: Any,
    params: dict[str, Any],
    learn: Callable[[Reading, np.random.RandomState], np.ndarray],
) -> Any:
    """Fit the transformer, then what ``learn`` does, which returns the scores of the rows."""
    with restored_on_failure(owner):
        note_columns(owner, X)
        (X,) = indexable(X)
        metadata = owner._routed(params)["transformer"]
        task = owner._init_callback_context(max_subtasks=1)
        task.call_on_fit_task_begin(estimator=owner, X=X, y=y)
        random = check_random_state(owner.random_state)
        transformer = part_of(owner, owner.transformer, lambda: owner._default(X), random)
        subtask = task.subcontext(task_name="fit-transformer")
        owner.transformer_, rows = fit_transformer(owner, transformer, (X,), metadata, subtask)
        owner.offset_ = threshold(learn(rows, random), owner.contamination)
        task.call_on_fit_task_end(estimator=owner, X=X, y=y, reconstruction_attributes={})
        return owner


def _usual(errors: np.ndarray) -> np.ndarray:
    """Return the mean error of each column but for its largest tenth, never nearly 0."""
    ordered = np.sort(errors, axis=0)  # NaN at the end
    n_kept = np.ceil(0.9 * (~np.isnan(errors)).sum(0))
    kept = np.arange(len(errors))[:, None] < n_kept
    usual = np.where(kept, ordered, 0).sum(0) / np.maximum(n_kept, 1)
    return np.maximum(usual, 1e-3 * usual.mean() + 1e-12)


def _with_input_tags_of(tags: Any, transformer: Any) -> Any:
    given = DenoisingAutoencoder() if transformer is None else transformer
    tags.input_tags = deepcopy(get_tags(given).input_tags)
    if not isinstance(last_step(given), SSLTransformer):  # a scaler hands NaN on
        tags.input_tags.allow_nan = False
    return tags
