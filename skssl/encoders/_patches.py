"""Predict hidden patches of images from the tokens of the visible ones."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from skssl._data._draws import rand, randint, random_source
from skssl.encoders._transformer import Block, choose_heads
from skssl.encoders._vit import grid_of, grid_positions, patchify, unpatchify


def check_patches(encoder: Any, X: Tensor, method: str) -> int:
    """Return the width of an encoder's tokens.

    Raises
    ------
    ValueError
        If the encoder does not read images as patches, or reads X as a single patch.
    """
    if not (hasattr(encoder, "tokens") and hasattr(encoder, "patch_size")):
        raise ValueError(
            f"{method} needs an encoder that reads images as patches, with `tokens(x, keep=None)` "
            f"and `patch_size`; got {type(encoder).__name__}. Pass encoder='vit', or a "
            "skssl.encoders.ViT."
        )
    rows, columns = grid_of(X.shape[2:], encoder.patch_size)
    if rows * columns < 2:
        raise ValueError(
            f"{method} predicts some patches of an image from others; one patch of "
            f"patch_size={encoder.patch_size} is the whole image. Take a smaller one."
        )
    with torch.no_grad():
        return encoder.tokens(X[:2]).shape[2]


def split_patches(
    n: int, n_patches: int, mask_ratio: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Draw which patches of each image are visible and which are hidden: at least one of each.

    Returns
    -------
    seen : Tensor of shape (n, n_seen)
        Indices of the visible patches, in random order.
    hidden : Tensor of shape (n, n_patches - n_seen)
        Indices of the hidden patches.
    """
    n_seen = min(max(1, round(n_patches * (1 - mask_ratio))), n_patches - 1)
    order = rand(n, n_patches, device=device).argsort(1)
    return order[:, :n_seen], order[:, n_seen:]


def block_size(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
) -> tuple[int, int]:
    """Draw the height and width, in patches, of a block.

    ``scale`` is the range of its share of the patches, ``aspect`` the range of height / width.
    """
    source, empty = random_source(), torch.empty(())
    share, ratio = (float(empty.uniform_(*x, generator=source)) for x in (scale, aspect))
    area = share * grid[0] * grid[1]
    height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
    return min(max(1, height), grid[0]), min(max(1, width), grid[1])


def draw_blocks(n: int, n_blocks: int, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Draw the positions of blocks of one size in each image.

    Returns
    -------
    patches : Tensor of shape (n, n_blocks, height * width of a block)
        Indices of their patches, row by row.
    """
    (rows, columns), (height, width) = grid, size
    top = randint(rows - height + 1, (n, n_blocks, 1, 1)) + torch.arange(height)[:, None]
    left = randint(columns - width + 1, (n, n_blocks, 1, 1)) + torch.arange(width)
    return (top * columns + left).flatten(2)


def parts_outside(context: Tensor, blocks: Tensor, n_patches: int) -> tuple[Tensor, Tensor]:
    """Draw the same number of context patches outside all blocks for each image.

    The number is that of the median image. Images that have fewer take the blocks of another.

    Parameters
    ----------
    context : Tensor of shape (n, 1, c)
        Indices of patches.
    blocks : Tensor of shape (n, n_blocks, m)
        Indices of the patches to leave out.
    n_patches : int
        Number of patches of an image.

    Returns
    -------
    seen : Tensor of shape (n, t)
        Patches of the context; if blocks cover all of it, one patch of a block.
    blocks : Tensor of shape (n, n_blocks, m)
        The blocks of each image.
    """
    free = torch.zeros(len(blocks), n_patches)
    free.scatter_(1, context.flatten(1), 1.0).scatter_(1, blocks.flatten(1), 0.0)
    count = free.sum(1)
    n_seen = int(count.median())
    rich = (count >= n_seen).nonzero()[:, 0]
    taken = torch.where(
        count >= n_seen,
        torch.arange(len(blocks)),
        rich[randint(len(rich), count.shape)],
    )
    order = free[taken] + rand(free.shape)
    return order.topk(max(1, n_seen)).indices, blocks[taken]


def unlike_others(tokens: Tensor) -> Tensor:
    """Return tokens (n, t, d) minus the mean of each position over the batch, scaled.

    Without this, most of a token could be predicted from the position of its patch.
    """
    tokens = tokens.float()
    tokens = tokens - tokens.mean(0)
    return tokens / tokens.std((0, 1)).clamp(min=1e-4)


class PatchPredictor(nn.Module):
    """A narrow transformer over tokens and a mask token for each wanted patch.

    Mask tokens differ in their positions only. Positions are standardised over the grid:
    otherwise those of neighbours are so similar that attention is slow to learn.

    Parameters
    ----------
    width : int
        Width of the encoder's tokens.
    grid : (int, int)
        Number of rows and columns of patches in an image.
    dim : int
        Width of the hidden layers and of the output.
    n_layers : int
        Number of blocks.

    Shape
    -----
    tokens (n, t, width) of the patches ``seen`` (n, t), and ``wanted`` (n, m) -> (n, m, dim)
    """

    _saved_as = "PatchPredictor"

    def __init__(self, width: int, grid: tuple[int, int], dim: int, n_layers: int):
        super().__init__()
        self.grid = grid
        self.embed = nn.Linear(width, dim)
        self.mask = nn.Parameter(0.02 * torch.randn(dim))
        self.blocks = nn.ModuleList(Block(dim, choose_heads(dim, 64)) for _ in range(n_layers))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("positions", self._of(grid, dim), persistent=False)

    def forward(
        self, tokens: Tensor, seen: Tensor, wanted: Tensor, grid: tuple[int, int] | None = None
    ) -> Tensor:
        """Predict the wanted patches; ``grid`` is that of images of another size."""
        positions = cast(Tensor, self.positions)
        if grid is not None and grid != self.grid:
            positions = self._of(grid, positions.shape[1]).to(positions)
        seen_part = self.embed(tokens) + positions[seen]
        h = torch.cat([seen_part, self.mask + positions[wanted]], 1)
        for block in self.blocks:
            h = block(h)
        return self.norm(h[:, seen.shape[1] :])

    def _of(self, grid: tuple[int, int], dim: int) -> Tensor:
        own = grid_positions(*self.grid, dim)
        positions = grid_positions(*grid, dim, span=self.grid)
        return (positions - own.mean(0)) / own.std(0).clamp(min=1e-3)


class PatchDecoder(nn.Module):
    """Predict the pixels of hidden patches.

    Parameters
    ----------
    width : int
        Width of the encoder's tokens.
    X : Tensor of shape (n, n_channels, height, width)
        Images, of which only the shape is used.
    patch_size : int
        Side of a patch.
    dim, n_layers : int
        Width and number of blocks of the predictor.
    mask_ratio : float
        Share of the patches that :meth:`fill` hides, the same ones in every image.

    Attributes
    ----------
    hidden : bool Tensor of shape (height, width)
        The pixels that :meth:`fill` predicts.
    """

    _saved_as = "PatchDecoder"
    hidden: Tensor
    unseen: Tensor
    seen: Tensor

    def __init__(
        self, width: int, X: Tensor, patch_size: int, dim: int, n_layers: int, mask_ratio: float
    ):
        super().__init__()
        self.patch_size = patch_size
        size = (X.shape[2], X.shape[3])
        rows, columns = grid_of(size, patch_size)
        self.predictor = PatchPredictor(width, (rows, columns), dim, n_layers)
        self.pixels = nn.Linear(dim, X.shape[1] * patch_size**2)
        seen, unseen = split_patches(1, rows * columns, mask_ratio)
        hidden = torch.ones(rows * columns, patch_size**2)
        hidden[seen[0]] = 0
        self.register_buffer("seen", seen)
        self.register_buffer("unseen", unseen)
        self.register_buffer("hidden", unpatchify(hidden[None], patch_size, size)[0, 0].bool())

    def fill(self, encoder: Any, x: Tensor) -> Tensor:
        """Return images whose hidden patches are predicted from the tokens of the others."""
        seen, unseen = self.seen.expand(len(x), -1), self.unseen.expand(len(x), -1)
        made = self.pixels(self.predictor(encoder.tokens(x, seen), seen, unseen))
        patches = patchify(x, self.patch_size)
        patches = patches.scatter(1, unseen[:, :, None].expand_as(made), made)
        return unpatchify(patches, self.patch_size, (x.shape[2], x.shape[3]))
