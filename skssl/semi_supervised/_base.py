"""Base classes of the meta-estimators: fit a transformer, then a predictor on its embedding."""

import time
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    is_regressor,
)
from sklearn.utils import Tags, check_random_state, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skssl._atomic import restore_on_failure
from skssl._compat import (
    CallbackSupportMixin,
    Constraints,
    Estimator,
    HasMethods,
    StrOptions,
    Task,
    count_rows,
    fit_context,
    plain_torch,
    take_metadata,
    take_rows,
)
from skssl._data import note_columns
from skssl._data._containers import as_native
from skssl._data._given import check_weight
from skssl._data._labels import separate_labelled, target_type
from skssl._meta._fitting import (
    RoutesFit,
    Stage,
    fit_as_task,
    fit_transformer,
    make_part,
    telling,
)
from skssl._meta._forecast import (
    ROWS,
    Forecast,
    Underway,
    attempted,
    evenly,
    evenly_by_label,
    rehearsing,
    seconds_for,
    some_rows,
    unwatched,
)
from skssl._meta._reading import Reading, Seen, embedding_and_raw, see
from skssl._meta._steps import (
    check_columns,
    default_transformer,
    last_step,
)
from skssl.base._modalities import method_for_tables
from skssl.base._transformer import SSLTransformer
from skssl.semi_supervised._ensemble import Ensemble
from skssl.semi_supervised._ensemble_time import forecast_choice

MAX_UNLABELLED = 10_000  # unlabelled rows that the default ensemble gets


def predictor_has(method: str) -> Callable[[Any], bool]:
    """Tell whether the predictor has a method."""

    def check(self: Any) -> bool:
        predictor = getattr(self, f"{self._predictor}_", getattr(self, self._predictor))
        predictor = self._default_predictor(1) if predictor is None else predictor
        getattr(predictor, method)  # raises its own AttributeError
        return True

    return check


class Sample(NamedTuple):
    """Rows that a forecast is made from: those of the ``chosen`` labels, embedded, and others."""

    rows: Seen
    Z: np.ndarray
    predictor: BaseEstimator
    more: dict[str, np.ndarray]
    labels: np.ndarray
    chosen: np.ndarray
    n_others: int


class BasePretrained(
    RoutesFit, CallbackSupportMixin, MetaEstimatorMixin, Estimator, metaclass=ABCMeta
):
    """Base class of all meta-estimators with few labels."""

    _predictor: str  # the parameter that holds it: "classifier" or "regressor"

    _parameter_constraints: Constraints = {
        "transformer": [HasMethods(["fit", "transform"]), None],
        "passthrough": [StrOptions({"auto"}), "boolean"],
        "memory": [str, HasMethods(["cache"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the mask of the labelled rows, and their labels."""

    _default_predictor: Callable[
        [int], Any
    ]  # from the width of the embedding to the default predictor

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(self, X: Any, y: Any, *, X_unlabeled: Any = None, **params: Any) -> Self:
        """Fit the transformer on all rows, and the classifier or regressor on labelled rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows as the transformer reads them, labelled or not.
        y : array-like of shape (n_samples,)
            Labels, in a list, an array, or a pandas, polars or Arrow column. None, NaN and NA
            mark unlabelled rows; for a classifier, the number -1 does so, too.
        X_unlabeled : array-like or dataframe of shape (n_more, ...), default=None
            More unlabelled rows. In a search or cross-validation, add them to X as unlabelled
            rows instead: scikit-learn splits every argument that has the length of X.
        **params : dict
            Metadata such as ``sample_weight`` and ``groups``, with scikit-learn's metadata routing
            enabled: the transformer gets the metadata it requests for all rows, the classifier or
            regressor for the labelled rows. Default parts request nothing. The estimators that
            fine-tune also take ``sample_weight`` without routing: the relative weight of each
            label in their losses; 0 ignores the label.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If no row is labelled, or if labels cannot be told from unlabelled rows.
        """
        with restore_on_failure(self):
            note_columns(self, X, y)
            (X,) = indexable(as_native(X))
            mask, labels = self._read(y)
            routed = self._route(params)
            check_consistent_length(X, mask, routed[self._predictor].get("sample_weight"))
            if not len(labels):
                raise ValueError(
                    f"No row of y is labelled: {type(self).__name__} needs some labels. To "
                    "learn from unlabelled rows alone, fit the transformer."
                )
            every: tuple[Any, ...] = (X,)
            if X_unlabeled is not None:
                check_columns(self, self.transformer, X_unlabeled)
                every = (X, X_unlabeled)
            n_stages = self._n_stages(X, labels)
            task = self._init_callback_context(max_subtasks=n_stages)
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            rows = np.flatnonzero(mask)
            few = X if mask.all() else take_rows(X, rows)
            routed[self._predictor] = take_metadata(X, routed[self._predictor], rows)
            self._fit(every, rows, pick_unlabelled(every, mask), labels, routed, task)
            task.call_on_fit_task_end(estimator=self, X=few, y=labels, reconstruction_attributes={})
            return self

    def _fit(
        self,
        every: tuple[Any, ...],
        few: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        routed: dict[str, dict[str, Any]],
        task: Task,
    ) -> Seen:
        """Fit the transformer to all rows, then the predictor to the labelled rows ``few``.

        The default ensemble also gets the unlabelled rows ``others``. ``routed`` are further
        arguments of both fits. Return the labelled rows as they were read.
        """
        random = check_random_state(self.random_state)
        transformer = make_part(
            self, self.transformer, lambda: default_transformer(every[0]), random
        )

        what = f"fitting {self._name_of_predictor()} to {len(labels)} labels"

        def ahead(shown: BaseEstimator, read: list[torch.Tensor]) -> list[Forecast]:
            fit = Underway(shown, every, read, few, others, labels)
            return attempted(what, lambda: self._forecast(fit))

        subtask = task.subcontext(task_name="fit-transformer")
        self.transformer_, rows = fit_transformer(
            self, transformer, every, routed["transformer"], subtask, ahead
        )
        with telling(self, what):
            self.raw_columns_ = rows.fit_raw_columns(self.passthrough)
            labelled_rows, Z, predictor, more = self._prepare(rows, few, others, random)
            self._fit_predictor(predictor, Z, labels, routed[self._predictor] | more, task)
        setattr(self, f"{self._predictor}_", predictor)
        return labelled_rows

    def _name_of_predictor(self) -> str:
        given = getattr(self, self._predictor)
        return type(self._default_predictor(1) if given is None else given).__name__

    def _prepare(
        self, rows: Reading, few: np.ndarray, others: np.ndarray, random: np.random.RandomState
    ) -> tuple[Seen, np.ndarray, BaseEstimator, dict[str, np.ndarray]]:
        """Return the labelled rows, their columns, the predictor, and its unlabelled rows."""
        (labelled_rows,) = rows.take(few)
        Z = self._join(labelled_rows)
        given = getattr(self, self._predictor)
        n_raw = 0 if self.raw_columns_ is None else self.raw_columns_.n_outputs
        n_embedding = Z.shape[1] - n_raw
        predictor = make_part(self, given, lambda: self._default_predictor(n_embedding), random)
        more = {}
        if given is None and len(others):
            more["X_unlabeled"] = np.vstack([self._join(part) for part in rows.take(others)])
        return labelled_rows, Z, predictor, more

    @plain_torch()
    def _forecast(self, fit: Underway) -> list[Forecast]:
        """Return what follows the fit of the transformer, timed on some of the rows."""
        transformer, every, read, few, others, labels = fit
        chosen = evenly_by_label(labels, ROWS)
        of_X = others[others < count_rows(every[0])]
        few_chosen, more_chosen = few[chosen], of_X[evenly(len(of_X), ROWS)]
        rows = np.union1d(few_chosen, more_chosen)
        n_rows, n_used = sum(map(count_rows, every)), len(few) + len(others)
        trial = copy(self)
        trial.transformer_ = transformer
        with rehearsing():
            some = some_rows(transformer, every[0], read, n_rows, rows)
            start = time.perf_counter()
            trial.raw_columns_ = some.fit_raw_columns(self.passthrough)
            now = time.perf_counter()
            seconds = (now - start) * n_rows / len(rows)
            places = np.searchsorted(rows, few_chosen), np.searchsorted(rows, more_chosen)
            made = trial._prepare(some, *places, np.random.RandomState(0))
            seconds += (time.perf_counter() - now) * n_used / len(rows)
            first, *later = trial._stages(Sample(*made, labels, chosen, len(others)))
        total = None if first.seconds is None else first.seconds + seconds
        return [first._replace(seconds=total), *later]

    def _stages(self, some: Sample) -> list[Forecast]:
        """Return the forecasts of what follows, from the ``chosen`` labels and their rows."""
        _, Z, predictor, more, labels, chosen, n_others = some
        if isinstance(predictor, Ensemble):
            n_every = len(labels) + n_others
            return [forecast_choice(predictor, Z, labels, chosen, n_every, **more)]

        def fit(k: int) -> object:
            fitted = evenly_by_label(labels[chosen], k)
            return unwatched(predictor).fit(Z[fitted], labels[chosen][fitted])

        what = f"fitting {self._name_of_predictor()} to {len(labels)} labels"
        return [Forecast(what, seconds_for(fit, len(labels), len(chosen)))]

    def _fit_predictor(
        self, predictor: Any, Z: Any, labels: np.ndarray, more: dict[str, Any], task: Task
    ) -> None:
        """Fit the predictor to the embedding of the labelled rows, as one task."""
        name = f"fit-{self._predictor}"
        if isinstance(predictor, Ensemble):
            stage = Stage(self, task, name, Z, labels)
            predictor.fit(Z, labels, each=stage.each, **more)
            stage.end()
            return
        subtask = task.subcontext(task_name=name)
        shown = None if getattr(self, self._predictor) is None else predictor
        fit_as_task(self, shown, subtask, Z, labels, lambda: predictor.fit(Z, labels, **more))

    def _n_stages(self, X: Any, labels: np.ndarray) -> int:
        """Return the number of stages of a fit, which callbacks count."""
        return 2

    def _see(self, X: Any) -> Seen:
        return see(self.transformer_, self.raw_columns_, X)

    def _join(self, rows: Seen) -> Any:
        """Return the embedding, followed by the raw columns if they are joined."""
        parts = embedding_and_raw(self.transformer_, self.raw_columns_, rows)
        Z = parts[0] if len(parts) == 1 else np.hstack(parts)
        is_default = getattr(self, self._predictor) is None
        if (is_default or is_regressor(self)) and not sparse.issparse(Z):
            # Sums in float32 depend on the batch, and scikit-learn's regressors convert targets to
            # the dtype of the columns: of 1e9 + 1 nothing would remain.
            return np.asarray(Z, dtype=np.float64)
        return Z

    @plain_torch()
    def _predict_by(self, method: str, X: Any) -> Any:
        """Return the result of a method of the predictor for X."""
        check_is_fitted(self)
        check_columns(self, self.transformer_, X)
        return self._apply_predictor(method, self._see(X))

    def _apply_predictor(self, method: str, rows: Seen) -> Any:
        return getattr(getattr(self, f"{self._predictor}_"), method)(self._join(rows))

    def _labelled_part(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, Any]:
        """Return the labelled rows to score."""
        (X,) = indexable(as_native(X))
        mask, labels = self._read(y)
        check_consistent_length(X, mask)
        weight = check_weight(sample_weight, len(mask), "sample_weight")
        if not len(labels):
            raise ValueError("No row of y is labelled: there is nothing to score.")
        rows = np.flatnonzero(mask)
        return take_rows(X, rows), labels, None if weight is None else weight[rows]

    def predict(self, X: Any) -> np.ndarray:
        """Predict the label of each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The predictions.
        """
        return self._predict_by("predict", X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        given = method_for_tables("method") if self.transformer is None else self.transformer
        tags.input_tags = deepcopy(get_tags(given).input_tags)
        tags.input_tags.sparse &= self.passthrough is not True
        if not isinstance(last_step(given), SSLTransformer):  # a scaler passes NaN on
            predictor = getattr(self, self._predictor)
            takes_nan = predictor is not None and get_tags(predictor).input_tags.allow_nan
            tags.input_tags.allow_nan &= takes_nan
        return tags


class BaseClassifier(ClassifierMixin, BasePretrained):
    """Base class of meta-estimators that predict classes."""

    _predictor = "classifier"
    _routes_to = ("transformer", "classifier")

    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        return separate_labelled(y)

    def _fit(
        self,
        every: tuple[Any, ...],
        few: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        routed: dict[str, dict[str, Any]],
        task: Task,
    ) -> Seen:
        kind = target_type(labels)
        if kind not in {"binary", "multiclass"}:
            raise ValueError(
                f"Unknown label type: {kind}. Classes must be text, whole numbers or "
                "booleans; PretrainedRegressor learns from other numbers."
            )
        if len(np.unique(labels)) < 2:
            raise ValueError(
                f"All labelled rows are of one class, {labels.tolist()[0]!r}; at least two "
                "classes are needed, rows with a sample_weight of 0 aside. -1 means unlabelled in "
                "numeric labels: if it is a class of yours, rename it, to 0 for example."
            )
        labelled_rows = super()._fit(every, few, others, labels, routed, task)
        self.classes_ = getattr(self.classifier_, "classes_", np.unique(labels))
        return labelled_rows

    @available_if(predictor_has("predict_proba"))
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
        return self._predict_by("predict_proba", X)

    @available_if(predictor_has("predict_proba"))
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

    @available_if(predictor_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the classifier's decision values.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.

        Returns
        -------
        decision : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values; one per row if there are two classes.
        """
        return self._predict_by("decision_function", X)

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


class BaseRegressor(RegressorMixin, BasePretrained):
    """Base class of meta-estimators that predict numbers."""

    _predictor = "regressor"
    _routes_to = ("transformer", "regressor")

    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        return separate_labelled(y, classes=False)

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
            R²; 1 is perfect, and predicting the mean scores 0.
        """
        return super().score(*self._labelled_part(X, y, sample_weight))


def pick_unlabelled(every: tuple[Any, ...], mask: np.ndarray) -> np.ndarray:
    """Return the indices of at most ``MAX_UNLABELLED`` unlabelled rows, the same at each call."""
    n = sum(map(count_rows, every[1:]))
    row = np.flatnonzero(np.concatenate([~mask, np.ones(n, dtype=bool)]))
    return row[np.sort(np.random.RandomState(0).permutation(len(row))[:MAX_UNLABELLED])]
