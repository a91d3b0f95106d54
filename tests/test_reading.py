"""Rows are read once: by a fit of a meta-estimator, and by each of its predictions."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skssl import (
    SCARF,
    DenoisingAutoencoder,
    EmbeddingOutlierDetector,
    FineTunedClassifier,
    FineTunedRegressor,
    PretrainedClassifier,
    PretrainedRegressor,
    ReconstructionOutlierDetector,
    SimCLR,
    TextContrast,
    TS2Vec,
)
from skssl._data import TableReader, _table
from skssl._meta import _raw_columns
from skssl._meta._raw_columns import RawColumns
from skssl._meta._reading import Reading, Seen, embedding_and_raw
from skssl._meta._steps import last_step
from skssl.base._transformer import Read
from skssl.semi_supervised import _ensemble

CHEAP = {"n_components": 8, "max_epochs": 1, "precision": "float32", "random_state": 0}
N = 60
LABELS = np.where(np.arange(N) % 3 == 0, np.arange(N) % 2, -1)
TARGETS = np.where(LABELS < 0, np.nan, np.arange(N))
PREDICT = {
    "PretrainedClassifier": "predict_proba",
    "FineTunedClassifier": "predict_proba",
    "PretrainedRegressor": "predict",
    "FineTunedRegressor": "predict",
    "EmbeddingOutlierDetector": "score_samples",
    "ReconstructionOutlierDetector": "score_samples",
}
SEEDED = {"random_state": 0}


def frame(n=N, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"a": rng.normal(size=n), "b": rng.lognormal(size=n)})
    return table.assign(c=pd.Categorical(rng.choice(["x", "y", "z"], n)))


MODELS = {
    "classifier": (PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), **SEEDED), LABELS),
    "default classifier": (PretrainedClassifier(SCARF(**CHEAP), **SEEDED), LABELS),
    "regressor": (PretrainedRegressor(SCARF(**CHEAP), Ridge()), TARGETS),
    "without raw columns": (
        PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), passthrough=False),
        LABELS,
    ),
    "fine-tuned classifier": (FineTunedClassifier(SCARF(**CHEAP), max_epochs=1), LABELS),
    "fine-tuned regressor": (FineTunedRegressor(SCARF(**CHEAP), max_epochs=1), TARGETS),
    "embedding": (EmbeddingOutlierDetector(SCARF(**CHEAP), **SEEDED), None),
    "errors": (ReconstructionOutlierDetector(DenoisingAutoencoder(**CHEAP), **SEEDED), None),
}


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    """What is read does not depend on the number of trees."""
    monkeypatch.setattr(_ensemble, "N_TREES", 3)


@pytest.fixture
def counted(monkeypatch):
    """How many rows are opened, learnt from and read, one entry a call."""
    calls = {"open": [], "fit": [], "read": []}
    opened, fit, read = _table.open_table, TableReader.fit, TableReader.read

    def count_open(X):
        if not isinstance(X, _table.Table):
            calls["open"].append(len(X))
        return opened(X)

    def count_fit(self, *tables):
        calls["fit"].append(sum(table.shape[0] for table in tables))
        return fit(self, *tables)

    def count_read(self, X, *given, **named):
        calls["read"].append(X.shape[0])
        return read(self, X, *given, **named)

    monkeypatch.setattr(_table, "open_table", count_open)
    monkeypatch.setattr(TableReader, "open", staticmethod(count_open))
    monkeypatch.setattr(TableReader, "fit", count_fit)
    monkeypatch.setattr(TableReader, "read", count_read)
    return calls


@pytest.mark.parametrize("name", MODELS)
def test_a_table_is_read_once(name, counted):
    model, y = MODELS[name]
    model.fit(frame(), y)
    assert counted == {"open": [N], "fit": [N], "read": [N]}
    for calls in counted.values():
        calls.clear()
    getattr(model, PREDICT[type(model).__name__])(frame(7, seed=1))
    assert counted == {"open": [7], "fit": [], "read": [7]}


@pytest.mark.parametrize("name", ["default classifier", "fine-tuned regressor", "embedding"])
def test_steps_in_front_run_once(name):
    seen = []

    def note(X):
        seen.append(len(X))
        return X

    model, y = MODELS[name]
    pipe = make_pipeline(FunctionTransformer(note), model.transformer)
    model = type(model)(pipe, random_state=0).fit(frame(), y)
    assert seen == [N]
    getattr(model, PREDICT[type(model).__name__])(frame(7, seed=1))
    assert seen == [N, 7]


def test_a_frozen_transformer_reads_what_is_needed(counted):
    encoder = FrozenEstimator(SCARF(**CHEAP).fit(frame()))
    for calls in counted.values():
        calls.clear()
    model = PretrainedClassifier(encoder, LogisticRegression(), passthrough=False)
    model.fit(frame(), LABELS)
    assert counted == {"open": [20], "fit": [], "read": [20]}
    model = PretrainedClassifier(encoder, LogisticRegression()).fit(frame(), LABELS)
    assert counted["read"] == [20, N] and counted["fit"] == []


def test_a_cached_transformer_reads_once_more(tmp_path, counted):
    model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), memory=str(tmp_path))
    first = model.fit(frame(), LABELS).predict_proba(frame())
    del counted["read"][:]
    second = model.fit(frame(), LABELS)
    assert counted["read"] == [N]
    np.testing.assert_array_equal(second.predict_proba(frame()), first)


def test_raw_columns_take_reader_and_scaler_of_the_transformer():
    model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression()).fit(frame(), LABELS)
    assert model.raw_columns_.reader is model.transformer_._reader
    assert model.raw_columns_.module.parts[0][0] is model.transformer_._scaler
    encoder = SCARF(**CHEAP).fit(frame(seed=5).query("c != 'z'"))
    model = PretrainedClassifier(FrozenEstimator(encoder), LogisticRegression())
    raw = model.fit(frame(), LABELS).raw_columns_
    assert raw.reader.levels[2] == ["x", "y"]
    np.testing.assert_array_equal(
        raw.transform(frame())[:, :2], encoder._scaler(encoder._read(frame()))[:, :2]
    )


def test_rows_without_weight_are_read_for_those_who_want_them():
    weight = np.where(np.arange(N) < 30, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        encoder = SCARF(**CHEAP).set_fit_request(sample_weight=True)
        end = LogisticRegression().set_fit_request(sample_weight=False)
        model = PretrainedClassifier(encoder, end)
        model.fit(frame(), LABELS, sample_weight=weight)
    assert model.predict(frame()).shape == (N,)
    assert not hasattr(last_step(model.transformer_), "_read_by_fit")


@pytest.mark.parametrize(
    "method, X",
    [
        (SimCLR(**CHEAP), np.random.default_rng(0).integers(0, 256, (N, 8, 8), dtype=np.uint8)),
        (TS2Vec(**CHEAP), np.random.default_rng(0).normal(size=(N, 2, 16))),
        (TextContrast(**CHEAP), [f"word{i % 7} and word{i % 5}" for i in range(N)]),
        (PCA(2), np.random.default_rng(0).normal(size=(N, 4))),
    ],
    ids=["images", "series", "texts", "of scikit-learn"],
)
def test_rows_taken_from_those_read_give_the_numbers_of_rows_given(method, X):
    model = PretrainedClassifier(method, LogisticRegression(max_iter=500), **SEEDED).fit(X, LABELS)
    few = [x for x, label in zip(X, LABELS, strict=True) if label >= 0]
    Z = model._join(model._see(few if isinstance(X, list) else np.array(few)))
    same = LogisticRegression(max_iter=500).fit(Z, LABELS[LABELS >= 0])
    np.testing.assert_allclose(same.coef_, model.classifier_.coef_, atol=1e-4)


def test_targets_of_more_rows():
    X, more = frame(), frame(30, seed=2)
    model = PretrainedRegressor(SCARF(**CHEAP), Ridge(), random_state=0)
    beside = model.fit(X, TARGETS, X_unlabeled=more).predict(X)
    joined = pd.concat([X, more], ignore_index=True)
    at_once = model.fit(joined, np.append(TARGETS, np.full(30, np.nan))).predict(X)
    np.testing.assert_allclose(beside, at_once, rtol=1e-4)


def test_what_is_taken_is_read_before_it_is_shown():
    scarf = SCARF(**CHEAP).fit(frame())
    rows = np.arange(5, 25)
    (seen,) = Reading(scarf, (frame(),)).take(rows)
    assert isinstance(seen.shown, Read) and seen.raw is None
    np.testing.assert_array_equal(scarf.transform(seen.shown), scarf.transform(frame()[5:25]))


def test_steps_in_front_transform_no_more_rows_than_are_taken():
    sizes = []

    def note(X):
        sizes.append(len(X))
        return X

    pipe = make_pipeline(FunctionTransformer(note), PCA(2)).fit(np.eye(N))
    sizes.clear()
    reading = Reading(pipe, (np.eye(N), np.eye(N)))
    found = reading.take(np.array([1, 3, N]))
    assert sizes == [2, 1] and [len(seen.shown) for seen in found] == [2, 1]
    assert len(reading.shown[0]) == N  # from now on, all are there
    reading.take(np.array([1, 3, N]))
    assert sizes == [2, 1, N, N]


@pytest.mark.parametrize("container", ["default", "pandas"])
def test_embedding_and_raw_columns_are_arrays(container):
    X = frame()[["a", "b"]]
    pca, raw = PCA(2).set_output(transform=container).fit(X), RawColumns().fit(X)
    Z, columns = embedding_and_raw(pca, raw, Seen(X, raw.reader.read(X)))
    assert type(Z) is type(columns) is np.ndarray
    np.testing.assert_array_equal(Z, np.asarray(pca.transform(X)))
    np.testing.assert_array_equal(columns, raw.transform(X))


def test_many_categories_become_random_numbers_of_a_seed_of_their_own():
    X = pd.DataFrame({"code": pd.Categorical(np.arange(240) % 110)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = torch.nn.Embedding(111, 50, padding_idx=110).weight.detach()
        raw = RawColumns().fit(X).transform(X)
    np.testing.assert_array_equal(raw, expected[np.arange(240) % 110])


def test_components_are_of_a_seed_of_their_own(monkeypatch):
    monkeypatch.setattr(_raw_columns, "N_COMPONENTS", 3)
    x = np.random.default_rng(0).normal(size=(60, 80))
    found = _raw_columns.Components().fit(x)
    pca = PCA(3, svd_solver="randomized", random_state=0).fit(x)
    np.testing.assert_allclose(found.pca.components_, pca.components_, atol=1e-8)
