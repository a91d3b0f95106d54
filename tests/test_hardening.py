"""What lasts: memory, threads, processes."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from gentle_optimizer import gentle_optimizer
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from test_common import CHEAP, images, mixed_frame, series, texts

from skssl import SCARF, DenoisingAutoencoder, MultiTask, SimCLR, TextContrast, TS2Vec
from skssl._training import _loop

X, Y = load_iris(return_X_y=True)
EACH = [
    pytest.param(SCARF(**CHEAP), mixed_frame, id="table"),
    pytest.param(SimCLR(**CHEAP), images, id="image"),
    pytest.param(TS2Vec(**CHEAP), series, id="series"),
    pytest.param(TextContrast(**CHEAP), texts, id="text"),
]


@pytest.fixture
def threads():
    """Sets the number of torch's threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("transformer", "make"), EACH)
def test_threads_that_transform_do_not_disturb_each_other(transformer, make):
    data = [make(seed=seed) for seed in range(8)]
    fitted = clone(transformer).set_params(random_state=0).fit(data[0])
    alone = [fitted.transform(X) for X in data]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fitted.transform, data * 4))
    for found, expected in zip(together, alone * 4, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.slow  # workers that have to import
def test_processes_transform_alike():
    data = [mixed_frame(seed=seed) for seed in range(4)]
    fitted = SCARF(**CHEAP, random_state=0).fit(data[0])
    found = Parallel(2)(delayed(fitted.transform)(X) for X in data)
    for Z, X in zip(found, data, strict=True):
        assert np.array_equal(Z, fitted.transform(X))


def test_the_first_steps_are_alike_on_any_number_of_threads(threads, monkeypatch):
    """Ten steps: later ones part, since sums are rounded in another order.

    Adam would divide a gradient that is nothing but rounding by its own size.
    """
    monkeypatch.setattr(_loop, "make_optimizer", gentle_optimizer)
    for seed in range(2):
        curves, embeddings = [], []
        for n in (1, 2):
            threads(n)
            method = SCARF(batch_size=15, max_epochs=1, precision="float32", random_state=seed)
            curves.append(method.fit(X).loss_curve_)
            embeddings.append(method.transform(X))
        assert curves[0] == pytest.approx(curves[1], rel=1e-4)
        spread = embeddings[0].std()
        np.testing.assert_allclose(embeddings[0] / spread, embeddings[1] / spread, atol=1e-4)


@pytest.mark.slow  # several whole fits
def test_the_probe_is_alike_on_any_number_of_threads(threads):
    train, test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    scores = []
    for n in (1, 2):
        threads(n)
        for seed in range(4):
            Z = SCARF(max_epochs=40, random_state=seed).fit(train)
            probe = LogisticRegression(max_iter=1000).fit(Z.transform(train[:200]), y[:200])
            scores.append(probe.score(Z.transform(test), y_test))
    assert abs(np.mean(scores[:4]) - np.mean(scores[4:])) < 0.01


def used():
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@pytest.mark.slow  # 300 fits
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
@pytest.mark.parametrize(("transformer", "make"), EACH)
def test_a_hundred_fits_need_no_more_memory(transformer, make):
    data = make()
    after = []
    for i in range(120):
        clone(transformer).set_params(random_state=i).fit(data).transform(data)
        after.append(used())
    assert np.median(after[-10:]) - np.median(after[10:20]) < 10


@pytest.mark.slow  # workers that have to import
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads Linux's /proc")
def test_a_search_leaves_no_process_behind():
    def children():
        tasks = Path("/proc/self/task").glob("*/children")
        return {pid for task in tasks for pid in task.read_text().split()}

    get_reusable_executor().shutdown(wait=True)
    before = children()
    model = make_pipeline(DenoisingAutoencoder(**CHEAP), LogisticRegression())
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0]}, cv=2, n_jobs=2)
    search.fit(X, Y)
    get_reusable_executor().shutdown(wait=True)  # joblib keeps its workers for the next search
    left = {pid for pid in children() - before if "resource_tracker" not in command(pid)}
    assert left == set()


def command(pid):
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text() if path.exists() else ""


def test_a_failed_fit_can_be_repeated():
    """Neither locks nor generators are left in another state."""
    broken = MultiTask(**CHEAP, learning_rate=1e30, random_state=0)
    state = torch.get_rng_state()
    for _ in range(2):
        with pytest.raises(ValueError, match="loss became"):
            broken.fit(X)
    assert torch.equal(torch.get_rng_state(), state)
    Z = broken.set_params(learning_rate=1e-3).fit_transform(X)
    assert np.isfinite(Z).all()
