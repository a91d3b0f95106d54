"""Rotation prediction."""

from numbers import Integral
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsImages, SSLTransformer, StrOptions
from skssl.base._parameters import ViewsFunction
from skssl.encoders import MLP, encode, width_of
from skssl.views import View, original


class RotationPrediction(ReadsImages, SSLTransformer):
    """Predict which of the four quarter turns an image was rotated by (RotNet).

    Predicting it requires recognising the object and its orientation. Useful for square images that
    have an upright position, useless for cells or satellite images.

    Parameters
    ----------
    layer : "last", "middle" or int, default="last"
        Layer of the encoder that is the embedding; negative numbers count from the last, -1.
        The last layers of deep nets encode rotations and little else [1]_: try ``"middle"``
        for them. Layers other than the last have their own width, independent of
        ``n_components``. An encoder without ``layers(x)`` has only its output.

    References
    ----------
    .. [1] Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by Predicting
       Image Rotations", ICLR 2018. https://arxiv.org/abs/1803.07728

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import RotationPrediction
    >>> X = load_digits().images[:200]
    >>> rotnet = RotationPrediction(modality="image", n_components=32, max_epochs=1)
    >>> rotnet.fit_transform(X).shape
    (200, 32)
    """

    layer: int | Literal["last", "middle"] = "last"
    views: Literal["auto", "weak", "strong", "no_flip"] | ViewsFunction = "auto"

    _parameter_constraints = {
        "layer": [StrOptions({"middle", "last"}), Interval(Integral, None, None, closed="neither")],
        "views": [StrOptions({"auto", "weak", "strong", "no_flip"}), callable],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        check_square(X, "RotationPrediction", "Jigsaw")
        net.whole = net.encoder
        net.head = MLP(width_of(net.whole, X), 256, 4)
        if self.layer != "last" and hasattr(net.whole, "layers"):
            net.encoder = OneLayer(net.whole, _index(self.layer, _n_layers(net.whole, X[:2])))

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equations 2 and 3 of [1]."""
        turned = [view.rot90(turns, (2, 3)) for view in net.views(x) for turns in range(4)]
        logits = net.head(torch.cat(encode(net.whole, turned)))
        turns = torch.arange(len(turned), device=x.device) % 4
        return F.cross_entropy(logits.float(), turns.repeat_interleave(len(x)))


def check_square(X: Tensor, name: str, other: str) -> None:
    """Raise unless images are square; name a method that needs no square ones."""
    height, width = X.shape[2:]
    if height != width:
        raise ValueError(
            f"{name} turns images by 90 degrees: expected square ones, got {height} x {width} "
            f"pixels. Crop or pad them to squares, or use {other}."
        )


class OneLayer(nn.Module):
    """One layer of an encoder."""

    _saved_as = "OneLayer"

    def __init__(self, encoder: nn.Module, index: int):
        super().__init__()
        self.encoder = encoder
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.layers(x)[self.index]  # type: ignore[operator]


@torch.no_grad()
def _n_layers(encoder: nn.Module, x: Tensor) -> int:
    n_layers = len(encoder.eval().layers(x))  # type: ignore[operator]
    encoder.train()
    return n_layers


def _index(layer: int | Literal["middle"], n_layers: int) -> int:
    """Return the index of the requested layer."""
    if layer == "middle":
        return n_layers // 2
    if not -n_layers <= layer < n_layers:
        raise ValueError(
            f"layer={layer} is none of the encoder's {n_layers} layers. Pass a number from "
            f"{-n_layers} to {n_layers - 1}, 'middle' or 'last'."
        )
    return layer
