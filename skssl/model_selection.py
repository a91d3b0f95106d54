"""Cross-validation and scoring with partly labelled data."""

from collections.abc import Callable, Iterator
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold
from sklearn.utils import check_random_state, indexable
from sklearn.utils.validation import check_consistent_length

from skssl._compat import GroupsConsumerMixin, Seed, take_rows
from skssl._data._containers import as_native
from skssl._data._labels import read_groups, refuse_unordered, separate_labelled, target_type


class UnlabeledKFold(GroupsConsumerMixin, BaseCrossValidator):
    """Cross-validation on the labelled rows, with the unlabelled rows in every training set.

    Test sets hold labelled rows only, so every scorer is correct. Rows are unlabelled where ``y``
    is None, NaN or NA, and where it is -1 in whole numbers.

    Parameters
    ----------
    cv : int or cross-validation splitter, default=5
        How to split the labelled rows. An integer is the number of folds, stratified if ``y``
        holds classes. A splitter (grouped, temporal, repeated ...) splits the labelled rows
        only.
    shuffle : bool, default=False
        Whether to shuffle the rows before an integer ``cv`` splits them.
    random_state : int, RandomState instance or None, default=None
        Seeds the shuffle.

    Notes
    -----
    - Unlabelled rows join each training set, except rows of a group, passed as ``groups``, that
      is also in the test set: nothing is learned from rows of a test patient. An unlabelled row
      without a group (None or NaN) always joins.
    - An integer ``cv`` also splits classes with fewer labels than folds: each of their labels
      goes to a different test set. The only label of a class is then missing from one training
      set.
    - Classes that are numbers must not be in an array of dtype object, with None in unlabelled
      rows: scikit-learn's scorers take no such array. A list of the same is fine, ``y.tolist()``.
    - In a ``y`` with fractions, -1 is an ordinary number, and unlabelled is NaN. In whole numbers
      -1 always means "unlabelled", even in a regression: such rows are never in a test set.
    - :func:`~sklearn.model_selection.cross_val_predict` requires each row to be in a test set,
      which unlabelled rows never are. Call it on the labelled rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import UnlabeledKFold
    >>> X, y = np.zeros((6, 1)), [0, 1, -1, 0, 1, -1]
    >>> for train, test in UnlabeledKFold(2).split(X, y):
    ...     print(train, test)
    [3 4 2 5] [0 1]
    [0 1 2 5] [3 4]
    """

    def __init__(self, cv: Any = 5, *, shuffle: bool = False, random_state: Seed = None):
        self.cv = cv
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the training and the test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, labelled or not.
        y : array-like of shape (n_samples,)
            Their labels.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are never on both sides of a split.

        Yields
        ------
        train : ndarray
            Indices of the training rows: labelled rows, then unlabelled rows.
        test : ndarray
            Indices of the test rows; all are labelled.
        """
        (X,) = indexable(as_native(X))
        rows, others, few = self._labelled_rows(X, y, groups)
        _refuse_unscorable(y, few[1])
        splitter = self._splitter(few[1])
        group_of = (
            None if groups is None else read_groups(groups, len(rows) + len(others), "groups")
        )
        for train, test in splitter.split(*few):
            joining = others
            if group_of is not None:
                tested = {*group_of[rows[test]]} - {None}
                joining = others[[group_of[row] not in tested for row in others]]
            yield np.concatenate([rows[train], joining]), rows[test]

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), default=None
            Rows; only needed if the number of folds of ``cv`` depends on them.
        y : array-like of shape (n_samples,), default=None
            Their labels; needed in the same case.
        groups : array-like of shape (n_samples,), default=None
            Their groups; needed in the same case.

        Returns
        -------
        n_splits : int
            The number of folds.
        """
        if isinstance(self.cv, Integral):
            return int(self.cv)
        if y is None:
            return self._splitter(None).get_n_splits(X, y, groups)
        X = np.zeros(len(y)) if X is None else X
        *_, few = self._labelled_rows(X, y, groups)
        return self._splitter(few[1]).get_n_splits(*few)

    def _labelled_rows(
        self, X: Any, y: Any, groups: Any
    ) -> tuple[np.ndarray, np.ndarray, tuple[Any, np.ndarray, Any]]:
        """Return labelled rows, unlabelled rows, and the data of the labelled ones."""
        if y is None:
            raise ValueError("UnlabeledKFold needs y, to tell labelled rows from unlabelled ones.")
        mask, labels = _read(y)
        check_consistent_length(X, mask)
        rows, others = np.flatnonzero(mask), np.flatnonzero(~mask)
        if not len(rows):
            raise ValueError("No row of y is labelled: there is nothing to test on.")
        few_groups = None
        if groups is not None:
            few_groups = _sortable(read_groups(groups, len(mask), "groups")[rows])
        return rows, others, (take_rows(X, rows), labels, few_groups)

    def _splitter(self, labels: np.ndarray | None) -> BaseCrossValidator:
        if not isinstance(self.cv, Integral):
            if not hasattr(self.cv, "split") or isinstance(self.cv, str):
                raise ValueError(
                    f"cv must be an integer or a cross-validation splitter, got {self.cv!r}."
                )
            if self.shuffle or self.random_state is not None:
                raise ValueError(
                    "shuffle and random_state are for an integer cv; set them on the splitter "
                    f"{self.cv!r} instead."
                )
            return self.cv
        n_splits = int(self.cv)
        # StackingClassifier sets random_state on any cv, whether it shuffles or not.
        random_state = self.random_state if self.shuffle else None
        how: dict[str, Any] = {"shuffle": self.shuffle, "random_state": random_state}
        if labels is None or target_type(labels) == "continuous":
            return KFold(n_splits, **how)
        if len(labels) < n_splits:
            raise ValueError(f"cv={n_splits} folds need as many labelled rows, got {len(labels)}.")
        if np.unique(labels, return_counts=True)[1].min() < n_splits:
            return FewLabelsKFold(n_splits, **how, test_singles=True)
        return StratifiedKFold(n_splits, **how)


def _sortable(groups: np.ndarray) -> np.ndarray:
    """Return the groups of labelled rows; raise unless a splitter can sort them."""
    n_missing = sum(group is None for group in groups)
    if n_missing:
        raise ValueError(
            f"groups is missing in {n_missing} labelled rows, which belong to no side of a split. "
            "Give each a group, one of its own for example, or leave those rows unlabelled."
        )
    refuse_unordered(groups, "groups", allow_tuples=True)
    return groups


def _refuse_unscorable(y: Any, labels: np.ndarray) -> None:
    """Raise if y is an array that scikit-learn's scorers refuse: they get slices of it as it is."""
    if getattr(getattr(y, "dtype", None), "kind", "") == "T":
        raise ValueError(
            "y is an array of numpy's StringDType, which scikit-learn's scorers do not read. Pass "
            "y.astype(object)."
        )
    if str(getattr(y, "dtype", "")).lower() == "object" and labels.dtype.kind in "biuf":
        if target_type(labels) == "continuous":
            return
        raise ValueError(
            "y is an array of objects that holds numbers or booleans, of which scikit-learn's "
            "scorers make no classes. Pass y.tolist(), a pandas column of dtype Int64 or boolean, "
            "or numbers with -1 or NaN in unlabelled rows."
        )


def _read(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read a y of classes or numbers: -1 is a number only among fractions."""
    mask, labels = separate_labelled(y)
    if labels.dtype.kind == "f" and target_type(labels) == "continuous":
        return separate_labelled(y, classes=False)
    return mask, labels


def labelled_scorer(scoring: str | Callable[..., float]) -> Callable[..., float]:
    """Make a scorer that leaves unlabelled rows out.

    Named scorers treat -1 as a class and fail on NaN. With :class:`UnlabeledKFold`, test sets have
    no unlabelled rows; use this for other splitters, and for the training scores of
    ``return_train_score=True``.

    Parameters
    ----------
    scoring : str or callable
        A scorer's name, or a scorer with the signature ``scorer(estimator, X, y)``.

    Returns
    -------
    scorer : callable
        A scorer with the same signature.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skssl.model_selection import labelled_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> y[::2] = -1
    >>> round(labelled_scorer("accuracy")(model, X, y), 2)
    0.97
    """
    return partial(_score_labelled, get_scorer(scoring))


def _score_labelled(
    scorer: Callable[..., float], estimator: Any, X: Any, y: Any, **params: Any
) -> float:
    mask, labels = separate_labelled(y, classes=not is_regressor(estimator))
    rows = np.flatnonzero(mask)
    if not len(rows):
        raise ValueError("No row of y is labelled: there is nothing to score.")
    (X,) = indexable(X)
    params = {name: _along(value, rows, len(mask)) for name, value in params.items()}
    return scorer(estimator, take_rows(X, rows), labels, **params)


def _along(value: Any, rows: np.ndarray, n_samples: int) -> Any:
    """Take the rows of an argument with one entry per row, such as sample_weight."""
    is_per_row = hasattr(value, "__len__") and len(value) == n_samples
    return take_rows(value, rows) if is_per_row else value


class FewLabelsKFold(BaseCrossValidator):
    """Stratified folds for classes with only a few labels, without errors or warnings.

    Rows, sorted by label, are assigned to the folds in turn.

    Parameters
    ----------
    n_splits : int, default=5
        Greatest number of folds; fewer if there are fewer labels to test on.
    shuffle : bool, default=True
        Whether to shuffle the rows of each label first.
    random_state : int, RandomState instance or None, default=0
        Seeds the shuffle.
    test_singles : bool, default=False
        Whether the only row of a label is ever in a test set. If not, it is always in the
        training set, which then holds every label.
    """

    _saved_as = "FewLabelsKFold"

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = True,
        random_state: Seed = 0,
        test_singles: bool = False,
    ):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.test_singles = test_singles

    def _iter_test_indices(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[np.ndarray]:
        codes, counts = np.unique(y, return_inverse=True, return_counts=True)[1:]
        order = np.arange(len(codes))
        if self.shuffle:
            order = check_random_state(self.random_state).permutation(order)
        order = order[np.argsort(codes[order], kind="stable")]
        order = order[counts[codes[order]] > (0 if self.test_singles else 1)]
        for fold in range(self.get_n_splits(X, y)):
            yield np.sort(order[fold :: self.n_splits])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        counts = np.unique(y, return_counts=True)[1]
        tested = counts if self.test_singles else counts[counts > 1]
        return min(self.n_splits, int(tested.sum()))
