"""Redundancy reduction: views agree and features are decorrelated."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from skssl._data._draws import randperm
from skssl._ranks import agree, gather
from skssl.losses._common import _full_precision, _several, _wide
from skssl.losses._prediction import cosine_error


def barlow_twins(a: Tensor, b: Tensor, lambd: float = 5e-3) -> Tensor:
    """Barlow Twins: features agree across two views, and no two features are redundant.

    The cross-correlation matrix of the features is pushed towards the identity. With transposed
    inputs, rows are compared instead of features: the batch-wise variant that LFR uses.

    Parameters
    ----------
    a, b : Tensor of shape (n, d)
        Embeddings of the same n rows under two views. Standardised over the rows here; the
        correlations of a constant feature are 0.
    lambd : float, default=5e-3
        Weight of the squared correlations between different features.

    Returns
    -------
    loss : Tensor of shape ()
        ``sum_i (1 - c_ii)^2 + lambd * sum_{i != j} c_ij^2`` over the d x d correlations c.

    References
    ----------
    .. [1] Zbontar, Jing, Misra, LeCun and Deny, "Barlow Twins: Self-Supervised Learning via
       Redundancy Reduction", ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import barlow_twins
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> barlow_twins(z, z).item(), barlow_twins(z, z.flip(1), lambd=0.5).item()
    (0.0, 3.0)
    """
    a, b = _standardize(gather(a)), _standardize(gather(b))
    own = (a * b).sum(0)
    return (1 - own).square().sum() + lambd * _off_diagonal(a, b)


def vicreg(
    a: Tensor,
    b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """VICReg: views agree, every feature varies, and no two features vary together.

    Parameters
    ----------
    a, b : Tensor of shape (n, d)
        Embeddings of the same n rows under two views. The mean over the rows is subtracted
        here for the variances and covariances.
    invariance : float, default=25.0
        Weight of the mean squared difference of the views' entries.
    variance : float, default=25.0
        Weight of the mean over features of ``max(0, 1 - sqrt(var + 0.0001))``, summed over
        the views. The authors' code takes half of this sum.
    covariance : float, default=1.0
        Weight of the squared covariances of different features, divided by d and summed
        over the views.

    Returns
    -------
    loss : Tensor of shape ()
        The weighted sum, with variances and covariances over n - 1.

    References
    ----------
    .. [1] Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization
       for Self-Supervised Learning", ICLR 2022 (Algorithm 1).

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import vicreg
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> vicreg(z, z).item(), vicreg(z, z + 2).item()  # variances 4 / 3, covariance 0
    (0.0, 100.0)
    """
    a, b = _wide(a), _wide(b)
    loss = invariance * (a - b).square().mean()
    for z in (gather(a), gather(b)):
        z = (z - z.mean(0)) / max(1, len(z) - 1) ** 0.5
        deviation = (z.square().sum(0) + 1e-4).sqrt()
        loss = loss + variance * (1 - deviation).clamp(min=0).mean()
        loss = loss + covariance * _off_diagonal(z, z) / z.shape[1]
    return loss


def whitening_error(
    views: Sequence[Tensor],
    size: int | None = None,
    n_draws: int = 1,
    shrinkage: float = 1e-6,
) -> Tensor:
    """W-MSE: views agree after whitening, which makes collapse impossible.

    The rows are split at random into parts, the same parts in all views. Each part of a view is
    whitened by the Cholesky factor of its own covariance, in float64 where the device has it.
    The covariance is shrunk towards a multiple of the identity, so that it has a factor even
    with fewer rows than features.

    Parameters
    ----------
    views : sequence of Tensor of shape (n, d)
        Embeddings of the same n rows, view by view.
    size : int, optional
        Approximate number of rows per part: n rows make ``n // size`` equal parts, at least
        one, and the remaining rows are left out of this draw. Twice d by default. Whitening
        has little meaning below d.
    n_draws : int, default=1
        Number of random splits; the loss is the mean over them.
    shrinkage : float, default=1e-6
        Share of the identity, times the mean variance, in the covariance. Directions with less
        variance than this are not whitened but dropped. A net exploits that: the more
        directions it may drop, the easier the views agree in the others.

    Returns
    -------
    error : Tensor of shape ()
        Mean over pairs of views and over rows of ``2 - 2 cos``.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Ermolov, Siarohin, Sangineto and Sebe, "Whitening for Self-Supervised
       Representation Learning", ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import whitening_error
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> turned = z * torch.tensor([1, -1])
    >>> [round(whitening_error([z, other]).item(), 3) for other in (3 * z + 1, turned)]
    [0.0, 2.0]
    """
    _several(views, "whitening_error")
    views = [gather(_wide(view)) for view in views]
    n, d = views[0].shape
    n_parts = max(1, n // (size or 2 * d))
    errors = []
    with _full_precision(views[0]):
        for _ in range(n_draws):
            rows = agree(randperm(n, device=views[0].device))[: n // n_parts * n_parts]
            parts = (view[rows].unflatten(0, (n_parts, -1)) for view in views)
            white = [_whiten(part, shrinkage) for part in parts]
            errors += [cosine_error(a, b) for a, b in combinations(white, 2)]
        return torch.stack(errors).mean()


def _whiten(z: Tensor, shrinkage: float) -> Tensor:
    """Whiten each of several batches (..., n, d) by itself."""
    given = z.dtype
    z = z - z.mean(-2, keepdim=True)
    z = z.double() if z.device.type != "mps" else z
    covariance = z.mT @ z / max(1, z.shape[-2] - 1)
    # The floor is for constant features, which have no variance at all.
    level = covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-6)[..., None, None]
    identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * identity
    # Unlike cholesky, this passes NaN on, and the training loop explains it.
    factor = torch.linalg.cholesky_ex(shrunk).L
    return torch.linalg.solve_triangular(factor, z.mT, upper=False).mT.to(given)


def _standardize(z: Tensor) -> Tensor:
    """Centre the columns and divide by their norm; a constant column becomes nearly zero."""
    z = _wide(z)
    z = z - z.mean(0)
    # Centring leaves rounding errors in a constant column; they must not grow to norm one.
    return z / z.norm(dim=0).clamp(min=1e-4 * len(z) ** 0.5)


def _off_diagonal(a: Tensor, b: Tensor) -> Tensor:
    """Sum the squared products of each column of ``a`` with every other column of ``b``."""
    n, d = a.shape
    if d <= 2 * n:
        squares = _wide(a.T @ b).square()
        return squares.sum() - squares.diagonal().sum()
    # |a'b|^2 = <aa', bb'>: for wide embeddings, products of rows are cheaper.
    return (_wide(a @ a.T) * _wide(b @ b.T)).sum() - (a * b).sum(0).square().sum()
