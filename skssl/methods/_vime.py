"""VIME."""

from functools import partial
from numbers import Real
from typing import Literal

from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsTables, ReconstructionMixin, SSLTransformer, StrOptions
from skssl.encoders import cell_heads, encode, width_of
from skssl.losses import cell_error, mask_error
from skssl.views import View, altered, swap_cells


class VIME(ReconstructionMixin, ReadsTables, SSLTransformer):
    """Predict which cells of a row were swapped with other rows, and their original values.

    The encoder reads the altered row. From its embedding, one head predicts the mask and the other
    the original cells: numbers by squared error, categories by cross-entropy.

    Parameters
    ----------
    p : float, default=0.3
        Probability that a cell is swapped.
    alpha : float, default=2.0
        Weight of the error of the cells; the error of the mask has weight 1.
    target : {"values", "bins"}, default="values"
        Prediction target of a number: its value, or the index of its quantile bin.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to predictions of all cells.

    References
    ----------
    .. [1] Yoon, Zhang, Jordon and van der Schaar, "VIME: Extending the Success of Self- and
       Semi-supervised Learning to Tabular Domain", NeurIPS 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import VIME
    >>> X, _ = load_iris(return_X_y=True)
    >>> VIME(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    p: float = 0.3
    alpha: float = 2.0
    target: Literal["values", "bins"] = "values"

    _parameter_constraints = {
        "p": [Interval(Real, 0, 1, closed="right")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "target": [StrOptions({"values", "bins"})],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(swap_cells, p=self.p),)

    def _build(self, net: Net, X: Tensor) -> None:
        width = width_of(net.encoder, X)
        net.mask_head = nn.Linear(width, X.shape[1])
        net.target, net.predict, net.decoder = cell_heads(width, X, net.columns, self.target)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equations 4 to 6 of [1]: mask estimation plus alpha times feature estimation."""
        loss, target = x.new_zeros(()), net.target(x)
        views = net.views(x)
        for view, z in zip(views, encode(net.encoder, views), strict=True):
            mask, values = altered(x, view), cell_error(net.predict(z), target, net.columns)
            loss = loss + mask_error(net.mask_head(z), mask) + self.alpha * values
        return loss / len(views)
