"""Jigsaw puzzles."""

from numbers import Integral, Real
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from skssl._data._draws import randint
from skssl.base import Interval, Net, ReadsImages, SSLTransformer, StrOptions
from skssl.encoders import MLP, width_of
from skssl.methods._projections import average
from skssl.views import View, original
from skssl.views._tiles import distant_permutations, random_tiles, standardize_tiles

ORDERS = 4  # per image and step: they share its tiles' embeddings, nearly all of the cost


class Jigsaw(ReadsImages, SSLTransformer):
    """Predict the permutation of the shuffled tiles of an image.

    Each tile is standardised and embedded separately; a head reads the embeddings in shuffled order
    and predicts the permutation. ``transform`` embeds whole images, standardised like tiles, so
    that batch normalisation sees the statistics of training.

    Parameters
    ----------
    n_tiles : "auto" or int, default="auto"
        Number of tiles along each side; ``"auto"`` is 3 for images of at least 18 pixels, else 2.
    n_permutations : int, default=100
        Number of permutations to choose from, far from each other; at most all that exist.
    gap : float, default=0.15
        Share of a tile's side that is left out, at random, between neighbouring tiles: matching
        edges would reveal the permutation. Tiles are at least 4 pixels wide.

    References
    ----------
    .. [1] Noroozi and Favaro, "Unsupervised Learning of Visual Representations by Solving
       Jigsaw Puzzles", ECCV 2016. https://arxiv.org/abs/1603.09246

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import Jigsaw
    >>> X = load_digits().images[:200]
    >>> jigsaw = Jigsaw(modality="image", n_components=32, max_epochs=1, random_state=0)
    >>> jigsaw.fit_transform(X).shape
    (200, 32)
    """

    n_tiles: int | Literal["auto"] = "auto"
    n_permutations: int = 100
    gap: float = 0.15

    _constants = {"orders": "chosen once, far from each other, as in the paper"}
    _parameter_constraints = {
        "n_tiles": [StrOptions({"auto"}), Interval(Integral, 2, 3, closed="both")],
        "n_permutations": [Interval(Integral, 2, 2**16, closed="both")],
        "gap": [Interval(Real, 0, 1, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        net.n_tiles = self.n_tiles
        if self.n_tiles == "auto":
            net.n_tiles = 3 if min(X.shape[2:]) >= 18 else 2
        tiles = random_tiles(X[:2], net.n_tiles, self.gap)
        net.register_buffer("orders", distant_permutations(tiles.shape[1], self.n_permutations))
        net.siamese = net.encoder
        width = tiles.shape[1] * width_of(net.siamese, tiles.flatten(0, 1))
        net.head = MLP(width, 512, len(net.orders))
        net.encoder = nn.Sequential(Standardized(), net.encoder)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The cross-entropy of the permutation, section 3 of [1], over all views."""
        views = net.views(x)
        return average(self._puzzles(net, view) for view in views)

    def _puzzles(self, net: Net, x: Tensor) -> Tensor:
        tiles = standardize_tiles(random_tiles(x, net.n_tiles, self.gap))
        z = net.siamese(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])
        order = randint(len(net.orders), (ORDERS, len(x)), device=x.device)
        laid = z[None].take_along_dim(net.orders[order][..., None], 2)
        return F.cross_entropy(net.head(laid.flatten(2).flatten(0, 1)).float(), order.flatten())


class Standardized(nn.Module):
    """An encoder of images that are standardised one by one, as tiles are."""

    _saved_as = "Standardized"

    def forward(self, x: Tensor) -> Tensor:
        return standardize_tiles(x)
