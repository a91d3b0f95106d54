"""Contrastive losses: rows recognise their other view among other rows."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._ranks import gather_views
from skssl.losses._common import _unit, _wide


def info_nce(
    anchor: Tensor, positive: Tensor, temperature: float = 1.0, negatives: Tensor | None = None
) -> Tensor:
    """InfoNCE, one way: row i of ``anchor`` must find row i of ``positive`` among others.

    Parameters
    ----------
    anchor, positive : Tensor of shape (n, d)
        Embeddings of the same n rows under two views. Normalised here.
    temperature : float, default=1.0
        Divides the cosine similarities: the lower, the harder the negatives.
    negatives : Tensor of shape (m, d), optional
        Rows among which the positive is to be found, such as MoCo's queue. Normalised here. By
        default, the other rows of ``positive``.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over rows of ``-log(exp(s_ii / t) / sum_j exp(s_ij / t))``; the sum is over the
        positive and all negatives.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive
       Predictive Coding", 2018.
    .. [2] He, Fan, Wu, Xie and Girshick, "Momentum Contrast for Unsupervised Visual
       Representation Learning", CVPR 2020: with a queue.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import info_nce
    >>> info_nce(torch.eye(2), torch.eye(2)).item()  # log(1 + exp(-1))
    0.313...
    >>> info_nce(torch.eye(2), torch.eye(2), negatives=-torch.eye(2)).item()
    0.407...
    """
    anchor, positive = _unit(anchor), _unit(positive)
    if negatives is None:
        anchor, positive = gather_views(anchor, positive)
        similarity = (anchor @ positive.T).to(anchor.dtype) / temperature
        return F.cross_entropy(similarity, torch.arange(len(anchor), device=anchor.device))
    own = (anchor * positive).sum(1) / temperature
    others = _wide(anchor @ _unit(negatives).T) / temperature
    return F.softplus(others.logsumexp(1) - own).mean()


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.2, decoupled: bool = False) -> Tensor:
    """NT-Xent: each of 2n embeddings must find its other view among all 2n - 1 others.

    Parameters
    ----------
    a, b : Tensor of shape (n, d)
        Embeddings of the same n rows under two views. Normalised here.
    temperature : float, default=0.2
        Divides the cosine similarities: the lower, the harder the negatives.
    decoupled : bool, default=False
        Whether to drop the positive from the denominator (DCL), which lets small batches learn
        like large ones. The loss may then be negative.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the 2n embeddings of ``-log(exp(s_ip / t) / sum_{j != i} exp(s_ij / t))``,
        where p is the other view of i. If ``decoupled``, the sum leaves out j = p; its logarithm
        counts as 0 in a batch of one row, where nothing is left to sum.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning
       of Visual Representations", ICML 2020.
    .. [2] Yeh, Hong, Hsu, Liu, Chen and LeCun, "Decoupled Contrastive Learning", ECCV 2022.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import nt_xent
    >>> nt_xent(torch.eye(2), torch.eye(2), 1.0).item()  # log(1 + 2 exp(-1))
    0.551...
    >>> nt_xent(torch.eye(2), torch.eye(2), 1.0, decoupled=True).item()  # log(2) - 1
    -0.306...
    """
    a, b = gather_views(_unit(a), _unit(b))
    n, z = len(a), torch.cat((a, b))
    similarity = _wide(z @ z.T) / temperature
    positive = torch.cat((similarity.diagonal(n), similarity.diagonal(-n)))
    left_out = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    if decoupled:
        left_out = left_out | left_out.roll(n, 0)
    spread = similarity.masked_fill(left_out, -torch.inf).logsumexp(1)
    return (spread.masked_fill(spread.isneginf(), 0) - positive).mean()


def margin_contrastive(
    z: Tensor, owner: Tensor, margin: float = 0.5, n_negatives: int = 5
) -> Tensor:
    """Pull rows of one owner together; push the nearest rows of other owners beyond a margin.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings. Normalised here.
    owner : Tensor of shape (n,)
        Owner of each row.
    margin : float, default=0.5
        Distance at which rows of different owners are far enough apart.
    n_negatives : int, default=5
        Number of nearest rows of other owners that each row is compared with.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over all pairs: half the squared distance for pairs of one owner,
        ``max(0, margin - distance)^2 / 2`` for pairs of a row and a nearest other.

    References
    ----------
    .. [1] Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant
       Mapping", CVPR 2006; with hard negatives in Babaev et al., "CoLES", SIGMOD 2022.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import margin_contrastive
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> owner = torch.tensor([0, 0, 1])
    >>> margin_contrastive(z, owner, n_negatives=1).item()  # (1 + 0.125 + 0 + 0.125) / 4
    0.312...
    """
    unit = _unit(z)
    square = (2 - 2 * _wide(unit @ unit.T)).clamp(min=0)
    is_own = owner[:, None] == owner
    attract = square[is_own.triu(1)]
    nearest = square.masked_fill(is_own, torch.inf).topk(min(n_negatives, len(z)), largest=False)[0]
    distance = nearest[nearest.isfinite()].clamp(min=1e-12).sqrt()  # the slope at 0 is infinite
    repel = (margin - distance).clamp(min=0).square()
    n_pairs = max(1, len(attract) + len(repel))
    return (attract.sum() + repel.sum()) / (2 * n_pairs)
