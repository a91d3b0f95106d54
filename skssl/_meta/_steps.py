"""Which transformer a meta-estimator has inside: its default, the steps of its Pipelines."""

from collections.abc import Iterator
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from skssl._data import note_columns
from skssl.base._modalities import MODALITIES, look_up
from skssl.base._modality_of import readings
from skssl.base._transformer import SSLTransformer


def default_transformer(X: Any) -> SSLTransformer:
    """Return the default method for the modality of X."""
    choose = "transformer={method}(modality={modality!r})"
    row = MODALITIES[readings(X).decide(MODALITIES, choose=choose)]
    return look_up(row.method)(**row.method_parameters)


def check_embedding(Z: object, transformer: object) -> None:
    """Raise ValueError unless what a transformer returned is one vector for each row."""
    shape = getattr(Z, "shape", (0, 0))
    if len(shape) != 2:
        pooling = " Set pooling='mean' or 'max'." if hasattr(transformer, "pooling") else ""
        raise ValueError(
            f"{type(transformer).__name__} returns an array of shape {shape}; expected one vector "
            f"for each row, (n_samples, n_components).{pooling}"
        )


def check_columns(owner: Any, transformer: Any, X: Any) -> None:
    """Compare the columns of X with those of ``fit``; most transformers do so themselves."""
    if transformer is not None and get_tags(transformer).no_validation:
        note_columns(owner, X, reset=False)


def steps_of(estimator: Any, *, keep_frozen: bool = False) -> list[Any]:
    """Return the steps of Pipelines, also nested or frozen; any other estimator is one step.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.
    keep_frozen : bool, default=False
        Whether to wrap each step that is inside a FrozenEstimator, at any level, in one of its
        own, so that it is not fitted again.

    Returns
    -------
    steps : list of estimator
        At least one; no Pipeline and, unless ``keep_frozen``, no FrozenEstimator. Steps that pass
        rows through are dropped.
    """
    found = list(_walk(estimator, False)) or [(FunctionTransformer(), False)]
    return [FrozenEstimator(step) if keep_frozen and frozen else step for step, frozen in found]


def _walk(estimator: Any, is_frozen: bool) -> Iterator[tuple[Any, bool]]:
    if isinstance(estimator, FrozenEstimator):
        yield from _walk(estimator.estimator, True)
    elif isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _walk(step, is_frozen)
    elif estimator is not None and not isinstance(estimator, str):  # "passthrough"
        yield estimator, is_frozen


def last_step(estimator: Any) -> Any:
    """Return the last step of Pipelines, which learns the embedding."""
    return steps_of(estimator)[-1]
