"""Saving and loading without pickle; test_common.py does so with every estimator."""

import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import random
import re
import subprocess
import sys
import types
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import sklearn.model_selection
import torch
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier, TweedieRegressor
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer
from sklearn.svm import SVC
from sklearn.utils import all_estimators
from test_common import CHEAP, X_IRIS, Y_IRIS, mixed_frame, tokens
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import skssl
from skssl import SCARF, MultiTask, PretrainedClassifier, SimCLR, load, save
from skssl._compat import CallbackSupportMixin
from skssl.callbacks import EarlyStopping
from skssl.persistence import _changes, _names
from skssl.persistence._changes import CHANGES, MOVED
from skssl.persistence._compiled import rebuild
from skssl.persistence._names import (
    FUNCTIONS,
    HOMES,
    PARTS,
    class_id,
    find_class,
    find_function,
    function_id,
)
from skssl.views import Compose, swap_cells

SHORT = {**CHEAP, "random_state": 0}
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
VERBS = ("predict", "predict_proba", "decision_function", "score_samples", "transform")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skssl"


def again(model, path, **given):
    save(model, path)
    return load(path, **given)


def outputs(model, X):
    return {verb: getattr(model, verb)(X) for verb in VERBS if hasattr(model, verb)}


def assert_same(model, other, X):
    expected, got = outputs(model, X), outputs(other, X)
    assert expected and expected.keys() == got.keys()
    for verb, value in expected.items():
        value, found = (getattr(v, "toarray", lambda v=v: v)() for v in (value, got[verb]))
        assert found.dtype == value.dtype and np.array_equal(found, value), verb


# ---- what is restored --------------------------------------------------------------------


LOSSES_OF_TREES = ("squared_error", "absolute_error", "gamma", "poisson")
LOSSES_OF_CLASSES = ("log_loss", "exponential")
LOSSES_OF_STEPS = ("hinge", "squared_hinge", "modified_huber", "log_loss", "huber") + (
    "squared_error",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
)
OF_SKLEARN = [
    LogisticRegression(max_iter=500),
    SGDClassifier(random_state=0),
    SVC(),
    KNeighborsClassifier(),
    KNeighborsClassifier(algorithm="ball_tree", metric="minkowski", p=3),
    ExtraTreesClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=2),
    HistGradientBoostingClassifier(max_iter=3),
    AdaBoostClassifier(n_estimators=2),
    BaggingClassifier(n_estimators=2, max_features=0.5),
    IsolationForest(n_estimators=2, max_features=0.5),
    VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", KNeighborsClassifier())]),
    KernelDensity(),
    OneHotEncoder(handle_unknown="ignore"),
    make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=500)),
]


@pytest.mark.parametrize("model", OF_SKLEARN, ids=lambda model: type(model).__name__)
def test_estimators_of_scikit_learn(model, path):
    model = model.fit(X_IRIS, NAMES)
    other = again(model, path)
    assert_same(model, other, X_IRIS)
    if hasattr(model, "classes_"):
        assert other.classes_.dtype == model.classes_.dtype
    assert type(other) is type(model)


@pytest.mark.parametrize(
    "model",
    [
        *(HistGradientBoostingRegressor(loss=name, max_iter=2) for name in LOSSES_OF_TREES),
        HistGradientBoostingRegressor(loss="quantile", quantile=0.7, max_iter=2),
        *(GradientBoostingRegressor(loss=name, n_estimators=2) for name in ("huber", "quantile")),
        *(GradientBoostingClassifier(loss=name, n_estimators=2) for name in LOSSES_OF_CLASSES),
        *(SGDClassifier(loss=name, random_state=0) for name in LOSSES_OF_STEPS),
        TweedieRegressor(power=1.5),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'loss', 'power')}",
)
def test_losses_of_scikit_learn(model, path):
    """They are made anew from their names and numbers."""
    model.fit(X_IRIS, Y_IRIS > 0 if "Classifier" in type(model).__name__ else Y_IRIS + 1.0)
    save(model, path)
    other = load(path)
    assert_same(model, other, X_IRIS)
    for name in ("_loss", "_loss_function_", "_base_loss"):
        loss, again = (getattr(m, name, None) for m in (model, other))
        assert type(loss) is type(again)
        pairs = [(loss, again), (getattr(loss, "closs", None), getattr(again, "closs", None))]
        for one, two in pairs:
            for number in ("n_classes", "quantile", "delta", "power", "constant_hessian"):
                assert getattr(one, number, None) == getattr(two, number, None)


def test_compositions(path):
    scarf, head = SCARF(**SHORT), LogisticRegression(max_iter=500)
    columns = ColumnTransformer([("a", scarf, [0, 1])], remainder="passthrough")
    model = make_pipeline(columns, head)
    grid = {"logisticregression__C": [0.1]}
    search = GridSearchCV(model, grid, scoring="accuracy", cv=StratifiedKFold(2))
    search.fit(X_IRIS, NAMES)
    other = again(search, path)
    assert_same(search, other, X_IRIS)
    assert other.best_params_ == search.best_params_
    assert other.cv_results_["mean_test_score"].tolist() == (
        search.cv_results_["mean_test_score"].tolist()
    )
    frozen = make_pipeline(FrozenEstimator(scarf.fit(X_IRIS)), head).fit(X_IRIS, Y_IRIS)
    assert_same(frozen, again(frozen, path), X_IRIS)


def test_boosted_trees_on_a_frame(path):
    frame, y = mixed_frame(200)[["age", "city"]], np.arange(200) % 2
    model = HistGradientBoostingClassifier(max_iter=3).fit(frame, y)
    assert_same(model, again(model, path), frame)


def test_categories_keep_their_type(path):
    frame = pd.DataFrame(
        {
            "text": pd.Categorical(["ä", "b", "c\n"] * 10),
            "number": pd.Categorical([10, 2, 30] * 10),
            "half": pd.Categorical([0.5, -1.0, 2.0] * 10),
            "flag": [True, False, True] * 10,
        }
    )
    scarf = SCARF(**SHORT).fit(frame)
    other = again(scarf, path)
    levels = [["b", "c\n", "ä"], [2, 10, 30], [-1.0, 0.5, 2.0], [False, True]]
    assert other._reader.levels == levels == scarf._reader.levels
    found = [[type(v) for v in column] for column in other._reader.levels]
    assert found == [[str] * 3, [int] * 3, [float] * 3, [bool] * 2]
    assert_same(scarf, other, frame)
    assert other.feature_names_in_.dtype == object
    with pytest.raises(ValueError, match="feature names"):
        other.transform(frame.rename(columns={"flag": "sign"}))


def test_raw_tokens(path):
    model = PretrainedClassifier(skssl.NextToken(**SHORT), LogisticRegression(), passthrough=True)
    model.fit(tokens(), np.arange(60) % 2)
    assert_same(model, again(model, path), tokens())


def test_tokenizers_of_the_other_package(path):
    texts = ["The cat sat.", "The dog sät, too.", None] * 5
    tokenizer = skssl.TextTokenizer(algorithm="bpe", vocab_size=300).fit(texts)
    assert np.array_equal(again(tokenizer, path).transform(texts), tokenizer.transform(texts))


@pytest.mark.parametrize(
    "method", [SCARF(**SHORT), MultiTask([("s", SCARF(), 1.0), ("v", skssl.VIME(), 1.0)], **SHORT)]
)
def test_partial_fit_goes_on_where_it_was(method, path):
    method = method.partial_fit(X_IRIS)
    other = again(method, path)
    loaded = {id(p) for p in other._net.encoder.parameters()}
    assert {id(p) for p in other._net.trunk.parameters()} == loaded  # shared, as they were
    assert_same(method.partial_fit(X_IRIS), other.partial_fit(X_IRIS), X_IRIS)


def test_parameters_of_many_kinds(path):
    random_state = np.random.RandomState(3)
    random_state.normal()
    views = Compose((partial(swap_cells, p=0.5),))
    scarf = SCARF(**{**SHORT, "random_state": random_state}, device=torch.device("cpu"))
    scarf.set_params(learning_rate=np.float32(1e-3), weight_decay=float("inf"), views=views)
    other = again(scarf, path)
    assert other.device == torch.device("cpu") and other.weight_decay == float("inf")
    assert type(other.learning_rate) is float and other.learning_rate == np.float32(1e-3)
    assert other.views(torch.ones(4, 2)).shape == (4, 2)
    assert other.random_state.normal() == random_state.normal()


def test_callbacks_are_left_out(path):
    scarf = SCARF(**SHORT).set_callbacks(EarlyStopping(patience=1)).fit(X_IRIS)
    other = again(scarf, path)
    assert not hasattr(other, "_skl_callbacks")
    assert_same(scarf, other, X_IRIS)


def test_arrays_keep_their_order_in_memory(path):
    model = LogisticRegression()
    wanted = np.arange(24.0)
    kinds = {
        "c": wanted.reshape(2, 3, 4),
        "f": wanted.reshape(2, 3, 4, order="F"),
        "back": wanted[::-1],
        "strided": wanted[::2],
        "empty": np.empty((0, 3)),
        "zero": np.broadcast_to(np.float64(2), ()),
        "complex": wanted[:2] + 1j,
        "time": np.array(["2026-11-22", "NaT"], "datetime64[s]"),
        "text": np.array([["ä", "bcd"]]),
        "half": wanted.astype(np.float16),
        "unsigned": wanted.astype(np.uint64),
        "objects": np.array([["a", None], [1, 2.5]], dtype=object),
        "swapped": wanted.astype(">f8"),
    }
    read_only = np.arange(3.0)
    read_only.setflags(write=False)
    model.extra_ = {**kinds, "read_only": read_only}
    masked = np.ma.MaskedArray([1.5, 2.5], [False, True], fill_value=-1)
    model.masked_, model.generator_ = masked, np.random.Generator(np.random.PCG64(3))
    other = again(model, path)
    assert other.masked_.tolist() == [1.5, None] and other.masked_.fill_value == -1
    assert other.generator_.normal() == model.generator_.normal()
    for name, array in other.extra_.items():
        expected = model.extra_[name]
        assert array.shape == expected.shape and array.dtype == expected.dtype, name
        equal_nan = expected.dtype.kind in "fM"
        assert np.array_equal(array, expected, equal_nan=equal_nan), name
        assert array.flags.writeable, name
        if name in "cf":
            assert array.strides == expected.strides


IN_A_FRESH_PROCESS = """
import sys, numpy as np, pandas as pd, skssl
frame, X, trees, simclr = sys.argv[1:]
skssl.load(simclr).transform(np.load(X)).tofile(simclr + ".out")  # imports what load needs
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)))
skssl.load(trees)  # imports modules of ours, and public ones of scikit-learn, but no other package
packages = {args[0].partition(".")[0] for event, args in seen if event == "import"}
assert packages <= {"skssl", "sklearn", "scipy"} | set(sys.stdlib_module_names), packages
assert not {"pickle.find_class", "subprocess.Popen"} & {event for event, _ in seen}
seen.clear()
model = skssl.load(trees)
wrong = {"pickle.find_class", "import", "exec", "compile", "subprocess.Popen"}
assert not wrong & {event for event, _ in seen}, seen
model.predict_proba(pd.read_parquet(frame)).tofile(trees + ".out")
"""


def test_a_fresh_process_computes_the_same(tmp_path):
    frame = mixed_frame(100)
    y = np.where(np.arange(100) < 40, np.where(frame["income"] > 22_000, "rich", "poor"), None)
    trees = PretrainedClassifier(SCARF(**SHORT), ExtraTreesClassifier(5), random_state=0)
    trees.fit(frame, y)
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    simclr = SimCLR(**SHORT).fit(images)
    files = [str(tmp_path / name) for name in ("frame", "images.npy", "trees", "simclr")]
    frame.to_parquet(files[0])
    np.save(files[1], images)
    save(trees, files[2])
    save(simclr, files[3])
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, *files], check=True)
    assert np.array_equal(np.fromfile(files[2] + ".out"), trees.predict_proba(frame).ravel())
    assert np.array_equal(np.fromfile(files[3] + ".out", "f4"), simclr.transform(images).ravel())


# ---- what was the user's own -------------------------------------------------------------


class Mine(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x):
        return self.body(x)


def my_views(x):
    return x + torch.randn_like(x)


class MyMethod(SCARF):
    """One of a user's own."""


def test_what_is_not_needed_is_said(path):
    save(SCARF(**SHORT, encoder=nn.Linear(4, 8)).fit(X_IRIS), path)
    with pytest.raises(ValueError, match="nothing in it needs encoder="):
        load(path, encoder=nn.Linear(4, 8))


def test_modules_of_torch_are_saved_whole(path):
    gelu = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True)
    encoder = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 4)), gelu, nn.Flatten())
    scarf = SCARF(**SHORT, encoder=encoder).fit(X_IRIS)
    assert_same(scarf, again(scarf, path), X_IRIS)


@pytest.mark.parametrize(
    "make", [Mine, lambda: nn.Sequential(weight_norm(nn.Linear(4, 8)), nn.ReLU())]
)
def test_a_module_of_ones_own_is_given_again(make, path):
    model = make_pipeline(SCARF(**SHORT, encoder=make(), warm_start=True), LogisticRegression())
    model.fit(X_IRIS, NAMES)
    save(model, path)
    with pytest.raises(ValueError, match=r"its encoder was your own.*load\(path, encoder="):
        load(path)
    with pytest.raises(ValueError, match="encoder= has none of that class"):
        load(path, encoder=nn.Linear(4, 8))
    with pytest.raises(ValueError, match="encoder= has none of that class"):
        load(path, encoder=lambda x: Mine())
    given = make()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    other = load(path, encoder=given)
    assert_same(model, other, X_IRIS)
    assert_same(model[0].partial_fit(X_IRIS), other[0].partial_fit(X_IRIS), X_IRIS)
    for name, value in given.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_module_of_another_size_is_refused(path):
    save(SCARF(**SHORT, encoder=Mine()).fit(X_IRIS), path)
    with pytest.raises(ValueError, match=r"weights.*\(8, 4\).*Make it as for fit"):
        load(path, encoder=Mine(16))


def test_functions_of_ones_own_are_given_again(path):
    def make(x):
        return nn.Linear(x.shape[1], 8)

    scarf = SCARF(**SHORT, encoder=make, views=my_views).fit(X_IRIS)
    save(scarf, path)
    with pytest.raises(ValueError, match="its encoder was your own.*make"):
        load(path, views=my_views)
    with pytest.raises(ValueError, match="its views was your own.*my_views"):
        load(path, encoder=make)
    other = load(path, encoder=make, views=my_views)
    assert other.encoder is make and other.views is my_views
    assert_same(scarf, other, X_IRIS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (FunctionTransformer(lambda X: X), "^func is a .*lambda.*without pickle"),
        (make_pipeline(FunctionTransformer(os.getcwd)), r"^steps\.0\.1\.func is a "),
        (MyMethod(**SHORT), "^The model is a test_persistence.MyMethod"),
        (PretrainedClassifier(memory=joblib.Memory(None)), "^memory is a joblib.*joblib.dump"),
        (SplineTransformer().fit(X_IRIS), "bsplines_.*BSpline.*without pickle"),
        (SCARF(random_state=object()), "^random_state is a "),
    ],
)
def test_what_cannot_be_saved_is_said(model, message, path):
    with pytest.raises(ValueError, match=message):
        save(model, path)
    assert not list(path.parent.iterdir())


def test_modules_with_hooks_are_refused(path):
    encoder = nn.Linear(4, 8)
    encoder.register_forward_hook(lambda *args: None)
    with pytest.raises(ValueError, match="^encoder is a torch.*hooks: remove them"):
        save(SCARF(encoder=encoder), path)


@pytest.mark.parametrize("model", [SCARF, "model", nn.Linear(1, 1)])
def test_only_estimators_are_saved(model, path):
    with pytest.raises(TypeError, match="Expected an estimator"):
        save(model, path)


# ---- the file ----------------------------------------------------------------------------


def test_a_save_that_fails_leaves_the_old_file(path, monkeypatch):
    save(SCARF(), path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    for module, name in ((safetensors.torch, "save_file"), (os, "fsync"), (os, "replace")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, full)
            with pytest.raises(OSError, match="No space"):
                save(SCARF(**SHORT), path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    save(SCARF(**SHORT), path)
    assert load(path).max_epochs == 2
    with pytest.raises(FileNotFoundError):
        save(SCARF(), path.parent / "missing" / "model")
    with pytest.raises(FileNotFoundError):
        load(path.parent / "missing")


@pytest.mark.parametrize("does", [load, partial(save, SCARF())], ids=["load", "save"])
def test_missing_safetensors_is_named(does, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install skssl\[persistence\]"):
        does(path)


def parts(path):
    """Return the text, the tensors and the metadata of a file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    return json.loads(metadata["model"]), safetensors.torch.load(data), metadata


def forge(path, content, tensors, **more):
    """Write a file whose digest is right, as somebody would who means harm."""
    text = content if isinstance(content, str) else json.dumps(content)
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    signed = {"skssl_format": "1", "model": text, "digest": digest.hexdigest()} | more
    safetensors.torch.save_file(tensors, path, signed)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file with a bit of everything, of some 20 kB."""
    path = tmp_path_factory.mktemp("small") / "small.skssl"
    scarf = SCARF(**SHORT, encoder=nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    trees = ExtraTreesClassifier(2, max_depth=3, random_state=0)
    head = VotingClassifier([("a", trees), ("b", KNeighborsClassifier()), ("c", SVC())])
    model = make_pipeline(scarf, head).fit(X_IRIS[::5], NAMES[::5])
    save(model, path)
    return path


def loaded_or_refused(path, kind):
    """Tell whether a file loads; any error must be ours."""
    try:
        return type(load(path)) is kind
    except ValueError as error:
        assert str(error).startswith(f"{str(path)!r} cannot be loaded: ")
        return False


def test_a_damaged_byte_is_noticed(small, path):
    good = small.read_bytes()
    rng = np.random.default_rng(0)
    kind = type(load(small))
    for place in rng.integers(0, len(good), 300):
        data = bytearray(good)
        data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        assert not loaded_or_refused(path, kind)
    for size in [*rng.integers(0, len(good), 50), 0, 7, 8, 9, len(good) - 1]:
        path.write_bytes(good[:size])
        assert not loaded_or_refused(path, kind)
    path.write_bytes(good + b"\0")
    assert not loaded_or_refused(path, kind)


JUNK = [None, True, -1, 10**30, 1e300, "", "os.system", "../../x", [0], [10**9], [], {}, [None]]


def spoiled(value, rng):
    """Return JSON with one part replaced by junk, doubled or left out."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.97:
        out = value.copy()
        key = rng.choice(list(out) if isinstance(out, dict) else range(len(out)))
        if rng.random() < 0.03:
            del out[key]
        else:
            out[key] = spoiled(out[key], rng)
        return out
    return rng.choice(JUNK)


def test_forged_content_is_an_error_of_ours_or_an_estimator(small, path):
    content, tensors, _ = parts(small)
    rng = random.Random(0)
    counts = [0, 0]
    for _ in range(320):
        entries = list(content["entries"])
        i = rng.randrange(len(entries))
        entries[i] = spoiled(entries[i], rng)
        forge(path, {**content, "entries": entries}, tensors)
        try:
            counts[isinstance(load(path), BaseEstimator)] += 1
        except ValueError as error:
            assert "cannot be loaded" in str(error)
            counts[0] += 1
    assert min(counts) > 20


def first_is(**entry):
    return lambda content, tensors: content["entries"].__setitem__(0, entry)


def first_is_of(path):
    return lambda content, tensors: content["entries"][0].update({"class": path})


def made_double(content, tensors):
    tensors.update({n: t.double() for n, t in tensors.items() if t.is_floating_point()})


def made_flat(content, tensors):
    tensors.update({name: tensor.flatten() for name, tensor in tensors.items()})


def nested(content, tensors):
    content["entries"] = [{"is": "tuple", "items": [[i + 1]]} for i in range(9999)]
    content["entries"] += [{"is": "tuple", "items": []}]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content, tensors: tensors.popitem(), "is missing"),
        (made_double, "should be torch.float32"),
        (made_flat, r"of shape \("),
        (first_is_of("os.path.Path"), "os.path.Path is not something"),
        (first_is_of("skssl.persistence.os"), "is not something"),
        (first_is_of("../skssl"), "is not something"),
        (first_is_of("skssl.pipeline.Pipeline"), "is not something"),
        (first_is_of("sklearn.pipeline.make_pipeline"), "is not something"),
        (first_is(**{"is": "function", "path": "os.system"}), "os.system is not something"),
        (first_is(**{"is": "list", "items": []}), "which is no estimator"),
        (first_is(**{"is": "tuple", "items": [[0]]}), "holds itself"),
        (lambda content, tensors: content.update(entries=[]), "refers to an entry 0"),
        (nested, "more than 100 levels deep"),
    ],
)
def test_forged_files_are_refused(spoil, message, small, path):
    content, tensors, _ = parts(small)
    spoil(content, tensors)
    forge(path, content, tensors)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_functions_of_scipy_are_saved_by_name(path):
    assert again(FunctionTransformer(expit), path).func is expit


def test_files_of_others_are_refused(small, path):
    content, tensors, metadata = parts(small)
    for bad in ("[" * 100_000, "{", "1", '{"entries": 3, "versions": {}}'):
        forge(path, bad, tensors)
        with pytest.raises(ValueError, match="cannot be loaded"):
            load(path)
    for version in ("0", "2", "one"):
        forge(path, content, tensors, skssl_format=version)
        with pytest.raises(ValueError, match=f"format '{version}', which another version"):
            load(path)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ValueError, match="has no estimator in it"):
        load(path)
    joblib.dump(SCARF(), path)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(path)
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(path)


def test_a_file_of_another_version_says_so(small, path):
    content, tensors, _ = parts(small)
    content["versions"]["skssl"] = "9.0"
    forge(path, content, tensors)
    assert isinstance(load(path), type(load(small)))
    del content["entries"][0]["state"]["steps"]
    forge(path, content, tensors)
    with pytest.raises(ValueError, match="its Pipeline has no steps.*saved with.*9.0"):
        load(path)


# ---- names that last ---------------------------------------------------------------------

HAS_CALLBACKS = CallbackSupportMixin.__module__ != "skssl._compat"

# Classes of ours that no saved model has an instance of, and why.
NOT_IN_FILES = {
    "of user's rows": "Bag BagArray BagDtype Events Given Piece Readings Source Table Survey _File "
    "_Spaced",
    "of one fit": "CheckpointFile ChunkedRows Classes DrawnLabels Draws Forecast Head Look Numbers "
    "Patience Place Plan Read Reading Report Rows RowsLike Sample Seen Stage Underway",
    "of one call": "Work Memory Names Evidence Partitions Packer Unpacker Uncacheable Graph Value "
    "Labels Method Split Statistics Directions _Codes _Key",
    "of torch": "_Gathered _Normalised _BatchNorm1d _BatchNorm2d _Bounded _Everywhere",
    "of threads": "_Here _State",
    "of ONNX": "Affine AudioInput ChannelsFirst ImageInput MeanAndDeviation MeanOverNodes Mixture "
    "Near NumericCodes PaddingLast Power Scaled SeriesInput Shares Single TableInput TokenInput "
    "UnitLength WholeSamples",
    "figures": "EmbeddingDisplay LabelBudgetDisplay LossCurveDisplay MembersDisplay "
    "NextFrameDisplay ReconstructionDisplay ViewsDisplay",
    "callbacks": "Checkpoint EarlyStopping HandedDown ProbeMonitor TimeBudget",
    "without scikit-learn's callbacks": "CallbackSupportMixin NoCallbacks" * (not HAS_CALLBACKS),
    "errors": "VersionError _TimedError _Unaffordable",
    "constants": "Modality",
    "protocols": "Reader Task",
    "inherited from": "BaseFineTuned BasePretrained CleansAudio ContinuesTokens Ensemble Estimator "
    "FillsMasks GeneratesImages InContextEstimator InContextPredictor Linear ManyTasks "
    "PredictsTokens Raw ReadsAll ReadsAudio ReadsEvents ReadsImages ReadsSeries ReadsTables "
    "ReadsTokens ReadsVideo TakesContext "
    "ReconstructionMixin RoutesFit SSLTransformer ScoresRows ThresholdMixin BaseClassifier "
    "BaseRegressor _OfAll _Spectral _TunedForest",
}


def classes_of_ours():
    """Return all classes that modules of skssl define."""
    found = set()
    for module in pkgutil.walk_packages(skssl.__path__, "skssl."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and value.__module__ == module.name:
                found.add(value)
    return found


def test_every_part_of_a_model_has_a_public_id_of_its_own():
    left_out = {name for names in NOT_IN_FILES.values() for name in names.split()}
    ids = {cls: class_id(cls) for cls in classes_of_ours()}
    without = {cls.__name__ for cls, id in ids.items() if id is None}
    assert without == left_out, "say which id such a class has (_saved_as), or that none has it"
    named = {id: cls for cls, id in ids.items() if id is not None}
    assert len(named) == len(ids) - len(without)
    assert not [id for id in [*named, *PARTS, *MOVED, *MOVED.values()] if "._" in id]
    for id, cls in named.items():
        assert find_class(id) is cls
        own = f"skssl.parts.{vars(cls).get('_saved_as')}"
        assert id == own or id.split(".")[-1] == cls.__name__
        assert (id == own) == ("_saved_as" in vars(cls)), f"{id} is public: leave _saved_as out"


def test_estimators_and_modules_of_others_have_public_ids():
    theirs = [cls for _, cls in all_estimators()]
    modules = [getattr(nn, name) for name in torch.nn.modules.__all__]
    theirs += [cls for cls in modules if issubclass(cls, nn.Module)]
    exported = vars(sklearn.model_selection).values()
    theirs += [cls for cls in exported if hasattr(cls, "get_n_splits")]
    assert len(theirs) > 300
    for cls in {cls for cls in theirs if not inspect.isabstract(cls)}:
        id = class_id(cls)
        assert id is not None and "._" not in id and find_class(id) is cls
    for id in PARTS:
        assert id.split(".")[0] == PARTS[id].split(".")[0]
        cls = find_class(id)
        assert cls is None or class_id(cls) == id
    missing = {id for id in PARTS if find_class(id) is None}
    assert missing <= {"sklearn.parts.TemperatureScaling"}  # from scikit-learn 1.8 on


def test_functions_have_public_ids():
    for name in skssl.views.__all__:
        function = getattr(skssl.views, name)
        if inspect.isfunction(function):
            assert function_id(function) == f"skssl.views.{name}"
    assert function_id(nn.functional.gelu) == "torch.nn.functional.gelu"
    assert function_id(np.log1p) == "numpy.log1p"


def test_classes_may_move(path, monkeypatch):
    model = make_pipeline(SCARF(**SHORT, warm_start=True), LogisticRegression(max_iter=500))
    model.fit(mixed_frame(), np.arange(60) % 2)
    save(model, path)
    content = parts(path)[0]
    elsewhere = types.ModuleType("skssl.elsewhere")
    monkeypatch.setitem(sys.modules, "skssl.elsewhere", elsewhere)
    monkeypatch.setattr(_names, "_found", {})
    for cls in (SCARF, *map(type, (model[0]._reader, model[0]._net, model[0].encoder_[1]))):
        monkeypatch.delattr(sys.modules[cls.__module__], cls.__name__)
        at = vars(cls).get("__firstlineno__")  # which Python 3.13 drops with the module
        monkeypatch.setattr(cls, "__firstlineno__", at, raising=False)
        monkeypatch.setattr(cls, "__module__", "skssl.elsewhere")
        setattr(elsewhere, cls.__name__, cls)
    monkeypatch.setattr(LogisticRegression, "__module__", "sklearn.linear_model._elsewhere")
    monkeypatch.setattr(nn.Linear, "__module__", "torch.nn.modules.elsewhere")
    assert_same(model, load(path), mixed_frame())
    save(model, path)
    assert parts(path)[0] == content
    assert not re.search(
        r"\._\w|elsewhere", " ".join(e.get("class", "") for e in content["entries"])
    )


def test_a_module_of_ones_own_may_move(path, monkeypatch):
    scarf = SCARF(**SHORT, encoder=Mine()).fit(X_IRIS)
    save(scarf, path)
    monkeypatch.setattr(Mine, "__module__", "elsewhere")
    assert_same(scarf, load(path, encoder=Mine()), X_IRIS)


def test_what_was_renamed_is_found(small, path, monkeypatch):
    content, tensors, _ = parts(small)
    content["entries"] = json.loads(
        json.dumps(content["entries"])
        .replace('"skssl.SCARF"', '"skssl.OldName"')
        .replace('"sklearn.neighbors.KNeighborsClassifier"', '"sklearn.old.Neighbours"')
    )
    forge(path, content, tensors)
    with pytest.raises(ValueError, match="skssl.OldName is not something"):
        load(path)
    monkeypatch.setitem(MOVED, "skssl.OldName", "skssl.SCARF")
    monkeypatch.setitem(MOVED, "sklearn.old.Neighbours", "sklearn.neighbors.KNeighborsClassifier")
    assert_same(load(small), load(path), X_IRIS)


def test_a_parameter_that_is_new_has_its_default(small, path):
    content, tensors, _ = parts(small)
    for entry in content["entries"]:
        for name in ("corruption", "leaf_size", "verbose"):
            entry.get("state", {}).pop(name, None)
    forge(path, content, tensors)
    other = load(path)
    assert other[0].corruption == SCARF().corruption and other.verbose is False
    assert_same(load(small), other, X_IRIS)
    other.fit(X_IRIS, NAMES)


def test_files_of_older_formats_are_brought_up_to_date(small, path, monkeypatch):
    """Attributes were renamed, dropped and added since; each format does its step."""
    content, tensors, _ = parts(small)
    for entry in content["entries"]:
        state = entry.get("state", {})
        if entry.get("class") == "skssl.SCARF":
            state["lens"], state["noise"] = state.pop("_reader"), state.pop("corruption")
            del state["_n_features_out"]
        if entry.get("class") == "skssl.parts.TableReader":
            state["useless"] = 3
    forge(path, content, tensors)

    def second(state):
        state["_reader"] = state.pop("eye")
        state["_n_features_out"] = 4

    changes = {
        1: {
            "skssl.base.SSLTransformer": lambda state: state.update(eye=state.pop("lens")),
            "skssl.SCARF": lambda state: state.update(corruption=state.pop("noise")),
            "skssl.parts.TableReader": lambda state: state.pop("useless"),
        },
        2: {"skssl.base.SSLTransformer": second},
    }
    for n, change in changes.items():
        monkeypatch.setitem(CHANGES, n, change)
    monkeypatch.setattr(_changes, "FORMAT", 3)
    other = load(path)
    assert_same(load(path), other, X_IRIS)
    assert vars(other[0]).keys() == vars(SCARF(**SHORT).fit(X_IRIS)).keys()
    assert not hasattr(other[0]._reader, "useless") and other[0].corruption == SCARF().corruption
    save(other, path)
    assert parts(path)[2]["skssl_format"] == "3"
    assert_same(other, load(path), X_IRIS)
    assert CHANGES.keys() <= set(range(1, 3)), "a change without a format of its own"


def test_names_lead_nowhere_else():
    for path in ("os.system", "builtins.eval", "torch.load", "torch.hub.load", "joblib.load"):
        assert find_class(path) is None and find_function(path) is None
    for path in (
        "skssl.views.partial",
        "skssl.views._lists.original",
        "skssl.views.torch",
        "skssl.views.Compose",
        "skssl.load",
        "numpy.load",
        "numpy.frompyfunc",
        "sklearn.metrics.np",
        "sklearn.utils.all_estimators",
    ):
        assert find_function(path) is None
    for path in (
        "torch.nn.modules.linear.Linear",
        "torch.nn.Parameter",
        "torch.nn.parts.Linear",
        "pickle.Unpickler",
        "skssl.callbacks.TimeBudget",
        "skssl.base.SSLTransformer",
        "skssl.EmbeddingDisplay",
        "skssl.save",
        "skssl.methods._scarf.SCARF",
        "skssl.parts.Missing",
        "skssl.parts.Packer",
        "skssl.views.View",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model.Missing",
        "sklearn.datasets.fetch_openml",
        "sklearn.kernel_ridge.BaseEstimator",
        "sklearn.ensemble._forest.ForestClassifier",
        "",
        ".",
    ):
        assert find_class(path) is None
    assert find_class("torch.nn.Linear") is nn.Linear
    assert find_function("skssl.views.swap_cells") is swap_cells


def test_nothing_is_imported_because_a_file_names_it(small, path, monkeypatch):
    content, tensors, _ = parts(small)
    asked = []
    import_module = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name: (asked.append(name), import_module(name))[1]
    )
    for home in (
        "this",
        "antigravity",
        "skssl.this",
        "sklearn.this",
        "numpy.f2py",
        "sklearn.parts",
    ):
        for entry in ({"is": "instance", "class": f"{home}.x", "state": {}},):
            content["entries"][0] = entry
            forge(path, content, tensors)
            with pytest.raises(ValueError, match="is not something"):
                load(path)
        find_function(f"{home}.x")
    ours = {name for name in asked if name.startswith("skssl.")}
    assert set(asked) - ours <= {*HOMES, *FUNCTIONS, "safetensors.torch"}
    assert not {"skssl.this", "this", "antigravity"} & {*asked, *sys.modules}


def test_parts_that_are_not_loaded_are_found(monkeypatch):
    monkeypatch.setattr(skssl.methods, "_teachers", sys.modules["skssl.methods._teachers"])
    monkeypatch.delitem(sys.modules, "skssl.methods._teachers")
    monkeypatch.setattr(_names, "_found", {})
    assert find_class("skssl.parts.Queue").__name__ == "Queue"
    assert find_class("skssl.parts.Missing") is None


def tree_parts(**changes):
    """Return what a tree of three nodes on 2 features is made of, with changes to its nodes."""
    tree = ExtraTreesClassifier(1, max_depth=1, random_state=0).fit(X_IRIS[:, :2], Y_IRIS > 0)
    tree = tree[0].tree_
    state = tree.__reduce__()[2]
    for name, (i, value) in changes.items():
        state["nodes"][name][i] = value
    kept = {"fields": str(state["nodes"].dtype.descr)}
    kept["bytes"] = np.frombuffer(state["nodes"].tobytes(), np.uint8)
    given = {"n_features": 2, "n_classes": np.array([2]), "n_outputs": 1}
    return given | state | {"nodes": kept}


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"left_child": (0, 0)}, {}, "do not lead to leaves"),
        ({"right_child": (0, 3)}, {}, "do not lead to leaves"),
        ({"feature": (0, 2)}, {}, "not for its features"),
        ({"feature": (0, -5)}, {}, "not for its features"),
        ({}, {"node_count": 10**6}, "not for its features"),
        ({}, {"max_depth": 0}, "deeper than it says"),
        ({}, {"n_classes": np.array([2, 2])}, "no outputs"),
        ({}, {"values": np.zeros((1, 1, 2))}, "array"),
    ],
)
def test_trees_that_would_read_elsewhere_are_refused(changes, more, message):
    tree = rebuild("Tree", tree_parts())
    assert tree.node_count == 3
    with pytest.raises(ValueError, match=message):
        rebuild("Tree", tree_parts(**changes) | more)


def test_sparse_matrices_that_would_read_elsewhere_are_refused():
    parts = {"data": np.ones(1), "indices": np.array([0]), "indptr": np.array([0, 1])}
    assert rebuild("csr_array", {**parts, "shape": (1, 2)}).sum() == 1
    for change in ({"indices": np.array([7])}, {"indptr": np.array([0, 9])}):
        with pytest.raises(ValueError):
            rebuild("csr_array", {**parts, "shape": (1, 2), **change})


def test_trees_of_more_features_than_their_estimator_are_refused(path):
    for model in (ExtraTreesClassifier(1, max_depth=2), HistGradientBoostingClassifier(max_iter=1)):
        model.fit(X_IRIS, Y_IRIS)
        inner = model[0] if isinstance(model, ExtraTreesClassifier) else model
        inner.n_features_in_ = inner._n_features = 1
        if inner is model:
            model._bin_mapper.is_categorical_ = np.zeros(1, np.uint8)
        save(model, path)
        with pytest.raises(ValueError, match="not for its features"):
            load(path)
