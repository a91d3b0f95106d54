"""Forecasts: what follows in a fit, and about how long it takes, measured on some of its rows."""

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state

from skssl import _ranks
from skssl._compat import take_rows
from skssl._data._draws import Draws
from skssl._meta._reading import Reading
from skssl._meta._steps import steps_of

ROWS = 2000  # at most: labelled ones, and as many others
FEWEST = 200  # rows that are measured at least, if there are as many
SECONDS = 0.25  # of a measurement that is long enough


class Forecast(NamedTuple):
    """A stage of a fit in words, and its seconds; None if they could not be measured."""

    what: str
    seconds: float | None

    def __str__(self) -> str:
        return self.what if self.seconds is None else f"{self.what}, about {self.seconds:.0f} s"


class Underway(NamedTuple):
    """A transformer that is fitted, or in its first steps, and the rows of what follows.

    ``read`` is the tensor of all rows, in a list, if the transformer has read them.
    """

    transformer: BaseEstimator
    every: tuple[object, ...]
    read: list[torch.Tensor]
    few: np.ndarray
    others: np.ndarray
    labels: np.ndarray


def in_words(stages: list[Forecast]) -> str:
    """Return stages as one text."""
    return "; then ".join(map(str, stages))


def attempted(what: str, forecast: Callable[[], list[Forecast]]) -> list[Forecast]:
    """Return forecasts, or ``what`` alone if they fail: the fit itself will say what is wrong."""
    try:
        return forecast()
    except Exception:
        return [Forecast(what, None)]


def unwatched(estimator: BaseEstimator) -> BaseEstimator:
    """Return a clone without callbacks."""
    estimator = clone(estimator)
    for part in [estimator, *estimator.get_params(deep=True).values()]:
        getattr(part, "__dict__", {}).pop("_skl_callbacks", None)
    return estimator


@contextlib.contextmanager
def rehearsing() -> Iterator[None]:
    """Compute inside the block without a trace: random states stay, warnings are not shown."""
    shared = check_random_state(None)  # numpy's global generator
    state = shared.get_state()
    try:
        with warnings.catch_warnings(), Draws(0).here(everywhere=True), _ranks.apart():
            warnings.simplefilter("ignore")
            yield
    finally:
        shared.set_state(state)


def seconds_for(
    fit: Callable[[int], object], n: int, n_there: int | None = None, power: float = 1.0
) -> float:
    """Extrapolate the seconds of a fit to ``n`` rows from fits to fewer rows.

    Parameters
    ----------
    fit : callable
        Does the fit with a number of rows.
    n : int
        Number of rows to extrapolate to.
    n_there : int or None, default=None
        Number of rows that can be fitted; None is ``n``.
    power : float, default=1.0
        The seconds grow with this power of the number of rows.

    Returns
    -------
    seconds : float
        Of a fit to ``n`` rows.
    """
    most = n if n_there is None else min(n, n_there)
    size = min(max(FEWEST, -(-n // 16)), most)
    fit(size)  # imports modules, fills caches
    while True:
        seconds = seconds_of(fit, size)
        if size == most and seconds < SECONDS / 5:  # so short that other processes disturb it
            seconds = (seconds + seconds_of(fit, size) + seconds_of(fit, size)) / 3
        if size == most or seconds >= SECONDS:
            return float(seconds * (n / max(size, 1)) ** power)
        size = min(2 * size, most)


def seconds_of(function: Callable[..., object], *args: object) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def evenly(n: int, most: int) -> np.ndarray:
    """Return at most ``most`` of the indices of ``n`` things, evenly spread."""
    return np.linspace(0, n - 1, min(n, most)).astype(int) if n else np.arange(0)


def evenly_by_label(labels: np.ndarray, most: int) -> np.ndarray:
    """Return ascending positions of at most ``most`` labels, which are spread like all of them."""
    order = np.argsort(np.unique(labels, return_inverse=True)[1], kind="stable")
    return np.sort(order[evenly(len(labels), most)])


def as_fitted(transformer: BaseEstimator, attributes: dict[str, object]) -> BaseEstimator:
    """Return a transformer whose last step is still being fitted as a fitted one.

    Parameters
    ----------
    transformer : estimator
        A self-supervised transformer, or a Pipeline that ends in one.
    attributes : dict
        Fitted attributes of its last step.

    Returns
    -------
    fitted : estimator
        It shares the steps before the last one.
    """
    *front, last = steps_of(transformer)
    shown = copy.copy(last)
    for name in [name for name in vars(shown) if name == "_report" or "callback" in name]:
        del shown.__dict__[name]
    vars(shown).update(attributes)
    return make_pipeline(*front, shown) if front else shown


def some_rows(
    transformer: BaseEstimator, X: object, read: list[torch.Tensor], n_rows: int, rows: np.ndarray
) -> Reading:
    """Return some rows of X, with what the transformer has read of all ``n_rows`` in its fit."""
    x = read[0][rows] if read and len(read[0]) == n_rows else None
    return Reading(transformer, (take_rows(X, rows),), x)
