"""What a model without pretraining would see of X, to be joined to the embedding."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from skssl._base import _apply
from skssl._inputs import ImageReader, TableReader
from skssl._train import local_seed
from skssl.encoders import QuantileScaler, SideBySide, Standardizer, TableFront

N_COMPONENTS = 80  # of pixels
IMAGES_FOR_COMPONENTS = 10_000


class RawColumns:
    """The columns themselves as floats: what a linear model on the raw table would see.

    Numbers come twice: quantile-to-normal scaled, and standardised, at most 5 standard
    deviations from the mean, since some targets are linear in the one, some in the other.
    Holes are 0 with an indicator, categories one-hot up to 100 levels and a random projection
    of that above. Fitted on every row at hand, labelled or not; never on labels.

    Parameters
    ----------
    categorical_features : "from_dtype" or list, default="from_dtype"
        As in the transformers.
    """

    def __init__(self, categorical_features: Any = "from_dtype"):
        self.categorical_features = categorical_features

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn quantiles and categories from X and from ``more`` rows."""
        self.reader = TableReader(self.categorical_features).fit(X, *more)
        x = torch.cat([self.reader.read(part) for part in (X, *more)])
        columns = self.reader.columns
        scaler = QuantileScaler(x, columns)
        with local_seed(0, torch.device("cpu")):
            front = TableFront(scaler(x), columns, one_hot_limit=100)
        self.module = SideBySide(nn.Sequential(scaler, front), Standardizer(x, columns)).eval()
        self.n_outputs = front.n_features_out + len(columns.numeric)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the encoded columns, (n_samples, n_outputs), float32."""
        return _apply(self.module, self.reader.read(X)).numpy()


class RawPixels:
    """The principal components of the pixels: what a linear model on small images would see.

    All are divided by one number, such that their mean variance is 1. Fitted on at most 10 000
    images; never on labels.

    Parameters
    ----------
    image_shape, channel_axis : default=None and "auto"
        As in the transformers.
    """

    def __init__(self, image_shape: Any = None, channel_axis: Any = "auto"):
        self.image_shape = image_shape
        self.channel_axis = channel_axis

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the components from X and from ``more`` images."""
        self.reader = ImageReader(self.image_shape, self.channel_axis).fit(X)
        x = torch.cat([self._pixels(part) for part in (X, *more)])
        some = x[:: -(-len(x) // IMAGES_FOR_COMPONENTS)].numpy()
        n_components = min(N_COMPONENTS, *some.shape)
        with np.errstate(invalid="ignore"):  # 0 / 0, where all images are alike
            self.pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(some)
        self.scale = float(np.sqrt(self.pca.explained_variance_.mean())) or 1.0
        self.n_outputs = n_components
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the components, (n_samples, n_outputs), float32."""
        return self.pca.transform(self._pixels(X).numpy()).astype(np.float32) / self.scale

    def _pixels(self, X: Any) -> torch.Tensor:
        return self.reader.read(X).flatten(1).float()


RAW = {"table": RawColumns, "image": RawPixels}
