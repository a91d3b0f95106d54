"""STUNT."""

import itertools
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from skssl.base import Interval, Net, ReadsTables, SSLTransformer
from skssl.encoders import TableFront, encode
from skssl.losses import prototypical
from skssl.views import View, altered, swap_columns


class STUNT(ReadsTables, SSLTransformer):
    """Classify rows, from one example per class, into classes that hidden columns define.

    A task is made from a batch: the values of random columns are clustered into pseudo-classes, and
    these columns are shuffled among rows, so that the rest of a row must reveal its class. One row
    per class is the example; all other rows are assigned to the nearest example. The matching
    classifier for the embedding is the nearest labelled mean, :class:`~skssl.PrototypeClassifier`.

    Parameters
    ----------
    min_columns : float, default=0.2
        Least share of the columns that a task hides; at least one column.
    max_columns : float, default=0.5
        Greatest share of the columns that a task hides.
    n_clusters : int, default=50
        Number of pseudo-classes of a task; at most half of the rows of a batch. The paper uses
        10 for all rows, which is too few for a task made from a batch.
    n_tasks : int, default=2
        Number of tasks per step, each on the whole batch; together they cover the range of
        shares.
    temperature : float, default=0.5
        Divides the mean squared difference between a row's embedding and a prototype.

    References
    ----------
    .. [1] Nam, Tack, Lee, Lee and Shin, "STUNT: Few-shot Tabular Learning with
       Self-generated Tasks from Unlabeled Tables", ICLR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import STUNT
    >>> X, _ = load_iris(return_X_y=True)
    >>> STUNT(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    min_columns: float = 0.2
    max_columns: float = 0.5
    n_clusters: int = 50
    n_tasks: int = 2
    temperature: float = 0.5

    _parameter_constraints = {
        "min_columns": [Interval(Real, 0, 1, closed="both")],
        "max_columns": [Interval(Real, 0, 1, closed="both")],
        "n_clusters": [Interval(Integral, 1, 2**16, closed="both")],
        "n_tasks": [Interval(Integral, 1, 2**10, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        shares = np.linspace(self.min_columns, self.max_columns, self.n_tasks + 1).tolist()
        pairs = itertools.pairwise(shares)
        return tuple(partial(swap_columns, low=low, high=high) for low, high in pairs)

    def _build(self, net: Net, X: Tensor) -> None:
        net.front = TableFront(X, net.columns)  # makes numbers and categories comparable

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1], one task per view: its classes come from the columns it altered."""
        loss = x.new_zeros(())
        views = net.views(x)
        n_clusters = max(1, min(self.n_clusters, len(x) // 2))
        for view, z in zip(views, encode(net.encoder, views), strict=True):
            hidden = altered(x, view).any(0)
            classes = k_means(net.front(torch.where(hidden, x, torch.nan)), n_clusters)
            temperature = self.temperature * z.shape[1]
            loss = loss + prototypical(z, classes, n_clusters, temperature=temperature)
        return loss / len(views)


@torch.no_grad()
def k_means(x: Tensor, n_clusters: int, n_iter: int = 10) -> Tensor:
    """Cluster rows by Lloyd's algorithm; the first rows are the initial centres.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows in random order, as batches are.
    n_clusters : int
        Number of clusters, at most n; with equal rows some clusters stay empty.
    n_iter : int, default=10
        Number of iterations.

    Returns
    -------
    cluster : Tensor of shape (n,), int64
        The index of each row's cluster.
    """
    centres = x[:n_clusters]
    for _ in range(n_iter):
        nearest = (x @ centres.T - centres.square().sum(1) / 2).argmax(1)
        member = (nearest == torch.arange(n_clusters, device=x.device)[:, None]).to(x.dtype)
        size = member.sum(1, keepdim=True)
        centres = torch.where(size > 0, member @ x / size.clamp(min=1), centres)
    return nearest
