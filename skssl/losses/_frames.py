"""Losses for predicted frames."""

import torch
from torch import Tensor

from skssl.losses._common import _wide


def gradient_difference(prediction: Tensor, target: Tensor, alpha: float = 1.0) -> Tensor:
    """Gradient difference loss: compare the differences between neighbouring pixels.

    Added to a squared error, it makes predictions sharper.

    Parameters
    ----------
    prediction, target : Tensor of shape (..., height, width)
        Images.
    alpha : float, default=1.0
        Exponent of the difference between the absolute gradients, at least 1.

    Returns
    -------
    error : Tensor of shape ()
        Mean over horizontal pairs of neighbouring pixels plus the mean over vertical pairs.

    References
    ----------
    .. [1] Mathieu, Couprie and LeCun, "Deep Multi-Scale Video Prediction Beyond Mean Square
       Error", ICLR 2016. https://arxiv.org/abs/1511.05440

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import gradient_difference
    >>> gradient_difference(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 4.0]])).item()
    3.0
    """
    prediction, target = _wide(prediction), _wide(target)
    error = prediction.new_zeros(())
    for axis in (-1, -2):
        if target.shape[axis] > 1:
            steepness = (image.diff(dim=axis).abs() for image in (prediction, target))
            error = error + torch.sub(*steepness).abs().pow(alpha).mean()
    return error
