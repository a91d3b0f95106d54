"""Reconstruction losses for table cells."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._data._columns import Columns, blocks, greatest


def cell_error(output: Tensor, x: Tensor, columns: Columns, weight: Tensor | None = None) -> Tensor:
    """Mean error of predicted table cells: squared for numbers, cross-entropy for categories.

    Parameters
    ----------
    output : Tensor of shape (n, ``columns.n_outputs``)
        One value per numeric column, then one logit per category of the other columns, which
        are ordered by their number of categories, then by position.
    x : Tensor of shape (n, d)
        The true cells: scaled numbers and category codes. A missing cell (NaN) and a
        category never seen in training are never targets.
    columns : Columns
        The meaning of the d columns.
    weight : Tensor of shape (n, d), optional
        Weight of each cell; all 1 by default.

    Returns
    -------
    error : Tensor of shape ()
        Weighted mean over the target cells; 0 if there are none.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import Columns, cell_error
    >>> x = torch.tensor([[1.0, float("nan")], [3.0, 0.0]])
    >>> cell_error(torch.zeros(2, 2), x, Columns((0, 0))).item()  # (1 + 9 + 0) / 3
    3.333...
    """
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    total, count = output.new_zeros(()), output.new_zeros(())
    seen = x <= greatest(columns, x.device)
    counted = seen.to(output.dtype) if weight is None else seen.to(output.dtype) * weight
    for index, errors in _errors(output, torch.where(seen, x, 0.0), columns):
        cells = counted if len(index) == x.shape[1] else counted[:, index]
        total = total + (errors * cells).sum()
        count = count + cells.sum()
    return total / count.clamp(min=torch.finfo(count.dtype).tiny)


def cell_errors(output: Tensor, x: Tensor, columns: Columns) -> Tensor:
    """Error of each predicted table cell: squared for numbers, cross-entropy for categories.

    Parameters
    ----------
    output : Tensor of shape (n, ``columns.n_outputs``)
        As in :func:`cell_error`.
    x : Tensor of shape (n, d)
        The true cells. A category never seen in training counts as the least likely one.
    columns : Columns
        The meaning of the d columns.

    Returns
    -------
    errors : Tensor of shape (n, d)
        NaN where a cell is missing.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import Columns, cell_errors
    >>> x = torch.tensor([[3.0, 1.0], [float("nan"), 0.0]])
    >>> cell_errors(torch.zeros(2, 3), x, Columns((0, 2)))  # log(2): both categories are as likely
    tensor([[9.0000, 0.6931],
            [   nan, 0.6931]])
    """
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    target = torch.zeros_like(x)
    for cardinality, index, span in blocks(columns, x.device):
        if cardinality:
            logits = output[:, span].unflatten(1, (-1, cardinality))
            target[:, index] = logits.argmin(2).to(x.dtype)
    target = torch.where(x <= greatest(columns, x.device), x, target)
    errors = torch.empty_like(x, dtype=output.dtype)
    for index, of_block in _errors(output, target, columns):
        errors[:, index] = of_block
    return errors.masked_fill(x.isnan(), torch.nan)


def _errors(output: Tensor, target: Tensor, columns: Columns) -> list[tuple[Tensor, Tensor]]:
    """Return the indices of the columns of each cardinality, and the errors of their cells."""
    found = []
    for cardinality, index, span in blocks(columns, target.device):
        block = output[:, span]
        cells = target if len(index) == target.shape[1] else target[:, index]
        if cardinality:
            logits, codes = block.reshape(-1, cardinality), cells.reshape(-1).long()
            errors = F.cross_entropy(logits, codes, reduction="none").view_as(cells)
        else:
            errors = (block - cells).square()
        found.append((index, errors))
    return found


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
    wide = torch.promote_types(logits.dtype, torch.float32)
    return F.binary_cross_entropy_with_logits(logits.to(wide), mask.to(wide))
