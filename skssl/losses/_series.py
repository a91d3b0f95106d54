"""Losses on the embeddings of the steps of time series."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl.losses._common import _wide


def _recognise(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean loss of finding row i of b from row i of a, and the reverse.

    a and b are of shape (groups, n, d). The candidates of a row are the other 2n - 1 rows of
    its group.
    """
    n = a.shape[1]
    z = torch.cat([a, b], 1)
    scores = _wide(z @ z.mT)
    scores.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(scores.flatten(0, 1), partner.repeat(len(z)))


def find_future(prediction: Tensor, future: Tensor) -> Tensor:
    """Find the true future among the futures of other places: InfoNCE on inner products.

    Parameters
    ----------
    prediction : Tensor of shape (n, d)
        Predicted future at each of n places.
    future : Tensor of shape (n, d)
        True future at each place; each row is also a negative of all other places.

    Returns
    -------
    loss : Tensor
        Mean cross-entropy; the scores are inner products divided by the square root of d.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. https://arxiv.org/abs/1807.03748

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import find_future
    >>> round(find_future(torch.zeros(4, 8), torch.ones(4, 8)).item(), 4)  # log 4
    1.3863
    """
    scores = _wide(prediction @ future.mT) / prediction.shape[1] ** 0.5
    return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def hierarchical_contrast(a: Tensor, b: Tensor, alpha: float = 0.5) -> Tensor:
    """Contrast two views of the same steps, across series and across steps, at every time scale.

    A step must recognise itself in the other view among the same step of all series in the
    batch, and among all steps of its series. Then neighbouring steps are max-pooled in pairs,
    and both contrasts are repeated until one step is left.

    Parameters
    ----------
    a, b : Tensor of shape (n, time, d)
        Embeddings of the steps in the two views.
    alpha : float, default=0.5
        Weight of the contrast across series; the contrast across steps has weight
        ``1 - alpha``.

    Returns
    -------
    loss : Tensor
        Mean over the scales; similarities are inner products.

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
