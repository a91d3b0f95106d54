"""LFR and SubTab as skssl has them, and with what their authors' code does otherwise.

    python benchmarks/variants.py             # three minutes -> results/variants.md

The embedding of all rows by about 280 steps, and a logistic regression on 100 labels of the digits,
30 of breast cancer or 24 of wine, the mean of eight draws of labels.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _runner import markdown
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skssl import LFR, SubTab
from skssl.base import Net, SSLTransformer
from skssl.encoders import MLP
from skssl.losses import cell_error, nt_xent

SETS = {
    "digits": (load_digits, 100),
    "breast cancer": (load_breast_cancer, 30),
    "wine": (load_wine, 24),
}
SEEDS, STEPS, BATCH = range(3), 280, 128
RESULTS = Path(__file__).parent / "results" / "variants.md"


class CosineLFR(LFR):
    """Compares rows by cosines, without centring them or statistics of the batch."""

    def _build(self, net: Net, X: Tensor) -> None:
        net.encoder.eval()  # the random networks are chosen by their outputs
        super()._build(net, X)
        net.encoder.train()

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        net.projectors.eval()
        z, loss = net.encoder(x), 0.0
        for predictor, projector in zip(net.predictors, net.projectors, strict=True):
            cosine = F.normalize(predictor(z).float()) @ F.normalize(projector(x).float()).T
            on = cosine.diagonal()
            off = cosine.square().sum() - on.square().sum()
            loss = loss + (1 - on).square().sum() + self.lambd * off
        return loss / len(net.predictors) / len(x)


class SummedSubTab(SubTab):
    """Contrasts within subsets, too, against the sum of the cells' squared errors."""

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        embeddings = torch.cat(net.encoder.each(net.views(x)[: self.n_subsets]))
        error = cell_error(net.decoder(embeddings), x.repeat(self.n_subsets, 1), net.columns)
        projections = F.normalize(net.projector(embeddings).float(), dim=1)
        pairs = list(combinations(projections.chunk(self.n_subsets), 2))
        contrast = sum(nt_xent(a, b, self.temperature) for a, b in pairs)
        distance = sum((a - b).square().sum(1).mean() / 2 for a, b in pairs)
        return error * x.shape[1] + (contrast + distance) / len(pairs)


VARIANTS: dict[str, SSLTransformer] = {
    "LFR": LFR(),
    "LFR, cosines without statistics of the batch": CosineLFR(),
    "SubTab": SubTab(),
    "SubTab, the authors' loss": SummedSubTab(),
}


def small(x: Tensor) -> MLP:
    """Return a net of three layers."""
    return MLP(x.shape[1], 128, 128, 64, activated=True)


def accuracy(method: SSLTransformer, name: str, seed: int) -> float:
    """Return the accuracy in % of a probe on the embedding of one of the sets."""
    load, n_labels = SETS[name]
    X, y = load(return_X_y=True)
    fitted = clone(method).set_params(
        encoder=small,
        batch_size=BATCH,
        learning_rate=3e-3,
        precision="float32",
        max_epochs=round(STEPS / (len(X) // BATCH)),
        random_state=seed,
    )
    Z, scores = StandardScaler().fit_transform(fitted.fit_transform(X)), []
    for draw in range(8):
        few, rest = train_test_split(
            np.arange(len(Z)), train_size=n_labels, stratify=y, random_state=draw
        )
        model = LogisticRegression(C=0.03, max_iter=200, tol=1e-3).fit(Z[few], y[few])
        scores.append(model.score(Z[rest], y[rest]))
    return 100 * float(np.mean(scores))


def main() -> None:
    """Print the table of means and write it."""
    rows = []
    for variant, method in VARIANTS.items():
        found = [[accuracy(method, name, seed) for seed in SEEDS] for name in SETS]
        rows.append([variant, *(f"{np.mean(f):.1f} ± {np.std(f, ddof=1):.1f}" for f in found)])
        print(*rows[-1], flush=True)
    text = "Accuracy in %, mean ± standard deviation over three seeds.\n\n"
    RESULTS.write_text(f"{text}{markdown(['', *SETS], rows)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
