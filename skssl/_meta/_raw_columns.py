"""Raw columns: the features of a model without pretraining, joined to the embedding."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl._data import AudioReader, ImageReader, SeriesReader, TableReader, TokenReader, texts_of
from skssl._data._draws import Draws
from skssl._data._images import ChannelAxis
from skssl._data._reader import Reader
from skssl._data._table import CategoricalFeatures
from skssl._data._vocabulary import N_SPECIAL
from skssl.base._transformer import SSLTransformer, _apply
from skssl.encoders import (
    LogMel,
    QuantileScaler,
    RandomKernels,
    SeriesScaler,
    SideBySide,
    Standardizer,
    TableFront,
)

N_COMPONENTS = 80  # principal components of pixels
N_KERNEL_FEATURES = 2016
IMAGES_FOR_COMPONENTS = 10_000
N_TOPICS = 100
MOST_WORDS = 50_000

T = TypeVar("T")


class Raw:
    """Base of the encoders of raw columns: how they get the tensor that they encode.

    A subclass has ``_make_reader()``, ``learn(x, scaler)``, where the scaler may be None, and
    ``encode(x)``.

    Attributes
    ----------
    reader : object
        Turns rows into the tensor: the reader of the transformer, or one of its own.
    is_shared : bool
        Whether it is the reader of the transformer, so that rows are read once for both.
    n_outputs : int
        Number of columns.
    """

    reads_as_transformer: ClassVar[bool] = True  # whether it can use the tensor of the transformer
    is_shared = False
    reader: Any
    n_outputs: int

    def _make_reader(self) -> Reader:
        raise NotImplementedError

    def learn(self, x: Any, scaler: nn.Module | None) -> Self:
        """Learn from the tensor of all rows, and the transformer's scaler, if it has read them."""
        raise NotImplementedError

    def encode(self, x: Any) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        raise NotImplementedError

    def share(self, method: SSLTransformer, x: torch.Tensor) -> Self:
        """Learn from rows read by the reader of a fitted transformer."""
        self.reader, self.is_shared = method._reader, True
        return self.learn(x, method._scaler)

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn from X and from ``more`` rows, with a reader of its own."""
        self.fit_read(X, *more)
        return self

    def fit_read(self, *every: Any) -> Any:
        """Learn from all rows with a reader of its own, and return their tensor."""
        self.reader = self._make_reader()
        every = tuple(map(getattr(self.reader, "open", _as_it_is), every))
        self.reader.fit(*every)
        first, *more = map(self.reader.read, every)
        x = reduce(self.reader.join, more, first)
        self.learn(x, None)
        return x

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        return self.encode(self.reader.read(X))


class RawColumns(Raw):
    """The columns of a table as floats, for linear models and trees.

    Numbers are included twice: scaled to normal quantiles, and standardised and clipped at 5
    standard deviations, since some targets are linear in the one, some in the other. Missing values
    are 0 with an indicator; categories are one-hot encoded up to 100 levels, and randomly projected
    above. Fitted on all rows, labelled or not, and never on labels.

    Parameters
    ----------
    categorical_features : "from_dtype" or list, default="from_dtype"
        As in the transformers.
    """

    _saved_as = "RawColumns"

    def __init__(self, categorical_features: CategoricalFeatures = "from_dtype"):
        self.categorical_features = categorical_features

    def _make_reader(self) -> TableReader:
        return TableReader(self.categorical_features)

    def learn(self, x: torch.Tensor, scaler: nn.Module | None) -> Self:
        """Learn means, deviations and missing cells, and quantiles unless a scaler has them."""
        columns = self.reader.columns
        scaler = QuantileScaler(x, columns) if scaler is None else scaler
        scaled = scaler(x)
        with Draws(0).here(everywhere=True):
            front = TableFront(scaled, columns, one_hot_limit=100)
        self.module = SideBySide(nn.Sequential(scaler, front), Standardizer(x, columns)).eval()
        self.n_outputs = front.n_features_out + len(columns.numeric)
        return self

    def encode(self, x: torch.Tensor) -> np.ndarray:
        """Return the encoded columns, (n_samples, n_outputs), float32."""
        return _apply(self.module, x).numpy()


class Components:
    """The first principal components of many columns, divided by one number.

    Their mean variance becomes 1 and their relative variances are kept: standardised one by one,
    the last component would count as much as the first.
    """

    _saved_as = "Components"

    def fit(self, x: np.ndarray) -> Self:
        """Learn the components of rows (n, d)."""
        from sklearn.decomposition import PCA  # slow to import

        self.n_outputs = min(N_COMPONENTS, *x.shape)
        with np.errstate(invalid="ignore"):  # 0 / 0 if all rows are equal
            self.pca = PCA(self.n_outputs, svd_solver="randomized", random_state=0).fit(x)
        self.scale = float(np.sqrt(self.pca.explained_variance_.mean())) or 1.0
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return the components of rows, (n, n_outputs), float32."""
        return self.pca.transform(x).astype(np.float32) / self.scale


class RawPixels(Raw):
    """The :class:`Components` of the pixels of images.

    Fitted on at most 10 000 images, and never on labels.

    Parameters
    ----------
    image_shape, channel_axis : default=None and "auto"
        As in the transformers.
    """

    _saved_as = "RawPixels"

    def __init__(
        self, image_shape: Sequence[int] | None = None, channel_axis: ChannelAxis = "auto"
    ):
        self.image_shape = image_shape
        self.channel_axis = channel_axis

    def _make_reader(self) -> ImageReader:
        return ImageReader(self.image_shape, self.channel_axis)

    def learn(self, x: torch.Tensor, scaler: nn.Module | None) -> Self:
        """Learn the components."""
        some = x[:: -(-len(x) // IMAGES_FOR_COMPONENTS)]
        self.components = Components().fit(some.flatten(1).float().numpy())
        self.n_outputs = self.components.n_outputs
        return self

    def encode(self, x: torch.Tensor) -> np.ndarray:
        """Return the components, (n_samples, n_outputs), float32."""
        return self.components.transform(x.flatten(1).float().numpy())


class RawSeries(Raw):
    """Features of fixed kernels of time series, as in MiniRocket.

    The output of :class:`skssl.encoders.RandomKernels`, standardised by column. Never fitted on
    labels.
    """

    _saved_as = "RawSeries"

    def _make_reader(self) -> SeriesReader:
        return SeriesReader()

    def learn(self, x: torch.Tensor, scaler: nn.Module | None) -> Self:
        """Learn thresholds, means and deviations."""
        scaler = SeriesScaler(x) if scaler is None else scaler
        with Draws(0).here(everywhere=True):
            kernels = RandomKernels(scaler(x), n_features=N_KERNEL_FEATURES)
        self.module = nn.Sequential(scaler, kernels).eval()
        self.scaler = StandardScaler().fit(_apply(self.module, x).numpy())
        self.n_outputs = int(self.scaler.n_features_in_)
        return self

    def encode(self, x: torch.Tensor) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        shares = _apply(self.module, x).numpy()
        return self.scaler.transform(shares).astype(np.float32)


class RawBands(Raw):
    """Mean and standard deviation of each log-mel band over the frames of a waveform.

    They are standardised by column. Never fitted on labels.

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples per second.
    """

    _saved_as = "RawBands"

    def __init__(self, sampling_rate: int = 16_000):
        self.sampling_rate = sampling_rate

    def _make_reader(self) -> AudioReader:
        return AudioReader(self.sampling_rate)

    def learn(self, x: torch.Tensor, scaler: nn.Module | None) -> Self:
        """Learn the means and deviations of the columns."""
        self.front = LogMel(self.sampling_rate)
        self.scaler = StandardScaler().fit(self._statistics(x))
        self.n_outputs = int(self.scaler.n_features_in_)
        return self

    def encode(self, x: torch.Tensor) -> np.ndarray:
        """Return the columns, (n_samples, n_outputs), float32."""
        return self.scaler.transform(self._statistics(x)).astype(np.float32)

    def _statistics(self, x: torch.Tensor) -> np.ndarray:
        bands = _apply(self.front, x).double().numpy()
        return np.concatenate([np.nanmean(bands, 2), np.nanstd(bands, 2)], 1)


class Texts:
    """A reader that keeps texts unchanged."""

    _saved_as = "Texts"

    def fit(self, X: Any, *more: Any) -> Self:
        """Do nothing."""
        return self

    def read(self, X: Any) -> np.ndarray:
        """Return texts as an array of str."""
        return np.array(texts_of(X), dtype=object)

    def join(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the texts of two arrays as one."""
        return np.concatenate([first, second])


class RawWords(Raw):
    """Latent semantic analysis of texts: TF-IDF and a truncated SVD.

    All columns are divided by one number so that their mean variance is 1. Fitted on all texts, and
    never on labels.
    """

    _saved_as = "RawWords"
    reads_as_transformer = False  # that reader knows only its own vocabulary of words and pieces
    reader: Any = Texts()
    analyzer: str | type = "word"
    token_pattern: str | None = r"\w+|[^\w\s]"

    def _make_reader(self) -> Any:
        return Texts()

    def learn(self, x: Any, scaler: nn.Module | None) -> Self:
        """Learn words and components."""
        from sklearn.decomposition import TruncatedSVD  # slow to import, as is the next
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.tfidf = TfidfVectorizer(
            analyzer=self.analyzer,
            token_pattern=self.token_pattern,
            sublinear_tf=True,
            max_features=MOST_WORDS,
            dtype=np.float32,
        )
        counted = self.tfidf.fit_transform(self.words(x))
        self.n_outputs = min(N_TOPICS, *counted.shape)
        self.svd = TruncatedSVD(self.n_outputs, random_state=0)
        with np.errstate(invalid="ignore"):  # shares of the variance of equal rows, never read
            topics = self.svd.fit_transform(counted)
        self.scale = float(np.sqrt(topics.var(0).mean())) or 1.0
        return self

    def encode(self, x: Any) -> np.ndarray:
        """Return the components, (n_samples, n_outputs), float32."""
        topics = self.svd.transform(self.tfidf.transform(self.words(x)))
        return (topics / self.scale).astype(np.float32)

    def words(self, x: Any) -> list[str] | list[list[int]]:
        """Return the texts, as the vectorizer takes them."""
        return x.tolist()


class RawTokens(RawWords):
    """Like :class:`RawWords`, for token arrays.

    Parameters
    ----------
    pad_token : int or None, default=0
        As in the transformers.
    """

    _saved_as = "RawTokens"
    reads_as_transformer = True

    def __init__(self, pad_token: int | None = 0):
        self.pad_token = pad_token
        self.analyzer, self.token_pattern = list, None  # tokens as they are

    def _make_reader(self) -> TokenReader:
        return TokenReader(self.pad_token)

    def words(self, x: torch.Tensor) -> list[list[int]]:
        """Return the tokens of each row that the reader knows."""
        return [row[row >= N_SPECIAL].tolist() for row in x]


def _as_it_is(thing: T) -> T:
    return thing
