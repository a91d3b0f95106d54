"""Lightness of images, and their colours as bins: input and target of Colorization."""

import torch
from torch import Tensor, nn

from skssl._data._draws import randint, randperm

PIXELS = 10_000  # random pixels that are clustered into colours


class Lightness(nn.Module):
    """The mean of three channels, repeated three times, for nets that read three channels."""

    _saved_as = "Lightness"

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True).expand_as(x)


class Colors(nn.Module):
    """Colours found by k-means, and the weight of each colour in the loss.

    Parameters
    ----------
    X : Tensor of shape (n, 3, height, width)
        Images, standardised.
    n_bins : int
        Number of colours; fewer if X has fewer.
    rebalance : float
        1 weighs a colour by the inverse of its share of the pixels, 0 weighs all colours alike.
        In between, shares are mixed with equal ones. The mean weight over pixels is 1.
    """

    _saved_as = "Colors"
    centers: Tensor
    weight: Tensor

    def __init__(self, X: Tensor, n_bins: int, rebalance: float):
        from sklearn.cluster import KMeans  # slow to import, and used here only

        super().__init__()
        colors = chroma(X).flatten(0, 2)
        colors = colors[randperm(len(colors))[:PIXELS]]
        n_bins = min(n_bins, len(colors.unique(dim=0)))
        seed = int(randint(2**31, ()))
        means = KMeans(n_bins, n_init=1, random_state=seed).fit(colors.numpy()).cluster_centers_
        self.register_buffer("centers", torch.as_tensor(means, dtype=X.dtype))
        nearest = self(X).flatten()
        share = nearest.bincount(minlength=n_bins) / len(nearest)
        weight = 1 / (rebalance * share + (1 - rebalance) / n_bins).clamp(min=1e-6)
        self.register_buffer("weight", weight / (share * weight).sum())

    def forward(self, x: Tensor) -> Tensor:
        """Return the index of the colour nearest to each pixel, (n, height, width)."""
        with torch.autocast(x.device.type, enabled=False):
            likeness = chroma(x) @ self.centers.T - self.centers.square().sum(1) / 2
        return likeness.argmax(-1)


def chroma(x: Tensor) -> Tensor:
    """Return the two chroma coordinates of each pixel, (n, height, width, 2).

    They are orthogonal to the mean of the channels and to each other: red against green, and
    both against blue.
    """
    red, green, blue = x.unbind(1)
    return torch.stack([(red - green) / 2**0.5, (red + green - 2 * blue) / 6**0.5], -1)
