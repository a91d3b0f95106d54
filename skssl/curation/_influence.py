"""Influence of columns on an embedding."""

from collections.abc import Hashable
from numbers import Integral
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skssl._compat import HasMethods, Interval, Seed, validate_params
from skssl._data._containers import as_array
from skssl.curation._embed import embed


@validate_params(
    {
        "transformer": [HasMethods(["fit", "transform"])],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def column_influence(
    transformer: Any, X: Any, *, n_repeats: int = 5, random_state: Seed = None
) -> pd.DataFrame:
    """Measure how far the embedding moves when one column is shuffled.

    Each row takes the cell of another row. The mean distance that its embedding moves is divided
    by the distance it moves if it takes all cells of that row: 0 means that the column does not
    matter, 1 that it alone determines the embedding.

    Parameters
    ----------
    transformer : fitted transformer or Pipeline
        Computes the embedding of X.
    X : array-like or dataframe of shape (n_samples, n_features)
        Rows of a table; a few hundred are enough.
    n_repeats : int, default=5
        Number of times each column is shuffled.
    random_state : int, RandomState instance or None, default=None
        Seeds the shuffles, which are the same for all columns.

    Returns
    -------
    influence : pandas.DataFrame
        One row per column of X, the most influential first. Columns: ``column``, its name, or
        its index if X has no names; ``influence``, the mean over the shuffles; ``std``, their
        standard deviation.

    Raises
    ------
    ValueError
        If X is not a table, or has fewer than two rows.

    Notes
    -----
    One column is shuffled at a time, so the altered rows may be combinations that never occur.
    Information that two columns share counts for both of them. The transformer runs
    ``n_repeats * n_features + 1`` times.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skssl.curation import column_influence
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> first_alone = FunctionTransformer(lambda X: X[:, :1]).fit(X)
    >>> column_influence(first_alone, X, random_state=0)
       column  influence  std
    0       0        1.0  0.0
    1       1        0.0  0.0
    2       2        0.0  0.0
    """
    names, table = _table(X)
    (Z,) = embed(transformer, X)
    if len(Z) < 2:
        raise ValueError(f"Shuffling takes at least 2 rows; got {len(Z)}.")
    random = check_random_state(random_state)
    donors = [_others(len(Z), random) for _ in range(n_repeats)]
    whole = [_measure_change(Z, Z[rows]) for rows in donors]
    share = np.zeros((len(names), n_repeats))
    for i, j in np.ndindex(share.shape):
        (made,) = embed(transformer, _swap(table, i, donors[j]))
        share[i, j] = _measure_change(Z, made) / whole[j] if whole[j] > 0 else 0
    found = {"column": names, "influence": share.mean(1), "std": share.std(1)}
    influence = pd.DataFrame(found).sort_values("influence", ascending=False, kind="stable")
    return influence.reset_index(drop=True)


def _table(X: Any) -> tuple[list[Hashable], Any]:
    """Return the column names of X, and X as a dataframe or an array."""
    X = nw.to_native(X, pass_through=True)
    if nw.dependencies.is_into_dataframe(X):
        columns = X.columns if nw.dependencies.is_pandas_dataframe(X) else nw.from_native(X).columns
        return list(columns), X
    X = as_array(X)
    if X.ndim != 2:
        raise ValueError(
            f"Only a table has columns to shuffle; X has shape {X.shape}. Pass 2-D data or a "
            "dataframe."
        )
    return list(range(X.shape[1])), X


def _others(n: int, random: np.random.RandomState) -> np.ndarray:
    """Return another row for each of n rows, each used once: a random cycle."""
    order = random.permutation(n)
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    return others


def _swap(X: Any, i: int, rows: np.ndarray) -> Any:
    """Return a copy of X whose column i holds the cells of ``rows``."""
    if nw.dependencies.is_pandas_dataframe(X):
        made = X.copy()
        made.isetitem(i, X.iloc[rows, i].array)
        return made
    if isinstance(X, np.ndarray):
        made = X.copy()
        made[:, i] = X[rows, i]
        return made
    frame = nw.from_native(X, eager_only=True)
    column = frame[:, i]
    return frame.with_columns(column[rows.tolist()].alias(column.name)).to_native()


def _measure_change(Z: np.ndarray, made: np.ndarray) -> float:
    return float(np.linalg.norm(made - Z, axis=1).mean())
