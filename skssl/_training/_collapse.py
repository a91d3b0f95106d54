"""Has training made rows alike? A look at some rows before and after, and the likely cause."""

import warnings
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning

from skssl._data._rows import Rows
from skssl._training._loop import Net, outputs

ROWS = 128  # looked at
AT_ONCE = 32
LEFT_OF_SPREAD = 0.01
ONE_DIRECTION = 1.25  # healthy fits end with 1.4 directions or more, be it a third of the start's
RANK_TO_LOSE = 3.0  # of fewer directions there is little to lose, and chance decides


class Look(NamedTuple):
    """What an encoder makes of some rows.

    ``spread`` is the share of the embedding's squared norm in which rows differ, ``rank``
    the number of directions in which they do (RankMe, centred).
    """

    spread: float
    rank: float


def look(net: Net, rows: Rows) -> Look:
    """Look at the embedding of some rows; what is trained stays as it is."""
    z = outputs(net, rows, lambda net, x, *others: net.encoder(x), AT_ONCE).double()
    z = z.flatten(1).nan_to_num()
    centred = z - z.mean(0)
    values = torch.linalg.svdvals(centred)
    spread = float(centred.square().sum() / z.square().sum().clamp(min=1e-300))
    if spread < 1e-12:  # nothing but rounding
        return Look(0.0, 0.0)
    return Look(spread, float(torch.special.entr(values / values.sum()).sum().exp()))


def warn_of_collapse(estimator: Any, net: Net, rows: Rows, before: Look) -> None:
    """Warn if training has made the embeddings of different rows alike."""
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
    """Return what in the parameters makes a collapse likely, and what to do."""
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
