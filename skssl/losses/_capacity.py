"""Capacity losses: how much of the space the embeddings fill."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._ranks import gather
from skssl.losses._common import _full_precision, _several, _unit


def mmcr(views: Sequence[Tensor]) -> Tensor:
    """Maximum manifold capacity: the views of a row agree and the centroids of the rows spread.

    Parameters
    ----------
    views : sequence of Tensor of shape (n, d)
        Embeddings of the same n rows, view by view. Normalised here.

    Returns
    -------
    loss : Tensor of shape ()
        Minus the nuclear norm, the sum of singular values, of the n x d centroids of the
        views. Views that disagree shorten the centroids, so one term does both.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Yerxa, Kuang, Simoncelli and Chung, "Learning Efficient Coding of Natural Images
       with Maximum Manifold Capacity Representations", NeurIPS 2023.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import mmcr
    >>> mmcr([torch.eye(3), torch.eye(3)]).item(), mmcr([torch.eye(3), -torch.eye(3)]).item()
    (-3.0, -0.0)
    """
    _several(views, "mmcr")
    centroids = gather(torch.stack([_unit(view) for view in views]).mean(0))
    if not centroids.isfinite().all():
        return centroids.sum()  # NaN: the training loop explains it, svdvals would raise
    return -torch.linalg.svdvals(centroids).sum()


def emp_ssl(views: Sequence[Tensor], invariance: float = 200.0, epsilon: float = 0.2) -> Tensor:
    """EMP-SSL: many views of a row agree with their mean, and the rows of each view spread.

    Parameters
    ----------
    views : sequence of Tensor of shape (n, d)
        Embeddings of the same n rows, view by view. Normalised here.
    invariance : float, default=200.0
        Weight of the agreement.
    epsilon : float, default=0.2
        The squared precision of the :func:`total_coding_rate`.

    Returns
    -------
    loss : Tensor of shape ()
        ``-invariance`` times the mean cosine between a view and the mean of the row's views,
        minus the mean of the views' coding rates.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Tong, Chen, Ma and LeCun, "EMP-SSL: Towards Self-Supervised Learning in One
       Training Epoch", 2023. https://arxiv.org/abs/2304.03977

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import emp_ssl
    >>> emp_ssl([torch.eye(2), torch.eye(2)], epsilon=1.0).item()  # -200 - log(2)
    -200.693...
    """
    _several(views, "emp_ssl")
    unit = torch.stack([_unit(view) for view in views])
    # Rows next to zero are short here: without a floor, their slope would be one over the square.
    centre = F.normalize(unit.mean(0), eps=1e-3)
    agreement = (unit * centre).sum(-1).mean()
    rate = torch.stack([total_coding_rate(view, epsilon) for view in views]).mean()
    return -invariance * agreement - rate


def total_coding_rate(z: Tensor, epsilon: float = 0.2) -> Tensor:
    """Total coding rate: the nats needed to tell the rows apart to a precision. Maximise it.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings. Normalised here.
    epsilon : float, default=0.2
        The squared precision. The paper squares its epsilon, the authors' code does not, and
        the values that they report are those of the code.

    Returns
    -------
    rate : Tensor of shape ()
        ``logdet(I + d / (n epsilon) Z'Z) / 2``, in float32 or wider even under autocast.

    References
    ----------
    .. [1] Tong, Chen, Ma and LeCun, "EMP-SSL: Towards Self-Supervised Learning in One
       Training Epoch", 2023. https://arxiv.org/abs/2304.03977

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import total_coding_rate
    >>> total_coding_rate(torch.eye(2), epsilon=1.0).item()  # log(2)
    0.693...
    >>> total_coding_rate(torch.ones(2, 2), epsilon=1.0).item()  # log(3) / 2
    0.549...
    """
    z = gather(_unit(z))
    n, d = z.shape
    with _full_precision(z):
        products = z.T @ z if d <= n else z @ z.T  # either has the same determinant
        scaled = products * (d / (n * epsilon)) + torch.eye(
            len(products), dtype=z.dtype, device=z.device
        )
        # Unlike cholesky, this passes NaN on, and the training loop explains it.
        return torch.linalg.cholesky_ex(scaled).L.diagonal().log().sum()
