"""Tiles of images, and permutations of them."""

import itertools

import numpy as np
import torch
from torch import Tensor

from skssl._data._draws import randint

SMALLEST = 4  # pixels per side of a tile; smaller tiles show nothing


def standardize_tiles(x: Tensor) -> Tensor:
    """Give each channel of each image mean 0 and standard deviation 1; flat ones stay flat."""
    centred = x - x.mean((-2, -1), keepdim=True)
    return centred / centred.square().mean((-2, -1), keepdim=True).sqrt().clamp(min=0.1)


def random_tiles(x: Tensor, n_tiles: int, gap: float) -> Tensor:
    """Cut each image into tiles, row by row, (n, n_tiles ** 2, channels, height, width).

    Each tile is a random part of its cell, smaller by ``gap``. Pixels that do not fill a whole
    cell are left out, evenly on both sides.
    """
    sides = [side // n_tiles for side in x.shape[2:]]
    if min(sides) < SMALLEST:
        raise ValueError(
            f"Jigsaw cuts images into {n_tiles} x {n_tiles} tiles of at least {SMALLEST} pixels "
            f"per side; got images of {x.shape[2]} x {x.shape[3]}. Pass a lower n_tiles, or images "
            f"of at least {SMALLEST * n_tiles} pixels per side."
        )
    for dim, side in zip((2, 3), sides, strict=True):
        x = x.narrow(dim, x.shape[dim] % n_tiles // 2, n_tiles * side)
    cells = x.unflatten(3, (n_tiles, -1)).unflatten(2, (n_tiles, -1))
    cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    for dim, side in zip((3, 4), sides, strict=True):
        spare = min(round(gap * side), side - SMALLEST)
        start = randint(spare + 1, (*cells.shape[:2], 1, 1, 1), device=x.device)
        along = [1] * dim + [-1] + [1] * (4 - dim)
        at = start + torch.arange(side - spare, device=x.device).view(along)
        cells = cells.take_along_dim(at, dim)
    return cells


def distant_permutations(n: int, k: int) -> Tensor:
    """Choose k permutations of n things, each as far as possible from those chosen before it.

    The distance is the number of places where two permutations differ: its minimum over those
    chosen before, then its mean. The result is the same at every call.
    """
    every = np.array(list(itertools.permutations(range(n))), dtype=np.int8)
    chosen, nearest, total = [0], np.full(len(every), n), np.zeros(len(every), dtype=int)
    while len(chosen) < min(k, len(every)):
        distance = (every != every[chosen[-1]]).sum(1)
        nearest, total = np.minimum(nearest, distance), total + distance
        chosen.append(int((nearest * (n * k + 1) + total).argmax()))
    return torch.from_numpy(every[chosen].astype(np.int64))
