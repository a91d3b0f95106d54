"""Views of tables: swapped cells, masked cells, windows of columns."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._data._draws import rand, randint


def swap_cells(x: Tensor, p: float = 0.6, exact: bool = False) -> Tensor:
    """Replace each cell, with probability p, by the cell of a random row in the same column.

    Numbers, category codes and missing values are treated alike, and every column keeps its
    marginal distribution.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        A batch of rows.
    p : float, default=0.6
        Probability that a cell is replaced.
    exact : bool, default=False
        Whether to replace exactly ``floor(p * d)`` cells of each row, at least one, each by the
        cell of another row.

    Returns
    -------
    view : Tensor of shape (n, d)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import swap_cells
    >>> view = swap_cells(torch.arange(8.0).reshape(4, 2), p=0.5)
    >>> bool((view % 2 == torch.tensor([0.0, 1.0])).all())  # no cell left its column
    True
    """
    if p <= 0:
        return x
    if exact:
        return _swap_so_many(x, max(1, math.floor(p * x.shape[1] + 1e-9)))
    u = rand(x.shape, device=x.device)  # one draw decides whether to swap and with which row
    donor = (u * (len(x) / p)).long().clamp_(max=len(x) - 1)
    return torch.where(u < p, x.gather(0, donor), x)


def _swap_so_many(x: Tensor, n_swapped: int) -> Tensor:
    """Replace the cells of ``n_swapped`` random columns of each row by those of other rows."""
    n = len(x)
    columns = rand(x.shape, device=x.device).topk(n_swapped, dim=1).indices
    further = randint(1, max(2, n), columns.shape, device=x.device)
    donor = (torch.arange(n, device=x.device)[:, None] + further) % n
    return x.scatter(1, columns, x[donor, columns])


def swap_columns(x: Tensor, low: float = 0.2, high: float = 0.5) -> Tensor:
    """Swap all cells of a random subset of columns with the cells of random rows.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        A batch of rows.
    low, high : float, default=0.2, 0.5
        Least and greatest share of the columns to swap: at least one column, and not all.

    Returns
    -------
    view : Tensor of shape (n, d)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import altered, swap_columns
    >>> x = torch.arange(80.0).reshape(20, 4)
    >>> altered(x, swap_columns(x, low=0.5, high=0.5)).any(0).sum()
    tensor(2)
    """
    d = x.shape[1]
    share = low + (high - low) * rand((), device=x.device)
    n_swapped = (share * d).floor().clamp(min=1).clamp(max=max(1, d - 1))
    swapped = rand(d, device=x.device).argsort() < n_swapped
    return torch.where(swapped, swap_cells(x, p=1.0), x)


def mask_cells(x: Tensor, p: float = 0.4) -> Tensor:
    """Mask each cell, as a missing value, with probability p.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        A batch of rows.
    p : float, default=0.4
        Probability that a cell is masked.

    Returns
    -------
    view : Tensor of shape (n, d)
        The altered copy; masked cells are NaN.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import mask_cells
    >>> bool(mask_cells(torch.ones(100, 100), p=0.4).isnan().any(0).all())
    True
    """
    return torch.where(rand(x.shape, device=x.device) < p, torch.nan, x)


def altered(x: Tensor, view: Tensor) -> Tensor:
    """Tell which cells a view altered; a missing value in place of another is no change.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import altered
    >>> altered(torch.tensor([1.0, 2.0, float("nan")]), torch.tensor([1.0, 0.0, float("nan")]))
    tensor([False,  True, False])
    """
    return (x != view) & ~(x.isnan() & view.isnan())


def column_windows(h: Tensor, width: int, n_windows: int) -> tuple[Tensor, Tensor]:
    """Cut rows into windows of neighbouring columns, each with the rest of its row.

    Parameters
    ----------
    h : Tensor of shape (n, d)
        Rows of numbers.
    width : int
        Columns of a window, at most d.
    n_windows : int
        Greatest number of windows, evenly spaced from the first possible one to the last.

    Returns
    -------
    windows : Tensor of shape (n, m, width)
        Windows from left to right.
    rests : Tensor of shape (n, m, d)
        The rest of the row: the columns before and after the window, joined and padded with
        zeros at the end, so that it does not show where the window was.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import column_windows
    >>> windows, rests = column_windows(torch.tensor([[1.0, 2.0, 3.0]]), 2, 9)
    >>> windows.tolist(), rests.tolist()
    ([[[1.0, 2.0], [2.0, 3.0]]], [[[3.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    """
    d = h.shape[1]
    n_windows = min(n_windows, d - width + 1)
    first = torch.linspace(0, d - width, n_windows, device=h.device).round().long()[:, None]
    place = torch.arange(d, device=h.device)
    rest = torch.where(place < first, place, place + width).clamp(max=d)  # d is a zero
    inside = first + torch.arange(width, device=h.device)
    return h[:, inside], F.pad(h, (0, 1))[:, rest]
