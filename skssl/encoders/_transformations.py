"""Learned transformations of rows, beside the embeddings of what they make."""

import torch
from torch import Tensor, nn

HIDDEN = 64  # units of each transformation's net


class Masks(nn.Module):
    """Multiply rows by learned masks, (n, d) -> (n, k, d); each mask is a net without biases."""

    _saved_as = "Masks"

    def __init__(self, k: int, d: int):
        super().__init__()
        self.inner = nn.Parameter(torch.randn(k, d, HIDDEN) * (2 / d) ** 0.5)
        self.outer = nn.Parameter(torch.randn(k, HIDDEN, d) * (2 / HIDDEN) ** 0.5)

    def nets(self, h: Tensor) -> Tensor:
        """Return the outputs of the nets, (n, d) -> (n, k, d)."""
        hidden = torch.einsum("nd,kdh->nkh", h, self.inner).relu()
        return torch.einsum("nkh,khd->nkd", hidden, self.outer)

    def forward(self, h: Tensor) -> Tensor:
        return h[:, None] * self.nets(h).sigmoid()


class Residuals(Masks):
    """Add a learned change to rows, (n, d) -> (n, k, d)."""

    _saved_as = "Residuals"

    def forward(self, h: Tensor) -> Tensor:
        return h[:, None] + self.nets(h)


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
