"""Which transformer a meta-estimator has inside: its default, its last step, its raw columns."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from skssl._data import infer_modality, note_columns
from skssl._meta._raw_columns import RAW
from skssl.base._modalities import modality_of, nouns, parameters_of
from skssl.base._transformer import SSLTransformer
from skssl.methods import MultiTask, SimCLR, TextContrast, TS2Vec

# of other modalities MultiTask
DEFAULTS: dict[str, Any] = {
    "image": partial(SimCLR, n_components=512),
    "video": SimCLR,
    "series": TS2Vec,
    "text": TextContrast,
}


def default_transformer(X: Any) -> SSLTransformer:
    """Return what learns the embedding of data of the modality of X, where nothing was said."""
    return DEFAULTS.get(infer_modality(X), MultiTask)()


def fit_raw_columns(transformer: Any, passthrough: Any, every: tuple[Any, ...]) -> Any:
    """Fit what encodes the raw columns, where they are to stand beside the embedding."""
    if passthrough is False:
        return None
    last = last_step(transformer)
    every = tuple(seen_by_last_step(transformer, X) for X in every)
    if passthrough == "auto" and sparse.issparse(every[0]):
        return None
    modality = modality_of(every[0], last)
    if modality not in RAW:
        if passthrough == "auto":
            return None
        raise ValueError(
            f"passthrough=True joins the raw columns of {nouns(RAW)}; X looks "
            f"like modality={modality!r}. Pass passthrough='auto'."
        )
    return RAW[modality](**parameters_of(RAW[modality], last)).fit(*every)


def check_columns(owner: Any, transformer: Any, X: Any) -> None:
    """Compare the columns of X with those of ``fit``; most transformers do so themselves."""
    if transformer is not None and get_tags(transformer).no_validation:
        note_columns(owner, X, reset=False)


def steps_of(estimator: Any, *, keep_frozen: bool = False) -> list[Any]:
    """Return the steps of Pipelines, nested or frozen ones too; anything else is one step.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.
    keep_frozen : bool, default=False
        Whether a step in a FrozenEstimator, at any level, stands in one of its own, so that it
        is not fitted again.

    Returns
    -------
    steps : list of estimator
        One at least; no Pipeline and, unless ``keep_frozen``, no FrozenEstimator. Steps that pass
        rows through are left out.
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
    """Return the last of the steps of Pipelines, which learns the embedding."""
    return steps_of(estimator)[-1]


def seen_by_last_step(transformer: Any, X: Any) -> Any:
    """Return X as the last step reads it: dates and text are numbers there."""
    for step in steps_of(transformer)[:-1]:
        X = step.transform(X)
    return X
