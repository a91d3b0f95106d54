"""What `make test-processors` runs: all tests as on other processors, margins with 30 seeds.

Not a test by itself. Each setting makes the libraries compute with kernels of a lesser chip, or
with two threads; those that change nothing on the machine at hand are left out. Outcomes are
appended to build/processors as they come: a run that was broken off goes on where it was, and
one that failed repeats what failed. Remove that folder to start again.

python tests/processors.py [--seeds 30] [--workers 2] [SETTING ...]
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "build" / "processors"


def kernels(aten: str, onednn: str, mkl: str, openblas: str) -> dict[str, str]:
    """Return what limits torch's own kernels, oneDNN, MKL and numpy's OpenBLAS."""
    return {
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "OPENBLAS_CORETYPE": openblas,
    }


SETTINGS = {
    "as it is": {},
    "AVX-512 without bfloat16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2": kernels("avx2", "AVX2", "AVX2", "Haswell"),
    "SSE4": kernels("default", "SSE41", "SSE4_2", "Nehalem") | {"MKL_CBWR": "COMPATIBLE"},
    "two threads": {"OMP_NUM_THREADS": "2"},
}


def look() -> None:
    """Print what each library says that it computes with."""
    import numpy as np
    import torch
    from threadpoolctl import threadpool_info

    blas = {i["architecture"] for i in threadpool_info() if i["internal_api"] == "openblas"}
    print("ATen:", torch.backends.cpu.get_cpu_capability())
    print("OpenBLAS:", *sorted(blas))
    print("threads:", torch.get_num_threads())
    np.ones((9, 9)) @ np.ones((9, 9))
    torch.ones(99, 99) @ torch.ones(99, 99)  # by MKL
    torch.nn.Conv2d(3, 16, 3)(torch.ones(2, 3, 16, 16))  # by oneDNN


def found(setting: dict[str, str]) -> dict[str, str]:
    """Return what each library computes with in a setting, as it says itself."""
    verbose = {"MKL_VERBOSE": "1", "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, __file__, "--look"]
    run = subprocess.run(
        command, env=environment(setting) | verbose, capture_output=True, text=True, check=True
    )
    said = dict(re.findall(r"^(ATen|OpenBLAS|threads): (.*)$", run.stdout, re.M))
    patterns = {"MKL": r"MKL_VERBOSE SGEMM.*?(CNR:\S+)", "oneDNN": r"cpu,isa:(.*)"}
    for name, pattern in patterns.items():
        match = re.search(pattern, run.stdout)
        said[name] = match[1] if match else "not there"
    return said


def environment(setting: dict[str, str]) -> dict[str, str]:
    """Return this process's environment in a setting, in which one thread is the rule."""
    return os.environ | {"OMP_NUM_THREADS": "1"} | setting


def test(setting: dict[str, str], record: Path, *args: str) -> bool:
    """Run the tests that the record has not as passed, and return whether all have now."""
    command = [sys.executable, "-m", "pytest", "-q", "--record", str(record), *args]
    return subprocess.run(command, cwd=ROOT, env=environment(setting)).returncode in (0, 5)


def margins(record: Path) -> bool:
    """Print each margin's mean, spread and worst beside its bound; return whether all hold."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    bounds: dict[tuple[str, str], float] = {}
    latest = {line["test"]: line for line in map(json.loads, record.read_text().splitlines())}
    for name, line in latest.items():
        for margin in line["margins"]:
            key = re.sub(r"-?seed\d+-?", "", name).replace("[]", ""), margin["of"]
            values[key].append(margin["value"])
            bounds[key] = margin["bound"]
    print(f"{'seeds':>5} {'mean':>8} {'spread':>8} {'worst':>8} {'bound':>8}")
    for key, found in sorted(values.items()):
        mean = sum(found) / len(found)
        spread = math.sqrt(sum((v - mean) ** 2 for v in found) / max(1, len(found) - 1))
        numbers = [f"{n:8.4g}" for n in (mean, spread, min(found), bounds[key])]
        print(f"{len(found):5}", *numbers, *key, "" if min(found) > bounds[key] else "FAILED")
    return all(line["outcome"] == "passed" for line in latest.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=", ".join(SETTINGS))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        look()
        return 0
    RECORDS.mkdir(parents=True, exist_ok=True)
    differ: dict[str, dict[str, str]] = {}
    for name, setting in SETTINGS.items():
        said = found(setting)
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in said.items())}")
        if said in differ.values():
            print("  which is what an earlier setting has: left out")
        else:
            differ[name] = said
    passed = len(differ) >= 4 or not print("Fewer than four settings differ on this machine.")
    for name in differ:
        if not given.settings or name in given.settings:
            print(f"---- {name} ----", flush=True)
            workers = 1 if "threads" in name else given.workers
            record = RECORDS / f"{name}.jsonl"
            spread = ("-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder")
            passed &= test(SETTINGS[name], record, *spread)
    if not given.settings and given.seeds:
        print(f"---- {given.seeds} seeds ----", flush=True)
        record = RECORDS / "seeds.jsonl"
        only = ("-m", "margin and not slow", "--seeds", str(given.seeds))
        passed &= test({}, record, "-n", str(given.workers), *only)
        passed &= margins(record)
    print("all pass" if passed else "SOME FAILED")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
