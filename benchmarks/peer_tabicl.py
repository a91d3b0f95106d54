"""Public tables with 100 labels: TabICL and TabPFN beside `InContextClassifier`.

Their weights (about 100 and 30 MB) are downloaded when they are first used, so this needs a
network, and an environment of its own:

    pip install skssl tabicl tabpfn
    python benchmarks/tables.py --fetch            # once: download the tables
    python benchmarks/peer_tabicl.py               # run what results/peer_tabicl.csv lacks
    python benchmarks/peer_tabicl.py --report      # print the comparison, write the .md beside it

Splits, labels and test rows are those of `tables.py`. A table that one of them refuses (TabPFN
takes at most ten classes) has its error in the csv, and is left out of their comparison.
"""

from functools import partial
from importlib import import_module
from pathlib import Path

from _data import table_names
from _runner import Benchmark, Method, main
from tables import Split, in_context, make_split


def peer(split: Split, package: str, name: str) -> tuple[float]:
    """A classifier of another package, with its defaults, on the labelled rows of the frame."""
    model = getattr(import_module(package), name)(random_state=split.seed)
    model.fit(split.X_few, split.y_few)
    return (model.score(split.X_test, split.y_test),)


METHODS: dict[str, Method] = {
    "in_context": in_context,
    "tabicl": partial(peer, package="tabicl", name="TabICLClassifier"),
    "tabpfn": partial(peer, package="tabpfn", name="TabPFNClassifier"),
}
BENCHMARK = Benchmark(
    title="Test rows, 100 labels",
    results=Path(__file__).parent / "results" / "peer_tabicl.csv",
    scores=("accuracy",),
    methods=METHODS,
    baselines=tuple(METHODS),
    table_names=table_names,
    make_split=make_split,
    clock="wall_seconds",
)

if __name__ == "__main__":
    raise SystemExit(main("peer_tabicl"))
