"""LFR."""

import copy
from numbers import Integral, Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl import _ranks
from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import encode, width_of
from skssl.losses import barlow_twins
from skssl.views import View, original

POOL = 10  # random networks drawn for each one that is kept


class LFR(ReadsAll, SSLTransformer):
    """Learn from randomness: predict the outputs of several random networks for a row.

    The networks have the architecture of the encoder, and their weights are never trained; those
    whose outputs differ most are chosen from ten times as many. Rows are not altered, so you need
    not know which alterations would keep their meaning.

    Parameters
    ----------
    n_projectors : int, default=6
        Number of random networks. Each costs a forward pass of the encoder per step.
    lambd : float, default=0.01
        Weight of telling the rows of a batch apart; predicting each row has weight 1.

    References
    ----------
    .. [1] Sui, Wu, Cresswell, Wu, Stein, Huang, Zhang and Volkovs, "Self-supervised
       Representation Learning From Random Data Projectors", ICLR 2024.
       https://arxiv.org/abs/2310.07756

    Notes
    -----
    The authors' code compares rows by cosines, their random networks have no batch normalisation,
    and predictors are trained in passes of their own. Here each row's outputs are centred first,
    because encoders that end in ReLU make all cosines positive, the random networks normalise by
    the batch, and all is trained together. On few labels of the digits, breast cancer and wine,
    logistic regressions reach 87.8, 91.6 and 91.6 % on this embedding, and 87.0, 93.3 and 93.1 %
    with cosines and without statistics of the batch (``benchmarks/variants.py``).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import LFR
    >>> X, _ = load_iris(return_X_y=True)
    >>> LFR(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    n_projectors: int = 6
    lambd: float = 0.01

    # no video: every network would read every frame
    _modalities = ("table", "image", "series")
    _constants = {"projectors": "random networks, which the paper never trains"}
    _parameter_constraints = {
        "n_projectors": [Interval(Integral, 1, 2**10, closed="both")],
        "lambd": [Interval(Real, 0, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (original,)

    def _build(self, net: Net, X: Tensor) -> None:
        rows = X[torch.randperm(len(X))[:256]]
        seeds = torch.randint(2**31, (POOL * self.n_projectors,)).tolist()
        outlooks = torch.stack([_outlook(_random_copy(net.encoder, seed)(rows)) for seed in seeds])
        chosen = most_diverse(outlooks @ outlooks.T, self.n_projectors)
        net.projectors = nn.ModuleList(_random_copy(net.encoder, seeds[i]) for i in chosen)
        width = width_of(net.encoder, X)
        net.predictors = nn.ModuleList(nn.Linear(width, width) for _ in chosen)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The batch-wise Barlow Twins loss of [1]: rows take the place of features."""
        loss = x.new_zeros(())
        targets = [projector(x).T for projector in net.projectors]
        embeddings = encode(net.encoder, net.views(x))
        for z in embeddings:
            for predictor, target in zip(net.predictors, targets, strict=True):
                predicted = predictor(z).T
                with _ranks.apart():  # the features here are the rows of this rank only
                    loss = loss + barlow_twins(predicted, target, self.lambd)
        return loss / (len(embeddings) * len(targets) * len(x))


def _random_copy(encoder: nn.Module, seed: int) -> nn.Module:
    """Return a frozen copy of the encoder with the entries of every weight shuffled.

    Shuffled random weights are random weights of the same scale, for any module.
    """
    generator = torch.Generator().manual_seed(seed)
    twin = copy.deepcopy(encoder).requires_grad_(False)
    for weight in twin.parameters():
        order = torch.randperm(weight.numel(), generator=generator)
        weight.copy_(weight.flatten()[order].view_as(weight))
    return twin


def _outlook(z: Tensor) -> Tensor:
    """Return the similarities of all pairs of rows in a network's output, as a unit vector."""
    z = F.normalize(z.double(), dim=1)
    return F.normalize((z @ z.T).flatten(), dim=0)


def most_diverse(kernel: Tensor, k: int) -> list[int]:
    """Choose k items whose similarity matrix has a large determinant, greedily.

    The result is close to the most likely set of size k of a determinantal point process.
    """
    chosen: list[int] = []
    for _ in range(k):
        new = int(kernel.diagonal().argmax())
        chosen.append(new)
        column = kernel[:, new]
        kernel = kernel - torch.outer(column, column) / column[new].clamp(min=1e-12)
        kernel[chosen, chosen] = -torch.inf
    return chosen
