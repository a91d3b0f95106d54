"""CoLES."""

from functools import partial
from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor

from skssl.base import Interval, Net, ReadsEvents, SSLTransformer
from skssl.encoders import encode
from skssl.losses import margin_contrastive
from skssl.views import View, random_slice


class CoLES(ReadsEvents, SSLTransformer):
    """Recognise a customer by any slice of the events: purchases, clicks, prescriptions.

    X holds event sequences, one per customer, as made by :func:`skssl.to_bags` from a long table.
    Random slices of one customer's events are pulled together, and the most similar slices of
    other customers are pushed apart. A recurrent net reads the events: numbers, categories and
    missing values as in tables, and the time since the previous event.

    Parameters
    ----------
    n_slices : int, default=5
        Number of slices of each customer in a batch.
    slice_range : tuple of two floats, default=(0.25, 0.75)
        Shortest and longest slice, as shares of the customer's events.
    margin : float, default=0.5
        Distance on the unit sphere beyond which slices of other customers are ignored.
    n_negatives : int, default=5
        Number of nearest slices of other customers that each slice is pushed away from.
    n_components : int, default=64
        Width of the embedding, and of the state of the recurrent net.
    batch_size : "auto" or int, default=64
        Customers per step; all of them if there are fewer.

    See Also
    --------
    skssl.to_bags : Turns a long table of events into X.

    Notes
    -----
    The embedding is the mean of the recurrent net's states over the events. [1]_ takes the last
    state, which was worse where both were measured.

    The data takes ``n_customers * longest * n_columns`` floats in memory, where ``longest`` is the
    largest number of events of a customer, or ``max_events``. The date itself is not read, only the
    time between events: add columns such as the hour or the weekday if they matter.

    References
    ----------
    .. [1] Babaev, Ovsov, Kireev, Ivanova, Gusev, Nazarov and Tuzhilin, "CoLES: Contrastive
       Learning for Event Sequences with Self-Supervision", SIGMOD 2022.
       https://arxiv.org/abs/2002.08232

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skssl import CoLES, to_bags
    >>> rng = np.random.default_rng(0)
    >>> events = pd.DataFrame({"client": rng.integers(0, 30, 400), "day": rng.random(400) * 90})
    >>> events["spent"] = rng.lognormal(events["client"] % 3)
    >>> bags = to_bags(events, id="client", time="day")
    >>> CoLES(n_components=8, max_epochs=5, random_state=0).fit_transform(bags).shape
    (30, 8)
    """

    n_slices: int = 5
    slice_range: tuple[float, float] = (0.25, 0.75)
    margin: float = 0.5
    n_negatives: int = 5
    n_components: int = 64
    batch_size: int | Literal["auto"] = 64

    _negatives = True
    _parameter_constraints = {
        "n_slices": [Interval(Integral, 2, 2**16, closed="both")],
        "slice_range": [tuple, list],
        "margin": [Interval(Real, 0, 2, closed="right")],
        "n_negatives": [Interval(Integral, 1, 2**16, closed="both")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        low, high = self.slice_range
        if not 0 <= low <= high <= 1:
            raise ValueError(
                "slice_range must hold two shares, 0 <= shortest <= longest <= 1; got "
                f"{self.slice_range!r}."
            )
        return (partial(random_slice, low=low, high=high),) * self.n_slices

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1], and its contrastive loss with hard negatives."""
        views = net.views(x)
        z = torch.cat(encode(net.encoder, views))
        owner = torch.arange(len(x), device=x.device).repeat(len(views))
        return margin_contrastive(z, owner, self.margin, self.n_negatives)
