"""Views of audio: waveforms (n, time) between -1 and 1, padded with NaN, which stays NaN.

They distort as microphones, lines and rooms do; each waveform is altered independently.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from skssl._data._draws import rand, randn
from skssl.views._batches import between, choose_rows, uniform

Range = tuple[float, float]


def check_waveforms(x: Tensor) -> None:
    """Raise unless x is a float batch (n, time)."""
    if x.ndim != 2 or not x.is_floating_point():
        raise ValueError(
            f"Views of waveforms read a float batch (n, time); got {tuple(x.shape)}, {x.dtype}."
        )


def clip_peaks(x: Tensor, share: Range = (0.1, 0.5), p: float = 0.5) -> Tensor:
    """Clip the peaks of random waveforms, as an overdriven microphone does.

    Parameters
    ----------
    x : Tensor of shape (n, time)
        A batch of waveforms.
    share : tuple of float, default=(0.1, 0.5)
        Least and greatest level to clip at, as a share of each waveform's peak.
    p : float, default=0.5
        Probability that a waveform is altered.

    Returns
    -------
    view : Tensor of shape (n, time)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import clip_peaks
    >>> clip_peaks(torch.tensor([[0.1, -1.0, 0.5]]), share=(0.2, 0.2), p=1.0)
    tensor([[ 0.1000, -0.2000,  0.2000]])
    """

    def cut(x: Tensor, there: Tensor | float) -> Tensor:
        level = between(*share, uniform(x)).to(x.dtype)
        most = (level * x.abs().amax(1))[:, None]
        return x.clamp(-most, most)

    return _some(x, p, cut)


def lose_band(x: Tensor, width: Range = (0.1, 0.4), p: float = 0.5) -> Tensor:
    """Remove a random band of frequencies from random waveforms, as a poor line does.

    Parameters
    ----------
    x : Tensor of shape (n, time)
        A batch of waveforms.
    width : tuple of float, default=(0.1, 0.4)
        Least and greatest share of all frequencies that is lost.
    p : float, default=0.5
        Probability that a waveform is altered.

    Returns
    -------
    view : Tensor of shape (n, time)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import lose_band
    >>> x = torch.randn(1, 1000)
    >>> view = lose_band(x, width=(0.5, 0.5), p=1.0)
    >>> bool(0.3 < view.square().mean() / x.square().mean() < 0.7)
    True
    """

    def cut(x: Tensor, there: Tensor | float) -> Tensor:
        lost = between(*width, uniform(x))
        start = uniform(x) * (1 - lost)
        spectrum = torch.fft.rfft(x)
        at = torch.linspace(0, 1, spectrum.shape[1], device=x.device)
        inside = (at >= start[:, None]) & (at <= (start + lost)[:, None])
        return torch.fft.irfft(spectrum.masked_fill_(inside, 0.0), n=x.shape[1])

    return _some(x, p, cut)


def add_hiss(x: Tensor, snr: Range = (0.0, 20.0), p: float = 0.5) -> Tensor:
    """Add coloured noise, between white and pink, to random waveforms.

    Parameters
    ----------
    x : Tensor of shape (n, time)
        A batch of waveforms.
    snr : tuple of float, default=(0.0, 20.0)
        Least and greatest ratio of signal to noise, in decibels.
    p : float, default=0.5
        Probability that a waveform is altered.

    Returns
    -------
    view : Tensor of shape (n, time)
        The altered copy.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import add_hiss
    >>> x = torch.ones(1, 1000)
    >>> noise = add_hiss(x, snr=(10.0, 10.0), p=1.0) - x
    >>> round(noise.square().mean().item(), 3)
    0.1
    """

    def hissing(x: Tensor, there: Tensor | float) -> Tensor:
        n, time = x.shape
        shape = n, time // 2 + 1, 2
        spectrum = torch.view_as_complex(randn(shape, dtype=x.dtype, device=x.device))
        log_at = torch.arange(1, shape[1] + 1, device=x.device).to(x.dtype).log()
        color = uniform(x)[:, None].to(x.dtype)  # 0 is white, 1 is pink
        spectrum.mul_((-0.5 * color * log_at).exp_())
        noise = torch.fft.irfft(spectrum, n=time, norm="ortho") * there
        ratio = 10 ** (-between(*snr, uniform(x)) / 10)[:, None].to(x.dtype)
        return x + (ratio * _power(x) / (_power(noise) + 1e-12)).sqrt() * noise

    return _some(x, p, hissing)


def reverberate(x: Tensor, decay: Range = (400.0, 4000.0), p: float = 0.5) -> Tensor:
    """Add the reverberation of a room to random waveforms: random echoes that decay.

    Parameters
    ----------
    x : Tensor of shape (n, time)
        A batch of waveforms.
    decay : tuple of float, default=(400.0, 4000.0)
        Least and greatest time in which echoes fall to a thousandth of their power, in samples.
    p : float, default=0.5
        Probability that a waveform is altered.

    Returns
    -------
    view : Tensor of shape (n, time)
        The altered copy; each waveform keeps its power.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import reverberate
    >>> click = torch.zeros(1, 1000)
    >>> click[0, 500] = 1.0
    >>> view = reverberate(click, p=1.0)
    >>> bool(view[0, :490].abs().max() < 1e-6), bool(view[0, 500] > 0.8)
    (True, True)
    """

    def heard(x: Tensor, there: Tensor | float) -> Tensor:
        at = torch.arange(x.shape[1], device=x.device).to(x.dtype)
        rate = (-0.5 * math.log(1000) / between(*decay, uniform(x))).to(x.dtype)
        echo = randn(x.shape, dtype=x.dtype, device=x.device)
        echo *= (rate[:, None] * at).exp_()
        echo *= 0.5 / _power(echo).sqrt()
        echo[:, 0] = 1.0  # the direct sound
        n_fft = 2 * x.shape[1]  # so that no echo wraps around to the beginning
        product = torch.fft.rfft(x, n_fft).mul_(torch.fft.rfft(echo, n_fft))
        made = torch.fft.irfft(product, n=n_fft)[:, : x.shape[1]] * there
        return made * (_power(x) / (_power(made) + 1e-12)).sqrt()

    return _some(x, p, heard)


def random_spans(steps: Tensor, share: float = 0.08, length: int = 10) -> Tensor:
    """Choose random spans of the steps of each series; they may overlap.

    Parameters
    ----------
    steps : bool Tensor of shape (n, time)
        Which steps exist; False is padding.
    share : float, default=0.08
        Share of the steps at which a span begins; at least one step per series.
    length : int, default=10
        Number of steps in a span.

    Returns
    -------
    spans : bool Tensor of shape (n, time)
        The existing steps that lie inside a span. A span is at most half of the series long.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import random_spans
    >>> spans = random_spans(torch.ones(3, 100, dtype=torch.bool), share=0.01, length=10)
    >>> bool((spans.sum(1) >= 1).all() and (spans.sum(1) < 100).all())
    True
    """
    n_steps = steps.sum(1, keepdim=True)
    draw = rand(steps.shape, device=steps.device).masked_fill(~steps, 2.0)
    rank = draw.argsort(1).argsort(1)
    first = (rank < (share * n_steps).round().clamp(min=1)) & steps
    length = min(length, max(1, steps.shape[1] // 2))
    inside = first.to(torch.float32).cumsum(1)
    before = torch.nn.functional.pad(inside, (length, 0))[:, : steps.shape[1]]
    return (inside > before) & steps


def _some(x: Tensor, p: float, alter: Callable[[Tensor, Tensor | float], Tensor]) -> Tensor:
    """Return a copy in which random waveforms are altered; padding stays NaN.

    ``alter`` gets waveforms whose padding is 0, and a mask to multiply by that is 0 at padding.
    """
    check_waveforms(x)
    rows = choose_rows(x, p).nonzero().squeeze(1)
    if not len(rows):
        return x.clone()
    before = x.index_select(0, rows)
    if not before.sum().isnan():
        return x.index_copy(0, rows, alter(before, 1.0).to(x.dtype))
    padding = before.isnan()
    after = alter(before.masked_fill_(padding, 0.0), (~padding).to(x.dtype)).to(x.dtype)
    return x.index_copy(0, rows, after.masked_fill_(padding, torch.nan))


def _power(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True)
