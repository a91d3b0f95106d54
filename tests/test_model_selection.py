"""Splits and scorers where only some rows are labelled."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_predict,
    cross_validate,
)
from sklearn.preprocessing import StandardScaler

from skssl._data._labels import separate_labelled
from skssl.model_selection import FewLabelsKFold, UnlabeledKFold, labelled_scorer
from skssl.semi_supervised import PretrainedClassifier, PretrainedRegressor

NA = None


def arrow_strings(values):
    return pd.Series(pd.array(values, dtype=pd.ArrowDtype(pa.string())))


# The same labels, 0 1 ? 2 or a b ? c, as users hold them, and what is to be read.
NUMBERS = {
    "list with -1": [0, 1, -1, 2],
    "list with None": [0, 1, None, 2],
    "tuple": (0, 1, None, 2),
    "int array": np.array([0, 1, -1, 2]),
    "int8 array": np.array([0, 1, -1, 2], dtype=np.int8),
    "object array": np.array([0, 1, None, 2], dtype=object),
    "pandas int": pd.Series([0, 1, -1, 2], index=[7, 7, 8, 9]),
    "pandas Int64": pd.Series([0, 1, None, 2], dtype="Int64"),
    "pandas Int64 with -1": pd.Series([0, 1, -1, 2], dtype="Int64"),
    "pandas int64[pyarrow]": pd.Series([0, 1, None, 2], dtype="int64[pyarrow]"),
    "pandas category of int": pd.Series([0, 1, None, 2], dtype="Int64").astype("category"),
    "pandas extension array": pd.array([0, 1, None, 2], dtype="Int64"),
    "pandas frame": pd.DataFrame({"y": pd.array([0, 1, None, 2], dtype="Int64")}),
    "polars int": pl.Series([0, 1, None, 2]),
    "polars frame": pl.DataFrame({"y": [0, 1, None, 2]}),
    "Arrow array": pa.array([0, 1, None, 2]),
    "Arrow chunks": pa.chunked_array([[0, 1], [None, 2]]),
}
FLOATS = {
    "float array": np.array([0, 1, np.nan, 2]),
    "float array with -1": np.array([0, 1, -1.0, 2]),
    "pandas float": pd.Series([0, 1, None, 2]),
    "pandas Float64": pd.Series([0, 1, None, 2], dtype="Float64"),
    "polars NaN": pl.Series([0.0, 1.0, float("nan"), 2.0]),
    "list with NaN": [0.0, 1.0, float("nan"), 2.0],
    "list of rows": [[0.0], [1.0], [float("nan")], [2.0]],
}
STRINGS = {
    "list with None": ["a", "b", None, "c"],
    "list with -1": ["a", "b", -1, "c"],
    "list with NaN": ["a", "b", float("nan"), "c"],
    "list of rows": [["a"], ["b"], [None], ["c"]],
    "object array": np.array(["a", "b", None, "c"], dtype=object),
    "object array with NA": np.array(["a", "b", pd.NA, "c"], dtype=object),
    "numpy string": np.array(["a", "b", None, "c"], np.dtypes.StringDType(na_object=None)),
    "pandas str": pd.Series(["a", "b", None, "c"]),
    "pandas string": pd.Series(["a", "b", None, "c"], dtype="string"),
    "pandas object": pd.Series(["a", "b", None, "c"], dtype=object),
    "pandas object with -1": pd.Series(["a", "b", -1, "c"], dtype=object),
    "pandas category": pd.Series(["a", "b", None, "c"], dtype="category"),
    "pandas Categorical": pd.Categorical(["a", "b", None, "c"]),
    "pandas string[pyarrow]": arrow_strings(["a", "b", None, "c"]),
    "polars str": pl.Series(["a", "b", None, "c"]),
    "polars Categorical": pl.Series(["a", "b", None, "c"], dtype=pl.Categorical),
    "polars Enum": pl.Series(["a", "b", None, "c"], dtype=pl.Enum(["c", "b", "a"])),
    "Arrow array": pa.array(["a", "b", None, "c"]),
}
BOOLS = {
    "list": [False, True, None, True],
    "pandas boolean": pd.Series([False, True, None, True], dtype="boolean"),
    "pandas object": pd.Series([False, True, None, True], dtype=object),
    "polars": pl.Series([False, True, None, True]),
}
KINDS = [
    pytest.param(y, expected, kind, id=f"{kind}: {name}")
    for kinds, expected, kind in [
        (NUMBERS, [0, 1, 2], "i"),
        (FLOATS, [0, 1, 2], "f"),
        (STRINGS, ["a", "b", "c"], "OU"),
        (BOOLS, [False, True, True], "b"),
    ]
    for name, y in kinds.items()
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("y, expected, kind", KINDS)
def test_labels_of_every_kind_are_read(y, expected, kind):
    mask, labels = separate_labelled(y)
    np.testing.assert_array_equal(mask, [True, True, False, True])
    assert mask.dtype == bool
    assert labels.dtype.kind in kind
    assert labels.tolist() == expected


def test_fully_labelled_y_is_read():
    mask, labels = separate_labelled(np.array(["no", "yes"]))
    assert mask.all()
    assert labels.tolist() == ["no", "yes"]
    assert separate_labelled(np.array([3, 1], dtype=np.uint8))[1].dtype == np.uint8


@pytest.mark.parametrize(
    "y", [[1.5, -1, None], np.array([1.5, -1, np.nan]), pl.Series([1.5, -1.0, None])]
)
def test_minus_one_is_a_number_in_regression(y):
    mask, targets = separate_labelled(y, classes=False)
    np.testing.assert_array_equal(mask, [True, True, False])
    np.testing.assert_array_equal(targets, [1.5, -1])


@pytest.mark.parametrize(
    "y, message",
    [
        (np.array(["a", np.nan]), "holds the text 'nan'.*dtype=object"),
        (np.array(["a", -1]), "holds the text '-1'"),
        (pd.Series(["a", "-1"]), "holds the text '-1'"),
        (pl.Series(["a", "nan"], dtype=pl.Categorical), "holds the text 'nan'"),
        (["a", 1, None], "mixes text and other labels"),
        ([0.0, np.inf], "infinity"),
        (np.zeros((3, 2)), "1d array"),
        ([[0, 1], [1, 0]], "1d array.*got a list that holds a list"),
        ([0, [1]], "1d array.*got a list that holds a list"),
        ([[[0, 1], [1]]], "1d array.*got a list that holds a list"),
        (pd.Series([(0, 1), (1, 0)]), "1d array.*got one that holds a tuple"),
        ([1, 10**30, -7], f"y holds {10**30}, which is no number of 64 bits"),
        (pd.DataFrame({"a": [0], "b": [1]}), "1d array"),
    ],
)
def test_unclear_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        separate_labelled(y)


def test_records_are_refused():
    y = np.array([(0, 1)], dtype=[("a", int), ("b", int)])
    with pytest.raises(TypeError, match="y is an array of records.*Pass one of its fields"):
        separate_labelled(y)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, 0], dtype="int8"),
        pd.Series([1, None, 0], dtype="Int8"),
        pl.Series([1, None, 0], dtype=pl.Int8),
        pa.chunked_array([[1, None, 0]], pa.int8()),
    ],
    ids=["pandas", "pandas with a mask", "polars", "Arrow"],
)
def test_columns_keep_their_type(y):
    labels = separate_labelled(y)[1]
    assert labels.dtype == np.int8 and labels.tolist() == [1, 0]


@pytest.mark.parametrize("y", [["1", "2"], np.array(["a"], dtype=object), [1j], np.array([1, 1j])])
def test_regression_targets_are_numbers(y):
    with pytest.raises(ValueError, match="must be numbers|Complex data not supported"):
        separate_labelled(y, classes=False)


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    y_partly = np.where(np.random.default_rng(0).random(150) < 0.6, -1, y)
    return X, y, y_partly


def test_unlabelled_rows_join_every_training_set(iris):
    X, _, y = iris
    tested = []
    for train, test in UnlabeledKFold(4, shuffle=True, random_state=0).split(X, y):
        assert (y[test] != -1).all()
        assert set(np.flatnonzero(y == -1)) <= set(train)
        assert not set(train) & set(test)
        assert len(train) + len(test) == len(y)
        counts = np.bincount(y[test])
        np.testing.assert_allclose(counts, np.bincount(y[y != -1]) / 4, atol=1)
        tested.extend(test)
    assert sorted(tested) == np.flatnonzero(y != -1).tolist()


@pytest.mark.parametrize("cv", [5, StratifiedKFold(3), RepeatedStratifiedKFold(n_splits=2)])
def test_nothing_changes_without_unlabelled_rows(iris, cv):
    X, y, _ = iris
    inner = StratifiedKFold(5) if cv == 5 else cv
    if hasattr(inner, "random_state"):
        inner.random_state = None if isinstance(inner, StratifiedKFold) else 0
    ours, theirs = UnlabeledKFold(cv).split(X, y), inner.split(X, y)
    for (train, test), (train_, test_) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, train_)
        np.testing.assert_array_equal(test, test_)
    assert UnlabeledKFold(cv).get_n_splits(X, y) == inner.get_n_splits(X, y)


def test_unlabelled_rows_of_test_groups_stay_out():
    groups = np.repeat(np.arange(6), 5)
    y = np.tile([0, 1, -1, -1, 0], 6)
    for cv in (GroupKFold(3), LeaveOneGroupOut()):
        splits = list(UnlabeledKFold(cv).split(np.zeros((30, 1)), y, groups))
        assert len(splits) == UnlabeledKFold(cv).get_n_splits(None, y, groups)
        for train, test in splits:
            assert not set(groups[train]) & set(groups[test])
            unlabelled = np.flatnonzero((y == -1) & ~np.isin(groups, groups[test]))
            assert set(unlabelled) <= set(train)


def test_rows_of_no_group_always_join():
    groups = pd.Series(["a", "a", "b", "b", None, "b"])
    y = [0, 1, 0, 1, None, None]
    splits = list(UnlabeledKFold(LeaveOneGroupOut()).split(np.zeros((6, 1)), y, groups))
    assert [set(train.tolist()) for train, _ in splits] == [{2, 3, 4, 5}, {0, 1, 4}]


def test_labelled_rows_of_no_group_are_on_no_side():
    cv, y = UnlabeledKFold(LeaveOneGroupOut()), [0, 1, 0, None]
    with pytest.raises(ValueError, match="groups is missing in 1 labelled rows.*Give each a group"):
        next(cv.split(np.zeros((4, 1)), y, ["a", None, "b", None]))


class AsOftenAsItSays(KFold):
    """Splits as often as its first row says."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return int(X[0])


def test_the_number_of_splits():
    y = [0, None, 1, -1, 0]
    assert UnlabeledKFold(7).get_n_splits() == 7
    assert UnlabeledKFold(KFold(4)).get_n_splits() == 4
    assert UnlabeledKFold(LeaveOneOut()).get_n_splits(None, y) == 3
    assert UnlabeledKFold(LeaveOneGroupOut()).get_n_splits(None, y, list("abacc")) == 2
    assert UnlabeledKFold(AsOftenAsItSays()).get_n_splits(np.full(5, 6.0), y) == 6


def test_temporal_splits_of_labelled_rows():
    y = np.tile([0.5, np.nan], 10)
    for train, test in UnlabeledKFold(TimeSeriesSplit(3)).split(np.zeros((20, 1)), y):
        assert train[~np.isnan(y[train])].max() < test.min()


def test_numbers_are_split_like_numbers():
    y = np.array([0.5, -1, np.nan, 2, -1, 7.25])
    splits = list(UnlabeledKFold(5).split(np.zeros((6, 1)), y))
    assert sorted(np.concatenate([test for _, test in splits])) == [0, 1, 3, 4, 5]
    whole = np.arange(1.0, 21)  # whole numbers, each once: not worth an error or a warning
    sizes = [len(test) for _, test in UnlabeledKFold(5).split(np.zeros((20, 1)), whole)]
    assert sizes == [4] * 5


@pytest.mark.parametrize("shuffle", [False, True])
def test_classes_with_fewer_labels_than_folds(shuffle):
    y = np.array([0, 0, 1, 1, 2, 2, 3, -1])
    cv = UnlabeledKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    splits = list(cv.split(np.zeros((8, 1)), y))
    assert len(splits) == 5
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(7))
    for train, test in splits:
        assert {0, 1, 2} <= set(y[train])
        assert len(test)


def test_few_labels_folds_take_rows_in_turn():
    y = [0, 1, 0, 2, 1, 0]  # by label: rows 0, 2 and 5; 1 and 4; 3

    def folds(n_splits, test_singles):
        cv = FewLabelsKFold(n_splits, shuffle=False, test_singles=test_singles)
        found = [test.tolist() for _, test in cv.split(y, y)]
        assert len(found) == cv.get_n_splits(y, y)
        return found

    assert folds(2, False) == [[0, 4, 5], [1, 2]]
    assert folds(2, True) == [[0, 4, 5], [1, 2, 3]]
    assert folds(9, False) == [[0], [2], [5], [1], [4]]
    assert folds(9, True) == [[0], [2], [5], [1], [4], [3]]


def test_few_labels_folds_hold_every_class():
    y = np.repeat(list("abcdef"), [1, 1, 2, 3, 4, 7])
    cv = FewLabelsKFold(3)
    splits = list(cv.split(np.zeros((18, 1)), y))
    assert len(splits) == cv.get_n_splits(None, y) == 3
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(2, 18))
    for train, _ in splits:
        assert set(y[train]) == set("abcdef")
    assert FewLabelsKFold(5).get_n_splits(None, [0, 0, 1]) == 2


@pytest.mark.parametrize(
    "cv, y, message",
    [
        (UnlabeledKFold(3), None, "needs y"),
        (UnlabeledKFold(3), [-1] * 6, "No row of y is labelled"),
        (UnlabeledKFold(5), [0, 1, -1, -1, -1, -1], "need as many labelled rows, got 2"),
        (UnlabeledKFold("stratified"), [0, 1] * 3, "integer or a cross-validation splitter"),
        (UnlabeledKFold(KFold(2), shuffle=True), [0, 1] * 3, "set them on the splitter"),
        (UnlabeledKFold(2), [0, 1], "inconsistent numbers of samples"),
    ],
)
def test_bad_splits_say_why(cv, y, message):
    with pytest.raises(ValueError, match=message):
        next(cv.split(np.zeros((6, 1)), y))


def test_repr_shows_parameters():
    assert repr(UnlabeledKFold(3)) == "UnlabeledKFold(cv=3, random_state=None, shuffle=False)"


NAMED = ["accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss"]


@pytest.mark.parametrize(
    "kind",
    [
        lambda y: y,
        lambda y: np.where(y == -1, np.nan, y),
        lambda y: pd.Series(y).replace(-1, None).astype("Int64"),
        lambda y: pd.Series(y).map({0: "a", 1: "b", 2: "c"}),
        lambda y: pd.Series(y).map({0: "a", 1: "b", 2: "c"}).astype("category"),
        lambda y: pl.Series([None if v == -1 else "abc"[v] for v in y], dtype=pl.Categorical),
        lambda y: [None if v == -1 else "abc"[v] for v in y],
    ],
    ids=["int", "float", "Int64", "str", "category", "polars", "list"],
)
def test_named_scorers_in_searches(iris, kind):
    X, _, y = iris
    model = PretrainedClassifier(PCA(3), LogisticRegression(), passthrough=False)
    results = cross_validate(model, X, kind(y), cv=UnlabeledKFold(3), scoring=NAMED)
    assert all(results[f"test_{name}"].min() > -1 for name in NAMED)
    assert results["test_accuracy"].mean() > 0.85
    grid = {"transformer__n_components": [2, 3], "classifier__C": [0.1, 1]}
    search = GridSearchCV(model, grid, cv=UnlabeledKFold(3), scoring="f1_macro")
    assert search.fit(X, kind(y)).best_score_ > 0.85


def test_groups_reach_the_splitter_in_searches():
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = np.where(np.arange(40) % 4 < 2, np.arange(40) % 2, -1)
    groups = np.arange(40) // 8
    model = PretrainedClassifier(StandardScaler(), LogisticRegression(), passthrough=False)
    search = GridSearchCV(model, {}, cv=UnlabeledKFold(LeaveOneGroupOut()))
    assert search.fit(X, y, groups=groups).n_splits_ == 5
    with sklearn.config_context(enable_metadata_routing=True):
        assert search.fit(X, y, groups=groups).n_splits_ == 5
        plain = GridSearchCV(model, {}, cv=UnlabeledKFold(4))
        assert plain.fit(X, y).n_splits_ == 4


def test_labelled_scorer(iris):
    X, y, y_partly = iris
    model = PretrainedClassifier(PCA(3), LogisticRegression(), passthrough=False)
    scoring = {name: labelled_scorer(name) for name in ["accuracy", "neg_log_loss"]}
    for cv in (UnlabeledKFold(3), KFold(3, shuffle=True, random_state=0)):
        results = cross_validate(
            model, X, y_partly, cv=cv, scoring=scoring, return_train_score=True
        )
        assert results["train_accuracy"].min() > 0.9
        assert results["test_accuracy"].min() > 0.8
        assert results["train_neg_log_loss"].min() > -1
    model.fit(X, y_partly)
    rows = y_partly != -1
    weight = np.random.default_rng(0).random(150)
    scorer = labelled_scorer("accuracy")
    expected = model.score(X[rows], y[rows], sample_weight=weight[rows])
    assert scorer(model, X, y_partly, sample_weight=weight) == expected
    with pytest.raises(ValueError, match="nothing to score"):
        scorer(model, X, np.full(150, -1))


def test_labelled_scorer_takes_rows_of_what_has_one_for_each(iris):
    X, _, y = iris
    seen = {}

    def score(estimator, X, y, **given):
        seen.update(given)
        return len(y)

    given = {"sample_weight": np.arange(150), "beta": 0.5, "names": ["a", "b"]}
    assert labelled_scorer(score)(LogisticRegression(), X, y, **given) == (y != -1).sum()
    assert seen.pop("sample_weight").tolist() == np.flatnonzero(y != -1).tolist()
    assert seen == {"beta": 0.5, "names": ["a", "b"]}


def test_labelled_scorer_of_a_regression():
    X, y = load_diabetes(return_X_y=True)
    y -= y.mean()
    y[0] = -1
    y_partly = np.where(np.arange(len(y)) % 2, np.nan, y)
    model = PretrainedRegressor(PCA(5), Ridge(), passthrough=False).fit(X, y_partly)
    rows = np.arange(len(y)) % 2 == 0
    assert labelled_scorer("r2")(model, X, y_partly) == model.score(X[rows], y[rows])


def test_cross_val_predict_takes_labelled_rows(iris):
    X, y, y_partly = iris
    model = PretrainedClassifier(PCA(3), LogisticRegression(), passthrough=False)
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(model, X, y_partly, cv=UnlabeledKFold(3))
    rows = y_partly != -1
    predicted = cross_val_predict(model, X[rows], y[rows], cv=UnlabeledKFold(3))
    assert (predicted == y[rows]).mean() > 0.85


def test_stacking_sets_a_seed_that_an_unshuffled_cv_ignores():
    cv = UnlabeledKFold(3)
    cv.random_state = 0  # as StackingClassifier does
    y = np.arange(12) % 2
    expected = [test.tolist() for _, test in UnlabeledKFold(3).split(np.zeros((12, 1)), y)]
    assert [test.tolist() for _, test in cv.split(np.zeros((12, 1)), y)] == expected
