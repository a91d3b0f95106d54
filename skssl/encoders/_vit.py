"""A small vision transformer, and images as sequences of patches."""

from typing import cast

import torch
from torch import Tensor, nn

from skssl.encoders._transformer import Block, choose_heads


def patchify(x: Tensor, patch_size: int) -> Tensor:
    """Cut images into square patches, row by row.

    Parameters
    ----------
    x : Tensor of shape (n, n_channels, height, width)
        Images.
    patch_size : int
        Side of a patch; it must divide height and width.

    Returns
    -------
    patches : Tensor of shape (n, n_patches, n_channels * patch_size ** 2)
        The pixels of each patch.

    Raises
    ------
    ValueError
        If ``patch_size`` does not divide the sides of the images.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import patchify
    >>> patchify(torch.arange(16).view(1, 1, 4, 4), 2)[0]
    tensor([[ 0,  1,  4,  5],
            [ 2,  3,  6,  7],
            [ 8,  9, 12, 13],
            [10, 11, 14, 15]])
    """
    rows, columns = grid_of(x.shape[2:], patch_size)
    cells = x.unflatten(3, (columns, patch_size)).unflatten(2, (rows, patch_size))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, patch_size: int, size: tuple[int, int]) -> Tensor:
    """Assemble images from patches: the inverse of :func:`patchify`.

    Parameters
    ----------
    patches : Tensor of shape (n, n_patches, n_channels * patch_size ** 2)
        The pixels of each patch.
    patch_size : int
        Side of a patch.
    size : (int, int)
        Height and width of the images.

    Returns
    -------
    x : Tensor of shape (n, n_channels, height, width)
        Images.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import patchify, unpatchify
    >>> x = torch.rand(5, 3, 8, 12)
    >>> torch.equal(unpatchify(patchify(x, 4), 4, (8, 12)), x)
    True
    """
    rows, columns = grid_of(size, patch_size)
    cells = patches.unflatten(2, (-1, patch_size, patch_size)).unflatten(1, (rows, columns))
    return cells.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def grid_of(size: tuple[int, ...], patch_size: int) -> tuple[int, int]:
    """Return the number of rows and columns of patches in an image."""
    height, width = size
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"patch_size must divide the sides of an image of {height} x {width} pixels; got "
            f"{patch_size}. {_what_divides(height, width)}"
        )
    return height // patch_size, width // patch_size


def choose_patch_size(size: tuple[int, ...]) -> int:
    """Return the patch size, at least 2 pixels, at which an image has about 64 patches.

    Raises
    ------
    ValueError
        If nothing but 1 and the whole image divides both sides.

    Examples
    --------
    >>> from skssl.encoders._vit import choose_patch_size
    >>> [choose_patch_size((side, side)) for side in (8, 28, 32, 64)]
    [2, 4, 4, 8]
    """
    height, width = size
    fitting = [p for p in _divisors(height, width) if 1 < p and p * p < height * width]
    if not fitting:
        raise ValueError(
            f"A vision transformer needs images that patches of 2 or more pixels per side fill; "
            f"got {height} x {width}. {_what_divides(height, width)}"
        )
    pixels = height * width / 64
    return min(fitting, key=lambda p: max(p * p / pixels, pixels / (p * p)))


def _divisors(height: int, width: int) -> list[int]:
    return [p for p in range(1, min(height, width) + 1) if height % p == 0 and width % p == 0]


def _what_divides(height: int, width: int) -> str:
    found = ", ".join(map(str, _divisors(height, width)))
    near = f"{height - height % 4 or 4} x {width - width % 4 or 4}"
    return f"Both sides can be divided by {found}; or crop or pad the images, as to {near}."


def grid_positions(
    rows: int, columns: int, width: int, span: tuple[int, int] | None = None
) -> Tensor:
    """Return sinusoidal positions of the patches of a grid.

    Parameters
    ----------
    rows, columns : int
        Number of rows and columns of patches.
    width : int
        Length of a position.
    span : (int, int), default=None
        Rows and columns of the reference grid; the grid is spread over the same area. None is
        the grid itself.

    Returns
    -------
    positions : Tensor of shape (rows * columns, width)
        Row by row; the first half encodes the row, the second half the column.
    """
    high, wide = span or (rows, columns)
    n_waves = -(-width // 4)
    frequency = 100 ** -(torch.arange(n_waves) / n_waves)  # 6 to 600 patches per turn
    halves = []
    for n, unit in ((rows, high), (columns, wide)):
        at = (torch.arange(n) + 0.5) * (unit / n)
        angle = at[:, None] * frequency
        halves.append(torch.cat([angle.sin(), angle.cos()], 1))
    down = halves[0][:, : width - width // 2].repeat_interleave(columns, 0)
    along = halves[1][:, : width // 2].repeat(rows, 1)
    return torch.cat([down, along], 1)


class ViT(nn.Module):
    """Vision transformer: patches are tokens, and the mean of the tokens is the embedding.

    Positions are fixed sines and cosines. The patches of images of another size, such as small
    crops, are spread over the same area.

    Parameters
    ----------
    n_channels : int
        Number of channels of an image.
    size : (int, int)
        Height and width of the images.
    patch_size : int, default=None
        Side of a patch; must divide height and width. None takes the size at which an image
        has about 64 patches: 4 for 28 or 32 pixels, 2 for 8.
    width : int, default=192
        Length of a token, and so of the embedding.
    n_layers : int, default=6
        Number of blocks.
    n_heads : int, default=None
        Number of attention heads; must divide ``width``. None is about one head per 64 numbers
        of a token.

    Raises
    ------
    ValueError
        If ``patch_size`` does not divide the sides of an image, or ``n_heads`` the width.

    Shape
    -----
    (n, n_channels, height, width) -> (n, width)

    References
    ----------
    .. [1] Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image
       Recognition at Scale", ICLR 2021. https://arxiv.org/abs/2010.11929

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import ViT
    >>> encoder = ViT(3, (32, 32), width=64, n_layers=2)
    >>> x = torch.zeros(5, 3, 32, 32)
    >>> encoder(x).shape, encoder.tokens(x).shape
    (torch.Size([5, 64]), torch.Size([5, 64, 64]))
    >>> visible = torch.tensor([[0, 9, 63]]).expand(5, 3)
    >>> encoder.tokens(x, keep=visible).shape
    torch.Size([5, 3, 64])
    """

    def __init__(
        self,
        n_channels: int,
        size: tuple[int, int],
        patch_size: int | None = None,
        width: int = 192,
        n_layers: int = 6,
        n_heads: int | None = None,
    ):
        super().__init__()
        self.patch_size = patch_size or choose_patch_size(size)
        self.grid = grid_of(size, self.patch_size)
        n_heads = n_heads or choose_heads(width, 64)
        if width % n_heads:
            raise ValueError(
                f"n_heads must divide width={width}; got {n_heads}. Try {choose_heads(width, 64)}."
            )
        self.embed = nn.Linear(n_channels * self.patch_size**2, width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        positions = grid_positions(*self.grid, width)
        self.register_buffer("positions", positions, persistent=False)  # follow from the shape

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the patches of each image contextualised by each other.

        Parameters
        ----------
        x : Tensor of shape (n, n_channels, height, width)
            Images.
        keep : int Tensor of shape (n, t), optional
            Indices, row by row, of the patches of each image to read; all by default.

        Returns
        -------
        tokens : Tensor of shape (n, t, width)
        """
        return self.norm(self._read(x, keep)[-1])

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the mean token after each block; the last one is the embedding."""
        *lower, last = self._read(x)
        return [*(tokens.mean(1) for tokens in lower), self.norm(last).mean(1)]

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(1)

    def _read(self, x: Tensor, keep: Tensor | None = None) -> list[Tensor]:
        patches = patchify(x, self.patch_size)
        positions = self._positions(x)
        if keep is not None:
            patches = patches.take_along_dim(keep[:, :, None], 1)
            positions = positions[keep]
        tokens = self.embed(patches) + positions
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs

    def _positions(self, x: Tensor) -> Tensor:
        grid = grid_of(x.shape[2:], self.patch_size)
        known = cast(Tensor, self.positions)
        if grid == self.grid:
            return known
        return grid_positions(*grid, known.shape[1], span=self.grid).to(known)
