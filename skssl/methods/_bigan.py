"""BiGAN."""

from numbers import Real
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl._data._draws import randn
from skssl.base import (
    GeneratesImages,
    Interval,
    Net,
    ReadsImages,
    ReconstructionMixin,
    SSLTransformer,
)
from skssl.encoders import width_of
from skssl.encoders._decoder import Generator
from skssl.encoders._spectral import PairCritic
from skssl.losses import hinge
from skssl.methods._adversary import BETAS, frozen
from skssl.methods._projections import average
from skssl.views import View, original


class BiGAN(GeneratesImages, ReconstructionMixin, ReadsImages, SSLTransformer):
    """Invert a generator of images: learn to embed an image as what it would be made from.

    A discriminator sees pairs: a real image with its embedding, or a generated image with the
    random numbers it was made from. Where it cannot tell them apart, encoder and generator are
    each other's inverse. ``generate`` draws new images, and ``reconstruct`` generates from the
    embedding: at best an image with the same content, not the same pixels. For small images, of 8
    to 64 pixels. Experimental: of Fashion-MNIST, its embedding is worse than principal components.

    Parameters
    ----------
    n_components : int, default=64
        Width of the embedding made by the default encoder, and number of random numbers that an
        image is made from.
    inversion : float, default=1.0
        Weight of the squared error between the random numbers of a generated image and its
        embedding, which few steps need to make encoder and generator each other's inverse. 0 is
        [1]_ itself.
    batch_size : "auto" or int, default=64
        Rows per step; all of them if there are fewer. A last ragged batch is dropped.
    learning_rate : float, default=1e-3
        Peak learning rate of AdamW, whose moments decay with rates 0 and 0.9.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        The generator: maps embeddings, or normal numbers (n, n_components), to scaled images.

    Notes
    -----
    ``loss_curve_`` is the sum of the losses of the two adversaries. It does not fall, and says
    nothing about the images: :func:`skssl.metrics.frechet_distance` does.

    References
    ----------
    .. [1] Donahue, Krähenbühl and Darrell, "Adversarial Feature Learning", ICLR 2017.
       https://arxiv.org/abs/1605.09782
    .. [2] Li et al., "ALICE: Towards Understanding Adversarial Learning for Joint Distribution
       Matching", NeurIPS 2017. https://arxiv.org/abs/1709.01215

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import BiGAN
    >>> X = load_digits().images[:200]
    >>> gan = BiGAN(modality="image", n_components=32, max_epochs=1, random_state=0).fit(X)
    >>> gan.transform(X).shape, gan.reconstruct(X).shape, gan.generate(5, random_state=0).shape
    ((200, 32), (200, 8, 8), (5, 8, 8))
    """

    n_components: int = 64
    inversion: float = 1.0
    batch_size: int | Literal["auto"] = 64

    _least_steps = 2900  # minutes of a processor for 10 000 images of 28 x 28 pixels
    _parameter_constraints = {"inversion": [Interval(Real, 0, None, closed="left")]}

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        width, net.betas = width_of(net.encoder, X), BETAS
        net.encoder = nn.Sequential(net.encoder, nn.Linear(width, width))  # of both signs
        net.decoder = Generator(width, X)
        net.critic = PairCritic(width, X)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The objective of section 3 of [1], hinged, and the cycle of [2], over all views."""
        return average(self._adversaries(net, view) for view in net.views(x))

    def _adversaries(self, net: Net, x: Tensor) -> Tensor:
        """Return the loss of the discriminator plus that of the encoder and the generator."""
        z_real = net.encoder(x).float()
        z = randn(*z_real.shape, device=x.device)
        images, codes = torch.cat([x, net.decoder(z)]), torch.cat([z_real, z])
        real, fake = net.critic(images.detach(), codes.detach()).chunk(2)
        critic = hinge(real, fake)
        real, fake = frozen(net.critic, images, codes).chunk(2)
        loss = critic + real.mean() - fake.mean()
        if self.inversion:
            loss = loss + self.inversion * F.mse_loss(net.encoder(images[len(x) :]).float(), z)
        return loss
