"""Do the tests notice? Small changes of the package, each against the tests that run its line.

    export OMP_NUM_THREADS=1
    python benchmarks/mutants.py --map                 # once: which tests run which lines
    python benchmarks/mutants.py                       # what is drawn and has no result yet
    python benchmarks/mutants.py --only losses views   # files whose path begins so
    python benchmarks/mutants.py --again               # those left without a reason, once more
    python benchmarks/mutants.py --report              # results/mutants.md

Processes are forked from one that has loaded everything and collected all tests. A change inside a
function replaces the code of the function there; any other is made in a process that has not
loaded the package yet. The tests that run the changed line come fastest first; the first that fails
ends the run. One that takes ten times its CPU time and five seconds has noticed, too.
"""

import argparse
import csv
import difflib
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coverage
import pytest
from _mutations import Mutant, draw

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "skssl"
RESULTS = Path(__file__).parent / "results"
FOLDER = ROOT / ".mutants"  # the map; git does not see it
FIELDS = ["key", "module", "where", "line", "operator", "before", "after"]
FIELDS += ["status", "test", "tests", "seconds"]
SEED, SHARE, AT_LEAST = 0, 0.25, 12
FILES = [
    "losses/*.py",
    "views/*.py",
    "_training/*.py",
    "_data/_rows.py",
    "_data/_given.py",
    "_data/_chunked_rows.py",
    "_data/_labels.py",
    "model_selection.py",
    "_meta/*.py",
    "semi_supervised/*.py",
]
LOADED_BEFORE = (
    "torch pandas polars pyarrow sklearn.ensemble sklearn.model_selection sklearn.svm "
    "sklearn.feature_extraction.text sklearn.datasets sklearn.utils.estimator_checks"
)
MEMORY = 8 * 2**30  # that a changed program may take beyond what it has
# These start threads of polars as they are imported, for which their forks would wait in vain.
THREADED = ("tests/test_bags.py", "tests/test_inputs.py")
DOCUMENTED = "tests/test_docstrings.py"
SOURCE = {f.relative_to(ROOT).as_posix(): f.read_text() for f in sorted(PACKAGE.rglob("*.py"))}
REASONS = RESULTS / "mutants_reasons.csv"
HEAD = """\
{n} small changes of the package, drawn with seed {seed}: {share:.0%} of those that each module
has, and 12 at least. Each ran against the tests that run its line, the fastest first, until one
failed."""
ENDED_BY = {signal.SIGPROF: "timeout", signal.SIGALRM: "stalled"}  # that waits; or was halted
AGAIN = ("survived", "uncovered", "stalled")
LEAST_TESTS, SECONDS = 12, 30.0  # so many tests, and more until they take so long together


def watch_limits(seconds: float) -> None:
    """End this process by a signal if a test takes much longer than it did."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, 5 + 10 * seconds)
    signal.setitimer(signal.ITIMER_REAL, 120 + 40 * seconds)  # a lock waits without CPU time


def run_tests(session: Any, items: list[Any], seconds: dict[str, float], told: int) -> int:
    """Run tests until one fails; write the name of each, as it begins, to the file ``told``."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        os.write(told, f"{item.nodeid}\n".encode())
        watch_limits(seconds.get(item.nodeid, 1.0))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def in_child(work: Callable[[int], int]) -> tuple[str, str, int]:
    """Fork, and return what became of it, the last test that began, and how many did."""
    reading, told = os.pipe()
    pid = os.fork()
    if not pid:
        code = 3
        try:
            os.close(reading)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
            code = work(told)
        finally:
            os._exit(code)
    os.close(told)
    with os.fdopen(reading) as lines:
        names = lines.read().splitlines()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        outcome = ENDED_BY.get(os.WTERMSIG(status), "killed")
    else:
        outcome = {0: "survived", 1: "killed", 2: "missed"}.get(os.WEXITSTATUS(status), "killed")
    return outcome, names[-1] if names else "import", len(names)


# ---- changes in loaded modules -------------------------------------------------------------


def live_functions() -> dict[types.CodeType, list[Any]]:
    """Return the functions of the package by their code."""
    functions: dict[types.CodeType, list[Any]] = {}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and "skssl" in thing.__code__.co_filename:
            functions.setdefault(thing.__code__, []).append(thing)
    return functions


def replace_code(old: types.CodeType, new: types.CodeType, live: dict[Any, list[Any]]) -> int:
    """Give functions whose code has changed the new one; return how many there were."""
    n = 0
    for function in live.get(old, []) if old != new else []:
        function.__code__ = new
        n += 1
    parts = [
        [part for part in code.co_consts if isinstance(part, types.CodeType)] for code in (old, new)
    ]
    return n + sum(replace_code(a, b, live) for a, b in zip(*parts, strict=False) if a != b)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module with a change."""

    def __init__(self, mutant: Mutant):
        self.mutant = mutant
        self.name = ".".join(mutant.path.relative_to(ROOT).with_suffix("").parts)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.mutant.path, loader=self)

    def create_module(self, spec: Any) -> None:
        """Leave that to the import system."""

    def exec_module(self, module: Any) -> None:
        exec(compile(self.mutant.source(), str(self.mutant.path), "exec"), module.__dict__)


# ---- which tests run which lines -----------------------------------------------------------


def lines_now(old: str, path: Path) -> dict[int, int]:
    """Return the numbers that lines of an older text of a file have now."""
    new = path.read_text() if path.exists() else ""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    return {
        a + i + 1: b + i + 1 for a, b, size in matcher.get_matching_blocks() for i in range(size)
    }


class Map:
    """For each line the tests that run it, and how long each test takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[int, list[str]]] = {}
        for file in sorted(FOLDER.glob("*.json")):
            kept = json.loads(file.read_text())
            self.seconds |= kept["seconds"]
            for module, lines in kept["lines"].items():
                mine = self.lines.setdefault(module, {})
                now = lines_now(kept["source"][module], ROOT / module)
                for line, tests in lines.items():
                    if int(line) in now:
                        mine.setdefault(now[int(line)], []).extend(tests)

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests to run, fastest first, by what they cost alone."""
        lines = self.lines.get(mutant.path.relative_to(ROOT).as_posix(), {})
        if mutant.is_in_function:
            numbers = range(mutant.line, mutant.last_line + 1)
            found = {test for n in numbers for test in lines.get(n, [])}
        else:  # read by whatever reads the module, and defaults by the tests of docstrings
            found = {test for tests in lines.values() for test in tests}
            found |= {test for test in self.seconds if test.startswith(DOCUMENTED)}
        ordered = sorted(found & self.seconds.keys(), key=lambda t: (self.seconds[t], t))
        total = 0.0
        for i, test in enumerate(ordered):
            total += self.seconds[test]
            if i >= LEAST_TESTS and total > SECONDS:
                return ordered[:i]
        return ordered


def map_file(session: Any, items: list[Any], name: str) -> int:
    """Run the tests of one file, and write which lines each of them runs."""
    data = str(FOLDER / f"{name}.coverage")
    watcher = coverage.Coverage(data_file=data, source=[str(PACKAGE)], messages=False)
    watcher._warn = lambda *args, **kwargs: None  # that the package was loaded before
    watcher.start()
    seconds = {}
    for item, following in zip(items, [*items[1:], None], strict=True):
        watcher.switch_context(item.nodeid)
        start, failed = time.process_time(), session.testsfailed
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed == failed:
            seconds[item.nodeid] = round(time.process_time() - start, 3)
    watcher.stop()
    found = watcher.get_data()
    lines = {
        Path(file).relative_to(ROOT).as_posix(): {
            line: [test for test in tests if test in seconds]
            for line, tests in found.contexts_by_lineno(file).items()
        }
        for file in found.measured_files()
    }
    source = {module: SOURCE[module] for module in lines}
    kept = {"seconds": seconds, "failed": session.testsfailed, "lines": lines, "source": source}
    (FOLDER / f"{name}.json").write_text(json.dumps(kept))
    return 0


# ---- the processes that children are forked from -------------------------------------------


class Collected:
    """A pytest plugin: instead of running the tests, hand them to ``work``."""

    def __init__(self, work: Callable[[Any], int]):
        self.work, self.code = work, 3

    def pytest_runtestloop(self, session: Any) -> bool:
        try:
            self.code = self.work(silent(session))
        except Exception:
            traceback.print_exc()
        return True


def silent(session: Any) -> Any:
    """Return the session, which prints no more dots."""
    session.config.get_terminal_writer()._file = open(os.devnull, "w")
    return session


def collect(work: Callable[[Any], int], *args: str) -> int:
    """Collect tests and call ``work`` with pytest's session."""
    plugin = Collected(work)
    options = ["-q", "--tb=no", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*options, *args], plugins=[plugin])
    return plugin.code


def check_no_threads() -> None:
    """Raise where other threads than those of imports run: in a fork polars waits for its own."""
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    if any(name.startswith(("polars-0", "tokio")) for name in names):
        raise RuntimeError("A file of tests starts polars as it is imported: add it to THREADED.")


def in_loaded(work: Callable[[Any], int]) -> None:
    """Call ``work`` in a process that has collected every test, but for those of ``THREADED``."""

    def checked(session: Any) -> int:
        check_no_threads()
        return work(session)

    pid = os.fork()
    if not pid:
        code = 3
        try:
            code = collect(checked, *(f"--ignore={file}" for file in THREADED))
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitpid(pid, 0)[1]:
        sys.exit("Tests could not be collected: see python -m pytest --collect-only.")


def name_of(file: str) -> str:
    """Return the name of the map of a file of tests."""
    return file.replace("/", "-").removesuffix(".py")


def write_map(names: list[str]) -> None:
    """Run each file of tests, or those named, under coverage."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")

    def wanted(file: str) -> bool:
        return not names or any(name in file for name in names)

    for file in filter(wanted, THREADED):
        name = name_of(file)
        in_child(
            lambda told, file=file, name=name: collect(
                lambda session: map_file(session, session.items, name), file
            )
        )

    def work(session: Any) -> int:
        files: dict[str, list[Any]] = {}
        for item in session.items:
            files.setdefault(item.nodeid.partition("::")[0], []).append(item)
        for file, items in files.items():
            if not wanted(file):
                continue
            name, start = name_of(file), time.perf_counter()
            in_child(lambda told, items=items, name=name: map_file(session, items, name))
            print(f"{file}: {len(items)} tests, {time.perf_counter() - start:.0f} s", flush=True)
        return 0

    in_loaded(work)


class Run:
    """The mutants to try, and where their results go."""

    def __init__(self, todo: list[Mutant], results: Path):
        self.todo, self.results, self.map = todo, results, Map()
        self.passing: set[str] = set()  # that pass, alone, in a child without a change

    def __call__(self) -> None:
        print(f"{len(self.todo)} mutants to try", flush=True)
        loaded, n_before = [m for m in self.todo if m.is_in_function], len(rows_of(self.results))
        if loaded:
            in_loaded(lambda session: self.in_functions(session, loaded))
        done = {row["key"] for row in rows_of(self.results)[n_before:]}
        for mutant in self.todo:
            if mutant.key not in done:
                self.try_one(mutant, lambda tests, mutant=mutant: self.anew(mutant, tests))

    def try_one(self, mutant: Mutant, attempt: Callable[[list[str]], Any]) -> None:
        """Try a mutant and append its result, unless it has to be tried in another process."""
        start, tests = time.perf_counter(), self.map.tests(mutant)
        outcome, test, n = attempt(tests) if tests else ("uncovered", "", 0)
        if outcome == "missed":
            return
        row = {
            "key": mutant.key,
            "module": mutant.stratum,
            "where": mutant.where,
            "line": mutant.line,
            "operator": mutant.operator,
            "before": mutant.before,
            "after": mutant.after,
            "status": outcome,
            "test": test if outcome in ("killed", "timeout") else "",
            "tests": n,
            "seconds": round(time.perf_counter() - start, 1),
        }
        is_new = not self.results.exists()
        with self.results.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(f"{outcome:9} {n:4} {row['seconds']:6} s  {mutant.stratum}:{mutant.line}", flush=True)

    def in_functions(self, session: Any, mutants: list[Mutant]) -> int:
        """Try changes of functions."""
        for path in {m.path for m in mutants}:
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        items = {item.nodeid: item for item in session.items}
        live = live_functions()
        gc.freeze()

        def attempt(mutant: Mutant, tests: list[str]) -> Any:
            known = [items[test] for test in tests if test in items]

            def work(told: int) -> int:
                old = compile(mutant.path.read_bytes(), str(mutant.path), "exec")
                new = compile(mutant.source(), str(mutant.path), "exec")
                if not replace_code(old, new, live):
                    return 2
                return run_tests(session, known, self.map.seconds, told)

            found = in_child(work)
            if found[1] not in items:  # it ended before the first test
                return "missed", "", 0
            if found[0] in ("killed", "timeout"):
                alone = [items[found[1]]]
                self.must_pass(
                    found[1], lambda told: run_tests(session, alone, self.map.seconds, told)
                )
            if found[0] == "survived" and len(known) < len(tests):
                return "missed", "", 0
            return found

        for mutant in mutants:
            self.try_one(mutant, lambda tests, mutant=mutant: attempt(mutant, tests))
        return 0

    def must_pass(self, test: str, attempt: Callable[[int], int]) -> None:
        """Stop if a test that noticed fails without a change, too."""
        if test not in self.passing and in_child(attempt)[0] != "survived":
            raise RuntimeError(f"{test} fails alone, without any change.")
        self.passing.add(test)

    def anew(self, mutant: Mutant, tests: list[str]) -> Any:
        """Load the package with the change, and run the tests."""

        found = in_child(lambda told: self.load_and_run(mutant, tests, told))
        if found[0] in ("killed", "timeout"):
            test = tests[0] if found[1] == "import" else found[1]
            self.must_pass(test, lambda told: self.load_and_run(None, [test], told))
        return found

    def load_and_run(self, mutant: Mutant | None, tests: list[str], told: int) -> int:
        """Load the package, with a change, collect the files of these tests and run them."""
        if mutant is not None:
            sys.meta_path.insert(0, Mutated(mutant))
        wanted = {test: i for i, test in enumerate(tests)}

        def chosen(session: Any) -> int:
            items = [item for item in session.items if item.nodeid in wanted]
            items.sort(key=lambda item: wanted[item.nodeid])
            return run_tests(session, items, self.map.seconds, told)

        return collect(chosen, *sorted({test.partition("::")[0] for test in tests}))


# ---- results -------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a csv; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def report(drawn: list[Mutant], seen: dict[str, dict[str, str]], reasons: dict[str, str]) -> str:
    """Return the figures by part of the package, and those that survived, with reasons."""
    rows = [{**seen[m.key], "room": room_of(m)} for m in drawn if m.key in seen]
    lines = ["# Mutants", "", HEAD.format(n=len(rows), seed=SEED, share=SHARE), ""]
    lines += ["| part | mutants | noticed | of these by time-out | survived | noticed |"]
    lines += ["|---|---|---|---|---|---|"]
    rooms = list(dict.fromkeys(row["room"] for row in rows))
    for room in [*rooms, "all"]:
        mine = [row for row in rows if room in (row["room"], "all")]
        slow = sum(row["status"] == "timeout" for row in mine)
        noticed = slow + sum(row["status"] == "killed" for row in mine)
        share = f"{100 * noticed / len(mine):.1f} %"
        numbers = [len(mine), noticed, slow, len(mine) - noticed, share]
        lines.append("| " + " | ".join(map(str, [room, *numbers])) + " |")
    left = [row for row in rows if row["status"] in AGAIN]
    lines += ["", "## Those that survived", ""]
    for row in sorted(left, key=lambda row: (row["module"], int(row["line"]))):
        change = " → ".join(f"`{shortened(row[name])}`" for name in ("before", "after"))
        reason = reasons.get(row["key"], "**no reason yet**")
        lines.append(f"- {row['module']}, `{row['where']}`: {change}. {reason}")
    return "\n".join(lines) + "\n"


def room_of(mutant: Mutant) -> str:
    """Return the part of the package that a mutant counts in."""
    return mutant.stratum.rpartition("/")[0] or mutant.stratum.removesuffix(".py")


def shortened(text: str) -> str:
    """Return the first line of code, and no more than fits into a line."""
    line = text.partition("\n")[0].replace("|", "\\|")
    return line if len(line) <= 60 else line[:57] + "..."


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--map", nargs="*", metavar="TEST_FILE", help="run tests under coverage")
    parser.add_argument("--only", nargs="*", default=[""], metavar="PATH")
    parser.add_argument("--again", action="store_true", help="try those left once more")
    parser.add_argument("--report", action="store_true", help="write results/mutants.md")
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--results", type=Path, default=RESULTS / "mutants.csv")
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in [] if args.report else LOADED_BEFORE.split():
        importlib.import_module(name)
    assert not any(name.partition(".")[0] == "skssl" for name in sys.modules)
    if args.map is not None:
        write_map(args.map)
        return
    paths = [path for pattern in FILES for path in sorted(PACKAGE.glob(pattern))]
    drawn = [
        m for m in draw(paths, args.share, AT_LEAST, SEED) if m.stratum.startswith(tuple(args.only))
    ]
    seen = {row["key"]: row for row in rows_of(args.results)}  # the latest of each
    reasons = {row["key"]: row["reason"] for row in rows_of(REASONS)}
    if args.report:
        args.results.with_suffix(".md").write_text(report(drawn, seen, reasons))
        return
    if args.again:
        left = [m for m in drawn if seen.get(m.key, {}).get("status") in AGAIN]
        todo = [m for m in left if m.key not in reasons]
    else:
        todo = [m for m in drawn if m.key not in seen]
    Run(todo[: args.limit], args.results)()


if __name__ == "__main__":
    main()
