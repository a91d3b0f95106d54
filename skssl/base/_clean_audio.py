"""What an encoder that predicts clean spectrograms is good for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skssl._compat import plain_torch
from skssl._data import refuse_gaps
from skssl.base._transformer import _apply
from skssl.encoders._audio import correct_bands


class CleansAudio:
    """Mixin for methods whose decoder corrects each band of a waveform's spectrogram."""

    encoder_: nn.Sequential
    decoder_: nn.Module
    _reader: Any
    _read: Callable[[Any], Tensor]
    _scaler: Any

    @plain_torch()
    def reconstruct(self, X: Any) -> np.ndarray:
        """Predict the log-mel spectrograms of the clean waveforms.

        Parameters
        ----------
        X : array-like of shape (n_samples, time)
            Waveforms, as in ``fit``.

        Returns
        -------
        mel : ndarray of shape (n_samples, n_mels, n_frames)
            Logarithm of power, as returned by :func:`skssl.preprocessing.log_mel`; NaN behind the
            last frame of shorter waveforms.
        """
        check_is_fitted(self)
        return self._scaler.inverse(_apply(self._predict, self._read(X))).numpy()

    @plain_torch()
    def enhance(self, X: Any) -> np.ndarray:
        """Attenuate each band of the waveforms to its predicted clean level.

        Lost parts, such as a whole band, are not restored: ``reconstruct`` predicts them.

        Parameters
        ----------
        X : array-like of shape (n_samples, time)
            Waveforms, as in ``fit``.

        Returns
        -------
        waveforms : ndarray of shape (n_samples, time)
            In the units and the dtype of X; for a ragged list float32, padded with NaN.

        Raises
        ------
        ValueError
            If samples are missing between others. NaN behind the last sample is padding, and stays.
        """
        check_is_fitted(self)
        waveforms = self._read(X)
        refuse_gaps(waveforms.numpy())
        cleaned = _apply(lambda x: self._scaler.amplify(x, self._predict(x)), waveforms)
        return self._reader.restore(cleaned.numpy(), X)

    def _predict(self, x: Tensor) -> Tensor:
        return correct_bands(self.encoder_[1], self.decoder_, self._scaler(x))
