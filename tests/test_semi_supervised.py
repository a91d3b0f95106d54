"""The meta-estimators: labels, seeds, the cache, callbacks, searches."""

import copy
import pickle
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from packaging.version import Version
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler, normalize
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from skssl import SCARF, MultiTask, TS2Vec
from skssl._meta import _cache
from skssl._meta._fitting import seeded
from skssl._meta._reading import Reading
from skssl.base._modalities import MODALITIES
from skssl.model_selection import UnlabeledKFold
from skssl.semi_supervised import PretrainedClassifier, PretrainedRegressor, _base, _ensemble

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:  # scikit-learn < 1.9: set_callbacks refuses whatever it is given
    ProgressBar = ScoringMonitor = dict

# scikit-learn < 1.8 warns of many classes wherever it looks at labels, and not only in classifiers.
OLD = Version(sklearn.__version__) < Version("1.8")
MANY_CLASSES = f"{'ignore' if OLD else 'error'}:The number of unique classes"
CHEAP = {"max_epochs": 2, "n_components": 8, "precision": "float32", "device": "cpu"}
MINUS_ONE = {"check_classifiers_classes": "-1 means unlabelled"}


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    """What is tested here is the same with any number of trees."""
    monkeypatch.setattr(_ensemble, "N_TREES", 10)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    y_partly = np.where(np.random.default_rng(0).random(150) < 0.7, -1, y)
    return X, y, y_partly


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 120)
    X = pd.DataFrame(
        {
            "size": random.normal(y),
            "colour": np.where(y == 1, "red", random.choice(["red", "blue", "green"], 120)),
            "holes": np.where(random.random(120) < 0.3, np.nan, random.normal(2 * y)),
        }
    )
    return X, y, np.where(np.arange(120) % 3, -1, y)


@parametrize_with_checks(
    [
        PretrainedClassifier(StandardScaler(), LogisticRegression()),
        PretrainedClassifier(StandardScaler(), passthrough=False),
        PretrainedRegressor(StandardScaler(), Ridge()),
        PretrainedRegressor(StandardScaler(), passthrough=False),
    ],
    expected_failed_checks=lambda e: MINUS_ONE if isinstance(e, PretrainedClassifier) else {},
)
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 3)
    check(estimator)


def test_parameters_are_checked(iris):
    X, _, y = iris
    for wrong in (
        {"transformer": LogisticRegression()},
        {"classifier": StandardScaler()},
        {"passthrough": "yes"},
        {"memory": 3},
        {"random_state": "seed"},
    ):
        with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter"):
            PretrainedClassifier(PCA(2)).set_params(**wrong).fit(X, y)


# Labels


@pytest.mark.parametrize(
    "make_y, classes",
    [
        (lambda y: y, [0, 1, 2]),
        (lambda y: [None if v == -1 else int(v) for v in y], [0, 1, 2]),
        (lambda y: pd.Series(y).replace(-1, None).astype("Int64"), [0, 1, 2]),
        (lambda y: pl.Series([None if v == -1 else int(v) for v in y]), [0, 1, 2]),
        (lambda y: pd.Series(y).map({0: "a", 1: "b", 2: "c"}).astype("category"), list("abc")),
        (lambda y: ["abc"[v] if v >= 0 else -1 for v in y], list("abc")),
        (lambda y: pl.Series([None if v == -1 else "abc"[v] for v in y]), list("abc")),
        (lambda y: pd.Series(y > 0).where(y >= 0).astype("boolean"), [False, True]),
    ],
    ids=["int", "list", "Int64", "polars", "category", "mixed list", "polars str", "boolean"],
)
def test_labels_stay_what_they_are(iris, make_y, classes):
    X, y, y_partly = iris
    model = PretrainedClassifier(PCA(3), passthrough=False).fit(X, make_y(y_partly))
    assert model.classes_.tolist() == classes
    assert set(model.predict(X).tolist()) <= set(classes)
    assert model.predict(X).dtype == model.classes_.dtype
    assert model.predict_proba(X).shape == (150, len(classes))
    assert model.score(X, make_y(y_partly)) > 0.9
    assert model.score(X, make_y(y)) > 0.9


def test_only_labelled_rows_are_scored(iris):
    X, y, y_partly = iris
    model = PretrainedClassifier(PCA(3), passthrough=False).fit(X, y_partly)
    rows = y_partly != -1
    assert model.score(X, y_partly) == model.score(X[rows], y[rows])
    weight = np.random.default_rng(0).random(150)
    assert model.score(X, y_partly, sample_weight=weight) == model.score(
        X[rows], y[rows], sample_weight=weight[rows]
    )
    with pytest.raises(ValueError, match="nothing to score"):
        model.score(X, np.full(150, -1))


def test_minus_one_is_a_target_in_regression():
    X, y = load_diabetes(return_X_y=True)
    y = np.round(y / 40) - 3
    y_partly = np.where(np.arange(442) % 2, np.nan, y)
    model = PretrainedRegressor(PCA(9), passthrough=False).fit(X, y_partly)
    direct = model.regressor_.fit(model.transformer_.transform(X[::2]), y[::2])
    np.testing.assert_allclose(model.predict(X), direct.predict(model.transformer_.transform(X)))
    assert model.score(X, y_partly) == model.score(X[::2], y[::2]) > 0.3


@pytest.mark.parametrize(
    "y, message",
    [
        (np.full(150, -1), "No row of y is labelled"),
        (np.full(150, None), "No row of y is labelled"),
        (np.where(np.arange(150) < 9, 1, -1), "of one class, 1; .*rename it"),
        (np.linspace(0, 1, 150), "Unknown label type: continuous"),
        (np.array(["a", np.nan] * 75), "holds the text 'nan'"),
        (np.zeros(149), "inconsistent numbers of samples"),
        (None, "requires y to be passed"),
    ],
)
def test_bad_labels_say_why(iris, y, message):
    with pytest.raises(ValueError, match=message):
        PretrainedClassifier(PCA(2), passthrough=False).fit(iris[0], y)


def test_the_embedding_does_not_depend_on_labels(iris):
    X, y, y_partly = iris
    embeddings = []
    for labels in (y, y_partly, np.roll(y_partly, 7), ["abc"[v] for v in y]):
        model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), random_state=0)
        embeddings.append(model.fit(X, labels).transformer_.transform(X))
        if labels is not y_partly:
            np.testing.assert_array_equal(embeddings[0], embeddings[-1])


def test_the_classifier_sees_labelled_rows_only(iris):
    X, y, y_partly = iris
    model = PretrainedClassifier(PCA(2), DecisionTreeClassifier(), passthrough=False)
    model.set_params(random_state=0).fit(X, y_partly)
    rows = y_partly != -1
    tree = DecisionTreeClassifier(random_state=model.classifier_.random_state)
    tree.fit(PCA(2).fit(X).transform(X[rows]), y[rows])
    np.testing.assert_array_equal(model.predict(X), tree.predict(PCA(2).fit_transform(X)))


# What X may be


def test_frames_lists_and_images(frame):
    X, y, y_partly = frame
    numbers = X[["size", "holes"]].fillna(0)
    for rows in (numbers, pl.from_pandas(numbers), numbers.to_numpy().tolist()):
        model = PretrainedClassifier(StandardScaler(), passthrough=False).fit(rows, y_partly)
        assert model.score(rows, y) > 0.75
        assert model.n_features_in_ == 2
        assert hasattr(model, "feature_names_in_") == (not isinstance(rows, list))
    images = np.random.default_rng(0).normal(size=(120, 4, 4, 1)) + y[:, None, None, None]
    flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    model = PretrainedClassifier(flatten, passthrough=False).fit(images, y_partly)
    assert model.score(images, y) > 0.9
    texts = ["yes" if v else "not at all" for v in y]
    count = FunctionTransformer(lambda texts: np.array([[len(t)] for t in texts]))
    model = PretrainedClassifier(count, passthrough="auto").fit(texts, y_partly)
    assert model.raw_columns_.n_outputs > 0
    assert model.score(texts, y) == 1
    clips = images[:, None]
    model = PretrainedClassifier(flatten, passthrough="auto").fit(clips, y_partly)
    assert model.raw_columns_ is None
    assert model.score(clips, y) > 0.9


def test_names_of_features_are_checked(frame):
    X, _, y = frame
    model = PretrainedClassifier(SCARF(**CHEAP)).fit(X, y)
    assert model.feature_names_in_.tolist() == list(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X.rename(columns={"size": "weight"}))
    lenient = PretrainedClassifier(FunctionTransformer(), passthrough=False)
    numbers = X[["size", "holes"]].fillna(0)
    with pytest.raises(ValueError, match="feature names should match"):
        lenient.fit(numbers, y).predict(numbers.rename(columns={"size": "weight"}))


def test_sparse_rows(iris):
    X, y, y_partly = iris
    model = PretrainedClassifier(TruncatedSVD(3, random_state=0)).fit(sparse.csr_array(X), y_partly)
    assert model.raw_columns_ is None
    assert model.score(sparse.csr_array(X), y) > 0.9


def test_sparse_embeddings_stay_sparse(iris):
    X, y, _ = iris
    as_it_is = FunctionTransformer(accept_sparse=True)
    targets = np.where(np.arange(150) % 2, y, np.nan)
    sparsely = PretrainedRegressor(as_it_is, Ridge()).fit(sparse.coo_array(X), targets)
    densely = Ridge().fit(X[1::2], y[1::2])
    np.testing.assert_allclose(sparsely.predict(sparse.csr_array(X)), densely.predict(X), atol=1e-3)
    score = sparsely.score(sparse.coo_array(X), targets)
    assert score == pytest.approx(densely.score(X[1::2], y[1::2]), abs=1e-4)


def test_what_is_scored_is_read_like_what_is_fitted(iris):
    X, _, y = iris
    frame = pl.DataFrame(X, schema=list("abcd"))
    model = PretrainedClassifier(PCA(2), LogisticRegression(), passthrough=False).fit(frame, y)
    batch = frame.to_arrow().to_batches()[0]
    assert model.score(batch, y) == model.score(frame, y) > 0.8
    with pytest.raises(TypeError, match=r"got a polars LazyFrame. Pass X.collect\(\)"):
        model.score(frame.lazy(), y)


def test_tags_are_the_transformers(iris):
    def tags(*args, **kwargs):
        return sklearn.utils.get_tags(PretrainedClassifier(*args, **kwargs)).input_tags

    assert tags().allow_nan and tags().categorical and tags().two_d_array
    assert tags(FrozenEstimator(SCARF())).allow_nan
    assert not tags(PCA()).allow_nan
    assert not tags(StandardScaler()).allow_nan  # NaN would reach the classifier
    assert tags(TruncatedSVD()).sparse and not tags(TruncatedSVD(), passthrough=True).sparse
    assert sklearn.utils.get_tags(PretrainedRegressor()).input_tags.allow_nan


# Passthrough


def test_raw_columns_are_joined_for_tables(frame):
    X, y, y_partly = frame
    scarf = SCARF(**CHEAP)
    embedding = PretrainedClassifier(scarf, passthrough=False, random_state=0).fit(X, y_partly)
    assert embedding.raw_columns_ is None
    assert embedding.classifier_.n_features_in_ == 8
    joined = PretrainedClassifier(scarf, random_state=0).fit(X, y_partly)
    raw = joined.raw_columns_.transform(X)
    assert joined.classifier_.n_features_in_ == 8 + raw.shape[1]
    assert raw.shape[1] >= 5  # three colours, two numbers
    assert joined.score(X, y) > 0.8
    unlabelled = PretrainedClassifier(scarf, random_state=0).fit(X, y_partly, X_unlabeled=X)
    assert unlabelled.score(X, y) > 0.8


def test_raw_columns_end_with_standardised_numbers(frame):
    X, y, _ = frame
    X = X.assign(size=np.where(np.arange(120) == 7, 1e3, X["size"]))  # beyond 5 deviations
    model = PretrainedClassifier(SCARF(**CHEAP), random_state=0).fit(X, y)
    numbers = X[["size", "holes"]].to_numpy()
    scaled = (numbers - np.nanmean(numbers, 0)) / np.nanstd(numbers, 0)
    standardised = model.raw_columns_.transform(X)[:, -2:]
    np.testing.assert_allclose(standardised, np.nan_to_num(np.clip(scaled, -5, 5)), atol=1e-5)
    assert standardised[7, 0] == 5 and standardised.std(0).min() > 0.4


def test_raw_columns_are_those_the_last_step_reads():
    days = pd.date_range("2026-01-01", periods=60)
    X, y = pd.DataFrame({"day": days}), np.arange(60) // 30

    def weekday_and_month(X):
        return pd.DataFrame({"weekday": X["day"].dt.day_of_week, "day": X["day"].dt.day_of_year})

    pipe = make_pipeline(FunctionTransformer(weekday_and_month), SCARF(**CHEAP))
    for transformer in (pipe, FrozenEstimator(clone(pipe).fit(X))):
        model = PretrainedClassifier(transformer, random_state=0).fit(X, y)
        assert model.classifier_.n_features_in_ > 8
        assert model.score(X, y) > 0.9


def test_columns_are_the_same_to_the_transformer_and_the_raw_columns():
    X = np.random.default_rng(0).integers(0, 5, (60, 2)).astype(float)
    y = (X[:, 0] == 2).astype(int)
    as_numbers = PretrainedClassifier(SCARF(**CHEAP), random_state=0).fit(X, y)
    as_categories = PretrainedClassifier(SCARF(**CHEAP, categorical_features=[0]), random_state=0)
    as_categories.fit(X, y)
    width = [m.raw_columns_.transform(X).shape[1] for m in (as_numbers, as_categories)]
    assert width == [2 * 2, 5 + 2]  # a column each category, two each number
    assert as_categories.score(X, y) == 1


@pytest.mark.parametrize("classifier", [None, LinearSVC()])
def test_what_a_predictor_is_fitted_to(iris, classifier):
    X, _, y = iris
    few, others = np.flatnonzero(y != -1), np.flatnonzero(y == -1)
    model = PretrainedClassifier(classifier=classifier)
    model.transformer_ = StandardScaler().fit(X)
    rows = Reading(model.transformer_, (X,))
    model.raw_columns_ = rows.fit_raw_columns(True)
    expected = np.hstack([model.transformer_.transform(X), model.raw_columns_.transform(X)])
    _, Z, predictor, more = model._prepare(rows, few, others, np.random.RandomState(0))
    np.testing.assert_allclose(Z, expected[few])
    if classifier is None:
        assert predictor.n_embedding == 4 and Z.shape[1] == 4 + 8
        np.testing.assert_allclose(more["X_unlabeled"], expected[others])
    else:
        assert isinstance(predictor, LinearSVC) and more == {}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (PretrainedClassifier(), "EnsembleClassifier"),
        (PretrainedRegressor(), "EnsembleRegressor"),
        (PretrainedClassifier(classifier=LinearSVC()), "LinearSVC"),
    ],
)
def test_a_predictor_is_called_by_the_name_of_its_class(model, name):
    assert model._name_of_predictor() == name


def test_unlabelled_rows_are_of_X_and_X_unlabeled(monkeypatch):
    every, mask = (np.zeros((4, 1)), np.zeros((3, 1))), np.array([True, False, True, False])
    assert _base.pick_unlabelled(every[:1], mask).tolist() == [1, 3]
    assert _base.pick_unlabelled(every, mask).tolist() == [1, 3, 4, 5, 6]
    monkeypatch.setattr(_base, "MAX_UNLABELLED", 3)
    few = _base.pick_unlabelled(every, mask).tolist()
    assert few == _base.pick_unlabelled(every, mask).tolist() == sorted({*few})
    assert len(few) == 3 and {*few} < {1, 3, 4, 5, 6}


class Vote(ClassifierMixin, BaseEstimator):
    """A classifier that notes what it is given, and has no list of its classes."""

    def fit(self, X, y):
        self.X_, self.label_ = X, y[0]
        return self

    def predict(self, X):
        return np.full(len(X), self.label_)


def test_a_classifier_may_have_no_classes(iris):
    X, _, y = iris
    model = PretrainedClassifier(PCA(2), Vote(), passthrough=False).fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2]


def test_what_is_given_as_classifier_gets_columns_as_they_are(iris):
    """Defaults and regressors get float64, of dense columns."""
    X, y, _ = iris
    for dtype in (np.float32, np.float64):
        vote = PretrainedClassifier(PCA(2), Vote(), passthrough=False).fit(X.astype(dtype), y)
        assert vote.classifier_.X_.dtype == dtype
        kept = PretrainedRegressor(PCA(2), Ridge(), passthrough=False).fit(X.astype(dtype), y / 2)
        assert kept.regressor_.coef_.dtype == np.float64


# X_unlabeled


class Recorder(TransformerMixin, BaseEstimator):
    """Keeps what ``fit`` is given, and counts fits."""

    fits = 0

    def __init__(self, width=2, random_state=0):
        self.width = width
        self.random_state = random_state

    def fit(self, X, y=None):
        type(self).fits += 1
        self.X_, self.y_ = X, y
        return self

    def transform(self, X):
        return np.asarray(X)[:, : self.width]


class Taker(Recorder):
    """Takes X_unlabeled."""

    def fit(self, X, y=None, *, X_unlabeled=None):
        self.X_unlabeled_ = X_unlabeled
        return super().fit(X, y)


def test_more_rows_reach_the_transformer(iris):
    X, y, _ = iris
    few, rest = X[::5], X[1::2]
    model = PretrainedClassifier(Taker(), passthrough=False).fit(few, y[::5], X_unlabeled=rest)
    assert model.transformer_.X_ is few
    assert model.transformer_.X_unlabeled_ is rest
    assert model.transformer_.y_ is None
    containers = [np.asarray, np.ndarray.tolist, pd.DataFrame, pl.DataFrame, sparse.csr_array]
    for container in containers:
        model = PretrainedClassifier(Recorder(), DecisionTreeClassifier(), passthrough=False)
        if container is sparse.csr_array:
            model.set_params(transformer=TruncatedSVD(2))
        model.fit(container(few), y[::5], X_unlabeled=container(rest))
        if hasattr(model.transformer_, "X_"):
            assert type(model.transformer_.X_) is type(container(few))
            np.testing.assert_array_equal(
                np.asarray(model.transformer_.X_), np.concatenate([few, rest])
            )
    pipe = make_pipeline(StandardScaler(), Taker())
    model = PretrainedClassifier(pipe, passthrough=False).fit(few, y[::5], X_unlabeled=rest)
    assert model.transformer_[0].n_samples_seen_ == len(few) + len(rest)


def test_more_rows_must_be_alike(iris):
    X, y, _ = iris
    model = PretrainedClassifier(Recorder(), passthrough=False)
    with pytest.raises(ValueError, match="must be of the type of X, ndarray, got list"):
        model.fit(X, y, X_unlabeled=X.tolist())
    with pytest.raises(ValueError, match="must be of the type of X, DataFrame, got DataFrame"):
        X_pandas = pd.DataFrame(X).add_prefix("column_")
        model.fit(X_pandas, y, X_unlabeled=pl.DataFrame(X))
    for transformer in (FunctionTransformer(), SCARF(**CHEAP), None):
        with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 4 features"):
            PretrainedClassifier(transformer).fit(X, y, X_unlabeled=X[:, :3])
    pipe = make_pipeline(StandardScaler(), SCARF(**CHEAP))
    with pytest.raises(ValueError, match="X_unlabeled has rows of shape .3,., but X has rows of"):
        PretrainedClassifier(pipe).fit(X, y, X_unlabeled=X[:, :3])


def test_more_series_may_have_other_lengths():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2, 30)), np.arange(20) % 2
    for more in (rng.normal(size=(9, 2, 20)), [rng.normal(size=(2, n)) for n in (12, 25)]):
        model = PretrainedClassifier(TS2Vec(**CHEAP), LogisticRegression())
        assert model.fit(X, y, X_unlabeled=more).predict(X).shape == (20,)
        assert model.predict(X[:, :, :17]).shape == (20,)
    with pytest.raises(ValueError, match="3 channels, but 2 were seen in fit"):
        model.fit(X, y, X_unlabeled=rng.normal(size=(9, 3, 30)))


def test_scarf_learns_from_more_rows(iris):
    X, y, _ = iris
    scarf = SCARF(**CHEAP, random_state=0)
    model = PretrainedClassifier(scarf).fit(X[::5], y[::5], X_unlabeled=X[1::2])
    alone = clone(scarf).fit(X[::5], X_unlabeled=X[1::2])
    np.testing.assert_array_equal(model.transformer_.transform(X), alone.transform(X))


def test_more_rows_in_a_routed_pipeline(iris):
    X, y, _ = iris
    with sklearn.config_context(enable_metadata_routing=True):
        model = PretrainedClassifier(Taker(), passthrough=False)
        steps = [("scale", MinMaxScaler()), ("model", model.set_fit_request(X_unlabeled=True))]
        pipe = Pipeline(steps, transform_input=["X_unlabeled"])
        pipe.fit(X[::5], y[::5], X_unlabeled=X)
    np.testing.assert_allclose(pipe[-1].transformer_.X_unlabeled_, pipe[0].transform(X), atol=1e-12)


# Cloning, freezing, seeds


def test_fitted_transformers_are_refitted_unless_frozen(iris):
    X, y, _ = iris
    pca = PCA(2).fit(X[:50])
    given = LogisticRegression()
    model = PretrainedClassifier(pca, given, passthrough=False).fit(X, y)
    assert model.transformer_ is not pca
    assert model.classifier_ is not given and not hasattr(given, "coef_")
    np.testing.assert_allclose(model.transformer_.mean_, X.mean(0))
    np.testing.assert_allclose(pca.mean_, X[:50].mean(0))
    frozen = FrozenEstimator(pca)
    model = PretrainedClassifier(frozen, passthrough=False).fit(X, y)
    assert model.transformer_ is frozen
    np.testing.assert_allclose(model.transformer_.mean_, X[:50].mean(0))
    both = PretrainedClassifier(frozen, FrozenEstimator(model.classifier_), passthrough=False)
    np.testing.assert_array_equal(both.fit(X, y).predict(X), model.predict(X))
    np.testing.assert_array_equal(both.classes_, [0, 1, 2])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        PretrainedClassifier(FrozenEstimator(PCA(2)), passthrough=False).fit(X, y)


def test_seeds_are_handed_down_where_none_is_set(iris):
    X, _, y = iris
    pipe = make_pipeline(PCA(3), SCARF(**CHEAP))
    forest = RandomForestClassifier(2, random_state=5)
    model = PretrainedClassifier(pipe, forest, passthrough=False, random_state=0).fit(X, y)
    seeds = [step.random_state for step in model.transformer_]
    assert all(isinstance(seed, int) for seed in seeds) and seeds[0] != seeds[1]
    assert model.classifier_.random_state == 5
    assert pipe[0].random_state is pipe[1].random_state is None
    model = PretrainedClassifier(OneOfMany(), passthrough=False).fit(X, y)
    assert model.transformer_.random_state is None
    assert seeded(PCA(3), np.random.RandomState(0)).random_state == 209652396  # of every version


class OneOfMany(Recorder):
    def __init__(self, width=2, random_state=None):
        super().__init__(width, random_state)


def test_same_seed_same_result(iris):
    X, _, y = iris

    def proba(seed, *parts):
        return PretrainedClassifier(*parts, random_state=seed).fit(X, y).predict_proba(X)

    for parts in ([SCARF(**CHEAP)], [MultiTask(**CHEAP), LogisticRegression()]):
        first = proba(1, *parts)
        np.testing.assert_array_equal(first, proba(1, *parts))
        assert not np.allclose(first, proba(2, *parts))


def test_parts_of_multitask_are_left_to_it(iris):
    X, _, y = iris
    tasks = [("scarf", SCARF(), 1.0)]
    model = PretrainedClassifier(MultiTask(tasks, **CHEAP), random_state=0).fit(X, y)
    assert isinstance(model.transformer_.random_state, int)
    assert model.transformer_.tasks[0][1].random_state is None


def test_a_failed_fit_changes_nothing(iris):
    X, y, _ = iris
    model = PretrainedClassifier(PCA(2), passthrough=False).fit(X, y)
    before, proba = set(vars(model)), model.predict_proba(X)
    with pytest.raises(ValueError, match="n_components=2 must be between"):
        model.fit(X[:, :1], y)
    assert set(vars(model)) == before
    np.testing.assert_array_equal(model.predict_proba(X), proba)
    fresh = PretrainedClassifier(PCA(2), passthrough=False)
    with pytest.raises(ValueError):
        fresh.fit(X[:, :1], y)
    assert set(vars(fresh)) == set(fresh.get_params(deep=False))


# The estimator at the end


def test_methods_are_those_of_the_classifier(iris):
    X, _, y = iris
    svc = PretrainedClassifier(PCA(2), LinearSVC(), passthrough=False)
    for model in (svc, clone(svc).fit(X, y)):
        assert hasattr(model, "decision_function")
        assert not hasattr(model, "predict_proba")
        assert not hasattr(model, "predict_log_proba")
    tree = PretrainedClassifier(PCA(2), DecisionTreeClassifier(), passthrough=False).fit(X, y)
    assert not hasattr(tree, "decision_function")
    default = PretrainedClassifier(PCA(2), passthrough=False)
    assert hasattr(default, "predict_proba")
    default.fit(X, y)
    np.testing.assert_allclose(np.exp(default.predict_log_proba(X)), default.predict_proba(X))
    np.testing.assert_array_equal(
        default.classes_[default.decision_function(X).argmax(1)], default.predict(X)
    )
    assert not hasattr(PretrainedRegressor(), "predict_proba")


def test_unfitted(iris):
    for model in (PretrainedClassifier(PCA(2)), PretrainedRegressor(PCA(2))):
        with pytest.raises(sklearn.exceptions.NotFittedError):
            model.predict(iris[0])


@pytest.mark.parametrize(
    "counts",
    [[1] * 26, [1, 2, 3, 4, 5] * 5 + [1], [1, 1], [2, 1], [99, 1], [1] * 9 + [30]],
    ids=str,
)
@pytest.mark.parametrize("spread", [0.0, 1e-6, 1.0])
@pytest.mark.filterwarnings(MANY_CLASSES)
def test_default_classifier_copes_with_few_labels(counts, spread):
    y = np.repeat(np.arange(len(counts)), counts)
    random = np.random.default_rng(0)
    X = random.normal(size=(len(counts), 40))[y] + spread * random.normal(size=(len(y), 40))
    model = PretrainedClassifier(StandardScaler(), passthrough=False).fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.arange(len(counts)))
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert model.score(X, y) > 0.9
    assert min(weight for weight, _ in model.classifier_.members_) > 0  # the others are gone
    assert len(pickle.dumps(model)) < 5_000_000  # some hundred small trees, not some thousand


def test_default_classifier_gives_up_on_noise_and_columns_that_move_together(seed, margin):
    random, sure = np.random.default_rng(seed), []
    y = np.arange(90) % 3
    noise = PretrainedClassifier(StandardScaler(), passthrough=False, random_state=seed)
    for _ in range(4):
        noise.fit(random.normal(size=(90, 200)), y)
        sure.append(noise.predict_proba(random.normal(size=(300, 200))).max(1))
    margin(-np.mean(sure), -0.47, "no confidence without a reason")
    margin(-np.quantile(sure, 0.95, axis=1).mean(), -0.56, "in hardly any row")
    together = y[:, None] + 1e-3 * random.normal(size=(90, 200))
    margin(noise.fit(together, y).score(together, y), 0.9, "columns that move together")


def test_default_classifier_is_calibrated_at_100_labels(seed, margin):
    X, y = load_digits(return_X_y=True)
    found = []
    for draw in (2 * seed, 2 * seed + 1):
        random = np.random.default_rng(draw)
        few = np.concatenate([random.choice(np.flatnonzero(y == c), 10) for c in range(10)])
        labels = np.full(len(y), -1)
        labels[few] = y[few]
        model = PretrainedClassifier(StandardScaler(), passthrough=False, random_state=draw)
        rest = labels == -1
        proba = model.fit(X, labels).predict_proba(X[rest])
        right = model.classes_[proba.argmax(1)] == y[rest]
        found.append((right.mean(), proba.max(1).mean(), log_loss(y[rest], proba)))
    right, confidence, loss = np.mean(found, 0)
    margin(right, 0.8, "accuracy")
    margin(-abs(confidence - right), -0.12, "calibration")
    margin(-loss, -0.6, "log loss")


@pytest.mark.parametrize("n_labelled", [1, 2, 3, 50])
def test_default_regressor_copes_with_few_labels(n_labelled):
    X, y = load_diabetes(return_X_y=True)
    targets = np.where(np.arange(len(y)) < n_labelled, y, np.nan)
    model = PretrainedRegressor(StandardScaler(), passthrough=False).fit(X, targets)
    assert np.isfinite(model.predict(X)).all()
    if n_labelled == 50:
        assert model.score(X, y) > 0.3


def n_nodes(end):
    """Return how many rows the graphs of a default end have, over which labels spread."""
    graphs = [feature[-1] for (kind, _), feature in end.features_.items() if kind == "placed"]
    (n,) = {graph.spread_.shape[0] for graph in graphs}
    return n


def test_default_ends_learn_from_unlabelled_rows():
    X, y = make_moons(200, noise=0.05, random_state=0)
    is_labelled = np.isin(np.arange(200), [*np.flatnonzero(y == 0)[:3], *np.flatnonzero(y)[:3]])
    few, labels, rest = X[is_labelled], y[is_labelled], X[~is_labelled]
    frozen = FrozenEstimator(StandardScaler().fit(X))
    for model in (PretrainedClassifier(frozen), PretrainedRegressor(frozen)):
        model.set_params(random_state=0)
        inside = clone(model).fit(X, np.where(is_labelled, y, np.nan))
        beside = clone(model).fit(few, labels, X_unlabeled=rest)
        without = clone(model).fit(few, labels)
        ends = [getattr(m, f"{m._predictor}_") for m in (inside, beside, without)]
        assert [n_nodes(end) for end in ends] == [200, 200, 6]
        np.testing.assert_array_equal(inside.predict(X), beside.predict(X))
        assert not np.allclose(inside.predict(X), without.predict(X))
    model = PretrainedClassifier(frozen, random_state=0)
    assert model.fit(few, labels, X_unlabeled=rest).score(X, y) > model.fit(few, labels).score(X, y)


def test_the_default_transformer_is_multitask(frame, monkeypatch):
    X, y, y_partly = frame
    monkeypatch.setitem(MODALITIES, "table", replace(MODALITIES["table"], method_parameters=CHEAP))
    model = PretrainedClassifier(random_state=0).fit(X, y_partly)
    assert isinstance(model.transformer_, MultiTask)
    assert model.score(X, y) > 0.8
    regression = PretrainedRegressor(random_state=0).fit(X, np.where(y_partly < 0, np.nan, y))
    assert regression.score(X, y) > 0.3


# The cache


@pytest.fixture
def fits(monkeypatch):
    monkeypatch.setattr(Recorder, "fits", 0)
    return Recorder


def test_a_search_pretrains_once_per_transformer_and_fold(iris, fits, tmp_path):
    X, _, y = iris
    model = PretrainedClassifier(
        Recorder(), DecisionTreeClassifier(random_state=0), passthrough=False, memory=str(tmp_path)
    )
    # 24 candidates, of which 4 differ in the transformer: width 2 and 3 by seed 0 and 1.
    grid = {
        "transformer__width": [2, 3],
        "transformer__random_state": [0, 1],
        "classifier__max_depth": [1, 2, None],
        "classifier__criterion": ["gini", "entropy"],
    }
    search = GridSearchCV(model, grid, cv=UnlabeledKFold(3)).fit(X, y)
    assert len(search.cv_results_["params"]) == 24
    assert fits.fits == 4 * 3 + 1  # and the refit on all rows
    plain = GridSearchCV(clone(model).set_params(memory=None), grid, cv=UnlabeledKFold(3))
    plain.fit(X, y)
    assert fits.fits == 13 + 24 * 3 + 1
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])


def test_the_cache_reads_rows_parameters_and_seeds_but_not_labels(iris, fits, tmp_path):
    X, y, y_partly = iris
    memory = joblib.Memory(tmp_path, verbose=0)

    def n_fits(X, y, X_unlabeled=None, **params):
        before = fits.fits
        model = PretrainedClassifier(
            Recorder(), LogisticRegression(), passthrough=False, memory=memory
        )
        model.set_params(**params).fit(X, y, X_unlabeled=X_unlabeled)
        return fits.fits - before

    assert n_fits(X, y) == 1
    assert n_fits(X, y_partly) == 0
    assert n_fits(X.copy(), np.roll(y_partly, 3), classifier__C=3) == 0
    assert n_fits(X + 1e-9, y) == 1
    assert n_fits(X.astype(np.float32), y) == 1
    assert n_fits(X[::-1], y) == 1
    assert n_fits(pd.DataFrame(X), y) == 1
    assert n_fits(pd.DataFrame(X, index=np.arange(150)[::-1]), y) == 0
    assert n_fits(pd.DataFrame(X).add_prefix("column "), y) == 1
    assert n_fits(X, y, X_unlabeled=X) == 1
    assert n_fits(X, y, X_unlabeled=X) == 0
    assert n_fits(X, y, X_unlabeled=X[1:]) == 1
    assert n_fits(X, y, transformer__random_state=1) == 1
    assert n_fits(X, y, transformer__random_state=1, random_state=3) == 0


class Weighted(Recorder):
    """Takes sample_weight and groups."""

    def fit(self, X, y=None, *, sample_weight=None, groups=None):
        self.sample_weight_ = sample_weight
        return super().fit(X, y)


def test_the_cache_reads_what_is_routed_to_the_transformer(iris, tmp_path):
    X, y, _ = iris
    weight, seen = np.arange(150.0), []
    with sklearn.config_context(enable_metadata_routing=True):
        transformer = Weighted().set_fit_request(sample_weight=True, groups=True)
        classifier = LogisticRegression().set_fit_request(sample_weight=False)
        model = PretrainedClassifier(transformer, classifier, passthrough=False)
        model.set_params(memory=str(tmp_path))
        asked = [
            {},
            {"sample_weight": weight},
            {"sample_weight": weight},
            {"sample_weight": weight + 1},
            {"groups": weight},
            {"sample_weight": weight, "groups": weight},
        ]
        for params in asked:
            before = Weighted.fits
            given = model.fit(X, y, **params).transformer_.sample_weight_
            seen.append(Weighted.fits - before)
            np.testing.assert_array_equal(given, params.get("sample_weight"))
    assert seen == [1, 1, 0, 1, 1, 1]


def test_only_parts_that_are_given_are_routed_to():
    for classifier, parts in (
        (None, {"transformer"}),
        (LinearSVC(), {"transformer", "classifier"}),
    ):
        routing = PretrainedClassifier(PCA(2), classifier).get_metadata_routing()
        assert {name for name, _ in routing} - {"$self_request"} == parts


def test_random_fits_are_not_cached(iris, fits, tmp_path):
    X, y, _ = iris
    for seed, n_fits in [(None, 2), (np.random.RandomState(0), 2), (0, 1)]:
        fits.fits = 0
        for _ in range(2):
            transformer = Recorder(random_state=copy.deepcopy(seed))
            model = PretrainedClassifier(transformer, LogisticRegression(), passthrough=False)
            model.set_params(memory=str(tmp_path)).fit(X, y)
        assert fits.fits == n_fits
    fits.fits = 0
    for _ in range(2):  # the meta-estimator's seed is handed down
        model = PretrainedClassifier(Recorder(random_state=None), LogisticRegression())
        model.set_params(passthrough=False, random_state=4, memory=str(tmp_path)).fit(X, y)
    assert fits.fits == 1


def test_a_cached_scarf_is_the_same(frame, tmp_path):
    X, _, y = frame
    model = PretrainedClassifier(SCARF(**CHEAP), memory=str(tmp_path), random_state=0)
    first, second = clone(model).fit(X, y), clone(model).fit(X, y)
    assert second.transformer_ is not first.transformer_
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    plain = clone(model).set_params(memory=None).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), plain.predict_proba(X))


class Net(nn.Module):
    def __init__(self, width=3, slope=0.1):
        super().__init__()
        self.linear = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.slope = slope

    def forward(self, x):
        return nn.functional.leaky_relu(self.norm(self.linear(x)), self.slope)


WIDTH = 3


def make_net(X):
    return Net(WIDTH)


class Maker:
    """Makes encoders of a width."""

    def __init__(self, width):
        self.width = width

    def make(self, X):
        return Net(self.width)


def test_keys_of_parameters(monkeypatch):
    X = np.zeros((3, 4))

    def key(encoder):
        return _cache.fit_key(SCARF(encoder=encoder, random_state=0), X)

    net = Net()
    assert key(net) == key(copy.deepcopy(net)) == key(pickle.loads(pickle.dumps(net)))
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.norm.running_mean[0] += 1
    assert key(other) != key(net)
    sloped = copy.deepcopy(net)
    sloped.slope = 0.2
    assert key(sloped) != key(net)
    assert key(net.bfloat16()) != key(other)

    before = key(make_net)
    assert before == key(make_net)
    monkeypatch.setitem(globals(), "WIDTH", 4)
    assert key(make_net) != before

    def closed(width):
        return lambda X: Net(width)

    def calling(function):
        return lambda X: function(X)

    assert key(closed(3)) == key(closed(3)) != key(closed(4))
    assert key(calling(closed(3))) == key(calling(closed(3))) != key(calling(closed(4)))
    assert key(Maker(3).make) == key(Maker(3).make) != key(Maker(4).make)
    assert key(eval("lambda X: None")) is None  # noqa: S307 - no source to read
    seeded = MultiTask([("scarf", SCARF(), 1.0)], random_state=0)
    assert _cache.fit_key(seeded, X) is not None
    assert _cache.fit_key(MultiTask(), X) is None
    assert _cache.fit_key(make_pipeline(StandardScaler(), PCA(2)), X) is None


def test_keys_see_defaults_and_the_names_in_a_dictionary():
    def key(func, **kw_args):
        return _cache.fit_key(FunctionTransformer(func, kw_args=kw_args), np.zeros((3, 4)))

    def scaled(factor):
        return lambda X, factor=factor: X * factor

    def scaled_by_name(factor):
        return lambda X, *, factor=factor: X * factor

    for make in (scaled, scaled_by_name):
        assert key(make(2)) == key(make(2)) != key(make(3))
    assert key(scaled(2), factor=4) == key(scaled(2), factor=4) != key(scaled(2), other=4)
    assert key(scaled(2), a=1, b=2) != key(scaled(2), a=2, b=1)
    assert key(normalize) is not None  # known by scikit-learn's version, whatever it calls


@pytest.mark.parametrize(
    "make",
    [
        lambda v: pd.DataFrame({"a": pd.Series([v, "x", None], dtype="category")}),
        lambda v: pd.DataFrame({"a": pd.Series([v, "x", None], dtype=object)}),
        lambda v: pd.DataFrame({"a": [v, "x", None]}),
        lambda v: pl.DataFrame({"a": [v, "x", None]}),
        lambda v: pl.DataFrame({"a": [v, "x", None]}, schema={"a": pl.Enum(["x", v])}),
        lambda v: pd.DataFrame({"a": pd.array([len(v), None], dtype="Int64")}),
        lambda v: [v, "x"],
        lambda v: [[len(v), 2.0], [3.0, 4.0]],
        lambda v: np.array([v, None, 3], dtype=object),
        lambda v: np.array(len(v), dtype=object),
        lambda v: np.array([(v, 1.0)], dtype=[("text", object), ("number", float)]),
        lambda v: sparse.csr_array([[len(v), 0, 1.0]]),
        lambda v: torch.full((3, 2), len(v), dtype=torch.bfloat16),
        lambda v: np.ma.masked_array([len(v), 2.0], [False, True]),
        lambda v: np.ma.masked_array([1.0, 2.0], [len(v) == 4, False]),
        lambda v: np.asfortranarray([[len(v), 2], [3, 4]]),
        lambda v: np.empty((0, len(v))),
    ],
)
def test_keys_of_data(make):
    def key(value):
        return _cache.fit_key(StandardScaler(), make(value))

    assert key("long") == key("".join(["lo", "ng"])) is not None
    assert key("long") != key("longer")


def test_data_of_one_content_in_several_containers_have_their_own_keys():
    X = np.arange(6.0).reshape(2, 3)
    kinds = [X, X.T, X.ravel(), X.astype(np.float32), X.tolist(), pd.DataFrame(X), X > 2, X == X]
    keys = {_cache.fit_key(StandardScaler(), kind) for kind in kinds}
    kinds += [np.arange(6.0).reshape(3, 2).T, pd.DataFrame(X, columns=["a", "b", "c"])]
    keys |= {_cache.fit_key(StandardScaler(), kind) for kind in kinds[-2:]}
    keys |= {_cache.fit_key(StandardScaler(), X, **{name: X[:, 0]}) for name in ("a", "b")}
    keys.add(_cache.fit_key(StandardScaler(), X, X))
    keys.add(_cache.fit_key(StandardScaler(with_mean=False), X))
    keys.add(_cache.fit_key(StandardScaler().set_output(transform="pandas"), X))
    assert len(keys) == len(kinds) + 5 and {len(key) for key in keys} == {40}


# Callbacks


class Follow:
    """Notes which tasks begin and end, and stops where it is told."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.seen, self.begun, self.ended = [], {}, {}

    def setup(self, estimator, context):
        self.seen.append("setup")

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.seen.append(f"begin {context.task_name}")
        self.begun[context.task_name] = X, y

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.seen.append(f"end {context.task_name}")
        self.ended[context.task_name] = X, y
        self.fitted = fitted_estimator
        return self.stop_after is not None and self.seen.count("end epoch") >= self.stop_after


class FollowEverywhere(Follow):
    max_propagation_depth = None


@pytest.mark.parametrize("classifier", [None, LinearSVC()])
def test_callbacks_see_two_tasks(iris, classifier):
    X, _, y = iris
    follow, few = Follow(), y != -1
    parts = {"begin fit-classifier-part", "end fit-classifier-part"}
    model = PretrainedClassifier(PCA(2), classifier, passthrough=False)
    model.set_callbacks(follow).fit(X, y)
    assert (parts <= set(follow.seen)) == (classifier is None)  # the models that are compared
    assert [name for name in follow.seen if name not in parts] == [
        "setup",
        "begin fit",
        "begin fit-transformer",
        "end fit-transformer",
        "begin fit-classifier",
        "end fit-classifier",
        "end fit",
        "teardown",
    ]
    np.testing.assert_array_equal(follow.fitted.predict(X), model.predict(X))
    Z = PCA(2).fit(X).transform(X[few])
    for given, end in ((follow.begun, (X, y)), (follow.ended, (X[few], y[few]))):
        rows = {"fit": end, "fit-transformer": (X, None), "fit-classifier": (Z, y[few])}
        for name, expected in rows.items():
            for found, value in zip(given[name], expected, strict=True):
                np.testing.assert_array_equal(found, value)


class Twice(PretrainedClassifier):
    """Fits a second classifier, which stands for the fine-tuned half."""

    def _fine_tunes(self, X, n_labels):
        return True

    def _make_tuned(self, transformer):
        return LogisticRegression()


def test_callbacks_see_a_task_of_the_fine_tuned_half(iris):
    X, _, y = iris
    follow, few = Follow(), y != -1
    model = Twice(PCA(2), LinearSVC(), passthrough=False).set_callbacks(follow).fit(X, y)
    assert follow.seen[-5:] == [
        "end fit-classifier",
        "begin fine-tune",
        "end fine-tune",
        "end fit",
        "teardown",
    ]
    for given in (follow.begun, follow.ended):
        for found, expected in zip(given["fine-tune"], (X[few], y[few]), strict=True):
            np.testing.assert_array_equal(found, expected)
    expected = LogisticRegression().fit(X[few], y[few])
    np.testing.assert_allclose(model.fine_tuned_.coef_, expected.coef_)


def test_callbacks_see_a_task_of_a_frozen_transformer(iris):
    X, _, y = iris
    follow = Follow()
    frozen = PretrainedRegressor(FrozenEstimator(PCA(2).fit(X)), passthrough=False)
    frozen.set_callbacks(follow).fit(X, y.astype(float))
    assert follow.seen.count("end fit-transformer") == 1


def test_callbacks_propagate(iris):
    X, _, y = iris
    follow = FollowEverywhere()
    model = PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), random_state=0)
    expected = clone(model).fit(X, y).predict_proba(X)
    fitted = model.set_callbacks(follow).fit(X, y)
    assert follow.seen.count("end epoch") == 2
    assert "end lbfgs-iter" in follow.seen
    assert follow.seen[-2:] == ["end fit", "teardown"]
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)
    assert not getattr(fitted.transformer_, "_skl_callbacks", None)
    with warnings.catch_warnings():  # the default classifier is one task, and warns of nothing
        warnings.simplefilter("error")
        clone(model).set_params(classifier=None).set_callbacks(FollowEverywhere()).fit(X, y)
    follow.seen.clear()
    search = GridSearchCV(clone(model).set_callbacks(), {"classifier__C": [1]}, cv=2)
    search.set_callbacks(follow).fit(X, y)
    assert follow.seen.count("end epoch") == 3 * 2


def test_a_stopper_on_the_transformer(iris, tmp_path):
    X, _, y = iris
    stop = Follow(stop_after=3)
    scarf = SCARF(**{**CHEAP, "max_epochs": 9}).set_callbacks(stop)
    model = PretrainedClassifier(scarf, memory=str(tmp_path), random_state=0).fit(X, y)
    assert model.transformer_.n_iter_ == 3
    longer = PretrainedClassifier(clone(scarf).set_callbacks(), memory=str(tmp_path))
    assert longer.set_params(random_state=0).fit(X, y).transformer_.n_iter_ == 9


def test_a_propagated_callback_on_the_transformer_is_an_error(iris):
    X, _, y = iris
    scarf = SCARF(**CHEAP).set_callbacks(FollowEverywhere())
    with pytest.raises(TypeError, match="auto-propagated"):
        PretrainedClassifier(scarf).fit(X, y)


def test_progress_bar_and_cache(iris, tmp_path, capsys):
    pytest.importorskip("rich")
    X, _, y = iris
    model = PretrainedClassifier(
        SCARF(**CHEAP), LogisticRegression(), memory=str(tmp_path), random_state=0
    )
    model.set_callbacks(ProgressBar(max_propagation_depth=None))
    first = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict_proba(X), first)
    assert "SCARF" in capsys.readouterr().out


def test_scoring_monitor_scores_labelled_rows(iris):
    X, _, y = iris
    monitor = ScoringMonitor(scoring="accuracy")
    model = PretrainedClassifier(PCA(2), passthrough=False).set_callbacks(monitor).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row.get("accuracy")]
    assert model.score(X, y) in scores


# Inside scikit-learn


def test_searches_of_every_kind(iris):
    X, _, y = iris
    model = PretrainedClassifier(PCA(3), LogisticRegression(), passthrough=False)
    grid = {"classifier__C": [0.01, 1, 100], "transformer__n_components": [2, 3]}
    for labels in (y, np.where(y == -1, np.nan, y), [None if v == -1 else int(v) for v in y]):
        cv = UnlabeledKFold(3)
        search = GridSearchCV(model, grid, cv=cv, return_train_score=True).fit(X, labels)
        assert search.best_score_ > 0.9
        assert search.cv_results_["mean_train_score"].max() > 0.9
        folds = KFold(3, shuffle=True, random_state=0)
        assert cross_val_score(model, X, labels, cv=folds).mean() > 0.85
        halving = HalvingGridSearchCV(
            model,
            {"classifier__C": [0.01, 1, 100]},
            cv=cv,
            resource="classifier__max_iter",
            max_resources=90,
            min_resources=10,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            assert halving.fit(X, labels).best_score_ > 0.8
    halving = HalvingGridSearchCV(model, {"classifier__C": [0.1, 1]}, cv=cv, random_state=0)
    assert halving.fit(X, y).best_score_ > 0.8


def test_searches_in_parallel(iris, tmp_path):
    X, _, y = iris
    model = PretrainedClassifier(
        SCARF(**CHEAP), LogisticRegression(), memory=str(tmp_path), random_state=0
    )
    grid = {"classifier__C": [0.1, 10]}
    searches = [
        GridSearchCV(model, grid, cv=UnlabeledKFold(2), n_jobs=n_jobs).fit(X, y)
        for n_jobs in (2, 1)
    ]
    np.testing.assert_array_equal(*(search.cv_results_["mean_test_score"] for search in searches))


def test_parts_are_swapped_in_a_search(iris):
    X, _, y = iris
    grid = {"transformer": [PCA(2), StandardScaler()], "classifier": [None, LinearSVC()]}
    search = GridSearchCV(PretrainedClassifier(passthrough=False), grid, cv=UnlabeledKFold(2))
    assert search.fit(X, y).best_score_ > 0.8


def test_inside_other_meta_estimators(iris):
    X, y, y_partly = iris
    rows = y_partly != -1
    model = PretrainedClassifier(PCA(3), LogisticRegression(), passthrough=False)
    calibrated = CalibratedClassifierCV(model, cv=3).fit(X[rows], y[rows])
    assert calibrated.score(X, y) > 0.85
    prefit = CalibratedClassifierCV(FrozenEstimator(clone(model).fit(X, y_partly)))
    assert prefit.fit(X[rows], y[rows]).score(X, y) > 0.85
    stack = StackingClassifier([("ssl", model), ("tree", DecisionTreeClassifier())], cv=3)
    assert stack.fit(X[rows], y[rows]).score(X, y) > 0.85
    names = np.array(["setosa", "versicolor", "virginica"])
    assert stack.fit(X[rows], names[y[rows]]).score(X, names[y]) > 0.85
    default = PretrainedClassifier(PCA(3), passthrough=False)
    pipe = make_pipeline(StandardScaler(), default).fit(X, y_partly)
    assert pipe.score(X, y_partly) > 0.85
    nested = PretrainedClassifier(PCA(3), OneVsRestClassifier(LinearSVC()), passthrough=False)
    assert nested.fit(X, y_partly).score(X, y) > 0.85


def test_pandas_output_of_the_transformer(iris):
    X, y, _ = iris
    pca = PCA(2).set_output(transform="pandas")
    model = PretrainedClassifier(pca, LogisticRegression(), passthrough=False).fit(X, y)
    assert model.classifier_.feature_names_in_.tolist() == ["pca0", "pca1"]
    assert model.score(X, y) > 0.9
    assert PretrainedClassifier(pca, passthrough=True).fit(X, y).score(X, y) > 0.9


def test_copies_predict_the_same(frame):
    X, _, y = frame
    model = PretrainedClassifier(SCARF(**CHEAP), random_state=0).fit(X, y)
    proba = model.predict_proba(X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), clone(model).fit(X, y)):
        np.testing.assert_array_equal(other.predict_proba(X), proba)
    assert repr(clone(model)) == repr(model)
