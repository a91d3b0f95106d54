"""Contrast within a row: its parts recognise each other, and the loss of a row scores it."""

from torch import Tensor

from skssl.losses._common import _unit, _wide


def internal_contrast(windows: Tensor, rests: Tensor, temperature: float = 0.01) -> Tensor:
    """Each window of a row must be found, from the rest of the row, among the row's windows.

    Parameters
    ----------
    windows : Tensor of shape (n, m, d)
        Embeddings of the m windows of n rows. Normalised here.
    rests : Tensor of shape (n, m, d)
        Embeddings of what each window leaves of its row. Normalised here.
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
    """Each transformed copy of a row must resemble the row more than the other copies do.

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
    # a copy is never compared with itself: its similarity to the row stands in that place
    candidates = among.diagonal_scatter(own[:, :, 0], dim1=1, dim2=2)
    return (candidates.logsumexp(2) - own[:, :, 0]).sum(1)
