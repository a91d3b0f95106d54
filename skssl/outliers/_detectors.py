"""Outlier detectors on embeddings and on reconstruction errors."""

from copy import copy, deepcopy
from numbers import Integral, Real
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import Tags, check_random_state, get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from skssl._atomic import restore_on_failure
from skssl._compat import (
    CallbackSupportMixin,
    Constraints,
    Estimator,
    HasMethods,
    Interval,
    Seed,
    StrOptions,
    count_rows,
    fit_context,
    plain_torch,
)
from skssl._data import note_columns
from skssl._meta._fitting import RoutesFit, fit_transformer, make_part, telling
from skssl._meta._forecast import (
    Forecast,
    attempted,
    evenly,
    rehearsing,
    seconds_for,
    some_rows,
)
from skssl._meta._reading import Reading, Seen, embedding_and_raw, see
from skssl._meta._steps import (
    check_columns,
    default_transformer,
    last_step,
)
from skssl.base._modalities import MODALITIES, look_up, method_for_tables, modalities_with
from skssl.base._modality_of import readings, wrong_modality
from skssl.base._parameters import CONSTRAINTS
from skssl.base._reconstruction import check_reconstructs
from skssl.base._row_scores import ThresholdMixin, threshold
from skssl.base._transformer import SSLTransformer
from skssl.outliers._density import Density, DensityName

RAW_SHRINKAGE = 0.1  # raw columns are decorrelated almost entirely
SHRINKAGE = 1.0  # many directions of an embedding carry little information

_SHARED_CONSTRAINTS: Constraints = {
    "transformer": [HasMethods(["fit", "transform"]), None],
    "contamination": CONSTRAINTS["contamination"],
    "memory": [str, HasMethods(["cache"]), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


class EmbeddingOutlierDetector(
    RoutesFit, ThresholdMixin, CallbackSupportMixin, MetaEstimatorMixin, Estimator
):
    """Detect outliers as rows in sparse regions of an embedding.

    The transformer is cloned and fitted on all rows. Embedding and raw columns are partially
    decorrelated and scored separately; the score is the mean of both. If possible, fit it on normal
    rows only: outliers among the training rows do harm that grows with their share.

    Parameters
    ----------
    transformer : transformer, default=None
        Learns the embedding; may be a Pipeline. None is :class:`DenoisingAutoencoder` for
        tables, and the default of :class:`PretrainedClassifier` for other data. It is refitted
        unless it is wrapped in :class:`~sklearn.frozen.FrozenEstimator`.
    scorer : {"knn", "mahalanobis", "density"}, default="knn"
        The score of a row: minus the logarithm of the distance to its neighbours, minus the
        logarithm of the Mahalanobis distance to the mean, or the logarithm of the density of a
        mixture of normal distributions.
    n_neighbors : "auto" or int, default="auto"
        Rank of the neighbour whose distance ``"knn"`` uses. ``"auto"`` is the mean over the 5th,
        10th, 20th, 50th and 100th neighbour: near ones detect single outliers, far ones small
        groups. A training row counts as its own first neighbour.
    passthrough : bool or "auto", default="auto"
        Whether to score the raw columns, encoded as numbers, as well. ``"auto"`` does so for
        tables, images, series, audio, texts and tokens. In a Pipeline, these are the columns that
        its last step reads.
    support_fraction : float, default=1.0
        Share of the training rows that define normality: those with the greatest scores after a
        first fit to all. Keep 1 if all training rows are normal.
    contamination : "auto" or float, default="auto"
        Share of the training rows that ``predict`` labels as outliers. ``"auto"`` labels rows whose
        score is more than 1.5 interquartile ranges below the first quartile. Scores do not depend
        on it.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer, if its own ``random_state`` is None, and the mixture.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    raw_columns_ : object or None
        Encoder of the raw columns; None if they are not scored.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    ReconstructionOutlierDetector : Scores rows by their reconstruction error.
    ICL, NeuTraL : Methods that score rows by their loss.

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

    _parameter_constraints: Constraints = {
        **_SHARED_CONSTRAINTS,
        "scorer": [StrOptions(set(get_args(DensityName)))],
        "n_neighbors": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "passthrough": [StrOptions({"auto"}), "boolean"],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        transformer: Any = None,
        scorer: DensityName = "knn",
        *,
        n_neighbors: int | Literal["auto"] = "auto",
        passthrough: bool | Literal["auto"] = "auto",
        support_fraction: float = 1.0,
        contamination: float | Literal["auto"] = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.scorer = scorer
        self.n_neighbors = n_neighbors
        self.passthrough = passthrough
        self.support_fraction = support_fraction
        self.contamination = contamination
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the transformer and the density of its embedding.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Training rows, all or most of them normal.
        y : Ignored
            Present for API consistency.
        **params : dict
            Metadata that the transformer requests, with metadata routing enabled.

        Returns
        -------
        self : object
            The fitted detector.
        """
        return _fit_detector(self, X, y, params)

    def _learn(self, rows: Reading, random: np.random.RandomState) -> np.ndarray:
        """Fit the densities, and return the scores of the rows."""
        self.raw_columns_ = rows.fit_raw_columns(self.passthrough)
        parts = self._parts(rows.all_of_X())
        seed = random.randint(2**31 - 1)
        fraction = self.support_fraction
        self._densities = [
            Density(self.scorer, self.n_neighbors, shrinkage, seed, fraction).fit(Z)
            for shrinkage, Z in zip((SHRINKAGE, RAW_SHRINKAGE), parts, strict=False)
        ]
        return self._score(parts)

    @plain_torch()
    def score_samples(self, X: Any) -> np.ndarray:
        """Score the density of the embedding at each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The greater, the more normal: 0 is the median of the training rows, and the unit is
            their interquartile range.
        """
        check_is_fitted(self)
        check_columns(self, self.transformer_, X)
        return self._score(self._parts(see(self.transformer_, self.raw_columns_, X)))

    def _default(self, X: Any) -> SSLTransformer:
        first = readings(X).first
        name = MODALITIES[first].outlier_method if first else ""
        return look_up(name)() if name else default_transformer(X)

    def _parts(self, rows: Seen) -> list[np.ndarray]:
        """Return what is scored: the embedding and, where they are, the raw columns."""
        parts = embedding_and_raw(self.transformer_, self.raw_columns_, rows)
        dense = (part.toarray() if sparse.issparse(part) else np.asarray(part) for part in parts)
        return [part.astype(np.float64) for part in dense]

    def _score(self, parts: list[np.ndarray]) -> np.ndarray:
        scores = [density.score(Z) for density, Z in zip(self._densities, parts, strict=True)]
        return np.mean(scores, axis=0)

    def __sklearn_tags__(self) -> Tags:
        tags = _with_input_tags_of(super().__sklearn_tags__(), self.transformer)
        tags.input_tags.sparse &= self.passthrough is not True
        return tags


class ReconstructionOutlierDetector(
    RoutesFit, ThresholdMixin, CallbackSupportMixin, MetaEstimatorMixin, Estimator
):
    """Detect outliers as rows that cannot be reconstructed from their embedding.

    The transformer is cloned and fitted on all rows. The error of a cell is the squared error, in
    scaled units, for numbers and pixels, and the cross-entropy for categories. It is divided by the
    usual error of its column; the score is minus the mean of its logarithm over the columns, so
    that no single cell decides. Missing cells are ignored.

    Parameters
    ----------
    transformer : transformer, default=None
        Has ``reconstruct``, for tables or images, or is a Pipeline that ends in such a
        transformer. None is :class:`DenoisingAutoencoder` for tables and
        :class:`MaskedAutoencoder` for images. It is refitted unless it is wrapped in
        :class:`~sklearn.frozen.FrozenEstimator`.
    contamination : "auto" or float, default="auto"
        As in :class:`EmbeddingOutlierDetector`.
    memory : str or joblib.Memory, default=None
        Where to keep fitted transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer if its own ``random_state`` is None.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    scale_ : ndarray of shape (n_features,)
        The usual error of each column, or pixel, that the method reads: the mean over the
        training rows without the tenth of largest errors.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    EmbeddingOutlierDetector : Scores rows by the density of the embedding; try it first.

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

    _parameter_constraints: Constraints = _SHARED_CONSTRAINTS

    def __init__(
        self,
        transformer: Any = None,
        *,
        contamination: float | Literal["auto"] = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.contamination = contamination
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the transformer and the usual reconstruction error of each column.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Training rows, all or most of them normal.
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
        if self.transformer is not None:
            check_reconstructs(last_step(self.transformer))
        return _fit_detector(self, X, y, params)

    def _learn(self, rows: Reading, random: np.random.RandomState) -> np.ndarray:
        """Learn the usual errors, and return the scores of the rows."""
        errors = last_step(self.transformer_)._errors(rows.all_of_X().shown)
        self.scale_ = _usual(errors)
        return self._score(errors)

    @plain_torch()
    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the mean log error of each row.

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
        wanted = modalities_with("reconstruction_method")
        modality = readings(X).decide(wanted)
        if modality not in wanted:
            raise wrong_modality(self, wanted, modality)
        return look_up(MODALITIES[modality].reconstruction_method)()

    def _score(self, errors: np.ndarray) -> np.ndarray:
        present = ~np.isnan(errors)
        excess = np.log1p(np.where(present, errors, 0) / self.scale_)
        return -excess.sum(1) / np.maximum(present.sum(1), 1)

    def __sklearn_tags__(self) -> Tags:
        return _with_input_tags_of(super().__sklearn_tags__(), self.transformer)


def _fit_detector(owner: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    """Fit the transformer, then what ``_learn`` does, which returns the scores of the rows."""
    with restore_on_failure(owner):
        note_columns(owner, X)
        (X,) = indexable(X)
        metadata = owner._route(params)["transformer"]
        task = owner._init_callback_context(max_subtasks=1)
        task.call_on_fit_task_begin(estimator=owner, X=X, y=y)
        random = check_random_state(owner.random_state)
        transformer = make_part(owner, owner.transformer, lambda: owner._default(X), random)
        subtask, what = (
            task.subcontext(task_name="fit-transformer"),
            f"scoring {count_rows(X)} rows",
        )

        def ahead(shown: BaseEstimator, read: list[torch.Tensor]) -> list[Forecast]:
            return attempted(what, lambda: [_forecast_learning(owner, shown, X, read, what)])

        owner.transformer_, rows = fit_transformer(
            owner, transformer, (X,), metadata, subtask, ahead
        )
        with telling(owner, what):
            owner.offset_ = threshold(owner._learn(rows, random), owner.contamination)
        task.call_on_fit_task_end(estimator=owner, X=X, y=y, reconstruction_attributes={})
        return owner


def _forecast_learning(
    owner: BaseEstimator,
    transformer: BaseEstimator,
    X: object,
    read: list[torch.Tensor],
    what: str,
) -> Forecast:
    """Time what follows the fit of the transformer on some of the rows."""
    n, trial = count_rows(X), copy(owner)
    trial.transformer_ = transformer

    def learn(k: int) -> None:
        trial._learn(some_rows(transformer, X, read, n, evenly(n, k)), np.random.RandomState(0))

    with rehearsing():
        return Forecast(what, seconds_for(learn, n, power=1.5))


def _usual(errors: np.ndarray) -> np.ndarray:
    """Return the mean error of each column without its largest tenth, bounded away from 0."""
    ordered = np.sort(errors, axis=0)  # NaN comes last
    n_kept = np.ceil(0.9 * (~np.isnan(errors)).sum(0))
    kept = np.arange(len(errors))[:, None] < n_kept
    usual = np.where(kept, ordered, 0).sum(0) / np.maximum(n_kept, 1)
    return np.maximum(usual, 1e-3 * usual.mean() + 1e-12)


def _with_input_tags_of(tags: Tags, transformer: Any) -> Tags:
    given = method_for_tables("outlier_method") if transformer is None else transformer
    tags.input_tags = deepcopy(get_tags(given).input_tags)
    if not isinstance(last_step(given), SSLTransformer):  # a scaler hands NaN on
        tags.input_tags.allow_nan = False
    return tags
