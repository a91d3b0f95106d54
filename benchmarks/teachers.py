"""Student or teacher: which of the two encoders that a fit trains has the better embedding?

    python benchmarks/tables.py --fetch                          # once: brings MNIST's digits
    python benchmarks/teachers.py --data cifar10.npz             # -> results/teachers.csv
    python benchmarks/teachers.py --data cifar10.npz --steps 300
    python benchmarks/teachers.py --report                       # -> results/teachers.md

One fit gives both figures: the accuracy of logistic regression on 100 labels, drawn ten times, on
the other rows. Encoders and batches are small, so that a fit takes seconds. With fewer steps
than the default budget of 1 500 the teacher follows faster by that factor: it then lags behind by
the same share of the fit. Finished fits stay in the csv, and a run goes on from there.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _data import default_cache, fetched
from _runner import append, markdown
from images import load
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skssl import BYOL, DINO, IJEPA, MoCo
from skssl.base._transformer import _apply
from skssl.encoders import ResNet, ViT

METHODS = {"DINO": DINO, "IJEPA": IJEPA, "BYOL": BYOL, "MoCo": MoCo}
STEPS, BATCH, N_ROWS, N_LABELS, N_DRAWS = 1500, 64, 2000, 100, 10
RESULTS = Path(__file__).parent / "results" / "teachers.csv"
FIELDS = ["data", "seed", "method", "steps", "student", "teacher", "cpu_seconds"]


def pooled(X: np.ndarray, side: int) -> np.ndarray:
    """Average square blocks of pixels."""
    block = X.shape[1] // side
    cells = X.reshape(len(X), side, block, side, block, -1).mean((2, 4))
    return np.round(cells).astype(np.uint8).squeeze()


def read(name: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return at most 2 000 images of 8 x 8 pixels, and their classes."""
    if name == "mnist":
        rows = pd.read_csv(fetched(cache, "mnist_5k.csv.gz"), header=None).to_numpy()
        rows = np.random.default_rng(0).permutation(rows)[:N_ROWS]  # they come class by class
        return pooled(rows[:, :-1].reshape(-1, 28, 28)[:, 2:-2, 2:-2], 8), rows[:, -1]
    data = load(Path(name))
    X, y = data.X[:N_ROWS], data.y[:N_ROWS]
    return (X if X.shape[1] == 8 else pooled(X, 8)), y


def small(x: Tensor) -> nn.Module:
    """Return a small residual net."""
    return ResNet(x.shape[1], (16, 32), (0, 1), n_components=64)


def small_vit(x: Tensor) -> nn.Module:
    """Return a vision transformer of three layers on 16 patches."""
    return ViT(x.shape[1], (x.shape[2], x.shape[3]), 2, width=64, n_layers=3)


def accuracy(Z: np.ndarray, y: np.ndarray) -> float:
    """Return the accuracy in % of a linear probe, the mean over draws of labels."""
    Z, scores = StandardScaler().fit_transform(Z), []
    for draw in range(N_DRAWS):
        few, rest = train_test_split(
            np.arange(len(Z)), train_size=N_LABELS, stratify=y, random_state=draw
        )
        probe = LogisticRegression(C=0.03, max_iter=200, tol=1e-3).fit(Z[few], y[few])
        scores.append(probe.score(Z[rest], y[rest]))
    return 100 * float(np.mean(scores))


def both(method: str, X: np.ndarray, y: np.ndarray, seed: int, steps: int) -> list[float]:
    """Return the accuracies with the student's embedding and with the teacher's."""
    cls = METHODS[method]
    fitted: Any = cls(
        encoder=small_vit if cls is IJEPA else small,
        batch_size=BATCH,
        max_epochs=round(steps / (len(X) // BATCH)),
        momentum=1 - (1 - cls().momentum) * STEPS / steps,
        warm_start=True,  # keeps the teacher
        random_state=seed,
    ).fit(X)
    net, x = fitted._net.eval(), fitted._read(X)
    found = []
    for part in (net.student, net.teacher):
        encoder = part if cls is IJEPA else part[0]
        with torch.inference_mode():
            Z = _apply(nn.Sequential(fitted.encoder_[0], encoder), x)
        found.append(accuracy(Z.numpy(), y))
    return found


def missing(args: argparse.Namespace) -> Iterator[list[Any]]:
    """Yield the rows that the csv lacks."""
    done = set()
    if args.results.exists():
        frame = pd.read_csv(args.results)
        done = set(zip(*(frame[name] for name in FIELDS[:4]), strict=True))
    for seed in args.seeds:
        for name in ("digits", "mnist", *args.data):
            X, y = read(name, args.cache)
            for method in args.methods:
                key = Path(name).stem, seed, method, args.steps
                if key in done:
                    continue
                start = time.process_time()
                found = both(method, X, y, seed, args.steps)
                seconds = time.process_time() - start
                yield [*key, *(f"{f:.2f}" for f in found), f"{seconds:.1f}"]


def report(results: pd.DataFrame) -> str:
    """Return a table for each number of steps: student, teacher and their difference."""
    parts = []
    for steps, table in results.groupby("steps"):
        names, rows = list(dict.fromkeys(table["data"])), []
        table = table.assign(gain=table["teacher"] - table["student"])
        for method in (m for m in METHODS if m in set(table["method"])):
            fits = table[table["method"] == method]
            means = fits.groupby("data")[["student", "teacher"]].mean().reindex(names)
            cells = [f"{s:.1f}, {t:.1f}" for s, t in means.itertuples(index=False)]
            error = fits["gain"].std(ddof=1) / np.sqrt(len(fits))
            rows.append([method, *cells, f"{fits['gain'].mean():+.1f} ± {error:.1f}"])
        seeds = f"{table['seed'].nunique()} seed{'s' * (table['seed'].nunique() > 1)}"
        parts += [
            f"{steps} steps, {seeds}: accuracy in % of the student and of the teacher, and the "
            "teacher's gain, mean ± standard error over the fits.",
            markdown(["method", *names, "teacher's gain"], rows),
        ]
    return "\n\n".join(parts)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=[], help="npz files with X, y and split")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of the tables")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the csv")
    parser.add_argument("--report", action="store_true", help="print and write the comparison")
    args = parser.parse_args()
    if args.report:
        text = report(pd.read_csv(args.results))
        print(text)
        args.results.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    else:
        append(args.results, FIELDS, missing(args))


if __name__ == "__main__":
    main()
