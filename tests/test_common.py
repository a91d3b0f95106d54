"""The contract of every public estimator, found by walking ``skssl.__all__``."""

import copy
import functools
import importlib
import inspect
import io
import os
import pickle
import random
import re
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin, clone, is_classifier
from sklearn.datasets import load_iris, load_sample_images
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import skssl
from skssl._compat import take_rows
from skssl.base._transformer import SSLTransformer

CHEAP = {"n_components": 8, "max_epochs": 2, "batch_size": 32, "precision": "float32"}
CHEAPER = {
    "LFR": {"n_projectors": 1},  # whose pool of random networks is ten times as many
    "NextFrame": {"context": 2},
}
EXPECTED_FAILURES = {
    "check_classifiers_classes": "labels -1 and 1: -1 means unlabelled, as in "
    "sklearn.semi_supervised"
}
TOKENIZED = {skssl.TextTokenizer: ("text",), skssl.MuLaw: ("audio",)}
IN_CONTEXT = {skssl.InContextClassifier, skssl.InContextRegressor, skssl.InContextImputer}
GATHERED = {skssl.PhenotypeTransformer: ("bags",)}  # which no steps train
X_IRIS, Y_IRIS = (part[::2] for part in load_iris(return_X_y=True))


def public_estimators():
    """Return the estimator classes of ``skssl.__all__``."""
    public = [getattr(skssl, name) for name in skssl.__all__]
    return [c for c in public if isinstance(c, type) and issubclass(c, BaseEstimator)]


def cheap(cls, **params):
    """Build an estimator that fits in milliseconds."""
    if issubclass(cls, SSLTransformer):
        return cls(**{**CHEAP, **CHEAPER.get(cls.__name__, {}), "random_state": 0, **params})
    if cls in GATHERED:
        return cls(n_clusters=8, random_state=0, **params)
    if cls in IN_CONTEXT:
        return cls(n_permutations=1, random_state=0, **params)
    if "transformer" not in inspect.signature(cls).parameters:
        return cls(**params)
    if "max_epochs" in inspect.signature(cls).parameters:
        return cls(skssl.SCARF(**CHEAP), max_epochs=2, random_state=0, **params)
    if issubclass(cls, OutlierMixin):
        return cls(skssl.DenoisingAutoencoder(**CHEAP), random_state=0, **params)
    head = LogisticRegression(max_iter=1000) if issubclass(cls, ClassifierMixin) else Ridge()
    return cls(skssl.SCARF(**CHEAP), head, random_state=0, **params)


def name_of(estimator):
    return type(estimator).__name__


def modalities_of(estimator):
    """Return the modalities that an estimator reads."""
    return getattr(estimator, "_modalities", TOKENIZED.get(type(estimator), ("table",)))


EVERY = [cheap(cls) for cls in public_estimators()]
ESTIMATORS = [e for e in EVERY if "table" in modalities_of(e)]
TRANSFORMERS = [e for e in ESTIMATORS if isinstance(e, SSLTransformer)]

every_transformer = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=name_of)
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)


def mixed_frame(n=60, seed=0):
    """A table with numbers, categories and holes."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n).astype(float),
            "income": rng.lognormal(10, 1, n),
            "city": pd.Categorical(rng.choice(["Rome", "Oslo", "Lima"], n)),
            "member": rng.random(n) < 0.3,
            "plan": rng.choice(["free", "paid"], n),
            "constant": 1.0,
            "empty": np.nan,
        }
    )
    frame.loc[rng.random(n) < 0.2, "age"] = np.nan
    frame.loc[rng.random(n) < 0.2, "city"] = None
    return frame


def bags(n=60, seed=0):
    """Events of n customers, of 1 to 9 each: numbers, categories, holes and dates."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 10, n)
    events = pd.DataFrame(
        {
            "client": np.repeat(np.arange(n), size),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.random(size.sum()) * 90, "D"),
            "spent": rng.lognormal(size=size.sum()),
            "shop": pd.Categorical(rng.choice(["Rome", "Oslo", "Lima"], size.sum())),
        }
    )
    events.loc[::7, "spent"] = None
    events.loc[::5, "shop"] = None
    return skssl.to_bags(events, id="client", time="when")


def images(n=60, seed=0):
    """Patches of two photographs, (n, 8, 8, 3) uint8."""
    photos = load_sample_images().images
    corners = np.random.default_rng(seed).integers(0, 400, (n, 2))
    return np.stack([photos[i % 2][a : a + 8, b : b + 8] for i, (a, b) in enumerate(corners)])


def video(n=60, seed=0):
    """Patches that a camera going over two photographs sees, (n, 3, 6, 6, 3) uint8."""
    photos = load_sample_images().images
    rng = np.random.default_rng(seed)
    corners, ways = rng.integers(50, 350, (n, 1, 2)), rng.integers(-3, 4, (n, 1, 2))
    corners = corners + ways * np.arange(3)[:, None]
    return np.stack(
        [[photos[i % 2][a : a + 6, b : b + 6] for a, b in clip] for i, clip in enumerate(corners)]
    )


def texts(n=60, seed=0):
    """Stretches of scikit-learn's own documentation, of 3 to 12 words."""
    words = inspect.getdoc(LogisticRegression).split()[:600]
    rng = np.random.default_rng(seed)
    starts, sizes = rng.integers(0, 580, n), rng.integers(3, 13, n)
    return [" ".join(words[i : i + size]) for i, size in zip(starts, sizes, strict=True)]


def tokens(n=60, seed=0):
    """Letters of those as numbers, (n, 24), padded with 0."""
    rows = [list(text[:20].encode()) for text in texts(n, seed)]
    return np.array([row + [0] * (24 - len(row)) for row in rows])


def series(n=60, seed=0):
    """Waves of two channels and 8 to 24 steps, (n, 2, 24), with holes."""
    rng = np.random.default_rng(seed)
    time = np.arange(24)
    waves = np.sin(time * rng.uniform(0.2, 1.5, (n, 2, 1)) + rng.uniform(0, 6, (n, 2, 1)))
    waves = waves + 0.1 * rng.normal(size=waves.shape)
    waves[rng.random(waves.shape) < 0.05] = np.nan
    return np.where(time < rng.integers(8, 25, (n, 1, 1)), waves, np.nan)


def audio(n=60, seed=0):
    """Tones that rise or fall, of 500 to 800 samples, (n, 800)."""
    rng = np.random.default_rng(seed)
    time = np.arange(800) / 8000
    phase = rng.uniform(200, 2000, (n, 1)) * time + rng.uniform(-9e3, 9e3, (n, 1)) * time**2
    tones = 0.3 * np.sin(2 * np.pi * phase) + 0.01 * rng.normal(size=(n, 800))
    return np.where(np.arange(800) < rng.integers(500, 801, (n, 1)), tones, np.nan)


# A sample of each modality that is no table; a method that reads it is tested on it below.
SAMPLES = {
    "bags": bags,
    "image": images,
    "video": video,
    "series": series,
    "audio": audio,
    "text": texts,
    "tokens": tokens,
}


def told(estimator, modality):
    """Tell an estimator what it cannot find out by itself."""
    return clone(estimator).set_params(sampling_rate=8000) if modality == "audio" else estimator


OF_OTHER_MODALITIES = [
    pytest.param(told(e, modality), modality, id=f"{name_of(e)}-{modality}")
    for e in EVERY
    if isinstance(e, SSLTransformer) or type(e) in GATHERED
    for modality in modalities_of(e)
    if modality != "table"
]
TRAINED = [p for p in OF_OTHER_MODALITIES if isinstance(p.values[0], SSLTransformer)]
TOKENIZERS = [e for e in EVERY if type(e) in TOKENIZED]
every_other_modality = pytest.mark.parametrize(("transformer", "modality"), OF_OTHER_MODALITIES)
every_trained_modality = pytest.mark.parametrize(("transformer", "modality"), TRAINED)


def of_no_modality(transformer):
    """Return data of some modality that the transformer does not read."""
    others = {"table": (9, 3), "image": (9, 3, 8, 8), "video": (9, 3, 2, 8, 8)}
    modalities = {
        *modalities_of(transformer),
        *(["table"] if "audio" in modalities_of(transformer) else []),
    }
    shapes = [shape for modality, shape in others.items() if modality not in modalities]
    return np.zeros(shapes[0]) if shapes else np.array(["a", "b"] * 5)


def table_for(estimator, seed=0):
    """A table of what the estimator reads: all kinds of columns, or numbers without holes."""
    if get_tags(estimator).input_tags.categorical:
        return mixed_frame(seed=seed)
    return mixed_frame(seed=seed)[["income", "constant"]]


def saved(estimator, folder):
    """Return an estimator saved and loaded without pickle."""
    path = folder / "estimator.skssl"
    skssl.save(estimator, path)
    assert not re.search(rb'"(class|path)\\?": \\?"[^"]*\._', path.read_bytes())  # private modules
    loaded = skssl.load(path)
    path.unlink()
    assert os.listdir(folder) == []
    assert list(vars(loaded)) == list(vars(estimator))
    assert repr(clone(loaded).get_params()) == repr(estimator.get_params())
    return loaded


def expected_failures(estimator):
    semi_supervised = "transformer" in estimator.get_params() or type(estimator) in IN_CONTEXT
    return EXPECTED_FAILURES if is_classifier(estimator) and semi_supervised else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_sklearn_contract(estimator, check):
    check(estimator)


def test_every_estimator_is_in_a_suite():
    suites = {name_of(e) for e in (*ESTIMATORS, *TOKENIZERS)}
    suites |= {p.id.split("-")[0] for p in OF_OTHER_MODALITIES}
    assert suites == {c.__name__ for c in public_estimators()}
    assert len(TRANSFORMERS) >= 4
    for estimator in EVERY:
        modalities = modalities_of(estimator)
        assert modalities and set(modalities) <= {"table", *SAMPLES}
        # check_estimator only warns and returns where this is false
        assert get_tags(estimator).input_tags.two_d_array == ("table" in modalities)


def test_every_method_has_a_learning_test():
    """Tests marked ``learns`` name the methods that they hold to beat their untrained encoder."""
    learning = set()
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for test in vars(importlib.import_module(file.stem)).values():
            marks = getattr(test, "pytestmark", [])
            for mark in marks if isinstance(marks, list) else []:
                learning |= set(mark.args) if mark.name == "learns" else set()
    assert learning == {name_of(e) for e in EVERY if isinstance(e, SSLTransformer)}


@every_transformer
def test_seeds_and_any_y(transformer):
    Z = clone(transformer).fit_transform(X_IRIS)
    for y in (None, Y_IRIS, np.full(len(X_IRIS), np.nan), ["a"] * len(X_IRIS)):
        assert np.array_equal(clone(transformer).fit(X_IRIS, y).transform(X_IRIS), Z)
    other = clone(transformer).set_params(random_state=1).fit_transform(X_IRIS)
    assert not np.allclose(other, Z, atol=1e-3)


@every_estimator
def test_global_random_states_are_untouched(estimator):
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    estimator = clone(estimator).fit(X_IRIS, Y_IRIS)
    getattr(estimator, "transform", getattr(estimator, "predict", None))(X_IRIS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@every_transformer
def test_a_row_alone_equals_the_row_in_a_batch(transformer):
    transformer = clone(transformer).fit(X_IRIS)
    Z = transformer.transform(X_IRIS)
    alone = np.vstack([transformer.transform(X_IRIS[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, Z[:20], rtol=1e-4, atol=1e-5)


@every_transformer
def test_chunks_of_transform_agree(transformer):
    transformer = clone(transformer).fit(X_IRIS)
    many = np.tile(X_IRIS, (120, 1))  # 9 000 rows: three chunks
    Z = transformer.transform(many)
    assert Z.dtype == np.float32 and Z.flags.c_contiguous
    np.testing.assert_allclose(Z[-75:], transformer.transform(X_IRIS), rtol=1e-4, atol=1e-5)


@every_estimator
def test_clone_pickle_joblib_deepcopy_save(estimator, tmp_path):
    estimator = clone(estimator).fit(table_for(estimator), np.arange(60) % 2)
    verb = "transform" if hasattr(estimator, "transform") else "predict"
    new = table_for(estimator, seed=1)
    expected = getattr(estimator, verb)(new)
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    copies = [pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), joblib.load(buffer)]
    copies.append(saved(estimator, tmp_path))
    is_same = getattr(expected, "equals", functools.partial(np.array_equal, expected))
    for other in copies:
        assert is_same(getattr(other, verb)(new))
    assert not hasattr(clone(estimator), "n_features_in_")


@every_transformer
def test_set_output_and_feature_names(transformer):
    transformer = clone(transformer).fit(mixed_frame())
    names = list(transformer.get_feature_names_out())
    for container, frame in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        out = transformer.set_output(transform=container).transform(mixed_frame())
        assert isinstance(out, frame) and list(out.columns) == names
    out = transformer.set_output(transform="pandas").fit_transform(mixed_frame())
    assert isinstance(out, pd.DataFrame) and list(out.columns) == names
    assert names[0] == f"{name_of(transformer).lower()}0" and len(names) == out.shape[1]
    assert list(transformer.feature_names_in_) == list(mixed_frame().columns)
    assert transformer.n_features_in_ == 7


@every_estimator
def test_inputs_are_not_written_to(estimator):
    frame = table_for(estimator)
    before = frame.copy()
    X, y = X_IRIS.copy(), Y_IRIS.copy()
    clone(estimator).fit(frame, np.arange(60) % 2)
    pd.testing.assert_frame_equal(frame, before)
    X32 = np.asfortranarray(X, dtype=np.float32)
    for data in (X, X32):
        copied = data.copy()
        fitted = clone(estimator).fit(data, y)
        verb = getattr(fitted, "transform", getattr(fitted, "predict", None))
        verb(data), verb(data[:1])
        assert np.array_equal(data, copied) and np.array_equal(y, Y_IRIS)


@every_estimator
def test_no_file_appears(estimator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    estimator = clone(estimator).fit(X_IRIS, Y_IRIS)
    assert os.listdir(tmp_path) == []


@every_transformer
def test_containers_agree(transformer):
    frame = mixed_frame()
    fitted = clone(transformer).fit(frame)
    Z = fitted.transform(frame)
    polars = pl.from_pandas(frame)
    np.testing.assert_array_equal(fitted.transform(polars), Z)
    np.testing.assert_array_equal(clone(transformer).fit(polars).transform(frame), Z)
    arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_array_equal(fitted.transform(arrow), Z)
    rows = X_IRIS.tolist()
    fitted = clone(transformer).fit(rows)
    np.testing.assert_array_equal(fitted.transform(rows), fitted.transform(np.array(rows)))


@every_transformer
def test_arrays_agree(transformer):
    X = np.round(X_IRIS * 10)
    Z = clone(transformer).fit_transform(X)
    frozen = X.copy()
    frozen.setflags(write=False)
    for other in (np.asfortranarray(X), X.astype(np.int64), X.astype(object), frozen, X.tolist()):
        np.testing.assert_array_equal(clone(transformer).fit_transform(other), Z)
    np.testing.assert_allclose(
        clone(transformer).fit(X).transform(X.astype(np.float32)), Z, rtol=1e-4, atol=1e-5
    )


@every_transformer
def test_unseen_categories_and_new_holes(transformer):
    frame = mixed_frame()
    fitted = clone(transformer).fit(frame)
    new = frame.head(5).astype({"city": object, "member": object})
    new["city"] = "Atlantis"
    new.loc[0, ["income", "member", "plan"]] = None, None, None
    assert np.isfinite(fitted.transform(new)).all()


@every_transformer
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: f.assign(income=np.inf), ValueError, "income.*infin|infin.*income"),
        (lambda f: f.assign(when=pd.Timestamp("2026-01-01")), (TypeError, ValueError), "when"),
        (
            lambda f: f.assign(note=[f"a long text, number {i}" for i in range(len(f))]),
            ValueError,
            "note",
        ),
        (lambda f: f.assign(income=f["income"] + 1j), (TypeError, ValueError), "[Cc]omplex"),
    ],
    ids=["inf", "datetime", "text", "complex"],
)
def test_bad_columns_are_named(transformer, spoil, error, message):
    with pytest.raises(error, match=message):
        clone(transformer).fit(spoil(mixed_frame()))


@every_transformer
def test_bad_rows_are_said(transformer):
    fitted = clone(transformer).fit(X_IRIS)
    with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 4 features"):
        fitted.transform(X_IRIS[:, :3])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        clone(transformer).fit(X_IRIS[:1])
    with pytest.raises(ValueError, match="modality"):
        clone(transformer).fit(of_no_modality(transformer))


@every_transformer
def test_failed_fit_leaves_the_estimator_as_it_was(transformer):
    fitted = clone(transformer).fit(X_IRIS)
    before, Z = set(vars(fitted)), fitted.transform(X_IRIS)

    class Interrupt:
        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context):
            raise KeyboardInterrupt

    fitted.set_callbacks(Interrupt())
    for verb in (fitted.fit, fitted.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            verb(X_IRIS[:, :4] + 1)
        with pytest.raises(ValueError):
            verb(np.full((9, 3), np.inf))
    fitted.set_callbacks()
    assert set(vars(fitted)) == before
    assert np.array_equal(fitted.transform(X_IRIS), Z)


@every_transformer
def test_an_observing_callback_changes_nothing(transformer):
    class Look:
        seen = 0

        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            if context.task_name == "epoch":
                Look.seen += 1
                assert fitted_estimator.transform(X).shape == (len(X), 8)
                assert X is X_IRIS

    plain = clone(transformer).set_params(max_epochs=4).fit(X_IRIS)
    looked = clone(transformer).set_params(max_epochs=4).set_callbacks(Look()).fit(X_IRIS)
    assert Look.seen == 4
    assert looked.loss_curve_ == plain.loss_curve_
    assert np.array_equal(looked.transform(X_IRIS), plain.transform(X_IRIS))


def check_warm_start(transformer, X):
    """A second fit goes on from the weights of the first: at no pace it keeps them.

    Losses cannot tell: those with a teacher or a queue rise while it fills.
    """
    whole = clone(transformer).set_params(warm_start=True).fit(X)

    def moved(**params):
        again = copy.deepcopy(whole).set_params(**params).fit(X)
        a, b = ([p.flatten() for p in e.encoder_.parameters()] for e in (again, whole))
        return (torch.cat(a) - torch.cat(b)).abs().max().item()

    assert moved(learning_rate=1e-12) < 1e-6
    assert moved(learning_rate=1e-12, warm_start=False, random_state=1) > 1e-3
    assert moved(learning_rate=1e-2) > 1e-3


@every_transformer
def test_warm_start_and_partial_fit(transformer, tmp_path):
    check_warm_start(transformer, X_IRIS)
    stream = clone(transformer)
    for start in range(0, 75, 25):
        stream.partial_fit(X_IRIS[start : start + 25])
        assert stream.n_iter_ == 1
    Z = stream.transform(X_IRIS)
    stream = saved(pickle.loads(pickle.dumps(stream)), tmp_path).partial_fit(X_IRIS)
    assert 0 < np.abs(stream.transform(X_IRIS) - Z).mean() < 2 * np.abs(Z).mean()

    after_fit = clone(transformer).fit(X_IRIS)
    Z = after_fit.transform(X_IRIS)
    after_fit.partial_fit(X_IRIS)
    assert 0 < np.abs(after_fit.transform(X_IRIS) - Z).mean() < np.abs(Z).mean()


@every_transformer
def test_kept_state_does_not_require_gradients_of_a_graph(transformer):
    fitted = clone(transformer).partial_fit(X_IRIS)
    for module in (fitted.encoder_, fitted._net):
        assert all(p.grad_fn is None and p.is_leaf for p in module.parameters())
    assert not fitted.encoder_.training


@every_transformer
def test_docstring_names_every_parameter_and_attribute(transformer):
    fitted = clone(transformer).set_params(n_iter_no_change=5).fit(mixed_frame())
    doc = inspect.getdoc(type(transformer))
    public = [a for a in vars(fitted) if a.endswith("_") and not a.startswith("_")]
    for name in [*transformer.get_params(deep=False), *public]:
        assert doc.count(f"\n{name} : ") == 1, name


# ---- modalities that check_estimator does not know ------------------------------------


def fitted_to(transformer, modality):
    """Return a transformer fitted to the sample of a modality: a copy of the only fit."""
    return copy.deepcopy(_fitted_once(transformer, modality))


@functools.cache
def _fitted_once(transformer, modality):
    return clone(transformer).fit(SAMPLES[modality]())


@every_other_modality
def test_other_modalities_embed(transformer, modality, monkeypatch):
    X = SAMPLES[modality]()
    fitted = fitted_to(transformer, modality)
    Z = fitted.transform(X)
    assert Z.shape == (60, 8) and Z.dtype == np.float32 and np.isfinite(Z).all()
    assert Z.std(0).max() > 1e-3
    for y in (np.arange(60), ["a"] * 60):
        assert np.array_equal(clone(transformer).fit(X, y).transform(X), Z)
    other = clone(transformer).set_params(random_state=1).fit_transform(X)
    assert not np.allclose(other, Z, atol=1e-3)
    alone = np.vstack([fitted.transform(take_rows(X, [i])) for i in range(5)])
    np.testing.assert_allclose(alone, Z[:5], rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(skssl.base._transformer, "ROWS_AT_ONCE", 25)  # three chunks
    np.testing.assert_allclose(fitted.transform(X), Z, rtol=1e-4, atol=1e-5)
    assert len(fitted.get_feature_names_out()) == 8


@every_other_modality
def test_other_modalities_are_copied_pickled_and_saved(transformer, modality, tmp_path):
    X, new = SAMPLES[modality](), SAMPLES[modality](seed=1)
    fitted = fitted_to(transformer, modality)
    Z = fitted.transform(new)
    copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), saved(fitted, tmp_path)]
    for other in copies:
        assert np.array_equal(other.transform(new), Z)
    assert not hasattr(clone(fitted), "n_features_in_")
    doc = inspect.getdoc(type(transformer))
    early = clone(transformer)
    if isinstance(transformer, SSLTransformer):
        early.set_params(n_iter_no_change=5)
    early.fit(X)
    public = [a for a in vars(early) if a.endswith("_") and not a.startswith("_")]
    for name in [*transformer.get_params(deep=False), *public]:
        assert doc.count(f"\n{name} : ") == 1, name


@every_other_modality
def test_other_modalities_touch_nothing_else(transformer, modality, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = SAMPLES[modality]()
    before = pickle.dumps(X)
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    clone(transformer).fit(X).transform(X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    assert pickle.dumps(X) == before and os.listdir(tmp_path) == []


@every_trained_modality
def test_other_modalities_fail_without_a_trace(transformer, modality):
    X = SAMPLES[modality]()
    fitted = fitted_to(transformer, modality)
    before, Z = set(vars(fitted)), fitted.transform(X)

    class Interrupt:
        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context):
            raise KeyboardInterrupt

    fitted.set_callbacks(Interrupt())
    for verb in (fitted.fit, fitted.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            verb(SAMPLES[modality](seed=1))
        with pytest.raises(ValueError, match="modality"):
            verb(of_no_modality(transformer))
    fitted.set_callbacks()
    assert set(vars(fitted)) == before
    assert np.array_equal(fitted.transform(X), Z)


@every_trained_modality
def test_other_modalities_go_on_training(transformer, modality, tmp_path):
    X = SAMPLES[modality]()
    check_warm_start(transformer, X)
    stream = clone(transformer)
    for start in range(0, 60, 20):
        stream.partial_fit(take_rows(X, np.arange(start, start + 20)))
    Z = stream.transform(X)
    stream = saved(pickle.loads(pickle.dumps(stream)), tmp_path).partial_fit(X)
    assert 0 < np.abs(stream.transform(X) - Z).mean() < 2 * np.abs(Z).mean()
    after_fit = fitted_to(transformer, modality)
    Z = after_fit.transform(X)
    assert 0 < np.abs(after_fit.partial_fit(X).transform(X) - Z).mean() < np.abs(Z).mean()


@every_other_modality
def test_other_modalities_in_compositions(transformer, modality):
    X, y = SAMPLES[modality](), np.arange(60) % 2
    named = fitted_to(transformer, modality)
    for container, frame in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        out = named.set_output(transform=container).transform(X)
        assert isinstance(out, frame)
        assert list(out.columns) == list(named.get_feature_names_out())
    model = make_pipeline(clone(transformer), StandardScaler(), LogisticRegression(max_iter=1000))
    trained = isinstance(transformer, SSLTransformer)
    name, values = ("max_epochs", [0, 1]) if trained else ("n_clusters", [3, 4])
    grid = {f"{name_of(transformer).lower()}__{name}": values}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert search.predict(X).shape == (60,)
    few = np.where(np.arange(60) < 30, y, -1)
    head = LogisticRegression(max_iter=1000)
    model = skssl.PretrainedClassifier(clone(transformer), head, random_state=0)
    cv = skssl.UnlabeledKFold(2)
    scores = cross_val_score(model, X, few, cv=cv, scoring="accuracy", error_score="raise")
    assert np.isfinite(scores).all()


# ---- from texts to tokens ----------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=name_of)
def test_tokenizers(tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (modality,) = modalities_of(tokenizer)
    X, new = SAMPLES[modality](), SAMPLES[modality](seed=1)
    before = copy.deepcopy(X)
    fitted = clone(tokenizer).fit(X, range(60))
    ids = fitted.transform(new)
    np.testing.assert_array_equal(X, before)
    assert os.listdir(tmp_path) == []
    assert ids.ndim == 2 and len(ids) == 60 and ids.dtype == np.int64
    if hasattr(fitted, "get_feature_names_out"):
        assert len(fitted.get_feature_names_out()) == ids.shape[1]
    copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), saved(fitted, tmp_path)]
    for other in copies:
        assert np.array_equal(other.transform(new), ids)
    back = fitted.transform(fitted.inverse_transform(ids))
    assert np.mean(back[:, : ids.shape[1]] == ids) > 0.9
    if get_tags(tokenizer).requires_fit:
        with pytest.raises(NotFittedError):
            clone(fitted).transform(new)
    else:
        assert np.array_equal(clone(fitted).transform(new), ids)
    doc = inspect.getdoc(type(tokenizer))
    for name in [*tokenizer.get_params(), *(a for a in vars(fitted) if a.endswith("_"))]:
        assert doc.count(f"\n{name} : ") == 1, name
    cheap_method = skssl.NextToken(**CHEAP, random_state=0)
    model = make_pipeline(clone(tokenizer), cheap_method, LogisticRegression(max_iter=1000))
    grid = {"nexttoken__max_epochs": [1, 2]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X[:12], np.arange(12) % 2)
    assert search.predict(new[:9]).shape == (9,)


def test_text_tokenizers_read_every_container():
    X, new = texts(), texts(seed=1)
    ids = skssl.TextTokenizer().fit(X).transform(new)
    for container in (np.array(X), np.array(X, dtype=object), pd.Series(X), pl.Series(X)):
        assert np.array_equal(skssl.TextTokenizer().fit(container).transform(new), ids)
