"""Next-frame prediction."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skssl._compat import plain_torch
from skssl.base import Interval, Net, ReadsVideo, SSLTransformer, StrOptions
from skssl.base._parameters import ViewsFunction
from skssl.base._transformer import _apply
from skssl.encoders import FramePredictor
from skssl.encoders._video import go_on, maps_of
from skssl.losses import gradient_difference
from skssl.views import View, original, random_run


class NextFrame(ReadsVideo, SSLTransformer):
    """Predict the next frame of a clip from the few frames before it.

    A U-net predicts the difference between the next frame and the last one; the embedding is its
    innermost feature map, pooled over all runs of ``context`` frames.

    Parameters
    ----------
    context : int, default=4
        Number of frames that a prediction is based on.
    lambda_gdl : float, default=0.1
        Weight of the gradient difference loss [1]_; the squared error has weight 1.
    alpha : float, default=1.0
        Exponent of the gradient differences, at least 1.
    batch_size : "auto" or int, default=32
        Clips per step; one random run of each is read.
    views : "auto" or callable, default="auto"
        ``"auto"`` leaves clips unchanged. A callable maps scaled clips (n, time, channels, height,
        width) to altered ones, such as ``skssl.views.Alike(flip)``.
    encoder : "auto", "resnet18", torch.nn.Module or callable, default="auto"
        An image encoder that reads the frames of a run as channels. Your own module needs
        ``maps(x)``: feature maps of runs (n, context, channels, height, width), largest first.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps a scaled run of frames and its feature maps to the next frame.

    References
    ----------
    .. [1] Mathieu, Couprie and LeCun, "Deep Multi-Scale Video Prediction Beyond Mean Square
       Error", ICLR 2016. https://arxiv.org/abs/1511.05440

    Examples
    --------
    >>> from skssl import NextFrame
    >>> from skssl.datasets import make_moving_digits
    >>> clips, digits, velocities = make_moving_digits(40, n_frames=6, random_state=0)
    >>> model = NextFrame(n_components=32, max_epochs=1, random_state=0).fit(clips)
    >>> model.transform(clips).shape, model.predict_next(clips, n_frames=2).shape
    ((40, 32), (40, 2, 20, 20))
    """

    context: int = 4
    lambda_gdl: float = 0.1
    alpha: float = 1.0
    batch_size: int | Literal["auto"] = 32
    views: Literal["auto"] | ViewsFunction = "auto"

    _parameter_constraints = {
        "context": [Interval(Integral, 1, 2**10, closed="both")],
        "lambda_gdl": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 1, None, closed="left")],
        "views": [StrOptions({"auto"}), callable],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original,)

    def _build(self, net: Net, X: Tensor) -> None:
        run = random_run(X[:2], self.context + 1)[:, :-1]
        net.decoder = FramePredictor(maps_of(net.encoder, run), run)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 8 of [1] without the adversary: squared error plus gradient differences."""
        loss, views = x.new_zeros(()), net.views(x)
        for view in views:
            run, target = random_run(view, self.context + 1).split([self.context, 1], 1)
            predicted, target = net.decoder(run, net.encoder.maps(run)).float(), target[:, 0]
            edges = gradient_difference(predicted, target, self.alpha)
            loss = loss + F.mse_loss(predicted, target) + self.lambda_gdl * edges
        return loss / len(views)

    @plain_torch()
    def predict_next(self, X: Any, n_frames: int = 1) -> np.ndarray:
        """Predict the frames that follow the last ``context`` frames of each clip.

        Parameters
        ----------
        X : array-like of shape (n_samples, time, height, width[, channels])
            Clips of at least ``context`` frames, laid out as in ``fit``.
        n_frames : int, default=1
            Number of frames to predict; later ones are predicted from earlier predictions.

        Returns
        -------
        frames : ndarray of shape (n_samples, n_frames, height, width[, channels])
            In the units, layout and dtype of X; float32 for integers other than bytes.
        """
        check_is_fitted(self)
        x = self._read(X)
        if x.shape[1] < self.context or n_frames < 1:
            raise ValueError(
                f"predict_next reads {self.context} frames of each clip and predicts at least "
                f"one; got clips of {x.shape[1]} frames and n_frames={n_frames}."
            )
        scaler, encoder = self.encoder_
        x = x[:, -self.context :]
        ahead = _apply(lambda part: go_on(encoder, self.decoder_, scaler(part), n_frames), x)
        return self._reader.restore(scaler.inverse(ahead).numpy(), X)
