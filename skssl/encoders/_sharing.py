"""Embed views; views and embeddings that several tasks share within a step."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

View = Callable[[Tensor], Tensor]
Maker = Callable[[Tensor], Tensor | list[Tensor]]  # from a batch to a view, or to several
Made = dict[tuple[int, int], tuple[Tensor, list[Tensor]]]  # by number of function, id of batch
Embedded = dict[int, tuple[Tensor, Tensor]]  # view and embedding


def encode(encoder: Any, views: Sequence[Tensor]) -> list[Tensor]:
    """Embed each view of a batch; views of the same shape share one forward pass.

    Parameters
    ----------
    encoder : module or callable
        Maps (n, ...) to (n, width).
    views : list of Tensor of shape (n, ...)
        Altered batches, whose shapes may differ.

    Returns
    -------
    embeddings : list of Tensor of shape (n, width)
        In the order of the views.

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import encode
    >>> [z.shape for z in encode(torch.nn.Linear(3, 2), [torch.ones(5, 3), torch.zeros(5, 3)])]
    [torch.Size([5, 2]), torch.Size([5, 2])]
    """
    made: Embedded = {}
    keys: Sequence[int] = range(len(views))
    if isinstance(encoder, SharedEncoder):
        encoder, made, keys = encoder.encoder, encoder.made, list(map(id, views))
    new = {key: view for key, view in zip(keys, views, strict=True) if key not in made}
    of_shape: dict[torch.Size, list[int]] = {}
    for key, view in new.items():
        of_shape.setdefault(view.shape[1:], []).append(key)
    for group in of_shape.values():
        batch = new[group[0]] if len(group) == 1 else torch.cat([new[key] for key in group])
        embedded = encoder(batch).split([new[key].shape[0] for key in group])
        made.update((key, (new[key], z)) for key, z in zip(group, embedded, strict=True))
    return [made[key][1] for key in keys]


class SharedEncoder:
    """An encoder of which :func:`encode` keeps what it embeds: each view of a batch, once."""

    _saved_as = "SharedEncoder"

    def __init__(self, encoder: Any):
        self.encoder = encoder
        self.made: Embedded = {}  # by id of the view

    def __call__(self, x: Tensor) -> Tensor:
        return encode(self, [x])[0]


class SharedViews:
    """Views of a batch; each function is called once per step for all tasks that list it.

    Parameters
    ----------
    functions : dict of int to callable
        Functions by their number, which equal functions of several tasks share. Each maps a
        batch to a view or to a list of views.
    made : dict
        What the tasks share; cleared at the end of a step.
    """

    _saved_as = "SharedViews"

    def __init__(self, functions: dict[int, Maker], made: Made):
        self.functions, self.made = functions, made

    def __call__(self, x: Tensor) -> list[Tensor]:
        for number, function in self.functions.items():
            if (number, id(x)) not in self.made:
                views = function(x)
                views = [views] if isinstance(views, Tensor) else views
                self.made[number, id(x)] = x, views  # x is kept, so that no other has its id
        return [view for number in self.functions for view in self.made[number, id(x)][1]]


def number_functions(functions: Sequence[View], numbers: dict[Hashable, int]) -> dict[int, Maker]:
    """Return functions by their number; partials with equal arguments are one function.

    A task that lists a function several times wants several draws of it: those are told apart.
    """
    found: dict[int, Maker] = {}
    keys: list[Hashable] = []
    for function in functions:
        key: Hashable = function
        if isinstance(function, partial):
            key = function.func, function.args, tuple(sorted(function.keywords.items()))
        number = numbers.setdefault((key, keys.count(key)), len(numbers))
        keys.append(key)
        found[number] = function
    return found
