"""What ContextSSL's embedding tells with contexts of 0 to 14 pairs, beside SimCLR's.

Digits of scikit-learn and drawn letters, each turned by a random angle and tinted by a random hue:
half of them to train, the other half to test. ContextSSL is fitted once, with the actions rotation
and hue; a context tells of one, of both or of neither. SimCLR's views are the same actions and the
same crops; encoder, epochs and batches are the same. Of adult, 5 000 rows to train and 5 000 to
test; each column is replaced by itself, and a context is silent of sex or tells of all columns.

- `rotation`, `hue`: R2 of ten neighbours (`neighbours`, by cosine) and of a ridge regression on
  standardised components (`linear`), which finds traces that are too small for distances.
- `class`: accuracy of a logistic regression on the labels of all training rows.
- `sex`: area under the ROC curve of the probe of sex, where the sex of training and test rows was
  replaced at random, so that no other column tells it; `true sex`: with the sex of the rows.
- `income`: the same of the income, whose column is not in the table.

    python benchmarks/context.py                  # -> results/context.csv
    python benchmarks/context.py --data digits
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data import default_cache
from _data import load as load_table
from _runner import append
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skssl import ContextSSL, SimCLR
from skssl.encoders import MLP
from skssl.views import Actions, crop_action, hue_action, rotation_action
from skssl.views._images import turn

RESULTS = Path(__file__).parent / "results" / "context.csv"
FIELDS = ["data", "method", "context", "pairs", "figure", "probe", "value"]
PAIRS = (0, 1, 2, 4, 8, 14)
STEPS = {"digits": 1500, "letters": 800, "adult": 1000}  # of each fit
LETTERS = {  # rows of five pixels, which look different at every angle
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01110 10001 10000 10111 10001 10001 01110",
    "J": "00111 00010 00010 00010 00010 10010 01100",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
}
Row = tuple[str, str, int | str, str, str, float]


class Pictures:
    """Grey pictures (n, side, side), turned and tinted at random, and what is to be told."""

    def __init__(self, grey: np.ndarray, y: np.ndarray, degrees: float, seed: int = 0):
        rng = np.random.default_rng(seed)
        angle = np.radians(rng.uniform(-degrees, degrees, len(grey)))
        hue = rng.uniform(0, 2 * np.pi, len(grey))
        shift = 2 * np.pi * np.arange(3) / 3
        color = 0.5 + 0.5 * np.cos(hue[:, None] - shift)  # a circle about the grey axis
        turned = turn(torch.tensor(grey, dtype=torch.float32)[:, None], torch.tensor(angle).float())
        self.X = (turned.numpy() * color[:, :, None, None]).astype(np.float32)
        self.y, self.degrees = y, degrees
        self.factors = {
            "rotation": np.stack([np.sin(angle), np.cos(angle)], 1),
            "hue": np.stack([np.sin(hue), np.cos(hue)], 1),
        }
        if degrees <= 90:  # the cosine of a small angle hardly varies
            self.factors["rotation"] = angle[:, None]
        self.train = np.arange(len(grey)) % 2 == 0

    def figures(self, Z: np.ndarray) -> Iterator[tuple[str, str, float]]:
        """Yield what probes find in the embeddings of all pictures."""
        train, test = self.train, ~self.train
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
        near = KNeighborsRegressor(10, metric="cosine")
        for name, factor in self.factors.items():
            for kind, probe in (("neighbours", near), ("linear", ridge)):
                guess = probe.fit(Z[train], factor[train]).predict(Z[test])
                yield name, kind, r2_score(factor[test], guess)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        yield "class", "linear", probe.fit(Z[train], self.y[train]).score(Z[test], self.y[test])


def digits(seed: int) -> Pictures:
    data = load_digits()
    return Pictures(data.images / 16, data.target, 60, seed)


def letters(seed: int, n: int = 3000) -> Pictures:
    """Draw letters of random sizes in pictures of 12 x 12 pixels, turned by up to 90 degrees."""
    rng = np.random.default_rng(seed + 1000)
    y = rng.integers(0, len(LETTERS), n)
    fonts = np.zeros((len(LETTERS), 12, 12), np.float32)
    for font, rows in zip(fonts, LETTERS.values(), strict=True):
        font[2:9, 3:8] = [[int(c) for c in row] for row in rows.split()]
    return Pictures(fonts[y] * rng.uniform(0.6, 1, (n, 1, 1)), y, 90, seed)


def dense(x: Tensor) -> nn.Module:
    """Build an encoder that takes seconds where a convolutional one takes minutes."""
    return nn.Sequential(nn.Flatten(), MLP(x[0].numel(), 512, 512, 64, activated=True))


def pictures(data: Pictures, steps: int, seed: int) -> Iterator[Row]:
    """Yield the figures of ContextSSL, trained and untrained, of SimCLR and of pixels."""
    X, degrees = data.X, data.degrees
    actions = [partial(rotation_action, degrees=degrees), hue_action]
    shared = {"encoder": dense, "modality": "image", "random_state": seed}
    epochs = max(1, steps // (data.train.sum() // 256))

    def rows(method: str, context: str, pairs: int | str, Z: np.ndarray) -> Iterator[Row]:
        for figure, probe, value in data.figures(Z):
            yield method, context, pairs, figure, probe, value

    yield from rows("pixels", "", "", X.reshape(len(X), -1))
    alter = Actions({str(i): action for i, action in enumerate([*actions, crop_action])})
    for state, n in (("untrained ", 0), ("", epochs)):
        simclr = SimCLR(views=lambda x: alter(x)[0], max_epochs=n, **shared)
        yield from rows(f"{state}SimCLR", "", "", simclr.fit(X[data.train]).transform(X))
        ssl = ContextSSL(actions=actions, max_epochs=n, **shared).fit(X[data.train])
        for context in (["rotation"], ["hue"], ["rotation", "hue"], []):
            for pairs in PAIRS if n and len(context) == 1 else PAIRS[-1:]:
                Z = ssl.with_context(context, n=pairs).transform(X)
                yield from rows(f"{state}ContextSSL", " and ".join(context), pairs, Z)


def auc(Z: np.ndarray, y: np.ndarray, train: np.ndarray, kind: str) -> float:
    probe: Any = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    if kind == "neighbours":
        probe = KNeighborsClassifier(50, metric="cosine")
    guess = probe.fit(Z[train], y[train]).predict_proba(Z[~train])[:, 1]
    return roc_auc_score(y[~train], guess)


def adult(steps: int, seed: int) -> Iterator[Row]:
    """Yield how well sex and income are found where a context keeps sex, and where it hides it."""
    X, income = load_table("adult", default_cache())
    rows = X.sample(10_000, random_state=seed).index
    X, income = X.loc[rows].reset_index(drop=True), np.asarray(income[rows])
    train = np.arange(len(X)) % 2 == 0
    sex, replaced = X["gender"].to_numpy(), X.copy()
    replaced["gender"] = X["gender"].sample(frac=1, random_state=seed).to_numpy()
    targets = {
        "sex": (replaced, replaced["gender"].to_numpy()),
        "true sex": (X, sex),
        "income": (X, income),
    }
    for state, epochs in (("untrained ", 0), ("", max(1, steps // (train.sum() // 256)))):
        shared = {"max_epochs": epochs, "random_state": seed, "n_components": 64}
        methods: dict[tuple[str, str, int | str], Any] = {}
        methods[f"{state}SimCLR", "", ""] = SimCLR(**shared).fit(X[train])
        ssl = ContextSSL(**shared).fit(X[train])
        told = [name for name in X if name != "gender"]
        for context in ("keeps sex", "hides sex"):
            given = [*told, "gender"] if context == "keeps sex" else told
            for pairs in PAIRS if epochs else PAIRS[-1:]:
                methods[f"{state}ContextSSL", context, pairs] = ssl.with_context(given, n=pairs)
        for (method, context, pairs), fitted in methods.items():
            for figure, (table, y) in targets.items():
                Z = fitted.transform(table)
                for kind in ("neighbours", "linear"):
                    yield method, context, pairs, figure, kind, auc(Z, y, train, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--steps", type=int, help="of each fit, instead of the default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the csv")
    args = parser.parse_args()
    for name in args.data:
        steps = args.steps or STEPS[name]
        if name == "adult":
            found = adult(steps, args.seed)
        else:
            made = (digits if name == "digits" else letters)(args.seed)
            found = pictures(made, steps, args.seed)
        append(args.results, FIELDS, ((name, *row, f"{value:.3f}") for *row, value in found))


if __name__ == "__main__":
    main()
