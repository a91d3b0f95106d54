"""Estimators that predict a table in context: one forward pass, no training."""

import functools
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skssl._compat import Constraints, Estimator, Interval, Seed, fit_context, plain_torch
from skssl._data import TableReader, note_columns
from skssl._data._containers import as_native
from skssl._data._draws import Draws
from skssl._data._labels import separate_labelled
from skssl._data._table import CategoricalFeatures
from skssl._in_context._net import Context, InContextNet, Memory
from skssl.encoders import QuantileScaler

MOST_COLUMNS = 60  # that the net reads at once; of more, each pass reads some
CELLS = 2**16  # that are predicted at once


@functools.cache
def starting_net() -> InContextNet:
    """Return the net, so far with random weights."""
    with Draws(0).here(everywhere=True):
        return InContextNet().eval()


class InContextEstimator(Estimator):
    """Base of the estimators: reads a table, and keeps the rows that others are predicted from."""

    _parameter_constraints: Constraints = {
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "max_labeled": [Interval(Integral, 1, None, closed="left")],
        "max_unlabeled": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_permutations: int = 4,
        max_labeled: int = 1000,
        max_unlabeled: int = 256,
        categorical_features: CategoricalFeatures = "from_dtype",
        random_state: Seed = None,
    ):
        self.n_permutations = n_permutations
        self.max_labeled = max_labeled
        self.max_unlabeled = max_unlabeled
        self.categorical_features = categorical_features
        self.random_state = random_state

    def _read_table(self, X: object) -> Tensor:
        """Learn the columns of X, and return its rows."""
        self.reader_ = TableReader(self.categorical_features).fit(X)
        x = self.reader_.read(X)
        self.scaler_ = QuantileScaler(x, self.reader_.columns)
        return self.scaler_(x)

    def _keep(self, x: Tensor, codes: np.ndarray, n_classes: int) -> None:
        """Draw the contexts: for each permutation, rows, columns and a seed of their names.

        ``codes`` are classes, and -1 where a row has no label.
        """
        random = check_random_state(self.random_state)
        labelled, others = np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)
        cardinality = torch.tensor(self.reader_.columns.cardinality)
        self.contexts_, self.columns_, self.seeds_ = [], [], []
        for _ in range(self.n_permutations):
            known = _some_of_each(random, labelled, codes, self.max_labeled)
            rows = np.concatenate([known, random.permutation(others)[: self.max_unlabeled]])
            columns = torch.from_numpy(random.permutation(x.shape[1])[:MOST_COLUMNS])
            context = Context(
                x[torch.from_numpy(rows)][None, :, columns],
                cardinality[None, columns],
                torch.from_numpy(codes[known])[None],
                n_classes,
                torch.tensor([False]),
            )
            self.contexts_.append(context)
            self.columns_.append(columns)
            self.seeds_.append(int(random.randint(2**31 - 1)))
        self._kept = self._memories()

    def _predicted(self, X: object) -> np.ndarray:
        """Return the probabilities of the classes, the mean over permutations."""
        check_is_fitted(self)
        x = self.scaler_(self.reader_.read(as_native(X)))
        note_columns(self, X, reset=False)
        if not hasattr(self, "_kept"):  # a copy from a file
            self._kept = self._memories()
        size = max(1, CELLS // x.shape[1])
        with torch.inference_mode():
            passes = [
                [
                    starting_net().predict(memory, part[None, :, columns])[0]
                    for part in x.split(size)
                ]
                for memory, columns in zip(self._kept, self.columns_, strict=True)
            ]
        return torch.stack([torch.cat(parts) for parts in passes]).double().exp().mean(0).numpy()

    def _memories(self) -> list[Memory]:
        """Return what the net keeps of the contexts."""
        with torch.inference_mode():
            return [
                starting_net().read(context, torch.Generator().manual_seed(seed))
                for context, seed in zip(self.contexts_, self.seeds_, strict=True)
            ]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = True
        return tags


class InContextClassifier(ClassifierMixin, InContextEstimator):
    """Predict classes in context: labelled rows vote, and unlabelled rows are read, too.

    Parameters
    ----------
    n_permutations : int, default=4
        Passes with other names of columns and classes, whose probabilities are averaged.
    max_labeled : int, default=1000
        Greatest number of labelled rows that a pass reads; of more, each draws some of each class.
    max_unlabeled : int, default=256
        Greatest number of rows without a label that a pass reads.
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None
        The columns that hold categories.
    random_state : int, RandomState instance or None, default=None
        Draws rows, and the vectors that stand for columns and classes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    """

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def fit(self, X: object, y: object) -> Self:
        """Read the table.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows, labelled or not.
        y : array-like of shape (n_samples,)
            Classes; None, NaN, NA and -1 mark rows without a label.

        Returns
        -------
        self : object
        """
        note_columns(self, X, y)
        X = as_native(X)
        x = self._read_table(X)
        mask, labels = separate_labelled(y)
        check_consistent_length(x, mask)
        if not len(labels):
            raise ValueError("No row of y is labelled: InContextClassifier needs some labels.")
        check_classification_targets(labels)
        self.classes_, of_labelled = np.unique(labels, return_inverse=True)
        codes = np.full(len(mask), -1)
        codes[mask] = of_labelled
        self._keep(x, codes, len(self.classes_))
        return self

    @plain_torch()
    def predict_proba(self, X: object) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``."""
        return self._predicted(X)

    def predict(self, X: object) -> np.ndarray:
        """Return the most probable class of each row."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]


def _some_of_each(
    random: np.random.RandomState, rows: np.ndarray, codes: np.ndarray, most: int
) -> np.ndarray:
    """Return at most ``most`` rows: of each class its share, and one at least if there is room."""
    rows = random.permutation(rows)
    if len(rows) <= most:
        return rows
    place = np.zeros(len(rows))  # of a row among those of its class, in [0, 1)
    for code in np.unique(codes[rows]):
        mine = np.flatnonzero(codes[rows] == code)
        place[mine] = np.arange(len(mine)) / len(mine)
    return rows[np.sort(np.argsort(place, kind="stable")[:most])]
