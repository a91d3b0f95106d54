"""What the defaults for tables rest on: one change at a time, on either half of the tables.

Every option is `PretrainedClassifier()` with one change, to the encoder or to the classifier at the
end, and is compared with the default on the same tables, seeds and 100 labels as in `tables.py`.
The tables, sorted by their rows, are dealt into two halves in turn: choose on the first, and see on
the second whether it held.

    SKSSL_MEMORY=encoders python benchmarks/study.py --seeds 0 --methods default "width 512"
    python benchmarks/study.py --report     # differences from the default, results/study.md

With SKSSL_MEMORY set to a folder, options that share an encoder pretrain it once.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import tables
import torch
from _data import default_cache, table_names
from _runner import Benchmark, Method, main, markdown, plus_minus
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from tables import Split

from skssl import (
    SCARF,
    STUNT,
    VIME,
    BinningPretext,
    DenoisingAutoencoder,
    MultiTask,
    PretrainedClassifier,
    PrototypeClassifier,
)
from skssl._training._loop import auto_steps, n_batches
from skssl.encoders import MLP
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised import _ensemble

DEFAULT = "default"


def negative_log_loss(estimator: Any, X: Any, y: Any) -> float:
    """Score probabilities by log loss, also if ``y`` lacks some of the classes."""
    return -log_loss(y, estimator.predict_proba(X), labels=estimator.classes_)


def mixture(p: float = 0.3, corruption: float = 0.3, temperature: float = 0.2, weight: float = 0.2):
    """The default tasks with one figure changed."""
    scarf = SCARF(corruption=corruption, temperature=temperature)
    return {"tasks": [("vime", VIME(p=p), 1.0), ("scarf", scarf, weight)]}


def net(*hidden: int) -> dict[str, Any]:
    """An encoder with other layers than 256, 256, 256."""
    return {"encoder": partial(_net, hidden)}


def _net(hidden: tuple[int, ...], x: torch.Tensor) -> MLP:
    return MLP(x.shape[1], *hidden, activated=True)


MIXTURES: Mapping[str, dict[str, Any]] = {
    "untrained": {"max_epochs": 0},
    "corruption .15": mixture(p=0.15, corruption=0.15),
    "corruption .5": mixture(p=0.5, corruption=0.5),
    "contrast weight 0": {"tasks": [("vime", VIME(p=0.3), 1.0)]},
    "contrast weight 1": mixture(weight=1.0),
    "contrast only": {"tasks": [("scarf", SCARF(corruption=0.3, temperature=0.2), 1.0)]},
    "temperature 1": mixture(temperature=1.0),
    "with bins": {"tasks": [*mixture()["tasks"], ("bins", BinningPretext(), 1.0)]},
    "with STUNT": {"tasks": [*mixture()["tasks"], ("stunt", STUNT(), 0.2)]},
    "denoising for masks": {"tasks": [("dae", DenoisingAutoencoder(noise=0.3), 1.0)]},
    "width 128": net(128, 128, 128),
    "width 512": net(512, 512, 512),
    "1 layer": net(256),
    "4 layers": net(256, 256, 256, 256),
    "n_components 64": {"n_components": 64},
    "piecewise-linear": {"numeric": "piecewise-linear"},
    "periodic": {"numeric": "periodic"},
    "batch 128": {"batch_size": 128},
    "early stopping": {"n_iter_no_change": 5},
}
HEADS: Mapping[str, Callable[[int], Any]] = {
    "logistic regression": lambda seed: make_pipeline(StandardScaler(), _logistic_regression()),
    "extra trees": lambda seed: ExtraTreesClassifier(300, random_state=seed),
    "prototypes": lambda seed: PrototypeClassifier(),
    "self-training": lambda seed: SelfTrainingClassifier(_logistic_regression()),
}
PARTS: Mapping[str, dict[str, Any]] = {  # of the default classifier at the end
    "no trees": {"TREES": ()},
    "no propagation": {"GRAPH_SHARES": ()},
    "linear models only": {"TREES": (), "GRAPH_SHARES": ()},
    "no prior": {"PRIOR_LABELS": 0},
    "prior only": {"PRIOR_LABELS": 10**9},
    "3 shares of raw columns": {"RAW_SHARES": (0.0, 0.5, 1.0)},
    "no forests": {"TREES": _ensemble.TREES[:4]},
    "four kinds of trees": {"TREES": _ensemble.TREES[:5:2] + _ensemble.TREES[3:4]},
}
STEPS: Mapping[str, tuple[int, int]] = {  # at least so many, of so many rows
    "200 steps": (200, 256),
    "1500 steps": (1500, 256),
    "750 steps": (750, 256),
    "375 steps": (375, 256),
    "750 steps of 128 rows": (750, 128),
    "375 steps of 128 rows": (375, 128),
}


def _logistic_regression() -> LogisticRegressionCV:
    grid = {"Cs": 9, "l1_ratios": (0,), "cv": FewLabelsKFold(5), "scoring": negative_log_loss}
    return LogisticRegressionCV(max_iter=300, use_legacy_attributes=False, **grid)


def fitted(split: Split, transformer: Any, classifier: Any = None, **params: Any) -> float:
    """Test accuracy of a `PretrainedClassifier`."""
    memory = os.environ.get("SKSSL_MEMORY")
    model = PretrainedClassifier(
        transformer, classifier, memory=memory, random_state=split.seed, **params
    )
    return model.fit(split.X, split.y).score(split.X_test, split.y_test)


def with_mixture(split: Split, **params: Any) -> tuple[float]:
    return (fitted(split, MultiTask(**params)),)


def with_head(split: Split, make: Callable[[int], Any]) -> tuple[float]:
    return (fitted(split, MultiTask(), make(split.seed)),)


def with_parts(split: Split, **constants: Any) -> tuple[float]:
    with patch.multiple(_ensemble, **constants):
        return (fitted(split, MultiTask()),)


def with_steps(split: Split, at_least: int, batch_size: int) -> tuple[float]:
    n, batch = len(split.X), min(batch_size, len(split.X))
    epochs = max(1, auto_steps(n, batch, at_least=at_least) // n_batches(n, batch))
    return (fitted(split, MultiTask(max_epochs=epochs, batch_size=batch_size)),)


def two_seeds(split: Split) -> tuple[float]:
    nets = [(name, MultiTask(random_state=split.seed + i)) for i, name in enumerate("ab")]
    return (fitted(split, FeatureUnion(nets)),)


METHODS: Mapping[str, Method] = {
    DEFAULT: with_mixture,
    **{name: partial(with_mixture, **params) for name, params in MIXTURES.items()},
    **{name: partial(with_steps, at_least=t, batch_size=n) for name, (t, n) in STEPS.items()},
    "two seeds joined": two_seeds,
    "embedding only": lambda split: (fitted(split, MultiTask(), passthrough=False),),
    **{name: partial(with_head, make=make) for name, make in HEADS.items()},
    **{name: partial(with_parts, **constants) for name, constants in PARTS.items()},
}


# ------------------------------------------------------------------------------- report


def halves(cache: Path) -> tuple[list[str], list[str]]:
    names = table_names(cache)
    return names[::2], names[1::2]


def report(results: pd.DataFrame) -> str:
    """Each option's differences from the default, on either half."""
    wide = results.pivot_table(index=["table", "seed"], columns="method", values="accuracy")
    rows = []
    for method in (m for m in METHODS if m in wide and m != DEFAULT):
        row = [method]
        for half in halves(default_cache()):
            pairs = wide[[DEFAULT, method]].dropna()
            pairs = pairs[pairs.index.get_level_values("table").isin(half)]
            difference = (pairs[method] - pairs[DEFAULT]).groupby(level="table").mean()
            wins = f"{(difference > 0).sum()} : {(difference < 0).sum()}"
            row += [plus_minus(difference), wins, str(len(pairs))] if len(pairs) > 1 else [""] * 3
        rows.append(row)
    head = ["change", "first half", "won : lost", "fits", "second half", "won : lost", "fits"]
    return "\n\n".join(
        [
            "Points of accuracy with 100 labels over `PretrainedClassifier()` on the same tables "
            "and seeds; mean ± standard error over tables.",
            markdown(head, rows),
        ]
    )


BENCHMARK = Benchmark(
    title="Test accuracy with 100 labels",
    results=Path(__file__).parent / "results" / "study.csv",
    scores=("accuracy",),
    methods=METHODS,
    baselines=(DEFAULT,),
    table_names=table_names,
    make_split=tables.make_split,
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("study"))
