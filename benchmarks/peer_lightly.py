"""Milliseconds a step of SimCLR in lightly: run by `speed.py peers` in its own environment.

The loop of lightly's documentation: its transforms on PIL images in a DataLoader, its head and its
loss. The encoder is skssl's, on images of 28 x 28.
"""

import sys

import numpy as np
import torch
from _peer import milliseconds_a_step
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from skssl.encoders import small_resnet

# PyPI's torchvision is built for torch with CUDA. Beside a CPU build it lacks its own operators,
# which no part of SimCLR uses, and two of which its import asks for.
if not torch.version.cuda:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lightly.loss import NTXentLoss  # noqa: E402
from lightly.models.modules import SimCLRProjectionHead  # noqa: E402
from lightly.transforms import SimCLRTransform  # noqa: E402

N_STEPS = 6


class Images(Dataset):
    """Bytes in the shape of Fashion-MNIST's, two views of each."""

    def __init__(self, n_images: int = 2_560):
        self.bytes = np.random.default_rng(0).integers(0, 256, (n_images, 28, 28), dtype=np.uint8)
        self.transform = SimCLRTransform(
            input_size=28, gaussian_blur=0.0, normalize={"mean": [0.5], "std": [0.25]}
        )

    def __len__(self):
        return len(self.bytes)

    def __getitem__(self, i):
        """Return the views of an image."""
        return self.transform(Image.fromarray(self.bytes[i]))


def main(batch_size: int) -> None:
    """Train for a few steps; print the median."""
    torch.manual_seed(0)
    encoder = small_resnet(torch.zeros(2, 1, 28, 28), 256)
    net = nn.Sequential(encoder, SimCLRProjectionHead(256, 256, 128)).train()
    criterion = NTXentLoss(0.5)
    batches = DataLoader(Images(), batch_size, shuffle=True, drop_last=True)
    loss = lambda views: criterion(net(views[0]), net(views[1]))  # noqa: E731
    print(milliseconds_a_step(batches, loss, net.parameters(), N_STEPS))


if __name__ == "__main__":
    main(int(sys.argv[1]))
