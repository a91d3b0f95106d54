"""The page that says how to add a method: its code, written into files, does what it says."""

import importlib
import inspect
import os
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from test_common import SAMPLES, mixed_frame, modalities_of, told

import skssl
from skssl import MultiTask, PretrainedClassifier, UnlabeledKFold
from skssl.base import ReadsAll, SSLTransformer

PAGE = Path(__file__).parents[1] / "docs" / "add_a_method.rst"
SMALL = {
    "n_components": 8,
    "max_epochs": 4,
    "batch_size": 32,
    "n_iter_no_change": 3,
    "validation_fraction": 0.2,
    "weight_decay": 0,
    "precision": "float32",
    "random_state": 0,
}


def blocks():
    """Return the blocks of Python on the page."""
    found = re.findall(
        r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return [textwrap.dedent(block) for block in found]


def block_with(part):
    """Return the one block that has a text in it."""
    (block,) = (block for block in blocks() if part in block)
    return block


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a user who copied the method and its tests from the page."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "align_uniform.py").write_text(block_with("class AlignUniform("), "utf-8")
    (folder / "test_align_uniform.py").write_text(block_with("def test_the_loss"), "utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in ("align_uniform", "test_align_uniform"):
        sys.modules.pop(name, None)


@pytest.fixture
def method(folder):
    return importlib.import_module("align_uniform").AlignUniform(**SMALL)


def data_of(modality):
    return mixed_frame() if modality == "table" else SAMPLES[modality]()


CLAIMED = modalities_of(type("Claims", (ReadsAll, SSLTransformer), {})())


@pytest.mark.parametrize("modality", CLAIMED)
def test_the_method_learns_from_every_modality_it_claims(method, modality):
    assert modalities_of(method) == CLAIMED
    X, method = data_of(modality), told(method, modality)
    fitted = method.fit(X)
    assert fitted.transform(X).shape == (60, 8) and np.isfinite(fitted.transform(X)).all()
    assert len(fitted.validation_loss_curve_) >= 1
    assert min(fitted.validation_loss_curve_[1:]) < fitted.validation_loss_curve_[0]
    before = clone(method).set_params(max_epochs=0).fit(X).encoder_.named_parameters()
    after = dict(fitted.encoder_.named_parameters())
    assert [n for n, weight in before if torch.equal(weight, after[n])] == []


def test_the_tests_on_the_page_pass(folder):
    """In a process of their own, as a user runs them."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."]
    path = os.pathsep.join([str(Path(skssl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    n_passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert n_passed > 40  # scikit-learn's contract among them


def test_it_is_an_estimator_of_scikit_learn(method):
    frame = mixed_frame()
    fitted = clone(method).set_output(transform="pandas").fit(frame)
    Z = fitted.transform(frame)
    assert list(Z.columns) == [f"alignuniform{i}" for i in range(8)]
    assert pickle.loads(pickle.dumps(fitted)).transform(frame).equals(Z)
    y = np.where(np.arange(60) % 3 == 0, -1, np.arange(60) % 2)
    model = PretrainedClassifier(method, LogisticRegression(max_iter=1000))
    grid = {"transformer__weight": [0.0, 1.0], "transformer__n_components": [4]}
    search = GridSearchCV(model, grid, cv=UnlabeledKFold(2)).fit(frame, y)
    assert search.best_params_["transformer__weight"] in (0.0, 1.0)
    make_pipeline(method, LogisticRegression(max_iter=1000)).fit(frame, np.arange(60) % 2)
    with pytest.raises(ValueError, match="weight"):
        clone(method).set_params(weight=-1.0).fit(frame)


def test_it_is_a_task_beside_others(method):
    own = type(method)()
    both = MultiTask([("own", own, 1.0), ("scarf", skssl.SCARF(), 0.2)], **SMALL)
    assert both.fit_transform(mixed_frame()).shape == (60, 8)


def test_its_documentation_has_the_shared_parameters(method):
    doc = inspect.getdoc(type(method))
    for name in (*method.get_params(), "encoder_", "loss_curve_"):
        assert re.search(rf"^{name} : ", doc, re.MULTILINE), name


def test_save_refuses_it_as_the_page_says(method, tmp_path):
    with pytest.raises(ValueError, match="AlignUniform"):
        skssl.save(method.fit(mixed_frame()), tmp_path / "own.skssl")


def test_its_use_on_labels_runs(folder, monkeypatch):
    from skssl._training import _loop

    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 20)
    names = {}
    exec(block_with("PretrainedClassifier(AlignUniform"), names)
    assert names["model"].score(names["X"][:100], names["y"][:100]) > 0.8


def test_hooks_shown_alone_train():
    """The pieces about views, teachers: each becomes a method and is fitted."""
    for part, base in [("swap_cells", "with_views"), ("teacher_of", "with_teacher")]:
        names = {}
        exec(block_with(part), names)
        hooks = {name: names[name] for name in ("_views", "_build", "_loss") if name in names}
        given = {} if "_loss" in hooks else {"_loss": compare_views}
        views = {} if "_views" in hooks else {"_views": lambda self, augment: (augment, augment)}
        cls = type(base, (ReadsAll, SSLTransformer), {**hooks, **given, **views})
        curve = cls(**SMALL).fit(mixed_frame()).loss_curve_
        assert np.isfinite(curve).all() and len(set(curve)) > 1


def compare_views(self, net, x):
    a, b = net.views(x)
    return (net.encoder(a) - net.encoder(b)).square().mean()
