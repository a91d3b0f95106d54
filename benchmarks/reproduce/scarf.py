"""SCARF's protocol: does contrastive pretraining help a net that is then fine-tuned?

Bahri, Jiang, Tay and Metzler, "SCARF", ICLR 2022 (https://arxiv.org/abs/2106.15147), report by how
much, relative to the same net trained from scratch, SCARF raises test accuracy on the tables of
OpenML-CC18: 2.35 % with all labels, 3.69 % with a quarter of them, 2.26 % with 30 % of them noise.

    python benchmarks/tables.py --fetch               # once: download the tables
    python benchmarks/reproduce/scarf.py              # 5 trials -> results/reproduce_scarf.csv
    python benchmarks/reproduce/scarf.py --report     # ours beside the paper's

Kept: 70 / 10 / 20 % of the rows for training, validation and test, anew in every trial; an encoder
of four ReLU layers of 256 units, batches of 128, Adam at 1e-3, corruption .6, temperature 1; no
more than 1 000 epochs of pretraining, stopped by the loss on rows held out, and 200 of fine-tuning
with a head of two layers, stopped by validation accuracy, both with a patience of 3 epochs. Both
arms start from the same weights and see the same batches. The label noise is a class drawn
uniformly for 30 % of the training rows; validation and test labels are true.

Different: 19 of the 72 tables, those that KEEL and others offer, and 5 trials in place of 30; rows
held out of training and validation rows by SCARF itself stop the pretraining; numbers are
quantile-to-normal scaled; missing cells get an indicator; AdamW (weight decay 1e-4), gradients
clipped at norm 1, a linear warm-up, and a projector of 256 batch-normalised units and 128 outputs.

`probe_*` is a logistic regression on the frozen embedding, its C chosen on the validation rows, of
the encoder before and after pretraining.
"""

import copy
import sys
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from _data import load  # noqa: E402
from _runner import Benchmark, main, markdown, plus_minus  # noqa: E402
from tables import folds  # noqa: E402

from skssl import SCARF  # noqa: E402

WIDTH, DEPTH, BATCH, RATE = 256, 4, 128, 1e-3
MAX_PRETRAINING, MAX_TUNING, PATIENCE = 1000, 200, 3
PAPER = {"all_labels": 2.35, "labels_25": 3.69, "noise_30": 2.26}
SCORES = ("scratch", "fine_tuned", "probe_untrained", "probe_pretrained")
# KEEL's name -> the name and the number of the data set in OpenML-CC18; the smallest first
CC18 = {
    "wdbc": ("wdbc", 1510),
    "wisconsin": ("breast-w", 15),
    "pima": ("diabetes", 37),
    "vehicle": ("vehicle", 54),
    "tic-tac-toe": ("tic-tac-toe", 50),
    "vowel": ("vowel", 307),
    "credit-g": ("credit-g", 31),
    "contraceptive": ("cmc", 23),
    "segment": ("segment", 40984),
    "splice": ("splice", 46),
    "chess": ("kr-vs-kp", 3),
    "spambase": ("spambase", 44),
    "phoneme": ("phoneme", 1489),
    "texture": ("texture", 40499),
    "optdigits": ("optdigits", 28),
    "satimage": ("satimage", 182),
    "penbased": ("pendigits", 32),
    "letter": ("letter", 6),
    "adult": ("adult", 1590),
}


# ------------------------------------------------------------------------------- protocol


@dataclass(frozen=True)
class Trial:
    """Scaled rows, labels and the two encoders to start from; rows of the three parts."""

    x: Tensor
    y: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    untrained: nn.Module
    pretrained: nn.Module
    seed: int


def plain_net(x: Tensor) -> nn.Sequential:
    """The paper's encoder."""
    widths = [x.shape[1], *[WIDTH] * DEPTH]
    layers = [(nn.Linear(i, o), nn.ReLU()) for i, o in zip(widths[:-1], widths[1:], strict=True)]
    return nn.Sequential(*(module for pair in layers for module in pair))


@lru_cache(maxsize=1)
def make_trial(table: str, seed: int, cache: Path) -> Trial:
    """Pretrain on the training and validation rows; all settings of a trial share this."""
    X, y = load(table, cache)
    parts = train_test_split(np.arange(len(X)), test_size=0.2, stratify=y, random_state=seed)
    train, validation = train_test_split(
        parts[0], test_size=0.125, stratify=y[parts[0]], random_state=seed
    )
    settings = {"encoder": plain_net, "batch_size": BATCH, "learning_rate": RATE}
    fitted = {}
    for epochs in (0, MAX_PRETRAINING):
        patience = PATIENCE if epochs else None
        scarf = SCARF(**settings, max_epochs=epochs, n_iter_no_change=patience, random_state=seed)
        fitted[epochs] = scarf.set_params(precision="float32").fit(X.iloc[parts[0]])
    with torch.no_grad():
        x = fitted[0].encoder_[0](fitted[0]._read(X))
    encoders = fitted[0].encoder_[1], fitted[MAX_PRETRAINING].encoder_[1]
    return Trial(x, y, train, validation, parts[1], *encoders, seed)


def all_labels(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    return trial.train, trial.y[trial.train]


def labels_25(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """A quarter of the training rows, stratified as far as the classes go."""
    rows = trial.train[folds(trial.y[trial.train], 4, trial.seed)[0][1]]
    return rows, trial.y[rows]


def noise_30(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """All training rows, 30 % of them with a class drawn uniformly."""
    rng = np.random.default_rng(trial.seed)
    labels = trial.y[trial.train].copy()
    wrong = rng.choice(len(labels), round(0.3 * len(labels)), replace=False)
    labels[wrong] = rng.integers(trial.y.max() + 1, size=len(wrong))
    return trial.train, labels


# ------------------------------------------------------------------------------- two arms


def fine_tune(trial: Trial, encoder: nn.Module, rows: np.ndarray, labels: np.ndarray) -> float:
    """Test accuracy of the encoder and a head trained on the labels, at its best on validation."""
    generator = torch.Generator().manual_seed(trial.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        head = [nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, int(trial.y.max()) + 1)]
    net = nn.Sequential(copy.deepcopy(encoder), *head)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    x, target = trial.x[rows], torch.from_numpy(labels)
    best, best_state, waited = -1.0, net.state_dict(), 0
    for _ in range(MAX_TUNING):
        net.train()
        for batch in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = nn.functional.cross_entropy(net(x[batch]), target[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        accuracy, waited = score(net, trial, trial.validation), waited + 1
        if accuracy > best:
            best, best_state, waited = accuracy, copy.deepcopy(net.state_dict()), 0
        if waited >= PATIENCE:
            break
    net.load_state_dict(best_state)
    return score(net, trial, trial.test)


@torch.no_grad()
def score(net: nn.Module, trial: Trial, rows: np.ndarray) -> float:
    predicted = net.eval()(trial.x[rows]).argmax(1).numpy()
    return float((predicted == trial.y[rows]).mean())


def probe(trial: Trial, encoder: nn.Module, rows: np.ndarray, labels: np.ndarray) -> float:
    """Test accuracy of a logistic regression on the frozen embedding, C chosen on validation."""
    with torch.no_grad():
        Z = encoder.eval()(trial.x).numpy().astype(np.float64)
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=300)).fit(Z[rows], labels)
        for C in (1e-3, 1e-2, 1e-1, 1.0)
    ]
    validation, test = trial.validation, trial.test
    best = max(models, key=lambda model: model.score(Z[validation], trial.y[validation]))
    return best.score(Z[test], trial.y[test])


def compare(trial: Trial, setting: str) -> tuple[float, ...]:
    rows, labels = {f.__name__: f for f in (all_labels, labels_25, noise_30)}[setting](trial)
    encoders = trial.untrained, trial.pretrained
    return tuple(arm(trial, e, rows, labels) for arm in (fine_tune, probe) for e in encoders)


# ------------------------------------------------------------------------------- report


def report(results: pd.DataFrame) -> str:
    """Relative gains in %, averaged over trials, then over tables."""
    results = results[results["error"].isna()].copy()
    results["gain"] = results["fine_tuned"] / results["scratch"] - 1
    results["probe gain"] = results["probe_pretrained"] / results["probe_untrained"] - 1
    names = [*SCORES, "gain", "probe gain"]
    means = results.groupby(["method", "table"])[names].mean()
    trials = results.groupby(["method", "table"]).size()
    rows, tables = [], []
    for setting in [s for s in PAPER if s in means.index.get_level_values(0)]:
        of = means.loc[setting]
        paper = f"{PAPER[setting]:.2f}"
        head = [setting, str(len(of)), str(trials.loc[setting].min()), paper]
        rows.append([*head, *(plus_minus(of[g]) for g in ("gain", "probe gain"))])
        by_table = of.reindex([t for t in CC18 if t in of.index])
        cells = [[t, *(f"{100 * v:.1f}" for v in by_table.loc[t])] for t in by_table.index]
        tables += [f"{setting}: accuracy and relative gains in %.", markdown(["", *names], cells)]
    head = ["setting", "tables", "trials", "paper", "fine-tuned", "frozen probe"]
    title = "Gain of SCARF in % of the accuracy without pretraining, mean ± standard error."
    return "\n\n".join([title, markdown(head, rows), *tables])


BENCHMARK = Benchmark(
    title="SCARF's protocol",
    results=Path(__file__).parents[1] / "results" / "reproduce_scarf.csv",
    scores=SCORES,
    methods={setting: partial(compare, setting=setting) for setting in PAPER},
    baselines=tuple(PAPER),
    table_names=lambda cache: list(CC18),
    make_split=make_trial,
    report=report,
)

if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main("scarf"))
