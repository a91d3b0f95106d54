"""Fitting the parts of a meta-estimator: seeds, callbacks, the cache."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted, check_memory, has_fit_parameter

from skssl._compat import Task, refuse_unrouted
from skssl._data._draws import Draws
from skssl._meta._cache import fit_key
from skssl._meta._forecast import Forecast, as_fitted, in_words, unwatched
from skssl._meta._reading import Reading
from skssl._meta._steps import last_step
from skssl.base._transformer import SSLTransformer, handing_over

T = TypeVar("T")


def seeded(estimator: Any, random: np.random.RandomState) -> Any:
    """Set every ``random_state=None`` inside an estimator to a number, in place.

    Parts of a self-supervised transformer are skipped: it seeds them itself.
    """
    params = estimator.get_params(deep=True)
    ours = [f"{name}__" for name, value in params.items() if isinstance(value, SSLTransformer)]
    ours += [""] if isinstance(estimator, SSLTransformer) else []
    unset = [
        name
        for name in sorted(params)
        if (name == "random_state" or name.endswith("__random_state"))
        and params[name] is None
        and not any(name.startswith(one) and name != f"{one}random_state" for one in ours)
    ]
    if unset:
        estimator.set_params(**{name: random.randint(2**31 - 1) for name in unset})
    return estimator


def make_part(
    owner: Any, given: Any, default: Callable[[], Any], random: np.random.RandomState
) -> Any:
    """Return a clone of what was given, or the default; seeded from ``random`` if the owner is."""
    part = default() if given is None else clone(given)
    return part if owner.random_state is None else seeded(part, random)


class RoutesFit:
    """Metadata routing of ``fit`` to the parts that the user passed, by their requests."""

    _routes_to: ClassVar[tuple[str, ...]] = ("transformer",)  # the parameters that hold them

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the metadata that the estimator takes and routes to its parts.

        Returns
        -------
        routing : MetadataRouter
            See the user guide of scikit-learn on metadata routing. Default parts request no
            metadata.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        for name in self._routes_to:
            if getattr(self, name) is not None:
                router.add(method_mapping=mapping, **{name: getattr(self, name)})
        return router

    def _route(self, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the arguments of ``fit`` for each part."""
        refuse_unrouted(params, self, "fit")
        if not params:
            return {name: {} for name in self._routes_to}
        routed = process_routing(self, "fit", **params)
        return {name: dict(routed[name].fit) if name in routed else {} for name in self._routes_to}


def fit_as_task(
    owner: Any, part: Any, task: Task, X: Any, y: Any, fit: Callable[[], object]
) -> None:
    """Fit a part of ``owner`` as one task, and propagate callbacks to it.

    Parameters
    ----------
    owner : estimator
        The meta-estimator.
    part : estimator or None
        The estimator that callbacks are propagated to; if it is None or frozen, they see a
        single task.
    task : sklearn.callback.CallbackContext
        The task, without subtasks.
    X, y : array-like or None
        Data for callbacks.
    fit : callable
        Does the fit.
    """
    if part is None or isinstance(part, FrozenEstimator):
        task.call_on_fit_task_begin(estimator=owner, X=X, y=y)
        fit()
        task.call_on_fit_task_end(estimator=owner, X=X, y=y)
        return
    with task.propagate_callback_context(part):
        task.call_on_fit_task_begin(estimator=owner, X=X, y=y)
        fit()
        task.call_on_fit_task_end(estimator=owner, X=X, y=y)


def tell(owner: Any, what: str) -> None:
    """Print a message of a meta-estimator, if it is verbose."""
    if owner.verbose:
        print(f"[{type(owner).__name__}] {what}")


@contextlib.contextmanager
def telling(owner: Any, what: str) -> Iterator[None]:
    """Tell what the block does before it, and how long it took after it."""
    tell(owner, what)
    start = time.perf_counter()
    yield
    tell(owner, f"{what}: {time.perf_counter() - start:.1f} s")


@dataclass
class Stage:
    """A stage of a fit of ``owner`` that callbacks such as ProgressBar count by its parts."""

    owner: Any
    parent: Task
    name: str
    X: Any
    y: Any
    task: Task | None = None

    def each(self, items: Sequence[T]) -> Iterator[T]:
        """Yield the items; what is done with each is one subtask."""
        self.task = self._begin(self.parent, self.name, len(items))
        for item in items:
            part = self._begin(self.task, f"{self.name}-part", 0)
            yield item
            self._end(part)

    def end(self) -> None:
        """End the task; it has no parts if there was nothing to iterate over."""
        task = self._begin(self.parent, self.name, 0) if self.task is None else self.task
        self._end(task)

    def _begin(self, parent: Task, name: str, n_parts: int) -> Task:
        task = parent.subcontext(task_name=name, max_subtasks=n_parts)
        with Draws(0).here(everywhere=True):  # callbacks may draw
            return task.call_on_fit_task_begin(estimator=self.owner, X=self.X, y=self.y)

    def _end(self, task: Task) -> None:
        with Draws(0).here(everywhere=True):
            task.call_on_fit_task_end(estimator=self.owner, X=self.X, y=self.y)


Ahead = Callable[[BaseEstimator, list[torch.Tensor]], list[Forecast]]


def fit_transformer(
    owner: Any,
    transformer: Any,
    every: tuple[Any, ...],
    metadata: dict[str, Any],
    task: Task,
    ahead: Ahead,
) -> tuple[Any, Reading]:
    """Fit a transformer to all rows, once per key of the cache.

    A verbose owner tells what is ahead: the transformer does so once it has timed its first steps,
    or else the owner when the transformer is fitted.

    Parameters
    ----------
    owner : estimator
        The meta-estimator, whose ``memory`` is the cache.
    transformer : estimator
        The transformer, cloned and seeded. A frozen one is only checked.
    every : tuple of array-like or dataframe
        X, and X_unlabeled if it was passed. Labels are not passed on.
    metadata : dict
        Further arguments of the transformer's ``fit``.
    task : sklearn.callback.CallbackContext
        The task of this fit.
    ahead : callable
        Returns the forecasts of what follows, from the transformer as it is by then and, in a
        list, the tensor of all rows if it has read them.

    Returns
    -------
    transformer : estimator
        The fitted transformer.
    rows : Reading
        The rows, with what a self-supervised transformer has read of them in its fit.
    """
    read: list[torch.Tensor] = []
    told: list[float] = []

    def follow(attributes: dict[str, object], seconds: float) -> str:
        told.append(seconds)
        return f"; then {in_words(ahead(as_fitted(transformer, attributes), read))}"

    def fit() -> Any:
        last = last_step(transformer)
        telling_plan = handing_over(last, read, follow if owner.verbose else None)
        with telling(owner, f"fitting {type(last).__name__}"), telling_plan:
            fit_as_task(
                owner,
                transformer,
                task,
                every[0],
                None,
                lambda: _fit_to_all(transformer, *every, **metadata),
            )
        return transformer

    fitted = _fit_once(owner, transformer, every, metadata, task, fit)
    if owner.verbose and not told:
        tell(owner, in_words(ahead(fitted, read)))
    return fitted, Reading(fitted, every, *read)


class _TimedError(Exception):
    """Ends a fit whose first steps have been timed."""

    def __init__(self, seconds: float, fitted: BaseEstimator):
        super().__init__(seconds)
        self.seconds, self.fitted = seconds, fitted


def time_of_fit(
    transformer: BaseEstimator, X: object
) -> tuple[float, BaseEstimator, list[torch.Tensor]]:
    """Return about the seconds of a fit, a fitted transformer, and what it has read of X, if so.

    A fit of ours ends when its first steps have been timed.
    """
    transformer, read = unwatched(transformer), list[torch.Tensor]()

    def follow(attributes: dict[str, object], seconds: float) -> str:
        raise _TimedError(seconds, as_fitted(transformer, attributes))

    start = time.perf_counter()
    try:
        with handing_over(last_step(transformer), read, follow):
            transformer.fit(X)
    except _TimedError as timed:
        return timed.seconds, timed.fitted, read
    return time.perf_counter() - start, transformer, read


def _fit_once(
    owner: BaseEstimator,
    transformer: BaseEstimator,
    every: tuple[object, ...],
    metadata: dict[str, object],
    task: Task,
    fit: Callable[[], BaseEstimator],
) -> BaseEstimator:
    """Return the fitted transformer: as it is if it is frozen, from the cache, or by ``fit``."""
    if isinstance(transformer, FrozenEstimator):
        fit_as_task(owner, transformer, task, every[0], None, lambda: check_is_fitted(transformer))
        return transformer
    memory = check_memory(owner.memory)
    is_caching = getattr(memory, "location", "somewhere") is not None
    can_keep = is_caching and _only_watched(owner, transformer)
    key = fit_key(transformer, *every, **metadata) if can_keep else None
    if key is None:
        return fit()
    fitted = memory.cache(_call, ignore=["fit"])(key, fit)
    if fitted is not transformer:  # found in the cache: the task ends at once
        tell(owner, f"{type(last_step(transformer)).__name__} is fitted, in memory")
        fit_as_task(owner, None, task, every[0], None, lambda: None)
    return fitted


def _call(key: str, fit: Callable[[], Any]) -> Any:
    """Call ``fit``; joblib caches the result by the key."""
    return fit()


def _only_watched(owner: Any, transformer: Any) -> bool:
    """Tell whether no callback can change the fit, for example by stopping it."""
    parts = [transformer, *transformer.get_params(deep=True).values()]
    if any(getattr(part, "_skl_callbacks", None) for part in parts):
        return False
    callbacks = getattr(owner, "_skl_callbacks", [])
    return all(type(callback).__module__.startswith("sklearn.") for callback in callbacks)


def _fit_to_all(transformer: Any, X: Any, X_unlabeled: Any = None, **metadata: Any) -> Any:
    if X_unlabeled is None:
        return transformer.fit(X, **metadata)
    if has_fit_parameter(transformer, "X_unlabeled"):
        return transformer.fit(X, X_unlabeled=X_unlabeled, **metadata)
    if metadata:
        raise ValueError(
            f"{type(transformer).__name__}.fit takes no X_unlabeled, so {sorted(metadata)} would "
            "be of X alone. Add the rows of X_unlabeled to X, without labels, and theirs to these."
        )
    return transformer.fit(stack(X, X_unlabeled))


def stack(X: Any, more: Any) -> Any:
    """Return the rows of X and ``more`` in a container of their type."""
    shapes = [getattr(part, "shape", ())[1:] for part in (X, more)]
    if type(X) is type(more) and shapes[0] != shapes[1]:
        raise ValueError(
            f"X_unlabeled has rows of shape {shapes[1]}, but X has rows of shape {shapes[0]}: "
            "give both the same columns."
        )
    frame, other = (nw.from_native(part, pass_through=True) for part in (X, more))
    if isinstance(frame, nw.DataFrame) and isinstance(other, nw.DataFrame):
        if frame.implementation is other.implementation:
            return nw.concat([frame, other]).to_native()
    elif type(X) is type(more):
        if sparse.issparse(X):
            return sparse.vstack([X, more], format="csr")
        if isinstance(X, (list, tuple)):
            return [*X, *more]
        return (np.ma if isinstance(X, np.ma.MaskedArray) else np).concatenate([X, more])
    raise ValueError(
        f"X_unlabeled must be of the type of X, {type(X).__name__}, got {type(more).__name__}."
    )
