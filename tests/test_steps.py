"""Pipelines, nested and frozen in any way, give the numbers of the flat one everywhere."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

import skssl
from skssl import (
    SCARF,
    DenoisingAutoencoder,
    EmbeddingDisplay,
    EmbeddingOutlierDetector,
    FineTunedClassifier,
    FineTunedRegressor,
    LossCurveDisplay,
    NextFrame,
    NextFrameDisplay,
    PretrainedClassifier,
    PretrainedRegressor,
    PrototypeClassifier,
    ReconstructionDisplay,
    ReconstructionOutlierDetector,
    TS2Vec,
    ViewsDisplay,
)
from skssl._meta._steps import check_embedding, last_step, steps_of
from skssl.callbacks import EarlyStopping
from skssl.curation import column_influence
from skssl.metrics import label_free_scorer

SHORT = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 32,
    "precision": "float32",
    "random_state": 0,
}
X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
FEW = np.where(np.arange(len(Y)) % 3 == 0, Y, -1)
TARGETS = np.where(FEW < 0, np.nan, X[:, 0])


def frozen(step):
    return FrozenEstimator(step)


# How three steps may stand inside each other. Where a step is frozen, all before it are fitted.
SHAPES = {
    "nested": lambda a, b, c: make_pipeline(a, make_pipeline(b, c)),
    "steps that do nothing": lambda a, b, c: Pipeline(
        [
            ("none", "passthrough"),
            ("a", make_pipeline(a)),
            ("bc", Pipeline([("b", make_pipeline(b)), ("c", c), ("end", "passthrough")])),
        ]
    ),
    "frozen inside": lambda a, b, c: make_pipeline(a, frozen(make_pipeline(b, c))),
    "frozen at each level": lambda a, b, c: frozen(
        make_pipeline(frozen(a), frozen(make_pipeline(frozen(b), frozen(c))))
    ),
}


def steps(method):
    return StandardScaler(), PolynomialFeatures(include_bias=False), method


def flat_and_nested(method, shape):
    """Return the flat Pipeline and one of this shape, which is fitted if a step is frozen."""
    flat = make_pipeline(*steps(method))
    parts = clone(flat).fit(X) if "frozen" in shape else clone(flat)
    return flat, SHAPES[shape](*(step for _, step in parts.steps))


CHECKS = {}


def check(method=SCARF):
    def keep(function):
        CHECKS[function.__name__] = method, function
        return function

    return keep


@check()
def pretrained_classifier(pipe):
    model = PretrainedClassifier(pipe, LogisticRegression(), random_state=0).fit(X, FEW)
    assert model.raw_columns_.n_outputs == 28
    return model.predict_proba(X)


@check()
def pretrained_regressor(pipe):
    model = PretrainedRegressor(pipe, Ridge())
    return model.fit(X, TARGETS).predict(X)


@check()
def fine_tuned_classifier(pipe):
    model = FineTunedClassifier(pipe, max_epochs=1, random_state=0).fit(X, FEW)
    return model.partial_fit(X, FEW).predict_proba(X)


@check()
def fine_tuned_regressor(pipe):
    return FineTunedRegressor(pipe, max_epochs=1, random_state=0).fit(X, TARGETS).predict(X)


@check()
def prototypes(pipe):
    model = PretrainedClassifier(pipe, PrototypeClassifier(), passthrough=False)
    return model.fit(X, FEW).predict_proba(X)


@check()
def distilled(pipe):
    model = PretrainedClassifier(pipe, LogisticRegression(), random_state=0).fit(X, FEW)
    return skssl.distill(model, X, random_state=0).predict_proba(X)


@check()
def embedding_detector(pipe):
    return EmbeddingOutlierDetector(pipe, random_state=0).fit(X).score_samples(X)


@check(DenoisingAutoencoder)
def reconstruction_detector(pipe):
    return ReconstructionOutlierDetector(pipe, random_state=0).fit(X).score_samples(X)


@check()
def embedding_display(pipe):
    return EmbeddingDisplay.from_estimator(pipe.fit(X, None), X).positions


@check()
def embedding_display_of_what_is_pretrained(pipe):
    model = PretrainedClassifier(pipe, LogisticRegression()).fit(X, FEW)
    return EmbeddingDisplay.from_estimator(model, X).positions


@check()
def loss_curve_display(pipe):
    return LossCurveDisplay.from_estimator(pipe.fit(X, None)).loss_curve


@check()
def views_display(pipe):
    return ViewsDisplay.from_estimator(pipe.fit(X, None), X, random_state=0).views[0]


@check(DenoisingAutoencoder)
def reconstruction_display(pipe):
    return ReconstructionDisplay.from_estimator(pipe.fit(X, None), X).reconstructions.astype(float)


@check()
def saved_and_loaded(pipe):
    with tempfile.TemporaryDirectory() as folder:
        skssl.save(pipe.fit(X, None), Path(folder, "pipe.skssl"))
        return skssl.load(Path(folder, "pipe.skssl")).transform(X)


@check()
def columns_that_drive_it(pipe):
    return column_influence(pipe.fit(X, None), X, n_repeats=1, random_state=0)[
        "influence"
    ].to_numpy()


@check()
def rows_to_label(pipe):
    return skssl.select_to_label(X, 5, embedding=pipe.fit(X, None), random_state=0)


@check()
def scorer(pipe):
    return label_free_scorer("alignment")(pipe.fit(X, None), X)


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    plt.close("all")


FLAT = {}  # what the flat Pipelines give


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CHECKS)
def test_nesting_changes_no_number(name, shape):
    method, function = CHECKS[name]
    flat, nested = flat_and_nested(method(**SHORT), shape)
    if name not in FLAT:
        FLAT[name] = function(flat)
    np.testing.assert_array_equal(function(nested), FLAT[name])


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_report_is_the_same(is_frozen):
    flat, nested = flat_and_nested(SCARF(**SHORT), "steps that do nothing")
    if is_frozen:
        flat, nested = (frozen(pipe.fit(X)) for pipe in (flat, nested))
    drop = dict.fromkeys(["extra trees", "random forest", "PCA", "in context"], "drop")
    given = {"baselines": drop, "budgets": (9,), "n_draws": 1, "cv": 2, "random_state": 0}
    end = LogisticRegression(max_iter=1000)
    reports = [
        skssl.label_budget_report(
            X, Y, transformers={"it": PretrainedClassifier(pipe, end)}, **given
        )
        for pipe in (flat, nested)
    ]
    assert ("untrained encoder" in set(reports[0]["method"])) is not is_frozen
    columns = ["method", "split", "score"]
    pd.testing.assert_frame_equal(reports[0][columns], reports[1][columns])


@pytest.mark.filterwarnings("ignore:The estimator PolynomialFeatures does not support callbacks")
def test_callbacks_reach_the_transformer():
    flat, nested = flat_and_nested(SCARF(**SHORT | {"max_epochs": 9}), "steps that do nothing")
    for pipe in (flat, nested):
        model = PretrainedClassifier(pipe, LogisticRegression(), passthrough=False)
        model.set_callbacks(EarlyStopping(lambda estimator, X, y: 0.0, patience=1))
        assert last_step(model.fit(X, FEW).transformer_).n_iter_ == 2


def test_a_graph_computes_the_same():
    onnxruntime = pytest.importorskip("onnxruntime")
    _, nested = flat_and_nested(SCARF(**SHORT), "frozen at each level")
    model = PretrainedClassifier(nested, LogisticRegression(), random_state=0).fit(X, FEW)
    graph = skssl.to_onnx(make_pipeline(frozen(make_pipeline("passthrough", model))))
    said = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"X": X})[1]
    np.testing.assert_allclose(said, model.predict_proba(X), atol=1e-5)


def test_frames_of_nested_pipelines_are_predicted():
    clips = np.random.default_rng(0).integers(0, 256, (6, 5, 8, 6), dtype=np.uint8)
    method, same = NextFrame(context=2, **SHORT), FunctionTransformer()
    flat = make_pipeline(same, method).fit(clips)
    nested = make_pipeline(same, make_pipeline(same, frozen(flat[-1])))
    shown = [NextFrameDisplay.from_estimator(pipe, clips).predictions for pipe in (flat, nested)]
    np.testing.assert_array_equal(*shown)


def test_a_student_learns_behind_any_nesting():
    model = LogisticRegression(max_iter=1000).fit(X, Y)
    flat = make_pipeline(StandardScaler(), PolynomialFeatures(), LogisticRegression(max_iter=1000))
    nested = make_pipeline(StandardScaler(), make_pipeline(PolynomialFeatures(), flat[-1]))
    students = [skssl.distill(model, X, student) for student in (flat, nested)]
    np.testing.assert_array_equal(*(student.predict_proba(X) for student in students))


def test_a_frozen_step_of_a_student_is_not_fitted_again():
    scaler = StandardScaler().fit(X[:5])
    student = make_pipeline(make_pipeline(frozen(scaler)), LogisticRegression(max_iter=1000))
    skssl.distill(LogisticRegression(max_iter=1000).fit(X, Y), X, student)
    np.testing.assert_array_equal(scaler.mean_, X[:5].mean(0))


def test_steps_are_found_in_order():
    a, b, c = steps(SCARF())
    for make in SHAPES.values():
        assert steps_of(make(a, b, c)) == [a, b, c] and last_step(make(a, b, c)) is c
    kept = steps_of(make_pipeline(a, frozen(make_pipeline(b, frozen(c)))), keep_frozen=True)
    assert kept[0] is a and [step.estimator for step in kept[1:]] == [b, c]


def test_a_pipeline_that_does_nothing_is_a_step():
    (step,) = steps_of(Pipeline([("none", "passthrough")]))
    assert step.transform(X) is X


@pytest.mark.parametrize(("transformer", "hint"), [(TS2Vec(), True), (StandardScaler(), False)])
def test_the_hint_at_pooling_is_for_those_that_have_it(transformer, hint):
    with pytest.raises(ValueError, match=r"array of shape \(2, 3, 4\); expected one") as raised:
        check_embedding(np.zeros((2, 3, 4)), transformer)
    assert ("Set pooling='mean' or 'max'." in str(raised.value)) == hint
