"""Public tables with 100 labels: the in-context learner beside trees and a linear model."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl._data import TableReader
from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl.encoders import QuantileScaler
from skssl.evaluation._baselines import TunedLogisticRegression
from skssl.in_context._net import FLOOR, Context, InContextNet

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this folder, which has a tables.py, too
from _data import default_cache
from study import halves
from tables import Split, make_split


def predict_split(net: InContextNet, split: Split, n_unlabelled: int, n_times: int) -> np.ndarray:
    """Return probabilities of the test rows, the mean over several draws of what is random."""
    reader = TableReader().fit(split.X)
    x = reader.read(split.X)
    scaler = QuantileScaler(x, reader.columns)
    labelled, others = np.flatnonzero(split.y >= 0), np.flatnonzero(split.y < 0)
    classes, y = np.unique(split.y[labelled], return_inverse=True)
    x_test = scaler(reader.read(split.X_test))
    cardinality = torch.tensor(reader.columns.cardinality)[None]
    total = np.zeros((len(x_test), len(classes)))
    for i in range(n_times):
        random = np.random.default_rng(i)
        rows = [*labelled, *random.permutation(others)[:n_unlabelled]]
        columns = random.permutation(x.shape[1])[:60]
        context = Context(
            scaler(x[rows])[None, :, columns],
            cardinality[:, columns],
            torch.from_numpy(y)[None],
            len(classes),
            torch.tensor([False]),
        )
        generator = torch.Generator().manual_seed(i)
        total += net(context, x_test[None, :, columns], generator)[0].exp().numpy()
    made = np.full((len(x_test), max(split.y.max(), split.y_test.max()) + 1), FLOOR)
    made[:, classes] += total / n_times
    return made / made.sum(1, keepdims=True)


def rivals(split: Split) -> dict[str, np.ndarray]:
    """Return the probabilities of trees and of a tuned logistic regression."""
    models = {
        "extra trees": ExtraTreesClassifier(300, random_state=split.seed),
        "forest": RandomForestClassifier(300, random_state=split.seed),
        "logistic regression": TunedLogisticRegression(),
    }
    made = {}
    for name, model in models.items():
        steps = [ColumnsAsNumbers()] + [StandardScaler()] * (name == "logistic regression")
        model = make_pipeline(*steps, model).fit(split.X_few, split.y_few)
        made[name] = np.full((len(split.X_test), max(split.y.max(), split.y_test.max()) + 1), 0.0)
        made[name][:, model.classes_] = model.predict_proba(split.X_test)
        made[name] = 0.99 * made[name] + 0.01 / made[name].shape[1]  # trees are sure and wrong
    return made


def splits(half: int, n_draws: int) -> Iterator[tuple[str, int, Split]]:
    """Yield table, draw and split of one half of the tables; at most 1 000 test rows."""
    for table in halves(default_cache())[half]:
        for seed in range(n_draws):
            split = make_split(table, seed, default_cache())
            few = np.random.default_rng(seed).permutation(len(split.X_test))[:1000]
            yield (
                table,
                seed,
                replace(split, X_test=split.X_test.iloc[few], y_test=split.y_test[few]),
            )


def scores(p: np.ndarray, split: Split) -> tuple[float, float]:
    """Return accuracy and log loss of the probabilities of the test rows."""
    loss = -np.log(p[np.arange(len(p)), split.y_test]).mean()
    return np.mean(p.argmax(1) == split.y_test), loss


@torch.no_grad()
def compare(net: InContextNet, untrained: InContextNet, half: int, n_draws: int) -> pd.DataFrame:
    """Return accuracy and log loss of each model on one half of the tables of the study."""
    rows = []
    for table, seed, split in splits(half, n_draws):
        made = {
            "in context": predict_split(net, split, 0, 4),
            "in context, 256 unlabelled": predict_split(net, split, 256, 4),
            "in context, random weights": predict_split(untrained, split, 0, 4),
            **rivals(split),
        }
        rows += [(table, seed, name, *scores(p, split)) for name, p in made.items()]
        print(table, seed, *(f"{name} {scores(p, split)[0]:.3f}" for name, p in made.items()))
    found = pd.DataFrame(rows, columns=["table", "seed", "model", "accuracy", "log_loss"])
    each = found.groupby(["table", "model"], sort=False)[["accuracy", "log_loss"]].mean()
    print("all", each.groupby("model", sort=False).mean().round(3), sep="\n")
    return found
