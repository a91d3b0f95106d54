"""Actions: views that also return what they did to each row, as numbers."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from skssl._data._draws import rand
from skssl.views._batches import along_axes, between, check_images, per_image, uniform
from skssl.views._colors import color_matrices
from skssl.views._images import Range, boxes, resampling, smoothing, turn
from skssl.views._table import altered

Action = Callable[[Tensor], tuple[Tensor, Tensor]]


def crop_action(
    x: Tensor, scale: Range = (0.4, 1.0), ratio: Range = (3 / 4, 4 / 3)
) -> tuple[Tensor, Tensor]:
    """Crop a random box of each image, resampled to the size of the image, and tell which.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    scale : tuple of float, default=(0.4, 1.0)
        Least and greatest share of the image's area to keep.
    ratio : tuple of float, default=(3/4, 4/3)
        Least and greatest ratio of width to height, as in :func:`resized_crop`.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The crops.
    parameters : Tensor of shape (n, 4)
        Centre of the box, down and right of that of the image, and the logarithms of its height
        and width; all in shares of the image's.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import crop_action
    >>> view, parameters = crop_action(torch.rand(5, 3, 8, 8), scale=(1.0, 1.0))
    >>> parameters.abs().max() < 1e-6  # the whole image
    tensor(True)
    """
    check_images(x)
    (top, left), (tall, broad) = boxes(x, scale, ratio)
    height, width = x.shape[2:]
    view = along_axes(
        x, resampling(top, tall, height, height), resampling(left, broad, width, width)
    )
    down, right = (top + tall / 2) / height - 0.5, (left + broad / 2) / width - 0.5
    return view, torch.stack([down, right, (tall / height).log(), (broad / width).log()], 1)


def rotation_action(x: Tensor, degrees: float = 45.0) -> tuple[Tensor, Tensor]:
    """Rotate each image about its centre by a random angle, and tell by which.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    degrees : float, default=45.0
        Greatest angle, either way; 180 is any angle.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The rotated images; pixels from outside repeat those at the border.
    parameters : Tensor of shape (n, 2)
        Sine and cosine of the angle.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import rotation_action
    >>> view, parameters = rotation_action(torch.ones(2, 1, 8, 8), degrees=0.0)
    >>> parameters.tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    check_images(x)
    angle = math.radians(degrees) * between(-1, 1, uniform(x)) + 0.0  # no -0
    return turn(x, angle), torch.stack([angle.sin(), angle.cos()], 1)


def hue_action(x: Tensor, share: float = 0.5) -> tuple[Tensor, Tensor]:
    """Turn the colours of each image about the grey axis by a random angle, and tell by which.

    Parameters
    ----------
    x : Tensor of shape (n, 3, height, width)
        A batch of images.
    share : float, default=0.5
        Greatest angle either way, as a share of a full turn; 0.5 is any angle.

    Returns
    -------
    view : Tensor of shape (n, 3, height, width)
        The altered copy.
    parameters : Tensor of shape (n, 2)
        Sine and cosine of the angle.

    Raises
    ------
    ValueError
        If the images do not have three channels.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import hue_action
    >>> x = torch.rand(2, 3, 4, 4)
    >>> hue_action(x)[0].mean(1).allclose(x.mean(1), atol=1e-5)
    True
    """
    check_images(x)
    if x.shape[1] != 3:
        raise ValueError(
            f"The hue is that of images of 3 channels; got {x.shape[1]}. Leave it out, or use "
            "'brightness'."
        )
    angle = 2 * math.pi * share * between(-1, 1, uniform(x))
    with torch.autocast(x.device.type, enabled=False):
        view = color_matrices(torch.ones_like(angle), angle) @ x.flatten(2).to(angle.dtype)
    return view.view(x.shape).to(x.dtype), torch.stack([angle.sin(), angle.cos()], 1)


def brightness_action(x: Tensor, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Add a random number to all pixels of each image, and tell which.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of standardised images.
    strength : float, default=1.0
        Greatest number, either way, in standard deviations of the pixels.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The altered copy.
    parameters : Tensor of shape (n, 1)
        The number.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import brightness_action
    >>> view, parameters = brightness_action(torch.zeros(3, 1, 4, 4))
    >>> view.mean((2, 3)).allclose(parameters)
    True
    """
    check_images(x)
    added = strength * between(-1, 1, uniform(x))
    return x + per_image(added).to(x.dtype), added[:, None]


def blur_action(x: Tensor, sigma: Range = (0.1, 2.0)) -> tuple[Tensor, Tensor]:
    """Blur each image with a random Gaussian, and tell with which.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        A batch of images.
    sigma : tuple of float, default=(0.1, 2.0)
        Least and greatest standard deviation of the Gaussian, in pixels, above 0.

    Returns
    -------
    view : Tensor of shape (n, channels, height, width)
        The blurred images.
    parameters : Tensor of shape (n, 1)
        The standard deviation.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import blur_action
    >>> blur_action(torch.rand(3, 1, 8, 8), sigma=(1.5, 1.5))[1].flatten()
    tensor([1.5000, 1.5000, 1.5000])
    """
    check_images(x)
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be two positive numbers, least first; got {sigma!r}.")
    spread = between(*sigma, uniform(x))
    view = along_axes(x, smoothing(spread, x.shape[2]), smoothing(spread, x.shape[3]))
    return view, spread[:, None]


def swap_action(x: Tensor, columns: Sequence[int], p: float = 0.5) -> tuple[Tensor, Tensor]:
    """Replace a block of columns of random rows by that of another row, and tell where.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        A batch of rows.
    columns : sequence of int
        The columns of the block, which are replaced together.
    p : float, default=0.5
        Probability that the block of a row is replaced.

    Returns
    -------
    view : Tensor of shape (n, d)
        The altered copy.
    parameters : Tensor of shape (n, 1)
        1 where a cell of the block has another value than before, 0 elsewhere.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import swap_action
    >>> x = torch.arange(100.0).reshape(50, 2)
    >>> view, parameters = swap_action(x, [1])
    >>> torch.equal(view[:, 1:] != x[:, 1:], parameters == 1), torch.equal(view[:, 0], x[:, 0])
    (True, True)
    """
    block = torch.tensor(list(columns), device=x.device)
    replaced = rand(len(x), 1, device=x.device) < p
    donor = (rand(len(x), device=x.device) * len(x)).long()
    view = x.index_copy(1, block, torch.where(replaced, x[donor][:, block], x[:, block]))
    return view, altered(x, view).any(1, keepdim=True).to(x.dtype)


IMAGE_ACTIONS: dict[str, Action] = {
    "crop": crop_action,
    "rotation": rotation_action,
    "hue": hue_action,
    "brightness": brightness_action,
    "blur": blur_action,
}


class Actions:
    """Named actions, applied one after the other.

    Parameters
    ----------
    functions : dict of str to callable
        Each maps a batch to the altered batch and the parameters of each row, (n, p).

    Examples
    --------
    >>> import torch
    >>> from skssl.views import Actions, crop_action, rotation_action
    >>> actions = Actions({"crop": crop_action, "rotation": rotation_action})
    >>> view, parameters = actions(torch.rand(5, 3, 8, 8))
    >>> [p.shape[1] for p in parameters]
    [4, 2]
    """

    def __init__(self, functions: Mapping[str, Action]):
        self.functions = dict(functions)

    def __call__(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the altered batch, and the parameters of each action."""
        parameters = []
        for name in self.functions:
            x, numbers = self._act(name, x)
            parameters.append(numbers)
        return x, parameters

    def twice(self, x: Tensor, told: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Alter each row twice: alike by some actions, which come first, and not by the others.

        Parameters
        ----------
        x : Tensor of shape (g * n + rest, ...)
            A batch: g contexts of n rows each; the rest is left out.
        told : bool Tensor of shape (g, n_actions)
            Which actions alter the rows of a context alike.

        Returns
        -------
        views : list of three Tensor of shape (g, n, ...)
            The rows, and the two altered copies.
        parameters : Tensor of shape (g, n, p)
            Parameters of all actions on the first copy, in the order of the actions.
        changed : bool Tensor of shape (g, n)
            Whether the actions told have changed the row.
        """
        rows = x.split(len(x) // len(told))
        made = [self._twice(*pair) for pair in zip(rows, told.tolist(), strict=False)]
        *views, parameters, changed = (torch.stack(part) for part in zip(*made, strict=True))
        return views, parameters, changed

    def _twice(self, x: Tensor, told: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        parameters, shared = {}, x
        names = list(zip(self.functions, told, strict=True))
        for name in (name for name, is_told in names if is_told):
            shared, parameters[name] = self._act(name, shared)
        first = second = shared
        for name in (name for name, is_told in names if not is_told):
            first, parameters[name] = self._act(name, first)
            second, _ = self._act(name, second)
        side_by_side = torch.cat([parameters[name] for name in self.functions], 1)
        return x, first, second, side_by_side, altered(x, shared).flatten(1).any(1)

    def _act(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        return _checked(name, self.functions[name](x), x)


def _checked(name: str, made: object, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return what an action made, or raise if it is not a batch like x and numbers per row."""
    if isinstance(made, tuple) and len(made) == 2:
        view, told = made
        if isinstance(view, Tensor) and isinstance(told, Tensor):
            same = view.shape == before.shape and view.dtype == before.dtype
            if same and told.ndim == 2 and len(told) == len(before) and told.shape[1] > 0:
                return view, told.float()
    got = type(made).__name__
    if isinstance(made, tuple):
        got = str(
            tuple(tuple(m.shape) if isinstance(m, Tensor) else type(m).__name__ for m in made)
        )
    raise ValueError(
        f"The action {name!r} must return the altered batch, of shape {tuple(before.shape)} and "
        f"{before.dtype}, and the parameters of each row, ({len(before)}, at least one); got {got}."
    )
