"""Small images with few labels: every method at equal time, beside what one would use instead.

10 000 training images without labels; 100, 500 or 1 000 of them get labels, drawn evenly over the
classes by each of five seeds. Encoders are fitted once for as many epochs as fit into the minutes
given (of the processor's time, over the number of threads), and judged by logistic regression (C by
cross-validation on the labels) and by nearest neighbours on their embedding of the test images.

    sudo apt install dataset-fashion-mnist         # or --data with X, y, split ("train", "test")
    python benchmarks/images.py                    # baselines and every method, 5 minutes each
    python benchmarks/images.py --methods default --minutes 10
    python benchmarks/images.py --data cifar10.npz
    python benchmarks/images.py --data digits          # those that scikit-learn ships, 8 x 8
    python benchmarks/images.py --report           # print the comparison, write results/images.md
    python benchmarks/images.py --resnet18 --data cifar10.npz --epochs 100       # where a GPU is

`default` is `PretrainedClassifier()`, its own classifier at the end. `--resnet18` prints images per
second beside the bare step, and neighbours and a linear classifier on all images and labels.
"""

import argparse
import gzip
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _images_resnet import run as run_resnet18
from _runner import SEEDS, append, markdown, plus_minus
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import choose_labels
from torch import nn

import skssl
from skssl._training._loop import auto_steps, n_batches
from skssl.encoders import ImageScaler, small_resnet
from skssl.views import image_views

FASHION = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package puts it
RESULTS = Path(__file__).parent / "results" / "images.csv"
FIELDS = ["data", "method", "labels", "seed", "lr", "knn", "epochs", "seconds"]
BUDGETS = (100, 500, 1000)
N_UNLABELED, N_TEST = 10_000, 10_000
C_GRID = {"logisticregression__C": np.logspace(-4, 1, 6)}
ENCODERS = (
    "SimCLR MoCo BYOL SimSiam BarlowTwins VICReg NNCLR SwAV DINO LeJEPA WMSE RotationPrediction "
    "Jigsaw Colorization Inpainting MaskedAutoencoder IJEPA LFR"
).split()

MASKED = ("MaskedAutoencoder", "IJEPA")


@dataclass(frozen=True)
class Data:
    """Training images, to be learnt from without their labels, and test images."""

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def few(self, n: int, seed: int) -> np.ndarray:
        """Return the rows of X that have a label."""
        return choose_labels(self.y, n, seed)


Predictions = tuple[np.ndarray, np.ndarray]  # by logistic regression and by neighbours
Method = Callable[[Data, float], Iterator[tuple[int, int, Predictions, int]]]


def load(path: Path | None, n_unlabeled: int | None = N_UNLABELED) -> Data:
    """Return Fashion-MNIST, scikit-learn's digits, or the arrays X, y and split of a file."""
    if path == Path("digits"):
        X, y = load_digits(return_X_y=True)
        images = np.round(X.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
        X, X_test, y, y_test = train_test_split(images, y, stratify=y, random_state=0)
        parts: Any = X, y, X_test, y_test
    elif path is not None:
        arrays = np.load(path)
        X, y, is_test = arrays["X"], arrays["y"].ravel(), arrays["split"] == "test"
        parts = X[~is_test], y[~is_test], X[is_test], y[is_test]
    elif FASHION.exists():
        parts = tuple(_idx(f"{part}-{what}") for part in ("train", "t10k") for what in _IDX)
    else:
        raise SystemExit("No Fashion-MNIST: `sudo apt install dataset-fashion-mnist`, or --data.")
    X, y, X_test, y_test = parts
    rows = np.random.default_rng(0).permutation(len(X))[:n_unlabeled]
    name = "fashion-mnist" if path is None else path.stem
    return Data(name, X[rows], y[rows], X_test[:N_TEST], y_test[:N_TEST])


_IDX = {"images-idx3-ubyte": (16, (-1, 28, 28)), "labels-idx1-ubyte": (8, (-1,))}


def _idx(name: str) -> np.ndarray:
    offset, shape = _IDX[name.split("-", 1)[1]]
    with gzip.open(FASHION / f"{name}.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset).reshape(shape)


# ------------------------------------------------------------------------------- methods


def judged(data: Data, Z: np.ndarray, Z_test: np.ndarray, epochs: int = 0) -> Iterator[Any]:
    """Yield the accuracy of the two classifiers for every number and draw of labels."""
    for labels, seed in ((n, seed) for n in BUDGETS for seed in SEEDS):
        few = data.few(labels, seed)
        lr = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-3))
        lr = GridSearchCV(lr, C_GRID, cv=3).fit(Z[few], data.y[few])
        knn = make_pipeline(StandardScaler(), KNeighborsClassifier(5, metric="cosine"))
        knn.fit(Z[few], data.y[few])
        scores = lr.score(Z_test, data.y_test), knn.score(Z_test, data.y_test)
        yield labels, seed, *scores, epochs


def raw(data: Data, minutes: float, n_components: int | None = None) -> Iterator[Any]:
    """Pixels, or their principal components."""
    Z, Z_test = (x.reshape(len(x), -1) / 255 for x in (data.X, data.X_test))
    if n_components is not None:
        pca = PCA(n_components, random_state=0).fit(Z)
        Z, Z_test = pca.transform(Z), pca.transform(Z_test)
    yield from judged(data, Z, Z_test)


def per_label_seed(
    data: Data, minutes: float, score: Callable[[Data, np.ndarray, int], float]
) -> Iterator[Any]:
    """Yield the accuracy of a method that learns from the labelled images."""
    for labels, seed in ((n, seed) for n in BUDGETS for seed in SEEDS):
        yield labels, seed, score(data, data.few(labels, seed), seed), np.nan, 0


def gradient_boosting(data: Data, few: np.ndarray, seed: int) -> float:
    model = HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed)
    pixels, test = (x.reshape(len(x), -1) for x in (data.X[few], data.X_test))
    return model.fit(pixels, data.y[few]).score(test, data.y_test)


def supervised(data: Data, few: np.ndarray, seed: int, steps: int = 600) -> float:
    """The default encoder trained on the labels alone, with gently altered images."""
    torch.manual_seed(seed)
    reader = skssl._data.ImageReader().fit(data.X)
    x, scale = reader.read(data.X[few]), ImageScaler(reader.read(data.X))
    y = torch.from_numpy(data.y[few]).long()
    net = nn.Sequential(small_resnet(x, 256), nn.Linear(256, int(data.y.max()) + 1))
    augment = image_views("weak", tuple(x.shape[1:]))
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (min(64, len(x)),))
        loss = nn.functional.cross_entropy(net(augment(scale(x[rows]))), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        chunks = reader.read(data.X_test).split(500)
        predicted = torch.cat([net(scale(chunk)).argmax(1) for chunk in chunks])
    return float((predicted.numpy() == data.y_test).mean())


def encoder(data: Data, minutes: float, name: str, **params: Any) -> Iterator[Any]:
    """A method of skssl with its defaults, for as many epochs as fit into the time."""
    fitted, epochs = pretrained(data, minutes, name, **params)
    yield from judged(data, fitted.transform(data.X), fitted.transform(data.X_test), epochs)


def pretrained(data: Data, minutes: float, name: str, **params: Any) -> tuple[Any, int]:
    """A fitted method, and its number of epochs; 0 minutes leave it as initialised."""
    make = partial(getattr(skssl, name), random_state=0, **params)
    epochs = 0
    if minutes:
        make(max_epochs=1).fit(data.X[:2560])  # the first steps are slower
        start = time.process_time()
        make(max_epochs=1).fit(data.X)
        seconds = (time.process_time() - start) / torch.get_num_threads()
        epochs = max(1, int(60 * minutes / seconds))
    return make(max_epochs=epochs).fit(data.X), epochs


def fine_tuned(data: Data, minutes: float, name: str) -> Iterator[Any]:
    """The encoder of a method, trained along with a linear classifier on 500 labels."""
    fitted, epochs = pretrained(data, minutes, name)
    for seed in SEEDS:
        few = data.few(500, seed)
        model = skssl.FineTunedClassifier(
            FrozenEstimator(fitted), passthrough=False, random_state=seed
        )
        model.fit(data.X[few], data.y[few])
        yield 500, seed, model.score(data.X_test, data.y_test), np.nan, epochs


def default(data: Data, minutes: float) -> Iterator[Any]:
    """`PretrainedClassifier()`; the encoder is fitted once for all draws of labels."""
    n_steps = auto_steps(len(data.X), 256)
    epochs = n_steps // n_batches(len(data.X), 256)
    memory = os.environ.get("SKSSL_MEMORY")
    for labels, seed in ((n, seed) for n in BUDGETS for seed in SEEDS):
        y = np.full(len(data.X), -1)
        few = data.few(labels, seed)
        y[few] = data.y[few]
        model = skssl.PretrainedClassifier(memory=memory, random_state=0).fit(data.X, y)
        yield labels, seed, model.score(data.X_test, data.y_test), np.nan, epochs


METHODS: dict[str, Any] = {
    "raw": raw,
    "pca": partial(raw, n_components=50),
    "untrained": lambda data, minutes: encoder(data, 0, "SimCLR"),
    "gradient boosting": partial(per_label_seed, score=gradient_boosting),
    "supervised": partial(per_label_seed, score=supervised),
    **{name: partial(encoder, name=name) for name in ENCODERS},
    **{f"{name}, fine-tuned": partial(fine_tuned, name=name) for name in MASKED},
    "their ViT from scratch": lambda data, minutes: fine_tuned(data, 0, "MaskedAutoencoder"),
    "default": default,
}


# ------------------------------------------------------------------------------- running


def run(args: argparse.Namespace) -> None:
    """Append a method's rows once all of them are known."""
    data = load(args.data)
    done = set()
    if args.results.exists():
        table = pd.read_csv(args.results)
        done = set(table.loc[table["data"] == data.name, "method"])
    is_colour = data.X.ndim == 4
    for method in args.methods or [m for m in METHODS if is_colour or m != "Colorization"]:
        if method in done:
            continue
        start = time.perf_counter()
        rows = [[data.name, method, *row] for row in METHODS[method](data, args.minutes)]
        seconds = round(time.perf_counter() - start, 1)
        append(args.results, FIELDS, ([*row, seconds] for row in rows))


def report(args: argparse.Namespace) -> str:
    results = pd.read_csv(args.results)
    parts = []
    for data, table in results.groupby("data"):
        rows = []
        for method in (m for m in METHODS if m in set(table["method"])):
            part = table[table["method"] == method]
            budgets = {n: part[part["labels"] == n] for n in BUDGETS}
            lr, knn = (
                [
                    "" if few[name].isna().all() else plus_minus(few[name])
                    for few in budgets.values()
                ]
                for name in ("lr", "knn")
            )
            rows.append([method, *lr, *knn, f"{part['epochs'].iloc[0]}"])
        head = ["method", *(f"LR, {n}" for n in BUDGETS), *(f"kNN, {n}" for n in BUDGETS), "epochs"]
        parts += [
            f"{data}: test accuracy in % with {', '.join(map(str, BUDGETS))} labels, mean ± "
            f"standard error over {len(SEEDS)} draws of labels. The classifiers at the end of "
            "gradient boosting, supervised, default and what is fine-tuned are their own.",
            markdown(head, rows),
        ]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=None, help="npz, or digits; default: Fashion-MNIST"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: all")
    parser.add_argument("--resnet18", action="store_true", help="on all images; for a GPU")
    parser.add_argument("--epochs", type=int, default=100, help="with --resnet18")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each encoder")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the csv")
    parser.add_argument("--report", action="store_true", help="print and write the comparison")
    args = parser.parse_args()
    if args.resnet18:
        names = args.methods or ["SimCLR", "VICReg", "BYOL"]
        run_resnet18(load(args.data, n_unlabeled=None), names, args.epochs)
    elif args.report:
        text = report(args)
        print(text)
        args.results.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    else:
        run(args)


if __name__ == "__main__":
    main()
