"""Views of waveforms (n, time) between -1 and 1, NaN behind the last sample: NaN stays NaN.

They distort as microphones, lines and rooms do; each waveform of a batch is altered on its own.
"""

import math

import torch
from torch import Tensor

from skssl.views._batches import between, chosen, uniform

Range = tuple[float, float]


def check_waveforms(x: Tensor) -> None:
    """Raise unless x is a float batch (n, time)."""
    if x.ndim != 2 or not x.is_floating_point():
        raise ValueError(
            f"Views of waveforms read a float batch (n, time); got {tuple(x.shape)}, {x.dtype}."
        )


def clip_peaks(x: Tensor, share: Range = (0.1, 0.5), p: float = 0.5) -> Tensor:
    """Cut the peaks of random waveforms off, as an overdriven microphone does.

    Parameters
    ----------
    x : Tensor of shape (n, time)
        A batch of waveforms.
    share : tuple of float, default=(0.1, 0.5)
        Least and greatest level that is left, as a share of each waveform's own peak.
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
    check_waveforms(x)
    level = torch.where(chosen(x, p), between(*share, uniform(x)), 1.0)
    most = (level * x.nan_to_num(0.0).abs().amax(1))[:, None].to(x.dtype)
    return torch.minimum(torch.maximum(x, -most), most)


def lose_band(x: Tensor, width: Range = (0.1, 0.4), p: float = 0.5) -> Tensor:
    """Take a random band of frequencies out of random waveforms, as a poor line does.

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
    check_waveforms(x)
    lost = between(*width, uniform(x))
    start = uniform(x) * (1 - lost)
    spectrum = torch.fft.rfft(x.nan_to_num(0.0))
    at = torch.linspace(0, 1, spectrum.shape[1], device=x.device)
    inside = (at >= start[:, None]) & (at <= (start + lost)[:, None])
    made = torch.fft.irfft(spectrum.masked_fill(inside, 0.0), n=x.shape[1])
    return _where(chosen(x, p), made, x)


def add_hiss(x: Tensor, snr: Range = (0.0, 20.0), p: float = 0.5) -> Tensor:
    """Add noise to random waveforms, whose power falls with the frequency by a random power.

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
    check_waveforms(x)
    signal = x.nan_to_num(0.0)
    seen = (~x.isnan()).sum(1, keepdim=True).clamp(min=1)
    spectrum = torch.fft.rfft(torch.randn_like(signal))
    at = torch.arange(1, spectrum.shape[1] + 1, device=x.device).to(x.dtype)
    color = uniform(x)[:, None].to(x.dtype)  # 0 is white, 1 is pink
    noise = torch.fft.irfft(spectrum * at.pow(-0.5 * color), n=x.shape[1]) * ~x.isnan()
    power = signal.square().sum(1, keepdim=True) / seen
    ratio = 10 ** (-between(*snr, uniform(x)) / 10)[:, None].to(x.dtype)
    strength = (ratio * power / (noise.square().sum(1, keepdim=True) / seen + 1e-12)).sqrt()
    return _where(chosen(x, p), signal + strength * noise, x)


def reverberate(x: Tensor, decay: Range = (400.0, 4000.0), p: float = 0.5) -> Tensor:
    """Let random waveforms sound as in a room: echoes of random strength that die away.

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
        The altered copy, of the power that each waveform had.

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
    check_waveforms(x)
    signal, time = x.nan_to_num(0.0), x.shape[1]
    at = torch.arange(time, device=x.device).to(x.dtype)
    fall = (-0.5 * math.log(1000) * at / between(*decay, uniform(x))[:, None]).exp()
    echo = torch.randn_like(signal) * fall
    echo = 0.5 * echo / echo.square().sum(1, keepdim=True).sqrt()
    echo[:, 0] = 1.0  # what comes straight
    n_fft = 2 * time  # so that no echo comes round to the beginning
    made = torch.fft.irfft(torch.fft.rfft(signal, n_fft) * torch.fft.rfft(echo, n_fft), n=n_fft)
    made = made[:, :time] * ~x.isnan()
    power = [part.square().sum(1, keepdim=True) for part in (signal, made)]
    return _where(chosen(x, p), made * (power[0] / (power[1] + 1e-12)).sqrt(), x)


def random_spans(steps: Tensor, share: float = 0.08, length: int = 10) -> Tensor:
    """Choose random spans of the steps of each series; they may overlap.

    Parameters
    ----------
    steps : bool Tensor of shape (n, time)
        The steps that there are.
    share : float, default=0.08
        Share of the steps at which a span begins; at least one does in each series.
    length : int, default=10
        Steps of a span.

    Returns
    -------
    spans : bool Tensor of shape (n, time)
        Steps inside a span, of those there are. A span is at most half as long as the batch.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import random_spans
    >>> spans = random_spans(torch.ones(3, 100, dtype=torch.bool), share=0.01, length=10)
    >>> bool((spans.sum(1) >= 1).all() and (spans.sum(1) < 100).all())
    True
    """
    n_steps = steps.sum(1, keepdim=True)
    draw = torch.rand(steps.shape, device=steps.device).masked_fill(~steps, 2.0)
    rank = draw.argsort(1).argsort(1)
    first = (rank < (share * n_steps).round().clamp(min=1)) & steps
    length = min(length, max(1, steps.shape[1] // 2))
    inside = first.to(torch.float32).cumsum(1)
    before = torch.nn.functional.pad(inside, (length, 0))[:, : steps.shape[1]]
    return (inside > before) & steps


def _where(altered: Tensor, made: Tensor, x: Tensor) -> Tensor:
    """Return the altered waveforms and the others; NaN is where it was."""
    return torch.where(altered[:, None] & ~x.isnan(), made.to(x.dtype), x)
