"""Transformers inside what scikit-learn composes: pipelines, routing, columns, unions."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from skssl import SCARF, VIME, DenoisingAutoencoder, MultiTask

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
CHEAP = {
    "n_components": 8,
    "max_epochs": 4,
    "batch_size": 30,
    "precision": "float32",
    "random_state": 0,
}
METHODS = [SCARF(**CHEAP), VIME(**CHEAP), DenoisingAutoencoder(**CHEAP), MultiTask(**CHEAP)]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
X_FEW, X_REST, Y_FEW, Y_REST = train_test_split(
    X_IRIS, Y_IRIS, train_size=60, stratify=Y_IRIS, random_state=0
)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def frame(n=90, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": rng.lognormal(10, 1, n),
            "city": pd.Categorical(rng.choice(["Rome", "Oslo", "Lima"], n)),
            "member": rng.random(n) < 0.3,
        }
    )
    table.loc[::7, "income"] = np.nan
    table.loc[::9, "city"] = None
    return table


# ---- more rows than labels ---------------------------------------------------------------


@every_method
def test_unlabelled_rows_join_the_fit(method):
    joined = clone(method).fit(np.vstack([X_FEW, X_REST]))
    beside = clone(method).fit(X_FEW, X_unlabeled=X_REST)
    assert beside.loss_curve_ == joined.loss_curve_
    assert np.array_equal(beside.transform(X_IRIS), joined.transform(X_IRIS))
    assert not np.array_equal(beside.transform(X_IRIS), clone(method).fit(X_FEW).transform(X_IRIS))


def test_unlabelled_rows_bring_their_categories():
    few, rest = frame(), frame(30, seed=1)
    rest["city"] = "Quito"
    fitted = clone(METHODS[1]).fit(few, X_unlabeled=rest)
    assert set(fitted.reconstruct(few)["city"]) <= {"Rome", "Oslo", "Lima", "Quito"}
    alone = clone(METHODS[1]).fit(few)
    with_quito, without = (e.encoder_[1].front.n_features_out for e in (fitted, alone))
    assert with_quito == without + 1


def test_unlabelled_rows_must_have_the_columns_of_the_others():
    with pytest.raises(ValueError, match="has 3 features, but .* is expecting 4"):
        clone(METHODS[0]).fit(X_FEW, X_unlabeled=X_REST[:, :3])
    with pytest.raises(ValueError, match="feature names should match"):
        clone(METHODS[0]).fit(frame(), X_unlabeled=frame().rename(columns={"age": "years"}))


@every_method
def test_routed_through_a_pipeline(method, routing):
    steps = [
        ("scale", StandardScaler()),
        ("ssl", clone(method).set_fit_request(X_unlabeled=True)),
        ("clf", LogisticRegression()),
    ]
    pipe = Pipeline(steps, transform_input=["X_unlabeled"])
    pipe.fit(X_FEW, Y_FEW, X_unlabeled=X_REST)
    scaler = StandardScaler().fit(X_FEW)
    alone = clone(method).fit(scaler.transform(X_FEW), X_unlabeled=scaler.transform(X_REST))
    assert np.array_equal(pipe["ssl"].transform(X_IRIS), alone.transform(X_IRIS))
    assert pipe.score(X_REST, Y_REST) > 0.6
    plain = clone(pipe).fit(X_FEW, Y_FEW)  # without more rows it is an ordinary Pipeline
    assert not np.array_equal(plain["ssl"].transform(X_IRIS), alone.transform(X_IRIS))


def test_routing_has_to_be_asked_for(routing):
    pipe = Pipeline([("ssl", clone(METHODS[0])), ("clf", LogisticRegression())])
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="X_unlabeled"):
        pipe.fit(X_FEW, Y_FEW, X_unlabeled=X_REST)


def test_a_search_cuts_what_is_as_long_as_X(routing):
    """So unlabelled rows go into a search as rows of X with the label -1."""
    rows = []

    class Counted(SCARF):
        def fit(self, X, y=None, *, X_unlabeled=None):
            rows.append((len(X), len(X_unlabeled)))
            return super().fit(X, X_unlabeled=X_unlabeled)

    ssl = Counted(**CHEAP).set_fit_request(X_unlabeled=True)
    pipe = Pipeline([("ssl", ssl), ("clf", LogisticRegression(C=0.1))])
    search = GridSearchCV(pipe, {"ssl__corruption": [0.5]}, cv=2, refit=False)
    search.fit(X_FEW, Y_FEW, X_unlabeled=X_REST)
    search.fit(X_FEW, Y_FEW, X_unlabeled=X_REST[:60])
    assert rows == [(30, 90)] * 2 + [(30, 30)] * 2


# ---- frozen, searched, scored ------------------------------------------------------------


@every_method
def test_frozen_in_a_pipeline(method):
    encoder = make_pipeline(StandardScaler(), clone(method)).fit(X_IRIS)
    model = make_pipeline(FrozenEstimator(encoder), LogisticRegression()).fit(X_FEW, Y_FEW)
    assert model.score(X_REST, Y_REST) > 0.6
    assert np.array_equal(model[:-1].transform(X_IRIS), encoder.transform(X_IRIS))


@every_method
def test_cross_validated_and_searched(method):
    pipe = Pipeline([("ssl", clone(method)), ("clf", LogisticRegression())])
    scores = cross_val_score(pipe, X_IRIS, Y_IRIS, cv=3, error_score="raise")
    assert scores.shape == (3,) and scores.mean() > 0.6
    grid = {"ssl__learning_rate": [1e-3, 1e-2], "clf__C": [0.1, 1.0]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X_IRIS, Y_IRIS)
    assert len(search.cv_results_["params"]) == 4 and search.best_score_ > 0.6
    assert search.predict(X_IRIS).shape == (150,)


def test_the_encoder_is_refitted_in_each_fold():
    """An encoder that has seen the test rows would be a leak."""
    seen = []

    class Watched(SCARF):
        def fit(self, X, y=None, *, X_unlabeled=None):
            seen.append({tuple(row) for row in X})
            return super().fit(X, y, X_unlabeled=X_unlabeled)

    X = np.random.default_rng(0).normal(size=(60, 4))
    pipe = make_pipeline(Watched(**CHEAP), LogisticRegression())
    cross_val_score(pipe, X, np.arange(60) % 2, cv=3)
    assert [len(rows) for rows in seen] == [40, 40, 40]
    assert not seen[0] & seen[1] & seen[2]


# ---- side by side ------------------------------------------------------------------------


@every_method
def test_in_a_column_transformer(method):
    table = frame()
    numbers = ["age", "income"]
    columns = ColumnTransformer(
        [
            ("ssl", clone(method), make_column_selector(dtype_include=["number", "category"])),
            ("rest", OrdinalEncoder(), ["member"]),
        ]
    )
    Z = columns.fit_transform(table)
    assert Z.shape == (90, 9)
    ssl = columns.named_transformers_["ssl"]
    assert list(ssl.feature_names_in_) == ["age", "income", "city"]
    alone = clone(method).fit(table[["age", "income", "city"]])
    assert np.array_equal(
        Z[:, :8].astype(np.float32), alone.transform(table.drop(columns="member"))
    )
    name = type(method).__name__.lower()
    assert columns.get_feature_names_out()[0] == f"ssl__{name}0"
    by_position = ColumnTransformer([("ssl", clone(method), [0, 1])], remainder="passthrough")
    assert by_position.fit(table[numbers]).transform(table[numbers]).shape == (90, 8)
    columns.set_output(transform="pandas")
    out = columns.fit_transform(table)
    assert list(out.columns) == list(columns.get_feature_names_out())
    assert out.index.equals(table.index)


@every_method
def test_in_a_feature_union(method):
    union = FeatureUnion([("pca", PCA(2)), ("ssl", clone(method)), ("raw", "passthrough")])
    Z = union.fit_transform(X_IRIS)
    assert Z.shape == (150, 2 + 8 + 4)
    assert np.array_equal(Z[:, 2:10].astype(np.float32), clone(method).fit_transform(X_IRIS))
    names = union.get_feature_names_out()
    assert names[2] == f"ssl__{type(method).__name__.lower()}0" and len(names) == 14
    union.set_params(ssl__n_components=3)
    assert union.fit_transform(X_IRIS).shape == (150, 9)
    assert make_pipeline(union, LogisticRegression(max_iter=500)).fit(X_IRIS, Y_IRIS)


def test_in_stacking_and_calibration():
    pipe = make_pipeline(clone(METHODS[0]), LogisticRegression())
    stack = StackingClassifier([("ssl", pipe), ("raw", LogisticRegression(max_iter=500))], cv=2)
    assert stack.fit(X_IRIS, Y_IRIS).score(X_IRIS, Y_IRIS) > 0.8
    calibrated = CalibratedClassifierCV(pipe, cv=2).fit(X_IRIS, Y_IRIS)
    assert calibrated.predict_proba(X_IRIS).shape == (150, 3)


def test_one_embedding_on_another():
    pipe = make_pipeline(clone(METHODS[2]), clone(METHODS[0])).set_output(transform="pandas")
    out = pipe.fit_transform(frame())
    assert out.shape == (90, 8) and list(pipe[1].feature_names_in_)[0] == "denoisingautoencoder0"
