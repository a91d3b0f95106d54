"""Rows are read once: by a fit of a meta-estimator, and by each of its predictions."""

import numpy as np
import pandas as pd
import pytest
import sklearn
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
from skssl._meta._steps import last_step

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
