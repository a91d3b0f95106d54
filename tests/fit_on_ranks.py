"""What test_ranks.py runs once alone and once on two ranks; not a test by itself.

torchrun --nproc-per-node 2 tests/fit_on_ranks.py FOLDER
"""

import contextlib
import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl import (
    BYOL,
    DINO,
    EMPSSL,
    MMCR,
    NNCLR,
    SCARF,
    WMSE,
    BarlowTwins,
    FineTunedClassifier,
    MoCo,
    MultiTask,
    SimCLR,
    SimSiam,
    SwAV,
    VICReg,
    _ranks,
    losses,
)
from skssl._compat import CallbackSupportMixin
from skssl._data import _sources
from skssl._data._draws import Draws
from skssl._data._rows import Rows
from skssl._training import _loop
from skssl.callbacks import Checkpoint

HAS_CALLBACKS = CallbackSupportMixin.__module__ != "skssl._compat"
X = load_iris().data[::2][:64]
DIGITS = train_test_split(*load_digits(return_X_y=True), test_size=0.4, random_state=0)


def fixed(x):
    """Two views without chance."""
    return [x, 0.9 * x + 0.1 * x.flip(1)]


def norms(x):
    """An encoder with both kinds of batch normalisation, of a table's columns."""
    first = nn.Sequential(nn.Linear(x.shape[1], 12), nn.BatchNorm1d(12), nn.Unflatten(1, (3, 2, 2)))
    return nn.Sequential(first, nn.BatchNorm2d(3, affine=False), nn.ReLU(), nn.Flatten())


METHODS = {
    "SimCLR": SimCLR(),
    "DCL": SimCLR(decoupled=True),
    "SCARF": SCARF(),
    "VICReg": VICReg(),
    "BarlowTwins": BarlowTwins(),
    "BYOL": BYOL(),
    "SimSiam": SimSiam(),
    "WMSE": WMSE(projection_dim=16),
    "MoCo": MoCo(),
    "NNCLR": NNCLR(),
    "SwAV": SwAV(),
    "DINO": DINO(),
    "EMPSSL": EMPSSL(projection_dim=16),
    "MMCR": MMCR(projection_dim=16),
}


def gradients(method):
    """Gradients, statistics and places in queues of one step of float64 over all rows."""
    method = clone(method).set_params(views=fixed, encoder=norms, random_state=0)
    method.set_params(max_epochs=0, warm_start=True).fit(X)  # makes the net
    net = method._net.double()
    plan = _loop.Plan(1, len(X), lambda step: 1.0)
    optimizer = _loop.make_optimizer(net, 1e-3, 0.0)
    x = method._scaler(torch.from_numpy(X)).double()
    with _ranks.together():
        _loop.train(net, optimizer, Rows(x), method._loss, plan, Draws(0), lambda curve: False)
    found = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
    found += [b.double().flatten() for name, b in net.named_buffers() if "queue.rows" not in name]
    return torch.cat(found).numpy()


def coupled():
    """Gradients of the losses that compare rows and whose methods draw at random."""
    z = torch.randn(2, 24, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = {}
    for name, loss in {
        "lejepa": lambda z: losses.lejepa(z),
        "mmcr": lambda z: losses.mmcr(z),
        "total_coding_rate": lambda z: losses.total_coding_rate(z[0]),
        "whitening_error": lambda z: losses.whitening_error(z, 8, 2),
        "sinkhorn": lambda z: -(losses.sinkhorn(z[0]) * z[1].log_softmax(1)).sum(1).mean(),
    }.items():
        weight = nn.Parameter(torch.eye(6, dtype=torch.float64))
        torch.manual_seed(0)
        with _ranks.together():
            loss(torch.stack([_ranks.share(view) for view in z]) @ weight).backward()
            _ranks.average_gradients([weight])
        found[name] = weight.grad.numpy()
    return found


def probed():
    """Share of test digits that all labels tell, for three seeds, and the embeddings."""
    train, test, labels, truth = DIGITS
    scores, embeddings = [], []
    for seed in range(3):
        method = SimCLR(max_epochs=5, batch_size=128, precision="float32", random_state=seed)
        method.fit(train)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(method.transform(train), labels)
        embeddings.append(method.transform(test))
        scores.append(model.score(embeddings[-1], truth))
    return np.array(scores), np.concatenate(embeddings)


def fitted():
    """The embeddings after each method has been fitted, for a few steps, to altered rows."""
    given = {"encoder": norms, "batch_size": 32, "max_epochs": 3, "random_state": 0}
    methods = [clone(method).set_params(**given) for method in METHODS.values()]
    return np.stack([method.fit_transform(X) for method in methods])


def on_its_own():
    """What one rank fine-tunes for more passes than the other: neither waits for the other."""
    encoder = FrozenEstimator(SCARF(max_epochs=1, batch_size=16, random_state=0).fit(X))
    n_epochs = 1 + int(os.environ.get("RANK", 0))
    model = FineTunedClassifier(encoder, max_epochs=n_epochs, random_state=n_epochs)
    return model.fit(X, np.arange(len(X)) % 2).predict_proba(X)


def unseeded():
    """The embedding after a fit that no seed was given for, and that stops by itself."""
    method = MultiTask(max_epochs=6, batch_size=16, n_iter_no_change=2, random_state=None)
    return method.fit(X).transform(X)


class Break:
    """Ends a fit as an error would, after two epochs."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 1:
            raise KeyboardInterrupt


def resumed(folder):
    """The embeddings after a whole fit, and after one that was broken off and gone on from."""
    method = SCARF(max_epochs=4, batch_size=16, random_state=0)
    whole = method.fit_transform(X)
    kept = Checkpoint(Path(folder) / "kept.pt", every=0)
    with contextlib.suppress(KeyboardInterrupt):
        method.set_callbacks(kept, Break()).fit(X)
    return np.stack([whole, method.set_callbacks(kept).fit_transform(X)])


def outside_memory(folder):
    """The embedding after a fit that reads its rows part by part."""
    path = Path(folder) / f"rows of {os.environ.get('RANK')}.npy"
    np.save(path, X)
    method = SCARF(max_epochs=2, batch_size=16, n_iter_no_change=3, random_state=0)
    with mock.patch.object(_sources, "IN_MEMORY", 100):  # cells
        return method.fit(np.load(path, mmap_mode="r")).transform(X)


def main(folder):
    steps = {name: gradients(method) for name, method in METHODS.items()}
    steps |= coupled()
    with mock.patch.object(_ranks, "_align"):  # what is shared at each step is to be enough
        steps["scores"], steps["embeddings"] = probed()
        steps |= {"fitted": fitted(), "unseeded": unseeded()}
        steps["outside memory"] = outside_memory(folder)
    if HAS_CALLBACKS:
        steps["resumed"] = resumed(folder)
    steps["on its own"] = on_its_own()
    try:
        SimCLR(batch_size=3, random_state=0).fit(X)
    except ValueError as error:
        steps["too small"] = np.array(str(error))
    np.savez(Path(folder) / f"{os.environ.get('RANK', 'alone')}.npz", **steps)


if __name__ == "__main__":
    main(sys.argv[1])
