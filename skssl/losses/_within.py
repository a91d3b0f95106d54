"""Contrastive losses within a row, one value per row: the outlier scores of ICL and NeuTraL."""

from torch import Tensor

from skssl.losses._common import _unit, _wide


def internal_contrast(windows: Tensor, rests: Tensor, temperature: float = 0.01) -> Tensor:
    """Find each window of a row, given the rest of the row, among all windows of that row.

    Parameters
    ----------
    windows : Tensor of shape (n, m, d)
        Embeddings of the m windows of n rows. Normalised here.
    rests : Tensor of shape (n, m, d)
        Embeddings of the rest of the row for each window. Normalised here.
    temperature : float, default=0.01
        Divides the cosine similarities.

    Returns
    -------
    losses : Tensor of shape (n,)
        Of each row, the mean over its windows j of
        ``-log(exp(s_jj / t) / sum_l exp(s_jl / t))``, where ``s_jl`` is the similarity of rest j
        and window l.

    References
    ----------
    .. [1] Shenkar and Wolf, "Anomaly Detection for Tabular Data with Internal Contrastive
       Learning", ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import internal_contrast
    >>> parts = torch.eye(2)[None]
    >>> internal_contrast(parts, parts, 1.0)  # log(1 + exp(-1))
    tensor([0.3133])
    """
    similarity = _wide(_unit(rests) @ _unit(windows).mT) / temperature
    return (similarity.logsumexp(2) - similarity.diagonal(dim1=1, dim2=2)).mean(1)


def deterministic_contrast(z: Tensor, transformed: Tensor, temperature: float = 0.1) -> Tensor:
    """Make each transformed copy of a row resemble the row more than it resembles other copies.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings of the rows. Normalised here.
    transformed : Tensor of shape (n, k, d)
        Embeddings of k transformed copies of each. Normalised here.
    temperature : float, default=0.1
        Divides the cosine similarities.

    Returns
    -------
    losses : Tensor of shape (n,)
        Of each row, the sum over its copies i of ``-log(exp(s_i0 / t) / (exp(s_i0 / t) +
        sum_{j != i} exp(s_ij / t)))``, where ``s_i0`` is the similarity of copy i and the row, and
        ``s_ij`` that of two copies.

    References
    ----------
    .. [1] Qiu, Pfrommer, Kloft, Mandt and Rudolph, "Neural Transformation Learning for Deep
       Anomaly Detection Beyond Images", ICML 2021. https://arxiv.org/abs/2103.16440

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import deterministic_contrast
    >>> z = torch.tensor([[1.0, 0.0]])
    >>> copies = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> deterministic_contrast(z, copies, 1.0)  # log(1 + exp(-1)) + log(2)
    tensor([1.0064])
    """
    copies = _unit(transformed)
    among = _wide(copies @ copies.mT) / temperature
    own = _wide(copies @ _unit(z)[:, :, None]) / temperature
    # A copy is never compared with itself: its similarity to the row takes that place.
    candidates = among.diagonal_scatter(own[:, :, 0], dim1=1, dim2=2)
    return (candidates.logsumexp(2) - own[:, :, 0]).sum(1)
