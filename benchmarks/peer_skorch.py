"""Milliseconds a step of a denoising autoencoder in skorch: run by `speed.py peers`."""

import statistics
import sys

import numpy as np
import skorch
import torch
from torch import nn


class Denoiser(nn.Module):
    """Rows of which 15 % of the cells are other rows', through 4 x 256 units, as they were."""

    def __init__(self, n_columns: int = 50):
        super().__init__()
        widths = [n_columns, 256, 256, 256, 256]
        layers = [
            m
            for a, b in zip(widths, widths[1:], strict=False)
            for m in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        ]
        self.net = nn.Sequential(*layers, nn.Linear(256, n_columns))

    def forward(self, x):
        """Return the reconstruction of a batch."""
        others = torch.randint(len(x), x.shape, device=x.device)
        return self.net(torch.where(torch.rand_like(x) < 0.15, x.gather(0, others), x))


def main(batch_size: int) -> None:
    """Train for six epochs on 10 240 x 50 floats; print the median of all but the first."""
    X = np.random.default_rng(0).standard_normal((10_240, 50), dtype=np.float32)
    net = skorch.NeuralNetRegressor(
        Denoiser,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        max_epochs=6,
        batch_size=batch_size,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    ).fit(X, X)
    print(statistics.median(net.history[1:, "dur"]) * 1e3 / (len(X) // batch_size))


if __name__ == "__main__":
    main(int(sys.argv[1]))
