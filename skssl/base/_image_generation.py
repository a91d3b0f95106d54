"""``generate`` of methods that make images."""

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from skssl._compat import Seed, plain_torch
from skssl.base._transformer import _apply


class GeneratesImages:
    """Mixin for methods whose decoder makes images from random numbers: ``generate``.

    ``_build`` puts on ``net.decoder`` a module that maps independent normal numbers (n, width) to
    scaled images (n, channels, height, width), and says by its attribute ``width`` how many.
    """

    decoder_: Any
    _reader: Any
    _scaler: Any

    @plain_torch()
    def generate(self, n: int, *, random_state: Seed = None) -> np.ndarray:
        """Draw images like those seen in ``fit``.

        Parameters
        ----------
        n : int
            Number of images, at least 1.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws: the same int makes the same images.

        Returns
        -------
        images : ndarray of shape (n, ...)
            In the layout and the units of the training images: uint8 if those were bytes, else
            float32. Rows of pixels, (n, n_features_in_), if ``fit`` was given rows.

        Raises
        ------
        ValueError
            If n is not positive; TypeError if it is no integer.
        """
        check_is_fitted(self)
        check_scalar(n, "n", Integral, min_val=1)
        seed = check_random_state(random_state).randint(2**31 - 1)
        generator = torch.Generator().manual_seed(int(seed))
        z = torch.randn(int(n), self.decoder_.width, generator=generator)
        images = self._scaler.inverse(_apply(self.decoder_, z)).numpy()
        dtype = np.uint8 if self._reader.is_bytes else np.float32
        like = np.empty((0, *self._reader.layout), dtype)
        images = self._reader.restore(images, like)
        return images.reshape(len(images), -1) if hasattr(self, "n_features_in_") else images
