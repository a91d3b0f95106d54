"""Texts, series, recordings and clips: skssl beside what one would use instead.

For every data set and seed, 30 % of the rows are a stratified test set; of the other rows 100 have
a label, or half of them where there are fewer than 200, or ten of each class of the recordings. A
method is a function `Split -> accuracy on the test rows`. It may use every training row for what
needs no label, and only the labelled ones for the rest.

    python benchmarks/sequences.py --fetch                # once: download the data
    python benchmarks/sequences.py --data text            # -> results/sequences_text.csv
    python benchmarks/sequences.py --data series --methods skssl TS2Vec
    python benchmarks/sequences.py --data audio --report  # print the comparison, write the .md
    python benchmarks/sequences.py --data video           # digits that move, made by skssl
    python benchmarks/sequences.py --data words           # hidden words of test texts, found

Encoders of skssl are judged by a logistic regression on their embedding, C by cross-validation;
`skssl` is `PretrainedClassifier()`, with its own classifier at the end. `warping` leaves out the
sets where it takes longer than ten minutes, and a report compares on sets that have all of its
methods: name them without `warping` for all sets. Of clips there are three scores: accuracy of the
digit, R squared of its velocity by a ridge, both from 100 labels, and by what share the squared
error of the next frame is below that of a copy of the last one, 0 for who predicts none.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data_sequences import SAMPLING_RATE, SERIES, fetch, load
from _runner import Benchmark, Method, main
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import choose_a_class, choose_labels, folds

import skssl
from skssl import TextTokenizer
from skssl._data._vocabulary import MASK
from skssl.datasets import make_moving_digits
from skssl.encoders import RandomKernels, SeriesScaler
from skssl.preprocessing import log_mel

RESULTS = Path(__file__).parent / "results"
C_GRID = {"C": np.logspace(-4, 3, 8)}
CLIPS = {"modality": "video"}
HIDDEN_SHARE, CHUNK = 0.15, 128  # of the first tokens of a test text, as in training
MOST_CELLS = 3e8  # of dynamic time warping: about ten minutes


@dataclass(frozen=True)
class Split:
    """One data set under one seed; `y` is -1 where a training row has no label."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    seed: int

    @property
    def few(self) -> np.ndarray:
        return np.flatnonzero(self.y >= 0)


@dataclass(frozen=True)
class Clips(Split):
    """Clips, the digits in them and how they move, (n, 2)."""

    ways: np.ndarray
    ways_test: np.ndarray


@dataclass(frozen=True)
class Words:
    """Texts, their tokens, and which tokens of the test texts are hidden."""

    X: np.ndarray
    X_test: np.ndarray
    tokens: np.ndarray
    tokens_test: np.ndarray
    hidden: np.ndarray
    seed: int


def make_split(name: str, seed: int, cache: Path) -> Split:
    X, y = load(name, cache)
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
    if name == "languages":
        chosen = choose_a_class(y[train], 10, seed)
    else:
        chosen = choose_labels(y[train], min(100, len(train) // 2), seed)
    masked = np.full(len(train), -1)
    masked[chosen] = y[train][chosen]
    return Split(X[train], masked, X[test], y[test], seed)


def make_clips(name: str, seed: int, cache: Path) -> Clips:
    X, y, ways = make_moving_digits(1430, random_state=seed)
    masked = np.full(1000, -1)
    chosen = choose_a_class(y[:1000], 10, seed)
    masked[chosen] = y[:1000][chosen]
    return Clips(X[:1000], masked, X[1000:], y[1000:], seed, ways[:1000], ways[1000:])


def make_words(name: str, seed: int, cache: Path) -> Words:
    X, y = load(name, cache)
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
    tokenizer = TextTokenizer().fit(X[train])
    tokens, tokens_test = (tokenizer.transform(X[rows]) for rows in (train, test))
    tokens_test = tokens_test[:, :CHUNK]
    hidden = np.random.default_rng(seed).random(tokens_test.shape) < HIDDEN_SHARE
    hidden &= tokens_test > 0
    return Words(X[train], X[test], tokens, tokens_test, hidden, seed)


def judged(split: Split, Z: Any, Z_test: Any) -> tuple[float]:
    """Accuracy of a logistic regression on features of all training rows and of the test rows."""
    few, labels = split.few, split.y[split.few]
    search = GridSearchCV(
        LogisticRegression(max_iter=2000), C_GRID, cv=folds(labels, 5, split.seed)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return (search.fit(Z[few], labels).score(Z_test, split.y_test),)


def scaled(Z: np.ndarray, Z_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(Z)
    return scaler.transform(Z), scaler.transform(Z_test)


def encoder(split: Split, name: str, **params: Any) -> tuple[float]:
    """A method of skssl on its own."""
    method = getattr(skssl, name)(random_state=split.seed, **params).fit(split.X)
    return judged(split, *scaled(method.transform(split.X), method.transform(split.X_test)))


def default(split: Split, transformer: Any = None) -> tuple[float]:
    """`PretrainedClassifier` with nothing but a seed, and a transformer where it needs one."""
    model = skssl.PretrainedClassifier(transformer, random_state=split.seed)
    model.fit(split.X, split.y)
    return (model.score(split.X_test, split.y_test),)


# ------------------------------------------------------------------------------- rivals


def tfidf(split: Split, n_components: int | None = None) -> tuple[float]:
    """Weighted word counts of all training texts, or their singular vectors."""
    words = TfidfVectorizer(sublinear_tf=True, min_df=2)
    Z, Z_test = words.fit_transform(split.X), words.transform(split.X_test)
    if n_components is None:
        return judged(split, Z * 10, Z_test * 10)
    svd = TruncatedSVD(n_components, random_state=split.seed).fit(Z)
    return judged(split, *scaled(svd.transform(Z), svd.transform(Z_test)))


def raw(split: Split) -> tuple[float]:
    """The values of a series, one column each; missing ones are 0, the mean."""
    return judged(split, *scaled(_flat(split.X), _flat(split.X_test)))


def _flat(X: np.ndarray) -> np.ndarray:
    mean, std = np.nanmean(X, (0, 2), keepdims=True), np.nanstd(X, (0, 2), keepdims=True)
    return np.nan_to_num((X - mean) / (std + 1e-9)).reshape(len(X), -1)


def kernels(split: Split) -> tuple[float]:
    """10 000 features of fixed kernels and a ridge, as MiniRocket is used."""
    X, X_test = (torch.from_numpy(x) for x in (split.X, split.X_test))
    scaler = SeriesScaler(X)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(split.seed)
        features = RandomKernels(scaler(X))
    Z = features(scaler(X[split.few])).numpy()
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10)))
    model.fit(Z, split.y[split.few])
    return (model.score(features(scaler(X_test)).numpy(), split.y_test),)


def warping(split: Split, window: float = 0.1) -> tuple[float]:
    """The nearest labelled series by dynamic time warping; an error where it takes too long."""
    few = split.X[split.few]
    n_cells = len(few) * len(split.X_test) * window * few.shape[2] ** 2
    if n_cells > MOST_CELLS:
        raise ValueError(f"{n_cells:.0e} cells to warp, at most {MOST_CELLS:.0e} are")
    distances = np.stack([_warped(series, few, window) for series in split.X_test])
    nearest = split.y[split.few][distances.argmin(1)]
    return (float((nearest == split.y_test).mean()),)


def _warped(series: np.ndarray, others: np.ndarray, window: float) -> np.ndarray:
    """Distances of one series to others, (n,), by Sakoe and Chiba's recursion."""
    series, others = np.nan_to_num(series), np.nan_to_num(others)
    n, m = series.shape[1], others.shape[2]
    band = max(1, int(window * max(n, m)))
    before = np.full((len(others), m + 1), np.inf)
    before[:, 0] = 0
    for i in range(n):
        now = np.full_like(before, np.inf)
        low, high = max(0, i - band), min(m, i + band + 1)
        gap = np.square(others[:, :, low:high] - series[None, :, i : i + 1]).sum(1)
        for j in range(low, high):
            reached = np.minimum(np.minimum(before[:, j], before[:, j + 1]), now[:, j])
            now[:, j + 1] = reached + gap[:, j - low]
        before = now
    return before[:, m]


def log_mel_statistics(split: Split) -> tuple[float]:
    """Mean and standard deviation of each band over the frames."""
    Z, Z_test = (_statistics(X) for X in (split.X, split.X_test))
    return judged(split, *scaled(Z, Z_test))


def _statistics(X: np.ndarray) -> np.ndarray:
    bands = log_mel(X, SAMPLING_RATE)
    return np.concatenate([bands.mean(2), bands.std(2)], 1)


# ------------------------------------------------------------------------------- clips


def clips(split: Clips, name: str, **params: Any) -> tuple[float, float, float]:
    """A method of skssl on clips: digit, velocity, next frame."""
    method = getattr(skssl, name)(random_state=split.seed, **params).fit(split.X)
    Z, Z_test = method.transform(split.X), method.transform(split.X_test)
    saved = 0.0
    if hasattr(method, "predict_next"):
        before, last = split.X_test[:, :-1], split.X_test[:, -1].astype(float)
        made = method.predict_next(before)[:, 0]
        saved = 1 - np.square(made - last).mean() / np.square(before[:, -1] - last).mean()
    return (*judged_clips(split, Z, Z_test), float(saved))


def judged_clips(split: Clips, Z: np.ndarray, Z_test: np.ndarray) -> tuple[float, float]:
    Z, Z_test = scaled(Z, Z_test)
    ridge = RidgeCV(np.logspace(-2, 5, 8)).fit(Z[split.few], split.ways[split.few])
    return (*judged(split, Z, Z_test), float(ridge.score(Z_test, split.ways_test)))


def pixel_statistics(split: Clips) -> tuple[float, float, float]:
    """Mean and standard deviation of each pixel over the frames."""
    parts = (np.concatenate([X.mean(1), X.std(1)], 1) for X in (split.X, split.X_test))
    return (*judged_clips(split, *(part.reshape(len(part), -1) for part in parts)), 0.0)


# ------------------------------------------------------------------------------- hidden words


def most_frequent(split: Words) -> tuple[float]:
    """The most frequent token of the training texts, everywhere."""
    most = np.bincount(split.tokens[split.tokens > 0]).argmax()
    return (float((split.tokens_test[split.hidden] == most).mean()),)


def bigrams(split: Words, both: bool = False, weight: float = 10.0) -> tuple[float]:
    """The likeliest token behind its neighbour, or between two, backed off to single tokens."""
    size = split.tokens.max() + 1
    single = np.bincount(split.tokens[split.tokens > 0], minlength=size) / (split.tokens > 0).sum()
    pairs = split.tokens[:, :-1], split.tokens[:, 1:]
    known = (pairs[0] > 0) & (pairs[1] > 0)
    ones = np.ones(known.sum())
    after = csr_matrix((ones, (pairs[0][known], pairs[1][known])), (size, size))
    before, n_before = after.T.tocsr(), np.asarray(after.sum(1)).ravel()
    seen = np.pad(np.where(split.hidden, 0, split.tokens_test), ((0, 0), (1, 1)))
    right = []
    for row, place in np.argwhere(split.hidden):
        left, following = seen[row, place], seen[row, place + 2]
        score = single
        if left:
            score = after[left].toarray()[0] + weight * single
        if both and following:
            came = before[following].toarray()[0] + weight * single[following]
            score = score * came / (n_before + weight)
        right.append(score.argmax() == split.tokens_test[row, place])
    return (float(np.mean(right)),)


def masked_model(split: Words, **params: Any) -> tuple[float]:
    """The likeliest token by `MaskedLanguageModel`, which reads what is left of the text."""
    model = skssl.MaskedLanguageModel(random_state=split.seed, **params).fit(split.X)
    x, hidden = model._read(split.X_test)[:, :CHUNK], torch.from_numpy(split.hidden)
    with torch.inference_mode():
        h = torch.cat(model._hidden(x.masked_fill(hidden, MASK)))
        found = torch.cat([model._score(part).argmax(1) for part in h[hidden].split(4096)])
    return (float((found == x[hidden]).double().mean()),)


# ------------------------------------------------------------------------------- benchmarks

TEXT: dict[str, Method] = {
    "tfidf": tfidf,
    "tfidf_svd": partial(tfidf, n_components=100),
    "untrained": partial(encoder, name="TextContrast", max_epochs=0),
    "skssl": default,
    "TextContrast": partial(encoder, name="TextContrast"),
    "MaskedLanguageModel": partial(encoder, name="MaskedLanguageModel"),
    "NextToken": partial(encoder, name="NextToken"),
}
SERIES_METHODS: dict[str, Method] = {
    "raw": raw,
    "kernels": kernels,
    "warping": warping,
    "untrained": partial(encoder, name="TS2Vec", max_epochs=0),
    "skssl": default,
    **{name: partial(encoder, name=name) for name in ("TS2Vec", "CPC", "NextStep")},
    **{name: partial(encoder, name=name) for name in ("MaskedSeries", "SimCLR", "VICReg")},
}
HEARING = ("CPC", "HiddenUnit", "DenoisingAudio", "SimCLR")
AUDIO: dict[str, Method] = {
    "log_mel_statistics": log_mel_statistics,
    "untrained": partial(encoder, name="CPC", sampling_rate=SAMPLING_RATE, max_epochs=0),
    **{
        f"untrained_{name}": partial(encoder, name=name, sampling_rate=SAMPLING_RATE, max_epochs=0)
        for name in ("HiddenUnit", "DenoisingAudio")
    },
    "skssl": partial(default, transformer=skssl.CPC(sampling_rate=SAMPLING_RATE)),
    **{name: partial(encoder, name=name, sampling_rate=SAMPLING_RATE) for name in HEARING},
}
VIDEO: dict[str, Method] = {
    "pixel_statistics": pixel_statistics,
    "untrained": partial(clips, name="NextFrame", max_epochs=0),
    "untrained_SimCLR": partial(clips, name="SimCLR", max_epochs=0, **CLIPS),
    "NextFrame": partial(clips, name="NextFrame"),
    "SimCLR": partial(clips, name="SimCLR", views="no_flip", **CLIPS),
}
WORDS: dict[str, Method] = {
    "most_frequent": most_frequent,
    "bigrams": bigrams,
    "both_neighbours": partial(bigrams, both=True),
    "MaskedLanguageModel": masked_model,
}

_SHARED: dict[str, Any] = {"scores": ("accuracy",), "make_split": make_split, "fetch": fetch}
_WORDS: dict[str, Any] = _SHARED | {"make_split": make_words}
BENCHMARKS = {
    "text": Benchmark(
        title="Test texts, 100 labels",
        results=RESULTS / "sequences_text.csv",
        methods=TEXT,
        baselines=("tfidf", "tfidf_svd", "untrained"),
        table_names=lambda cache: ["reviews", "spam"],
        **_SHARED,
    ),
    "series": Benchmark(
        title="Test series, 100 labels or half of the rows",
        results=RESULTS / "sequences_series.csv",
        methods=SERIES_METHODS,
        baselines=("raw", "kernels", "warping", "untrained"),
        table_names=lambda cache: list(SERIES),
        **_SHARED,
    ),
    "audio": Benchmark(
        title="Test recordings of one second, 10 labels a class",
        results=RESULTS / "sequences_audio.csv",
        methods=AUDIO,
        baselines=("log_mel_statistics", "untrained"),
        table_names=lambda cache: ["languages"],
        **_SHARED,
    ),
    "video": Benchmark(
        title="Clips of a moving digit, 100 labels",
        results=RESULTS / "sequences_video.csv",
        scores=("digit", "velocity", "saved"),
        methods=VIDEO,
        baselines=("pixel_statistics", "untrained", "untrained_SimCLR"),
        table_names=lambda cache: ["moving digits"],
        make_split=make_clips,
        fetch=fetch,
    ),
    "words": Benchmark(
        title="Hidden words of test texts",
        results=RESULTS / "sequences_words.csv",
        methods=WORDS,
        baselines=("most_frequent", "bigrams", "both_neighbours"),
        table_names=lambda cache: ["reviews"],
        **_WORDS,
    ),
}

if __name__ == "__main__":
    raise SystemExit(main("sequences", option="data"))
