"""Fitted models as ONNX graphs, which onnxruntime runs without skssl, torch or scikit-learn."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skssl._atomic import replacing
from skssl._compat import plain_torch
from skssl._data._reader import Reader
from skssl._meta._steps import steps_of
from skssl.base._transformer import SSLTransformer
from skssl.persistence._onnx_graph import Graph, Value
from skssl.persistence._onnx_inputs import inputs_of, raw_module, read
from skssl.persistence._onnx_predictors import add_predictor
from skssl.semi_supervised._base import BasePretrained

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["to_onnx"]

# Errors of skl2onnx for estimators and parameters without a converter: its own are RuntimeErrors,
# and its converters raise the others on input that they do not know.
UNCONVERTED = AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError


@plain_torch()
def to_onnx(model: Any, path: str | os.PathLike[str] | None = None) -> "ModelProto":
    """Turn a fitted model into an ONNX graph, which onnxruntime runs in any language.

    The graph computes ``transform``, or ``predict_proba`` and ``predict``, to about 1e-5, for any
    number of rows. Its inputs are:

    - for a table of numbers, ``X``: float64 (n_rows, n_columns), NaN for a missing value.
      Categories that are numbers or booleans are passed as numbers;
    - for a table with text, one input (n_rows, 1) per column, with the name of the column (``x0``,
      ``x1`` ... if columns have none): text as str or objects, all else as float64. None, NaN and
      the texts "", "None", "nan", "NaN", "NaT" and "<NA>" are missing values, as they are to
      ``transform``, unless ``fit`` saw such a text in that column, which then is a category.
      onnxruntime writes None as "None", so if that is a category, pass "" for a missing value;
    - for other modalities, ``X``: images and clips as in ``fit``, uint8 if they were, or float32;
      series float32 (n_rows, n_channels, length), NaN for a missing value; waveforms float32
      (n_rows, length) from -1 to 1, padded with NaN; tokens int64 (n_rows, length).

    The outputs are ``embedding``; or ``label`` and, for classifiers with ``predict_proba``,
    ``probabilities``; or ``prediction``. If a column has such a name, they begin with
    ``output_``.

    Parameters
    ----------
    model : estimator
        A fitted transformer of skssl; a fitted Pretrained or FineTuned classifier or regressor;
        or a Pipeline or search of these with steps of scikit-learn that map numbers to numbers,
        such as scalers and classifiers. Any of them may be in a FrozenEstimator.
    path : str or path, default=None
        Where to write the graph. An existing file is replaced atomically.

    Returns
    -------
    graph : onnx.ModelProto
        The graph, to check, quantise or combine it.

    Raises
    ------
    TypeError
        If ``model`` is not an estimator.
    ValueError
        If ONNX cannot represent it: transformers of texts and event sequences, outlier detectors,
        in-context estimators, and parts that skl2onnx or torch cannot convert. The message says
        which part.
    NotFittedError
        If ``model`` is not fitted.
    ImportError
        If onnx, onnxscript or skl2onnx is missing: ``pip install skssl[onnx]``.
    RuntimeError
        If torch is older than 2.8.

    See Also
    --------
    save : Saves any estimator for Python, where ``partial_fit`` continues.

    Notes
    -----
    The graph does not check X: infinite numbers and missing columns raise no clear error.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> import skssl
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> scarf = skssl.SCARF(n_components=8, max_epochs=2, random_state=0)
    >>> encoder = make_pipeline(StandardScaler(), scarf).fit(X)
    >>> model = make_pipeline(FrozenEstimator(encoder), LogisticRegression()).fit(X, y)
    >>> graph = skssl.to_onnx(model)
    >>> session = onnxruntime.InferenceSession(graph.SerializeToString())
    >>> labels, probabilities = session.run(None, {"X": X})
    >>> bool(np.allclose(probabilities, model.predict_proba(X), atol=1e-5))
    True
    """
    if not isinstance(model, BaseEstimator):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"Expected a fitted estimator, got {name}.")
    check_is_fitted(model)
    inputs = inputs_of(_first(model))
    graph = Graph(inputs)
    outputs = _add(graph, model, inputs)
    if is_classifier(model):
        names = ["label", "probabilities"] if hasattr(model, "predict_proba") else ["label"]
    else:
        names = ["prediction" if is_regressor(model) else "embedding"]
    while {value.name for value in inputs} & set(names):  # until no column has such a name
        names = [f"output_{name}" for name in names]
    try:
        made = graph.finish(dict(zip(names, outputs, strict=False)))
    except graph.onnx.checker.ValidationError as error:  # loops in modules of the user's
        raise _refused(model, f"onnx says {_first_line(error)}") from error
    if path is not None:
        with replacing(Path(path)) as new:
            new.write_bytes(made.SerializeToString())
    return made


def _steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a model, including those of a search's best estimator."""
    for step in steps_of(model):
        if hasattr(step, "best_estimator_"):
            yield from _steps(step.best_estimator_)
        else:
            yield step


def _first(model: Any) -> Any:
    """Return the estimator that reads X."""
    first = next(_steps(model))
    return _first(first.transformer_) if isinstance(first, BasePretrained) else first


def _add(graph: Graph, model: Any, X: list[Value]) -> list[Value]:
    """Add a fitted estimator to a graph, and return its outputs."""
    for step in _steps(model):
        X = _add_step(graph, step, X)
    return X


def _add_step(graph: Graph, model: Any, X: list[Value]) -> list[Value]:
    if isinstance(model, BasePretrained):
        return _add_pretrained(graph, model, X)
    if isinstance(model, SSLTransformer):
        return [_add_module(graph, model._reader, model._embedder(), X, model)]
    if len(X) > 1:
        raise _refused(model, "it reads a table with text; expected a transformer of skssl there")
    said = add_predictor(graph, model, X[0])
    if said is not None:
        if hasattr(model, "classes_"):
            return [_label(graph, said, model.classes_), said]
        return [_one_per_row(graph, said)]
    if type(model).__module__.partition(".")[0] == __name__.partition(".")[0]:
        raise _refused(
            model, "expected a transformer, or a Pretrained, FineTuned or Prototype estimator"
        )
    try:
        outputs = graph.estimator(model, X[0])
    except UNCONVERTED as error:
        raise _refused(model, f"skl2onnx says {_first_line(error)}") from error
    return [_one_per_row(graph, outputs[0])] if is_regressor(model) else outputs


def _add_pretrained(graph: Graph, model: Any, X: list[Value]) -> list[Value]:
    """Add transformer, raw columns and the estimator on both, and a fine-tuned half if any."""
    whole, (*front, last) = X, _steps(model.transformer_)
    for step in front:
        X = _add_step(graph, step, X)
    raw = model.raw_columns_
    raw_columns = None if raw is None else raw_module(raw)
    (z,) = _add_step(graph, last, X)
    if raw_columns is not None:
        beside = _add_module(graph, raw.reader, raw_columns, X, model)
        same = graph.node("Cast", beside.name, to=graph.type_of(z))
        width = z.shape[1] + beside.shape[1]  # type: ignore[operator]
        z = Value(graph.node("Concat", z.name, same, axis=1), z.dtype, (None, width))
    said = _add(graph, getattr(model, f"{model._predictor}_"), [z])
    tuned = getattr(model, "fine_tuned_", None)
    if tuned is None:
        return said
    _, other = _add_pretrained(graph, tuned, whole)
    both = graph.node("Mean", said[1].name, other.name)
    mean = said[1]._replace(name=both)
    return [_label(graph, mean, model.classes_), mean]


def _add_module(graph: Graph, reader: Reader, module: nn.Module, X: list[Value], of: Any) -> Value:
    """Add the reading of X and the module behind it."""
    x, as_read = read(graph, reader, X)
    try:
        return graph.module(nn.Sequential(as_read, module), x)[0]
    except torch.onnx.OnnxExporterError as error:  # around what a module of the user's raises
        raise _refused(of, f"torch.onnx.export says {_first_line(error)}") from error


def _label(graph: Graph, proba: Value, classes: np.ndarray) -> Value:
    """Return the most probable class of each row."""
    best = graph.node("ArgMax", proba.name, axis=1, keepdims=0)
    classes = classes.astype(object) if classes.dtype.kind in "UT" else classes
    name = graph.node("Gather", graph.constant(classes), best, axis=0)
    return Value(name, classes.dtype, (None,))


def _one_per_row(graph: Graph, prediction: Value) -> Value:
    """Flatten a column of predictions to (n,), as in scikit-learn."""
    if prediction.shape[1:] != (1,):
        return prediction
    name = graph.node("Reshape", prediction.name, graph.constant(np.array([-1])))
    return prediction._replace(name=name, shape=(None,))


def _refused(model: Any, why: str) -> ValueError:
    return ValueError(
        f"{type(model).__name__} cannot be exported to ONNX: {why}. What Python runs can be saved "
        "with skssl.save."
    )


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:  # messages of exporters are long
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
