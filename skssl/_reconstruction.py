"""The verbs of methods that predict the cells of a table."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skssl._base import _apply
from skssl._columns import blocks


class ReconstructionMixin:
    """``reconstruct`` and ``impute`` for transformers that keep a ``decoder_``."""

    encoder_: nn.Sequential
    decoder_: nn.Module
    _reader: Any
    _read: Any
    _scaler: Any

    def _reconstructs(self) -> bool:
        return True

    @available_if(lambda self: self._reconstructs())
    def reconstruct(self, X: Any) -> Any:
        """Predict every cell from the embedding of its row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows with the columns seen in ``fit``.

        Returns
        -------
        X_predicted : of the type, columns and units of X
            The most likely category and the predicted number of each cell.
        """
        check_is_fitted(self)
        return self._reader.restore(self._predict_cells(self._read(X)), X)

    @available_if(lambda self: self._reconstructs())
    def impute(self, X: Any) -> Any:
        """Fill the missing cells with what the rest of their row predicts.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows with the columns seen in ``fit``. Not written to.

        Returns
        -------
        X_filled : of the type, columns and units of X
            X with its missing cells predicted; all other cells as they were.
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
