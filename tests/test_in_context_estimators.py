"""Prediction in context: what a user of scikit-learn expects, so far with random weights."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.utils.estimator_checks import parametrize_with_checks

from skssl._in_context import _estimators
from skssl._in_context._estimators import InContextClassifier, _some_of_each
from skssl._in_context._net import InContextNet

X, Y = load_wine(return_X_y=True, as_frame=True)
FEW = np.random.default_rng(0).permutation(len(X))[:30]
NEW = np.setdiff1d(np.arange(len(X)), FEW)


def labels(missing=-1):
    y = Y.to_numpy().astype(object if missing is None else float)
    y[NEW] = missing
    return y


@pytest.fixture(scope="module")
def model():
    return InContextClassifier(n_permutations=2, random_state=0).fit(X, labels())


@parametrize_with_checks(
    [InContextClassifier(n_permutations=1, random_state=0)],
    expected_failed_checks=lambda estimator: {
        "check_classifiers_classes": "-1 marks a row without a label, as in sklearn.semi_supervised"
    },
)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def test_random_weights_are_a_kernel_method_already(model):
    assert np.mean(model.predict(X.iloc[NEW]) == Y.iloc[NEW]) > 0.9
    proba = model.predict_proba(X)
    assert proba.shape == (178, 3) and np.allclose(proba.sum(1), 1)


@pytest.mark.parametrize("missing", [None, np.nan], ids=["None", "NaN"])
def test_rows_without_a_label_are_marked_in_any_way(model, missing):
    other = clone(model).fit(X, labels(missing))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


def test_rows_without_a_label_are_read(model, monkeypatch):
    torch.manual_seed(0)
    net = InContextNet(width=16, n_blocks=2, n_heads=2).eval()
    for parameter in net.parameters():  # as if it had been trained
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    monkeypatch.setattr(_estimators, "starting_net", lambda: net)
    found = [
        clone(model).set_params(max_unlabeled=n).fit(X, labels()).predict_proba(X) for n in (0, 256)
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3
    for n, read in ((0, 30), (100, 130), (256, 178)):
        fitted = clone(model).set_params(max_unlabeled=n).fit(X, labels())
        assert [len(c.x[0]) for c in fitted.contexts_] == [read, read]


def test_a_row_alone_equals_the_row_in_a_batch(model, monkeypatch):
    together = model.predict_proba(X)
    alone = [model.predict_proba(X.iloc[[i]])[0] for i in range(5)]
    np.testing.assert_allclose(alone, together[:5], atol=1e-6)
    monkeypatch.setattr(_estimators, "CELLS", 20)
    np.testing.assert_allclose(model.predict_proba(X), together, atol=1e-6)


def test_a_copy_predicts_the_same(model):
    expected = model.predict_proba(X)
    copied = pickle.dumps(model)
    assert len(copied) < 200_000  # without what the net keeps
    np.testing.assert_array_equal(pickle.loads(copied).predict_proba(X), expected)
    np.testing.assert_array_equal(clone(model).fit(X, labels()).predict_proba(X), expected)


def test_names_of_classes_change_nothing(model):
    names = np.array(["c", "a", "b"], dtype=object)
    y = np.where(labels() < 0, None, names[Y])
    other = clone(model).fit(X, y)
    assert other.classes_.tolist() == ["a", "b", "c"]
    found = names[model.predict(X).astype(int)]
    assert np.mean(other.predict(X) == found) > 0.95


def test_categories_and_missing_cells():
    iris = load_iris(as_frame=True).frame
    frame = iris.drop(columns="target")
    frame["kind"] = pd.Categorical(np.array(["x", "y", "z"])[iris.target])
    frame.loc[::7, "kind"] = None
    frame.loc[::5, "sepal length (cm)"] = np.nan
    y = iris.target.where(np.arange(150) % 10 == 0, -1)
    model = InContextClassifier(random_state=0).fit(frame, y)
    assert model.score(frame, iris.target) > 0.9
    unknown = frame.assign(kind=pd.Categorical(["w"] * 150))
    assert np.isfinite(model.predict_proba(unknown)).all()


def test_more_columns_and_labels_than_a_pass_reads(monkeypatch):
    monkeypatch.setattr(_estimators, "MOST_COLUMNS", 4)
    model = InContextClassifier(max_labeled=12, random_state=0).fit(X, Y)
    assert all(len(c) == 4 for c in model.columns_)
    assert all(c.y.shape == (1, 12) for c in model.contexts_)
    assert len({tuple(c.tolist()) for c in model.columns_}) > 1
    assert model.score(X, Y) > 0.7


def test_some_of_each_class_are_kept():
    codes = np.array([0] * 90 + [1] * 8 + [2] * 2)
    chosen = _some_of_each(np.random.RandomState(0), np.arange(100), codes, 20)
    assert len(chosen) == len(set(chosen)) == 20
    assert np.bincount(codes[chosen]).tolist() == [17, 2, 1]
    everything = _some_of_each(np.random.RandomState(0), np.arange(100), codes, 100)
    assert sorted(everything) == list(range(100))


def test_without_labels_there_is_nothing_to_predict_from():
    with pytest.raises(ValueError, match="No row of y is labelled"):
        InContextClassifier().fit(X, np.full(len(X), -1))
