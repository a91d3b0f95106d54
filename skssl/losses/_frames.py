"""Errors of predicted frames."""

import torch
from torch import Tensor

from skssl.losses._common import _wide


def gradient_difference(prediction: Tensor, target: Tensor, alpha: float = 1.0) -> Tensor:
    """By how much edges differ: in steepness, from pixel to pixel, down and to the right.

    Beside a squared error it makes predictions sharper.

    Parameters
    ----------
    prediction, target : Tensor of shape (..., height, width)
        Images.
    alpha : float, default=1.0
        Power of the differences of steepness, at least 1.

    Returns
    -------
    error : Tensor of shape ()
        Mean over pairs of neighbouring pixels, of those side by side and those one above the
        other, summed.

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
