"""Drift between old and new rows."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from skssl._compat import HasMethods, Interval, Seed, validate_params
from skssl._meta._fitting import seeded
from skssl.curation._embed import EMBEDDING, embed


@validate_params(
    {
        "embedding": EMBEDDING,
        "classifier": [HasMethods(["fit", "predict"]), None],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def drift_score(
    X: Any,
    X_new: Any,
    *,
    embedding: Any = None,
    classifier: Any = None,
    n_splits: int = 5,
    random_state: Seed = None,
) -> float:
    """Measure how well new rows can be told from old ones: 0.5 is not at all, 1 is perfectly.

    A classifier learns to tell them apart by their embedding [1]_. The score is its area under
    the ROC curve on held-out rows: the probability that it ranks a new row above an old one.
    Unlike a distance or the accuracy, this scale has the same meaning for every data set,
    embedding and share of new rows.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, ...)
        Old rows, preferably not those that the transformer was trained on: if an encoder has
        memorised its training rows, all other rows look new.
    X_new : array-like or dataframe of shape (n_new, ...)
        New rows.
    embedding : None or fitted transformer, default=None
        The embedding to compare. None takes X and ``X_new`` as embeddings; a transformer, or
        Pipeline, computes them.
    classifier : classifier, default=None
        Classifier that tells new from old; a clone of it is fitted. None is a logistic
        regression on standardised columns.
    n_splits : int, default=5
        Number of folds of the cross-validation.
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the classifier if its own ``random_state`` is None.

    Returns
    -------
    score : float
        Mean area under the ROC curve over the folds. Without drift it is 0.5 up to chance, which
        can be large with a few dozen new rows: a score below 0.5 means no more than 0.5.

    Raises
    ------
    ValueError
        If there are fewer than ``n_splits`` rows on one side, or if an embedding is not a matrix
        of finite numbers.

    References
    ----------
    .. [1] Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
       https://arxiv.org/abs/1610.06545

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skssl.curation import drift_score
    >>> X, y = load_wine(return_X_y=True)
    >>> round(drift_score(X[::2], X[1::2], random_state=0), 1)
    0.5
    >>> round(drift_score(X[y < 2], X[y == 2], random_state=0), 1)
    1.0
    """
    Z, Z_new = embed(embedding, X, X_new)
    if min(len(Z), len(Z_new)) < n_splits:
        raise ValueError(
            f"{n_splits} folds need as many rows on both sides; X has {len(Z)} and X_new has "
            f"{len(Z_new)}. Pass more rows, or a smaller n_splits."
        )
    random = check_random_state(random_state)
    given = LogisticRegression(C=0.1, max_iter=1000) if classifier is None else clone(classifier)
    model = seeded(make_pipeline(StandardScaler(), given), random)
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=random.randint(2**31 - 1))
    is_new = np.repeat([0, 1], [len(Z), len(Z_new)])
    rows = np.vstack([Z, Z_new])
    return float(cross_val_score(model, rows, is_new, cv=folds, scoring="roc_auc").mean())
