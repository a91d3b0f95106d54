"""SSGAN."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl._data._draws import randn
from skssl.base import GeneratesImages, Interval, Net, ReadsImages, SSLTransformer
from skssl.encoders import SpectralNet, width_of
from skssl.encoders._decoder import Generator
from skssl.encoders._spectral import TurnCritic
from skssl.losses import hinge
from skssl.methods._adversary import BETAS, frozen
from skssl.methods._projections import average
from skssl.methods._rotation import check_square
from skssl.views import View, original


class SSGAN(GeneratesImages, ReadsImages, SSLTransformer):
    """Tell real images from generated ones, and which quarter turn an image was rotated by.

    A generator makes images of random numbers, which the discriminator, the encoder with a linear
    layer, must not tell from real ones. The turns keep the discriminator from forgetting what it
    learnt of earlier images. ``generate`` draws new images. For small square images, of 8 to 64
    pixels, that have an upright position.

    Parameters
    ----------
    n_latent : int, default=64
        Number of random numbers that an image is made from.
    alpha : float, default=0.2
        Weight of the turns of generated images in the generator's loss.
    beta : float, default=1.0
        Weight of the turns of real images in the discriminator's loss.
    encoder : "auto", str, torch.nn.Module or callable, default="auto"
        ``"auto"`` is :class:`skssl.encoders.SpectralNet`. Another one is the discriminator as it
        is: the generator learns best from one without batch normalisation.
    batch_size : "auto" or int, default=64
        Rows per step; all of them if there are fewer. A last ragged batch is dropped.
    learning_rate : float, default=1e-3
        Peak learning rate of AdamW, whose moments decay with rates 0 and 0.9.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        The generator: maps normal numbers (n, n_latent) to scaled images.

    Notes
    -----
    ``loss_curve_`` is the sum of the losses of the two adversaries. It does not fall, and says
    nothing about the images: :func:`skssl.metrics.frechet_distance` does.

    References
    ----------
    .. [1] Chen, Zhai, Ritter, Lucic and Houlsby, "Self-Supervised GANs via Auxiliary Rotation
       Loss", CVPR 2019. https://arxiv.org/abs/1811.11212

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import SSGAN
    >>> X = load_digits().images[:200]
    >>> gan = SSGAN(modality="image", n_components=32, max_epochs=1, random_state=0).fit(X)
    >>> gan.transform(X).shape, gan.generate(5, random_state=0).shape
    ((200, 32), (5, 8, 8))
    """

    n_latent: int = 64
    alpha: float = 0.2
    beta: float = 1.0
    batch_size: int | Literal["auto"] = 64

    _least_steps = 4500  # minutes of a processor for 10 000 images of 28 x 28 pixels
    _parameter_constraints = {
        "n_latent": [Interval(Integral, 1, 2**16, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    @property
    def _auto_encoder(self) -> Callable[[Tensor], nn.Module]:  # type: ignore[override]
        return lambda x: SpectralNet(x.shape[1], (x.shape[2], x.shape[3]), self.n_components)

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        check_square(X, "SSGAN", "BiGAN")
        net.betas = BETAS
        net.critic = TurnCritic(net.encoder, width_of(net.encoder, X))
        net.decoder = Generator(self.n_latent, X)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The two losses of section 3 of [1], with the hinge loss, over all views."""
        return average(self._adversaries(net, view) for view in net.views(x))

    def _adversaries(self, net: Net, x: Tensor) -> Tensor:
        """Return the loss of the discriminator plus that of the generator."""
        fake, n = net.decoder(randn(len(x), self.n_latent, device=x.device)), len(x)
        out = net.critic(torch.cat([x, fake.detach(), turned(x)]))
        critic = hinge(out[:n, 0], out[n : 2 * n, 0]) + self.beta * turn_error(out[2 * n :, 1:])
        out = frozen(net.critic, torch.cat([fake, turned(fake)]))
        return critic - out[:n, 0].mean() + self.alpha * turn_error(out[n:, 1:])


def turned(x: Tensor) -> Tensor:
    """Return a quarter of a batch in all four turns, one turn after another."""
    some = x[: max(1, len(x) // 4)]
    return torch.cat([some.rot90(turns, (2, 3)) for turns in range(4)])


def turn_error(logits: Tensor) -> Tensor:
    """Return the cross-entropy of the turns of images that ``turned`` returned."""
    turns = torch.arange(4, device=logits.device).repeat_interleave(len(logits) // 4)
    return F.cross_entropy(logits, turns)
