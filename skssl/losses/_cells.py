"""Errors of predicted table cells."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._columns import Columns, blocks
from skssl.losses._common import _wide


def cell_error(output: Tensor, x: Tensor, columns: Columns, weight: Tensor | None = None) -> Tensor:
    """Mean error of predicted table cells: squared for numbers, cross-entropy for categories.

    Parameters
    ----------
    output : Tensor of shape (n, ``columns.n_outputs``)
        One value per numeric column, then one logit per category of each other column, in
        the order of :func:`skssl._columns.blocks`.
    x : Tensor of shape (n, d)
        The true cells: scaled numbers and category codes. A missing cell (NaN) and a
        category never seen in training are never targets.
    columns : Columns
        What the d columns mean.
    weight : Tensor of shape (n, d), optional
        Weight of each cell; all 1 by default.

    Returns
    -------
    error : Tensor of shape ()
        Weighted mean over the cells that are targets; 0 if there is none.

    Examples
    --------
    >>> import torch
    >>> from skssl._columns import Columns
    >>> from skssl.losses import cell_error
    >>> x = torch.tensor([[1.0, float("nan")], [3.0, 0.0]])
    >>> cell_error(torch.zeros(2, 2), x, Columns((0, 0))).item()  # (1 + 9 + 0) / 3
    3.333...
    """
    output = _wide(output)
    total, count = output.new_zeros(()), output.new_zeros(())
    for cardinality, index, span in blocks(columns, x.device):
        target = x if len(index) == x.shape[1] else x[:, index]
        seen = ~target.isnan()
        if cardinality:
            seen = seen & (target < cardinality)
        target = torch.where(seen, target, 0.0)
        block = output[:, span]
        if cardinality:
            logits = block.reshape(-1, cardinality)
            codes = target.reshape(-1).long()
            error = F.cross_entropy(logits, codes, reduction="none").view_as(target)
        else:
            error = (block - target).square()
        cells = seen.to(error.dtype)
        if weight is not None:
            cells = cells * (weight if len(index) == x.shape[1] else weight[:, index])
        total = total + (error * cells).sum()
        count = count + cells.sum()
    return total / count.clamp(min=torch.finfo(count.dtype).tiny)


def mask_error(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of predicting which cells were altered.

    Parameters
    ----------
    logits : Tensor of shape (n, d)
        Predicted log-odds that a cell was altered.
    mask : bool Tensor of shape (n, d)
        Whether it was.

    Returns
    -------
    error : Tensor of shape ()
        Mean over all cells.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import mask_error
    >>> mask_error(torch.zeros(2, 2), torch.eye(2).bool()).item()  # log(2)
    0.693...
    """
    logits = _wide(logits)
    return F.binary_cross_entropy_with_logits(logits, mask.to(logits.dtype))
