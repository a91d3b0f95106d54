"""What an embedding is good for in the end: the figures of docs/decisions.rst.

Digits and breast cancer of scikit-learn. 30 % of the rows are the test, and a SCARF of 64
components learns for 20 epochs from the others. What each method is given, and its score:

- students and their teacher, `PretrainedClassifier` on that encoder with 100 labels of digits or 60
  of breast cancer: accuracy, agreement with the teacher, milliseconds a row;
- models that spread labels, with 60 or 10 labels, standardised embedding: accuracy;
- 20 rows to label, chosen in several ways, or 20 more: accuracy of a logistic regression;
- boxes of 20 rows, of which 60 % are of one kind or of the other, digits below five or malignant:
  area under the ROC curve of a logistic regression, 5 folds;
- outliers, one row of 20 in training: nines, or malignant: area under the ROC curve on test rows.

    python benchmarks/decisions.py                          # -> results/decisions.csv
    python benchmarks/decisions.py --methods "net student"  # some of it
    python benchmarks/decisions.py --report                 # -> results/decisions.md

Milliseconds are the least of 5 runs: other programs make them longer, not shorter.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _runner import Benchmark, Method, main, markdown, plus_minus
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from skssl import (
    SCARF,
    EmbeddingOutlierDetector,
    PhenotypeTransformer,
    PretrainedClassifier,
    PrototypeClassifier,
    distill,
    select_to_label,
    to_bags,
)

LOADERS = {"digits": load_digits, "breast cancer": load_breast_cancer}
N_LABELS = {"digits": (100, 60), "breast cancer": (60, 10)}  # of the teacher, of spreading
RARE = {"digits": 9, "breast cancer": 0}
N_DRAWS = 5  # of rows at random
LINEAR = LogisticRegression(C=0.1, max_iter=1000)
NAN = float("nan")
Scores = tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """Rows in a random order, of which the first ones have a label; encoder and teacher."""

    table: str
    seed: int
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    encoder: Any
    teacher: Any

    def partly(self, n: int) -> np.ndarray:
        return np.where(np.arange(len(self.y)) < n, self.y, -1)

    def accuracy(self, rows: np.ndarray) -> float:
        """Accuracy of a logistic regression on the labels of some rows."""
        model = make_pipeline(FrozenEstimator(self.encoder), clone(LINEAR))
        return model.fit(self.X[rows], self.y[rows]).score(self.X_test, self.y_test)


@lru_cache(maxsize=1)
def make_split(table: str, seed: int, cache: Path) -> Split:
    X, y = LOADERS[table](return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.split(order, [len(y) * 7 // 10])
    scarf = SCARF(n_components=64, max_epochs=20, precision="float32", random_state=seed)
    scarf.fit(X[train])
    encoder = make_pipeline(FrozenEstimator(scarf), StandardScaler()).fit(X[train])
    few = np.where(np.arange(len(train)) < N_LABELS[table][0], y[train], -1)
    teacher = PretrainedClassifier(FrozenEstimator(scarf), random_state=seed).fit(X[train], few)
    return Split(table, seed, X[train], y[train], X[test], y[test], encoder, teacher)


# ------------------------------------------------------------------------------- methods


def milliseconds(model: Any, X: np.ndarray) -> float:
    """Least of 5 runs of `predict`, after one that does not count, by row."""
    model.predict(X)
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        model.predict(X)
        runs.append(time.perf_counter() - start)
    return 1000 * min(runs) / len(X)


def student(split: Split, model: Any = None) -> Scores:
    """A model that learns from the teacher; the teacher itself, where `model` is "teacher"."""
    made = split.teacher
    if model != "teacher":
        made = distill(split.teacher, split.X, model, random_state=split.seed)
    agreement = np.mean(made.predict(split.X_test) == split.teacher.predict(split.X_test))
    times = milliseconds(made, split.X_test), milliseconds(made, split.X_test[:1])
    return made.score(split.X_test, split.y_test), float(agreement), *times


def spreading(split: Split, model: Any, raw: bool = False) -> Scores:
    """A semi-supervised model; one that takes no unlabelled rows gets the labelled ones."""
    y = split.partly(N_LABELS[split.table][1])
    if not isinstance(model, (LabelSpreading, SelfTrainingClassifier)):
        y = y[y >= 0]
    first = StandardScaler() if raw else FrozenEstimator(split.encoder)
    made = make_pipeline(first, clone(model)).fit(split.X[: len(y)], y)
    return made.score(split.X_test, split.y_test), NAN, NAN, NAN


def labelling(split: Split, n_random: int = 0, strategy: str | None = None) -> Scores:
    """Rows to label at random, then 20 by a strategy; mean over draws."""
    accuracies = []
    for draw in range(N_DRAWS):
        rows = np.random.default_rng(draw).permutation(len(split.y))[:n_random]
        if strategy is not None:
            how: dict[str, Any] = {"strategy": strategy, "random_state": draw}
            if n_random:
                model = make_pipeline(FrozenEstimator(split.encoder), clone(LINEAR))
                how["classifier"] = model.fit(split.X[rows], split.y[rows])
                how["y"] = np.full(len(split.y), -1)
                how["y"][rows] = split.y[rows]
            more = select_to_label(split.X, 20, embedding=split.encoder, **how)
            rows = np.concatenate([rows, more])
        accuracies.append(split.accuracy(rows))
    return float(np.mean(accuracies)), NAN, NAN, NAN


def boxes(split: Split, method: str) -> Scores:
    """Boxes told apart by the mean of their columns, or by their shares of clusters."""
    rng = np.random.default_rng(split.seed)
    kind = split.y < 5 if split.table == "digits" else split.y == 0
    label = rng.permutation(np.arange(120) % 2)
    is_kind = rng.random((120, 20)) < np.where(label, 0.6, 0.4)[:, None]
    rows = np.array([rng.choice(np.flatnonzero(kind == one)) for one in is_kind.ravel()])
    parts = pd.DataFrame(split.X[rows]).add_prefix("column")
    if method == "mean":
        Z = parts.groupby(np.repeat(np.arange(120), 20)).mean().to_numpy()
    else:
        bags = to_bags(parts.assign(box=np.repeat(np.arange(120), 20)), id="box")
        Z = PhenotypeTransformer(random_state=split.seed).fit_transform(bags)
    cv = StratifiedKFold(5, shuffle=True, random_state=split.seed)
    model = make_pipeline(StandardScaler(), clone(LINEAR))
    return cross_val_score(model, Z, label, cv=cv, scoring="roc_auc").mean(), NAN, NAN, NAN


def outliers(split: Split, detector: Any) -> Scores:
    """Trained on half of all rows, less most of the rare ones."""
    X, y = np.vstack([split.X, split.X_test]), np.concatenate([split.y, split.y_test])
    rare = y == RARE[split.table]
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.5, stratify=rare, random_state=split.seed
    )
    normal, found = train[~rare[train]], train[rare[train]]
    train = np.concatenate([normal, found[: round(len(normal) / 19)]])
    made = clone(detector).set_params(random_state=split.seed).fit(X[train])
    return roc_auc_score(rare[test], -made.score_samples(X[test])), NAN, NAN, NAN


STUDENTS = "A small model in the end: accuracy"
SELF_TRAINING = SelfTrainingClassifier(
    PrototypeClassifier(), criterion="k_best", k_best=100, max_iter=12
)
GROUPS: Mapping[str, Mapping[str, Method]] = {
    STUDENTS: {
        "teacher": partial(student, model="teacher"),
        "net student": student,
        "boosting student": partial(student, model=HistGradientBoostingClassifier(max_iter=50)),
    },
    "More from few labels: accuracy": {
        "logistic regression": partial(spreading, model=LINEAR),
        "label spreading": partial(spreading, model=LabelSpreading("knn", n_neighbors=10)),
        "label spreading, raw": partial(
            spreading, model=LabelSpreading("knn", n_neighbors=10), raw=True
        ),
        "self-training": partial(spreading, model=SelfTrainingClassifier(LINEAR)),
        "prototypes": partial(spreading, model=PrototypeClassifier()),
        "self-training, prototypes": partial(spreading, model=SELF_TRAINING),
    },
    "What to label next: accuracy": {
        "20 at random": partial(labelling, n_random=20),
        "20 by typicality": partial(labelling, strategy="typicality"),
        "20 by k-centre": partial(labelling, strategy="k_center"),
        "40 at random": partial(labelling, n_random=40),
        "20 at random, 20 uncertain": partial(labelling, n_random=20, strategy="uncertainty"),
    },
    "Boxes of rows: AUC": {
        "mean columns": partial(boxes, method="mean"),
        "phenotypes": partial(boxes, method="phenotypes"),
    },
    "Outliers: AUC": {
        "isolation forest": partial(outliers, detector=IsolationForest()),
        "EmbeddingOutlierDetector": partial(outliers, detector=EmbeddingOutlierDetector()),
    },
}
METHODS = {name: method for group in GROUPS.values() for name, method in group.items()}


# ------------------------------------------------------------------------------- report


def report(results: pd.DataFrame) -> str:
    """Means over seeds, a table for each question."""
    n_seeds = results["seed"].nunique()
    parts = [f"Scores × 100, mean ± standard error over {n_seeds} seeds."]
    results = results.drop_duplicates(["table", "seed", "method"], keep="last")
    for title, group in GROUPS.items():
        rows = []
        for method in group:
            row = [method]
            for table in LOADERS:
                own = results[(results["table"] == table) & (results["method"] == method)]
                row.append(plus_minus(own["score"]))
                if title == STUDENTS:
                    row.append(plus_minus(own["agreement"]))
                    row += [f"{own[name].median():.3g}" for name in ("ms", "ms_one")]
            rows.append(row)
        parts += [title, markdown(["", *_columns(title)], rows)]
    return "\n\n".join(parts)


def _columns(title: str) -> list[str]:
    more = ["agrees with the teacher", "ms a row", "ms, one row"] if title == STUDENTS else []
    return [name for table in LOADERS for name in (table, *more)]


BENCHMARK = Benchmark(
    title="Decisions",
    results=Path(__file__).parent / "results" / "decisions.csv",
    scores=("score", "agreement", "ms", "ms_one"),
    methods=METHODS,
    baselines=tuple(METHODS),
    table_names=lambda cache: list(LOADERS),
    make_split=make_split,
    seeds=(0, 1, 2),
    report=report,
)

if __name__ == "__main__":
    raise SystemExit(main("decisions"))
