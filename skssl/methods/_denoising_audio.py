"""Denoising of distorted audio."""

import copy
from functools import partial
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skssl._compat import plain_torch
from skssl._data import refuse_gaps
from skssl.base import Net, ReadsAudio, SSLTransformer, StrOptions
from skssl.base._modalities import Modality
from skssl.base._parameters import ViewsFunction
from skssl.base._transformer import _apply
from skssl.encoders import check_sequence, steps_of, width_of
from skssl.encoders._audio import correct_bands
from skssl.views import Compose, View, add_hiss, clip_peaks, lose_band, reverberate


class DenoisingAudio(ReadsAudio, SSLTransformer):
    """Predict the spectrogram of a clean waveform from a distorted copy.

    At random, copies are clipped, lose a band, and get noise and echoes. The net predicts a
    correction of each band.

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples per second.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=32
        Rows per step; all of them if there are fewer.
    views : "auto" or callable, default="auto"
        ``"auto"`` distorts as above. A callable maps waveforms (n, time), padded with NaN, to
        distorted waveforms, or to a list of them.
    encoder : "auto", torch.nn.Module or callable, default="auto"
        Reads scaled log-mel spectrograms. One of your own needs ``sequence(x)``.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the encoder's output for each frame to the correction of its bands.

    References
    ----------
    .. [1] Xu, Du, Dai and Lee, "A Regression Approach to Speech Enhancement Based on Deep
       Neural Networks", IEEE/ACM TASLP 23, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import DenoisingAudio
    >>> X = np.random.default_rng(0).normal(size=(20, 4000)) * 0.1  # half a second each
    >>> model = DenoisingAudio(sampling_rate=8000, n_components=16, max_epochs=1).fit(X)
    >>> model.transform(X).shape, model.enhance(X).shape, model.reconstruct(X).shape
    ((20, 16), (20, 4000), (20, 40, 51))
    """

    n_components: int = 128
    views: Literal["auto"] | ViewsFunction = "auto"
    batch_size: int | Literal["auto"] = 32

    _parameter_constraints = {"views": [StrOptions({"auto"}), callable]}

    def _views(self, augment: View) -> tuple[View, ...]:
        room = (0.05 * self.sampling_rate, 0.5 * self.sampling_rate)  # samples
        return (Compose((partial(reverberate, decay=room), add_hiss, lose_band, clip_peaks)),)

    def _build(self, net: Net, X: Tensor) -> None:
        check_sequence(net.encoder, X, type(self).__name__, hides=False)
        net.student = net.encoder  # keeps its frames when net.encoder is wrapped
        net.spectrogram = copy.deepcopy(self._scaler)
        net.decoder = nn.Linear(width_of(net.encoder, X), X.shape[1])
        nn.init.normal_(net.decoder.weight, std=1e-3)  # almost no correction at first
        nn.init.zeros_(net.decoder.bias)

    def _scales_batches(self, row: Modality) -> bool:
        return True  # views alter waveforms

    def _views_of(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        scale = partial(_apply, self.encoder_[0])
        return scale(x), list(map(scale, self.views_(x)))

    def _loss(self, net: Net, clean: Tensor) -> Tensor:
        """The squared error of scaled log-mel spectrograms, equation 2 of [1], over all views."""
        views = net.views(net.raw)
        behind = ~steps_of(clean)[:, None]
        n_cells = (~behind).sum() * clean.shape[1]
        made = [correct_bands(net.student, net.decoder, net.spectrogram(view)) for view in views]
        errors = [(z.float() - clean).masked_fill(behind, 0.0).square().sum() for z in made]
        return sum(errors) / n_cells / len(views)

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
            Logarithm of power, as returned by :func:`skssl.preprocessing.log_mel`.
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
