"""What skssl costs beside the bare arithmetic: steps, transform, memory, import.

    OMP_NUM_THREADS=1 python benchmarks/overhead.py            # all of it, about 6 minutes
    OMP_NUM_THREADS=1 python benchmarks/overhead.py steps      # one part

A *bare* step is forward, the method's own loss, backward and fused AdamW, with the same
modules and the same number of rows, on fixed ready-made views at the same precision. *Ours*
is a whole step of ``fit``: fetching rows, views, loss, clipping, schedule, callbacks. The two
take turns inside one fit, epoch by epoch, on one thread; ratios are medians over the turns.
"""

import argparse
import copy
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skssl import (
    BYOL,
    CPC,
    SCARF,
    VIME,
    DenoisingAudio,
    DenoisingAutoencoder,
    HiddenUnit,
    MaskedLanguageModel,
    MaskedSeries,
    MultiTask,
    NextFrame,
    NextStep,
    NextToken,
    PretrainedClassifier,
    SimCLR,
    TextContrast,
    TS2Vec,
    UnlabeledKFold,
    VICReg,
)
from skssl._compat import choose_device, has_native_bfloat16
from skssl._meta._cache import fit_key
from skssl._training._checkpoint import CheckpointFile
from skssl._training._loop import Net
from skssl.base._transformer import ROWS_AT_ONCE
from skssl.callbacks import Checkpoint, TimeBudget
from skssl.datasets import make_moving_digits
from skssl.encoders import MLP

METHODS = {"SCARF": SCARF, "VIME": VIME, "DenoisingAutoencoder": DenoisingAutoencoder}
IMAGE_METHODS = {"SimCLR": SimCLR, "BYOL": BYOL, "VICReg": VICReg}


def table(n_rows: int = 10_240, n_columns: int = 50) -> np.ndarray:
    """A table of correlated floats."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_columns), dtype=np.float32)
    return X @ rng.standard_normal((n_columns, n_columns), dtype=np.float32) / 7


def images(n_images: int = 2_560, n_channels: int = 1, side: int = 28) -> np.ndarray:
    """Bytes in the shape of Fashion-MNIST's."""
    shape = (n_images, side, side, n_channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def four_layers(x: torch.Tensor) -> MLP:
    """The encoder of the step's figures: four layers of 256 units."""
    return MLP(x.shape[1], 256, 256, 256, 256, activated=True)


class BareSteps:
    """A callback that takes as many bare steps as the epoch had, after timing the epoch."""

    def __init__(self, precision: str, n_steps: int):
        self.dtype = torch.bfloat16 if precision == "bfloat16" else None
        self.n_steps = n_steps
        self.ours: list[float] = []
        self.bare: list[float] = []

    def setup(self, estimator, context):
        """Nothing to prepare before the net exists."""

    def teardown(self, estimator, context):
        """Nothing to release."""

    def prepare(self, estimator: SCARF, x: torch.Tensor) -> None:
        """Build the same net beside the fit's, and the views it will always be given."""
        self.device = choose_device(estimator.device)
        net = copy.deepcopy(estimator._net).to(self.device)
        net.raw, self.batch = x.to(self.device), estimator._scaler(x).to(self.device)
        altered = net.raw if isinstance(estimator, DenoisingAudio) else self.batch
        for part in (m for m in net.modules() if isinstance(m, Net)):  # each task has one
            for name in ("views", "views_to_embed"):
                if hasattr(part, name):
                    setattr(part, name, partial(_same, getattr(part, name)(altered)))
        self.net, self.estimator = net.train(), estimator
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)

    def step(self) -> None:
        """Forward, loss, backward, update."""
        if self.dtype is None:
            loss = self.estimator._loss(self.net, self.batch)
        else:
            with torch.autocast(self.device.type, dtype=self.dtype):
                loss = self.estimator._loss(self.net, self.batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def on_fit_task_begin(self, estimator, context):
        """Start the clock of an epoch."""
        if context.task_name == "epoch":
            self.start = now()

    def on_fit_task_end(self, estimator, context):
        """Stop it, then take the bare steps."""
        if context.task_name != "epoch":
            return
        self.ours.append((now() - self.start) / self.n_steps)
        start = now()
        for _ in range(self.n_steps):
            self.step()
        self.bare.append((now() - start) / self.n_steps)


def now() -> float:
    """Return the time in seconds, once an accelerator has done what it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


def _same(views: list[torch.Tensor], _: torch.Tensor) -> list[torch.Tensor]:
    return views


def compare(
    cls: Any,
    X: Any,
    encoder: Any,
    batch_size: int,
    ours: str,
    bare: str,
    epochs: int,
    compile: bool = False,
) -> tuple[float, float, float]:
    """Return ms a step of ours and of the bare loop, and the median of their ratio."""
    params = {"encoder": encoder, "batch_size": batch_size, "random_state": 0}
    timer = BareSteps(bare, len(X) // batch_size)
    estimator = cls(max_epochs=0, warm_start=True, **params).fit(X)  # the net as a fit makes it
    timer.prepare(estimator, estimator._read(X[:batch_size]).clone())
    fit = cls(max_epochs=epochs, precision=ours, compile=compile, **params)
    fit.set_callbacks(timer).fit(X)
    ratios = [a / b for a, b in zip(timer.ours[2:], timer.bare[2:], strict=True)]
    middle = [statistics.median(times[2:]) * 1e3 for times in (timer.ours, timer.bare)]
    return middle[0], middle[1], statistics.median(ratios)


def steps() -> None:
    """Ours against the bare step, at equal precision and, on auto, against float32."""
    native = has_native_bfloat16(torch.device("cpu"))
    print(f"\nStep, 10 240 x 50, 4 x 256 encoder with its head; native bfloat16: {native}")
    print("| method | batch | ours | bare | ours ms | bare ms | ours / bare |")
    print("|---|---|---|---|---|---|---|")
    pairs = [("float32", "float32")]
    if native:
        pairs += [("bfloat16", "bfloat16"), ("auto", "float32")]
    for name, cls in METHODS.items():
        for batch_size in (128, 1024):
            for ours, bare in pairs:
                epochs = 14 if batch_size == 128 else 24
                a, b, ratio = compare(cls, table(), four_layers, batch_size, ours, bare, epochs)
                cells = (name, batch_size, ours, bare, f"{a:.2f}", f"{b:.2f}", f"{ratio:.2f}")
                print("|", " | ".join(map(str, cells)), "|", flush=True)


def image_steps() -> None:
    """The same for bytes of 28 x 28 pixels and the default encoder of images."""
    native = has_native_bfloat16(torch.device("cpu"))
    print("\nStep, images of 28 x 28, default encoder, batch 256")
    print("| method | precision | ours ms | with compile=True | bare ms | ours / bare | images/s |")
    print("|---|---|---|---|---|---|---|")
    for name, cls in IMAGE_METHODS.items():
        for precision in ("float32", "bfloat16") if native else ("float32",):
            a, b, ratio = compare(cls, images(), "auto", 256, precision, precision, 6)
            compiled, _, _ = compare(cls, images(), "auto", 256, precision, precision, 6, True)
            cells = (
                name,
                precision,
                f"{a:.0f}",
                f"{compiled:.0f}",
                f"{b:.0f}",
                f"{ratio:.2f}",
                f"{256e3 / a:.0f}",
            )
            print("|", " | ".join(cells), "|", flush=True)


def image_views() -> None:
    """A pair of default views of 256 images against the bare step of SimCLR on them."""
    print("\n| images | precision | pair of views ms | bare step ms | views / step |")
    print("|---|---|---|---|---|")
    for channels, side in ((1, 28), (3, 32), (3, 64), (13, 64)):
        X = images(256, channels, side)
        estimator = SimCLR(batch_size=256, random_state=0).partial_fit(X)
        x = estimator._scaler(estimator._read(X))
        for precision in ("float32", "bfloat16"):
            bare = BareSteps(precision, 1)
            bare.prepare(estimator, estimator._read(X).clone())
            pair, step, ratio = interleaved(partial(estimator.views_, x), bare.step, 8)
            cells = f"{side} x {side} x {channels}", precision, f"{pair * 1e3:.0f}"
            print("|", " | ".join((*cells, f"{step * 1e3:.0f}", f"{ratio:.3f}")), "|", flush=True)


def interleaved(
    first: Callable[[], Any], second: Callable[[], Any], rounds: int
) -> tuple[float, float, float]:
    """Return the median seconds of two functions called in turn, and of their ratio."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, spent in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function()
            spent.append(time.perf_counter() - start)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    return statistics.median(times[0]), statistics.median(times[1]), ratio


def transform() -> None:
    """``transform`` against its encoder's forward alone; one row from an array and a frame."""
    X = table()[:10_000]
    est = SCARF(max_epochs=1, random_state=0).fit(X)
    x = torch.from_numpy(X)

    def forward():
        with torch.inference_mode():
            for chunk in x.split(ROWS_AT_ONCE):
                est.encoder_(chunk)

    a, b, ratio = interleaved(lambda: est.transform(X), forward, 30)
    spent = f"{a * 1e3:.1f} ms, bare forward {b * 1e3:.1f} ms"
    print(f"\ntransform of 10 000 x 50: {spent}: {ratio:.2f}")
    frame = pd.DataFrame(X[:500], columns=[f"c{i}" for i in range(50)])
    rng = np.random.default_rng(0)
    mixed = frame.iloc[:, :15].assign(
        **{f"s{i}": rng.choice(["a", "b", "c"], 500) for i in range(5)}
    )
    for name, data in (("array of 50", X), ("frame of 50", frame), ("mixed frame of 20", mixed)):
        fitted = SCARF(max_epochs=1, random_state=0).fit(data)
        row = data[:1]
        a, _, _ = interleaved(lambda f=fitted, r=row: f.transform(r), list, 400)
        print(f"one row, {name} columns: {a * 1e3:.3f} ms")


def pretraining() -> None:
    """Seconds of the default pretraining of 20 000 x 20 and of 1 000 000 x 50."""
    print()
    for n_rows, n_columns in ((20_000, 20), (1_000_000, 50)):
        X = table(n_rows, n_columns)
        start, cpu_start = time.perf_counter(), time.process_time()
        MultiTask(random_state=0).fit(X)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        size = f"{n_rows:_} x {n_columns}".replace("_", " ")
        print(f"MultiTask() on {size}: {wall:.1f} s, {cpu:.1f} of the processor", flush=True)


def default_fit() -> None:
    """CPU seconds of `PretrainedClassifier()` on 1 000 x 30 with 100 labels, by precision."""
    X = table(1000, 30)
    y = np.full(1000, -1)
    y[:100] = X[:100, 0] + X[:100, 1] > 0
    print()
    for precision in ("auto", "float32"):
        encoder = MultiTask(precision=precision, random_state=0)
        model = PretrainedClassifier(encoder, random_state=0)
        start = time.process_time()
        model.fit(X, y)
        spent = time.process_time() - start
        print(f"PretrainedClassifier() on 1 000 x 30, {precision}: {spent:.1f} s of the processor")


class Epochs:
    """A callback that times epochs."""

    def __init__(self):
        self.seconds: list[float] = []

    def setup(self, estimator, context):
        """Nothing to prepare."""

    def teardown(self, estimator, context):
        """Nothing to release."""

    def on_fit_task_begin(self, estimator, context):
        """Start the clock of an epoch."""
        if context.task_name == "epoch":
            self.n_epochs = context.parent.max_subtasks
            self.start = time.perf_counter()

    def on_fit_task_end(self, estimator, context):
        """Stop it."""
        if context.task_name == "epoch":
            self.seconds.append(time.perf_counter() - self.start)


def sequences() -> None:
    """What default fits on sequences take: 20 seconds of epochs, times their number.

    OMP_NUM_THREADS=2 has them on two cores, where nothing else runs.
    """
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(20_000)])
    rank = np.minimum(rng.zipf(1.3, (5_000, 200)), len(words)) - 1
    texts = [" ".join(document) for document in words[rank]]
    series = rng.standard_normal((2_000, 1, 500)).cumsum(2)
    waveforms = rng.standard_normal((1_000, 8_000))
    clips, *_ = make_moving_digits(1_000, 12, random_state=0)
    rated = {"sampling_rate": 8_000}
    fits: list[tuple[str, Any, list[Any]]] = [
        ("5 000 texts of 200 words", texts, [MaskedLanguageModel(), TextContrast(), NextToken()]),
        (
            "2 000 series of 500 steps",
            series,
            [TS2Vec(), CPC(), NextStep(), MaskedSeries(), SimCLR(), VICReg()],
        ),
        (
            "1 000 waveforms of 8 000 samples",
            waveforms,
            [CPC(**rated), HiddenUnit(**rated), DenoisingAudio(**rated), SimCLR(**rated)],
        ),
        (
            "1 000 clips of 12 frames of 20 x 20",
            clips,
            [NextFrame(), SimCLR(modality="video"), VICReg(modality="video")],
        ),
    ]
    print(f"\n{torch.get_num_threads()} threads")
    print("\n| data | method | epochs | seconds an epoch | seconds a fit |")
    print("|---|---|---|---|---|")
    for data, X, methods in fits:
        for method in methods:
            timer = Epochs()
            method.set_callbacks(timer, TimeBudget(20)).fit(X)
            epoch = statistics.median(timer.seconds[1:] or timer.seconds)
            cells = data, type(method).__name__, timer.n_epochs, f"{epoch:.2f}"
            print("|", *map("{} |".format, (*cells, f"{epoch * timer.n_epochs:.0f}")), flush=True)


def checkpoint() -> None:
    """What a checkpoint costs: to know the fit again, once, and to write it, once a minute."""
    print("\n| fit | key ms | write ms | file MB | at one a minute |")
    print("|---|---|---|---|---|")
    fits = {
        "SCARF, 10 240 x 50": (SCARF(random_state=0), table()),
        "SimCLR, 2 560 images of 28 x 28": (SimCLR(random_state=0), images()),
    }
    for name, (method, X) in fits.items():
        states: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            method.set_params(max_epochs=2).set_callbacks(Checkpoint(folder)).fit(X)
            (path,) = Path(folder).iterdir()
            file = CheckpointFile(path, path.stem.split("-")[1], 0)
            file.read(states.append)
            write, key, _ = interleaved(
                partial(file.write, partial(dict, states[0]), now=True),
                partial(fit_key, method, torch.from_numpy(X)),
                9,
            )
            size = path.stat().st_size / 1e6
        cells = name, f"{1e3 * key:.0f}", f"{1e3 * write:.0f}", f"{size:.1f}", f"{write / 60:.2%}"
        print("|", " | ".join(cells), "|", flush=True)


def search() -> None:
    """A search of 12 fits with one worker and with two, torch's threads left to themselves."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    code = "import benchmarks.overhead as o; o.search_once({})"
    env["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *sys.path])
    print()
    for n_jobs in (1, 2):
        subprocess.run([sys.executable, "-c", code.format(n_jobs)], check=True, env=env)


def search_once(n_jobs: int) -> None:
    """Time GridSearchCV over 4 candidates and 3 folds of 20 epochs on 5 000 x 20."""
    X = table(5_000, 20)
    y = np.where(np.arange(len(X)) % 25, -1, X[:, 0] > 0)
    model = PretrainedClassifier(SCARF(max_epochs=20), LogisticRegression(), random_state=0)
    grid = {"transformer__corruption": [0.3, 0.6], "transformer__temperature": [0.2, 1.0]}
    start = time.perf_counter()
    GridSearchCV(model, grid, cv=UnlabeledKFold(3), n_jobs=n_jobs, refit=False).fit(X, y)
    spent = time.perf_counter() - start
    threads = Parallel(n_jobs=n_jobs)(delayed(torch.get_num_threads)() for _ in range(4))
    print(f"12 fits, n_jobs={n_jobs}: {spent:.1f} s, torch threads a worker: {max(threads)}")


def memory() -> None:
    """Peak memory of fitting 2 000 000 x 50 float32, in a process of its own."""
    code = "import benchmarks.overhead as o; o.fit_large()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    print()
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def fit_large() -> None:
    """Fit 2 000 000 rows and print this process's peak memory."""
    X = np.random.default_rng(0).standard_normal((2_000_000, 50), dtype=np.float32)
    data = X.nbytes / 1e6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    SCARF(random_state=0).fit(X)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"fit of 2 000 000 x 50 float32 ({data:.0f} MB): peak {peak:.0f} MB, "
        f"before it {before:.0f}, limit 2 x data + 700 = {2 * data + 700:.0f} MB"
    )


def photographs() -> None:
    """Peak memory of a ResNet-18 on photographs of 224 x 224, in a process of its own."""
    code = "import benchmarks.overhead as o; o.fit_photographs()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    print(flush=True)
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def fit_photographs() -> None:
    """Fit as many as make a batch and print this process's peak memory."""
    X = images(64, 3, 224)
    SimCLR(encoder="resnet18", max_epochs=1, random_state=0).fit(X)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"SimCLR, resnet18, a batch of {len(X)} photographs of 224 x 224: peak {peak:.1f} GB")


IMPORTS = {  # and the most milliseconds that each may add
    "import skssl": 50,
    "from skssl import SCARF": 150,
    "from skssl import PretrainedClassifier": 250,
}


def imports() -> None:
    """What imports add to importing torch, pandas and linear models, each in a fresh process.

    Python's garbage collector may walk all of torch's objects meanwhile: which import it falls
    into is chance, so there is a figure with it and one where it is frozen before the clock starts.
    """
    print("\n| import | CPU ms, median | least | most | median, collector frozen | limit |")
    print("|---|---|---|---|---|---|")
    for statement, limit in IMPORTS.items():
        spent = sorted(import_ms(statement, is_frozen=False) for _ in range(11))
        frozen = statistics.median(import_ms(statement, is_frozen=True) for _ in range(11))
        cells = (statistics.median(spent), spent[0], spent[-1], frozen, limit)
        print(f"| `{statement}` |", *(f"{ms:.0f} |" for ms in cells), flush=True)


def import_ms(statement: str, is_frozen: bool) -> float:
    """Return the milliseconds of CPU that an import takes once its dependencies are there."""
    code = (
        "import gc, time, torch, pandas, sklearn.linear_model\n"
        f"{'gc.freeze()' if is_frozen else ''}\n"
        f"start = time.process_time()\n{statement}\nprint(time.process_time() - start)"
    )
    return 1e3 * float(subprocess.check_output([sys.executable, "-c", code], text=True))


ALL = (
    steps,
    image_steps,
    image_views,
    transform,
    pretraining,
    default_fit,
    sequences,
    checkpoint,
    search,
    memory,
    photographs,
    imports,
)
PARTS = {f.__name__: f for f in ALL}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; all by default")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()
