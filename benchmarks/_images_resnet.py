"""ResNet-18 on all training images: its speed, and how good its embedding is; for a GPU.

Run by ``images.py --resnet18``. The nearest neighbours are those of lightly's benchmarks, 200 of
them that vote by their similarity over a temperature of .1; the linear classifier sees every label.
"""

import time
from typing import Any

import numpy as np
import torch
from _runner import markdown
from overhead import compare
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import normalize, one_hot

import skssl
from skssl._compat import choose_device, has_native_bfloat16

BATCH_SIZE = 256
HEAD = "method precision epochs minutes images/s bare ours/bare kNN linear published".split()
# Accuracy in % with a ResNet-18 on CIFAR-10, by others:
PUBLISHED = {
    "SimCLR": "linear 28, 57, 66 after 1, 10, 30 epochs, 90.7 after 1 000; kNN 84.7 after 200",
    "VICReg": "linear 41, 70, 78 after 1, 10, 30 epochs, 92.1 after 1 000",
    "BYOL": "linear 92.6 after 1 000 epochs; kNN 86.9 after 200",
    "BarlowTwins": "linear 92.1 after 1 000 epochs; kNN 84.2 after 200",
    "MoCo": "linear 92.9 after 1 000 epochs; kNN 83.8 after 200",
    "SimSiam": "linear 90.5 after 1 000 epochs; kNN 81.9 after 200",
    "NNCLR": "linear 91.9 after 1 000 epochs; kNN 83.4 after 200",
    "SwAV": "linear 89.2 after 1 000 epochs; kNN 81.2 after 200",
    "DINO": "linear 89.5 after 1 000 epochs; kNN 84.0 after 200",
    "WMSE": "linear 88.7 after 1 000 epochs",
}


def neighbours(Z: np.ndarray, y: np.ndarray, Z_test: np.ndarray, k: int = 200) -> np.ndarray:
    """Return the classes that the nearest neighbours vote for."""
    bank, queries = (normalize(torch.from_numpy(z)) for z in (Z, Z_test))
    classes = one_hot(torch.from_numpy(y).long()).float()
    voted = []
    for chunk in queries.split(500):
        similarity, nearest = (chunk @ bank.T).topk(min(k, len(bank)))
        votes = (similarity / 0.1).exp()[:, :, None] * classes[nearest]
        voted.append(votes.sum(1).argmax(1))
    return torch.cat(voted).numpy()


def linear(Z: np.ndarray, y: np.ndarray, Z_test: np.ndarray) -> np.ndarray:
    """Return the classes that a linear classifier sees; its penalty is chosen on a tenth."""
    held_out = PredefinedSplit(np.where(np.arange(len(Z)) % 10, -1, 0))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3))
    search = GridSearchCV(model, {"logisticregression__C": [1e-4, 1e-3, 1e-2]}, cv=held_out)
    return search.fit(Z, y).predict(Z_test)


def row(data: Any, name: str, epochs: int) -> list[str]:
    """Time the steps of a method, fit it, and judge its embedding."""
    cls = getattr(skssl, name)
    device = choose_device("auto")
    precision = "bfloat16" if has_native_bfloat16(device) else "float32"
    X = data.X[: 8 * BATCH_SIZE]
    ours, bare, ratio = compare(cls, X, "resnet18", BATCH_SIZE, precision, precision, 6)
    start = time.perf_counter()
    model = cls(encoder="resnet18", batch_size=BATCH_SIZE, max_epochs=epochs, random_state=0)
    Z = model.fit(data.X).transform(data.X)
    minutes = (time.perf_counter() - start) / 60
    Z_test = model.transform(data.X_test)
    accuracy = [
        f"{100 * (judge(Z, data.y, Z_test) == data.y_test).mean():.1f}"
        for judge in (neighbours, linear)
    ]
    speed = [f"{1e3 * BATCH_SIZE / ms:.0f}" for ms in (ours, bare)]
    cells = [name, precision, str(epochs), f"{minutes:.1f}", *speed, f"{ratio:.2f}", *accuracy]
    return [*cells, PUBLISHED.get(name, "")]


def run(data: Any, names: list[str], epochs: int) -> None:
    """Print a table, a line as each method is done."""
    where = f"{choose_device('auto')}, {torch.get_num_threads()} threads"
    print(f"{data.name}, {len(data.X)} images, {len(data.X_test)} to test; {where}\n")
    head, *lines = markdown(HEAD, [HEAD]).splitlines()
    print("\n".join([head, *lines[:-1]]))
    for name in names:
        print(markdown(HEAD, [row(data, name, epochs)]).splitlines()[-1], flush=True)
