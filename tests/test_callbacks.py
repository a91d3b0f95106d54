"""scikit-learn's callbacks, on transformers and on what they stand in; and `verbose`."""

import itertools
import pickle
import re
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, VIME, DenoisingAutoencoder, MultiTask, PretrainedClassifier
from skssl._data._rows import Rows
from skssl._training import _loop
from skssl._training._epoch_end import Report

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:  # scikit-learn < 1.9: set_callbacks refuses whatever it is given
    ProgressBar = ScoringMonitor = dict

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
CHEAP = {
    "n_components": 8,
    "max_epochs": 5,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}
METHODS = [SCARF(**CHEAP), VIME(**CHEAP), DenoisingAutoencoder(**CHEAP), MultiTask(**CHEAP)]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


class Recorder:
    """Writes down every call."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, None, None))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, None, None))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.calls.append(("begin", context.task_name, X, y))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        self.calls.append(("end", context.task_name, X, y))

    @property
    def names(self):
        return [(hook, task) for hook, task, *_ in self.calls]


class Stop:
    """Stops after some epochs of a fit."""

    def __init__(self, after):
        self.after = after

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id + 1 >= self.after


class StopEverywhere(Stop):
    """The same, handed down from whatever it is set on."""

    max_propagation_depth = None


class Act(Stop):
    """Does something with each epoch's estimator."""

    def __init__(self, act):
        self.act = act

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.act(fitted_estimator)


class Fail(Recorder):
    """Raises at the end of the second epoch."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 1:
            raise self.error


def n_iter_of(step):
    """Return a scorer that tells how long a step of a pipeline was trained."""

    def score(estimator, X, y):
        return estimator[step].n_iter_

    return score


# ---- what callbacks see ------------------------------------------------------------------


@every_method
def test_the_order_of_calls(method):
    recorder = Recorder()
    clone(method).set_callbacks(recorder).fit(X_IRIS, Y_IRIS)
    epoch = [("begin", "epoch"), ("end", "epoch")]
    assert recorder.names == [
        ("setup", "fit"),
        ("begin", "fit"),
        *epoch * 5,
        ("end", "fit"),
        ("teardown", "fit"),
    ]


@pytest.mark.parametrize("X", [X_IRIS, pd.DataFrame(X_IRIS), X_IRIS.tolist()], ids=type)
def test_callbacks_see_the_user_s_data(X):
    for y in (Y_IRIS, None):
        recorder = Recorder()
        clone(METHODS[1]).set_callbacks(recorder).fit(X, y)
        assert all(x is X for hook, _, x, _ in recorder.calls if hook in ("begin", "end"))
        assert all(label is y for hook, *_, label in recorder.calls if hook in ("begin", "end"))


def test_the_tree_of_tasks():
    roots = []

    class Roots(Recorder):
        def on_fit_task_begin(self, estimator, context):
            roots.append((context.max_subtasks, context.parent, estimator, context.task_id))

    estimator = clone(METHODS[0]).set_callbacks(Roots()).fit(X_IRIS)
    assert [root[0] for root in roots] == [5] + [0] * 5
    assert roots[0][1] is None and all(root[1] is not None for root in roots[1:])
    assert all(root[2] is estimator for root in roots)
    assert [root[3] for root in roots[1:]] == list(range(5))


def test_a_stream_is_one_epoch_each():
    recorder = Recorder()
    estimator = clone(METHODS[0]).set_callbacks(recorder)
    for _ in range(2):
        recorder.calls.clear()
        estimator.partial_fit(X_IRIS)
        assert recorder.names.count(("end", "epoch")) == 1
        assert recorder.names[-1] == ("teardown", "fit")


def test_parts_of_a_long_epoch_are_tasks(monkeypatch):
    monkeypatch.setattr(_loop, "STEPS_PER_REPORT", 2)
    recorder = Recorder()
    fitted = clone(METHODS[0]).set_callbacks(recorder).fit(X_IRIS)  # 5 passes of 3 steps
    assert recorder.names.count(("end", "epoch")) == fitted.n_iter_ == 8


@every_method
def test_fitted_estimator_is_what_fit_ends_with(method):
    """Mid-training and final state are made in one place and cannot differ."""
    kept = []
    act = Act(lambda e: kept.append((e, e.transform(X_IRIS), e.n_iter_, set(vars(e)))))
    final = clone(method).set_callbacks(act).fit(X_IRIS)
    assert [n for _, _, n, _ in kept] == [1, 2, 3, 4, 5]
    last, Z, _, names = kept[-1]
    assert np.array_equal(Z, final.transform(X_IRIS))
    assert last.loss_curve_ == final.loss_curve_
    learnt = {name for name in vars(final) if name.endswith("_")}
    assert learnt <= names
    for name in ("encoder_", "decoder_"):
        assert hasattr(last, name) == hasattr(final, name)
    if hasattr(final, "decoder_"):
        assert np.array_equal(last.reconstruct(X_IRIS), final.reconstruct(X_IRIS))
    for estimator, then, n, _ in kept:  # training on does not reach what was given out
        assert np.array_equal(estimator.transform(X_IRIS), then)
        assert len(estimator.loss_curve_) == n
        assert not estimator.encoder_.training
    assert not np.array_equal(kept[0][1], Z)


@every_method
def test_a_callback_that_draws_numbers_changes_nothing(method):
    plain = clone(method).fit(X_IRIS)
    drawing = clone(method).set_callbacks(Act(lambda e: torch.rand(3))).fit(X_IRIS)
    assert drawing.loss_curve_ == plain.loss_curve_
    assert np.array_equal(drawing.transform(X_IRIS), plain.transform(X_IRIS))


def test_the_estimator_is_fitted_before_its_task_ends():
    class AtEnd(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "fit":
                self.Z = estimator.transform(X_IRIS)

    callback = AtEnd()
    fitted = clone(METHODS[0]).set_callbacks(callback).fit(X_IRIS)
    assert np.array_equal(callback.Z, fitted.transform(X_IRIS))


# ---- stopping ----------------------------------------------------------------------------


@every_method
def test_stop_a_transformer(method):
    fitted = clone(method).set_callbacks(Stop(3)).fit(X_IRIS)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 3
    whole = clone(method).fit(X_IRIS)
    assert fitted.loss_curve_ == whole.loss_curve_[:3]
    seen = []
    clone(method).set_callbacks(Act(lambda e: seen.append(e.transform(X_IRIS)))).fit(X_IRIS)
    assert np.array_equal(fitted.transform(X_IRIS), seen[2])
    assert clone(method).set_callbacks(Stop(99)).fit(X_IRIS).n_iter_ == 5


def test_one_of_several_callbacks_stops():
    recorder = Recorder()
    fitted = clone(METHODS[0]).set_callbacks(Stop(4), recorder, Stop(2)).fit(X_IRIS)
    assert fitted.n_iter_ == 2
    assert recorder.names[-3:] == [("end", "epoch"), ("end", "fit"), ("teardown", "fit")]
    assert recorder.names.count(("begin", "epoch")) == 2  # none is begun that is not trained


def test_callbacks_and_early_stopping():
    params = {"n_iter_no_change": 50, "max_epochs": 6}
    recorder = Recorder()
    fitted = clone(METHODS[1]).set_params(**params).set_callbacks(recorder, Stop(4)).fit(X_IRIS)
    assert fitted.n_iter_ == len(fitted.validation_loss_curve_) == 4
    patient = clone(METHODS[1]).set_params(n_iter_no_change=1, learning_rate=1e-30, max_epochs=60)
    fitted = patient.set_callbacks(recorder).fit(X_IRIS)
    assert fitted.n_iter_ < 60
    assert recorder.names.count(("end", "epoch")) == 4 + fitted.n_iter_


def test_stop_a_step_of_a_pipeline():
    pipe = make_pipeline(StandardScaler(), clone(METHODS[0]), LogisticRegression())
    pipe["scarf"].set_callbacks(Stop(2))
    assert pipe.fit(X_IRIS, Y_IRIS)["scarf"].n_iter_ == 2
    assert pipe.score(X_IRIS, Y_IRIS) > 0.5


def test_stop_from_the_pipeline():
    """A callback that is handed down stops every "epoch", and only those."""
    pipe = make_pipeline(StandardScaler(), clone(METHODS[0]), LogisticRegression())
    pipe.set_callbacks(StopEverywhere(2)).fit(X_IRIS, Y_IRIS)
    assert pipe["scarf"].n_iter_ == 2
    assert pipe["logisticregression"].n_iter_[0] > 2
    stuck = make_pipeline(clone(METHODS[0]), LogisticRegression()).set_callbacks(Stop(2))
    assert stuck.fit(X_IRIS, Y_IRIS)["scarf"].n_iter_ == 5  # one that is not stays there


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_stop_and_progress_in_a_search(n_jobs, capfd):
    pipe = make_pipeline(clone(METHODS[0]), LogisticRegression(C=0.01))
    pipe["scarf"].set_callbacks(Stop(2))
    search = GridSearchCV(
        pipe, {"scarf__corruption": [0.3, 0.6]}, cv=2, scoring=n_iter_of("scarf"), n_jobs=n_jobs
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    search.fit(X_IRIS, Y_IRIS)
    assert search.best_estimator_["scarf"].n_iter_ == 2
    assert (search.cv_results_["mean_test_score"] == 2).all()  # in the workers, too
    assert "SCARF" in capfd.readouterr().out


def test_stop_from_the_search():
    pipe = make_pipeline(clone(METHODS[0]), LogisticRegression(C=0.01))
    search = GridSearchCV(pipe, {"scarf__corruption": [0.6]}, cv=2, scoring=n_iter_of("scarf"))
    search.set_callbacks(StopEverywhere(3)).fit(X_IRIS, Y_IRIS)
    assert search.cv_results_["mean_test_score"] == [3] and search.best_estimator_[0].n_iter_ == 3


# ---- scikit-learn's own callbacks --------------------------------------------------------


@every_method
def test_progress_of_a_transformer(method, capfd):
    name = type(method).__name__
    clone(method).set_callbacks(ProgressBar()).fit(X_IRIS)
    out = capfd.readouterr().out
    assert re.search(rf"{name}.*100%", out) and out.count(name) >= 1
    clone(method).set_callbacks(ProgressBar(), Stop(2)).fit(X_IRIS)
    assert name in capfd.readouterr().out


def test_progress_of_a_pipeline(capfd):
    pipe = make_pipeline(StandardScaler(), clone(METHODS[0]), LogisticRegression())
    pipe.set_callbacks(ProgressBar()).fit(X_IRIS, Y_IRIS)
    out = capfd.readouterr().out
    assert "Pipeline" in out and "SCARF" in out


def test_progress_of_the_steps_of_a_search_is_asked_for(capfd):
    pipe = make_pipeline(clone(METHODS[0]), LogisticRegression(C=0.01))
    search = GridSearchCV(pipe, {"scarf__corruption": [0.6]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(X_IRIS, Y_IRIS)
    out = capfd.readouterr().out
    assert "GridSearchCV" in out and "SCARF" not in out  # its depth of 1 ends at the Pipeline


def probe(estimator, X, y):
    """Score a small classifier on the embedding."""
    Z = estimator.transform(X)
    return LogisticRegression(C=0.01).fit(Z, y).score(Z, y)


def test_scores_are_monitored():
    monitor = ScoringMonitor(scoring={"probe": probe})
    fitted = clone(METHODS[1]).set_params(max_epochs=3).set_callbacks(monitor).fit(X_IRIS, Y_IRIS)
    logged = [row["probe"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(logged) == 3 and all(0 < score <= 1 for score in logged)
    assert logged[-1] == probe(fitted, X_IRIS, Y_IRIS)
    plain = clone(METHODS[1]).set_params(max_epochs=3).fit(X_IRIS)
    assert fitted.loss_curve_ == plain.loss_curve_


def test_scores_of_a_step_are_monitored():
    pipe = make_pipeline(StandardScaler(), clone(METHODS[0]), LogisticRegression())
    monitor = ScoringMonitor(scoring={"probe": probe})
    pipe["scarf"].set_callbacks(monitor)
    pipe.fit(X_IRIS, Y_IRIS)  # the Pipeline hands y to its steps
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 5 and all(row["probe"] > 0.3 for row in rows)


# ---- failures ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("on purpose")], ids=repr)
@every_method
def test_an_interrupted_fit_leaves_no_trace(method, error):
    callback = Fail(error)
    estimator = clone(method).set_callbacks(callback)
    before = dict(vars(estimator))
    with pytest.raises(type(error)):
        estimator.fit(X_IRIS)
    assert vars(estimator) == before
    assert callback.names[-1] == ("teardown", "fit")
    assert callback.names.count(("setup", "fit")) == callback.names.count(("teardown", "fit"))
    estimator.set_callbacks().fit(X_IRIS)  # and it can be fitted
    Z, state = estimator.transform(X_IRIS), dict(vars(estimator))
    estimator.set_callbacks(Fail(error))
    with pytest.raises(type(error)):
        estimator.fit(X_IRIS + 1)
    estimator.set_callbacks()
    assert vars(estimator) == state
    assert np.array_equal(estimator.transform(X_IRIS), Z)


def test_an_interrupted_warm_start_goes_on_as_if_nothing_happened():
    kept = clone(METHODS[1]).set_params(warm_start=True).fit(X_IRIS)
    twin = pickle.loads(pickle.dumps(kept))
    twin.set_callbacks(Fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        twin.fit(X_IRIS)
    assert np.array_equal(twin.transform(X_IRIS), kept.transform(X_IRIS))
    again = twin.set_callbacks().fit(X_IRIS).loss_curve_
    np.testing.assert_allclose(again, kept.fit(X_IRIS).loss_curve_, rtol=0.2)


def test_an_interrupted_pipeline_leaves_the_step_as_it_was():
    pipe = make_pipeline(clone(METHODS[0]), LogisticRegression()).fit(X_IRIS, Y_IRIS)
    Z = pipe[0].transform(X_IRIS)
    pipe[0].set_callbacks(Fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        pipe.fit(X_IRIS * 2, Y_IRIS)
    assert np.array_equal(pipe[0].transform(X_IRIS), Z)


def test_callbacks_are_torn_down_after_a_failure_of_ours():
    recorder = Recorder()
    broken = clone(METHODS[0]).set_params(views=lambda x: [x]).set_callbacks(recorder)
    with pytest.raises(ValueError, match="compares 2 views"):
        broken.fit(X_IRIS)
    assert recorder.names[0] == ("setup", "fit") and recorder.names[-1] == ("teardown", "fit")
    recorder.calls.clear()
    with pytest.raises(ValueError, match="infinity"):  # bad data is said before any task
        broken.fit(np.full((9, 4), np.inf))
    assert ("begin", "fit") not in recorder.names


def test_what_is_no_callback_is_said():
    with pytest.raises(TypeError, match="FitCallback"):
        SCARF().set_callbacks(print)


# ---- copies ------------------------------------------------------------------------------


@every_method
def test_copies_keep_their_callbacks(method):
    fitted = clone(method).set_callbacks(Stop(2)).fit(X_IRIS)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.transform(X_IRIS), fitted.transform(X_IRIS))
    assert again.set_params(max_epochs=4).fit(X_IRIS).n_iter_ == 2
    assert clone(fitted).fit(X_IRIS).n_iter_ == 2
    assert clone(fitted).set_callbacks().fit(X_IRIS).n_iter_ == 5


# ---- verbose -----------------------------------------------------------------------------


@every_method
def test_verbose_prints_a_line_an_epoch(method, capsys):
    quiet = clone(method).fit(X_IRIS)
    assert capsys.readouterr().out == ""
    fitted = clone(method).set_params(verbose=True).fit(X_IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and fitted.loss_curve_ == quiet.loss_curve_
    for i, (line, loss) in enumerate(zip(lines, fitted.loss_curve_, strict=True), 1):
        assert line.startswith(f"[{type(method).__name__}] epoch {i}/5, loss {loss:.4f}")
        assert re.search(r", [\d.]+ s, about \d+ s left$", line)
    assert lines[-1].endswith("about 0 s left")


def test_verbose_tells_the_held_out_loss(capsys):
    fitted = clone(METHODS[0]).set_params(verbose=1, n_iter_no_change=9).fit(X_IRIS)
    lines = capsys.readouterr().out.splitlines()
    for line, value in zip(lines, fitted.validation_loss_curve_, strict=True):
        assert f"held out {value:.4f}" in line


def report(**attributes):
    """What lines are printed from."""
    estimator = clone(METHODS[0])
    estimator._reader = SimpleNamespace(modality="series")
    sample, net = Rows(torch.zeros(4, 1, 7)), SimpleNamespace(n_rows=99)
    given = {"estimator": estimator, "sample": sample, "net": net, "n_epochs": 5, "times": []}
    given |= {"has_told": False, "patience": None, "start": 4.0, "follow": None}
    return SimpleNamespace(**given | attributes)


def test_verbose_tells_the_time_that_is_left(capsys, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: 10.0)
    told = report()
    Report._print(told, [0.5, 0.25])
    end = "] epoch 2/5, loss 0.2500, 6.0 s, about 9 s left\n"
    assert capsys.readouterr().out.endswith(end) and told.has_told


@pytest.mark.parametrize(
    ("n_steps", "between", "n_timed", "seconds"),
    [(100, 0.4, 3, 40), (100, 2.0, 1, 200), (4, 0.3, 3, 1), (1, 0.3, 0, 0)],
)
def test_the_time_of_a_fit_is_told_once_steps_are_timed(
    n_steps, between, n_timed, seconds, capsys, monkeypatch
):
    """After a second of steps, or at the last one."""
    now = itertools.count(50.0, between)
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    told = report(plan=SimpleNamespace(n_steps=n_steps), attributes=dict)
    told.follow = lambda attributes, total: f", then {2 * total:.0f} s"  # of a meta-estimator
    for _ in range(n_timed):
        Report.step(told)
    assert capsys.readouterr().out == ""
    Report.step(told)
    end = f"5 epochs, {n_steps} steps, about {seconds} s, then {2 * seconds} s\n"
    assert capsys.readouterr().out.endswith(f"99 rows (series, 1 x 7): {end}")
    assert told.start == pytest.approx(4 + between)  # what follows is asked in between
    Report.step(told)
    assert capsys.readouterr().out == ""


# ---- meta-estimators ---------------------------------------------------------------------

Y_FEW = np.where(np.arange(150) % 5 == 0, Y_IRIS, -1)


def test_callbacks_of_a_meta_estimator(capfd):
    model = PretrainedClassifier(clone(METHODS[0]), LogisticRegression(C=0.1), random_state=0)
    model.set_callbacks(ProgressBar()).fit(X_IRIS, Y_FEW)
    out = capfd.readouterr().out
    assert "PretrainedClassifier" in out and "SCARF" in out
    assert model.transformer_.n_iter_ == 5
    model.set_callbacks(StopEverywhere(2)).fit(X_IRIS, Y_FEW)
    assert model.transformer_.n_iter_ == 2
    model.set_callbacks()
    model.transformer.set_callbacks(Stop(3))
    assert model.fit(X_IRIS, Y_FEW).transformer_.n_iter_ == 3


def test_callbacks_of_a_search_over_a_meta_estimator(capfd):
    model = PretrainedClassifier(clone(METHODS[0]), LogisticRegression(C=0.1), random_state=0)
    search = GridSearchCV(model, {"transformer__corruption": [0.3, 0.6]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None), StopEverywhere(2))
    search.fit(X_IRIS, Y_FEW)
    assert search.best_estimator_.transformer_.n_iter_ == 2
    assert "SCARF" in capfd.readouterr().out


def test_an_interrupted_meta_estimator_is_left_as_it_was():
    model = PretrainedClassifier(clone(METHODS[0]), LogisticRegression(C=0.1), random_state=0)
    model.fit(X_IRIS, Y_FEW)
    state, expected = dict(vars(model)), model.predict_proba(X_IRIS)
    callback = Fail(KeyboardInterrupt())
    model.transformer.set_callbacks(callback)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X_IRIS * 2, Y_FEW)
    assert callback.names[-1] == ("teardown", "fit")
    assert vars(model) == state
    assert np.array_equal(model.predict_proba(X_IRIS), expected)
