"""Colorization."""

from numbers import Integral, Real

import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsImages, SSLTransformer
from skssl.encoders import Decoder, encode, width_of
from skssl.encoders._colors import Colors, Lightness, chroma
from skssl.views import View, original


class Colorization(ReadsImages, SSLTransformer):
    """Predict the colours of an image from its lightness.

    Lightness is the mean of the three standardised channels. The rest of a pixel, two opponent
    colours, falls into one of several bins, which a decoder predicts from the embedding at a
    quarter of the resolution. ``transform`` reads the lightness only: if colours matter, add
    them as features of your own.

    Parameters
    ----------
    n_bins : int, default=32
        Number of bins, found by k-means.
    rebalance : float, default=0.5
        Weight of rare colours: with 0 all pixels have the same weight, with 1 all bins have.

    References
    ----------
    .. [1] Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016.
       https://arxiv.org/abs/1603.08511

    Examples
    --------
    >>> from sklearn.datasets import load_sample_image
    >>> from sklearn.feature_extraction.image import extract_patches_2d
    >>> from skssl import Colorization
    >>> photo = load_sample_image("flower.jpg")
    >>> X = extract_patches_2d(photo, (16, 16), max_patches=200, random_state=0)
    >>> Colorization(n_components=32, max_epochs=1, random_state=0).fit_transform(X).shape
    (200, 32)
    """

    n_bins: int = 32
    rebalance: float = 0.5

    _parameter_constraints = {
        "n_bins": [Interval(Integral, 2, 2**16, closed="both")],
        "rebalance": [Interval(Real, 0, 1, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        if X.shape[1] != 3 or chroma(X).abs().max() < 1e-4:
            found = f"{X.shape[1]} channels" if X.shape[1] != 3 else "3 that are all alike"
            raise ValueError(
                f"Colorization predicts colours: expected images with red, green and blue, got "
                f"{found}. For others there are RotationPrediction, Jigsaw and Inpainting."
            )
        size = max(1, X.shape[2] // 4), max(1, X.shape[3] // 4)
        net.colors = Colors(F.adaptive_avg_pool2d(X, size), self.n_bins, self.rebalance)
        net.encoder = nn.Sequential(Lightness(), net.encoder)
        net.painter = Decoder(width_of(net.encoder, X), len(net.colors.weight), size)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equations 2 and 4 of [1], for one bin per pixel, over all views."""
        loss, views = x.new_zeros(()), net.views(x)
        for view, z in zip(views, encode(net.encoder, views), strict=True):
            logits = net.painter(z).float()
            bins = net.colors(F.adaptive_avg_pool2d(view, logits.shape[2:]))
            loss = loss + F.cross_entropy(logits, bins, net.colors.weight)
        return loss / len(views)
