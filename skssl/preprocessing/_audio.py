"""Log-mel spectrograms and tokens of waveforms."""

from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from skssl._compat import Estimator, Interval, fit_context, plain_torch
from skssl._data import AudioReader, refuse_gaps
from skssl._data._containers import read_tokens
from skssl._data._masked import unmask
from skssl.encoders import LogMel

__all__ = ["LogMel", "MuLaw", "log_mel"]


@plain_torch()
def log_mel(
    X: Any,
    sampling_rate: int,
    n_mels: int = 40,
    frame_length: float = 0.025,
    hop_length: float = 0.010,
) -> np.ndarray:
    """Return log-mel spectrograms of waveforms.

    Parameters
    ----------
    X : array-like of shape (n_samples, time)
        Waveforms, floats from -1 to 1 or signed integers of 16, 24 or 32 bits, or a list of
        arrays of different lengths.
    sampling_rate : int
        Samples per second.
    n_mels : int, default=40
        Number of bands, from 0 Hz to half the sampling rate.
    frame_length : float, default=0.025
        Length of a frame in seconds.
    hop_length : float, default=0.010
        Time from one frame to the next in seconds.

    Returns
    -------
    mel : ndarray of shape (n_samples, n_mels, n_frames), float32
        Natural logarithm of power + 1e-6; shorter waveforms are padded with NaN.

    See Also
    --------
    skssl.encoders.LogMel : The module that computes them.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.preprocessing import log_mel
    >>> log_mel(np.zeros((2, 8000)), sampling_rate=8000).shape
    (2, 40, 101)
    """
    x = AudioReader(sampling_rate).fit(X).read(X)
    front = LogMel(sampling_rate, n_mels, frame_length, hop_length)
    return torch.cat([front(part) for part in x.split(64)]).numpy()


class MuLaw(TransformerMixin, Estimator):
    """Turn waveforms into tokens: samples on a logarithmic scale, as in telephony.

    Parameters
    ----------
    n_levels : int, default=256
        Number of tokens, which are 1 to ``n_levels``. 0 is the padding of shorter waveforms.

    See Also
    --------
    NextToken : Learns from the tokens.

    References
    ----------
    .. [1] ITU-T Recommendation G.711, "Pulse Code Modulation of Voice Frequencies", 1988.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import MuLaw
    >>> law = MuLaw().fit([[0.0, 0.1, -1.0]])
    >>> law.transform([[0.0, 0.1, -1.0]])
    array([[129, 204,   1]])
    >>> law.inverse_transform([[129, 204, 1]]).round(3)
    array([[ 0.   ,  0.101, -1.   ]])
    """

    n_levels: int
    _reader: AudioReader

    _parameter_constraints = {"n_levels": [Interval(Integral, 2, 2**16, closed="both")]}

    def __init__(self, n_levels: int = 256):
        self.n_levels = n_levels

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn whether samples are floats or integers, and of how many bits.

        Parameters
        ----------
        X : array-like of shape (n_samples, time)
            Waveforms.
        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The transformer.
        """
        self._reader = AudioReader().fit(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Turn waveforms into tokens.

        Parameters
        ----------
        X : array-like of shape (n_samples, time)
            Waveforms, floats from -1 to 1 or signed integers of 16, 24 or 32 bits, or a list of
            arrays of different lengths.

        Returns
        -------
        tokens : ndarray of shape (n_samples, time), int64
            From 1, for -1, to ``n_levels``, for 1; louder samples are clipped. Padding is 0.

        Raises
        ------
        ValueError
            If samples are missing between others. NaN behind the last sample is padding.
        """
        reader = self._reader if hasattr(self, "_reader") else AudioReader().fit(X)
        x = reader.read(X).numpy().astype(np.float64)
        refuse_gaps(x)
        top = self.n_levels - 1
        bent = np.sign(x) * np.log1p(top * np.abs(x).clip(max=1)) / np.log1p(top)
        tokens = np.floor((bent + 1) / 2 * top + 0.5) + 1
        return np.nan_to_num(tokens).astype(np.int64)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Turn tokens into waveforms.

        Parameters
        ----------
        X : array-like of shape (n_samples, time)
            Tokens.

        Returns
        -------
        waveforms : ndarray of shape (n_samples, time), float64
            From -1 to 1; NaN where the token is 0.

        Raises
        ------
        ValueError
            If X has anything but whole numbers from 0 to ``n_levels``.
        """
        tokens = np.asarray(unmask(read_tokens(X)))
        wrong = ~np.isin(tokens, np.arange(self.n_levels + 1))
        if wrong.any():
            raise ValueError(
                f"X has {wrong.sum()} values that are no tokens, such as {tokens[wrong][0]!r}; "
                f"expected whole numbers from 1 to {self.n_levels}, and 0 for padding. Pass what "
                "transform returned, or what a model made of it."
            )
        top = self.n_levels - 1
        bent = 2 * (tokens - 1) / top - 1
        x = np.sign(bent) * np.expm1(np.abs(bent) * np.log1p(top)) / top
        return np.where(tokens > 0, x, np.nan)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        return tags
