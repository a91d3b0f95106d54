"""Distillation of a large model into a small one."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skssl._compat import HasMethods, Seed, take_rows, validate_params
from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl._meta._fitting import seeded
from skssl._meta._steps import steps_of
from skssl.base._modalities import MODALITIES
from skssl.base._modality_of import infer_modality
from skssl.semi_supervised._target_scaler import TargetScaler

LEAST = 0.01  # less probable classes are dropped, except in the row where each is most probable
HIDDEN = (64,)


@validate_params(
    {
        "model": [HasMethods(["fit", "predict"])],
        "student": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def distill(model: Any, X: Any, student: Any = None, *, random_state: Seed = None) -> Any:
    """Distil a large model: teach a small model to make the same predictions.

    The model, such as a :class:`PretrainedClassifier` with its encoder and classifier, predicts X,
    and the student learns from these predictions: for a classifier, from the probabilities of all
    classes [1]_, which are more informative than the best class. X needs no labels. The more rows,
    the closer the student gets: pass all rows, including those that the model was trained on.

    Parameters
    ----------
    model : fitted classifier or regressor
        The teacher; it reads X.
    X : array-like or dataframe of shape (n_samples, ...)
        Rows, labelled or not.
    student : classifier or regressor, default=None
        The student; a clone of it is fitted. It reads X; make it a Pipeline if X needs
        preprocessing. None, for tables, is a net with one hidden layer on standardised numbers,
        with missing values filled by medians, and one-hot categories.
    random_state : int, RandomState instance or None, default=None
        Seeds the student if its own ``random_state`` is None.

    Returns
    -------
    student : estimator
        The fitted student, with the ``classes_`` of the model if it is a classifier.

    Raises
    ------
    TypeError
        If the model is neither a classifier nor a regressor, or if the student is not of the
        same type.
    ValueError
        If ``student`` is None and X is not a table.

    Notes
    -----
    A student whose ``fit`` takes ``sample_weight`` reads each row once per class with a probability
    of at least 0.01, weighted by that probability: its loss is the cross-entropy with the model's
    prediction. Any other student, or the student of a model without ``predict_proba``, learns from
    the best classes only, and never predicts a class that is never the best.

    References
    ----------
    .. [1] Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
       https://arxiv.org/abs/1503.02531

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skssl import SCARF, PretrainedClassifier, distill
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> scarf = SCARF(n_components=16, max_epochs=20)
    >>> few = y.where(y.index % 5 == 0)
    >>> model = PretrainedClassifier(scarf, LogisticRegression(), random_state=0).fit(X, few)
    >>> student = distill(model, X, random_state=0)
    >>> bool((student.predict(X) == model.predict(X)).mean() > 0.95)
    True
    """
    check_is_fitted(model)
    has_classes = is_classifier(model)
    if not has_classes and not is_regressor(model):
        raise TypeError(
            f"Expected a fitted classifier or regressor to learn from, got {type(model).__name__}. "
            "Put an encoder into a Pipeline with one."
        )
    given = _net(X, has_classes) if student is None else clone(student)
    if is_classifier(given) != has_classes:
        what = "classifier" if has_classes else "regressor"
        raise TypeError(
            f"{type(model).__name__} is a {what}, but student={type(given).__name__} is not. Pass "
            f"a {what}."
        )
    made = seeded(given, check_random_state(random_state))
    with warnings.catch_warnings():
        if student is None:  # the number of its epochs is a budget
            warnings.simplefilter("ignore", ConvergenceWarning)
        return _taught(made, model, X)


def _net(X: Any, has_classes: bool) -> Pipeline:
    modality = infer_modality(X)
    if not MODALITIES[modality].is_table:
        raise ValueError(
            f"student=None reads tables; X looks like modality={modality!r}. Pass a student that "
            "reads it, such as a Pipeline that makes columns of it."
        )
    from sklearn.neural_network import MLPClassifier, MLPRegressor  # slow to import

    if has_classes:
        return make_pipeline(ColumnsAsNumbers(), MLPClassifier(HIDDEN))
    net = TransformedTargetRegressor(
        MLPRegressor(hidden_layer_sizes=HIDDEN), transformer=TargetScaler(), check_inverse=False
    )
    return make_pipeline(ColumnsAsNumbers(), net)


def _taught(student: Any, model: Any, X: Any) -> Any:
    """Fit a student to the predictions for X; the front of a Pipeline reads each row once."""
    *front, last = steps_of(student, keep_frozen=True)
    Z = make_pipeline(*front).fit_transform(X) if front else X  # fits the steps in place
    if hasattr(model, "predict_proba") and has_fit_parameter(last, "sample_weight"):
        proba = np.asarray(model.predict_proba(X))
        rows, classes = np.nonzero(_worth_saying(proba))
        labels = model.classes_[classes]
        last.fit(take_rows(Z, rows), labels, sample_weight=proba[rows, classes])
    else:
        last.fit(Z, model.predict(X))
    return student


def _worth_saying(proba: np.ndarray) -> np.ndarray:
    """Return a mask of the relevant probabilities, at least one per class."""
    mask = proba >= LEAST
    mask[proba.argmax(0), np.arange(proba.shape[1])] = True
    return mask
