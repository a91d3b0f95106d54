"""What test_device.py runs in a process of its own; not a test by itself.

Every line says which fit it was, and "ok" or what was wrong.

python tests/fit_on_device.py
"""

import copy
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pretend_device
import torch
from gentle_optimizer import gentle_optimizer
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from test_common import SAMPLES, TRAINED, TRANSFORMERS, mixed_frame, name_of, series, table_for

from skssl import SCARF, VIME, FineTunedClassifier, MaskedAutoencoder, PretrainedClassifier, SimCLR
from skssl._compat import choose_device
from skssl._data import _rows
from skssl._training import _loop
from skssl.base._transformer import SSLTransformer
from skssl.callbacks import Checkpoint
from skssl.views import MultiCrop

CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
}
MIXED = mixed_frame()
LABELS = np.where(np.arange(len(MIXED)) % 3, -1, np.arange(len(MIXED)) % 2)


def embed(method: Any, X: Any) -> np.ndarray:
    """Return what a fit makes of X."""
    return method.fit(X).transform(X)


def resumed(method: Any, X: Any) -> np.ndarray:
    """Return what two halves of a fit make of X, with a checkpoint between them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fit.pt")
        half = clone(method).set_callbacks(Checkpoint(path), Broken())
        try:
            half.fit(X)
        except KeyboardInterrupt:
            return method.set_callbacks(Checkpoint(path)).fit(X).transform(X)
    raise AssertionError("it was not broken off")


class Broken:
    """A callback that breaks a fit off after its first epoch."""

    def setup(self, estimator, context):
        """Nothing to prepare."""

    def teardown(self, estimator, context):
        """Nothing to release."""

    def on_fit_task_begin(self, estimator, context):
        """Nothing to do."""

    def on_fit_task_end(self, estimator, context):
        """Break off."""
        if context.task_name == "epoch" and context.task_id == 0:
            raise KeyboardInterrupt


def streamed(method: Any, X: Any) -> np.ndarray:
    """Return what a stream of two chunks makes of X."""
    return method.partial_fit(X[:30]).partial_fit(X[30:]).transform(X)


def warm(method: Any, X: Any) -> np.ndarray:
    """Return what two fits, one after the other, make of X."""
    return copy.deepcopy(method.set_params(warm_start=True).fit(X)).fit(X).transform(X)


def restored(method: Any, X: Any) -> np.ndarray:
    """Return what X is reconstructed as."""
    return np.asarray(method.fit(X).reconstruct(X), dtype=float)


def tuned(method: Any, X: Any) -> np.ndarray:
    """Return the probabilities of a fine-tuned classifier."""
    model = FineTunedClassifier(method, max_epochs=1, random_state=0)
    return model.fit(X, LABELS[: len(X)]).predict_proba(X)


def told_apart(method: Any, X: Any) -> np.ndarray:
    """Return the probabilities of a classifier on a fitted encoder."""
    model = PretrainedClassifier(FrozenEstimator(method.fit(X)), GaussianNB())
    return model.fit(X, LABELS).predict_proba(X)


IMAGES, WAVES = SAMPLES["image"](40), np.nan_to_num(series())


def by_batches(method: Any, X: Any) -> np.ndarray:
    """Return what a fit makes of X, whose batches are moved one by one."""
    with mock.patch.object(_rows, "BYTES_TO_MOVE", 0):
        return embed(method, X)


CASES: dict[str, tuple[Callable[[Any, Any], np.ndarray], Any, Any]] = {
    "early stopping": (embed, SCARF(n_iter_no_change=1, **CHEAP), MIXED),
    "rows that stay on the CPU": (by_batches, SCARF(**CHEAP), MIXED),
    "a checkpoint": (resumed, SCARF(**CHEAP), MIXED),
    "a stream": (streamed, VIME(**CHEAP), WAVES.reshape(60, -1)),
    "warm start": (warm, SimCLR(**CHEAP), WAVES),
    "crops": (embed, SimCLR(views=MultiCrop(n_large=2, n_small=2), **CHEAP), IMAGES),
    "ResNet-18": (embed, SimCLR(encoder="resnet18", **CHEAP), IMAGES[:20]),
    "periodic numbers": (embed, SCARF(numeric="periodic", **CHEAP), MIXED),
    "bins": (embed, VIME(numeric="piecewise-linear", target="bins", **CHEAP), MIXED),
    "images restored": (restored, MaskedAutoencoder(**CHEAP), IMAGES[:20] / 255),
    "fine-tuning": (tuned, SimCLR(**CHEAP), IMAGES),
    "a classifier": (told_apart, SCARF(**CHEAP), MIXED),
}
for method in TRANSFORMERS:
    CASES[f"{name_of(method)}, table"] = embed, method, table_for(method)
for method, modality in (parameter.values for parameter in TRAINED):
    CASES[f"{name_of(method)}, {modality}"] = embed, method, SAMPLES[modality]()


class Forgetful(SSLTransformer):
    """A method whose loss makes a tensor on the CPU, whatever the device."""

    def _loss(self, net, x):
        return (net.encoder(x) - torch.ones(len(x), 1)).square().mean()


def are_moved_if_few() -> bool:
    """Return whether few rows are moved to a device, and many stay on the CPU."""
    rows, device = _rows.Rows(torch.zeros(3, 2)), choose_device("auto")
    with mock.patch.object(_rows, "BYTES_TO_MOVE", 23):
        (many,) = rows.place_on(device, 1).tensors
    (few,) = rows.place_on(device, 1).tensors
    return (few.device.type, many.device.type) == (pretend_device.NAME, "cpu")


def difference(name: str) -> float:
    """Return how far a fit on the device ends from one on the CPU, in standard deviations."""
    run, method, X = CASES[name]
    with mock.patch.object(_loop, "make_optimizer", gentle_optimizer):
        ends = [run(clone(method).set_params(device=d), X) for d in (pretend_device.NAME, "cpu")]
    return float(np.nanmax(np.abs(ends[0] - ends[1])) / np.nanstd(ends[1]))


def main() -> None:
    kept = pretend_device.install()
    warnings.simplefilter("ignore")
    found = choose_device("auto").type
    print("auto:", "ok" if found == pretend_device.NAME else found)
    print(
        "rows that are moved at once:", "ok" if are_moved_if_few() else "they are not, or all are"
    )
    for name in CASES:
        try:
            far = difference(name)
            print(f"{name}: {'ok' if far < 1e-3 else f'{far} from the CPU'}", flush=True)
        except Exception as error:
            frames = [
                f for f in traceback.extract_tb(error.__traceback__) if "/skssl/" in f.filename
            ]
            where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "here"
            print(f"{name}: {type(error).__name__} {error} {where}".replace("\n", " "), flush=True)
    try:
        Forgetful(device=pretend_device.NAME, **CHEAP).fit(WAVES.reshape(60, -1))
    except RuntimeError as error:
        print("a forgetful method: ok" if "on the CPU and on" in str(error) else error)
    del kept


if __name__ == "__main__":
    main()
