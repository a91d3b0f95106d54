"""What a model without pretraining would see of X, to be joined to the embedding."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl._data import AudioReader, ImageReader, SeriesReader, TableReader, TokenReader, texts_of
from skssl._data._vocabulary import N_SPECIAL
from skssl._training._loop import local_seed
from skssl.base._transformer import _apply
from skssl.encoders import (
    LogMel,
    QuantileScaler,
    RandomKernels,
    SeriesScaler,
    SideBySide,
    Standardizer,
    TableFront,
)

N_COMPONENTS = 80  # of pixels
N_KERNEL_FEATURES = 2016
IMAGES_FOR_COMPONENTS = 10_000
N_TOPICS = 100  # of texts
MOST_WORDS = 50_000


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

    _saved_as = "RawColumns"

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


class Components:
    """The first principal components of many columns, divided by one number.

    It makes their mean variance 1 and keeps their shares of it: standardised one by one, the last
    would be as loud as the first.
    """

    _saved_as = "Components"

    def fit(self, x: np.ndarray) -> Self:
        """Learn the components of rows (n, d)."""
        self.n_outputs = min(N_COMPONENTS, *x.shape)
        with np.errstate(invalid="ignore"):  # 0 / 0, where all rows are alike
            self.pca = PCA(self.n_outputs, svd_solver="randomized", random_state=0).fit(x)
        self.scale = float(np.sqrt(self.pca.explained_variance_.mean())) or 1.0
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the components of rows, (n, n_outputs), float32."""
        return self.pca.transform(x).astype(np.float32) / self.scale


class RawPixels:
    """The :class:`Components` of the pixels: what a linear model on small images would see.

    Fitted on at most 10 000 images; never on labels.

    Parameters
    ----------
    image_shape, channel_axis : default=None and "auto"
        As in the transformers.
    """

    _saved_as = "RawPixels"

    def __init__(self, image_shape: Any = None, channel_axis: Any = "auto"):
        self.image_shape = image_shape
        self.channel_axis = channel_axis

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the components from X and from ``more`` images."""
        self.reader = ImageReader(self.image_shape, self.channel_axis).fit(X)
        x = torch.cat([self._pixels(part) for part in (X, *more)])
        self.components = Components().fit(x[:: -(-len(x) // IMAGES_FOR_COMPONENTS)].numpy())
        self.n_outputs = self.components.n_outputs
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the components, (n_samples, n_outputs), float32."""
        return self.components.transform(self._pixels(X).numpy())

    def _pixels(self, X: Any) -> torch.Tensor:
        return self.reader.read(X).flatten(1).float()


class RawSeries:
    """How often fixed kernels exceed thresholds: what a linear model on series would see.

    What :class:`skssl.encoders.RandomKernels` makes of them, standardised column by column. Never
    fitted on labels.
    """

    _saved_as = "RawSeries"

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn thresholds, means and deviations from X and from ``more`` series."""
        self.reader = SeriesReader().fit(X)
        x = self.reader.read(X)
        for part in more:
            x = self.reader.join(x, self.reader.read(part))
        scaler = SeriesScaler(x)
        with local_seed(0, torch.device("cpu")):
            kernels = RandomKernels(scaler(x), n_features=N_KERNEL_FEATURES)
        self.module = nn.Sequential(scaler, kernels).eval()
        self.scaler = StandardScaler().fit(_apply(self.module, x).numpy())
        self.n_outputs = int(self.scaler.n_features_in_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        shares = _apply(self.module, self.reader.read(X)).numpy()
        return self.scaler.transform(shares).astype(np.float32)


class RawBands:
    """Mean and standard deviation of each log-mel band over the frames of a recording.

    What a linear model on spectrograms would see, standardised column by column. Never fitted on
    labels.

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples a second.
    """

    _saved_as = "RawBands"

    def __init__(self, sampling_rate: Any = 16_000):
        self.sampling_rate = sampling_rate

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the means and deviations of the columns from X and from ``more`` waveforms."""
        self.reader = AudioReader(self.sampling_rate).fit(X)
        self.front = LogMel(self.sampling_rate)
        self.scaler = StandardScaler()
        self.scaler.fit(np.concatenate([self._statistics(part) for part in (X, *more)]))
        self.n_outputs = int(self.scaler.n_features_in_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        return self.scaler.transform(self._statistics(X)).astype(np.float32)

    def _statistics(self, X: Any) -> np.ndarray:
        bands = _apply(self.front, self.reader.read(X)).double().numpy()
        return np.concatenate([np.nanmean(bands, 2), np.nanstd(bands, 2)], 1)


class RawWords:
    """Latent semantic analysis: what a linear model on word counts would see, in few columns.

    Words are weighed by TF-IDF, the matrix is cut to its largest singular values, and all columns
    are divided by one number, such that their mean variance is 1. Fitted on every text at hand;
    never on labels.
    """

    _saved_as = "RawWords"
    words: Any = staticmethod(texts_of)
    analyzer: Any = "word"
    token_pattern: Any = r"\w+|[^\w\s]"

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn words and components from X and from ``more`` texts."""
        texts = [text for part in (X, *more) for text in self.words(part)]
        self.tfidf = TfidfVectorizer(
            analyzer=self.analyzer,
            token_pattern=self.token_pattern,
            sublinear_tf=True,
            max_features=MOST_WORDS,
            dtype=np.float32,
        )
        counted = self.tfidf.fit_transform(texts)
        self.n_outputs = min(N_TOPICS, *counted.shape)
        self.svd = TruncatedSVD(self.n_outputs, random_state=0)
        self.scale = float(np.sqrt(self.svd.fit_transform(counted).var(0).mean())) or 1.0
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the components, (n_samples, n_outputs), float32."""
        topics = self.svd.transform(self.tfidf.transform(self.words(X)))
        return (topics / self.scale).astype(np.float32)


class RawTokens(RawWords):
    """As :class:`RawWords`, of token arrays.

    Parameters
    ----------
    pad_token : int or None, default=0
        As in the transformers.
    """

    _saved_as = "RawTokens"

    def __init__(self, pad_token: Any = 0):
        self.reader = TokenReader(pad_token)
        self.analyzer, self.token_pattern = list, None  # tokens as they are

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn tokens and components from X and from ``more`` rows."""
        self.reader.fit(X, *more)
        return super().fit(X, *more)

    def words(self, X: Any) -> list[list[int]]:
        """Return the tokens of each row that ``fit`` saw."""
        return [row[row >= N_SPECIAL].tolist() for row in self.reader.read(X)]
