"""Callbacks for self-supervised training: early stopping, checkpoints, time budgets, probes.

They follow scikit-learn's protocol (:mod:`sklearn.callback`). Set them on a transformer, or on the
Pipeline, meta-estimator or search around it: they are propagated to each transformer that is
fitted inside.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from skssl._compat import BaseComposition, Interval, StrOptions, Task, validate_params
from skssl._data._labels import separate_labelled, target_type
from skssl._meta._cache import fit_key
from skssl._training._checkpoint import CheckpointFile
from skssl.base._transformer import SSLTransformer
from skssl.metrics import label_free_scorer
from skssl.metrics._scorers import MetricName

__all__ = ["Checkpoint", "EarlyStopping", "ProbeMonitor", "TimeBudget"]

SHORT: dict[str, MetricName] = {"knn": "knn_consistency"}
Name = Literal["knn"] | MetricName
NAMES = {*SHORT, *get_args(MetricName)}


class HandedDown:
    """Base of callbacks that are propagated to transformers and act at the end of epochs.

    scikit-learn propagates a callback that has ``max_propagation_depth``, and then refuses it on
    steps of Pipelines. So it has that attribute only while an estimator around a transformer is
    fitted.
    """

    def setup(self, estimator: Any, context: Task) -> None:
        """Propagate to the transformers inside, if set on an estimator around them."""
        if isinstance(estimator, SSLTransformer):
            return
        if not isinstance(estimator, (MetaEstimatorMixin, BaseComposition)):
            raise TypeError(
                f"{type(self).__name__} is for self-supervised transformers, or for what they "
                f"stand in; {type(estimator).__name__} trains none. In a Pipeline set it on the "
                "transformer: pipe['scarf'].set_callbacks(...)."
            )
        self.__dict__.setdefault("_around", set()).add(id(context))  # threads may share it
        self.max_propagation_depth = None

    def teardown(self, estimator: Any, context: Task) -> None:
        """Stop propagating."""
        around = self.__dict__.get("_around", set())
        around.discard(id(context))
        if not around:
            self.__dict__.pop("max_propagation_depth", None)

    def on_fit_task_begin(self, estimator: Any, context: Task) -> None:
        """Do nothing: callbacks act at the end of an epoch."""


class Checkpoint(HandedDown):
    """Write checkpoints of training to disk, and resume from them after an interruption.

    Run the same script again after the process was killed: ``fit`` finds the file, continues after
    the epoch at which it was written, and returns the same encoder as without the interruption, bit
    by bit on a CPU with the same number of threads. A finished fit is not trained again.

    Parameters
    ----------
    path : str or path-like
        The file of one fit, or an existing folder for many fits, such as those of a search, each
        in a file of its own.
    every : float, default=60.0
        Seconds between two writes, which happen at the end of epochs and at the end of training.

    Notes
    -----
    The file is replaced atomically. A damaged file, or a file of another fit, of other rows,
    parameters or versions, raises an error, and no code from it is run. If the disk is full, a
    warning is given and training continues.

    A fit is identified by its rows and parameters, so ``random_state`` must be a number, and
    functions for ``encoder`` or ``views`` must have a source. Views that draw from generators other
    than torch's differ after resuming. ``partial_fit`` writes no checkpoints: save the estimator
    itself.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF
    >>> from skssl.callbacks import Checkpoint
    >>> X, _ = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, max_epochs=5, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scarf.set_callbacks(Checkpoint(Path(folder, "scarf.pt"), every=30)).fit(X).n_iter_
    5
    """

    @validate_params(
        {
            "self": "no_validation",
            "path": [str, os.PathLike],
            "every": [Interval(Real, 0, None, closed="left")],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(self, path: str | os.PathLike[str], *, every: float = 60.0):
        self.path = path
        self.every = every

    def on_fit_task_begin(self, estimator: Any, context: Task) -> None:
        """Set the file of the fit, from which it resumes if the file exists."""
        if not isinstance(estimator, SSLTransformer) or context.task_name == "epoch":
            return
        identity = estimator._report.identity()
        if identity is None:
            return
        key = fit_key(estimator, *identity)
        if key is None:
            raise ValueError(
                f"Checkpoint cannot know this fit of {type(estimator).__name__} again. Pass a "
                "number as random_state, and as encoder= and views= names, or what is defined in "
                "a file."
            )
        path = Path(self.path)
        if path.is_dir():
            path = path / f"{type(estimator).__name__}-{key}.pt"
        elif not path.parent.is_dir():
            raise ValueError(
                f"There is no folder {path.parent} for the checkpoint {path.name}: make it first."
            )
        estimator._report.write_to(CheckpointFile(path, key, self.every))

    def on_fit_task_end(self, estimator: Any, context: Task) -> None:
        """Do nothing: the fit writes the file after all callbacks."""


class EarlyStopping(HandedDown):
    """Stop training once the monitored value has not improved for some epochs.

    Parameters
    ----------
    monitor : str or callable, default="loss"
        ``"loss"`` is the held-out loss if the transformer has ``n_iter_no_change``, else the
        training loss. ``"knn"`` (for ``"knn_consistency"``), ``"rankme"`` and the other names of
        :func:`skssl.metrics.label_free_scorer` score the embedding of the training rows. A
        callable ``scorer(estimator, X, y)`` gets these rows and the y of ``fit``, if any;
        greater is better.
    patience : int, default=10
        Number of epochs without improvement after which to stop. An epoch of a small table is
        only a step or two.
    restore_best : bool, default=True
        Whether to keep the weights of the best epoch instead of the last.

    Notes
    -----
    The value after each epoch is in ``probe_curves_`` of the transformer, by the monitor's name,
    except losses, which are in ``loss_curve_``. This also holds in the workers of a search; the
    callback itself keeps nothing.

    RankMe tends to rise early and to fall while the embedding still improves: as a monitor it
    guards against collapse but does not measure quality.

    The learning rate decays over ``max_epochs``, so a fit that stops early ends at a high rate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF
    >>> from skssl.callbacks import EarlyStopping
    >>> X, _ = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, learning_rate=1e-9, random_state=0)  # learns nothing
    >>> scarf.set_callbacks(EarlyStopping("knn", patience=3)).fit(X).n_iter_ < 50
    True
    """

    @validate_params(
        {
            "self": "no_validation",
            "monitor": [StrOptions({"loss", *NAMES}), callable],
            "patience": [Interval(Integral, 1, None, closed="left")],
            "restore_best": ["boolean"],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(
        self,
        monitor: Literal["loss"] | Name | Callable[..., float] = "loss",
        *,
        patience: int = 10,
        restore_best: bool = True,
    ):
        self.monitor = monitor
        self.patience = patience
        self.restore_best = restore_best

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Task,
        *,
        X: Any = None,
        y: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Record the value of an epoch and return whether to stop."""
        if not _is_epoch(estimator, context):
            return False
        if self.monitor == "loss":
            held_out = getattr(fitted_estimator, "validation_loss_curve_", None)
            value = -(held_out or fitted_estimator.loss_curve_)[-1]
        else:
            name, scorer = _named(self.monitor)
            value = _score(scorer, fitted_estimator, X, y, name)
            estimator._report.note(self, name, value)
        return estimator._report.watch(self, -value, self.patience, self.restore_best)


class TimeBudget(HandedDown):
    """Stop training before an epoch that would exceed a number of seconds.

    Each transformer has its own budget, which starts when its training starts; one epoch is always
    trained. In a search, this compares methods at equal cost.

    Parameters
    ----------
    seconds : float
        Wall-clock seconds that the fit of a transformer may take.

    Notes
    -----
    The learning rate decays over ``max_epochs``: choose about as many epochs as the budget allows,
    because a fit that stops early ends at a high rate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF
    >>> from skssl.callbacks import TimeBudget
    >>> X, _ = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, max_epochs=10**6, random_state=0)
    >>> scarf.set_callbacks(TimeBudget(0.2)).fit(X).n_iter_ < 10**6
    True
    """

    @validate_params(
        {"self": "no_validation", "seconds": [Interval(Real, 0, None, closed="neither")]},
        prefer_skip_nested_validation=True,
    )
    def __init__(self, seconds: float):
        self.seconds = seconds

    def on_fit_task_end(self, estimator: Any, context: Task) -> bool:
        """Return whether one more epoch like this one would take too long."""
        if not _is_epoch(estimator, context):
            return False
        now = datetime.now(UTC)
        spent, last = now - context.parent.init_time, now - context.init_time
        return (spent + last).total_seconds() > self.seconds


class ProbeMonitor(HandedDown):
    """Score the embedding after each epoch, with labels or without.

    It does not change training. Its scores are in ``probe_curves_`` of the fitted transformer, a
    dict of lists with one value per epoch.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...), default=None
        Rows to score on, as the transformer itself reads them: behind the steps before it in a
        Pipeline. None is the training rows and the y of their ``fit``.
    y : array-like of shape (n_samples,), default=None
        Their labels; None, NaN and NA, and -1 among classes, mark unlabelled rows. They are used
        for the scores only.
    scoring : str, callable, dict or None, default=None
        A name of :func:`skssl.metrics.label_free_scorer`, or ``"knn"``; a callable
        ``scorer(estimator, X, y)``; or a dict of several, by the names of their curves. None is
        ``"probe"`` if there are labels: the cross-validated score of the 5 nearest neighbours in
        the embedding; without labels it is ``"rankme"``.
    every : int, default=1
        Number of epochs between scores; the last of ``max_epochs`` is always scored. Epochs in
        between have NaN.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF
    >>> from skssl.callbacks import ProbeMonitor
    >>> X, y = load_iris(return_X_y=True)
    >>> scarf = SCARF(n_components=8, max_epochs=3, random_state=0)
    >>> scarf.set_callbacks(ProbeMonitor(X, y), ProbeMonitor(scoring="knn")).fit(X)
    SCARF(...)
    >>> {name: len(curve) for name, curve in scarf.probe_curves_.items()}
    {'probe': 3, 'knn': 3}
    """

    @validate_params(
        {
            "self": "no_validation",
            "X": "no_validation",
            "y": "no_validation",
            "scoring": [StrOptions(NAMES), callable, Mapping, None],
            "every": [Interval(Integral, 1, None, closed="left")],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(
        self,
        X: Any = None,
        y: Any = None,
        *,
        scoring: Name
        | Callable[..., float]
        | Mapping[str, Name | Callable[..., float]]
        | None = None,
        every: int = 1,
    ):
        if X is None and y is not None:
            raise ValueError("ProbeMonitor has labels but no rows: pass X with y.")
        self.X = X
        self.y = y
        self.scoring = scoring
        self.every = every

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Task,
        *,
        X: Any = None,
        y: Any = None,
        fitted_estimator: Any = None,
    ) -> None:
        """Score the current embedding."""
        if not _is_epoch(estimator, context):
            return
        n_done = context.task_id + 1
        is_due = n_done % self.every == 0 or n_done == context.parent.max_subtasks
        X, y = (X, y) if self.X is None else (self.X, self.y)
        for name, scorer in self._scorers().items():
            value = _score(scorer, fitted_estimator, X, y, name) if is_due else np.nan
            estimator._report.note(self, name, value)

    def _scorers(self) -> dict[str, Callable[..., float]]:
        if isinstance(self.scoring, Mapping):
            return {str(name): _named(scoring)[1] for name, scoring in self.scoring.items()}
        if self.scoring is not None:
            return dict([_named(self.scoring)])
        return dict([_named("rankme")]) if self.y is None else {"probe": neighbours_score}


def neighbours_score(estimator: Any, X: Any, y: Any) -> float:
    """Return the cross-validated score of the 5 nearest neighbours on the labelled rows."""
    Z = estimator.transform(X)
    mask, labels = separate_labelled(y)
    is_numbers = labels.dtype.kind == "f" and target_type(labels) == "continuous"
    model = KNeighborsRegressor() if is_numbers else KNeighborsClassifier()
    return float(cross_val_score(model, np.asarray(Z)[mask], labels, cv=3).mean())


def _is_epoch(estimator: Any, context: Task) -> bool:
    """Tell epochs of a transformer from tasks of other estimators."""
    return isinstance(estimator, SSLTransformer) and context.task_name == "epoch"


def _named(scoring: Any) -> tuple[str, Callable[..., float]]:
    """Return the name of a scorer's curve, and the scorer."""
    if isinstance(scoring, str):
        metric = SHORT.get(scoring, scoring)
        return scoring, label_free_scorer(metric)  # type: ignore[arg-type]  # one of NAMES
    return getattr(scoring, "metric", getattr(scoring, "__name__", "score")), scoring


def _score(scorer: Callable[..., float], fitted: Any, X: Any, y: Any, name: str) -> float:
    value = scorer(fitted, X, y)
    if not isinstance(value, Real) or np.isnan(value):
        raise ValueError(
            f"The scorer {name!r} returned {value!r} in epoch {fitted.n_iter_}; expected a number, "
            "of which greater is better. Where it needs labels, pass them: fit(X, y)."
        )
    return float(value)
