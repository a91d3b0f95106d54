"""What an image shows without its colours, and the colours as bins."""

import torch
from torch import Tensor, nn

PIXELS = 10_000  # so many, at random, are clustered into colours


class Lightness(nn.Module):
    """The mean of three channels, three times over: a net that reads three need not change."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True).expand_as(x)


class Colors(nn.Module):
    """Colours found by k-means, and how much each of them is to count.

    Parameters
    ----------
    X : Tensor of shape (n, 3, height, width)
        Images, standardised.
    n_bins : int
        Number of colours; less where X has fewer.
    rebalance : float
        1 gives a colour the inverse of its share of the pixels as its weight, 0 gives all
        colours the same. In between, shares are mixed with even ones; the mean over pixels is 1.
    """

    centers: Tensor
    weight: Tensor

    def __init__(self, X: Tensor, n_bins: int, rebalance: float):
        from sklearn.cluster import KMeans  # slow to import, and of no use to other methods

        super().__init__()
        colors = chroma(X).flatten(0, 2)
        colors = colors[torch.randperm(len(colors))[:PIXELS]]
        n_bins = min(n_bins, len(colors.unique(dim=0)))
        seed = int(torch.randint(2**31, ()))
        means = KMeans(n_bins, n_init=1, random_state=seed).fit(colors.numpy()).cluster_centers_
        self.register_buffer("centers", torch.as_tensor(means, dtype=X.dtype))
        nearest = self(X).flatten()
        share = nearest.bincount(minlength=n_bins) / len(nearest)
        weight = 1 / (rebalance * share + (1 - rebalance) / n_bins).clamp(min=1e-6)
        self.register_buffer("weight", weight / (share * weight).sum())

    def forward(self, x: Tensor) -> Tensor:
        """Return the index of the colour nearest to each pixel's, (n, height, width)."""
        with torch.autocast(x.device.type, enabled=False):
            likeness = chroma(x) @ self.centers.T - self.centers.square().sum(1) / 2
        return likeness.argmax(-1)


def chroma(x: Tensor) -> Tensor:
    """Return the two numbers that make a colour of a lightness, (n, height, width, 2).

    They are orthogonal to the mean of the channels and to each other: red against green, and
    both against blue.
    """
    red, green, blue = x.unbind(1)
    return torch.stack([(red - green) / 2**0.5, (red + green - 2 * blue) / 6**0.5], -1)
