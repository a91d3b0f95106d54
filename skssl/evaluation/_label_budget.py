"""Label budgets: scores of pretraining and baselines by number of labels."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state, indexable
from sklearn.utils.validation import check_consistent_length

from skssl._compat import HasMethods, Interval, Seed, StrOptions, validate_params
from skssl._data._labels import read_groups, separate_labelled, target_type
from skssl._meta._forecast import Forecast, attempted
from skssl._meta._steps import default_transformer
from skssl.evaluation._baselines import default_baselines
from skssl.evaluation._work import Method, Row, Split, Work, keeping
from skssl.model_selection import UnlabeledKFold
from skssl.semi_supervised._base import BasePretrained
from skssl.semi_supervised._pretrained import PretrainedClassifier, PretrainedRegressor

Task = Literal["auto", "classification", "regression"]
COLUMNS = ["method", "role", "budget", "split", "draw", "score", "fit_time"]


@validate_params(
    {
        "transformers": [Mapping, None],
        "baselines": [Mapping, None],
        "budgets": ["array-like"],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split", "get_n_splits"])],
        "task": [StrOptions(set(get_args(Task)))],
        "scoring": [str, callable, None],
        "sensitive_features": ["array-like", None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def label_budget_report(
    X: Any,
    y: Any,
    *,
    transformers: Mapping[str, Any] | None = None,
    baselines: Mapping[str, Any] | None = None,
    budgets: Sequence[int] | np.ndarray = (5, 10, 20, 50, 100),
    n_draws: int = 5,
    cv: Any = 3,
    groups: Any = None,
    task: Task = "auto",
    scoring: str | Callable[..., float] | None = None,
    sensitive_features: object = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: Seed = None,
) -> pd.DataFrame:
    """Score pretraining and baselines on held-out rows, by number of labels.

    In each split, the test rows are held out first. Every transformer is then trained once on all
    training rows, without labels. Each draw keeps as many labels of the training rows as the
    budget allows, the same ones for every method, and only the classifier or regressor behind the
    transformer is fitted again, by :class:`PretrainedClassifier` or :class:`PretrainedRegressor`
    with their defaults.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...)
        Rows as the transformers read them, labelled or not.
    y : array-like of shape (n_samples,)
        Labels. None, NaN and NA, and -1 among classes, mark unlabelled rows. Unlabelled rows are
        used for pretraining only: all are training rows, except those of a group with test
        rows.
    transformers : dict of str to transformer, default=None
        Transformers to compare, by name. None is the default for the modality of X, such as
        ``{"MultiTask": MultiTask()}`` for tables. A :class:`PretrainedClassifier` or
        :class:`PretrainedRegressor` in place of a transformer brings its own classifier or
        regressor. A :class:`~sklearn.frozen.FrozenEstimator` is not refitted and must not have
        been trained on rows of X: the report cannot check that.
    baselines : dict of str to estimator, default=None
        More baselines by name, in addition to the default ones: ``"untrained encoder"`` (the
        first transformer with ``max_epochs=0``) and, on tables, ``"raw columns"`` and ``"PCA"``
        with a tuned linear model, ``"extra trees"``, a tuned ``"random forest"``, and
        ``"in context"``: :class:`InContextClassifier` or its regressor. ``"drop"`` in place of an
        estimator removes the baseline of that name. An estimator is fitted on the labelled rows;
        to fit its preprocessing on all training rows, as scaler and PCA are here, make it a
        :class:`PretrainedClassifier` or regressor with ``passthrough=False``.
    budgets : array-like of int, default=(5, 10, 20, 50, 100)
        Total numbers of labels. Draws of classes are stratified, with at least one label per
        class; a larger budget adds labels to those of a smaller one. Budgets with fewer labels
        than classes (two in a regression), or with more labels than the training part of a
        split has, are dropped with a warning.
    n_draws : int, default=5
        Number of draws of labels in each split.
    cv : int or cross-validation splitter, default=3
        How to hold out test rows. An integer is the number of shuffled folds, stratified for
        classes; a splitter splits the labelled rows only, as in :class:`UnlabeledKFold`, which
        may be passed as well.
    groups : array-like of shape (n_samples,), default=None
        For splitters: rows of one group are never on both sides of a split.
    task : {"auto", "classification", "regression"}, default="auto"
        The task. ``"auto"`` treats text, booleans and whole numbers as classes, and fractions as
        a regression; very many distinct whole numbers are an error.
    scoring : str, callable or None, default=None
        Name of a scorer, or a scorer. None is the score of the estimators: accuracy or R².
    sensitive_features : array-like of shape (n_samples,) or dataframe, default=None
        Groups whose scores are to be compared, such as sex or age bands; methods do not see
        them, unless they are columns of X. The report gets a column for each: ``score[female]``,
        of a dataframe or a named series ``score[sex=female]``.
    n_jobs : int, default=None
        Number of processes, as in joblib; each fits one split and method at a time.
    verbose : int, default=0
        Whether to print what will be fitted and, from some steps of each method, about how long
        that takes; then a line for each method and split that is done.
    random_state : int, RandomState instance or None, default=None
        Seeds splits, draws, and all estimators whose own ``random_state`` is None.

    Returns
    -------
    report : pandas.DataFrame
        One row per method, budget, split and draw. Columns: ``method``; ``role`` ("pretrained"
        or "baseline"); ``budget``; ``split``; ``draw``; ``score``; ``fit_time``, the seconds of
        one fit, including pretraining; and scores by group, NaN where a group has no score.
        Scores with equal budget, split and draw have the same
        labels and test rows: compare them in pairs.

    Raises
    ------
    ValueError
        If no budget can be drawn, if y has fewer than two classes, or if its whole numbers may
        or may not be classes.

    See Also
    --------
    LabelBudgetDisplay : Draws and summarises the report.

    Notes
    -----
    The report takes one pretraining per transformer and split, and per method one fit of a
    classifier or regressor for each split, draw and budget. With the defaults, these 75 fits take
    longer than the pretraining: ``n_jobs``, fewer draws, or a fast classifier, as below, shorten
    it.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skssl import SCARF, LabelBudgetDisplay, PretrainedClassifier, label_budget_report
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> scarf = SCARF(n_components=16, max_epochs=20)
    >>> report = label_budget_report(
    ...     X,
    ...     y,
    ...     transformers={"SCARF": PretrainedClassifier(scarf, LogisticRegression())},
    ...     baselines={"extra trees": "drop", "random forest": "drop"},
    ...     budgets=(6, 12),
    ...     n_draws=2,
    ...     cv=2,
    ...     random_state=0,
    ... )
    >>> report.groupby("method", sort=False).size()
    method
    SCARF                8
    untrained encoder    8
    raw columns          8
    PCA                  8
    in context           8
    dtype: int64
    >>> LabelBudgetDisplay(report).summary().shape
    (10, 4)
    """
    X, groups = indexable(X, groups)
    check_consistent_length(X, y)
    is_classes, mask, labels = _read(y, task)
    target = np.zeros(len(mask), dtype=labels.dtype)
    target[mask] = labels
    methods = _methods(X, transformers, baselines, is_classes)
    by_group = _columns_of(sensitive_features, len(mask))
    random = check_random_state(random_state)
    folds = _splitter(cv, is_classes, random).split(X, keeping(target, mask).tolist(), groups)
    splits = [_split(*fold, mask, target, n_draws, is_classes, random) for fold in folds]
    budgets = _usable(
        budgets, [target[split.train[split.draws[0]]] for split in splits], is_classes
    )
    works = [
        Work(method, number, split, X, target, budgets, scoring, by_group)
        for method in methods
        for number, split in enumerate(splits)
    ]
    if verbose:
        _announce(works, len(splits), min(effective_n_jobs(n_jobs), len(works)))
    rows = _do(works, len(splits), n_jobs, verbose)
    return _report(rows, by_group, _name_of(scoring, is_classes))


def _columns_of(sensitive_features: object, n: int) -> dict[str, np.ndarray]:
    """Return the rows of each group, by the name of its column in the report."""
    if sensitive_features is None:
        return {}
    frame = nw.from_native(sensitive_features, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        columns = {name: frame[name].to_native() for name in frame.columns}
    else:
        shape = tuple(getattr(sensitive_features, "shape", ()))
        if len(shape) == 2:
            raise ValueError(
                f"sensitive_features must be of shape ({n},), or a dataframe with a column for "
                f"each attribute; got an array of shape {shape}."
            )
        columns = {str(getattr(sensitive_features, "name", None) or ""): sensitive_features}
    found = {}
    for name, column in columns.items():
        groups = read_groups(column, n, "sensitive_features")
        present = [group for group in groups if group is not None]
        for group in sorted(set(present), key=str):
            label = f"{name}={group}" if name else str(group)
            found[f"score[{label}]"] = groups == group
    return found


def _report(rows: list[Row], by_group: Iterable[str], score_name: str) -> pd.DataFrame:
    report = pd.DataFrame(rows, columns=[*COLUMNS, *by_group])
    report.attrs["score_name"] = score_name
    return report


def _do(works: list[Work], n_splits: int, n_jobs: int | None, verbose: int) -> list[Row]:
    """Return the rows of the report; tell when each method and split is done."""
    start = time.perf_counter()
    rows: list[Row] = []
    done = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(work.do)() for work in works)
    for work, part in zip(works, done, strict=True):
        rows += part
        if verbose:
            _tell(
                f"{work.method.name}, split {work.number + 1} of {n_splits}: "
                f"done {time.perf_counter() - start:.1f} s after the start"
            )
    return rows


def _announce(works: list[Work], n_splits: int, n_workers: int) -> None:
    """Tell what will be fitted, and about how long that takes."""
    budgets, n_draws = works[0].budgets, len(works[0].split.draws)
    what = (
        f"{len(works) // n_splits} methods on {n_splits} splits, "
        f"{len(works) * n_draws * len(budgets)} fits: {n_draws} draws of {budgets} labels each"
    )

    def forecast() -> list[Forecast]:
        seconds = sum(work.forecast() for work in works[::n_splits]) * n_splits / n_workers
        return [Forecast(what, seconds)]

    _tell(str(*attempted(what, forecast)))


def _tell(what: str) -> None:
    print(f"[label_budget_report] {what}")


def _read(y: Any, task: Task) -> tuple[bool, np.ndarray, np.ndarray]:
    """Return whether y holds classes, which rows are labelled, and their labels."""
    if task == "regression":
        return False, *separate_labelled(y, classes=False)
    mask, labels = separate_labelled(y)
    if task == "auto" and labels.dtype.kind == "f" and target_type(labels) == "continuous":
        return False, *separate_labelled(y, classes=False)
    n_different = len(np.unique(labels))
    if n_different < 2:
        raise ValueError(
            f"Expected labels of at least two classes, got {n_different} in {len(labels)} "
            "labelled rows. Only unlabelled rows are None, NaN or -1."
        )
    if task == "auto" and labels.dtype.kind in "iuf" and n_different > max(50, len(labels) / 5):
        raise ValueError(
            f"y holds {n_different} different whole numbers in {len(labels)} labelled rows: "
            "classes, or a quantity? Pass task='classification' or task='regression'."
        )
    return True, mask, labels


def _splitter(cv: Any, is_classes: bool, random: np.random.RandomState) -> UnlabeledKFold:
    if isinstance(cv, Integral):
        shuffled: dict[str, Any] = {"shuffle": True, "random_state": random.randint(2**31 - 1)}
        if is_classes:
            return UnlabeledKFold(cv, **shuffled)
        return UnlabeledKFold(KFold(int(cv), **shuffled))
    return cv if isinstance(cv, UnlabeledKFold) else UnlabeledKFold(cv)


def _split(
    train: np.ndarray,
    test: np.ndarray,
    mask: np.ndarray,
    target: np.ndarray,
    n_draws: int,
    is_classes: bool,
    random: np.random.RandomState,
) -> Split:
    """Order the labels of the training rows, once per draw."""
    train = np.sort(train)
    pool = np.flatnonzero(mask[train])
    draws = [pool[_order(target[train[pool]], is_classes, random)] for _ in range(n_draws)]
    return Split(train, test, draws, random.randint(2**31 - 1))


def _order(labels: np.ndarray, is_classes: bool, random: np.random.RandomState) -> np.ndarray:
    """Return positions of labels in an order whose every prefix is a stratified draw.

    One label per class comes first. The remaining labels of each class are spread evenly over the
    rest.
    """
    order = random.permutation(len(labels))
    if not is_classes:
        return order
    codes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)[1:]
    rank = pd.Series(codes).groupby(codes).cumcount().to_numpy()
    place = (rank + random.random_sample(len(rank))) / counts[codes]
    return order[np.argsort(np.where(rank == 0, -1, place), kind="stable")]


def _usable(
    budgets: Sequence[int] | np.ndarray, pools: list[np.ndarray], is_classes: bool
) -> list[int]:
    """Return the sorted budgets that can be drawn from every pool; warn of the others."""
    wanted = np.asarray(budgets)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu" or not len(wanted):
        raise ValueError(
            f"budgets must be a list of numbers of labels, such as (10, 20), got {budgets!r}."
        )
    least = max(len(np.unique(pool)) for pool in pools) if is_classes else 2
    most = min(map(len, pools))
    usable = [int(budget) for budget in np.unique(wanted) if least <= budget <= most]
    reason = (
        f"A budget takes {least} labels at least{', one per class,' if is_classes else ''} and "
        f"{most} at most, which is what the smallest training part has; "
        f"got budgets={wanted.tolist()}."
    )
    if not usable:
        raise ValueError(f"{reason} Pass others, or label more rows.")
    if len(usable) < len(np.unique(wanted)):
        warnings.warn(f"{reason} The others are left out.", UserWarning, stacklevel=5)
    return usable


def _methods(X: Any, transformers: Any, baselines: Any, is_classes: bool) -> list[Method]:
    """Return the methods to score: transformers first, then baselines."""
    given = transformers
    if given is None:
        default = default_transformer(X)
        given = {type(default).__name__: default}
    if not given:
        raise ValueError("transformers is empty; expected {name: transformer, ...}, or None.")
    model = PretrainedClassifier if is_classes else PretrainedRegressor
    ours = {name: t if isinstance(t, BasePretrained) else model(t) for name, t in given.items()}
    beside = {**default_baselines(X, next(iter(ours.values())), is_classes), **(baselines or {})}
    methods = [Method(name, "pretrained", one) for name, one in ours.items()]
    for name, one in beside.items():
        if name in ours:
            raise ValueError(f"A transformer and a baseline are both named {name!r}; rename one.")
        if isinstance(one, str) and one == "drop":
            continue
        if not hasattr(one, "fit") or isinstance(one, type):
            raise ValueError(f"Baseline {name!r} must be an estimator or 'drop', got {one!r}.")
        methods.append(Method(name, "baseline", one))
    return methods


def _name_of(scoring: Any, is_classes: bool) -> str:
    """Return the name of the scores for an axis."""
    if scoring is None:
        return "accuracy" if is_classes else "R²"
    name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
    return name.replace("_", " ")
