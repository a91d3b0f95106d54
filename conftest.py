"""Fixtures of every test: a seed and a margin; options that repeat and record tests."""

import json
import os
import random
import resource
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent
collect_ignore = ["tests/fit_on_device.py", "tests/pretend_device.py"]  # what test_device.py runs

RECORD = pytest.StashKey[Path]()


def pytest_addoption(parser):
    group = parser.getgroup("margins and records")
    group.addoption(
        "--seeds",
        type=int,
        metavar="N",
        help="run the tests that hold a margin N times, with the seeds 1 to N instead of 0",
    )
    group.addoption(
        "--record",
        type=Path,
        metavar="FILE",
        help="append the outcome of each test to FILE; skip the tests that have passed there",
    )


WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX512_CORE")


def pytest_configure(config):
    if os.environ.get("ONEDNN_MAX_CPU_ISA") in WITHOUT_BFLOAT16:
        # torch asks the chip, whatever oneDNN was told to leave alone
        torch.cpu._is_avx512_bf16_supported = lambda: False
        torch.cpu._is_amx_tile_supported = lambda: False
    if file := config.getoption("record"):
        config.stash[RECORD] = file.absolute()  # tests may change the working directory


def pytest_generate_tests(metafunc):
    n_seeds = metafunc.config.getoption("seeds")
    if n_seeds and "seed" in metafunc.fixturenames:
        seeds = range(1, n_seeds + 1)
        ids = [f"seed{seed}" for seed in seeds]
        metafunc.parametrize("seed", seeds, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def seed(request):
    """The seed of a test that holds a margin: 0, or each seed of ``--seeds``."""
    return getattr(request, "param", 0)


@pytest.fixture
def margin(request, seed):
    """A function that asserts ``value > bound`` and records both; it marks its test `margin`.

    Everything random in such a test comes from ``seed``, so that ``--seeds`` measures the margin.
    """

    def check(value, bound, what=""):
        record = {"of": str(what), "value": float(value), "bound": float(bound)}
        request.node.user_properties.append(("margin", record))
        assert value > bound, what

    return check


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "margin" in getattr(item, "fixturenames", ()):
            item.add_marker("margin")
    if config.stash.get(RECORD, None):
        passed = {r["test"] for r in read_record(config.stash[RECORD]) if r["outcome"] == "passed"}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]


def needs_newer(error):
    """Return why a test cannot run with the installed versions, if that is why it failed.

    It must have called the public function that says so: what fails deeper in skssl is a bug.
    """
    from skssl._compat import VersionError

    failures = getattr(error, "failures", [error])  # of a doctest
    error = getattr(failures[0], "exc_info", (None, failures[0]))[1]
    if isinstance(error, VersionError):
        frames = traceback.extract_tb(error.__traceback__)
        called = next(f.name for f in frames if ROOT / "skssl" in Path(f.filename).parents)
        return str(error) if called in ("set_callbacks", "to_onnx") else None
    if isinstance(error, AttributeError) and error.name == "set_callbacks":  # of Pipeline, searches
        return "callbacks need scikit-learn 1.9 or newer"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except Exception as error:
        if reason := needs_newer(error):
            pytest.skip(reason)
        raise


def read_record(file):
    """Return the lines of a record, the latest of each test; none if there is no file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return list({line["test"]: line for line in map(json.loads, lines)}.values())


def cpu_seconds():
    """Return the CPU time of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    item.began = cpu_seconds()
    for start in (random.seed, np.random.seed, torch.manual_seed):
        start(0)  # what a test draws does not depend on those that ran before it
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu_seconds", cpu_seconds() - item.began))


class Recorder:
    """Appends one line a test to the record, in the process that the workers report to."""

    def __init__(self, file):
        self.file, self.failed = file, set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)
        if report.when != "teardown":
            return
        line = {
            "test": report.nodeid,
            "outcome": "failed" if report.nodeid in self.failed else "passed",
            "margins": [value for name, value in report.user_properties if name == "margin"],
            **{name: round(v, 3) for name, v in report.user_properties if name == "cpu_seconds"},
        }
        with self.file.open("a") as out:
            print(json.dumps(line), file=out)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    config = session.config
    if config.stash.get(RECORD, None) and not hasattr(config, "workerinput"):
        config.stash[RECORD].parent.mkdir(parents=True, exist_ok=True)
        config.pluginmanager.register(Recorder(config.stash[RECORD]))
