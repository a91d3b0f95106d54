"""What users ran into who searched, waited and looked inside: the right value of each.

====== ================================= ======================================================
number kind                              cousins looked for, and what was found
====== ================================= ======================================================
31     parameters of numpy's types       every numeric parameter of every estimator, each width,
                                         truth values and texts: ``batch_size`` failed everywhere,
                                         ``n_components`` in recurrent nets. Functions and
                                         callbacks: sums of narrow integers overflowed. Numbers
                                         too large: torch's errors, hours (``sampling_rate``), or
                                         weights that became NaN in the last step without a word.
25     the default ensemble as a table   classifier, regressor, with and without raw columns and
                                         held-out labels, with fine-tuning, Pipelines, frozen ones,
                                         searches, saved models; estimators without an ensemble.
24     waiting without a word            choosing among models, fine-tuning, the fine-tuned half of
                                         predictions on images: callbacks saw one task, or nothing.
                                         ``verbose`` of transformers told no length before the
                                         first epoch was over, meta-estimators and detectors had
                                         no ``verbose``. Then it told the length of pretraining
                                         alone; that of the choice later, from its first models,
                                         of which the last take longest: a fifth of the truth. Now
                                         one line has all stages, with frozen, cached, foreign
                                         transformers, Pipelines, searches, one label, images;
                                         reports of label budgets, too.
35     what the sdist holds              helpers and saved models of the tests, guides, changelog,
                                         docs, examples, ``py.typed``: all there since ``make dist``
                                         checks them. The project has no address yet, so none is
                                         named.
====== ================================= ======================================================
"""

import copy
import re
import shutil
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from test_common import CHEAP, EVERY, X_IRIS, Y_IRIS, audio, bags, name_of, texts

import skssl
from skssl import SCARF, CoLES, MembersDisplay
from skssl._compat import CallbackSupportMixin, Interval
from skssl._data._rows import Rows
from skssl._meta import _fitting, _forecast
from skssl._meta._raw_columns import RawColumns
from skssl._training import _epoch_end, _loop
from skssl.callbacks import Checkpoint, EarlyStopping, TimeBudget
from skssl.curation import kneighbors
from skssl.evaluation import _work
from skssl.inspection import members
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised import _base, _ensemble, _ensemble_time, _linear
from skssl.semi_supervised._ensemble import Ensemble
from skssl.semi_supervised._linear import LinearRegressor
from skssl.semi_supervised._propagation import NeighborGraph

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
REALS = [np.float16, np.float32, np.float64, np.longdouble]

# ---------------------------------------------------------------- 31: numbers as parameters


def numbers_of(estimator):
    """Return the parameters of an estimator that are checked to be numbers: name, interval."""
    return {
        name: interval
        for name, constraints in estimator._parameter_constraints.items()
        for interval in constraints
        if isinstance(interval, Interval)
    }


@pytest.mark.parametrize("estimator", EVERY, ids=name_of)
def test_parameters_of_numpy_are_numbers_of_python(estimator):
    estimator = type(estimator)()
    for name, interval in numbers_of(estimator).items():
        whole = interval.type.__name__ == "Integral"
        for number in [*INTEGERS, *(() if whole else REALS)]:
            value = number(1 if number in INTEGERS else 0.5)
            estimator.set_params(**{name: value})
            assert type(getattr(estimator, name)) is (int if number in INTEGERS else float)
            assert estimator.get_params()[name] == value
    for value, python in ((np.True_, bool), (np.str_("auto"), str)):
        name = next(iter(estimator.get_params()))
        estimator.set_params(**{name: value})
        assert type(getattr(estimator, name)) is python


def test_a_search_over_an_array_of_numbers():
    """Sums of narrow integers would overflow: 100 + 100 is no int8."""
    number = np.int8
    model = skssl.PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(), random_state=0)
    grid = {"transformer__batch_size": np.array([16, 100], number)}
    grid["transformer__n_components"] = np.array([8], number)
    search = GridSearchCV(model, grid, cv=2).fit(X_IRIS, Y_IRIS)
    same = GridSearchCV(model, {name: values.tolist() for name, values in grid.items()}, cv=2)
    scores = same.fit(X_IRIS, Y_IRIS).cv_results_["mean_test_score"]
    assert np.array_equal(search.cv_results_["mean_test_score"], scores)


def fits_of_numbers():
    few = {"max_epochs": np.int8(1), "batch_size": np.uint8(16), "random_state": np.int16(0)}
    classes = np.where(np.arange(len(Y_IRIS)) % 3, Y_IRIS, -1)
    rate = np.float16(0.001)
    scarf = SCARF(**few, n_components=np.uint8(8), temperature=np.float16(0.5))
    tuned = skssl.FineTunedClassifier(scarf, learning_rate=rate, **few)
    detector = skssl.EmbeddingOutlierDetector(scarf, n_neighbors=np.int8(5))
    waves = skssl.HiddenUnit(**few, sampling_rate=np.int16(8000), n_units=np.uint8(9))
    return {
        "recurrent": (CoLES(**few, n_components=np.int64(8), max_events=np.int8(9)), bags(), None),
        "audio": (waves, audio(), None),
        "fine-tuned": (tuned, X_IRIS, classes),
        "detector": (detector, X_IRIS, None),
        "text": (skssl.TextTokenizer(vocab_size=np.int16(300)), texts(), None),
        "prototypes": (skssl.PrototypeClassifier(temperature=np.float32(0.5)), X_IRIS, Y_IRIS),
    }


@pytest.mark.parametrize("what", fits_of_numbers())
def test_fits_with_numbers_of_numpy(what):
    estimator, X, y = fits_of_numbers()[what]
    fitted = estimator.fit(X, y)
    assert len(getattr(fitted, "transform", getattr(fitted, "predict", None))(X)) == len(X)


def test_functions_and_callbacks_take_numbers_of_numpy(tmp_path):
    Z = np.random.default_rng(0).normal(size=(300, 2))
    rows = kneighbors(Z, n_neighbors=np.uint8(255))[1]
    assert np.array_equal(rows, kneighbors(Z, n_neighbors=255)[1])
    chosen = skssl.select_to_label(Z, n=np.uint8(200), random_state=np.int8(3))
    assert np.array_equal(chosen, skssl.select_to_label(Z, n=200, random_state=3))
    assert type(EarlyStopping(patience=np.int8(5)).patience) is int
    assert type(TimeBudget(np.float16(0.5)).seconds) is float
    with np.printoptions(legacy="1.13"):  # which prints 12 digits
        assert skssl.SCARF(temperature=np.float64(1 / 3)).temperature == 1 / 3
    assert type(Checkpoint(tmp_path, every=np.uint8(9)).every) is int
    with pytest.raises(ValueError, match="'n_neighbors' parameter of kneighbors.* 2147483647; got"):
        kneighbors(Z, n_neighbors=10**30)


@pytest.mark.parametrize("estimator", EVERY, ids=name_of)
def test_absurd_numbers_are_refused(estimator):
    for name, interval in numbers_of(estimator).items():
        for value in (10**30, 10**400) if interval.type.__name__ == "Integral" else (10**400,):
            absurd = type(estimator)(**{name: value})
            with pytest.raises(ValueError, match=f"The {name!r} parameter of {name_of(estimator)}"):
                absurd._validate_params()


def test_what_needs_too_much_memory_says_so():
    """The allocator refuses; no machine has 10 TB."""
    huge = SCARF(**CHEAP, encoder=lambda x: torch.nn.Linear(x.shape[1], 2**40))
    with pytest.raises(MemoryError, match=r"(?s)SCARF\(.*needs more memory than there is: .*Lower"):
        huge.fit(X_IRIS)
    assert not hasattr(huge, "encoder_")


def test_the_last_step_may_not_end_in_nan():
    method = CoLES(**CHEAP, weight_decay=1e30, random_state=0)
    with pytest.raises(ValueError, match=r"A weight became .* in epoch 2. Lower learning_rate"):
        method.fit(bags())


# ---------------------------------------------------------------- 25: the default ensemble


def with_ensemble(kind=skssl.PretrainedClassifier, y=Y_IRIS, **params):
    return kind(SCARF(**CHEAP), random_state=0, **params).fit(X_IRIS, y)


@pytest.fixture(scope="module")
def classifier():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ensemble, "N_TREES", 9)
        yield with_ensemble()


def test_members_are_a_table_of_what_predicts(classifier):
    table = members(classifier)
    assert list(table.columns) == ["weight", "model", "reads", "held_out_loss"]
    assert len(table) == len(classifier.classifier_.members_)
    assert table["weight"].sum() == pytest.approx(1) and table["weight"].is_monotonic_decreasing
    assert table["held_out_loss"].between(0, 3).all()
    assert not table.duplicated(["model", "reads"]).any()
    shares = [f"{100 - raw}% embedding, {raw}% raw columns" for raw in (10, 50, 90)]
    assert set(table["reads"]) <= {"embedding", "raw columns", *shares}
    assert table["model"].str.match(r"[a-z ]+, \w+=[\w.]+(, power=\d)?$").all()


def test_held_out_losses_are_those_that_choose(classifier):
    """A member alone, fitted to the folds, has the loss that the table says."""
    ensemble = classifier.classifier_
    folds = list(FewLabelsKFold(5).split(Y_IRIS, Y_IRIS))
    Z = classifier._join(classifier._see(X_IRIS))
    held_out = np.concatenate([test for _, test in folds])
    for (_, member), loss in zip(ensemble.members_, ensemble.held_out_losses_, strict=True):
        if member.features[0] == "scaled":  # the trees
            read = ensemble.features_[member.features].transform(Z)
            p = ensemble._out_of_fold(member, {member.features: read}, Y_IRIS, folds)
            assert loss == pytest.approx(ensemble._loss_of(Y_IRIS[held_out])(p[None])[0])
            return
    raise AssertionError("no member reads scaled columns")


@pytest.mark.parametrize("around", ["pipeline", "frozen", "search", "ensemble", "saved"])
def test_members_of_what_is_around_the_model(around, classifier, tmp_path):
    skssl.save(classifier, tmp_path / "model.skssl")
    search = GridSearchCV(skssl.PretrainedClassifier(), {"passthrough": [True]})
    search.best_estimator_ = classifier
    model = {
        "pipeline": make_pipeline(FunctionTransformer(), classifier),
        "frozen": FrozenEstimator(classifier),
        "search": search,
        "ensemble": classifier.classifier_,
        "saved": skssl.load(tmp_path / "model.skssl"),
    }[around]
    assert members(model).equals(members(classifier))


def test_members_of_other_models():
    few = np.where(np.arange(len(Y_IRIS)) % 25, -1, Y_IRIS)
    table = members(with_ensemble(y=few, passthrough=False))
    assert set(table["reads"]) == {"embedding"}
    targets = np.full(len(X_IRIS), np.nan)
    targets[0] = 1.0
    one_label = members(with_ensemble(skssl.PretrainedRegressor, targets))
    assert one_label["held_out_loss"].isna().all() and one_label["weight"].sum() == pytest.approx(1)
    assert one_label["model"].str.contains("ridge regression|target propagation|trees|forest").all()


def test_a_fine_tuned_encoder_is_half_of_the_prediction(classifier):
    tuned = copy.copy(classifier)
    tuned.fine_tuned_ = object()
    table = members(tuned)
    assert table["model"][0] == "fine-tuned encoder" and table["weight"][0] == 0.5
    assert table["weight"].sum() == pytest.approx(1)


def test_members_of_what_has_none():
    for model in (LogisticRegression(), SCARF(**CHEAP)):
        with pytest.raises(TypeError, match="default ensemble.*Leave classifier= or regressor="):
            members(model.fit(X_IRIS, Y_IRIS))
    model = skssl.PretrainedClassifier(SCARF(**CHEAP), LogisticRegression()).fit(X_IRIS, Y_IRIS)
    with pytest.raises(TypeError, match="ends in LogisticRegression"):
        members(model)
    with pytest.raises(NotFittedError):
        members(skssl.PretrainedClassifier())


def test_members_are_drawn(classifier):
    plt = pytest.importorskip("matplotlib.pyplot")
    table = members(classifier)
    ax = plt.figure().subplots()
    display = MembersDisplay.from_estimator(classifier, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert [bar.get_width() for bar in display.bars_] == table["weight"].tolist()
    assert [text.get_text() for text in display.texts_] == [
        f"{loss:.3g}" for loss in table["held_out_loss"]
    ]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[0] == f"{table['model'][0]}\n{table['reads'][0]}"
    with pytest.raises(ValueError, match="lacks the columns.*skssl.inspection.members"):
        MembersDisplay(table[["weight"]])
    plt.close("all")


# ---------------------------------------------------------------- 35: the sdist

ROOT = Path(__file__).parents[1]
GENERATED = shutil.ignore_patterns("__pycache__", "_build", "auto_examples", "generated", "sg_*")


def test_the_sdist_holds_tests_with_their_helpers_guides_and_docs(tmp_path):
    pytest.importorskip("setuptools", "77", reason="builds the sdist")
    source, build = (
        tmp_path / "source",
        "from setuptools import build_meta as b; b.build_sdist('.')",
    )
    for folder in ("skssl", "tests", "docs"):
        shutil.copytree(ROOT / folder, source / folder, ignore=GENERATED)
    for path in ROOT.glob("*.*"):
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    shutil.copy(ROOT / "LICENSE", source)
    given = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = source.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        held = {member.name.partition("/")[2] for member in file.getmembers()}
    assert given <= held, sorted(given - held)
    assert {"tests/pretend_device.py", "CHANGELOG.md", "docs/index.rst", "conftest.py"} <= given
    assert {f"tests/saved/{path.name}" for path in (ROOT / "tests" / "saved").iterdir()} <= held


# ---------------------------------------------------------------- 24: what is waited for


class Tasks:
    """Notes the tasks that end: their names, and how many parts they said they have."""

    max_propagation_depth = None

    def __init__(self):
        self.ended = []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        torch.rand(3)

    def on_fit_task_end(self, estimator, context):
        torch.rand(3)
        self.ended.append((context.task_name, context.max_subtasks))

    def parts(self, name):
        """Return the number of parts that a task said it has, and the number that ended."""
        said = max(n for task, n in self.ended if task == name)
        return said, sum(task == f"{name}-part" for task, _ in self.ended)


class Noted:
    """A task that notes what is told of it, and draws as a callback may."""

    def __init__(self, notes, name="fit", n_parts=None):
        self.notes, self.name, self.n_parts = notes, name, n_parts

    def subcontext(self, *, task_name, max_subtasks):
        return Noted(self.notes, task_name, max_subtasks)

    def call_on_fit_task_begin(self, **given):
        self.notes.append(("begin", self.name, self.n_parts, given, torch.rand(1).item()))
        return self

    def call_on_fit_task_end(self, **given):
        self.notes.append(("end", self.name, self.n_parts, given, torch.rand(1).item()))


def test_callbacks_see_the_parts_of_a_stage_and_its_rows():
    notes, before = [], torch.get_rng_state()
    stage = _fitting.Stage("owner", Noted(notes), "compare", X_IRIS, Y_IRIS)
    assert list(stage.each("ab")) == ["a", "b"]
    stage.end()
    _fitting.Stage("owner", Noted(notes), "idle", X_IRIS, Y_IRIS).end()
    part = [("begin", "compare-part", 0), ("end", "compare-part", 0)]
    whole = [("begin", "compare", 2), *part, *part, ("end", "compare", 2)]
    assert [note[:3] for note in notes] == [*whole, ("begin", "idle", 0), ("end", "idle", 0)]
    for *_, given, _ in notes:
        assert given.keys() == {"estimator", "X", "y"} and given["estimator"] == "owner"
        assert given["X"] is X_IRIS and given["y"] is Y_IRIS
    assert torch.equal(torch.get_rng_state(), before)


needs_callbacks = pytest.mark.skipif(
    CallbackSupportMixin.__module__ == "skssl._compat", reason="callbacks need scikit-learn 1.9"
)


@needs_callbacks
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_callbacks_cover_the_choice_of_the_ensemble(kind, monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 3)
    cls = getattr(skssl, f"Pretrained{kind.title()}")
    few = np.where(np.arange(len(Y_IRIS)) % 5, -1 if kind == "classifier" else np.nan, Y_IRIS)
    plain, watched, tasks = with_ensemble(cls, few), cls(SCARF(**CHEAP), random_state=0), Tasks()
    watched.set_callbacks(tasks).fit(X_IRIS, few)
    said, had = tasks.parts(f"fit-{kind}")
    assert said == had >= 20  # models that were compared
    assert tasks.ended[-1] == ("fit", 2)
    assert np.array_equal(watched.predict(X_IRIS), plain.predict(X_IRIS))


@needs_callbacks
def test_callbacks_cover_fine_tuning():
    def tuned():
        return skssl.FineTunedClassifier(SCARF(**CHEAP), max_epochs=1, random_state=0)

    tasks, plain = Tasks(), tuned().fit(X_IRIS, Y_IRIS)
    watched = tuned().set_callbacks(tasks).fit(X_IRIS, Y_IRIS)
    assert tasks.parts("fine-tune") == (3, 3)  # folds
    assert tasks.ended[-1] == ("fit", 3)
    assert np.array_equal(watched.predict_proba(X_IRIS), plain.predict_proba(X_IRIS))


@needs_callbacks
def test_callbacks_cover_the_fine_tuned_half(monkeypatch):
    tasks, images = Tasks(), np.random.default_rng(0).integers(0, 255, (320, 8, 8), dtype=np.uint8)
    model = skssl.PretrainedClassifier(random_state=0)
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 1)
    monkeypatch.setattr(skssl.FineTunedClassifier, "_n_epochs", lambda self, n_labels: 0)
    library = Ensemble._library
    prior = lambda *args: (member for member in library(*args) if member.in_prior)  # noqa: E731
    monkeypatch.setattr(Ensemble, "_library", prior)
    model.set_callbacks(tasks).fit(images, np.arange(320) % 2)
    assert len(set(tasks.parts("fit-classifier"))) == 1
    assert tasks.parts("fine-tune") == (3, 3)
    assert tasks.ended[-1] == ("fit", 3)


@needs_callbacks
def test_one_label_is_a_task_without_parts():
    tasks, targets = Tasks(), np.full(len(X_IRIS), np.nan)
    targets[0] = 1.0
    model = skssl.PretrainedRegressor(SCARF(**CHEAP), random_state=0)
    model.set_callbacks(tasks).fit(X_IRIS, targets)
    assert tasks.parts("fit-regressor") == (0, 0)


def lines_of(fit, capsys):
    """Return what a fit prints, without its seconds."""
    fit()
    return [re.sub(r"[\d.]+ s\b", "N s", line) for line in capsys.readouterr().out.splitlines()]


def test_a_fit_says_early_how_long_it_takes(capsys, monkeypatch):
    monkeypatch.setattr(_epoch_end, "SECONDS_TO_TIME", 0.0)
    scarf = SCARF(**CHEAP | {"max_epochs": 3}, random_state=0, verbose=1)
    lines = lines_of(lambda: scarf.fit(X_IRIS), capsys)
    # before the first epoch is over
    assert lines[0] == "[SCARF] 75 rows (table, 4): 3 epochs, 6 steps, about N s"
    assert lines[1].startswith("[SCARF] epoch 1/3") and len(lines) == 4


VERBOSE = [e for e in EVERY if "verbose" in e.get_params()]
OWNERS = [e for e in VERBOSE if "transformer" in e.get_params()]
LABELS = np.where(np.arange(len(Y_IRIS)) % 5, -1, Y_IRIS)  # 15 of 75
SCARF_PLAN = "[SCARF] 75 rows (table, 4): 2 epochs, 4 steps, about N s"
CHOICE = "choosing among 40 models, about N s"


def labels_for(estimator):
    """Return few labels, for regressors with NaN."""
    is_of_numbers = hasattr(estimator, "regressor")
    return np.where(LABELS < 0, np.nan, LABELS) if is_of_numbers else LABELS


def test_every_transformer_and_every_owner_of_one_is_verbose():
    slow = [e for e in EVERY if {"max_epochs", "transformer"} & set(e.get_params())]
    quick = {"PhenotypeTransformer"}  # clusters parts, which nothing is trained to embed
    assert set(map(name_of, slow)) - quick == set(map(name_of, VERBOSE))
    assert len(OWNERS) >= 6


@pytest.mark.parametrize("owner", OWNERS, ids=name_of)
def test_one_line_says_all_that_a_fit_will_do(owner, capsys, monkeypatch):
    """Its stages are those that then have a line before and after; nothing else changes."""
    y, X, name = labels_for(owner), X_IRIS.astype(np.float32), name_of(owner)
    seen = {}
    for verbose in (1, 0):
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        fitted = clone(owner).set_params(verbose=verbose)
        lines = lines_of(lambda fitted=fitted: fitted.fit(X, y), capsys)
        if not verbose:
            assert lines == []
        else:
            said = lines
        draws = np.random.random(), torch.rand(1).item()  # noqa: NPY002
        seen[verbose] = fitted.predict(X), fitted.transformer_.transform(X), draws
    for loud, quiet in zip(seen[1], seen[0], strict=True):
        assert np.array_equal(loud, quiet)
    start, plan, stop, *others = said
    assert start.startswith(f"[{name}] fitting ") and stop == f"{start}: N s"
    _, *ahead = plan.split("; then ")
    assert ahead == [f"{line.removeprefix(f'[{name}] ')}, about N s" for line in others[::2]]
    assert others[1::2] == [f"{line}: N s" for line in others[::2]]


@pytest.fixture
def few_trees(monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 3)


def ahead_of(how, tmp_path):
    """Return a model, and what it says before its own stages."""
    scarf = SCARF(**CHEAP, random_state=0)
    kept, model = scarf.fit(X_IRIS), skssl.PretrainedClassifier(random_state=0, verbose=1)
    choice, says = f"[PretrainedClassifier] {CHOICE}", "[PretrainedClassifier] fitting"
    plan = [f"{says} SCARF", f"{SCARF_PLAN}; then {CHOICE}", f"{says} SCARF: N s"]
    if how == "frozen":
        return model.set_params(transformer=FrozenEstimator(kept)), [choice]
    if how == "untrained":
        untrained = clone(scarf).set_params(max_epochs=0)
        return model.set_params(transformer=untrained), [plan[0], plan[2], choice]
    if how == "memory":
        model.set_params(transformer=scarf, memory=str(tmp_path))
        clone(model).set_params(verbose=0, classifier=LogisticRegression()).fit(X_IRIS, LABELS)
        return model, ["[PretrainedClassifier] SCARF is fitted, in memory", choice]
    if how == "foreign":
        lines = [f"{says} StandardScaler", f"{says} StandardScaler: N s", choice]
        return model.set_params(transformer=StandardScaler()), lines
    if how == "verbose":
        plan[2:] = ["[SCARF] epoch 1/2, loss", "[SCARF] epoch 2/2, loss", plan[2]]
        monkey = clone(scarf).set_params(verbose=1)
        return model.set_params(transformer=monkey), plan
    pipeline = make_pipeline(StandardScaler(), make_pipeline(FunctionTransformer(), scarf))
    return model.set_params(transformer=pipeline), plan


@pytest.mark.parametrize("how", ["frozen", "untrained", "memory", "foreign", "verbose", "pipeline"])
def test_what_is_ahead_is_said_of_any_transformer(how, tmp_path, capsys, monkeypatch, few_trees):
    monkeypatch.setattr(_epoch_end, "SECONDS_TO_TIME", 0.0)
    model, first = ahead_of(how, tmp_path)
    capsys.readouterr()
    lines = lines_of(lambda: model.fit(X_IRIS, LABELS), capsys)
    lines = [re.sub("(loss).*", r"\1", line) for line in lines]
    stage = "[PretrainedClassifier] fitting EnsembleClassifier to 15 labels"
    assert lines == [*first, stage, f"{stage}: N s"]


def test_with_one_label_there_is_no_choice(capsys, few_trees):
    targets = np.full(len(X_IRIS), np.nan)
    targets[0] = 1.0
    model = skssl.PretrainedRegressor(SCARF(**CHEAP), random_state=0, verbose=1)
    lines = lines_of(lambda: model.fit(X_IRIS, targets), capsys)
    assert lines[1] == f"{SCARF_PLAN}; then fitting 4 models, about N s"


def test_a_predictor_that_cannot_be_timed_fails_in_its_own_fit(capsys):
    class Picky(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            if len(y) < 60:
                raise RuntimeError("few")
            return super().fit(X, y)

    model = skssl.PretrainedClassifier(SCARF(**CHEAP), Picky(), random_state=0, verbose=1)
    with pytest.raises(RuntimeError, match="few"):
        model.fit(X_IRIS, LABELS)
    assert "; then fitting Picky to 15 labels\n" in capsys.readouterr().out


@needs_callbacks
def test_no_part_of_what_is_measured_is_watched():
    head = LogisticRegression()
    head._skl_callbacks = [Tasks()]
    pipe = make_pipeline(StandardScaler(), make_pipeline(head))
    assert not hasattr(_forecast.unwatched(head), "_skl_callbacks")
    assert not hasattr(_forecast.unwatched(pipe)[-1][-1], "_skl_callbacks")
    assert hasattr(clone(pipe)[-1][-1], "_skl_callbacks")


@needs_callbacks
def test_measuring_is_nothing_that_callbacks_see():
    counts = []
    for verbose in (0, 1):
        tasks, model = Tasks(), skssl.FineTunedClassifier(SCARF(**CHEAP), random_state=0)
        model.set_params(max_epochs=1, verbose=verbose).set_callbacks(tasks).fit(X_IRIS, Y_IRIS)
        counts.append(tasks.ended)
    assert counts[0] == counts[1]


def test_images_with_many_labels_are_fine_tuned_in_the_line(capsys, monkeypatch, few_trees):
    images = np.random.default_rng(0).integers(0, 255, (320, 8, 8), dtype=np.uint8)
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 1)
    monkeypatch.setattr(skssl.FineTunedClassifier, "_n_epochs", lambda self, n_labels: 1)
    monkeypatch.setattr(_linear, "PENALTIES", np.array([1e2, 1e3]))
    library = Ensemble._library
    prior = lambda *args: (member for member in library(*args) if member.in_prior)  # noqa: E731
    monkeypatch.setattr(Ensemble, "_library", prior)
    model = skssl.PretrainedClassifier(random_state=0, verbose=1)
    lines = lines_of(lambda: model.fit(images, np.arange(320) % 2), capsys)
    own = "fitting LinearClassifier to 320 labels", "fine-tuning with 320 labels"
    ahead = "; then ".join(f"{what}, about N s" for what in ("choosing among 4 models", *own))
    assert lines[1].endswith(f"about N s; then {ahead}")
    assert [line.removeprefix("[FineTunedClassifier] ") for line in lines[-4:]] == [
        own[0],
        f"{own[0]}: N s",
        own[1],
        f"{own[1]}: N s",
    ]


@pytest.mark.parametrize("halving", [False, True])
def test_each_fit_of_a_search_says_what_it_does(halving, capsys):
    model = skssl.PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(max_iter=1000), verbose=1)
    grid = {"classifier__C": [1.0, 2.0]}
    search = (HalvingGridSearchCV if halving else GridSearchCV)(
        make_pipeline(StandardScaler(), model),
        {f"pretrainedclassifier__{k}": grid[k] for k in grid},
    ).set_params(cv=2)
    lines = lines_of(lambda: search.fit(X_IRIS, Y_IRIS), capsys)
    plans = [line for line in lines if line.startswith("[SCARF]")]
    assert len(plans) == 2 * sum(getattr(search, "n_candidates_", [2])) + 1
    assert all("; then fitting LogisticRegression to " in line for line in plans)


class Clock:
    """Seconds that pass by what is computed, so that no other process disturbs them."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def costs(self, cls, method, seconds, monkeypatch):
        """Let a method take some seconds, computed from the object and its first argument."""
        original = getattr(cls, method)

        def slow(this, X, *args, **kwargs):
            self.now += seconds(this, X)
            return original(this, X, *args, **kwargs)

        monkeypatch.setattr(cls, method, slow)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (_epoch_end, _fitting, _forecast, _base):
        monkeypatch.setattr(module, "time", clock)
    step = _loop._step

    def slow(*args):
        clock.now += 0.5
        return step(*args)

    monkeypatch.setattr(_loop, "_step", slow)
    return clock


def told_and_true(fit, capsys):
    """Return the seconds of each stage, as said ahead and as they were."""
    fit()
    lines = capsys.readouterr().out.splitlines()
    (plan,) = [line for line in lines if "; then " in line]
    told = [int(number) for number in re.findall(r"about (\d+) s", plan)]
    return told, [float(line.split()[-2]) for line in lines if re.search(r": [\d.]+ s$", line)]


@pytest.mark.parametrize(
    ("kind", "n_labels"), [("classifier", 20), ("classifier", 600), ("regressor", 75)]
)
def test_the_forecast_of_the_choice_is_about_right(kind, n_labels, clock, capsys, monkeypatch):
    """Trees, which come last, take nine tenths of it."""
    linear = LogisticRegression if kind == "classifier" else Ridge
    trees = ExtraTreesClassifier if kind == "classifier" else ExtraTreesRegressor
    clock.costs(linear, "fit", lambda model, X: 1e-3 * len(X), monkeypatch)
    clock.costs(trees, "fit", lambda model, X: 1e-3 * model.n_estimators * len(X), monkeypatch)
    clock.costs(NeighborGraph, "fit", lambda model, X: 1e-6 * len(X) ** 2, monkeypatch)
    monkeypatch.setattr(_ensemble, "N_TREES", 25)
    monkeypatch.setattr(_ensemble, "RAW_SHARES", (0.5, 1.0))
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(640, 4)), rng.integers(0, 2, 640).astype(float)
    y[n_labels:] = np.nan
    model = getattr(skssl, f"Pretrained{kind.title()}")(SCARF(**CHEAP), random_state=0, verbose=1)
    told, true = told_and_true(lambda: model.fit(X, y), capsys)
    assert told[0] == 0.5 * 2 * 20 < true[0]  # measuring what follows takes some time, too
    assert 2 / 3 < told[1] / true[1] < 3 / 2


@pytest.mark.parametrize(("n_labels", "n_times"), [(1, 1), (3, 3.7), (12, 5.7)])
def test_the_forecast_of_the_choice_counts_fits(n_labels, n_times, monkeypatch):
    """Each model in each fold, and about 0.7 of them once more, to all labels."""

    def one_second(fit, n, n_there=None, power=1.0):
        fit(n_there or n)
        return 1.0

    monkeypatch.setattr(_ensemble_time, "seconds_for", one_second)
    monkeypatch.setattr(_ensemble, "N_TREES", 3)
    X = np.random.default_rng(0).normal(size=(20, 2))
    given = X[:n_labels], np.arange(n_labels) * 1.0, np.arange(n_labels)
    ensemble = _ensemble.EnsembleRegressor(2, random_state=0)
    for n_every in (20, 40):
        told = _ensemble_time.forecast_choice(ensemble, *given, n_every, X[n_labels:])
        verb, n_models = re.fullmatch(
            "(choosing among|fitting) ([0-9]+) models", told.what
        ).groups()
        assert (verb == "fitting") == (n_labels == 1) == (int(n_models) == 3)
        n_graphs = 1 if n_labels == 1 else 3  # they take as long as there are rows
        n_fits = int(n_models) + n_graphs * (n_every // 20 - 1)
        assert told.seconds == pytest.approx(1 + n_times * n_fits)  # one is that of the features


@pytest.mark.parametrize("n_trees", [None, 10, 100])
def test_the_forecast_of_a_model_is_that_of_four_folds_of_five(n_trees, clock, monkeypatch):
    fitted = []

    def cost(model, X):
        fitted.append(getattr(model, "n_estimators", None))
        return 2**-4 * len(X) * (fitted[-1] or 1)

    model = Ridge() if n_trees is None else ExtraTreesRegressor(n_trees)
    clock.costs(type(model), "fit", cost, monkeypatch)
    member, y = _ensemble.Member(("scaled", 0.0), model), np.arange(20.0)
    seconds = _ensemble_time._time_fit(member, X_IRIS[:20], y, 1000)
    assert seconds == pytest.approx(2**-4 * 800 * (n_trees or 1))
    assert set(fitted) == ({1, 20} if n_trees == 100 else {n_trees})  # more are extrapolated to


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Ridge(), (Ridge, None)),
        (ExtraTreesRegressor(max_features=0.3), (ExtraTreesRegressor, 0.3)),
        (
            _ensemble.Sharpened(ExtraTreesClassifier(max_features="sqrt")),
            (ExtraTreesClassifier, "sqrt"),
        ),
    ],
)
def test_models_of_a_kind_take_about_the_same_time(model, kind):
    members = [_ensemble.Member(("scaled", share), model) for share in (0.0, 0.5)]
    assert {_ensemble_time._kind(member) for member in members} == {("scaled", *kind)}


def test_the_forecast_of_features_counts_finding_neighbours(clock, monkeypatch):
    clock.costs(NeighborGraph, "transform", lambda graph, X: 2**-6 * len(X), monkeypatch)
    ensemble = _ensemble.EnsembleRegressor(4)
    _, seconds = _ensemble_time._time_features(ensemble, X_IRIS[:20], X_IRIS, len(X_IRIS))
    assert seconds == pytest.approx(2**-6 * 20)


@pytest.mark.parametrize("n_measured", [10, 2000])
def test_the_forecast_counts_embedding_and_raw_columns(n_measured, clock, monkeypatch):
    monkeypatch.setattr(_base, "ROWS", n_measured)
    clock.costs(StandardScaler, "transform", lambda model, X: 2**-6 * len(X), monkeypatch)
    clock.costs(LogisticRegression, "fit", lambda model, X: 2**-2 * len(X), monkeypatch)
    clock.costs(RawColumns, "learn", lambda model, X: 2**-5 * len(X), monkeypatch)
    model = skssl.PretrainedClassifier(StandardScaler(), LogisticRegression(), passthrough=True)
    few, others = np.arange(0, 40), np.arange(40, 75)
    scale = StandardScaler().fit(X_IRIS)
    fit = _forecast.Underway(scale, (X_IRIS,), [], few, others, np.arange(40) % 2)
    (told,) = model._forecast(fit)
    assert told.what == "fitting LogisticRegression to 40 labels"
    n_read = 2 * n_measured if n_measured < 40 else 75  # labelled rows, and as many others
    n_embedded = 75 * min(n_measured, 40) / n_read
    assert told.seconds == pytest.approx(2**-5 * 75 + 2**-6 * n_embedded + 2**-2 * 40)


def test_the_forecast_of_fine_tuning_counts_fits_and_epochs(clock, monkeypatch):
    class Timed(skssl.FineTunedRegressor):
        def _make_rows(self, few, labels, weight):
            return Rows(torch.zeros(len(labels), 1))

        def _draws(self, seed):
            return None

        def _held_out_outputs(self, frozen, start, rows, held_out, n_epochs, draws):
            # What is made before takes three.
            clock.now += 3 + 2**-3 * (len(rows) + len(held_out)) * n_epochs

    clock.costs(LinearRegressor, "fit", lambda model, X: 2**-4 * len(X), monkeypatch)
    model, labels, Z = Timed(max_epochs=7), np.arange(40.0), np.arange(80.0).reshape(40, 2)
    sample = _base.Sample(None, Z, LinearRegressor(), {}, labels, np.arange(40), 0)
    first, then = model._stages(sample)
    assert first.what == "fitting LinearRegressor to 40 labels"
    assert first.seconds == pytest.approx(2**-4 * 40 * (5 * 8 + 1))  # folds, penalties, one more
    assert then.what == "fine-tuning with 40 labels"
    n_train, n_test = map(len, model._folds(labels)[0])
    assert (n_train, n_test) == (26, 14)  # of three folds; all 40 are timed, and 21 held out
    epoch = 2**-3 * (40 + 21) * n_train / 40
    assert then.seconds == pytest.approx(epoch * 7 * (3 + 0.5))


def test_the_forecast_of_fine_tuning_is_about_right(clock, capsys):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), rng.integers(0, 2, 300)
    model = skssl.FineTunedClassifier(SCARF(**CHEAP), max_epochs=6, random_state=0, verbose=1)
    (_, _, told), (_, _, true) = told_and_true(lambda: model.fit(X, y), capsys)
    assert 2 / 3 < told / true < 3 / 2


def test_seconds_are_extrapolated_from_fits_to_fewer_rows(clock, monkeypatch):
    sizes = []

    def fit(power):
        def fit(k):
            sizes.append(k)
            clock.now += 1e-6 * k**power

        return fit

    for n, power in ((10, 1.0), (100_000, 1.0), (20_000, 1.5)):
        sizes.clear()
        seconds = _forecast.seconds_for(fit(power), n, power=power)
        assert seconds == pytest.approx(1e-6 * n**power)
        assert sum(sizes) <= max(4 * n, 100) and max(sizes) <= n


@pytest.mark.parametrize(
    ("n", "n_there", "rows_a_second", "sizes"),
    [
        (6400, None, 64, [400, 400]),  # a sixteenth, once before it is measured
        (3200, None, 3200, [200, 200, 400, 800]),  # until it takes a quarter of a second
        (3200, None, 800, [200, 200]),  # which it does
        (9600, 300, 8, [300, 300]),
        (16, None, 2**20, [16] * 4),  # the mean of three, where it is short
    ],
)
def test_sizes_of_the_fits_that_are_measured(n, n_there, rows_a_second, sizes, clock):
    seen = []

    def fit(k):
        seen.append(k)
        clock.now += k / rows_a_second

    assert _forecast.seconds_for(fit, n, n_there) == pytest.approx(n / rows_a_second)
    assert seen == sizes


@pytest.mark.parametrize(
    ("n", "most", "found"), [(10, 4, [0, 3, 6, 9]), (3, 9, [0, 1, 2]), (7, 1, [0]), (0, 4, [])]
)
def test_what_is_measured_is_spread_evenly(n, most, found):
    assert _forecast.evenly(n, most).tolist() == found


def test_rows_to_measure_are_those_that_were_read():
    scale, rows = StandardScaler().fit(X_IRIS), np.array([1, 5, 7])
    tensor = torch.from_numpy(X_IRIS).float()
    for read in ([tensor], [], [tensor[:-1]]):  # without rows of weight 0, they are others
        found = _forecast.some_rows(scale, X_IRIS, read, len(X_IRIS), rows)
        np.testing.assert_array_equal(found.every[0], X_IRIS[rows])
        if read and len(read[0]) == len(X_IRIS):
            assert torch.equal(found.x, tensor[rows])
        else:
            assert found.x is None


def test_a_rehearsal_leaves_no_trace():
    before, global_state = np.random.get_state(), torch.get_rng_state()
    with _forecast.rehearsing():
        np.random.rand(3)
        torch.rand(3)
        warnings.warn("not to be shown", UserWarning, stacklevel=1)
    np.testing.assert_equal(np.random.get_state(), before)
    assert torch.equal(torch.get_rng_state(), global_state)


def test_a_label_budget_report_says_what_it_fits_and_how_long(capsys, monkeypatch):
    model = skssl.PretrainedClassifier(SCARF(**CHEAP), LogisticRegression(max_iter=1000))
    beside = {
        name: "drop"
        for name in ("raw columns", "PCA", "extra trees", "random forest", "in context")
    }
    given = {"transformers": {"SCARF": model}, "baselines": beside, "budgets": (6, 9), "cv": 2}
    given |= {"n_draws": 1, "random_state": 0}

    def report(verbose):
        return skssl.label_budget_report(X_IRIS, Y_IRIS, **given, verbose=verbose)

    lines = lines_of(lambda: report(1), capsys)
    assert lines == [
        "[label_budget_report] 2 methods on 2 splits, 8 fits: 1 draws of [6, 9] labels each, "
        "about N s",
        *(
            f"[label_budget_report] {name}, split {split} of 2: done N s after the start"
            for name in ("SCARF", "untrained encoder")
            for split in (1, 2)
        ),
    ]
    scores = [report(verbose)["score"] for verbose in (0, 1)]
    assert scores[0].equals(scores[1])
    assert capsys.readouterr().out.count("\n") == len(lines)


def test_a_label_budget_report_does_not_wait_to_say_it():
    """The forecast stops pretraining after its first second."""
    steps = []

    class Slow(SCARF):
        def _loss(self, net, x):
            steps.append(1)
            return super()._loss(net, x)

    slow = Slow(**CHEAP | {"max_epochs": 10**6})
    seconds, fitted, _ = _fitting.time_of_fit(make_pipeline(StandardScaler(), slow), X_IRIS)
    assert seconds > 100 and len(steps) < 10**4
    assert fitted.transform(X_IRIS).shape == (75, 8)


def test_work_is_forecast_for_every_method_of_a_report(monkeypatch):
    rng = np.random.RandomState(0)
    train, test = np.arange(0, 75, 2), np.arange(1, 75, 2)
    split = _work.Split(train, test, [rng.permutation(len(train))], 0)
    monkeypatch.setattr(_ensemble, "N_TREES", 3)
    scarf = SCARF(**CHEAP)
    for estimator in (
        skssl.PretrainedClassifier(scarf),
        skssl.PretrainedClassifier(FrozenEstimator(clone(scarf).fit(X_IRIS))),
        skssl.FineTunedClassifier(scarf, max_epochs=1),
        skssl.PretrainedClassifier(StandardScaler(), LogisticRegression(max_iter=1000)),
        LogisticRegression(max_iter=1000),
    ):
        method = _work.Method("", "", estimator)
        work = _work.Work(method, 0, split, X_IRIS, Y_IRIS, [20, 30], None)
        assert 0 < work.forecast() < 600
