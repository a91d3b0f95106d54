"""LFR."""

from numbers import Integral, Real

import torch
from torch import Tensor, nn

from skssl import _ranks
from skssl.base import Interval, Net, ReadsAll, SSLTransformer
from skssl.encoders import encode, width_of
from skssl.losses import barlow_twins
from skssl.methods._random_nets import most_diverse, outlook, random_copy
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
        outlooks = torch.stack([outlook(random_copy(net.encoder, seed)(rows)) for seed in seeds])
        chosen = most_diverse(outlooks @ outlooks.T, self.n_projectors)
        net.projectors = nn.ModuleList(random_copy(net.encoder, seeds[i]) for i in chosen)
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
