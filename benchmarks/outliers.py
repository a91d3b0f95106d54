"""Outliers without labels: skssl's detectors beside scikit-learn's, by AUC and average precision.

For every table of `imbalanced.py` and seed, half of the rows, stratified, are for training and half
for testing; the rare class is what is to be found. Detectors see no label. They are trained on
all training rows, rare ones among them (`--training all`), or on the normal ones only
(`--training normal`).

    python benchmarks/tables.py --fetch                       # once: download the tables
    python benchmarks/outliers.py                             # baselines -> results/outliers.csv
    python benchmarks/outliers.py --methods skssl             # skssl's default
    python benchmarks/outliers.py --training normal           # -> results/outliers_normal.csv
    python benchmarks/outliers.py --report                    # compare, write results/outliers.md
"""

import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _data_imbalanced import load, table_names
from _runner import Benchmark, Method, main
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MEMORY = os.environ.get("SKSSL_MEMORY")  # keeps encoders; seconds are then those of the first fit
STEPS = 1500  # of the variants of NeuTraL, as by default; whole epochs
Scores = tuple[float, float]


@dataclass(frozen=True)
class Split:
    """Training rows, without labels; test rows, 1 where rare."""

    X: pd.DataFrame
    X_test: pd.DataFrame
    y_test: np.ndarray
    seed: int


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path, *, normal: bool = False) -> Split:
    X, y = load(table, cache)
    train, test = train_test_split(np.arange(len(X)), test_size=0.5, stratify=y, random_state=seed)
    train = train[y[train] == 0] if normal else train
    return Split(X.iloc[train], X.iloc[test], y[test], seed)


def scores(split: Split, outlyingness: np.ndarray) -> Scores:
    """AUC and average precision of the rare class."""
    return (
        roc_auc_score(split.y_test, outlyingness),
        average_precision_score(split.y_test, outlyingness),
    )


# ------------------------------------------------------------------------------- baselines


def columns(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Standardised numbers, one-hot categories; medians for missing cells."""
    encoder = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    ).fit(split.X)
    return encoder.transform(split.X), encoder.transform(split.X_test)


def iforest(split: Split) -> Scores:
    Z, Z_test = columns(split)
    forest = IsolationForest(random_state=split.seed).fit(Z)
    return scores(split, -forest.score_samples(Z_test))


def lof(split: Split) -> Scores:
    """With 20 neighbours, scikit-learn's default."""
    Z, Z_test = columns(split)
    return scores(split, -LocalOutlierFactor(novelty=True).fit(Z).score_samples(Z_test))


def knn(split: Split, k: int) -> Scores:
    """The distance to the k-th neighbour."""
    Z, Z_test = columns(split)
    distance, _ = NearestNeighbors(n_neighbors=k).fit(Z).kneighbors(Z_test)
    return scores(split, distance[:, -1])


# ------------------------------------------------------------------------------- skssl


def embedding(split: Split, params: dict[str, Any] | None = None, **options: Any) -> Scores:
    """`EmbeddingOutlierDetector`; `params` are those of its denoising autoencoder."""
    import skssl

    first = None if params is None else skssl.DenoisingAutoencoder(**params)
    detector = skssl.EmbeddingOutlierDetector(
        first, memory=MEMORY, random_state=split.seed, **options
    )
    return scores(split, -detector.fit(split.X).score_samples(split.X_test))


def raw_only(split: Split) -> Scores:
    """What the default does with the raw columns, and no embedding beside them."""
    from skssl._meta._raw_columns import RawColumns
    from skssl.outliers import RAW_SHRINKAGE
    from skssl.outliers._density import Density

    raw = RawColumns().fit(split.X)
    density = Density("knn", "auto", RAW_SHRINKAGE, 0).fit(raw.transform(split.X).astype(float))
    return scores(split, -density.score(raw.transform(split.X_test).astype(float)))


def reconstruction(split: Split) -> Scores:
    import skssl

    detector = skssl.ReconstructionOutlierDetector(memory=MEMORY, random_state=split.seed)
    return scores(split, -detector.fit(split.X).score_samples(split.X_test))


def own_loss(split: Split, method: str, **params: Any) -> Scores:
    """A method whose own loss is the score."""
    import skssl

    fitted = getattr(skssl, method)(random_state=split.seed, **params).fit(split.X)
    return scores(split, -fitted.score_samples(split.X_test))


def neutral(split: Split, transformation: str, encoder: str, steps: int) -> Scores:
    """NeuTraL with few steps, and an encoder of one of three kinds."""
    per_epoch = max(1, len(split.X) // 64)
    epochs = math.ceil(steps / per_epoch)
    make = partial(neutral_encoder, kind=encoder)
    chosen = {"transformation": transformation, "encoder": make, "max_epochs": epochs}
    return own_loss(split, "NeuTraL", **chosen)


def neutral_encoder(x: Any, kind: str) -> Any:
    """The encoder of other methods, the same without biases and with a linear output, or bare."""
    from torch import nn

    from skssl.encoders import MLP

    if kind != "bare":
        biases = kind == "biases"
        return MLP(x.shape[1], 256, 256, 256, activated=biases, bias=biases)
    pairs = (x.shape[1], 256), (256, 256), (256, 256)
    first, second, last = (nn.Linear(*pair, bias=False) for pair in pairs)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


METHODS: dict[str, Method] = {
    "iforest": iforest,
    "lof": lof,
    "knn_5": partial(knn, k=5),
    "knn_50": partial(knn, k=50),
    "raw_only": raw_only,
    "untrained": partial(embedding, params={"max_epochs": 0}),
    "embedding_only": partial(embedding, passthrough=False),
    "mahalanobis": partial(embedding, scorer="mahalanobis"),
    "density": partial(embedding, scorer="density"),
    "skssl": embedding,
    "half": partial(embedding, support_fraction=0.5),
    "reconstruction": reconstruction,
    "icl": partial(own_loss, method="ICL"),
    "neutral": partial(own_loss, method="NeuTraL"),
    **{
        f"{name}, {encoder}{'' if steps else ', untrained'}": partial(
            neutral, transformation=name, encoder=encoder, steps=steps
        )
        for name in ("residual", "multiplicative")
        for encoder in ("no biases", "biases", "bare")
        for steps in (STEPS, 0)
    },
}

RESULTS = Path(__file__).parent / "results"
BENCHMARK = Benchmark(
    title="Half of the rows for training, outliers among them, no labels",
    results=RESULTS / "outliers.csv",
    scores=("AUC", "average precision"),
    methods=METHODS,
    baselines=("iforest", "lof", "knn_5", "knn_50"),
    table_names=table_names,
    make_split=make_split,
)
NORMAL = replace(
    BENCHMARK,
    title="The normal rows among half of all for training, no labels",
    results=RESULTS / "outliers_normal.csv",
    make_split=partial(make_split, normal=True),
)
BENCHMARKS = {"all": BENCHMARK, "normal": NORMAL}

if __name__ == "__main__":
    raise SystemExit(main("outliers", option="training"))
