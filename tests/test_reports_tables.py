"""What users of tables, labels and containers ran into: the right value of each.

====== =================================== ========================================================
number kind                                cousins
====== =================================== ========================================================
1      impute deletes known cells          columns empty at fit of every dtype, in pandas, polars,
                                           Arrow, arrays of objects and lists: all found. A column
                                           that stays empty keeps its dtype.
====== =================================== ========================================================
"""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skssl import DenoisingAutoencoder

N = 12


def cells_of(X: Any) -> list[list[Any]]:
    """Return the columns of any table as lists of Python values, None where one is missing."""
    if isinstance(X, pa.Table):
        columns = [column.to_pylist() for column in X.columns]
    elif isinstance(X, pl.DataFrame):
        columns = [column.to_list() for column in X.iter_columns()]
    else:
        columns = pd.DataFrame(X).astype(object).T.to_numpy().tolist()
    return [[None if pd.isna(value) else value for value in column] for column in columns]


# ------------------------------------------------------------------- 1: impute and known cells

NUMBERS = [float(i) for i in range(N)]
LATER = {  # what comes into a column that was empty at fit
    "text": ["u", None, "v"] * 4,
    "number": [1.5, None, -2.0] * 4,
    "bool": [True, None, False] * 4,
}


def in_containers(later: list[Any]) -> dict[str, tuple[Any, Any]]:
    """Return, per container, a table whose second column is empty and one in which it is not."""
    empty = [None] * N
    kind = {str: "string", float: "Float64", bool: "boolean"}[type(later[0])]

    def pandas(column: list[Any], dtype: Any) -> pd.DataFrame:
        return pd.DataFrame({"a": NUMBERS, "s": pd.Series(column, dtype=dtype)})

    def rows(column: list[Any]) -> list[list[Any]]:
        return [list(row) for row in zip(NUMBERS, column, strict=True)]

    return {
        "pandas": (pandas(empty, object), pandas(later, object)),
        "pandas extension": (pandas(empty, kind), pandas(later, kind)),
        "pandas category": (pandas(empty, "category"), pandas(later, "category")),
        "polars": (
            pl.DataFrame({"a": NUMBERS, "s": empty}),
            pl.DataFrame({"a": NUMBERS, "s": later}),
        ),
        "Arrow": (pa.table({"a": NUMBERS, "s": empty}), pa.table({"a": NUMBERS, "s": later})),
        "objects": (np.array(rows(empty), object), np.array(rows(later), object)),
        "list": (rows(empty), rows(later)),
    }


@pytest.mark.parametrize("kind", LATER)
def test_impute_changes_missing_cells_only(kind):
    for container, (empty, later) in in_containers(LATER[kind]).items():
        model = DenoisingAutoencoder(n_components=4, max_epochs=0, random_state=0).fit(empty)
        before, after = cells_of(later), cells_of(model.impute(later))
        for column, filled in zip(before, after, strict=True):
            pairs = zip(column, filled, strict=True)
            assert all(b == a for b, a in pairs if b is not None), container
        assert cells_of(model.impute(empty))[0] == NUMBERS, container


def test_impute_keeps_the_dtypes_of_columns_without_a_prediction():
    X = pd.DataFrame({"a": NUMBERS, "s": pd.Series([None] * N, dtype=object), "i": [pd.NA] * N})
    X = X.astype({"i": "Int64"})
    model = DenoisingAutoencoder(n_components=4, max_epochs=0, random_state=0).fit(X)
    later = X.assign(s=pd.Series(["u", None] * 6, dtype="category"))
    pd.testing.assert_frame_equal(model.impute(later), later)
