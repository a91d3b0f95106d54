"""Losses: pure functions from predictions and targets, or embeddings, to a scalar tensor.

Similarities are multiplied in the dtype of the computation (bfloat16 under autocast, where
that product is most of the cost); everything after the product is float32 or wider.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._columns import Columns, blocks


def info_nce(anchor: Tensor, positive: Tensor, temperature: float = 1.0) -> Tensor:
    """InfoNCE, one way: row i of ``anchor`` must find row i among the rows of ``positive``.

    Parameters
    ----------
    anchor, positive : Tensor of shape (n, d)
        Embeddings of the same n rows under two views. Normalised here.
    temperature : float, default=1.0
        Divides the cosine similarities: the lower, the harder the negatives.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over rows of ``-log(exp(s_ii / t) / sum_j exp(s_ij / t))``.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive
       Predictive Coding", 2018.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import info_nce
    >>> info_nce(torch.eye(2), torch.eye(2)).item()  # log(1 + exp(-1))
    0.313...
    """
    similarity = _wide(_unit(anchor) @ _unit(positive).T) / temperature
    return F.cross_entropy(similarity, torch.arange(len(anchor), device=anchor.device))


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


def _unit(z: Tensor) -> Tensor:
    return F.normalize(_wide(z), dim=1)


def _wide(z: Tensor) -> Tensor:
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
