"""Binning as a pretext task."""

from functools import partial
from numbers import Integral, Real
from typing import Literal

from torch import Tensor

from skssl.base import Interval, Net, ReadsTables, ReconstructionMixin, SSLTransformer, StrOptions
from skssl.encoders import MLP, Bins, Unbinned, encode, width_of
from skssl.losses import cell_error
from skssl.methods._projections import average
from skssl.views import View, swap_cells


class BinningPretext(ReconstructionMixin, ReadsTables, SSLTransformer):
    """Predict the quantile bin of each number of a row.

    Bins ignore outliers and units, weigh all columns alike, and have steps such as those at which
    trees split. Categories are predicted themselves.

    Parameters
    ----------
    n_bins : int, default=10
        Greatest number of bins per column.
    loss : {"squared_error", "log_loss"}, default="squared_error"
        Squared error of the standardised bin index, or cross-entropy over the bins.
    p : float, default=0.3
        Probability that a cell of the encoder's input is swapped with that of another row; 0
        leaves the row unchanged.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to predictions of all cells; numbers are interpolated bin means.

    References
    ----------
    .. [1] Lee, Sim, Cho, Eo, Yoon, Yoon and Lim, "Binning as a Pretext Task: Improving
       Self-Supervised Learning in Tabular Domains", ICML 2024.
       https://arxiv.org/abs/2405.07414

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import BinningPretext
    >>> X, _ = load_iris(return_X_y=True)
    >>> BinningPretext(n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    n_bins: int = 10
    loss: Literal["squared_error", "log_loss"] = "squared_error"
    p: float = 0.3

    _parameter_constraints = {
        "n_bins": [Interval(Integral, 2, 2**16, closed="both")],
        "loss": [StrOptions({"squared_error", "log_loss"})],
        "p": [Interval(Real, 0, 1, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(swap_cells, p=self.p),)

    def _build(self, net: Net, X: Tensor) -> None:
        net.bins = Bins(X, net.columns, self.n_bins, classes=self.loss == "log_loss")
        net.predict = MLP(width_of(net.encoder, X), 256, net.bins.columns.n_outputs)
        net.decoder = Unbinned(net.predict, net.bins)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """BinRecon of [1], or BinXent, with one error per type of column."""
        embeddings, bins = encode(net.encoder, net.views(x)), net.bins(x)
        errors = [cell_error(net.predict(z), bins, net.bins.columns) for z in embeddings]
        return average(errors)
