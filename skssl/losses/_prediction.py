"""Losses that predict the embedding of one view from another view."""

from torch import Tensor

from skssl.losses._common import _unit


def cosine_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance between unit vectors: the loss of BYOL and, up to scale, of SimSiam.

    Parameters
    ----------
    prediction, target : Tensor of shape (n, d)
        Rows to compare. Normalised here. Nothing is detached: detach a target that must not
        get a gradient.

    Returns
    -------
    error : Tensor of shape ()
        Mean over rows of ``2 - 2 cos``, from 0 to 4. SimSiam's ``-cos`` is half of it minus 1.

    References
    ----------
    .. [1] Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020.
    .. [2] Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import cosine_error
    >>> cosine_error(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])).item()
    2.0
    """
    return 2 - 2 * (_unit(prediction) * _unit(target)).sum(-1).mean()
