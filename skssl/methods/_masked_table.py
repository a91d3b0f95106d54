"""Masked cells of tables, predicted by a transformer."""

from functools import partial
from numbers import Real
from typing import Literal

from torch import Tensor

from skssl.base import Interval, Net, ReadsTables, ReconstructionMixin, SSLTransformer, StrOptions
from skssl.base._parameters import Encoder
from skssl.encoders import cell_heads, encode, width_of
from skssl.losses import cell_error
from skssl.methods._projections import average
from skssl.views import View, altered, mask_cells


class MaskedTable(ReconstructionMixin, ReadsTables, SSLTransformer):
    """Predict masked cells from the other cells of their row.

    The encoder is a transformer whose tokens are the cells. Masked and missing cells have the
    same learned mask token, so ``impute`` is the task it was trained for. Numbers are predicted
    by squared error, categories by cross-entropy.

    Parameters
    ----------
    p : float, default=0.4
        Probability that a cell is masked.
    target : {"values", "bins"}, default="values"
        Prediction target of a number: its value, or the index of its quantile bin.
    encoder : "ft_transformer", "auto", torch.nn.Module or callable, default="ft_transformer"
        ``"ft_transformer"`` has a mask token; other encoders read 0 in place of a masked number.
        Its cost grows with the square of the number of columns: with more than about 100
        columns use ``"auto"``, a fully connected net.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to predictions of all cells.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting Deep Learning Models for
       Tabular Data", NeurIPS 2021. https://arxiv.org/abs/2106.11959
    .. [2] Onishi and Meguro, "Rethinking Data Augmentation for Tabular Data in Deep
       Learning", 2023. https://arxiv.org/abs/2305.10308

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import MaskedTable
    >>> X, _ = load_iris(return_X_y=True)
    >>> MaskedTable(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    p: float = 0.4
    target: Literal["values", "bins"] = "values"
    encoder: Encoder = "ft_transformer"

    _parameter_constraints = {
        "p": [Interval(Real, 0, 1, closed="neither")],
        "target": [StrOptions({"values", "bins"})],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(mask_cells, p=self.p),)

    def _build(self, net: Net, X: Tensor) -> None:
        width = width_of(net.encoder, X)
        net.target, net.predict, net.decoder = cell_heads(width, X, net.columns, self.target)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The error of masked cells by type of column; their tokens are replaced as in [2]."""
        views, target = net.views(x), net.target(x)
        errors = [
            cell_error(net.predict(z), target, net.columns, altered(x, view).float())
            for view, z in zip(views, encode(net.encoder, views), strict=True)
        ]
        return average(errors)
