"""A storm of bad inputs: each seed is one call of a public method or function, and a verdict."""

import dis
import functools
import importlib
import inspect
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from bad_inputs import SHAPES, N, good, make_array, make_column, make_frame, make_rows, pick
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from test_common import EVERY, modalities_of, told

import skssl
from skssl.base._transformer import SSLTransformer

ROWS = {"X", "X_unlabeled", "X_new", "prompt", "queries", "Z", "A", "B", "series", "df"}
PER_ROW = {
    "y",
    "sample_weight",
    "groups",
    "sample_weight_unlabeled",
    "groups_unlabeled",
    "classes",
}
SMALL = {"n_components": 4, "max_epochs": 0, "batch_size": 8}
NOT_DATA = ("set_", "get_", "_")
# Functions that fit too much, or write files; and rooms whose functions take tensors.
TOO_LONG = {"distill", "transform_to", "to_onnx"}
OF_TENSORS = {"losses", "views", "encoders", "methods", "base", "datasets"}


# ------------------------------------------------------------------------------ subjects


@functools.cache
def subjects():
    """Return pairs of every public estimator and each modality that it can read."""
    methods = [e for e in EVERY if isinstance(e, SSLTransformer)]
    found = [(small(e, m), m) for e in methods for m in modalities_of(e)]
    for e in EVERY:
        if isinstance(e, SSLTransformer):
            continue
        if "transformer" not in e.get_params(deep=False) or modalities_of(e) != ("table",):
            found += [(e, m) for m in modalities_of(e)]
            continue
        more = {"max_epochs": 0} if "max_epochs" in e.get_params(deep=False) else {}
        for m in SHAPES:
            inner = [t for t in methods if m in modalities_of(t) and fits_inside(t, e)]
            found += [(clone(e).set_params(transformer=small(t, m), **more), m) for t in inner[:2]]
    return found


def small(estimator, modality):
    """Return a clone that fits in a few milliseconds."""
    return told(clone(estimator), modality).set_params(**SMALL)


def fits_inside(transformer, estimator):
    return "Reconstruction" not in type(estimator).__name__ or hasattr(transformer, "impute")


@functools.cache
def verbs(cls):
    """Return the public methods of a class that take rows, and the names of their data."""
    found = {}
    for name in dir(cls):
        method = None if name.startswith(NOT_DATA) else getattr(cls, name, None)
        takes = set(inspect.signature(method).parameters) if callable(method) else set()
        if takes & ROWS:
            found[name] = sorted(takes & (ROWS | PER_ROW))
    return found


def targets(estimator):
    """Return good targets of good rows."""
    is_numbers = type(estimator).__name__.endswith("Regressor")
    return np.linspace(-1, 1, N) ** 3 if is_numbers else np.arange(N) % 2


def rows_for(estimator, modality):
    """Return good rows; those of a classifier of embeddings are numbers."""
    is_plain = isinstance(estimator, skssl.PrototypeClassifier)
    return np.random.default_rng(0).normal(size=(N, 4)) if is_plain else good(modality)


@functools.cache
def fitted(i):
    """Return the estimator of a subject, fitted to good rows."""
    estimator, modality = subjects()[i]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).fit(rows_for(estimator, modality), targets(estimator))


@functools.cache
def good_arguments():
    """Return good arguments of functions, by name."""
    rng = np.random.default_rng(0)
    X, Z = good("table"), rng.normal(size=(2 * N, 5))
    scarf = small(skssl.SCARF(random_state=0), "table").fit(X)
    return {
        "X": X,
        "X_new": X.iloc[::-1],
        "queries": X.iloc[:2],
        "Z": Z,
        "A": Z,
        "B": Z[::-1],
        "series": Z.T,
        "df": pd.DataFrame({"a": [1, 1, 2], "b": [1.0, 2.0, 3.0]}),
        "y": np.arange(N) % 2,
        "n": 3,
        "id": "a",
        "length": 4,
        "sampling_rate": 8000,
        "transformer": scarf,
        "embedding": scarf,
        "estimator": scarf,
        "n_repeats": 1,
        "n_splits": 2,
        "random_state": 0,
        "classifier": LogisticRegression(),
        "budgets": (2,),
        "test_size": 0.5,
        "transformers": {"scarf": clone(scarf)},
        "baselines": {"linear": "linear"},
    }


@functools.cache
def functions():
    """Return the public functions that take rows, and good arguments of each."""
    found = {"split": skssl.UnlabeledKFold(2).split}
    for room in ("skssl", *(f"skssl.{name}" for name in sorted(skssl._ROOMS - OF_TENSORS))):
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", []):
            function = getattr(module, name)
            if isinstance(function, type):
                function = getattr(function, "from_estimator", None)
            if inspect.isroutine(function) and name not in TOO_LONG:
                found[name] = function
    views = np.random.default_rng(1).normal(size=(N, 2, 5))
    special = {name: {"Z": views} for name in ("lidar", "alignment", "knn_consistency")}
    special["log_mel"] = {"X": good("audio")}
    out = []
    for name, function in found.items():
        takes = inspect.signature(function).parameters
        given = {**good_arguments(), **special.get(name, {})}
        if set(takes) & (ROWS | PER_ROW):
            out.append((function, {k: v for k, v in given.items() if k in takes}))
    return out


# --------------------------------------------------------------------------------- cases


@dataclass
class Case:
    """A call of which one argument is odd or bad."""

    call: Callable[..., Any]
    given: dict[str, Any]
    what: str

    def verdict(self):
        """Call, and return (whether it was taken, what is wrong or None)."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("error", UndefinedMetricWarning)
                out = self.call(**self.given)
                out = list(out) if isinstance(out, types.GeneratorType) else out
                return True, lies(self.call, self.given, out)
        except Exception as error:
            return False, fault(error)
        finally:
            plt.close("all")


def case(seed):
    """Return the case of a seed."""
    rng = np.random.default_rng([2026, seed])
    return call_of_function(rng) if not rng.integers(10) else call_of_method(rng)


def call_of_function(rng):
    function, given = pick(rng, functions())
    name = pick(rng, sorted(set(inspect.signature(function).parameters) & (ROWS | PER_ROW)))
    if name in PER_ROW:
        value, what = make_column(rng, N)
    elif name in ("Z", "A", "B", "series"):
        value, what = make_array(rng, pick(rng, [(N, 2, 5), (2 * N, 5)]))
    elif name == "df":
        value, what = make_frame(rng, N)
    else:
        value, what = make_rows(rng, pick(rng, ["table", "table", *SHAPES]))
    return Case(function, {**given, name: value}, f"{function.__qualname__}({name}={what})")


def call_of_method(rng):
    i = int(rng.integers(len(subjects())))
    (estimator, modality), ready = subjects()[i], fitted(i)
    of = verbs(type(estimator))
    verb = pick(rng, ["fit", *(verb for verb in of if hasattr(ready, verb))])
    verb = "fit" if not rng.integers(4) else verb
    name = pick(rng, of[verb] if rng.integers(3) else [n for n in of[verb] if n in ROWS])
    X, y = rows_for(estimator, modality), targets(estimator)
    if verb.startswith(("fit", "partial_fit")) and verb != "fill_mask":
        ready = clone(estimator)
        if verb == "partial_fit" and rng.integers(2):
            ready.fit(X, y)
        elif "max_epochs" in ready.get_params(deep=False) and not rng.integers(4):
            ready.set_params(max_epochs=1)
    given = {name: X for name in of[verb] if name in ("X", "prompt")}
    if "y" in of[verb] and not isinstance(estimator, SSLTransformer):
        given["y"] = y
    if name.endswith("_unlabeled"):
        given["X_unlabeled"] = X
    value, what = make_column(rng, N) if name in PER_ROW else make_rows(rng, modality)
    what = f"{type(estimator).__name__}({modality}).{verb}({name}={what})"
    return Case(getattr(ready, verb), {**given, name: value}, what)


# ------------------------------------------------------------------------------ verdicts


# What is not finite by their docstrings: a view of what was given; infinity where there is one
# variance or none; NaN where a token is padding.
SAID = {"sliding_windows", "alpha_req"}


def lies(call, given, out):
    """Return what is wrong with the output of a call, or None."""
    estimator, X = getattr(call, "__self__", None), given.get("X")
    if call.__name__ == "log_mel" or isinstance(estimator, skssl.DenoisingAudio):
        out = without_padding(out)
    if call.__name__ in SAID:
        return None
    if isinstance(estimator, SSLTransformer) and call.__name__ in ("fit", "fit_transform"):
        x = estimator._read(X).flatten(1).nan_to_num()  # silence is as long as padding
        Z = out = estimator.transform(X) if call.__name__ == "fit" else out
        if Z.shape != (len(x), SMALL["n_components"]):
            return f"an embedding of shape {Z.shape}"
        if (x != x[:1]).any() and (Z == Z[:1]).all():
            return "a constant embedding of rows that differ"
    for part in out if isinstance(out, tuple | list) else [out]:
        is_number = isinstance(part, np.ndarray | float) and np.asarray(part).dtype.kind == "f"
        if type(estimator).__name__ == "MuLaw":
            is_number = is_number and (np.asarray(given["X"]) != 0).all()
        wrong = np.isnan if call.__name__ == "predict_log_proba" else is_infinite
        if is_number and wrong(part).any():
            return f"silent NaN or infinity, among {np.size(part)} numbers"
    return None


def without_padding(out):
    """Return the frames of spectrograms but for NaN behind the last one of a waveform."""
    if np.ndim(out) != 3:
        return out
    frames = np.moveaxis(out, 1, 2)
    is_padding = np.isnan(frames).all(2)
    is_padding &= np.logical_and.accumulate(is_padding[:, ::-1], 1)[:, ::-1]
    is_padding[:, 0] = False
    return frames[~is_padding]


def is_infinite(numbers):
    return ~np.isfinite(numbers)


def fault(error):
    """Return what is wrong with an error, or None if we, or scikit-learn, raised it in words."""
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    code, file = frame.tb_frame.f_code, Path(frame.tb_frame.f_code.co_filename)
    raised = {i.offset: i.opname for i in dis.get_instructions(code)}.get(frame.tb_lasti)
    is_ours = "skssl" in file.parts and raised == "RAISE_VARARGS"
    is_sklearn = "sklearn" in file.parts and raised in ("RAISE_VARARGS", "RERAISE")
    if isinstance(error, UndefinedMetricWarning):  # R² of one row
        return None
    is_kind = isinstance(error, TypeError | ValueError | NotFittedError | OSError)
    if is_kind and (is_ours or is_sklearn) and len(str(error)) > 20:
        return None
    return f"{type(error).__name__} at {file.parent.name}/{file.name}:{frame.tb_lineno}: {error}"
