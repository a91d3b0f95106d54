"""What benchmarks share: tasks that are run into a csv, and the comparison written from it."""

import argparse
import csv
import importlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _data import default_cache, fetch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

SEEDS = (0, 1, 2, 3, 4)
CLOCKS = {"cpu_seconds": time.process_time, "wall_seconds": time.perf_counter}
Method = Callable[[Any], tuple[float, ...]]


@dataclass(frozen=True)
class Benchmark:
    """Methods on tables over seeds.

    Parameters
    ----------
    title : str
        What the figures are; the report's first words.
    results : Path
        The csv.
    scores : tuple of str
        What a method returns, in this order; the first one makes the wins.
    methods : mapping of str to callable
        From a split to its scores.
    baselines : tuple of str
        Those whose best, table by table, is the bar; run where none are named.
    table_names : callable
        From the cache to the names of the tables.
    make_split : callable
        From (table, seed, cache) to what a method receives.
    floor : float
        Lower scores count as this in means over tables: one wild extrapolation is not to
        outweigh all other tables.
    seeds : tuple of int
        Run and compared where none are named.
    clock : {"cpu_seconds", "wall_seconds"}
        Which seconds the csv has.
    report : callable or None
        From the results, a frame, to the report; None is the comparison of methods below.
    fetch : callable
        Downloads what is missing from the cache.
    """

    title: str
    results: Path
    scores: tuple[str, ...]
    methods: Mapping[str, Method]
    baselines: tuple[str, ...]
    table_names: Callable[[Path], list[str]]
    make_split: Callable[[str, int, Path], Any]
    floor: float = -np.inf
    seeds: tuple[int, ...] = SEEDS
    clock: str = "cpu_seconds"
    report: Callable[[pd.DataFrame], str] | None = None
    fetch: Callable[[Path], None] = fetch

    @property
    def fields(self) -> list[str]:
        return ["table", "seed", "method", *self.scores, self.clock, "error"]


def best_search(
    model: BaseEstimator,
    grid: Mapping[str, Any],
    cv: list[tuple[np.ndarray, np.ndarray]],
    scoring: str,
    views: list[tuple[np.ndarray, np.ndarray]],
    y: np.ndarray,
) -> tuple[BaseEstimator, np.ndarray]:
    """The model of the parameters and columns, a pair (Z_few, Z_test), best in the folds."""
    searches = [GridSearchCV(model, grid, scoring=scoring, cv=cv).fit(Z, y) for Z, _ in views]
    best = int(np.argmax([search.best_score_ for search in searches]))
    return searches[best].best_estimator_, views[best][1]


# ------------------------------------------------------------------------------- running


def run_one(benchmark: Benchmark, table: str, seed: int, method: str, cache: Path) -> dict:
    """One row of the results. A method that fails has no scores but an error."""
    split = benchmark.make_split(table, seed, cache)
    row: dict[str, Any] = {"table": table, "seed": seed, "method": method, "error": ""}
    clock = CLOCKS[benchmark.clock]
    start = clock()
    try:
        scores = benchmark.methods[method](split)
        row |= {n: f"{s:.5f}" for n, s in zip(benchmark.scores, scores, strict=True)}
    except Exception as error:
        traceback.print_exc()
        row["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return row | {benchmark.clock: f"{clock() - start:.2f}"}


def pending(benchmark: Benchmark, args: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """The tasks that the csv lacks, a seed at a time: a stopped run has whole seeds."""
    done = set()
    if args.results.exists():
        frame = pd.read_csv(args.results)
        frame = frame[frame["error"].isna()] if args.retry else frame
        done = set(zip(frame["table"], frame["seed"], frame["method"], strict=True))
    for seed in args.seeds:
        for table in args.tables or benchmark.table_names(args.cache):
            for method in args.methods or benchmark.baselines:
                if (table, seed, method) not in done:
                    yield table, seed, method


def append(path: Path, fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Append rows to a csv as soon as they are known, and print them."""
    path.parent.mkdir(exist_ok=True)
    for row in rows:
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([fields, row] if is_new else [row])
        print(*row, flush=True)


def run(benchmark: Benchmark, args: argparse.Namespace) -> int:
    """Append a row as soon as it is known; returns the number of failures."""
    todo = list(pending(benchmark, args))
    args.results.parent.mkdir(exist_ok=True)
    rows = Parallel(n_jobs=args.jobs, return_as="generator_unordered")(
        delayed(run_one)(benchmark, *task, args.cache) for task in todo
    )
    failures = 0
    with args.results.open("a", newline="") as file:
        writer = csv.DictWriter(file, benchmark.fields, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        for i, row in enumerate(rows, start=1):
            writer.writerow(row)
            file.flush()
            failures += bool(row["error"])
            print(f"[{i}/{len(todo)}]", *(row.get(f, "") for f in benchmark.fields), flush=True)
    return failures


# ------------------------------------------------------------------------------- report


def complete(
    results: pd.DataFrame, score: str, methods: list[str], seeds: list[int]
) -> pd.DataFrame:
    """The score by (table, seed) and method, of the tables that have every seed and method."""
    results = results[results["method"].isin(methods) & results["seed"].isin(seeds)]
    results = results.drop_duplicates(["table", "seed", "method"], keep="last")
    wide = results.pivot(index=["table", "seed"], columns="method", values=score)
    wide = wide.reindex(columns=methods).dropna()
    return wide.groupby(level="table").filter(lambda rows: len(rows) == len(seeds))


def standard_error(values: pd.DataFrame | pd.Series) -> pd.Series | float:
    return values.std(ddof=1) / np.sqrt(len(values))


def win_matrix(wide: pd.DataFrame) -> pd.DataFrame:
    """Tables on which the row's method beats the column's.

    A table counts half where the mean difference over seeds is within one standard error of it.
    """
    wins = pd.DataFrame(np.nan, index=wide.columns, columns=wide.columns)
    for a in wide:
        for b in wide.columns.drop(a):
            by_table = (wide[a] - wide[b]).groupby(level="table")
            mean, error = by_table.mean(), by_table.sem().fillna(0)
            wins.loc[a, b] = ((mean > error) + 0.5 * (mean.abs() <= error)).sum()
    return wins


def plus_minus(values: pd.Series) -> str:
    if len(values) == 1:
        return f"{100 * values.iloc[0]:.1f}"
    return f"{100 * values.mean():.1f} ± {100 * standard_error(values):.1f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    lines += [[*row, *[""] * (len(head) - len(row))] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(wide: pd.DataFrame, baselines: tuple[str, ...], seconds: pd.Series) -> list[list[str]]:
    """One row a method, and one for the best baseline of each table, chosen on the test rows."""
    means = wide.groupby(level="table").mean()
    ranks = means.rank(axis=1, ascending=False).mean()
    best = means[[m for m in means if m in baselines]].max(axis=1)
    rows = []
    for m in means:
        row = [m, plus_minus(means[m]), plus_minus(means[m] - best), f"{ranks[m]:.2f}"]
        rows.append([*row, f"{seconds[m]:.1f}"])
    return [*rows, ["best baseline of each table", plus_minus(best)]]


def by_table(wide: pd.DataFrame, tables: list[str]) -> str:
    means = wide.groupby(level="table").mean()
    rows = [[t, *(f"{100 * v:.1f}" for v in means.loc[t])] for t in tables if t in means.index]
    return markdown(["table", *means.columns], rows)


def compared(
    benchmark: Benchmark, results: pd.DataFrame, score: str, tables: list[str], args: Any
) -> list[str]:
    """The comparison by one score, in markdown."""
    wide = complete(results, score, args.methods, args.seeds)
    if wide.empty:
        methods = ", ".join(args.methods)
        raise SystemExit(f"No table has all of {methods} for seeds {args.seeds} yet.")
    n_tables = len(wide.groupby(level="table"))
    wins = win_matrix(wide).map(lambda n: "" if np.isnan(n) else f"{n:g}")
    seconds = results.groupby("method")[benchmark.clock].median()
    floor = benchmark.floor
    floored = f", less than {floor:g} counted as that" if np.isfinite(floor) else ""
    clock = benchmark.clock.replace("cpu", "CPU").replace("_", " ")
    return [
        f"{benchmark.title}: {score} × 100; {n_tables} tables (of {len(tables)}), "
        f"{len(args.seeds)} seeds, mean ± standard error over tables{floored}.",
        markdown(
            ["method", score, "minus best baseline", "mean rank", f"{clock} (median)"],
            summary(wide.clip(lower=floor), benchmark.baselines, seconds),
        ),
        "Tables on which the row beats the column; a difference within one standard error "
        "over seeds counts half to each.",
        markdown(["", *args.methods], [[m, *wins.loc[m]] for m in args.methods]),
        f"{score} × 100 by table, mean over seeds.",
        by_table(wide, tables),
    ]


def report(benchmark: Benchmark, args: argparse.Namespace) -> str:
    """The comparison by each score, in markdown."""
    results = pd.read_csv(args.results)
    if benchmark.report is not None:
        return benchmark.report(results[results["seed"].isin(args.seeds)])
    ran = set(results["method"])
    args.methods = args.methods or [m for m in benchmark.methods if m in ran]
    tables = args.tables or benchmark.table_names(args.cache)
    results = results[results["table"].isin(tables)]
    parts = [compared(benchmark, results, score, tables, args) for score in benchmark.scores]
    failed = results[results["error"].notna() & results["method"].isin(args.methods)]
    failures = [
        f"Failed: {r.method} on {r.table}, seed {r.seed}: {r.error}" for r in failed.itertuples()
    ]
    return "\n\n".join([*sum(parts, []), *failures])


def main(script: str, option: str | None = None) -> int:
    """The command line of the script of this name.

    The script is imported, since what it defines while it is `__main__` cannot be sent to the
    processes of `--jobs`. It has a `BENCHMARK`, or `BENCHMARKS`, of which the
    `option` picks one, by default the first.
    """
    module = importlib.import_module(script)
    benchmarks = {None: module.BENCHMARK} if option is None else module.BENCHMARKS
    first = next(iter(benchmarks))
    parser = argparse.ArgumentParser(description=module.__doc__.splitlines()[0])
    add = parser.add_argument
    add("--fetch", action="store_true", help="download the tables and stop")
    add("--report", action="store_true", help="print and write the comparison")
    add("--cache", type=Path, default=default_cache(), help="folder of the tables")
    add("--results", type=Path, help="the csv")
    methods = {method: None for each in benchmarks.values() for method in each.methods}
    add("--methods", nargs="+", choices=methods, help="default: the baselines")
    add("--tables", nargs="+", help="default: every table that the rule takes")
    add("--seeds", nargs="+", type=int)
    add("--jobs", type=int, default=1, help="processes, of one thread each")
    add("--retry", action="store_true", help="run again what failed")
    if option is not None:
        add(f"--{option}", choices=benchmarks, default=first, help=f"default: {first}")
    args = parser.parse_args()
    benchmark: Benchmark = benchmarks[vars(args).get(option, first)]
    args.results = args.results or benchmark.results
    args.seeds = args.seeds or list(benchmark.seeds)
    if args.fetch:
        benchmark.fetch(args.cache)
    elif args.report:
        text = report(benchmark, args)
        print(text)
        args.results.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    else:
        return int(run(benchmark, args) > 0)
    return 0
