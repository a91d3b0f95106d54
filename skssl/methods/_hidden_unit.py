"""HuBERT's hidden units."""

from numbers import Integral, Real
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsAudio, SSLTransformer
from skssl.encoders import check_sequence, steps_of, width_of
from skssl.views import View, original, random_spans

FRAMES_TO_CLUSTER = 20_000


class HiddenUnit(ReadsAudio, SSLTransformer):
    """Predict the units of masked frames of a waveform from the frames around them (HuBERT).

    Units are clusters of log-mel frames that k-means finds once before training: roughly
    phones. Spans of frames are hidden from the encoder, which predicts their units.

    Parameters
    ----------
    n_units : int, default=50
        Number of clusters; fewer if there are fewer distinct frames.
    mask_prob : float, default=0.08
        Share of the frames at which a hidden span begins; spans may overlap.
    mask_length : int, default=10
        Number of frames in a span; a frame is 10 ms.
    sampling_rate : int, default=16_000
        Samples per second.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=32
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    views : str or callable, default="auto"
        ``"auto"`` leaves waveforms unchanged; other names are views of series, and a callable
        maps scaled log-mel spectrograms (n, n_mels, n_frames) to altered ones. Units are always
        those of the unaltered waveform.
    encoder : "auto", torch.nn.Module or callable, default="auto"
        Reads scaled log-mel spectrograms. One of your own needs ``sequence(x, keep=None)``, as
        :class:`skssl.encoders.TemporalConvNet` has it.

    References
    ----------
    .. [1] Hsu, Bolte, Tsai, Lakhotia, Salakhutdinov and Mohamed, "HuBERT: Self-Supervised
       Speech Representation Learning by Masked Prediction of Hidden Units", 2021.
       https://arxiv.org/abs/2106.07447

    Examples
    --------
    >>> import numpy as np
    >>> from skssl import HiddenUnit
    >>> X = np.random.default_rng(0).normal(size=(20, 4000)) * 0.1  # half a second each
    >>> hubert = HiddenUnit(sampling_rate=8000, n_components=16, max_epochs=1, random_state=0)
    >>> hubert.fit_transform(X).shape
    (20, 16)
    """

    n_units: int = 50
    mask_prob: float = 0.08
    mask_length: int = 10
    n_components: int = 128
    batch_size: int | Literal["auto"] = 32

    _constants = {"centers": "clusters of frames, found before training as in the paper"}
    _parameter_constraints = {
        "n_units": [Interval(Integral, 2, 2**16, closed="both")],
        "mask_prob": [Interval(Real, 0, 1, closed="neither")],
        "mask_length": [Interval(Integral, 1, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        check_sequence(net.encoder, X, type(self).__name__)
        net.student = net.encoder  # keeps its frames when net.encoder is wrapped
        every = X.transpose(1, 2)[steps_of(X)].nan_to_num(0.0)
        frames = every[torch.randperm(len(every))[:FRAMES_TO_CLUSTER]].double().numpy()
        n_units = min(self.n_units, len(np.unique(frames, axis=0)))
        seed = int(torch.randint(2**31 - 1, ()))
        centers = KMeans(n_units, n_init=1, random_state=seed).fit(frames).cluster_centers_
        net.register_buffer("centers", torch.from_numpy(centers).float())
        net.head = nn.Linear(width_of(net.encoder, X), n_units)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The cross-entropy of hidden frames, section II.B of [1], over all views."""
        units, steps, views = self._units(net, x), steps_of(x), net.views(x)
        loss = x.new_zeros(())
        for view in views:
            hidden = random_spans(steps, self.mask_prob, self.mask_length)
            logits = net.head(net.student.sequence(view, keep=~hidden))
            loss = loss + F.cross_entropy(logits[hidden].float(), units[hidden])
        return loss / len(views)

    @staticmethod
    def _units(net: Net, x: Tensor) -> Tensor:
        """Return the nearest centre of each frame, (n, n_frames)."""
        frames = x.detach().transpose(1, 2).nan_to_num(0.0).float()
        with torch.autocast(x.device.type, enabled=False):
            return torch.cdist(frames, net.centers.expand(len(x), -1, -1)).argmin(2)
