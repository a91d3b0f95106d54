"""SwitchTab."""

from functools import partial
from numbers import Real

import torch
from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsTables, ReconstructionMixin, SSLTransformer
from skssl.encoders import MLP, encode, width_of
from skssl.losses import cell_error
from skssl.views import View, swap_cells


class SwitchTab(ReconstructionMixin, ReadsTables, SSLTransformer):
    """Split embeddings into a mutual part that rows share and a salient part of their own.

    A decoder must predict the row from its own two parts, and also from its salient part and the
    mutual part of another row.

    Parameters
    ----------
    corruption : float, default=0.3
        Probability that a cell of the encoder's input is swapped with that of another row.
    alpha : float, default=1.0
        Weight of rows decoded from a switched mutual part; the others have weight 1.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to predictions of all cells.

    References
    ----------
    .. [1] Wu et al., "SwitchTab: Switched Autoencoders Are Effective Tabular Learners",
       AAAI 2024. https://arxiv.org/abs/2401.02013

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SwitchTab
    >>> X, _ = load_iris(return_X_y=True)
    >>> SwitchTab(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    corruption: float = 0.3
    alpha: float = 1.0

    _parameter_constraints = {
        "corruption": [Interval(Real, 0, 1, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(swap_cells, p=self.corruption),)

    def _build(self, net: Net, X: Tensor) -> None:
        net.decoder = SwitchDecoder(width_of(net.encoder, X), net.columns.n_outputs)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1]: the errors of recovered and of switched rows."""
        loss = x.new_zeros(())
        embeddings = encode(net.encoder, net.views(x))
        for z in embeddings:
            recovered = net.decoder(z)
            switched = net.decoder(z, partner=z.roll(1, 0))  # batches are in random order
            loss = loss + cell_error(recovered, x, net.columns)
            loss = loss + self.alpha * cell_error(switched, x, net.columns)
        return loss / len(embeddings)


class SwitchDecoder(nn.Module):
    """Predict cells from the salient part of an embedding and the mutual part of another.

    Without a partner, both parts come from the same embedding (n, width).
    """

    _saved_as = "SwitchDecoder"

    def __init__(self, width: int, n_outputs: int):
        super().__init__()
        self.mutual = nn.Linear(width, width)
        self.salient = nn.Linear(width, width)
        self.cells = MLP(2 * width, 256, n_outputs)

    def forward(self, z: Tensor, partner: Tensor | None = None) -> Tensor:
        mutual = self.mutual(z if partner is None else partner).sigmoid()
        return self.cells(torch.cat([mutual, self.salient(z).sigmoid()], 1))
