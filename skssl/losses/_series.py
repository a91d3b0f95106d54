"""Losses of what a net makes of each step of a series."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl.losses._common import _wide


def _recognise(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean loss of finding row i of b by row i of a, and the reverse.

    a, b of shape (groups, n, d): in each group, the candidates are all 2 n rows but itself.
    """
    n = a.shape[1]
    z = torch.cat([a, b], 1)
    scores = _wide(z @ z.mT)
    scores.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(scores.flatten(0, 1), partner.repeat(len(z)))


def hierarchical_contrast(a: Tensor, b: Tensor, alpha: float = 0.5) -> Tensor:
    """Contrast two views of the same steps, among series and among steps, at every time scale.

    A step must recognise itself in the other view among the same step of all series of the
    batch, and among all steps of its series. Then neighbouring steps are pooled in pairs, by
    their maximum, and all is repeated until one step is left.

    Parameters
    ----------
    a, b : Tensor of shape (n, time, d)
        What the encoder makes of each step in either view.
    alpha : float, default=0.5
        Weight of the contrast among series; the contrast among steps has the rest.

    Returns
    -------
    loss : Tensor
        The mean over scales; similarities are inner products.

    References
    ----------
    .. [1] Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022.
       https://arxiv.org/abs/2106.10466

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import hierarchical_contrast
    >>> z = 9 * torch.eye(4).reshape(2, 2, 4)
    >>> round(hierarchical_contrast(z, z).item(), 4)
    0.0
    """
    loss, n_scales = a.new_zeros((), dtype=torch.float32), 1
    while a.shape[1] > 1:
        among_series = _recognise(a.transpose(0, 1), b.transpose(0, 1))
        loss = loss + alpha * among_series + (1 - alpha) * _recognise(a, b)
        a, b = (F.max_pool1d(z.mT, 2).mT for z in (a, b))
        n_scales += 1
    return (loss + alpha * _recognise(a.transpose(0, 1), b.transpose(0, 1))) / n_scales
