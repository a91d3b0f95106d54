"""Collapse of an embedding: detected on some rows before and after training."""

import dataclasses
import inspect
import warnings
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skssl._data._rows import Rows
from skssl._training._loop import Net, outputs

ROWS = 128  # to look at
AT_ONCE = 32  # or as many as a step takes
LEFT_OF_SPREAD = 0.01
ONE_DIRECTION = 1.25  # healthy fits end with 1.4 directions or more
DEAD = 0.5  # share of components that are the same for all rows
RANK_TO_LOSE = 3.0  # with fewer directions at the start, their loss may be chance


class Look(NamedTuple):
    """Statistics of the embedding of some rows.

    ``spread`` is the share of the embedding's squared norm in which rows differ, ``rank`` the
    number of directions in which they differ (RankMe, centred), ``n_dead`` the number of
    components that are the same for all rows, of ``n``.
    """

    spread: float
    rank: float
    n_dead: int
    n: int


def look(net: Net, rows: Rows, batch_size: int) -> Look:
    """Compute the statistics of the embedding of some rows, without changing the net."""
    at_once = max(AT_ONCE, batch_size)
    z = outputs(net, rows, lambda net, x, *others: net.encoder(x), at_once)
    z = z.double().flatten(1).nan_to_num()
    centred = z - z.mean(0)
    values = torch.linalg.svdvals(centred)
    spread = float(centred.square().sum() / z.square().sum().clamp(min=1e-300))
    n = z.shape[1]
    if spread < 1e-12:  # only rounding errors
        return Look(0.0, 0.0, n, n)
    rank = float(torch.special.entr(values / values.sum()).sum().exp())
    return Look(spread, rank, int((centred.abs().amax(0) <= 1e-6 * z.abs().max()).sum()), n)


def warn_of_collapse(estimator: Any, net: Net, rows: Rows, batch_size: int, before: Look) -> None:
    """Warn if training made the embeddings of different rows, or most components, alike."""
    after = look(net, rows, batch_size)
    x = rows.tensors[0]
    is_constant = after.rank == 0 and bool((x != x[:1]).any())
    if is_constant or after.spread < LEFT_OF_SPREAD * before.spread:
        found = "rows hardly differ in it"
    elif before.rank >= RANK_TO_LOSE and after.rank < ONE_DIRECTION:
        found = f"rows differ in {after.rank:.1f} directions, untrained in {before.rank:.1f}"
    else:
        _warn_of_dead_components(estimator, after)
        return
    warnings.warn(
        f"The embedding of {type(estimator).__name__} has collapsed: {found} (RankMe). "
        f"{_likely_cause(estimator, net)}",
        ConvergenceWarning,
        stacklevel=2,
    )


def _warn_of_dead_components(estimator: Any, after: Look) -> None:
    """Warn if half of the components or more say nothing of any row."""
    if not 0 < after.rank or after.n_dead < DEAD * after.n:
        return
    warnings.warn(
        f"In the embedding of {type(estimator).__name__}, {after.n_dead} of {after.n} components "
        "are the same for all rows: no row activates their units. Try a lower learning_rate or "
        "fewer components; an encoder= of yours should not end with ReLU.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _likely_cause(estimator: Any, net: Net) -> str:
    """Return the likely cause of a collapse among the parameters, and the remedy."""
    temperature = getattr(estimator, "temperature", 0)
    if estimator.learning_rate > 0.005:
        return f"learning_rate={estimator.learning_rate} is the likely cause: try 0.001 or less."
    if estimator.weight_decay > 1:
        return f"weight_decay={estimator.weight_decay} is the likely cause: try 0.0001."
    if temperature > 2:
        return f"temperature={temperature} is the likely cause: try one between 0.1 and 1."
    batch_size, default = estimator.batch_size, type(estimator).batch_size
    is_small = batch_size != "auto" and batch_size < 32 and batch_size != default
    if is_small and _depends_on_batches(estimator, net):
        return (
            f"batch_size={batch_size} is the likely cause: too few rows to compare, or to take "
            "statistics of. Try 128 or more."
        )
    return _advice(estimator, net)


def _depends_on_batches(estimator: Any, net: Net) -> bool:
    """Tell whether a row's loss depends on the other rows of its batch."""
    norms = (m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return estimator._negatives is True or any(norms)


def _advice(estimator: Any, net: Net) -> str:
    """Return what may have gone wrong where no parameter is suspicious, and what to try."""
    functions = getattr(net.views, "functions", ["the user's"])
    alters = any(getattr(function, "__name__", "") != "original" for function in functions)
    hidden = ", or the views= hide what tells them apart" if alters else ""
    remedies = ["weaker views="] if alters else []
    remedies.append("a lower learning_rate")
    if estimator._negatives:
        found = "Other rows are its negatives, which keep rows apart: the steps were too large"
        return f"{found}{hidden}. Try {_either(remedies)}"
    if estimator._negatives is False:
        remedies.append("a method whose loss keeps rows apart, such as SimCLR or VICReg")
        return "Its loss has no negatives, which would keep rows apart. Try " + _either(remedies)
    if changed := _own_parameters_changed(estimator):
        remedies.append(f"{' and '.join(changed)} as by default")
    return f"Nothing in the loss may keep rows apart{hidden}. Try " + _either(remedies)


def _own_parameters_changed(estimator: Any) -> list[str]:
    """Return the names of the parameters that only this method has and that were changed."""
    cls, *ancestors = type(estimator).__mro__
    shared = {name for each in ancestors for name in inspect.get_annotations(each)}
    own = set(inspect.get_annotations(cls)) - shared
    return [
        field.name
        for field in dataclasses.fields(estimator)
        if field.name in own and repr(getattr(estimator, field.name)) != repr(field.default)
    ]


def _either(remedies: list[str]) -> str:
    *others, last = remedies
    return f"{', '.join(others)} or {last}." if others else f"{last}."
