"""Prediction in context: what a user of scikit-learn expects."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skssl import InContextClassifier, InContextImputer, InContextRegressor
from skssl._weights import DIGESTS, FOLDER, read_weights
from skssl.in_context import _passes
from skssl.in_context._net import InContextNet
from skssl.in_context._passes import Numbers, some_of_each

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


def test_few_labels_will_do(model):
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
    monkeypatch.setattr(_passes, "starting_net", lambda: net)
    found = [
        clone(model).set_params(max_unlabeled=n).fit(X, labels()).predict_proba(X) for n in (0, 256)
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3
    for n, read in ((0, 30), (100, 130), (256, 178)):
        fitted = clone(model).set_params(max_unlabeled=n).fit(X, labels())
        assert fitted.passes_.x.shape[:2] == (2, read)


def test_a_row_alone_equals_the_row_in_a_batch(model, monkeypatch):
    together = model.predict_proba(X)
    alone = [model.predict_proba(X.iloc[[i]])[0] for i in range(5)]
    np.testing.assert_allclose(alone, together[:5], atol=1e-6)
    monkeypatch.setattr(_passes, "CELLS", 20)
    np.testing.assert_allclose(model.predict_proba(X), together, atol=1e-6)


def test_a_copy_predicts_the_same(model):
    expected = model.predict_proba(X)
    copied = pickle.dumps(model)
    assert len(copied) < 200_000  # without what the net keeps
    np.testing.assert_array_equal(pickle.loads(copied).predict_proba(X), expected)
    np.testing.assert_array_equal(clone(model).fit(X, labels()).predict_proba(X), expected)


def test_fit_reads_the_context_once(monkeypatch):
    read, reads = InContextNet.read, []
    monkeypatch.setattr(InContextNet, "read", lambda *args: reads.append(0) or read(*args))
    fitted = InContextClassifier(n_permutations=2, random_state=0).fit(X, labels())
    assert len(reads) == 1
    fitted.predict(X), fitted.predict(X)
    assert len(reads) == 1


def test_a_copy_with_other_starting_weights_is_refused(model, monkeypatch):
    copied = pickle.loads(pickle.dumps(model))
    monkeypatch.setitem(_passes.DIGESTS, _passes.WEIGHTS, "0" * 64)
    with pytest.raises(ValueError, match=r"other starting weights .* here 0{64}. Fit it again"):
        copied.predict(X)
    assert model.predict(X).shape == (178,)  # it has read its context


def test_starting_weights_are_those_of_the_package(monkeypatch):
    """They predict better probabilities than random ones: on wine 0.04 less log loss."""
    net = _passes.starting_net()
    _, state = read_weights(FOLDER / f"{_passes.WEIGHTS}.npz", DIGESTS[_passes.WEIGHTS])
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, state[name].double()), name
    torch.manual_seed(0)
    losses = []
    for each in (net, InContextNet().eval().double()):
        monkeypatch.setattr(_passes, "starting_net", lambda each=each: each)
        for seed in range(3):
            few, new, y_few, y_new = train_test_split(
                X, Y, train_size=40, stratify=Y, random_state=seed
            )
            fitted = InContextClassifier(n_permutations=1, random_state=0).fit(few, y_few)
            losses.append(log_loss(y_new, fitted.predict_proba(new)))
    assert np.mean(losses[:3]) < np.mean(losses[3:]) - 0.015


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
    monkeypatch.setattr(_passes, "MOST_COLUMNS", 4)
    model = InContextClassifier(max_labeled=12, random_state=0).fit(X, Y)
    passes = model.passes_
    assert passes.columns.shape[1] == 4
    assert passes.y.shape[1] == 12
    assert len({tuple(columns) for columns in passes.columns.tolist()}) > 1
    assert model.score(X, Y) > 0.7


def test_some_of_each_class_are_kept():
    codes = np.array([0] * 90 + [1] * 8 + [2] * 2)
    chosen = some_of_each(np.random.RandomState(0), np.arange(100), codes, 20)
    assert len(chosen) == len(set(chosen)) == 20
    assert np.bincount(codes[chosen]).tolist() == [17, 2, 1]
    everything = some_of_each(np.random.RandomState(0), np.arange(100), codes, 100)
    assert sorted(everything) == list(range(100))


def test_more_classes_than_labels_that_a_pass_reads():
    with pytest.raises(ValueError, match="3 classes, .* at most max_labeled=2 labelled rows"):
        InContextClassifier(max_labeled=2).fit(X, Y)


def test_without_labels_there_is_nothing_to_predict_from():
    with pytest.raises(ValueError, match="No row of y is labelled"):
        InContextClassifier().fit(X, np.full(len(X), -1))


# ---- numbers -----------------------------------------------------------------------------


def test_numbers_are_predicted_in_their_own_units():
    target = X["proline"].to_numpy() * 1e6 - 5e9
    y = np.where(np.isin(np.arange(len(X)), FEW), target, np.nan)
    model = InContextRegressor(random_state=0).fit(X.drop(columns="proline"), y)
    found = model.predict(X.drop(columns="proline"))
    assert np.corrcoef(found[NEW], target[NEW])[0, 1] > 0.6
    assert model.score(X.iloc[NEW].drop(columns="proline"), target[NEW]) > 0.3
    as_objects = [None if np.isnan(value) else value for value in y]
    same = clone(model).fit(X.drop(columns="proline"), as_objects)
    np.testing.assert_array_equal(same.predict(X.drop(columns="proline")), found)


def test_a_prediction_lies_between_the_labels():
    y = np.where(np.isin(np.arange(len(X)), FEW), X["hue"], np.nan)
    found = InContextRegressor(random_state=0).fit(X, y).predict(X)
    assert np.nanmin(y) < found.min() < found.max() < np.nanmax(y)


@pytest.mark.parametrize("numbers", [[3.0], [3.0] * 5, [1.0, 2.0]], ids=["one", "the same", "two"])
def test_few_numbers_will_do(numbers):
    y = np.full(len(X), np.nan)
    y[: len(numbers)] = numbers
    found = InContextRegressor(random_state=0).fit(X, y).predict(X)
    assert found.min() >= min(numbers) - 1e-6 and found.max() <= max(numbers) + 1e-6


def test_intervals_begin_elsewhere_in_each_pass():
    random = np.random.RandomState(0)
    target = Numbers(np.r_[np.arange(100.0), np.nan])
    for _ in range(5):
        rows, labels = target.draw(random, 1000)
        assert sorted(rows) == list(range(100)) and labels.n_classes == 10
        np.testing.assert_array_equal(labels.numbers, rows)
        assert (np.diff(labels.codes[np.argsort(rows)]) >= 0).all()
        assert np.bincount(labels.codes).min() >= 5 and np.bincount(labels.codes)[1:-1].max() <= 11
    sizes = {tuple(np.bincount(target.draw(random, 1000)[1].codes)) for _ in range(5)}
    assert len(sizes) > 2


def test_without_numbers_there_is_nothing_to_predict_from():
    with pytest.raises(ValueError, match="No row of y is labelled: InContextRegressor"):
        InContextRegressor().fit(X, np.full(len(X), np.nan))


# ---- missing cells -----------------------------------------------------------------------


def with_holes(frame, share=0.2):
    holes = np.random.default_rng(0).random(frame.shape) < share
    return frame.mask(holes), holes


def test_missing_cells_are_filled_better_than_by_means():
    """Numbers by the least squared error."""
    given, holes = with_holes(X)
    filled = InContextImputer(random_state=0).fit_transform(given)
    assert list(filled.columns) == list(X.columns) and filled.index.equals(X.index)
    assert filled.notna().all(axis=None)
    np.testing.assert_array_equal(filled.to_numpy()[~holes], X.to_numpy()[~holes])

    def error(made):
        squared = ((made - X) / X.std()).where(holes) ** 2
        return np.sqrt(squared.mean()).mean()

    assert error(filled) < 0.9 * error(given.fillna(given.mean()))


def test_categories_are_filled_with_the_most_probable():
    kind = pd.Series(np.array(["x", "y", "z"])[Y], name="kind", dtype="category")
    frame = pd.concat([X.iloc[:, :6], kind], axis=1)
    given = frame.copy()
    given.loc[::4, "kind"] = None
    filled = InContextImputer(random_state=0).fit_transform(given)
    assert filled["kind"].dtype == kind.dtype
    assert np.mean(filled["kind"][::4] == kind[::4]) > 0.85


@pytest.mark.parametrize("container", ["list", "array", "polars"])
def test_what_comes_out_is_what_went_in(container):
    given, _ = with_holes(X.iloc[:, :3])
    table = given.to_numpy() if container == "array" else given.to_numpy().tolist()
    if container == "polars":
        table = pytest.importorskip("polars").from_pandas(given)
    filled = InContextImputer(random_state=0).fit_transform(table)
    assert type(filled) is (type(table) if container == "polars" else np.ndarray)
    expected = InContextImputer(random_state=0).fit_transform(given)
    np.testing.assert_allclose(np.asarray(filled), expected, rtol=1e-6)


def test_columns_that_tell_nothing():
    """One column alone, one value alone, and no value at all."""
    alone = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan]})
    assert InContextImputer().fit_transform(alone)["a"].tolist() == [1.0, 2.0, 3.0, 2.0]
    words = pd.DataFrame({"a": ["u", "v", "v", None]}, dtype="category")
    assert InContextImputer().fit_transform(words)["a"].tolist() == ["u", "v", "v", "v"]
    frame = pd.DataFrame({"a": [1.0, np.nan, 1.0], "b": [1.0, 2.0, 3.0], "c": [np.nan] * 3})
    filled = InContextImputer().fit_transform(frame)
    assert filled["a"].tolist() == [1.0] * 3 and filled["c"].isna().all()


def test_new_rows_are_filled_one_by_one_as_together():
    given, _ = with_holes(X)
    model = InContextImputer(max_samples=40, random_state=0).fit(given[:120])
    assert len(model.x_) < 120
    together = model.transform(given[120:])
    alone = pd.concat([model.transform(given[i : i + 1]) for i in range(120, 125)])
    np.testing.assert_allclose(alone, together[:5], rtol=1e-4)
    copied = pickle.loads(pickle.dumps(model)).transform(given[120:])
    pd.testing.assert_frame_equal(copied, together)
