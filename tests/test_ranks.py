"""Two ranks on one machine: the gradients of one process, one encoder, as good a probe."""

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import fit_on_ranks
import numpy as np
import pytest
import torch
import torch.distributed as dist

from skssl import _ranks

SCRIPT = Path(fit_on_ranks.__file__)
# What these methods compute in float32 whatever the net's dtype.
ROUNDED = {"DINO", "SwAV"}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks, started as torchrun does, has saved."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", SCRIPT, folder],
            env=os.environ | given | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(600) for process in processes] == [0, 0]
    finally:  # one alone would wait for the other
        for process in processes:
            process.kill()
            process.wait()
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]


@pytest.mark.parametrize("name", fit_on_ranks.METHODS)
def test_a_step_is_that_of_one_process(name, ranks):
    alone = fit_on_ranks.gradients(fit_on_ranks.METHODS[name])
    bound = 1e-6 if name in ROUNDED else 1e-12
    for rank in ranks:
        assert np.abs(rank[name] - alone).max() <= bound * np.abs(alone).max()


def test_losses_that_compare_rows_see_those_of_all_ranks(ranks):
    for name, alone in fit_on_ranks.coupled().items():
        for rank in ranks:
            assert np.abs(rank[name] - alone).max() <= 1e-12 * np.abs(alone).max(), name


@pytest.mark.parametrize("name", ["embeddings", "fitted", "unseeded", "outside memory"])
def test_all_ranks_have_one_encoder(name, ranks):
    """Though none was given the weights of another: each took the same steps."""
    assert np.array_equal(ranks[0][name], ranks[1][name])


def test_the_probe_agrees_within_a_standard_error(ranks):
    """A standard error is 0.007 here; the mean of three fits varies by 0.002 from seed to seed."""
    alone, _ = fit_on_ranks.probed()
    wrong = 1 - alone.mean()
    n_test = len(fit_on_ranks.DIGITS[1])
    assert alone.mean() > 0.9
    assert abs(ranks[0]["scores"].mean() - alone.mean()) <= (wrong * (1 - wrong) / n_test) ** 0.5


def test_a_fit_goes_on_where_it_was_broken_off(ranks):
    if "resumed" not in ranks[1]:
        pytest.skip("checkpoints are callbacks, which need scikit-learn 1.9 or newer")
    whole, resumed = ranks[1]["resumed"]
    assert np.array_equal(whole, resumed)
    assert np.array_equal(ranks[0]["resumed"], ranks[1]["resumed"])


def test_fine_tuning_waits_for_no_other_rank(ranks):
    for rank in ranks:
        assert np.isfinite(rank["on its own"]).all()


def test_a_batch_that_is_too_small_is_said(ranks):
    assert "too small for 2 ranks" in str(ranks[0]["too small"])


def test_workers_of_a_rank_are_none(monkeypatch):
    """They inherit its variables, and would wait for the others for ever."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "a rank")
    drawn = _ranks.seed(np.random.RandomState(0), torch.device("cpu"))
    assert drawn == np.random.RandomState(0).randint(2**31 - 1)
    assert not dist.is_initialized()
