"""Log-mel spectrograms of waveforms, and waveforms corrected to match a spectrogram."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from skssl.encoders._series import SeriesScaler

FLOOR = 1e-6  # added to powers before the logarithm: silence is -13.8


class LogMel(nn.Module):
    """Logarithm of the power in mel bands, in short overlapping frames.

    The filters are Slaney's: triangles of equal area, linear below 1 kHz and logarithmic above.
    Frames have a Hann window and are centred at multiples of ``hop_length``, starting at 0.

    Parameters
    ----------
    sampling_rate : int
        Samples per second.
    n_mels : int, default=40
        Number of bands, from 0 Hz to half the sampling rate.
    frame_length : float, default=0.025
        Length of a frame in seconds.
    hop_length : float, default=0.010
        Time from one frame to the next in seconds.

    Shape
    -----
    (n, time) waveforms, shorter ones padded with NaN -> (n, n_mels, n_frames), padded with NaN;
    n_frames is 1 + time // hop

    References
    ----------
    .. [1] Slaney, "Auditory Toolbox", 1998. https://engineering.purdue.edu/~malcolm/interval/1998-010

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import LogMel
    >>> x = torch.sin(2 * torch.pi * 440 * torch.arange(8000) / 8000)[None]  # a second of A4
    >>> mel = LogMel(8000)(x)
    >>> mel.shape, mel[0, :, 50].argmax()
    (torch.Size([1, 40, 101]), tensor(7))
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sampling_rate: int,
        n_mels: int = 40,
        frame_length: float = 0.025,
        hop_length: float = 0.010,
    ):
        super().__init__()
        self.win_length = max(2, round(frame_length * sampling_rate))
        self.hop_length = max(1, round(hop_length * sampling_rate))
        self.n_fft = 2 ** math.ceil(math.log2(self.win_length))
        self.register_buffer("window", torch.hann_window(self.win_length))
        self.register_buffer("filters", mel_filters(sampling_rate, self.n_fft, n_mels))

    def spectrum(self, x: Tensor) -> Tensor:
        """Return the complex spectra of waveforms without NaN, (n, n_fft // 2 + 1, n_frames)."""
        given = self.n_fft, self.hop_length, self.win_length, self.window
        return torch.stft(x.float(), *given, pad_mode="constant", return_complex=True)

    def waveform(self, spectrum: Tensor, length: int) -> Tensor:
        """Return the waveforms (n, length) that have these spectra."""
        given = self.n_fft, self.hop_length, self.win_length, self.window
        return torch.istft(spectrum, *given, length=length)

    def mel(self, spectrum: Tensor) -> Tensor:
        """Return the logarithm of the power of spectra in each band."""
        power = spectrum.real.square() + spectrum.imag.square()  # .abs() takes roots
        return (self.filters @ power + FLOOR).log()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out = self.mel(self.spectrum(x.nan_to_num(0.0)))
        start = self.hop_length * torch.arange(out.shape[2], device=x.device)
        return out.masked_fill((start > lengths(x)[:, None])[:, None], torch.nan)


def lengths(x: Tensor) -> Tensor:
    """Return the number of samples of each waveform up to its last known one, (n,)."""
    place = torch.arange(1, x.shape[1] + 1, device=x.device)
    return (~x.isnan() * place).amax(1)


def mel_filters(sampling_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Return the weight of each frequency in each band, (n_mels, n_fft // 2 + 1)."""
    high = _to_mel(torch.tensor(sampling_rate / 2, dtype=torch.float64))
    edges = _to_hertz(torch.linspace(0, float(high), n_mels + 2, dtype=torch.float64))
    at = torch.linspace(0, sampling_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    low, middle, top = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangle = torch.minimum((at - low) / (middle - low), (top - at) / (top - middle))
    return (triangle.clamp(min=0) * 2 / (top - low)).float()


LINEAR, STEP = 200 / 3, math.log(6.4) / 27  # Hz per mel below 1 kHz, nepers per mel above


def _to_mel(hertz: Tensor) -> Tensor:
    above = 1000 / LINEAR + (hertz.clamp(min=1) / 1000).log() / STEP
    return torch.where(hertz < 1000, hertz / LINEAR, above)


def _to_hertz(mel: Tensor) -> Tensor:
    corner = 1000 / LINEAR
    return torch.where(mel < corner, mel * LINEAR, 1000 * (STEP * (mel - corner)).exp())


class AudioScaler(nn.Module):
    """Log-mel spectrograms of waveforms; each band is standardised over all waveforms.

    Parameters
    ----------
    X : Tensor of shape (n, time)
        Waveforms to learn from; at most about a thousand are used, evenly spaced.
    columns : None
        Ignored; only tables have columns.
    sampling_rate : int, default=16_000
        Samples per second.

    Shape
    -----
    (n, time) -> (n, n_mels, n_frames), padded with NaN
    """

    def __init__(self, X: Tensor, columns: object = None, sampling_rate: int = 16_000):
        super().__init__()
        self.front = LogMel(sampling_rate)
        some = X[:: -(-len(X) // 1000)]
        self.bands = SeriesScaler(torch.cat([self.front(part) for part in some.split(64)]))

    def forward(self, x: Tensor) -> Tensor:
        return self.bands(self.front(x))

    def inverse(self, z: Tensor) -> Tensor:
        """Map scaled spectrograms back to the logarithm of power."""
        return self.bands.inverse(z)

    def amplify(self, x: Tensor, z: Tensor, most: float = 1.0) -> Tensor:
        """Return waveforms (n, time) whose bands are attenuated to match scaled spectrograms.

        Parameters
        ----------
        x : Tensor of shape (n, time)
            Waveforms, padded with NaN.
        z : Tensor of shape (n, n_mels, n_frames)
            Scaled spectrograms to match.
        most : float, default=1.0
            Greatest gain of a frequency; more would amplify noise. There is no least gain.
        """
        spectrum = self.front.spectrum(x.nan_to_num(0.0))
        gain = 0.5 * (self.inverse(z) - self.front.mel(spectrum)).nan_to_num(0.0)  # of amplitudes
        share = self.front.filters / self.front.filters.sum(0).clamp(min=1e-12)
        gain = (share.T @ gain).clamp(max=math.log(most)).exp()
        made = self.front.waveform(gain * spectrum, x.shape[1])
        return made.masked_fill(x.isnan(), torch.nan)


def correct_bands(encoder: Any, decoder: nn.Module, x: Tensor) -> Tensor:
    """Add to scaled spectrograms the correction that a net predicts for each frame."""
    return x + decoder(encoder.sequence(x)).transpose(1, 2)
