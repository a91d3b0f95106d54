"""Images drawn by BiGAN and SSGAN: how far they are from real ones, and what is learnt meanwhile.

Each method is fitted to training images with its defaults. Distances are Fréchet distances in the
embedding of one fixed encoder, SimCLR on the same training images, between test images and as many
others: real, drawn from a normal distribution of principal components, made by the untrained
generator, or generated. Digits: one half to train, the other to test. Fashion-MNIST: 10 000 images
to train; half of the test images, with the other half beside them.

- `distance`: as above; `real` is that of two halves of the real images.
- `turns`: accuracy of SSGAN's own layer on test images in four turns. Chance is 0.25.
- `probe`: accuracy on test images of a logistic regression on 100 labels, mean of five draws, on
  the embedding, on that of the encoder untrained, on as many principal components, and on pixels.
- `enhanced`: the same from pixels by extra trees, on 100 labelled images alone, and with 2 000
  generated ones, or as many unlabelled real ones; these get labels from the probe.
- `reconstruction`: squared error of BiGAN's `reconstruct`, over the variance of the pixels.
- `seconds`: of the processor, per fit.

    sudo apt install dataset-fashion-mnist
    python benchmarks/generators.py                  # -> results/generators.csv
    python benchmarks/generators.py --data digits
"""

import argparse
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _runner import append
from images import Data, load
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skssl import SSGAN, BiGAN, SimCLR
from skssl.base import Net
from skssl.metrics import frechet_distance

RESULTS = Path(__file__).parent / "results" / "generators.csv"
FIELDS = ["data", "figure", "method", "of", "value"]
DRAWS = range(5)
N_GENERATED = 2000
Row = tuple[str, str, str, float]


class Watched(SSGAN):
    """SSGAN that keeps its net, for the layer that tells turns."""

    def _build(self, net: Net, X: Tensor) -> None:
        super()._build(net, X)
        self.net = net


def halves(name: str) -> tuple[Data, np.ndarray]:
    """Return training and test images, and real images to compare the test images with."""
    if name == "digits":
        data = load(Path("digits"))
        X, y = np.concatenate([data.X, data.X_test]), np.concatenate([data.y, data.y_test])
        return Data(name, X[::2], y[::2], X[1::2], y[1::2]), X[::2]
    data = load(None)
    parts = data.X, data.y, data.X_test[:5000], data.y_test[:5000]
    return Data(name, *parts), data.X_test[5000:]


def flat(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), -1).astype(np.float64)


def drawn_from_components(X: np.ndarray, n: int, n_components: int = 50) -> np.ndarray:
    """Draw images from a normal distribution of principal components."""
    pca = PCA(n_components, random_state=0).fit(flat(X))
    Z = np.random.default_rng(0).normal(size=(n, n_components)) * pca.explained_variance_**0.5
    return pca.inverse_transform(Z).round().clip(0, 255).astype(np.uint8).reshape(-1, *X.shape[1:])


def probe(data: Data, Z: np.ndarray, draw: int) -> Any:
    """Return a logistic regression on 100 labels, fitted to their rows of Z."""
    few = data.few(100, draw)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return model.fit(Z[few], data.y[few])


def probed(data: Data, Z: np.ndarray, Z_test: np.ndarray) -> float:
    return float(np.mean([probe(data, Z, d).score(Z_test, data.y_test) for d in DRAWS]))


def enhanced(data: Data, gan: Any) -> Iterator[Row]:
    """Yield the accuracy of trees on labelled images, and on others with guessed labels, too."""
    Z, name = gan.transform(data.X), type(gan).__name__
    others = {"labelled alone": data.X[:0]}
    others["generated, too"] = gan.generate(N_GENERATED, random_state=0)
    others["unlabelled real, too"] = data.X[:N_GENERATED]
    for what, more in others.items():
        scores = []
        for draw in DRAWS:
            few = data.few(100, draw)
            X, y = data.X[few], data.y[few]
            if len(more):
                guessed = probe(data, Z, draw).predict(gan.transform(more))
                X, y = np.concatenate([X, more]), np.concatenate([y, guessed])
            trees = ExtraTreesClassifier(200, random_state=draw).fit(flat(X), y)
            scores.append(trees.score(flat(data.X_test), data.y_test))
        yield "enhanced", name, what, float(np.mean(scores))


@torch.no_grad()
def turns_told(gan: Any, X: np.ndarray) -> float:
    """Return the accuracy of the layer that tells by how many quarters images were turned."""
    critic, right = gan.net.cpu().eval().critic, []
    for chunk in gan._read(X).split(500):
        x = gan._scaler(chunk)
        right += [
            (critic(x.rot90(k, (2, 3)))[:, 1:].argmax(1) == k).float().mean() for k in range(4)
        ]
    return float(torch.stack(right).mean())


def rivals(data: Data, others: np.ndarray, ruler: Any) -> Iterator[Row]:
    """Yield the figures that need no generator."""
    n = len(data.X_test)
    made = {"real": others[:n], "normal components": drawn_from_components(data.X, n)}
    for name, images in made.items():
        distance = frechet_distance(images, data.X_test[: len(images)], ruler)
        yield "distance", name, "", distance
    yield "probe", "pixels", "", probed(data, flat(data.X), flat(data.X_test))


def generator(data: Data, cls: type, ruler: Any) -> Iterator[Row]:
    """Yield the figures of a method, and of the same method untrained."""
    n, name = len(data.X_test), cls.__bases__[0].__name__ if cls is Watched else cls.__name__
    for state, epochs in (("untrained", 0), ("trained", "auto")):
        start = time.process_time()
        gan = cls(max_epochs=epochs, random_state=0).fit(data.X)
        seconds = time.process_time() - start
        generated = gan.generate(n, random_state=0)
        yield "distance", name, state, frechet_distance(generated, data.X_test, ruler)
        Z, Z_test = gan.transform(data.X), gan.transform(data.X_test)
        yield "probe", name, state, probed(data, Z, Z_test)
        if cls is Watched:
            yield "turns", name, state, turns_told(gan, data.X_test)
        else:
            error = (gan.reconstruct(data.X_test).astype(float) - data.X_test) ** 2
            yield "reconstruction", name, state, error.mean() / flat(data.X_test).var(0).mean()
    yield "seconds", name, state, seconds
    pca = PCA(min(Z.shape[1], flat(data.X).shape[1]), random_state=0).fit(flat(data.X))
    Z, Z_test = pca.transform(flat(data.X)), pca.transform(flat(data.X_test))
    yield "probe", name, "principal components", probed(data, Z, Z_test)
    for row in enhanced(data, gan):
        yield row[0], name, *row[2:]


def run(name: str, results: Path) -> None:
    """Print and append the figures of one data set."""
    data, others = halves(name)
    ruler = SimCLR(max_epochs=40 if name == "digits" else 10, random_state=0).fit(data.X)
    parts = (generator(data, cls, ruler) for cls in (Watched, BiGAN))
    found = chain(rivals(data, others, ruler), *parts)
    append(results, FIELDS, ((name, *row, f"{value:.4g}") for *row, value in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["digits", "fashion-mnist"]
    parser.add_argument("--data", nargs="+", choices=names, default=names)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the csv")
    args = parser.parse_args()
    for name in args.data:
        run(name, args.results)


if __name__ == "__main__":
    main()
