"""Neural transformation learning."""

from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsTables, ScoresRows, SSLTransformer
from skssl.encoders import front_and_body
from skssl.losses import deterministic_contrast

HIDDEN = 64  # units of each mask's net


class NeuTraL(ScoresRows, ReadsTables, SSLTransformer):
    """Learn transformations that keep rows recognisable and differ from each other.

    Each transformation multiplies the columns by a mask between 0 and 1, the output of a net of its
    own for the row. In the embedding, a transformed row must be more similar to the row itself than
    to its other transformations. This is learned on normal rows and fails on outliers.

    Parameters
    ----------
    n_transformations : int, default=11
        Number of transformations; each costs one more embedding per row.
    temperature : float, default=0.1
        Divides the similarities: the lower, the more weight similar transformations have.
    batch_size : "auto" or int, default=64
        Rows per step, each of which is embedded once per transformation; all of them if there
        are fewer.

    Attributes
    ----------
    scorer_ : torch.nn.Module
        Maps scaled rows to the embeddings of each row and of its transformations.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.

    References
    ----------
    .. [1] Qiu, Pfrommer, Kloft, Mandt and Rudolph, "Neural Transformation Learning for Deep
       Anomaly Detection Beyond Images", ICML 2021. https://arxiv.org/abs/2103.16440

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import NeuTraL
    >>> X, _ = load_iris(return_X_y=True)
    >>> neutral = NeuTraL(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> neutral.transform(X).shape, neutral.score_samples(X).shape
    ((150, 8), (150,))
    """

    n_transformations: int = 11
    temperature: float = 0.1
    batch_size: int | Literal["auto"] = 64

    _parameter_constraints = {
        "n_transformations": [Interval(Integral, 2, 2**10, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def _build(self, net: Net, X: Tensor) -> None:
        front, body = front_and_body(net.encoder)
        masks = Masks(self.n_transformations, front.n_features_out)
        net.scorer = Transformed(front, body, masks)

    def _row_losses(self, scorer: nn.Module, x: Tensor) -> Tensor:
        """Equation 3 of [1], the deterministic contrastive loss."""
        z = scorer(x)
        return deterministic_contrast(z[:, 0], z[:, 1:], self.temperature)


class Masks(nn.Module):
    """Multiply rows by learned masks, (n, d) -> (n, k, d); each mask is a net without biases."""

    _saved_as = "Masks"

    def __init__(self, k: int, d: int):
        super().__init__()
        self.inner = nn.Parameter(torch.randn(k, d, HIDDEN) * (2 / d) ** 0.5)
        self.outer = nn.Parameter(torch.randn(k, HIDDEN, d) * (2 / HIDDEN) ** 0.5)

    def forward(self, h: Tensor) -> Tensor:
        hidden = torch.einsum("nd,kdh->nkh", h, self.inner).relu()
        return h[:, None] * torch.einsum("nkh,khd->nkd", hidden, self.outer).sigmoid()


class Transformed(nn.Module):
    """Embeddings of each row, then of its transformations, (n, 1 + k, width)."""

    _saved_as = "Transformed"

    def __init__(self, front: nn.Module, body: nn.Module, masks: nn.Module):
        super().__init__()
        self.front, self.body, self.masks = front, body, masks

    def forward(self, x: Tensor) -> Tensor:
        h = self.front(x)
        rows = torch.cat([h[:, None], self.masks(h)], 1)
        return self.body(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
