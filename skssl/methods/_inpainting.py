"""Inpainting."""

from functools import partial
from numbers import Real
from typing import Any, Literal

import torch
from torch import Tensor

from skssl.base import Interval, Net, ReadsImages, ReconstructionMixin, SSLTransformer, StrOptions
from skssl.base._parameters import ViewsFunction
from skssl.encoders import Decoder, encode, width_of
from skssl.views import View, erase


class Inpainting(ReconstructionMixin, ReadsImages, SSLTransformer):
    """Reconstruct a masked block of each image from the embedding of the rest.

    The block has a random position and shape. ``reconstruct`` masks the middle of each image,
    where ``decoder_.hidden``, of shape (height, width), is True, and returns the images with
    the prediction there. The adversarial loss of [1]_ is left out: it makes pictures sharper but
    does not serve the embedding.

    Parameters
    ----------
    mask_ratio : float, default=0.25
        Share of an image's area that the block covers. Its pixels are set to the mean of all
        images.
    views : "auto" or callable, default="auto"
        ``"auto"`` masks a block. A callable maps a batch of scaled images (n, channels, height,
        width) to a batch with altered pixels, or to a list of them; these pixels are predicted.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to a scaled image, (n, channels, height, width).

    References
    ----------
    .. [1] Pathak, Krähenbühl, Donahue, Darrell and Efros, "Context Encoders: Feature Learning
       by Inpainting", CVPR 2016. https://arxiv.org/abs/1604.07379

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import Inpainting
    >>> X = load_digits().images[:200]
    >>> inpainting = Inpainting(modality="image", n_components=32, max_epochs=1).fit(X)
    >>> inpainting.transform(X).shape, inpainting.reconstruct(X).shape
    ((200, 32), (200, 8, 8))
    """

    mask_ratio: float = 0.25
    views: Literal["auto"] | ViewsFunction = "auto"

    _constants = {"decoder.hidden": "the block that reconstruct hides"}
    _parameter_constraints = {
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "views": [StrOptions({"auto"}), callable],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(erase, scale=(self.mask_ratio, self.mask_ratio), ratio=(0.5, 2), p=1.0),)

    def _build(self, net: Net, X: Tensor) -> None:
        net.decoder = Inpainter(width_of(net.encoder, X), X, self.mask_ratio)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 1 of [1]: the squared error of what is hidden, over its pixels."""
        loss, views = x.new_zeros(()), net.views(x)
        for view, z in zip(views, encode(net.encoder, views), strict=True):
            hidden = altered_pixels(x, view).expand_as(x)
            error = (net.decoder(z).float() - x).square()
            loss = loss + (error * hidden).sum() / hidden.sum().clamp(min=1)
        return loss / len(views)


class Inpainter(Decoder):
    """A decoder that keeps the block which ``reconstruct`` masks."""

    _saved_as = "Inpainter"
    hidden: Tensor

    def __init__(self, width: int, X: Tensor, mask_ratio: float):
        size = (X.shape[2], X.shape[3])
        super().__init__(width, X.shape[1], size)
        self.register_buffer("hidden", torch.zeros(size, dtype=torch.bool))
        tall, broad = (min(side, max(1, round(side * mask_ratio**0.5))) for side in size)
        top, left = (size[0] - tall) // 2, (size[1] - broad) // 2
        self.hidden[top : top + tall, left : left + broad] = True

    def fill(self, encoder: Any, x: Tensor) -> Tensor:
        """Return images with the middle predicted from the rest."""
        return torch.where(self.hidden, self(encoder(x.masked_fill(self.hidden, 0.0))), x)


def altered_pixels(x: Tensor, view: Tensor) -> Tensor:
    """Return which pixels of each image a view altered, (n, 1, height, width)."""
    if view.shape != x.shape:
        raise ValueError(
            f"Inpainting predicts the pixels that a view alters: views= must keep the shape of "
            f"the batch, {tuple(x.shape)}; got {tuple(view.shape)}."
        )
    return (view != x).any(1, keepdim=True)
