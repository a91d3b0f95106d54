"""Fixed convolutional features of time series: the baseline of learned encoders."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl import _compat
from skssl.encoders._series import steps_of

LENGTH = 9  # weights per kernel
MAX_DILATIONS = 32
NUMBERS_AT_ONCE = 2**22  # convolved values in memory


class RandomKernels(nn.Module):
    """The share of steps at which 84 fixed kernels, at several dilations, exceed thresholds.

    Thresholds are quantiles of the convolutions of X. A kernel has 9 weights: three are 2 and six
    are -1. With several channels, each kernel reads the sum of a random subset.

    Parameters
    ----------
    X : Tensor of shape (n, n_channels, time)
        Scaled series, NaN where values are missing.
    columns : None
        Ignored; only tables have columns.
    n_features : int, default=9996
        Number of features, rounded down to a multiple of 84.

    Shape
    -----
    (n, n_channels, time) -> (n, n_features), shares between 0 and 1

    References
    ----------
    .. [1] Dempster, Schmidt and Webb, "MiniRocket: A Very Fast (Almost) Deterministic Transform
       for Time Series Classification", KDD 2021. https://arxiv.org/abs/2012.08791

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import RandomKernels
    >>> X = torch.randn(20, 1, 50)
    >>> RandomKernels(X, n_features=168)(X).shape
    torch.Size([20, 168])
    """

    weights: Tensor

    def __init__(self, X: Tensor, columns: object = None, n_features: int = 9996):
        super().__init__()
        per_kernel = max(1, n_features // 84)
        self.dilations, self.n_thresholds = _dilations(X.shape[2], per_kernel)
        places = torch.tensor(list(itertools.combinations(range(LENGTH), 3)))
        kernels = torch.full((len(places), LENGTH), -1.0).scatter_(1, places, 2.0)
        reads = _channels(len(self.dilations) * len(kernels), X.shape[1])
        reads = reads.view(len(self.dilations), len(kernels), -1, 1)
        self.register_buffer("weights", kernels[:, None] * reads)
        golden = (math.sqrt(5) + 1) / 2
        n_values = sum(self.n_thresholds) * len(kernels)
        quantiles = (torch.arange(1, n_values + 1) * golden % 1).split(
            [n * len(kernels) for n in self.n_thresholds]
        )
        for i, some in enumerate(quantiles):
            rows = X[torch.randint(len(X), (min(len(X), 32),))]
            values = self._convolve(rows, i).transpose(0, 1).flatten(1)
            values = values[:, steps_of(rows).flatten()].sort(1).values
            some = some.view(len(kernels), -1)
            at = (some * max(0, values.shape[1] - 1)).long()
            self.register_buffer(f"thresholds{i}", values.gather(1, at))

    def _convolve(self, x: Tensor, i: int) -> Tensor:
        d = self.dilations[i]
        return F.conv1d(x.nan_to_num(0.0), self.weights[i], dilation=d, padding=d * (LENGTH // 2))

    def forward(self, x: Tensor) -> Tensor:
        if _compat.is_exporting():
            return self._shares(x)
        at_once = max(1, NUMBERS_AT_ONCE // (len(self.weights[0]) * x.shape[2]))
        return torch.cat([self._shares(part) for part in x.split(at_once)])

    def _shares(self, x: Tensor) -> Tensor:
        steps = steps_of(x)[:, None].float()
        total = steps.sum(2).clamp(min=1)
        features = []
        for i in range(len(self.dilations)):
            values = self._convolve(x, i)
            for threshold in getattr(self, f"thresholds{i}").unbind(1):
                above = (values > threshold[:, None]) * steps
                features.append(above.sum(2) / total)
        return torch.cat(features, 1)


def _dilations(length: int, per_kernel: int) -> tuple[list[int], list[int]]:
    """Return the dilations, evenly spaced powers of 2, and the number of features of each."""
    largest = max(0.0, math.log2(max(1, length - 1) / (LENGTH - 1)))
    n = min(per_kernel, MAX_DILATIONS)
    powers = torch.linspace(0, largest, n)
    dilations, counts = (2**powers).int().unique(return_counts=True)
    each = (counts * per_kernel) // n
    each[: per_kernel - int(each.sum())] += 1
    return dilations.tolist(), each.tolist()


def _channels(n: int, n_channels: int) -> Tensor:
    """Draw the channels that each of n kernels reads: few channels are likelier than many."""
    if n_channels == 1:
        return torch.ones(n, 1)
    count = (2 ** (torch.rand(n) * math.log2(min(n_channels, LENGTH) + 1))).int()
    order = torch.rand(n, n_channels).argsort(1).argsort(1)
    return (order < count.clamp(min=1)[:, None]).float()
