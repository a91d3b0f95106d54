"""Masked autoencoder."""

from numbers import Integral, Real
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsImages, ReconstructionMixin, SSLTransformer
from skssl.encoders import patchify
from skssl.encoders._patches import PatchDecoder, check_patches, split_patches
from skssl.encoders._vit import grid_of
from skssl.losses import standardized_error
from skssl.methods._projections import average
from skssl.views import View, original


class MaskedAutoencoder(ReconstructionMixin, ReadsImages, SSLTransformer):
    """Predict the pixels of masked patches from the few visible ones.

    The encoder is a vision transformer that reads the visible patches only, which makes a step
    cheap; a small decoder adds mask tokens. The embedding is better fine-tuned than frozen under
    a linear model.

    ``reconstruct`` masks one random choice of patches, the same in every image, and returns the
    images with the predictions there; ``decoder_.hidden``, of shape (height, width), is True
    there.

    Parameters
    ----------
    mask_ratio : float, default=0.75
        Share of the patches that are masked: at least one patch, and not all.
    norm_pix_loss : bool, default=True
        Whether to predict the standardised pixels of each patch. ``reconstruct`` then shows
        predictions of plain pixels by a last layer of its own, which neither trains the rest nor
        enters ``loss_curve_``.
    decoder_embed_dim : int, default=64
        Width of the decoder.
    decoder_depth : int, default=2
        Number of blocks of the decoder.
    n_components : int, default=128
        Width of the embedding made by the default encoder.
    batch_size : "auto" or int, default=128
        Rows per step; all of them if there are fewer. A last ragged batch is left out.
    encoder : "auto", "vit", torch.nn.Module or callable, default="auto"
        ``"auto"`` is ``"vit"``. Another one needs ``tokens(x, keep=None)`` and ``patch_size``,
        as :class:`skssl.encoders.ViT` has them.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Predicts masked patches from the tokens of the visible ones.

    References
    ----------
    .. [1] He, Chen, Xie, Li, Dollár and Girshick, "Masked Autoencoders Are Scalable Vision
       Learners", CVPR 2022. https://arxiv.org/abs/2111.06377

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import MaskedAutoencoder
    >>> X = load_digits().images[:200]
    >>> mae = MaskedAutoencoder(modality="image", n_components=32, max_epochs=1).fit(X)
    >>> mae.transform(X).shape, mae.reconstruct(X).shape
    ((200, 32), (200, 8, 8))
    """

    mask_ratio: float = 0.75
    norm_pix_loss: bool = True
    decoder_embed_dim: int = 64
    decoder_depth: int = 2
    n_components: int = 128
    batch_size: int | Literal["auto"] = 128

    _auto_encoder = "vit"
    _parameter_constraints = {
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "norm_pix_loss": ["boolean"],
        "decoder_embed_dim": [Interval(Integral, 1, 2**16, closed="both")],
        "decoder_depth": [Interval(Integral, 1, 2**10, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original if self.views == "auto" else augment,)

    def _build(self, net: Net, X: Tensor) -> None:
        width = check_patches(net.encoder, X, type(self).__name__)
        patch_size, dim = net.encoder.patch_size, self.decoder_embed_dim
        net.student = net.encoder  # keeps its tokens when net.encoder is wrapped
        net.decoder = PatchDecoder(width, X, patch_size, dim, self.decoder_depth, self.mask_ratio)
        net.head = nn.Linear(dim, net.decoder.pixels.out_features)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The squared error of hidden patches, section 3 of [1], over all views."""
        errors, shown = zip(*(self._view_errors(net, view) for view in net.views(x)), strict=True)
        if net.training and self.norm_pix_loss:
            net.display_loss = average(shown)
        return average(errors)

    def _view_errors(self, net: Net, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error that trains the encoder, and that of the pixels which are shown."""
        patches = patchify(x, net.student.patch_size)
        seen, hidden = split_patches(len(x), patches.shape[1], self.mask_ratio, x.device)
        target = patches.take_along_dim(hidden[:, :, None], 1)
        grid = grid_of(x.shape[2:], net.student.patch_size)
        h = net.decoder.predictor(net.student.tokens(x, seen), seen, hidden, grid)
        pixels = net.decoder.pixels(h.detach() if self.norm_pix_loss else h)
        shown = F.mse_loss(pixels.to(target.dtype), target)
        return standardized_error(net.head(h), target) if self.norm_pix_loss else shown, shown
