"""What an embedding gives away: how well an attribute can be predicted from it."""

from collections.abc import Callable
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skssl._compat import HasMethods, Interval, Seed, take_rows, validate_params
from skssl._data._labels import read_known, target_type
from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl.metrics._spectrum import check_embedding

N_RESAMPLES = 200  # of rows, for the intervals
INTERVAL = (2.5, 97.5)  # percentiles

Score = Callable[[np.ndarray, np.ndarray], float]


@validate_params(
    {
        "attribute": ["array-like"],
        "probe": [HasMethods(["fit", "predict"]), None],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def attribute_leakage(
    Z: object,
    attribute: object,
    *,
    X: object = None,
    probe: BaseEstimator | None = None,
    cv: int = 5,
    random_state: Seed = None,
) -> pd.DataFrame:
    """Measure how well a sensitive attribute can be predicted from an embedding.

    An embedding learnt without an attribute may reveal it all the same, through columns that are
    related to it. A probe is trained to predict the attribute, and scored on held-out rows; the
    same probe on the raw columns, and on the embedding with the attribute shuffled among the
    rows, say how much of that is the embedding's doing.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding, as ``transform`` returns it.
    attribute : array-like of shape (n_samples,)
        The attribute: classes, or numbers. Rows in which it is missing are left out.
    X : array-like or dataframe of shape (n_samples, n_features), default=None
        The raw columns, without the attribute. None compares with chance only.
    probe : estimator, default=None
        A classifier with ``predict_proba``, or a regressor. None is a logistic regression or a
        ridge regression on standardized columns.
    cv : int, default=5
        Number of shuffled folds, stratified for classes.
    random_state : int, RandomState instance or None, default=None
        Seeds folds, shuffling and intervals.

    Returns
    -------
    leakage : pandas.DataFrame
        Rows ``"embedding"``, ``"raw columns"`` (if X was passed) and ``"chance"``; columns
        ``score``, the area under the ROC curve of classes (of each against the rest, in the mean)
        or R² of numbers, and ``low`` and ``high``, a 95 % interval from resampled rows.
        ``leakage.attrs["score_name"]`` is ``"AUC"`` or ``"R²"``.

    Raises
    ------
    ValueError
        If fewer than two classes have ``cv`` rows, or the attribute is constant.

    See Also
    --------
    label_budget_report : Its ``sensitive_features`` compare accuracy between groups.

    Notes
    -----
    A low score is no proof: another probe may find what this one does not. The interval is that
    of the rows, given the trained probes.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import attribute_leakage
    >>> random = np.random.default_rng(0)
    >>> sex = random.choice(["f", "m"], 500)
    >>> Z = random.normal(size=(500, 8))
    >>> Z[:, 0] += sex == "m"
    >>> attribute_leakage(Z, sex, random_state=0).round(2)
               score   low  high
    embedding   0.75  0.71  0.79
    chance      0.54  0.49  0.59
    """
    Z = check_embedding(Z)
    mask, values = read_known(attribute, "attribute")
    check_consistent_length(Z, mask) if X is None else check_consistent_length(Z, mask, X)
    random = check_random_state(random_state)
    is_classes = values.dtype.kind != "f" or target_type(values) != "continuous"
    values, score = _checked(values, cv, is_classes)
    seed = random.randint(2**31 - 1)
    probe = _default_probe(is_classes) if probe is None else probe

    def row(given: object, target: np.ndarray, *before: BaseEstimator) -> list[float]:
        model = make_pipeline(*before, clone(probe))
        predicted = _out_of_fold(model, given, target, cv, is_classes, seed)
        return _with_interval(score, target, predicted, np.random.RandomState(seed))

    rows = {"embedding": row(Z[mask], values)}
    if X is not None:
        rows["raw columns"] = row(take_rows(X, np.flatnonzero(mask)), values, ColumnsAsNumbers())
    rows["chance"] = row(Z[mask], random.permutation(values))
    leakage = pd.DataFrame.from_dict(rows, orient="index", columns=["score", "low", "high"])
    leakage.attrs["score_name"] = "AUC" if is_classes else "R²"
    return leakage


def _checked(values: np.ndarray, cv: int, is_classes: bool) -> tuple[np.ndarray, Score]:
    """Return the attribute, classes as codes, and how predictions of it are scored."""
    if not is_classes:
        if len(values) < 2 * cv or np.ptp(values) == 0:
            raise ValueError(
                f"attribute must hold at least {2 * cv} numbers that differ, for cv={cv}; got "
                f"{len(values)} of {len(np.unique(values))} different values."
            )
        return values, r2_score
    names, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.min() < cv:
        found = dict(zip(names.tolist(), counts.tolist(), strict=True))
        raise ValueError(
            f"attribute must have at least two classes of at least cv={cv} rows each; got the "
            f"rows {found}. Pass a smaller cv, or None in rows of rare classes."
        )
    return codes, _mean_auc


def _default_probe(is_classes: bool) -> BaseEstimator:
    model = LogisticRegression(max_iter=1000) if is_classes else RidgeCV(np.logspace(-3, 6, 28))
    return make_pipeline(StandardScaler(), model)


def _out_of_fold(
    model: BaseEstimator, X: object, target: np.ndarray, cv: int, is_classes: bool, seed: int
) -> np.ndarray:
    """Return held-out predictions: of classes probabilities."""
    folds = (StratifiedKFold if is_classes else KFold)(cv, shuffle=True, random_state=seed)
    method = "predict_proba" if is_classes else "predict"
    return cross_val_predict(model, X, target, cv=folds, method=method)


def _mean_auc(codes: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean area under the ROC curves of each class against the rest."""
    present = np.unique(codes)
    if len(present) < 2:
        return np.nan
    first = 1 if probability.shape[1] == 2 else 0  # the two curves of two classes are the same
    ranks = rankdata(probability, axis=0)
    areas = [_area(ranks[:, c], codes == c) for c in present if c >= first]
    return float(np.mean(areas))


def _area(ranks: np.ndarray, is_positive: np.ndarray) -> float:
    """Return the area under the ROC curve of scores, given their ranks: Mann and Whitney's U."""
    n_positive = np.count_nonzero(is_positive)
    lowest = n_positive * (n_positive + 1) / 2
    n_pairs = n_positive * (len(ranks) - n_positive)
    return float((ranks[is_positive].sum() - lowest) / n_pairs)


def _with_interval(
    score: Score, target: np.ndarray, predicted: np.ndarray, random: np.random.RandomState
) -> list[float]:
    """Return the score, and the percentiles of that of resampled rows."""
    resampled = []
    for _ in range(N_RESAMPLES):
        rows = random.randint(len(target), size=len(target))
        resampled.append(score(target[rows], predicted[rows]))
    return [score(target, predicted), *np.nanpercentile(resampled, INTERVAL)]
