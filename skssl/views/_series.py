"""Views of scaled time series (n, channels, time); missing values stay missing."""

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from skssl._data._draws import rand, randint, randn
from skssl.views._lists import Compose

SeriesPreset = Literal["weak", "strong"]
SERIES_PRESETS = get_args(SeriesPreset)


def jitter(x: Tensor, sigma: float = 0.1) -> Tensor:
    """Add normal noise to every value.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    sigma : float, default=0.1
        Standard deviation of the noise, in units of each channel's standard deviation.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import jitter
    >>> jitter(torch.zeros(2, 1, 50), sigma=0.5).abs().max() > 0
    tensor(True)
    """
    return x + sigma * randn(x.shape, dtype=x.dtype, device=x.device)


def rescale(x: Tensor, sigma: float = 0.2) -> Tensor:
    """Multiply each channel of each series by a random number around 1.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    sigma : float, default=0.2
        Standard deviation of the factor's logarithm.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import rescale
    >>> rescale(torch.ones(2, 3, 5))[0].unique(dim=1).shape
    torch.Size([3, 1])
    """
    return x * torch.exp(sigma * randn(*x.shape[:2], 1, dtype=x.dtype, device=x.device))


def crop_time(x: Tensor, low: float = 0.5, high: float = 1.0) -> Tensor:
    """Stretch a random part of each series to the whole length, by linear interpolation.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    low, high : float, default=0.5, 1.0
        Least and greatest share of the length that is kept.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import crop_time
    >>> crop_time(torch.arange(5.0).expand(1, 1, 5), low=0.5, high=0.5).diff()
    tensor([[[0.5000, 0.5000, 0.5000, 0.5000]]])
    """
    n, last = len(x), x.shape[2] - 1
    share = low + (high - low) * rand(n, 1, device=x.device)
    start = (1 - share) * rand(n, 1, device=x.device)
    at = (start + share * torch.linspace(0, 1, last + 1, device=x.device)) * last
    left = at.floor().long()
    right = (left + 1).clamp_(max=last)
    weight = (at - left).to(x.dtype)[:, None]

    def values(index: Tensor) -> Tensor:
        return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))

    return torch.lerp(values(left), values(right), weight)


def permute_time(x: Tensor, n_segments: int = 4) -> Tensor:
    """Cut each series into segments of equal length and shuffle them.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    n_segments : int, default=4
        Number of segments; the last one is shorter if the length is not divisible.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import permute_time
    >>> view = permute_time(torch.arange(6.0).expand(1, 1, 6), n_segments=3)
    >>> sorted(view.flatten().tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    length = -(-x.shape[2] // n_segments)
    segment = torch.arange(x.shape[2], device=x.device) // length
    place = rand(len(x), n_segments, device=x.device).argsort(1)[:, segment]
    order = place.argsort(dim=1, stable=True)
    return x.gather(2, order[:, None].expand_as(x))


def mask_time(x: Tensor, share: float = 0.2) -> Tensor:
    """Mask one stretch of each series, in all channels.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    share : float, default=0.2
        Length of the stretch, as a share of the series.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import mask_time
    >>> mask_time(torch.ones(2, 1, 10), share=0.3).isnan().sum(2)
    tensor([[3],
            [3]])
    """
    length = x.shape[2]
    n_blank = round(share * length)
    start = randint(length - n_blank + 1, (len(x), 1, 1), device=x.device)
    since = torch.arange(length, device=x.device) - start
    return x.masked_fill((since >= 0) & (since < n_blank), torch.nan)


def mask_frequencies(x: Tensor, share: float = 0.2) -> Tensor:
    """Remove one band of frequencies from each series, in all channels.

    Missing values count as 0, the mean, in the transform, and are missing again afterwards.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series.
    share : float, default=0.2
        Width of the band, as a share of all frequencies; the mean is never removed.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import mask_frequencies
    >>> mask_frequencies(torch.ones(2, 1, 8), share=0.9)[0, 0]
    tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    spectrum = torch.fft.rfft(x.nan_to_num(0.0).float())
    n = spectrum.shape[2]
    n_out = min(round(share * n), n - 1)
    start = 1 + randint(n - n_out, (len(x), 1, 1), device=x.device)
    since = torch.arange(n, device=x.device) - start
    spectrum = spectrum.masked_fill((since >= 0) & (since < n_out), 0)
    view = torch.fft.irfft(spectrum, n=x.shape[2]).to(x.dtype)
    return view.masked_fill(x.isnan(), torch.nan)


def overlapping_crops(x: Tensor, max_length: int | None = None) -> tuple[Tensor, Tensor, int]:
    """Draw two overlapping stretches of each series.

    Parameters
    ----------
    x : Tensor of shape (n, channels, time)
        A batch of series. The position of the stretches differs from series to series.
    max_length : int, default=None
        Greatest length that the two stretches cover together.

    Returns
    -------
    first : Tensor of shape (n, channels, a)
        The earlier stretch.
    second : Tensor of shape (n, channels, b)
        The later stretch.
    n_shared : int
        The last ``n_shared`` steps of ``first`` are the first ones of ``second``.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import overlapping_crops
    >>> first, second, n = overlapping_crops(torch.rand(4, 1, 20))
    >>> bool((first[..., -n:] == second[..., :n]).all())
    True
    """
    length = min(x.shape[2], max_length or x.shape[2])

    def draw(low: int, high: int) -> int:  # from low to high, both included
        return int(randint(low, high + 1, ()))

    n_shared = draw(min(2, length), length)
    left = draw(0, length - n_shared)
    right = left + n_shared
    start, stop = draw(0, left), draw(right, length)
    offset = randint(x.shape[2] - (stop - start) + 1, (len(x), 1), device=x.device)
    index = offset + torch.arange(stop - start, device=x.device)
    part = x.gather(2, index[:, None].expand(-1, x.shape[1], -1))
    return part[:, :, : right - start], part[:, :, left - start :], n_shared


def series_views(preset: SeriesPreset) -> Compose:
    """Return a chain of views of series.

    Parameters
    ----------
    preset : {"weak", "strong"}
        ``"weak"`` rescales channels and adds noise; ``"strong"`` first stretches a random half
        or more of the series to its whole length, and finally masks a stretch.

    Returns
    -------
    view : Compose
        From a batch (n, channels, time) to an altered batch.

    Examples
    --------
    >>> from skssl.views import series_views
    >>> series_views("weak")
    Compose(rescale, jitter)
    """
    if preset not in SERIES_PRESETS:
        raise ValueError(
            f"There are no views {preset!r} of series; there are 'weak' and 'strong'. Or pass a "
            "function that maps a batch (n, channels, time) to an altered one."
        )
    if preset == "weak":
        return Compose((rescale, jitter))
    return Compose((crop_time, rescale, jitter, partial(mask_time, share=0.2)))
