"""Views of event sequences."""

import torch
from torch import Tensor

from skssl._data._draws import rand


def random_slice(x: Tensor, low: float = 0.25, high: float = 0.75) -> Tensor:
    """Keep a random run of each row's consecutive events.

    Parameters
    ----------
    x : Tensor of shape (n, length, d)
        Padded event sequences; the last column is NaN behind the last event.
    low, high : float, default=0.25, 0.75
        Least and greatest length of the run, as a share of the row's events; at least one event.

    Returns
    -------
    view : Tensor of shape (n, longest, d)
        The runs, moved to the front, padded with NaN to the longest row of ``x``.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import random_slice
    >>> view = random_slice(torch.arange(8.0).reshape(1, 8, 1), low=0.5, high=0.5)
    >>> (view[0, 1:4] - view[0, :3]).squeeze(), bool(view[0, 4:].isnan().all())
    (tensor([1., 1., 1.]), True)
    """
    total = (~x[..., -1].isnan()).sum(1)
    draw = rand(2, len(x), device=x.device)
    size = ((low + (high - low) * draw[0]) * total).round().long().clamp(min=1).minimum(total)
    start = (draw[1] * (total - size + 1)).long()
    step = torch.arange(int(total.max()), device=x.device)
    source = (start[:, None] + step).clamp(max=x.shape[1] - 1)
    runs = x.gather(1, source[..., None].expand(-1, -1, x.shape[2]))
    return runs.masked_fill((step >= size[:, None])[..., None], torch.nan)
