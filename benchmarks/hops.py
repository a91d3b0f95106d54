"""How many calls of our own functions one fit takes, and how often they change file.

    python benchmarks/hops.py          # on wa_churn; --verbose lists the functions

A call counts where its function has a name: comprehensions and generators are part of the function
that they stand in. A change of file is one from a call to the next.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data import load
from sklearn.linear_model import LogisticRegression

import skssl

ROOT = str(Path(skssl.__file__).parent)
N_LABELS = 100


def calls_of(function: Any) -> list[tuple[str, str]]:
    """Call a function, and return the file and name of each of our functions that it calls."""
    calls: list[tuple[str, str]] = []

    def note(frame: Any, event: str, arg: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(ROOT) and code.co_name[0] != "<":
            calls.append((code.co_filename[len(ROOT) + 1 :], code.co_qualname))

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def main() -> None:
    """Print both numbers, and with --verbose the functions that are called most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true")
    verbose = parser.parse_args().verbose
    torch.set_num_threads(1)
    X, y = load("wa_churn")
    few = np.full(len(y), -1)
    labelled = np.random.default_rng(0).choice(len(y), N_LABELS, replace=False)
    few[labelled] = y[labelled]
    model = skssl.PretrainedClassifier(
        skssl.MultiTask(max_epochs=1, random_state=0), LogisticRegression(max_iter=1000)
    )
    calls = calls_of(lambda: model.fit(X, few))
    changes = sum(a[0] != b[0] for a, b in zip(calls, calls[1:], strict=False))
    print(f"{len(calls)} calls, {changes} changes of file")
    for (file, name), n in Counter(calls).most_common(60) if verbose else ():
        print(f"{n:6} {file} {name}")


if __name__ == "__main__":
    main()
