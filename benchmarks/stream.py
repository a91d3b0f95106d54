"""A stream that labels itself: frames of a moving camera, and the roughness felt a moment later.

Generated drives (`skssl.datasets.make_terrain_drive`), ten frames per second, in colour or as an
event camera's. An encoder that saw five minutes of other frames, without any roughness, embeds each
frame; the label of a frame, the logarithm of its roughness, comes a second later. A buffer keeps
what is diverse, and a kernel ridge regression is fitted to it each second. `linear` is
`SGDRegressor.partial_fit` instead, which replays rows of the buffer. After a minute on six terrains
comes a minute of a seventh, which nothing has seen. Encoder, regressions and detector were chosen
on drives of other seeds than those that are measured.

- `error`: root mean squared error on other drives over the six terrains, by seconds of stream, with
  600 rows in the buffer or as many as are named. `offline` are ridge regressions, linear and behind
  1 000 kernel features, on 50 minutes, and trees on a third of that, behind an encoder that was
  trained on all their frames. `mean colour` is a ridge regression or trees on the mean of each
  channel; for events, on the rates of both signs.
- `new terrain`: the same on another drive over the seventh terrain alone, by seconds on it.
- `old terrains`: the same on the six terrains after a minute of the seventh, by what the buffer
  keeps.
- `novelty`: area under the ROC curve, the seventh terrain against the six on other drives, by
  detectors fitted to the buffer before it came.
- `milliseconds`: of the processor per frame, each alone; `learning` is a second's, shared out.
- `megabytes`: memory of the process in the course of an hour of stream over all seven terrains.

    python benchmarks/stream.py                      # -> results/stream.csv
    python benchmarks/stream.py --data events
    python benchmarks/stream.py --hour --data colour  # memory alone
"""

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _runner import append
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeCV, SGDRegressor
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from skssl import EmbeddingOutlierDetector, SimCLR, select_to_label
from skssl.datasets import KNOWN_TERRAINS, make_terrain_drive
from skssl.views import image_views

RESULTS = Path(__file__).parent / "results" / "stream.csv"
FIELDS = ["stream", "seed", "figure", "method", "of", "value"]
SEEDS = range(3)
RATE = 10  # frames per second
MINUTE = 60 * RATE
CAPACITY = 600  # rows of the buffer
NEW = ("cobbles",)
Row = tuple[int | str, str, str, str, float]


class TextureEnergy(nn.Module):
    """Logarithms of the energies of filtered images, and a small net on them."""

    def __init__(self, n_components: int = 60, n_filters: int = 64):
        super().__init__()
        self.filters = nn.Conv2d(1, n_filters, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm1d(n_filters)
        self.net = nn.Sequential(nn.Linear(n_filters, 128), nn.GELU(), nn.Linear(128, n_components))

    def forward(self, x: Tensor) -> Tensor:
        energy = self.filters(x).square().mean((2, 3))
        return self.net(self.norm((energy + 1e-4).log()))


def log_brightness(frames: np.ndarray) -> np.ndarray:
    """Return the logarithm of the brightness of colour frames, minus the mean of each."""
    grey = np.log(frames.astype(np.float32) + 4).mean(-1, keepdims=True)
    return grey - grey.mean((1, 2), keepdims=True)


def mean_colour(frames: np.ndarray) -> np.ndarray:
    """Return the mean of each channel; for events, the rates of both signs."""
    if frames.shape[-1] == 1:
        frames = np.concatenate([frames > 0, frames < 0], -1)
    return frames.mean((1, 2))


def make_encoder(events: bool, epochs: int) -> Any:
    """Make a pipeline from frames to standardised embeddings."""
    torch.manual_seed(0)
    views = image_views("rotations", (1, 32, 32), scale=(0.5, 1.0))
    net = SimCLR(encoder=TextureEnergy(), views=views, max_epochs=epochs, random_state=0)
    return make_pipeline(
        "passthrough" if events else FunctionTransformer(log_brightness), net, StandardScaler()
    )


def kernel() -> Any:
    """Make the regression that is fitted to the buffer."""
    ridge = KernelRidge(kernel="rbf", gamma=0.02, alpha=0.1)
    return TransformedTargetRegressor(ridge, transformer=StandardScaler())


class Learner:
    """A buffer of labelled embeddings, and what learns from it.

    Parameters
    ----------
    capacity : int, default=600
        Number of rows that the buffer keeps; up to a hundred more until it is thinned out.
    keep : {"diverse", "latest"}, default="diverse"
        Which ones: rows far from each other, or the last.
    """

    def __init__(self, capacity: int = CAPACITY, keep: str = "diverse"):
        self.capacity, self.keep = capacity, keep
        self.linear = SGDRegressor(alpha=0.01, learning_rate="constant", eta0=0.001, random_state=0)
        self.rng = np.random.default_rng(0)
        self.Z, self.y = np.empty((0, 0)), np.empty(0)

    def add(self, Z: np.ndarray, y: np.ndarray) -> None:
        """Add rows to the buffer, and thin it out where it is full."""
        self.Z = np.concatenate([self.Z.reshape(-1, Z.shape[1]), Z])
        self.y = np.concatenate([self.y, y])
        if len(self.y) > self.capacity + 10 * RATE:
            kept = self._kept()
            self.Z, self.y = self.Z[kept], self.y[kept]

    def replay(self) -> None:
        """Train the linear regression on 30 batches of the buffer."""
        for _ in range(30 * (len(self.y) > 0)):
            batch = self.rng.choice(len(self.y), 100)
            self.linear.partial_fit(self.Z[batch], self.y[batch])

    def fitted(self) -> Any:
        """Return the kernel regression, fitted to the buffer."""
        return kernel().fit(self.Z, self.y)

    def _kept(self) -> np.ndarray:
        if self.keep == "latest":
            return np.arange(len(self.Z))[-self.capacity :]
        return select_to_label(self.Z, self.capacity, strategy="k_center", metric="euclidean")

    def errors(self, name: str, Z: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, float]]:
        """Yield the error of both regressions by name."""
        yield name, rmse(self.fitted().predict(Z), y)
        yield f"{name}, linear", rmse(self.linear.predict(Z), y)


def rmse(predicted: Any, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def drive(events: bool, n_frames: int, seed: int, terrains: Any = KNOWN_TERRAINS) -> Any:
    """Return frames and the logarithm of their roughness."""
    frames, roughness, _ = make_terrain_drive(
        n_frames, terrains=terrains, events=events, random_state=seed
    )
    return frames, np.log(roughness)


def detector(scorer: str) -> EmbeddingOutlierDetector:
    """Return a detector that reads embeddings."""
    as_they_are = FrozenEstimator(FunctionTransformer())
    return EmbeddingOutlierDetector(as_they_are, scorer, passthrough=False, random_state=0)


def novelty(Z: np.ndarray, old: np.ndarray, new: np.ndarray, scorer: str = "density") -> float:
    """Return the AUC of new rows against old ones for a detector fitted to Z."""
    score = detector(scorer).fit(Z).score_samples(np.concatenate([old, new]))
    return float(roc_auc_score(np.repeat([0, 1], [len(old), len(new)]), -score))


def ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11)))


def trees() -> Any:
    return ExtraTreesRegressor(100, min_samples_leaf=3, max_features=0.5, random_state=0)


class Drives:
    """What one seed is measured on, as (frames, y) each."""

    def __init__(self, events: bool, seed: int):
        first = 10_000 * (seed + 1)
        self.minute = drive(events, MINUTE, first)
        self.after = drive(events, MINUTE, first + 1, NEW)
        self.test = drive(events, 3 * MINUTE, first + 2)
        self.test_after = drive(events, MINUTE, first + 3, NEW)
        self.longer = drive(events, 4 * MINUTE, first + 4)

    def embedded(self, transform: Any) -> tuple[Any, ...]:
        """Return (embedding, y) of the minute, the minute after, and the drives to test on."""
        parts = self.minute, self.after, self.test, self.test_after
        return tuple((transform(frames), y) for frames, y in parts)


def streamed(seed: int, name: str, parts: tuple[Any, ...]) -> Iterator[Row]:
    """Yield the figures of two minutes of stream behind one encoder."""
    minute, after, test, test_after = parts
    Z, y = (np.concatenate(both) for both in zip(minute, after, strict=True))
    learner = Learner()
    for second in range(1, 121):  # that have passed; labels have come of all but the last
        late = slice(max(second - 2, 0) * RATE, (second - 1) * RATE)
        learner.add(Z[late], y[late])
        learner.replay()
        if second in (10, 20, 30, 60):
            for method, error in learner.errors(name, *test):
                yield seed, "error", method, f"{second} s", error
        if second == 60:
            for scorer in ("density", "knn"):
                yield (
                    seed,
                    "novelty",
                    name,
                    scorer,
                    novelty(learner.Z, test[0], test_after[0], scorer),
                )
        if second - 60 in (0, 1, 2, 5, 10, 20, 30, 60):
            for method, error in learner.errors(name, *test_after):
                yield seed, "new terrain", method, f"{second - 60} s", error
    for method, error in learner.errors(name, *test):
        yield seed, "old terrains", method, f"{CAPACITY} diverse", error


def buffers(seed: int, name: str, parts: tuple[Any, ...], longer: tuple[Any, Any]) -> Iterator[Row]:
    """Yield the error after more minutes, and after a minute of the new terrain, by the buffer."""
    (Z, y), (Z_after, y_after), test, _ = parts
    for keep in ("diverse", "latest"):
        learner = Learner(MINUTE // 2, keep)
        for start in range(0, 2 * MINUTE, RATE):
            rows, labels = (Z, y) if start < MINUTE else (Z_after, y_after)
            now = slice(start % MINUTE, start % MINUTE + RATE)
            learner.add(rows[now], labels[now])
        yield (
            seed,
            "old terrains",
            name,
            f"300 {keep}",
            rmse(learner.fitted().predict(test[0]), test[1]),
        )
    for capacity in (CAPACITY, 5 * CAPACITY):
        learner = Learner(capacity)
        learner.add(Z, y)
        for start in range(0, 4 * MINUTE, RATE):
            learner.add(*(part[start : start + RATE] for part in longer))
            if start + RATE in (MINUTE, 4 * MINUTE):
                of = f"{(start + RATE) // RATE + 60} s, {capacity} rows"
                yield seed, "error", name, of, rmse(learner.fitted().predict(test[0]), test[1])


def rivals(seed: int, drives: Drives) -> Iterator[Row]:
    """Yield the figures of a constant and of mean colours."""
    (Z, y), _, (Z_test, y_test), (Z_new, y_new) = parts = drives.embedded(mean_colour)
    yield seed, "error", "constant", "60 s", rmse(y.mean(), y_test)
    yield seed, "new terrain", "constant", "0 s", rmse(y.mean(), y_new)
    yield seed, "new terrain", "constant", "its own", float(np.std(y_new))
    yield seed, "novelty", "mean colour", "density", novelty(Z, Z_test, Z_new)
    both = [np.concatenate([p, q[: 10 * RATE]]) for p, q in zip(*parts[:2], strict=True)]
    for name, make in {"mean colour": ridge, "mean colour, trees": trees}.items():
        yield seed, "error", name, "60 s", rmse(make().fit(Z, y).predict(Z_test), y_test)
        yield seed, "new terrain", name, "10 s", rmse(make().fit(*both).predict(Z_new), y_new)


def milliseconds(encoder: Any, frames: np.ndarray, parts: tuple[Any, ...]) -> Iterator[Row]:
    """Yield what one frame at a time costs: embedding, prediction, and novelty score too."""
    Z, y = parts[0]
    model, found, learner = kernel().fit(Z, y), detector("density").fit(Z), Learner()
    learner.add(Z, y)
    start = time.process_time()
    for second in range(30):
        learner.add(Z[second * RATE :][:RATE], y[second * RATE :][:RATE])
        learner.fitted()
    yield "", "milliseconds", "trained", "learning", 1e3 * (time.process_time() - start) / 300
    for what in ("embedding and prediction", "with novelty"):
        start = time.process_time()
        for i in range(300):
            z = encoder.transform(frames[i : i + 1])
            model.predict(z)
            if what == "with novelty":
                found.score_samples(z)
        each = (time.process_time() - start) / 300
        yield "", "milliseconds", "trained", what, 1e3 * each


def offline(events: bool) -> tuple[Any, dict[str, Any]]:
    """Return an encoder and regressions, fitted to 50 minutes."""
    parts = [drive(events, MINUTE, 100 + i) for i in range(50)]
    frames, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    encoder = make_encoder(events, 1).fit(frames)
    Z = encoder.transform(frames)
    features = Nystroem(gamma=0.02, n_components=1000, random_state=0)
    models = {"offline, linear": ridge(), "offline, kernel": make_pipeline(features, Ridge(0.1))}
    fitted = {name: model.fit(Z, y) for name, model in models.items()}
    return encoder, fitted | {"offline, trees": trees().fit(Z[::3], y[::3])}


def figures(events: bool) -> Iterator[Row]:
    """Yield all figures of one stream."""
    unlabelled, _ = drive(events, 5 * MINUTE, 1)
    encoders = {
        "untrained": make_encoder(events, 0).fit(unlabelled),
        "trained": make_encoder(events, 12).fit(unlabelled),
    }
    most, regressions = offline(events)
    for seed in SEEDS:
        drives = Drives(events, seed)
        yield from rivals(seed, drives)
        for name, encoder in encoders.items():
            parts = drives.embedded(encoder.transform)
            yield from streamed(seed, name, parts)
        longer = encoder.transform(drives.longer[0]), drives.longer[1]
        yield from buffers(seed, name, parts, longer)
        Z = most.transform(drives.test[0])
        for name, model in regressions.items():
            yield seed, "error", name, "50 min", rmse(model.predict(Z), drives.test[1])
    yield from milliseconds(encoder, drives.test[0], parts)


def hour(events: bool) -> Iterator[Row]:
    """Yield the memory of the process after minutes of stream."""
    encoder, learner = make_encoder(events, 1).fit(drive(events, MINUTE, 1)[0]), Learner()
    for minute in range(1, 61):
        frames, y = drive(events, MINUTE, 20_000 + minute, (*KNOWN_TERRAINS, *NEW))
        for start in range(0, MINUTE, RATE):
            now = slice(start, start + RATE)
            learner.add(encoder.transform(frames[now]), y[now])
        learner.fitted().predict(encoder.transform(frames[now]))
        detector("density").fit(learner.Z).score_samples(encoder.transform(frames[now]))
        if minute in (1, 5, 10, 20, 40, 60):
            pages = int(Path("/proc/self/statm").read_text().split()[1])  # Linux
            megabytes = pages * resource.getpagesize() / 2**20
            yield "", "megabytes", "trained", f"{minute} min", megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", nargs="+", choices=["colour", "events"], default=["colour", "events"]
    )
    parser.add_argument("--hour", action="store_true", help="measure memory alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the csv")
    args = parser.parse_args()
    for name in args.data:
        found = (hour if args.hour else figures)(name == "events")
        append(args.results, FIELDS, ((name, *row, f"{value:.4g}") for *row, value in found))


if __name__ == "__main__":
    main()
