"""The work behind a label budget report: one method in one split, forecast or done."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import check_scoring

from skssl._compat import take_rows
from skssl._meta._fitting import seeded, time_of_fit
from skssl._meta._forecast import Underway, rehearsing, seconds_of
from skssl._meta._steps import default_transformer
from skssl.semi_supervised._base import BasePretrained, pick_unlabelled

SHORT = 1.0  # seconds of a fit that is done once to see how long it takes

Scorer = Callable[[BaseEstimator, object, np.ndarray], float]
Row = tuple[object, ...]


@dataclass(frozen=True)
class Split:
    """Training rows, test rows, and the order of labels in each draw."""

    train: np.ndarray
    test: np.ndarray
    draws: list[np.ndarray]
    seed: int


@dataclass(frozen=True)
class Method:
    """An estimator to score."""

    name: str
    role: str
    estimator: BaseEstimator


@dataclass(frozen=True)
class Work:
    """A method to score in a split, on rows X and their labels."""

    method: Method
    number: int  # of the split
    split: Split
    X: object
    target: np.ndarray
    budgets: list[int]
    scoring: object
    # the rows of X in each group, by the name of its column in the report
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def do(self) -> list[Row]:
        """Return the rows of the report."""
        (X_train, y_train), (X_test, y_test) = self._rows()
        model = self._model()
        sees_all = isinstance(model, BasePretrained)
        start = time.perf_counter()
        if sees_all and not isinstance(model.transformer, FrozenEstimator):
            model.set_params(transformer=FrozenEstimator(model.transformer.fit(X_train)))
        before = time.perf_counter() - start
        scorer = check_scoring(model, self.scoring)
        rows = []
        for draw, order in enumerate(self.split.draws):
            for budget in self.budgets:
                start = time.perf_counter()
                fitted = self._fit(model, X_train, y_train, order[:budget])
                seconds = before + time.perf_counter() - start
                score = float(scorer(fitted, X_test, y_test))
                by_group = self._by_group(scorer, fitted, X_test, y_test)
                method, role = self.method.name, self.method.role
                rows.append((method, role, budget, self.number, draw, score, seconds, *by_group))
        return rows

    def _by_group(
        self, scorer: Scorer, fitted: BaseEstimator, X_test: object, y_test: np.ndarray
    ) -> Iterator[float]:
        """Yield the score of the test rows of each group, NaN where there is none."""
        for group in self.groups.values():
            rows = np.flatnonzero(group[self.split.test])
            try:
                yield float(scorer(fitted, take_rows(X_test, rows), y_test[rows]))
            except ValueError:  # no row, or all of one class: many a score is not defined
                yield np.nan

    def forecast(self) -> float:
        """Return about the seconds of the work, from a part of the training and of a fit."""
        (X_train, y_train), test = self._rows()
        nearest = np.abs(np.array(self.budgets) - np.mean(self.budgets)).argmin()
        few = self.split.draws[0][: self.budgets[nearest]]
        with rehearsing():
            model, before, seconds = self._model(), 0.0, 0.0
            if isinstance(model, BasePretrained):
                shown, read = model.transformer, list[torch.Tensor]()
                if not isinstance(shown, FrozenEstimator):
                    before, shown, read = time_of_fit(shown, X_train)
                model.set_params(transformer=FrozenEstimator(shown))
                if getattr(model, model._predictor) is None:  # it takes long
                    is_labelled = np.isin(np.arange(len(y_train)), few)
                    others, kept = pick_unlabelled((X_train,), is_labelled), np.sort(few)
                    fit = Underway(shown, (X_train,), read, kept, others, y_train[kept])
                    stages = model._forecast(fit)
                    seconds = sum(stage.seconds or 0.0 for stage in stages)
            if seconds < SHORT:  # what is around the fit counts, too

                def fit_and_score() -> None:
                    fitted = self._fit(model, X_train, y_train, few)
                    check_scoring(model, self.scoring)(fitted, *test)

                seconds = seconds_of(fit_and_score)
        return before + seconds * len(self.split.draws) * len(self.budgets)

    def _rows(self) -> tuple[tuple[object, np.ndarray], tuple[object, np.ndarray]]:
        """Return training rows and test rows, with their labels."""
        train, test = (
            (take_rows(self.X, rows), self.target[rows])
            for rows in (self.split.train, self.split.test)
        )
        return train, test

    def _model(self) -> BaseEstimator:
        """Return the estimator, not fitted, with its transformer and its seeds."""
        model = clone(self.method.estimator)
        if isinstance(model, BasePretrained) and model.transformer is None:
            model.set_params(transformer=default_transformer(self.X))
        return seeded(model, np.random.RandomState(self.split.seed))

    def _fit(
        self, model: BaseEstimator, X: object, y: np.ndarray, few: np.ndarray
    ) -> BaseEstimator:
        """Fit a clone of the model, all of whose labels but a few are hidden."""
        if not isinstance(model, BasePretrained):
            return _fit(clone(model), take_rows(X, few), y[few])
        return _fit(clone(model), X, keeping(y, few))


def keeping(target: np.ndarray, labelled_rows: np.ndarray) -> np.ndarray:
    """Keep the labels of the given rows (mask or positions); others become None."""
    partly = np.full(len(target), None, dtype=object)
    partly[labelled_rows] = target[labelled_rows]
    return partly


def _fit(model: BaseEstimator, X: object, y: np.ndarray) -> BaseEstimator:
    with warnings.catch_warnings():
        # With few labels, as many classes as labels do not indicate a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return model.fit(X, y)
