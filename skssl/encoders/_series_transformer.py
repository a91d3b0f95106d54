"""A transformer over the patches of time series."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.encoders._series import Pooling, pool, steps_of
from skssl.encoders._transformer import Block, attend, choose_heads

LEAST_SCALE = 1e-3  # standard deviation of a series that hardly varies


def check_series_patches(encoder: Any, X: Tensor, method: str) -> tuple[int, int]:
    """Return the width of an encoder's tokens and the number of values in a patch.

    Raises
    ------
    ValueError
        If the encoder does not read series as patches, or reads X as a single patch.
    """
    if not all(hasattr(encoder, name) for name in ("patches", "tokens")):
        raise ValueError(
            f"{method} needs an encoder that reads a series as patches, with `patches(x)` and "
            f"`tokens(patches, level)`; got {type(getattr(encoder, 'body', encoder)).__name__}. "
            "Pass encoder='transformer', or a skssl.encoders.SeriesTransformer."
        )
    with torch.no_grad():
        patches, level = encoder.patches(X[:2])
        width = encoder.tokens(patches, level).shape[2]
    if patches.shape[1] < 2:
        raise ValueError(
            f"{method} predicts some patches of a series from others; series of {X.shape[2]} "
            f"step(s) are one patch of patch_size={encoder.patch_size}. Take a smaller one."
        )
    return width, patches.shape[2]


class SeriesTransformer(nn.Module):
    """Transformer whose tokens are patches of a series; the embedding is their mean.

    Each series is standardised by its own mean and scale before it is cut into patches, and every
    token is told that mean and scale. Patches without any value are ignored.

    Parameters
    ----------
    n_channels : int
        Number of channels of a series; a patch holds all of them.
    width : int, default=128
        Length of a token, and so of the embedding.
    patch_size : int, default=12
        Number of steps in a patch; patches do not overlap.
    n_layers : int, default=3
        Number of blocks.
    n_heads : int, default=None
        Number of attention heads; must divide ``width``. None is one head per 32 numbers of a
        token.
    pooling : {"mean", "max"} or None, default="mean"
        How the tokens of a series become its embedding; None is the mean.

    Shape
    -----
    (n, n_channels, time), NaN where values are missing -> (n, width)

    References
    ----------
    .. [1] Nie, Nguyen, Sinthong and Kalagnanam, "A Time Series is Worth 64 Words: Long-term
       Forecasting with Transformers", ICLR 2023. https://arxiv.org/abs/2211.14730

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import SeriesTransformer
    >>> net = SeriesTransformer(2, width=32, patch_size=10, n_layers=1)
    >>> x = torch.zeros(5, 2, 45)
    >>> net(x).shape, net.sequence(x).shape
    (torch.Size([5, 32]), torch.Size([5, 5, 32]))
    """

    def __init__(
        self,
        n_channels: int,
        width: int = 128,
        patch_size: int = 12,
        n_layers: int = 3,
        n_heads: int | None = None,
        pooling: Pooling = "mean",
    ):
        super().__init__()
        n_heads = n_heads or choose_heads(width, 32)
        self.patch_size, self.pooling = patch_size, pooling
        self.embed = nn.Linear(2 * n_channels * patch_size, width)
        self.level = nn.Linear(2 * n_channels, width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def patches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patches of standardised series, and their means and scales.

        Returns
        -------
        patches : Tensor of shape (n, n_patches, n_channels * patch_size)
            NaN where values are missing.
        level : Tensor of shape (n, 2 * n_channels)
            Means and logarithms of the standard deviations.
        """
        mean = x.nanmean(2, keepdim=True).nan_to_num(0.0)
        scale = (x - mean).square().nanmean(2, keepdim=True).nan_to_num(1.0).sqrt()
        scale = scale.clamp(min=LEAST_SCALE)
        z = F.pad((x - mean) / scale, (0, -x.shape[2] % self.patch_size), value=torch.nan)
        patches = z.unflatten(2, (-1, self.patch_size)).transpose(1, 2).flatten(2)
        return patches, torch.cat([mean, scale.log()], 1)[:, :, 0]

    def tokens(self, patches: Tensor, level: Tensor) -> Tensor:
        """Return the patches of each series contextualised by each other, (n, n_patches, width)."""
        known = ~patches.isnan()
        read = torch.cat([patches.nan_to_num(0.0), known.to(patches.dtype)], 2)
        h = self.embed(read) + self.level(level)[:, None] + _positions(read, len(self.norm.bias))
        seen = known.any(2) | ~known.flatten(1).any(1)[:, None]  # an all-missing series reads all

        def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return attend(query, key, value, seen[:, None, None, :])

        for block in self.blocks:
            h = block(h, attention)
        return self.norm(h)

    def sequence(self, x: Tensor) -> Tensor:
        """Return one vector per patch, (n, n_patches, width)."""
        return self.tokens(*self.patches(x))

    def steps(self, x: Tensor) -> Tensor:
        """Return the patches from the first to the last known one, (n, n_patches) bool."""
        return steps_of(self.patches(x)[0].mT)

    def forward(self, x: Tensor) -> Tensor:
        patches, level = self.patches(x)
        seen = ~patches.isnan().all(2)
        return pool(self.tokens(patches, level), seen, self.pooling)


def _positions(x: Tensor, width: int) -> Tensor:
    """Return sinusoidal positions of the patches, (n_patches, width)."""
    frequency = 1000 ** -(torch.arange(-(-width // 2), device=x.device) / (width // 2 + 1))
    angle = torch.arange(x.shape[1], device=x.device)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width].to(x.dtype)
