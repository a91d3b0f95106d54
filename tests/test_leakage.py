"""What an embedding gives away, and scores by group."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, LabelBudgetDisplay, PretrainedClassifier, label_budget_report
from skssl.metrics import attribute_leakage

random = np.random.default_rng(0)
SEX = random.choice(["f", "m"], 400)
Z = random.normal(size=(400, 6))
Z[:, 0] += SEX == "m"


def test_the_score_is_that_of_scikit_learn_s_own_functions():
    folds = StratifiedKFold(
        5, shuffle=True, random_state=np.random.RandomState(3).randint(2**31 - 1)
    )
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probability = cross_val_predict(probe, Z, SEX == "m", cv=folds, method="predict_proba")
    expected = roc_auc_score(SEX == "m", probability[:, 1])
    found = attribute_leakage(Z, SEX, random_state=3)
    assert found.loc["embedding", "score"] == pytest.approx(expected)
    assert found.attrs["score_name"] == "AUC" and list(found.index) == ["embedding", "chance"]


def test_what_is_there_is_found_and_what_is_not_is_not():
    found = attribute_leakage(Z, SEX, X=Z[:, [3]], random_state=0)
    assert found.loc["embedding", "low"] > 0.65
    for row in ("raw columns", "chance"):
        assert 0.4 < found.loc[row, "score"] < 0.6
    assert (found["low"] < found["score"]).all() and (found["score"] < found["high"]).all()


def test_raw_columns_are_read_as_a_frame():
    frame = pd.DataFrame(
        {"age": Z[:, 1], "title": pd.Categorical(np.where(SEX == "m", "Mr", "Ms"))}
    )
    frame.loc[::9, "age"] = np.nan
    found = attribute_leakage(Z, SEX, X=frame, random_state=0)
    assert found.loc["raw columns", "score"] > 0.99 > found.loc["embedding", "score"]


def test_several_classes_are_each_compared_with_the_rest():
    ages = np.digitize(Z[:, 0], [-0.5, 1])
    found = attribute_leakage(Z, ages, random_state=0)
    assert 0.8 < found.loc["embedding", "score"] < 1
    names = np.array(["young", "middle", "old"])[ages]
    assert attribute_leakage(Z, names, random_state=0).loc["embedding", "score"] > 0.8


def test_numbers_are_scored_by_r2():
    income = 3.0 * Z[:, 2] + np.random.default_rng(1).normal(size=400)
    found = attribute_leakage(Z, income, random_state=0)
    assert found.attrs["score_name"] == "R²"
    assert found.loc["embedding", "low"] > 0.8 and found.loc["chance", "high"] < 0.05
    other = attribute_leakage(Z, income, probe=LinearRegression(), random_state=0)
    assert other.loc["embedding", "score"] == pytest.approx(
        found.loc["embedding", "score"], abs=0.01
    )


def test_rows_without_the_attribute_are_left_out():
    known = np.arange(400) % 3 > 0
    some = [sex if k else None for sex, k in zip(SEX, known, strict=True)]
    expected = attribute_leakage(Z[known], SEX[known], X=Z[known], random_state=0)
    pd.testing.assert_frame_equal(attribute_leakage(Z, some, X=Z, random_state=0), expected)


def test_a_seed_is_a_seed():
    first, second, other = (attribute_leakage(Z, SEX, random_state=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (["a"] * 400, "at least two classes of at least cv=5 rows"),
        (["a"] * 398 + ["b"] * 2, "Pass a smaller cv"),
        (np.full(400, 0.5), "numbers that differ"),
        ([1.5] + [None] * 399, "at least 10 numbers"),
        ([1, "a"] * 200, "attribute mixes text and other labels"),
        ([["f", "m"]] * 400, "1d array"),
        ([np.inf, *range(399)], "attribute contains infinity. Mark rows without one"),
        (SEX[:50], "inconsistent numbers of samples"),
    ],
)
def test_attributes_that_cannot_be_probed(attribute, message):
    with pytest.raises((TypeError, ValueError), match=message):
        attribute_leakage(Z, attribute)


# ---- scores by group ---------------------------------------------------------------------

AGE = np.where(Z[:, 3] > 0, "old", "young")
DROP = dict.fromkeys(
    ["untrained encoder", "raw columns", "PCA", "extra trees", "random forest", "in context"],
    "drop",
)


class Knows(DummyClassifier):
    """Right about rows of which a column says so."""

    def predict(self, X):
        return np.where(np.asarray(X)[:, 1] > 0, np.asarray(X)[:, 0], -2).astype(int)


def report(sensitive_features, n_jobs=None):
    X = np.c_[np.arange(400) % 2, Z[:, 3], np.ones(400)]
    scarf = SCARF(max_epochs=0, n_components=2, random_state=0)
    return label_budget_report(
        X,
        np.arange(400) % 2,
        transformers={"SCARF": PretrainedClassifier(scarf, DummyClassifier())},
        baselines={**DROP, "knows the old": Knows()},
        budgets=[10],
        n_draws=2,
        cv=2,
        sensitive_features=sensitive_features,
        n_jobs=n_jobs,
        random_state=0,
    )


def test_a_report_has_a_score_for_each_group():
    found = report(AGE)
    assert list(found.columns[-2:]) == ["score[old]", "score[young]"]
    knows = found[found["method"] == "knows the old"]
    assert (knows["score[old]"] == 1).all() and (knows["score[young]"] == 0).all()
    n_old = (AGE == "old").mean()
    assert knows["score"].mean() == pytest.approx(n_old)
    plain = report(None)
    assert list(plain.columns) == list(found.columns[:-2])
    drop = ["fit_time", "score[old]", "score[young]"]
    pd.testing.assert_frame_equal(plain.drop(columns="fit_time"), found.drop(columns=drop))
    of_old = LabelBudgetDisplay(found.assign(score=found["score[old]"])).comparison()
    assert of_old["difference"].iloc[0] < 0


def test_several_attributes_are_columns_of_a_frame():
    sex = pd.Series(SEX, name="sex", dtype="category")
    assert "score[sex=m]" in report(sex)
    some = sex.astype(object).where(np.arange(400) > 100)
    found = report(pd.DataFrame({"sex": some, "age": AGE}))
    assert list(found.columns[-4:]) == [
        "score[sex=f]",
        "score[sex=m]",
        "score[age=old]",
        "score[age=young]",
    ]


def test_a_group_without_test_rows_has_no_score():
    rare = np.where(np.arange(400) == 7, "rare", "common")
    found = report(rare)
    assert found["score[rare]"].isna().sum() == len(found) / 2
    assert found["score[common]"].notna().all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (AGE[:5], r"sensitive_features must be of shape \(400,\)"),
        (Z, "or a dataframe with a column for each attribute"),
        (["nan"] * 400, "sensitive_features holds the text 'nan'"),
    ],
)
def test_groups_that_cannot_be_read(given, message):
    with pytest.raises(ValueError, match=message):
        report(given)
