"""Collapse of an embedding: detected on some rows before and after training."""

import warnings
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning

from skssl._data._rows import Rows
from skssl._training._loop import Net, outputs

ROWS = 128  # to look at
AT_ONCE = 32
LEFT_OF_SPREAD = 0.01
ONE_DIRECTION = 1.25  # healthy fits end with 1.4 directions or more
RANK_TO_LOSE = 3.0  # with fewer directions at the start, their loss may be chance


class Look(NamedTuple):
    """Statistics of the embedding of some rows.

    ``spread`` is the share of the embedding's squared norm in which rows differ, ``rank`` the
    number of directions in which they differ (RankMe, centred).
    """

    spread: float
    rank: float


def look(net: Net, rows: Rows) -> Look:
    """Compute the statistics of the embedding of some rows, without changing the net."""
    z = outputs(net, rows, lambda net, x, *others: net.encoder(x), AT_ONCE).double()
    z = z.flatten(1).nan_to_num()
    centred = z - z.mean(0)
    values = torch.linalg.svdvals(centred)
    spread = float(centred.square().sum() / z.square().sum().clamp(min=1e-300))
    if spread < 1e-12:  # only rounding errors
        return Look(0.0, 0.0)
    return Look(spread, float(torch.special.entr(values / values.sum()).sum().exp()))


def warn_of_collapse(estimator: Any, net: Net, rows: Rows, before: Look) -> None:
    """Warn if training made the embeddings of different rows alike."""
    after = look(net, rows)
    x = rows.tensors[0]
    is_constant = after.rank == 0 and bool((x != x[:1]).any())
    if is_constant or after.spread < LEFT_OF_SPREAD * before.spread:
        found = "rows hardly differ in it"
    elif before.rank >= RANK_TO_LOSE and after.rank < ONE_DIRECTION:
        found = f"rows differ in {after.rank:.1f} directions, untrained in {before.rank:.1f}"
    else:
        return
    warnings.warn(
        f"The embedding of {type(estimator).__name__} has collapsed: {found} (RankMe). "
        f"{_likely_cause(estimator, net)}",
        ConvergenceWarning,
        stacklevel=2,
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
    if estimator.batch_size != "auto" and estimator.batch_size < 32:
        return (
            f"batch_size={estimator.batch_size} is the likely cause: too few rows to compare, or "
            "to take statistics of. Try 128 or more."
        )
    if hasattr(net, "predictor") or hasattr(net, "teacher"):
        return (
            "Its loss has no negatives, which would keep rows apart: lower learning_rate, try "
            "weaker views=, or a method that has them, such as SimCLR or VICReg."
        )
    return (
        "Nothing in the loss may keep rows apart, or the views= hide what tells them apart: try "
        "weaker views=, a lower learning_rate, or the weights of the loss as they are by default."
    )
