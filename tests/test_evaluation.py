"""The label budget: its protocol leaks nothing and pairs everything; its figure can be read."""

import random
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import (
    SCARF,
    LabelBudgetDisplay,
    MultiTask,
    PretrainedClassifier,
    PretrainedRegressor,
    SimCLR,
    UnlabeledKFold,
    label_budget_report,
)
from skssl.evaluation import _baselines
from skssl.evaluation._label_budget import _methods, _order

X, Y = load_iris(return_X_y=True)
IDS = np.arange(150.0)[:, None]  # rows that say which they are
SHORT = {"n_components": 8, "max_epochs": 1, "precision": "float32"}
NO_BASELINES = dict.fromkeys(
    ["untrained encoder", "raw columns", "PCA", "extra trees", "random forest", "in context"],
    "drop",
)
DUMMY = {**NO_BASELINES, "dummy": DummyClassifier()}


@pytest.fixture(autouse=True)
def small_forests(request, monkeypatch):
    """What is tested here is the same with any number of trees, but for margins."""
    if request.function not in WITH_MARGINS:
        monkeypatch.setattr(_baselines, "N_TREES", 30)


def scarf(**params):
    return PretrainedClassifier(SCARF(**{**SHORT, **params}), LogisticRegression(max_iter=1000))


class Recorder(TransformerMixin, BaseEstimator):
    """A transformer that writes down what it was fitted on."""

    seen: list = []

    def fit(self, X, y=None):
        assert y is None
        self.seen.append(np.sort(np.ravel(X)))
        self.is_fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X)


class LabelRecorder(ClassifierMixin, BaseEstimator):
    """A classifier that writes down the rows and labels it was fitted on."""

    seen: list = []

    def fit(self, X, y):
        order = np.argsort(np.ravel(X))
        self.seen.append((np.ravel(X)[order].astype(int), np.asarray(y)[order]))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


TESTED: list = []


def recording_scorer(estimator, X, y):
    TESTED.append((np.ravel(X).astype(int), y))
    return 0.0


@pytest.fixture
def recorded():
    for log in (Recorder.seen, LabelRecorder.seen, TESTED):
        log.clear()
    return Recorder.seen, LabelRecorder.seen, TESTED


def recording_report(y, **params):
    model = PretrainedClassifier(Recorder(), LabelRecorder(), passthrough=False)
    return label_budget_report(
        IDS,
        y,
        transformers={"recorder": model},
        baselines={**NO_BASELINES, "plain": LabelRecorder()},
        scoring=recording_scorer,
        **{"budgets": (6, 12), "n_draws": 2, "random_state": 0, **params},
    )


# -------------------------------------------------------------------------------- protocol


def test_the_report_is_tidy():
    report = label_budget_report(
        X, Y, transformers={"a": scarf()}, baselines=DUMMY, budgets=[12, 6], n_draws=2, cv=2
    )
    keys = ["method", "role", "budget", "split", "draw"]
    assert report.columns.tolist() == [*keys, "score", "fit_time"]
    assert len(report) == 2 * 2 * 2 * 2 and not report.duplicated(keys).any()
    assert report.drop_duplicates("method")[["method", "role"]].to_numpy().tolist() == [
        ["a", "pretrained"],
        ["dummy", "baseline"],
    ]
    assert report["score"].between(0, 1).all() and (report["fit_time"] > 0).all()


def test_pretraining_sees_every_training_row_once_a_split_and_no_test_row(recorded):
    pretrained, _, tested = recorded
    y = np.where(np.arange(150) % 3 == 0, Y, -1)
    recording_report(y, cv=3)
    assert len(pretrained) == 3
    test_parts = {tuple(rows) for rows, _ in tested}
    assert len(test_parts) == 3
    for seen, rows in zip(
        pretrained, dict.fromkeys(tuple(rows) for rows, _ in tested), strict=True
    ):
        assert np.array_equal(seen, np.setdiff1d(np.arange(150), rows))
        assert (y[list(rows)] != -1).all()
    assert sorted(sum(test_parts, ())) == np.flatnonzero(y != -1).tolist()


def test_every_method_gets_the_same_labels(recorded):
    _, fitted, tested = recorded
    recording_report(Y, cv=2)
    ours, theirs = fitted[: len(fitted) // 2], fitted[len(fitted) // 2 :]
    assert len(ours) == 2 * 2 * 2
    for (rows, labels), (other_rows, other_labels) in zip(ours, theirs, strict=True):
        assert np.array_equal(rows, other_rows) and np.array_equal(labels, other_labels)
        assert np.array_equal(labels, Y[rows])
    for (rows, _), (test_rows, test_labels) in zip(fitted, tested, strict=True):
        assert not set(rows) & set(test_rows)
        assert np.array_equal(test_labels, Y[test_rows])


def test_draws_have_the_budget_and_grow_with_it_and_differ(recorded):
    _, fitted, _ = recorded
    recording_report(Y, cv=2)
    for (few, labels), (more, more_labels) in zip(fitted[::2], fitted[1::2], strict=True):
        assert (len(few), len(more)) == (6, 12) and set(few) < set(more)
        assert set(labels) == set(more_labels) == {0, 1, 2}
    assert len({tuple(rows) for rows, _ in fitted}) == len(fitted) // 2


def test_every_beginning_of_an_order_is_stratified():
    labels = np.repeat(["a", "b", "c"], [600, 300, 3])
    order = _order(labels, True, np.random.RandomState(0))
    assert np.array_equal(np.sort(order), np.arange(len(labels)))
    assert set(labels[order[:3]]) == {"a", "b", "c"}
    for budget in (30, 90, 300):
        a, b, c = (np.count_nonzero(labels[order[:budget]] == name) for name in "abc")
        assert abs(a - 2 * budget / 3) <= 2 and abs(b - budget / 3) <= 2 and 1 <= c <= 2


@pytest.mark.parametrize("mark", [-1, np.nan, None, pd.NA], ids=str)
def test_marks_of_unlabelled_rows(mark, recorded):
    y = np.array(["a", "b", "c"], dtype=object)[Y] if mark is None else Y.astype(object)
    y[::2] = mark
    recording_report(y, cv=2)
    tested = np.concatenate([rows for rows, _ in recorded[2]])
    assert set(tested) == set(range(1, 150, 2))


def test_unlabelled_rows_of_a_test_group_are_not_pretrained_on(recorded):
    pretrained, _, tested = recorded
    groups = np.arange(150) % 10
    y = np.where(np.arange(150) < 30, Y[::-1], -1)
    y[:30] = np.arange(30) % 3
    recording_report(y, cv=GroupKFold(2), groups=groups)
    splits = dict.fromkeys(tuple(rows) for rows, _ in tested)
    for seen, rows in zip(pretrained, splits, strict=True):
        assert not set(groups[seen.astype(int)]) & set(groups[list(rows)])


def test_splitters_see_labelled_rows_and_ours_is_taken_as_it_is(recorded):
    y = np.where(np.arange(150) % 2, Y, -1)
    recording_report(y, cv=ShuffleSplit(1, test_size=20, random_state=0))
    assert {len(rows) for rows, _ in recorded[2]} == {20}
    recorded[2].clear()
    recording_report(y, cv=UnlabeledKFold(3))
    assert len({tuple(rows) for rows, _ in recorded[2]}) == 3


def test_the_untrained_encoder_is_the_first_transformer_before_its_first_step():
    report = label_budget_report(
        X,
        Y,
        transformers={"never trained": scarf(max_epochs=0), "trained": scarf(max_epochs=20)},
        baselines={**NO_BASELINES, "untrained encoder": scarf(max_epochs=0)},
        budgets=[6],
        n_draws=2,
        cv=2,
        random_state=0,
    )
    ours = label_budget_report(
        X,
        Y,
        transformers={"trained": scarf(max_epochs=20)},
        baselines={name: "drop" for name in NO_BASELINES if name != "untrained encoder"},
        budgets=[6],
        n_draws=2,
        cv=2,
        random_state=0,
    )
    by_method = {name: part["score"].tolist() for name, part in report.groupby("method")}
    assert by_method["never trained"] == by_method["untrained encoder"]
    assert (
        ours.groupby("method")["score"].apply(list)["untrained encoder"]
        == by_method["never trained"]
    )
    assert by_method["trained"] != by_method["never trained"]


def test_a_score_is_that_of_pretrained_classifier():
    model = PretrainedClassifier(SCARF(**SHORT, random_state=0), LogisticRegression(max_iter=1000))
    cv = UnlabeledKFold(2)
    report = label_budget_report(
        X,
        Y,
        transformers={"scarf": model},
        baselines=NO_BASELINES,
        budgets=[75],  # all labels of the training part: nothing is drawn
        n_draws=1,
        cv=cv,
    )
    parts = [(np.sort(train), test) for train, test in cv.split(X, Y)]
    expected = [model.fit(X[train], Y[train]).score(X[test], Y[test]) for train, test in parts]
    assert report["score"].tolist() == expected


def test_a_transformer_is_followed_by_the_defaults():
    for is_classes, cls in ((True, PretrainedClassifier), (False, PretrainedRegressor)):
        transformer = SCARF()
        (method,) = _methods(X, {"scarf": transformer}, NO_BASELINES, is_classes)
        assert type(method.estimator) is cls and method.estimator.transformer is transformer
        assert method.estimator.get_params(deep=False) == cls(transformer).get_params(deep=False)
        (method, *_) = _methods(X, None, None, is_classes)
        assert method.name == "MultiTask" and isinstance(method.estimator.transformer, MultiTask)


# ---------------------------------------------------------------------------------- inputs


def mixed_table(n=90):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    frame = pd.DataFrame(
        {
            "age": rng.normal(40 + 5 * y, 5, n),
            "city": pd.Categorical(rng.choice(["Rome", "Oslo", "Lima"], n)),
            "plan": np.where(rng.random(n) < 0.8, np.where(y, "paid", "free"), "trial"),
            "member": rng.random(n) < 0.3,
            "empty": np.nan,
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::5, "city"] = None
    return frame, np.array(["no", "yes"])[y]


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_with_categories_and_holes_and_text_labels(container):
    frame, y = mixed_table()
    if container is pl.DataFrame:
        frame = pl.from_pandas(frame)
    report = label_budget_report(
        frame, y, transformers={"scarf": scarf()}, budgets=[10], n_draws=1, cv=2, random_state=0
    )
    assert report["method"].unique().tolist() == ["scarf", *NO_BASELINES]
    means = report.groupby("method")["score"].mean()
    assert means[["raw columns", "extra trees", "random forest"]].min() > 0.6


def test_names_of_labels_change_nothing():
    params = {"transformers": {"a": scarf()}, "baselines": DUMMY, "budgets": [9], "cv": 2}
    reports = [
        label_budget_report(X, y, **params, random_state=0)
        for y in (Y, np.array(["a", "b", "c"])[Y], pd.Series(Y + 5.0))
    ]
    assert reports[0]["score"].tolist() == reports[1]["score"].tolist()
    assert reports[0]["score"].tolist() == reports[2]["score"].tolist()


def test_steps_before_the_transformer_stand_before_the_baselines_too():
    frame, y = mixed_table()
    frame["when"] = pd.Timestamp("2026-01-01")
    front = make_column_transformer((StandardScaler(), ["age"]), ("drop", ["when"]))
    pipe = PretrainedClassifier(make_pipeline(front, SCARF(**SHORT)), LogisticRegression())
    report = label_budget_report(
        frame, y, transformers={"scarf": pipe}, budgets=[6], n_draws=1, cv=2, random_state=0
    )
    assert report["method"].nunique() == 7 and report["score"].notna().all()


def test_regression():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    y = y.astype(float) + 0.25
    y[::4] = np.nan
    model = PretrainedRegressor(SCARF(**SHORT), Ridge())
    report = label_budget_report(
        X, y, transformers={"scarf": model}, budgets=(2, 100), n_draws=1, cv=2, random_state=0
    )
    assert report["method"].unique().tolist() == ["scarf", *NO_BASELINES]
    many = report[report["budget"] == 100].groupby("method")["score"].mean()
    assert many[["raw columns", "extra trees", "random forest"]].min() > 0.3
    assert report.attrs["score_name"] == "R²"


def test_whole_numbers_of_a_regression_have_to_be_said():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="214 different whole numbers.*task='regression'"):
        label_budget_report(X, y)
    model = PretrainedRegressor(SCARF(**SHORT), Ridge())
    baselines = {**NO_BASELINES, "mean": DummyRegressor()}
    report = label_budget_report(
        X,
        y.astype(int),
        transformers={"scarf": model},
        baselines=baselines,
        budgets=[20],
        n_draws=1,
        cv=2,
        task="regression",
    )
    assert (report.loc[report["method"] == "mean", "score"] < 0.01).all()


def test_inputs_are_not_written_and_global_random_states_untouched():
    frame, y = mixed_table()
    frozen = FrozenEstimator(SCARF(**SHORT).set_params(max_epochs=0, random_state=3).fit(frame))
    frozen.estimator.random_state = None  # what is frozen is not seeded either
    transformers = {"scarf": scarf(), "frozen": PretrainedClassifier(frozen, LogisticRegression())}
    copies = frame.copy(), y.copy()
    budgets = np.array([6])
    budgets.flags.writeable = y.flags.writeable = False
    params = {"baselines": DUMMY, "budgets": budgets, "n_draws": 1, "cv": 2, "random_state": 0}
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    label_budget_report(frame, y, transformers=transformers, **params)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    pd.testing.assert_frame_equal(frame, copies[0])
    assert np.array_equal(y, copies[1]) and list(transformers) == ["scarf", "frozen"]
    assert transformers["scarf"].random_state is None
    assert transformers["scarf"].transformer.random_state is None
    assert frozen.estimator.random_state is None
    assert set(DUMMY) == {*NO_BASELINES, "dummy"}


def test_seeds_and_processes():
    def report(seed, **params):
        return label_budget_report(
            X,
            Y,
            transformers={"scarf": scarf()},
            baselines={**NO_BASELINES, "trees": ExtraTreesClassifier(5)},
            budgets=[6],
            n_draws=2,
            cv=2,
            random_state=seed,
            **params,
        ).drop(columns="fit_time")

    first = report(0)
    pd.testing.assert_frame_equal(report(0), first)
    pd.testing.assert_frame_equal(report(0, n_jobs=2), first)
    assert report(1)["score"].tolist() != first["score"].tolist()


# ------------------------------------------------------------------------ what goes wrong


def test_budgets_that_cannot_be_drawn_are_left_out_with_a_warning():
    params = {"transformers": {"a": scarf()}, "baselines": NO_BASELINES, "n_draws": 1, "cv": 2}
    with pytest.warns(
        UserWarning, match=r"3 labels at least, one per class, and 75 at most"
    ) as seen:
        report = label_budget_report(X, Y, budgets=(2, 9, 500), **params)
    assert set(report["budget"]) == {9}
    assert seen[0].filename == __file__
    with pytest.raises(ValueError, match=r"75 at most.*got budgets=\[2, 500\].*label more rows"):
        label_budget_report(X, Y, budgets=(2, 500), **params)
    for budgets in ([], [0.5], 5, [[5]]):
        with pytest.raises(ValueError, match="budgets"):
            label_budget_report(X, Y, budgets=budgets, **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"transformers": {}}, "transformers is empty"),
        ({"transformers": SCARF()}, "'transformers' parameter"),
        ({"transformers": {"PCA": SCARF()}}, "both named 'PCA'"),
        ({"baselines": {"x": 3}}, "Baseline 'x' must be an estimator or 'drop', got 3"),
        ({"baselines": {"x": Ridge}}, "Baseline 'x' must be an estimator"),
        ({"n_draws": 0}, "'n_draws' parameter"),
        ({"cv": 1}, "'cv' parameter"),
        ({"task": "ranking"}, "'task' parameter"),
        ({"y": np.full(150, -1)}, "at least two classes, got 0 in 0 labelled rows"),
        ({"y": np.zeros(150)}, "at least two classes, got 1"),
        ({"y": Y[:9]}, "inconsistent numbers of samples"),
        ({"task": "regression", "y": np.array(["a", "b", "c"])[Y]}, "must be numbers"),
    ],
)
def test_errors(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        label_budget_report(X, **{"y": Y, **params})


def test_one_label_a_class_is_enough():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = label_budget_report(
            X, Y, transformers={"a": scarf()}, budgets=[3, 4], n_draws=1, cv=2
        )
    assert report["score"].notna().all()


# ---------------------------------------------------------------------------------- figure


def made_report(n_splits=3, n_draws=4, budgets=(5, 10, 20, 50)):
    """Seven methods whose scores all but coincide, two of them pretrained."""
    rng = np.random.default_rng(0)
    names = ["MultiTask", "SCARF", "untrained encoder", "raw columns", "PCA", "trees", "boosting"]
    rows = [
        (
            name,
            "pretrained" if i < 2 else "baseline",
            budget,
            split,
            draw,
            0.8 - 1 / budget - 0.002 * i + 0.03 * common,
            1.0,
        )
        for split in range(n_splits)
        for draw in range(n_draws)
        for budget in budgets
        for common in [rng.normal()]
        for i, name in enumerate(names)
    ]
    columns = ["method", "role", "budget", "split", "draw", "score", "fit_time"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_the_figure_has_a_line_a_band_and_a_name_for_each_method(plt):
    report = made_report()
    display = LabelBudgetDisplay.from_report(report, score_name="accuracy")
    names = report["method"].unique().tolist()
    assert [line.get_label() for line in display.lines_] == names
    assert [text.get_text() for text in display.texts_] == names
    assert len(display.fill_between_) == len(names) == len(display.ax_.lines)
    means = report[report["method"] == "PCA"].groupby("budget")["score"].mean()
    np.testing.assert_allclose(display.lines_[names.index("PCA")].get_ydata(), means)
    looks = {(line.get_color(), str(line.get_linestyle())) for line in display.lines_}
    assert len(looks) == len(names)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["5", "10", "20", "50"]
    assert "accuracy" in display.ax_.get_ylabel()


@pytest.mark.parametrize("budgets", [(5, 10, 20, 50), (5,), (5, 1000)], ids=str)
def test_names_neither_overlap_nor_leave_the_axes(plt, budgets):
    display = LabelBudgetDisplay.from_report(made_report(budgets=budgets))
    display.figure_.canvas.draw()
    boxes = sorted((t.get_window_extent() for t in display.texts_), key=lambda box: box.y0)
    for below, above in zip(boxes, boxes[1:], strict=False):
        assert above.y0 >= below.y0 + 0.8 * below.height
    assert max(box.x1 for box in boxes) <= display.figure_.bbox.x1
    ends = max(line.get_window_extent().x1 for line in display.lines_)
    assert min(box.x0 for box in boxes) > ends - 5


def test_the_figure_goes_where_it_is_told(plt):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    display = LabelBudgetDisplay(made_report())
    assert display.plot(ax=right) is display
    assert display.ax_ is right and display.figure_ is figure and not left.lines


def test_only_drawing_needs_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = LabelBudgetDisplay(made_report())
    assert len(display.summary()) == 7 * 4 and "±" in display.verdict()
    with pytest.raises(ImportError, match=r"pip install skssl\[plot\]"):
        display.plot()


def test_comparison_is_paired():
    report = made_report()
    table = LabelBudgetDisplay(report).comparison()
    assert table["pretrained"].unique().tolist() == ["MultiTask"]
    assert table["baseline"].unique().tolist() == ["untrained encoder"]
    np.testing.assert_allclose(table["difference"], 0.004)
    np.testing.assert_allclose(table["standard_error"], 0, atol=1e-12)  # all noise was common
    assert (table["n_draws"] == 12).all()
    assert (LabelBudgetDisplay(report).summary()["standard_error"] > 0.003).all()


def test_standard_errors_count_splits_where_draws_agree():
    report = made_report(n_splits=2, n_draws=2, budgets=(5,))
    report["score"] = report["split"].astype(float)  # draws agree, splits do not
    error = LabelBudgetDisplay(report).summary()["standard_error"]
    np.testing.assert_allclose(error, 0.5)  # of two means, 0 and 1
    report["score"] = report["draw"].astype(float)  # the other way round: four draws
    error = LabelBudgetDisplay(report).summary()["standard_error"]
    np.testing.assert_allclose(error, np.std([0, 1, 0, 1], ddof=1) / 2)


def test_one_pair_has_a_score_and_no_error(plt):
    display = LabelBudgetDisplay.from_report(made_report(n_splits=1, n_draws=1))
    assert display.summary()["standard_error"].isna().all()
    assert "over 1 paired draw:" in display.verdict()


def test_the_name_of_the_score():
    report = label_budget_report(
        X,
        Y,
        transformers={"a": scarf()},
        baselines=DUMMY,
        budgets=[6],
        n_draws=1,
        cv=2,
        scoring="balanced_accuracy",
    )
    assert "balanced accuracy" in LabelBudgetDisplay(report).verdict()
    assert "F1" in LabelBudgetDisplay(report, score_name="F1").verdict()


def test_displays_say_what_they_lack():
    report = made_report()
    with pytest.raises(ValueError, match=r"lacks the columns \['score'\]"):
        LabelBudgetDisplay(report.drop(columns="score"))
    with pytest.raises(ValueError, match="has no rows"):
        LabelBudgetDisplay(report[:0])
    with pytest.raises(ValueError, match="takes pretrained methods and baselines"):
        LabelBudgetDisplay(report[report["role"] == "baseline"]).comparison()


def test_images_are_beside_their_own_untrained_encoder():
    digits, y = load_digits(return_X_y=True)
    images = digits[:120].reshape(-1, 8, 8).astype(np.uint8)
    model = PretrainedClassifier(SimCLR(**SHORT), LogisticRegression())
    options = {"budgets": (20,), "n_draws": 2, "cv": 2, "random_state": 0}
    report = label_budget_report(images, y[:120], transformers={"SimCLR": model}, **options)
    assert set(report["method"]) == {"SimCLR", "untrained encoder"}
    assert report["score"].between(0, 1).all()


WITH_MARGINS = test_frames_with_categories_and_holes_and_text_labels, test_regression
