"""Missing cells of public tables, filled in by imputers of skssl and of scikit-learn.

From at most 1 000 rows of a table, 20 % of the known cells are removed at random, and predicted
from the others. The error is the mean over columns of the root mean squared error, in standard
deviations of the column, of numbers, and of the share of wrong categories. What is printed is
1 - error. Nothing is chosen or fitted by the removed cells.

    python benchmarks/tables.py --fetch        # once: download the tables
    python benchmarks/imputation.py            # run what is missing from results/imputation.csv
    python benchmarks/imputation.py --report   # print the comparison, write results/imputation.md
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _data import load, table_names
from _runner import Benchmark, main
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

ROWS, SHARE, N_TABLES = 1_000, 0.2, 10
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Split:
    """A table as codes of categories and numbers, with holes."""

    X: pd.DataFrame  # with holes; categories are strings
    codes: np.ndarray  # the same as floats, NaN where there is a hole
    removed: np.ndarray  # where holes were made
    true: np.ndarray  # the codes without them
    is_category: np.ndarray
    seed: int


def mixed_table_names(cache: Path) -> list[str]:
    """Ten tables, evenly spread over the names."""
    names = table_names(cache)
    return [names[i] for i in np.linspace(0, len(names) - 1, N_TABLES).round().astype(int)]


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    X, _ = load(table, cache)
    random = np.random.default_rng(seed)
    X = X.iloc[random.permutation(len(X))[:ROWS]].reset_index(drop=True)
    X = X.loc[:, X.nunique() > 1]
    is_category = np.array([not pd.api.types.is_numeric_dtype(X[c]) for c in X])
    true = np.empty(X.shape)
    for j, name in enumerate(X):
        column = X[name]
        if is_category[j]:
            codes = pd.factorize(column, sort=True)[0].astype(float)
            true[:, j] = np.where(codes < 0, np.nan, codes)
        else:
            true[:, j] = column.astype(float)
    removed = (random.random(X.shape) < SHARE) & ~np.isnan(true)
    return Split(X.mask(removed), np.where(removed, np.nan, true), removed, true, is_category, seed)


def score(split: Split, filled: np.ndarray) -> tuple[float]:
    """Return 1 - the mean over columns of their error."""
    errors = []
    for j in np.flatnonzero(split.removed.any(0)):
        rows = split.removed[:, j]
        made, true = filled[rows, j], split.true[rows, j]
        if split.is_category[j]:
            errors.append(np.mean(made != true))
        else:
            errors.append(np.sqrt(np.mean((made - true) ** 2)) / np.nanstd(split.true[:, j]))
    return (1 - float(np.mean(errors)),)


def by_codes(make: Callable[[int], Any], scale: bool = True) -> Callable[[Split], tuple[float]]:
    """Return a method: an imputer on ordinal codes, rounded to the categories there are."""

    def method(split: Split) -> tuple[float]:
        scaler = StandardScaler().fit(split.codes)
        codes = scaler.transform(split.codes) if scale else split.codes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # imputers that have not converged
            filled = make(split.seed).fit_transform(codes)
        filled = scaler.inverse_transform(filled) if scale else filled
        greatest = np.nanmax(split.true, 0)
        whole = np.clip(np.round(filled), 0, greatest)
        return score(split, np.where(split.is_category, whole, filled))

    return method


def as_codes(split: Split, filled: pd.DataFrame) -> np.ndarray:
    """Return a filled frame as codes."""
    made = np.empty(split.true.shape)
    for j, name in enumerate(split.X):
        if split.is_category[j]:
            known = ~np.isnan(split.codes[:, j])
            names = dict(zip(split.X[name][known], split.codes[known, j], strict=True))
            made[:, j] = [names.get(value, -1.0) for value in filled[name]]
        else:
            made[:, j] = filled[name].astype(float)
    return made


def in_context(split: Split) -> tuple[float]:
    """The in-context imputer."""
    from skssl import InContextImputer

    return score(
        split, as_codes(split, InContextImputer(random_state=split.seed).fit_transform(split.X))
    )


def masked_table(split: Split) -> tuple[float]:
    """`MaskedTable` trained on the table with holes, its `impute`."""
    from skssl import MaskedTable

    model = MaskedTable(random_state=split.seed).fit(split.X)
    return score(split, as_codes(split, model.impute(split.X)))


def usual(split: Split) -> tuple[float]:
    """The median, or the commonest category."""
    columns = [
        SimpleImputer(strategy="most_frequent" if category else "median").fit_transform(column)
        for category, column in zip(split.is_category, split.codes.T[..., None], strict=True)
    ]
    return score(split, np.hstack(columns))


METHODS = {
    "usual": usual,
    "iterative": by_codes(lambda seed: IterativeImputer(random_state=seed)),
    "nearest": by_codes(lambda seed: KNNImputer()),
    "masked_table": masked_table,
    "in_context": in_context,
}
BENCHMARK = Benchmark(
    title="Missing cells, 1 - error",
    results=RESULTS / "imputation.csv",
    scores=("recovered",),
    methods=METHODS,
    baselines=tuple(METHODS)[:4],
    table_names=mixed_table_names,
    make_split=make_split,
    seeds=(0, 1, 2),
)

if __name__ == "__main__":
    raise SystemExit(main("imputation"))
