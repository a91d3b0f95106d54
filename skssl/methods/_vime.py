"""VIME."""

from functools import partial
from numbers import Real
from typing import Any

from torch import nn

from skssl._base import SSLTransformer
from skssl._compat import Interval
from skssl._reconstruction import ReconstructionMixin
from skssl.encoders import MLP, encode, width_of
from skssl.losses import cell_error, mask_error
from skssl.views import altered, swap_cells


class VIME(ReconstructionMixin, SSLTransformer):
    """Find out which cells of a row were swapped with other rows', and what they were.

    The encoder sees the altered row; from its embedding one head predicts the mask, the
    other the original cells: numbers by squared error, categories by cross-entropy.

    Parameters
    ----------
    p : float, default=0.3
        Probability that a cell is swapped.
    alpha : float, default=2.0
        Weight of the error of the cells beside that of the mask.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to a prediction of every cell.

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
    categorical_features: Any = "from_dtype"

    _parameter_constraints = {
        "p": [Interval(Real, 0, 1, closed="right")],
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def _views(self):
        return (partial(swap_cells, p=self.p),)

    def _build(self, net, X):
        width = width_of(net.encoder, X)
        net.mask_head = nn.Linear(width, X.shape[1])
        net.decoder = MLP(width, 256, net.columns.n_outputs)

    def _loss(self, net, x):
        """Equations 4 to 6 of [1]: mask estimation plus alpha times feature estimation."""
        loss = 0.0
        views = net.views(x)
        for view, z in zip(views, encode(net.encoder, views), strict=True):
            values = cell_error(net.decoder(z), x, net.columns)
            loss = loss + mask_error(net.mask_head(z), altered(x, view)) + self.alpha * values
        return loss / len(views)
