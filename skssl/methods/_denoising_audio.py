"""Denoising of distorted audio."""

import copy
from functools import partial
from typing import Literal

from torch import Tensor, nn

from skssl.base import Net, ReadsAudio, SSLTransformer, StrOptions
from skssl.base._clean_audio import CleansAudio
from skssl.base._modalities import Modality
from skssl.base._parameters import ViewsFunction
from skssl.base._transformer import _apply
from skssl.encoders import check_sequence, steps_of, width_of
from skssl.encoders._audio import correct_bands
from skssl.views import Compose, View, add_hiss, clip_peaks, lose_band, reverberate


class DenoisingAudio(CleansAudio, ReadsAudio, SSLTransformer):
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
