"""``reconstruct`` and ``impute`` of methods that predict cells of tables or pixels."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skssl._compat import plain_torch
from skssl._data._columns import blocks
from skssl.base._modalities import MODALITIES, modalities_with, nouns
from skssl.base._transformer import _apply
from skssl.losses import cell_errors


class ReconstructionMixin:
    """Mixin for methods that keep a decoder: ``reconstruct``, and ``impute`` for tables.

    ``_build`` puts on ``net.decoder`` a module that maps embeddings to a prediction of every cell
    of a table, as :func:`skssl.encoders.cell_heads` makes one, or to scaled images (n, channels,
    height, width).

    A method that predicts a hidden part of an image gives its decoder ``fill(encoder, x)``, which
    hides that part of the scaled images ``x`` from the encoder and returns them with the
    prediction in its place. The decoder's buffer ``hidden``, bool (height, width), is True there.
    """

    encoder_: nn.Sequential
    decoder_: Any
    _modalities: ClassVar[tuple[str, ...]]
    _reader: Any
    _read: Callable[[Any], Tensor]
    _scaler: Any

    def _reconstructs(self) -> bool:
        return True

    def _reads_table(self) -> bool:
        return MODALITIES[self._reader.modality].is_table

    def _imputes(self) -> bool:
        modalities = (self._reader.modality,) if hasattr(self, "_reader") else self._modalities
        is_table = any(MODALITIES[modality].is_table for modality in modalities)
        return is_table and self._reconstructs()

    @available_if(lambda self: self._reconstructs())
    @plain_torch()
    def reconstruct(self, X: Any) -> Any:
        """Predict all cells, or pixels, from the embedding of their row.

        If the method masks a part of each image, that part is predicted from the rest, which is
        unchanged. The part is the same in every image: True in ``decoder_.hidden``, of shape
        (height, width).

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows with the columns seen in ``fit``, or images of the shape seen there.

        Returns
        -------
        X_predicted : of the type, columns and units of X
            The most likely category or the predicted number of each cell; for images that are
            no rows of pixels, an array of the layout and dtype of X.
        """
        check_is_fitted(self)
        predict = self._predict_cells if self._reads_table() else self._predict_pixels
        return self._reader.restore(predict(self._read(X)), X)

    @available_if(lambda self: self._imputes())
    @plain_torch()
    def impute(self, X: Any) -> Any:
        """Fill missing cells with predictions from the rest of their row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows with the columns seen in ``fit``.

        Returns
        -------
        X_filled : of the type, columns and units of X
            A copy of X with its missing cells predicted; all other cells are unchanged.
        """
        check_is_fitted(self)
        return self._reader.fill(self._predict_cells(self._read(X)), X)

    @torch.no_grad()
    def _predict_cells(self, x: torch.Tensor) -> np.ndarray:
        """Return predicted numbers, in their own units, and category codes, (n, d) float64."""
        output = _apply(nn.Sequential(self.encoder_, self.decoder_), x)
        cells = torch.empty(x.shape, dtype=torch.float64)
        for cardinality, index, span in blocks(self._reader.columns):
            if cardinality:
                logits = output[:, span].reshape(len(x), -1, cardinality)
                cells[:, index] = logits.argmax(2).double()
            else:
                cells[:, index] = self._scaler.inverse(output[:, span])
        return cells.numpy()

    def _errors(self, X: Any) -> np.ndarray:
        """Return the error of each cell or pixel, (n, d) float64; NaN for missing cells.

        Errors are squared errors in scaled units for numbers and pixels, and cross-entropies for
        categories.
        """
        x = self._read(X)
        if not self._reads_table():
            scaler, predict = self.encoder_[0], self._scaled_pixels

            def squared(x: torch.Tensor) -> torch.Tensor:
                return (predict(x) - scaler(x)).square().flatten(1)

            return _apply(squared, x).double().numpy()
        output = _apply(nn.Sequential(self.encoder_, self.decoder_), x)
        errors = cell_errors(output, _apply(self._scaler, x), self._reader.columns)
        return errors.double().numpy()

    def _predict_pixels(self, x: torch.Tensor) -> np.ndarray:
        """Return predicted images, in their own units, (n, channels, height, width)."""
        return self._scaler.inverse(_apply(self._scaled_pixels, x)).numpy()

    def _scaled_pixels(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self.decoder_, "fill"):
            scaler, encoder = self.encoder_
            return self.decoder_.fill(encoder, scaler(x))
        return self.decoder_(self.encoder_(x))


def check_reconstructs(method: object) -> None:
    """Raise unless a method has ``reconstruct``."""
    if not (isinstance(method, ReconstructionMixin) and method._reconstructs()):
        can = nouns(modalities_with("reconstruction_method"))
        raise ValueError(
            f"transformer= must be a method that has reconstruct, for {can}; "
            f"{type(method).__name__} has none. Pass DenoisingAutoencoder(), or take "
            "EmbeddingOutlierDetector."
        )
