"""The loss of discriminators."""

import torch.nn.functional as F
from torch import Tensor

from skssl.losses._common import _wide


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a discriminator: real rows shall score above 1, generated rows below -1.

    Parameters
    ----------
    real, fake : Tensor of shape (n,)
        Scores of real and of generated rows. Their numbers may differ.

    Returns
    -------
    loss : Tensor of shape ()
        Mean of ``max(0, 1 - real)`` plus mean of ``max(0, 1 + fake)``: 2 for scores of 0, and 0
        where all scores are as they should be.

    References
    ----------
    .. [1] Lim and Ye, "Geometric GAN", 2017. https://arxiv.org/abs/1705.02894

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import hinge
    >>> hinge(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])).item()
    0.75
    """
    return F.relu(1 - _wide(real)).mean() + F.relu(1 + _wide(fake)).mean()
