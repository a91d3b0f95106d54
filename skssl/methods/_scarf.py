"""SCARF."""

from functools import partial
from numbers import Real

import torch
from torch import Tensor

from skssl.base import Interval, Net, ReadsTables, SSLTransformer
from skssl.encoders import MLP, encode, width_of
from skssl.losses import info_nce
from skssl.views import View, original, swap_cells


class SCARF(ReadsTables, SSLTransformer):
    """Contrast each row with a copy in which random cells come from other rows.

    A row must recognise its corrupted copy among those of all rows of the batch, so the encoder
    learns which cells go together. Made for tables.

    Parameters
    ----------
    corruption : float, default=0.6
        Share of the cells of the copy that are replaced by those of other rows.
    temperature : float, default=1.0
        Divides the similarities: the lower, the more weight similar rows have.
    exact : bool, default=True
        Whether exactly ``floor(corruption * n_columns)`` cells of each row are replaced, at least
        one, as in the paper. False draws for each cell on its own, so that some rows of narrow
        tables lose all of their cells; in :class:`MultiTask`, methods that draw so, such as
        :class:`VIME`, share the copy.

    References
    ----------
    .. [1] Bahri, Jiang, Tay and Metzler, "SCARF: Self-Supervised Contrastive Learning
       using Random Feature Corruption", ICLR 2022. https://arxiv.org/abs/2106.15147

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF
    >>> X, _ = load_iris(return_X_y=True)
    >>> SCARF(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    corruption: float = 0.6
    temperature: float = 1.0
    exact: bool = True

    _negatives = True
    _parameter_constraints = {
        "corruption": [Interval(Real, 0, 1, closed="right")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "exact": ["boolean"],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        swap = partial(swap_cells, p=self.corruption)  # as other methods write it, to be shared
        return original, partial(swap, exact=True) if self.exact else swap

    def _build(self, net: Net, X: Tensor) -> None:
        net.projector = MLP(width_of(net.encoder, X), 256, 128)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Algorithm 1 of [1]: InfoNCE from each row to all corrupted rows of the batch."""
        z = torch.cat(encode(net.encoder, net.views(x)[:2]))
        anchor, positive = net.projector(z).chunk(2)
        return info_nce(anchor, positive, self.temperature)
