"""A stream that labels itself: frames of a moving camera, and the roughness felt a moment later.

Generated drives (`skssl.datasets.make_terrain_drive`), ten frames per second, in colour or as an
event camera's. An encoder that saw five minutes of other frames, without any roughness, embeds each
frame. `SGDRegressor.partial_fit` predicts the logarithm of the roughness: the label of a frame
comes a second later, and each second it replays rows of a buffer that keeps what is diverse. After
a minute on six terrains comes a minute of a seventh, which nothing has seen. Encoders, regression
and detector were chosen on drives of other seeds than those that are measured.

- `error`: root mean squared error of the logarithm on other drives over the six terrains. `60 s` is
  after a minute of the stream; `50 min` a ridge regression on 50 times as much, or trees on a third
  of that, behind an encoder that was trained on all its frames. `mean colour` is a ridge regression
  or trees on the mean of each channel; for events, on the rates of both signs.
- `new terrain`: the same on another drive over the seventh terrain alone, by seconds on it.
- `old terrains`: the same on the six terrains after a minute of the seventh, by what 300 places in
  the buffer keep.
- `novelty`: area under the ROC curve, the seventh terrain against the six on other drives, by
  detectors fitted to the buffer before it came.
- `milliseconds`: of the processor per frame, each alone; `learning` is a second's, shared out.
- `megabytes`: memory of the process in the course of an hour of stream over all seven terrains.

    python benchmarks/stream.py                      # -> results/stream.csv
    python benchmarks/stream.py --data events
    python benchmarks/stream.py --hour --data colour  # memory alone
"""

import argparse
import csv
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV, SGDRegressor
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from skssl import EmbeddingOutlierDetector, SimCLR, select_to_label
from skssl.datasets import KNOWN_TERRAINS, make_terrain_drive
from skssl.views import image_views

RESULTS = Path(__file__).parent / "results" / "stream.csv"
FIELDS = ["stream", "seed", "figure", "method", "of", "value"]
SEEDS = range(5)
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


class Learner:
    """A regression that learns from a stream of embeddings, and the buffer that it replays.

    Parameters
    ----------
    capacity : int, default=600
        Number of rows that the buffer keeps.
    keep : {"diverse", "latest"}, default="diverse"
        Which ones: rows far from each other, or the last.
    """

    def __init__(self, capacity: int = CAPACITY, keep: str = "diverse"):
        self.capacity, self.keep = capacity, keep
        self.model = SGDRegressor(alpha=0.01, learning_rate="constant", eta0=0.001, random_state=0)
        self.rng = np.random.default_rng(0)
        self.rows: list[np.ndarray] = []  # one array (n, 1 + n_components): label, embedding

    def learn(self, Z: np.ndarray, y: np.ndarray) -> None:
        """Add labelled embeddings to the buffer, and replay some of it 30 times."""
        rows = np.concatenate([*self.rows, np.column_stack([y, Z])])
        if len(rows) > self.capacity + 10 * RATE:
            rows = rows[self._kept(rows[:, 1:])]
        self.rows = [rows]
        for _ in range(30 * (len(rows) > 0)):
            batch = rows[self.rng.choice(len(rows), 100)]
            self.model.partial_fit(batch[:, 1:], batch[:, 0])

    def _kept(self, Z: np.ndarray) -> np.ndarray:
        if self.keep == "latest":
            return np.arange(len(Z))[-self.capacity :]
        return select_to_label(Z, self.capacity, strategy="k_center", metric="euclidean")

    def error(self, Z: np.ndarray, y: np.ndarray) -> float:
        return rmse(self.model.predict(Z), y)


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
        learner.learn(Z[late], y[late])
        if second == 60:
            yield seed, "error", name, "60 s", learner.error(*test)
            for scorer in ("density", "knn"):
                auc = novelty(learner.rows[0][:, 1:], test[0], test_after[0], scorer)
                yield seed, "novelty", name, scorer, auc
        if second - 60 in (0, 1, 2, 5, 10, 20, 30, 60):
            yield seed, "new terrain", name, f"{second - 60} s", learner.error(*test_after)
    yield seed, "old terrains", name, f"{CAPACITY} diverse", learner.error(*test)


def forgetting(seed: int, name: str, parts: tuple[Any, ...]) -> Iterator[Row]:
    """Yield the error on the old terrains after a minute of the new one, for small buffers."""
    (Z, y), (Z_after, y_after), test, _ = parts
    for keep in ("diverse", "latest"):
        learner = Learner(MINUTE // 2, keep)
        for rows, labels in ((Z, y), (Z_after, y_after)):
            for start in range(0, MINUTE, RATE):
                learner.learn(rows[start : start + RATE], labels[start : start + RATE])
        yield seed, "old terrains", name, f"300 {keep}", learner.error(*test)


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
    model, found, learner = SGDRegressor().fit(Z, y), detector("density").fit(Z), Learner()
    start = time.process_time()
    for second in range(60):
        learner.learn(Z[second * RATE :][:RATE], y[second * RATE :][:RATE])
    yield "", "milliseconds", "trained", "learning", 1e3 * (time.process_time() - start) / 600
    for what in ("embedding and prediction", "with novelty"):
        start = time.process_time()
        for i in range(300):
            z = encoder.transform(frames[i : i + 1])
            model.predict(z)
            if what == "with novelty":
                found.score_samples(z)
        each = (time.process_time() - start) / 300
        yield "", "milliseconds", "trained", what, 1e3 * each


def offline(events: bool) -> tuple[Any, Any, Any]:
    """Return an encoder and two regressions, fitted to 50 minutes."""
    parts = [drive(events, MINUTE, 100 + i) for i in range(50)]
    frames, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    encoder = make_encoder(events, 1).fit(frames)
    Z = encoder.transform(frames)
    return encoder, ridge().fit(Z, y), trees().fit(Z[::3], y[::3])


def figures(events: bool) -> Iterator[Row]:
    """Yield all figures of one stream."""
    unlabelled, _ = drive(events, 5 * MINUTE, 1)
    encoders = {
        "untrained": make_encoder(events, 0).fit(unlabelled),
        "trained": make_encoder(events, 12).fit(unlabelled),
    }
    most, *regressions = offline(events)
    for seed in SEEDS:
        drives = Drives(events, seed)
        yield from rivals(seed, drives)
        for name, encoder in encoders.items():
            parts = drives.embedded(encoder.transform)
            yield from streamed(seed, name, parts)
        yield from forgetting(seed, name, parts)
        Z = most.transform(drives.test[0])
        for name, model in zip(("offline", "offline, trees"), regressions, strict=True):
            yield seed, "error", name, "50 min", rmse(model.predict(Z), drives.test[1])
    yield from milliseconds(encoder, drives.test[0], parts)


def hour(events: bool) -> Iterator[Row]:
    """Yield the memory of the process after minutes of stream."""
    encoder, learner = make_encoder(events, 1).fit(drive(events, MINUTE, 1)[0]), Learner()
    for minute in range(1, 61):
        frames, y = drive(events, MINUTE, 20_000 + minute, (*KNOWN_TERRAINS, *NEW))
        for start in range(0, MINUTE, RATE):
            now = slice(start, start + RATE)
            learner.learn(encoder.transform(frames[now]), y[now])
        detector("density").fit(learner.rows[0][:, 1:]).score_samples(encoder.transform(frames))
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
    with args.results.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(FIELDS)
        for name in args.data:
            for *row, value in (hour if args.hour else figures)(name == "events"):
                writer.writerow([name, *row, f"{value:.4g}"])
                file.flush()
                print(name, *row, f"{value:.4g}", flush=True)


if __name__ == "__main__":
    main()
