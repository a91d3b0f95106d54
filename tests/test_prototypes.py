"""The nearest labelled mean: means, distances, probabilities and their temperature."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skssl import PrototypeClassifier
from skssl.semi_supervised._prototypes import DEFAULT_TEMPERATURE, FACTORS

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
METRICS = ["euclidean", "cosine"]
every_metric = pytest.mark.parametrize("metric", METRICS)


@parametrize_with_checks([PrototypeClassifier(metric=metric) for metric in METRICS])
def test_sklearn_contract(estimator, check):
    check(estimator)


def distance(a, b, metric):
    if metric == "cosine":
        return 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return ((a - b) ** 2).sum()


@every_metric
def test_scores_equal_loop(metric):
    model = PrototypeClassifier(metric=metric, temperature=0.7).fit(X, NAMES[Y])
    rows = X / np.linalg.norm(X, axis=1, keepdims=True) if metric == "cosine" else X
    means = [rows[c == Y].mean(0) for c in range(3)]
    np.testing.assert_allclose(model.prototypes_, means)
    expected = [[-distance(x, m, metric) / 0.7 for m in means] for x in X]
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-12)
    exp = np.exp(expected)
    np.testing.assert_allclose(model.predict_proba(X), exp / exp.sum(1, keepdims=True))
    assert (model.predict(X) == NAMES[np.argmax(expected, 1)]).all()
    assert list(model.classes_) == list(NAMES)


def test_euclidean_predictions_are_the_nearest_centroid_s():
    few = np.arange(0, 150, 10)
    ours = PrototypeClassifier().fit(X[few], Y[few]).predict(X)
    assert (ours == NearestCentroid().fit(X[few], Y[few]).predict(X)).all()


def test_cosine_looks_at_directions_only():
    few = np.arange(0, 150, 10)
    length = np.random.default_rng(0).uniform(0.1, 10, size=(150, 1))
    plain = PrototypeClassifier(metric="cosine").fit(X[few], Y[few])
    scaled = PrototypeClassifier(metric="cosine").fit((X * length)[few], Y[few])
    np.testing.assert_allclose(scaled.predict_proba(X * length), plain.predict_proba(X))
    assert np.isfinite(plain.predict_proba(np.zeros((1, 4)))).all()


@pytest.mark.parametrize("y", [[0, 1], [-1, 1], [True, False], ["b", "a"], [1.0, 2.0]])
def test_two_classes_have_one_score(y):
    model = PrototypeClassifier().fit([[0.0], [4.0]], y)
    scores = model.decision_function([[0.0], [1.0], [4.0]])
    assert scores.shape == (3,)
    assert (model.predict([[0.0], [1.0], [4.0]]) == np.sort(y)[(scores > 0).astype(int)]).all()
    p = model.predict_proba([[0.0], [1.0], [4.0]])
    np.testing.assert_allclose(np.log(p[:, 1] / p[:, 0]), scores)


def test_one_class_is_certain():
    model = PrototypeClassifier().fit([[0.0], [4.0]], ["a", "a"])
    assert (model.predict([[9.0]]) == ["a"]).all()
    assert model.predict_proba([[9.0]]) == 1.0 and model.temperature_ == 1.0


@every_metric
def test_units_do_not_matter(metric):
    """The temperature scales with the distances, whether it is chosen or the default."""
    for few in (np.arange(0, 150, 10), np.array([0, 60, 120])):
        plain = PrototypeClassifier(metric=metric).fit(X[few], Y[few])
        large = PrototypeClassifier(metric=metric).fit(1000 * X[few], Y[few])
        np.testing.assert_allclose(large.predict_proba(1000 * X), plain.predict_proba(X), atol=1e-9)


def between(model, metric):
    P, k = model.prototypes_, len(model.classes_)
    pairs = [distance(P[i], P[j], metric) for i in range(k) for j in range(k) if i != j]
    return np.mean(pairs)


@every_metric
def test_temperature_of_one_label_a_class_is_the_default(metric):
    few = np.array([0, 60, 120])
    model = PrototypeClassifier(metric=metric).fit(X[few], Y[few])
    assert model.temperature_ == pytest.approx(DEFAULT_TEMPERATURE * between(model, metric))


@every_metric
def test_temperature_is_chosen_by_leaving_rows_out(metric):
    """Against a loop that fits a model without each row; a class's only row stays in."""
    few = np.concatenate([np.arange(0, 150, 25), [77, 52, 130]])
    few = np.concatenate([few[Y[few] != 0], [3]])  # one label of the first class
    model = PrototypeClassifier(metric=metric).fit(X[few], Y[few])
    default = DEFAULT_TEMPERATURE * between(model, metric)
    losses = []
    for t in FACTORS * default:
        rows = [i for i in few if (Y[few] == Y[i]).sum() > 1]
        probabilities = [
            PrototypeClassifier(metric=metric, temperature=t)
            .fit(X[few[few != i]], Y[few[few != i]])
            .predict_proba(X[[i]])[0]
            for i in rows
        ]
        error = log_loss(Y[rows], probabilities, labels=[0, 1, 2], normalize=False)
        losses.append(error + np.log2(t / default) ** 2 / 2)
    assert model.temperature_ == pytest.approx(FACTORS[np.argmin(losses)] * default)


def test_equal_rows_are_equally_likely():
    model = PrototypeClassifier().fit(np.ones((4, 2)), [0, 1, 2, 2])
    np.testing.assert_allclose(model.predict_proba([[5.0, 5.0]]), 1 / 3)


def test_probabilities_are_useful(seed, margin):
    """On digits, of all rows of which principal components are known, and few labels."""
    digits, label = load_digits(return_X_y=True)
    Z = PCA(16).fit_transform(digits)
    for per_class, share in {1: 0.75, 3: 0.6, 5: 0.5}.items():
        losses = []
        for draw in range(20 * seed, 20 * seed + 20):
            few, rest = train_test_split(
                np.arange(len(Z)), train_size=10 * per_class, stratify=label, random_state=draw
            )
            model = PrototypeClassifier().fit(Z[few], label[few])
            losses.append(log_loss(label[rest], model.predict_proba(Z[rest])))
        margin(1 - np.mean(losses) / np.log(10), 1 - share, f"{per_class} of a class")


def test_behind_a_frozen_scaler_in_a_pipeline():
    frame = pd.DataFrame(X, columns=list("abcd"))
    scaler = FrozenEstimator(StandardScaler().set_output(transform="pandas").fit(frame))
    model = make_pipeline(scaler, PrototypeClassifier()).fit(frame.iloc[::30], Y[::30])
    assert model.score(frame, Y) > 0.7
    assert list(model[-1].feature_names_in_) == list("abcd")


@pytest.mark.parametrize("params", [{"metric": "manhattan"}, {"temperature": 0}])
def test_wrong_parameters_are_said(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        PrototypeClassifier(**params).fit(X, Y)


def test_regression_targets_are_said():
    with pytest.raises(ValueError, match="[Uu]nknown label type"):
        PrototypeClassifier().fit(X, X[:, 0] + 0.01)
