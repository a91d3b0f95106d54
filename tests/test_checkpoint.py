"""Checkpoints: a fit that was killed anywhere ends as if it had not been."""

import errno
import io
import multiprocessing
import os
import pickle
import random
import signal
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_callbacks import Stop

from skssl import BYOL, DINO, SCARF, DenoisingAutoencoder, MultiTask, SwAV
from skssl._training import _loop
from skssl._training._checkpoint import DIGEST, CheckpointFile, check_moments, digest
from skssl.callbacks import Checkpoint, EarlyStopping, ProbeMonitor

X, Y = load_iris(return_X_y=True)
CHEAP = {"n_components": 8, "batch_size": 50, "precision": "float32", "random_state": 0}
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)


class Break(Stop):
    """Ends a fit as an error would, after some epochs."""

    def on_fit_task_end(self, estimator, context):
        if super().on_fit_task_end(estimator, context):
            raise KeyboardInterrupt


def broken(method, X, path, after=3, callbacks=(), **metadata):
    """Fit until the end of an epoch, and then once more to the end."""
    kept = Checkpoint(path, every=0)
    with pytest.raises(KeyboardInterrupt):
        method.set_callbacks(kept, *callbacks, Break(after)).fit(X, **metadata)
    return method.set_callbacks(kept, *callbacks).fit(X, **metadata)


def assert_same(fit, other, X=X):
    assert fit.loss_curve_ == other.loss_curve_
    assert np.array_equal(fit.transform(X), other.transform(X))


@pytest.mark.parametrize(
    ("cls", "X"),
    [
        (SCARF, X),
        (DenoisingAutoencoder, X),
        (MultiTask, X),
        (BYOL, IMAGES),
        (SwAV, IMAGES),
        (DINO, IMAGES),
    ],
)
def test_a_fit_goes_on_where_it_was_broken_off(cls, X, tmp_path):
    whole = cls(max_epochs=3, **CHEAP).fit(X)
    assert_same(broken(cls(max_epochs=3, **CHEAP), X, tmp_path / "kept.pt", 2), whole, X)


@pytest.mark.parametrize("steps", [1, 3])
def test_in_the_middle_of_a_pass(steps, tmp_path, monkeypatch):
    """15 batches a pass, of which the last has been taken, or another one."""
    monkeypatch.setattr(_loop, "STEPS_PER_REPORT", steps)
    params = CHEAP | {"batch_size": 10, "max_epochs": 2}
    whole = SCARF(**params).fit(X)
    for after in (4, 5):
        path = tmp_path / f"{after}.pt"
        assert_same(broken(SCARF(**params), X, path, after), whole)


def test_weights_and_groups_and_held_out_rows(tmp_path):
    params = {"max_epochs": 12, "n_iter_no_change": 3, "learning_rate": 0.05, **CHEAP}
    given = {"sample_weight": np.linspace(0, 1.5, 150), "groups": np.arange(150) % 60}
    whole = SCARF(**params).fit(X, **given)
    again = broken(SCARF(**params), X, tmp_path / "kept.pt", **given)
    assert_same(again, whole)
    assert again.validation_loss_curve_ == whole.validation_loss_curve_
    with pytest.raises(ValueError, match="of another fit"):
        again.fit(X, sample_weight=np.linspace(0, 1.6, 150), groups=given["groups"])


def test_other_callbacks_go_on_too(tmp_path):
    watching = EarlyStopping("rankme", patience=6), ProbeMonitor(X, Y, every=4)
    params = {"max_epochs": 40, **CHEAP}
    whole = SCARF(**params).set_callbacks(*watching).fit(X)
    assert 6 < whole.n_iter_ < 40
    again = broken(SCARF(**params), X, tmp_path / "kept.pt", 5, watching)
    assert_same(again, whole)
    np.testing.assert_equal(again.probe_curves_, whole.probe_curves_)
    assert_same(again.fit(X), whole)  # stopped by then: back to the best weights once more


def test_what_is_finished_is_not_trained_again(tmp_path, monkeypatch):
    scarf = SCARF(max_epochs=4, **CHEAP).set_callbacks(Checkpoint(tmp_path / "kept.pt"))
    whole = scarf.fit(X).transform(X)
    monkeypatch.setattr(SCARF, "_loss", None)
    assert np.array_equal(scarf.fit(X).transform(X), whole)


def test_it_is_written_now_and_then(tmp_path, monkeypatch):
    n_written, replace = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: n_written.append(replace(file)))
    for every, expected in ((0, 6), (1e6, 1)):
        n_written.clear()
        path = tmp_path / f"{every}.pt"
        SCARF(max_epochs=6, **CHEAP).set_callbacks(Checkpoint(str(path), every=every)).fit(X)
        assert len(n_written) == expected
    assert {path.name for path in tmp_path.iterdir()} == {"0.pt", "1000000.0.pt"}


def test_it_is_due_when_the_time_has_passed(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    file, written = CheckpointFile(tmp_path / "kept.pt", "key", every=60.0), []
    for now[0] in (100.0, 159.0, 160.0, 219.0, 230.0, 289.0, 290.0):
        file.write(lambda: written.append(now[0]) or {}, now=False)
    assert written == [160.0, 230.0, 290.0]
    file.write(lambda: written.append("last") or {}, now=True)
    assert written[3:] == ["last"]


def test_the_embedding_is_the_one_without_checkpoints(tmp_path):
    plain = SCARF(max_epochs=4, **CHEAP).fit(X)
    kept = SCARF(max_epochs=4, **CHEAP).set_callbacks(Checkpoint(tmp_path / "a.pt", every=0))
    assert_same(kept.fit(X), plain)
    assert not hasattr(plain, "probe_curves_")  # that is of monitors


def test_a_folder_has_room_for_a_search(tmp_path, monkeypatch):
    pipe = make_pipeline(StandardScaler(), SCARF(max_epochs=2, **CHEAP))
    grid = {"scarf__corruption": [0.2, 0.5]}
    search = GridSearchCV(pipe, grid, cv=2, scoring=lambda model, X: model.transform(X).std())
    best = search.set_callbacks(Checkpoint(tmp_path)).fit(X).best_estimator_.transform(X)
    files = {path.name for path in tmp_path.iterdir()}
    assert len(files) == 5 and all(name.startswith("SCARF-") for name in files)
    monkeypatch.setattr(SCARF, "_loss", None)
    assert np.array_equal(search.fit(X).best_estimator_.transform(X), best)


def test_a_stream_writes_nothing(tmp_path):
    SCARF(**CHEAP).set_callbacks(Checkpoint(tmp_path / "kept.pt")).partial_fit(X)
    assert not list(tmp_path.iterdir())


# ---- what can go wrong -------------------------------------------------------------------


def kept_file(tmp_path, **params):
    path = tmp_path / "kept.pt"
    scarf = SCARF(**{"max_epochs": 2, **CHEAP, **params}).set_callbacks(Checkpoint(path))
    return path, scarf.fit(X)


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"max_epochs": 3}, {"random_state": 1}])
def test_another_fit_is_said(change, tmp_path):
    path, scarf = kept_file(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"kept.pt is the checkpoint of another fit.*delete"):
        scarf.set_params(**change).fit(X)
    with pytest.raises(ValueError, match="another fit"):
        kept_file(tmp_path)[1].fit(X + 1e-6)
    assert path.read_bytes() == before


def read(path):
    return torch.load(io.BytesIO(path.read_bytes()[DIGEST:]), weights_only=True)


def write(path, state):
    """Write what is whole, whatever it says."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(digest(buffer.getvalue()) + buffer.getvalue())


class Evil:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_damaged_and_foreign_files_are_said(tmp_path):
    path, scarf = kept_file(tmp_path)
    whole, trace = path.read_bytes(), tmp_path / "trace"
    rng = np.random.default_rng(0)
    wrong = [b"", b"no checkpoint", pickle.dumps(Evil(trace))]
    wrong += [whole[:n] for n in rng.integers(1, len(whole), 10)]
    for n in rng.integers(0, len(whole), 10):
        wrong.append(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
    state = read(path)
    for changed in ({"net": {}}, {"place": {}}, {"format": Evil(trace)}, {"curves": Evil(trace)}):
        write(path, {**state, **changed})
        wrong.append(path.read_bytes())
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"kept.pt is no checkpoint of skssl, or is damaged"):
            scarf.fit(X)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("part", "fits"),
    [
        (torch.ones(2, 3), True),
        (torch.ones(3, 2), False),
        (torch.full((2, 3), torch.nan), False),
        (torch.tensor(7.0), True),
        (torch.tensor(torch.inf), False),
        (7, True),  # optimizers may count steps by a plain number
        (float("nan"), False),
    ],
)
def test_moments_fit_their_weight_and_are_finite(part, fits):
    weight = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.AdamW([weight])
    optimizer.state[weight] = {"exp_avg": torch.zeros(2, 3), "other": part}
    if fits:
        check_moments(optimizer)
        return
    with pytest.raises(ValueError, match="other of the optimizer has other numbers"):
        check_moments(optimizer)


def test_a_full_disk_stops_no_training(tmp_path, monkeypatch):
    path, _ = kept_file(tmp_path)
    path.unlink()
    plain = SCARF(max_epochs=4, **CHEAP).fit(X)

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    scarf = SCARF(max_epochs=4, **CHEAP).set_callbacks(Checkpoint(path))
    with pytest.warns(RuntimeWarning, match=r"No checkpoint could be written to .*No space left"):
        assert_same(scarf.fit(X), plain)
    assert not list(tmp_path.iterdir())


def test_another_number_of_threads_is_said(tmp_path):
    path, scarf = kept_file(tmp_path)
    write(path, {**read(path), "n_threads": 64})
    with pytest.warns(RuntimeWarning, match="written with 64 threads") as told:
        scarf.fit(X)
    assert told[0].filename.endswith("_epoch_end.py")  # where the file is read


def test_what_cannot_be_known_again_is_said(tmp_path):
    scarf = SCARF(max_epochs=2).set_callbacks(Checkpoint(tmp_path / "kept.pt"))
    with pytest.raises(ValueError, match="Pass a number as random_state"):
        scarf.fit(X)
    scarf.set_params(random_state=0).set_callbacks(Checkpoint(tmp_path / "none" / "kept.pt"))
    with pytest.raises(ValueError, match="There is no folder"):
        scarf.fit(X)
    with pytest.raises(ValueError, match="every"):
        Checkpoint("kept.pt", every=-1)


# ---- killed ------------------------------------------------------------------------------


def fit_in_a_process(path, n_epochs):
    """Fit with a checkpoint after each epoch."""
    torch.set_num_threads(1)
    SCARF(max_epochs=n_epochs, **CHEAP).set_callbacks(Checkpoint(path, every=0)).fit(X)


@pytest.mark.slow  # a process that has to import, and 20 more
def test_killed_at_20_random_points(tmp_path):
    """A hundred epochs; each process begins where the one before was killed."""
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["test_checkpoint"])
    whole = SCARF(max_epochs=100, **CHEAP).fit(X)
    draw, path, left = random.Random(0), tmp_path / "kept.pt", set()
    n_killed = n_resumed = 0
    while n_killed < 20:
        n_resumed += path.exists()
        process = start.Process(target=fit_in_a_process, args=(path, 100))
        process.start()
        while not path.exists() and process.is_alive():
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        n_killed += process.exitcode == -signal.SIGKILL
        left.add(len(read(path)["place"]["curve"]))
        if max(left) == 100:  # finished in the meantime
            path.unlink()
            left = set()
    assert n_resumed >= 10
    kept = SCARF(max_epochs=100, **CHEAP).set_callbacks(Checkpoint(path, every=0)).fit(X)
    assert_same(kept, whole)
