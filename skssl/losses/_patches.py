"""Losses for predicted patches and tokens."""

import torch.nn.functional as F
from torch import Tensor

from skssl.losses._common import _wide


def standardized_error(prediction: Tensor, target: Tensor, eps: float = 1e-6) -> Tensor:
    """Mean squared error against targets that are standardised one by one.

    Each target, a row along the last axis, is standardised by its own mean and standard
    deviation, so that a flat patch counts as much as one of high contrast.

    Parameters
    ----------
    prediction : Tensor of shape (..., d)
        Predicted standardised targets. Not standardised here.
    target : Tensor of shape (..., d)
        Targets: the pixels of a patch, or a teacher's token. Nothing is detached here.
    eps : float, default=1e-6
        Added to the variance; a constant target becomes 0.

    Returns
    -------
    error : Tensor of shape ()
        Mean over all numbers.

    References
    ----------
    .. [1] He, Chen, Xie, Li, Dollár and Girshick, "Masked Autoencoders Are Scalable Vision
       Learners", CVPR 2022. https://arxiv.org/abs/2111.06377

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import standardized_error
    >>> target = torch.tensor([[1.0, 3.0], [10.0, 30.0], [5.0, 5.0]])
    >>> standardized_error(torch.zeros(3, 2), target).item()  # (1 + 1 + 1 + 1 + 0 + 0) / 6
    0.666...
    """
    target = F.layer_norm(_wide(target), target.shape[-1:], eps=eps)
    return F.mse_loss(_wide(prediction), target)
