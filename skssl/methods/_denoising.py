"""Denoising autoencoder."""

from functools import partial
from numbers import Real
from typing import Literal

from torch import Tensor

from skssl.base import Interval, Net, ReadsTables, ReconstructionMixin, SSLTransformer, StrOptions
from skssl.encoders import AllLayers, cell_heads, encode, width_of
from skssl.losses import cell_error
from skssl.methods._projections import average
from skssl.views import View, swap_cells


class DenoisingAutoencoder(ReconstructionMixin, ReadsTables, SSLTransformer):
    """Reconstruct each row from a copy in which random cells are swapped with other rows.

    Numbers are reconstructed by squared error, categories by cross-entropy.

    Parameters
    ----------
    noise : float, default=0.15
        Probability that a cell is swapped.
    layers : {"last", "all"}, default="last"
        Whether the embedding is the output of the encoder or the concatenated outputs of all its
        layers (a "deep stack"), which is wider than ``n_components``.
    target : {"values", "bins"}, default="values"
        Prediction target of a number: its value, or the index of its quantile bin.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        Maps the embedding to predictions of all cells.

    References
    ----------
    .. [1] Vincent, Larochelle, Bengio and Manzagol, "Extracting and Composing Robust
       Features with Denoising Autoencoders", ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import DenoisingAutoencoder
    >>> X, _ = load_iris(return_X_y=True)
    >>> dae = DenoisingAutoencoder(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> dae.transform(X).shape, dae.reconstruct(X).shape
    ((150, 8), (150, 4))
    """

    noise: float = 0.15
    layers: Literal["last", "all"] = "last"
    target: Literal["values", "bins"] = "values"

    _parameter_constraints = {
        "noise": [Interval(Real, 0, 1, closed="left")],
        "layers": [StrOptions({"last", "all"})],
        "target": [StrOptions({"values", "bins"})],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (partial(swap_cells, p=self.noise),)

    def _build(self, net: Net, X: Tensor) -> None:
        if self.layers == "all":
            net.encoder = AllLayers(net.encoder)
        width = width_of(net.encoder, X)
        net.target, net.predict, net.decoder = cell_heads(width, X, net.columns, self.target)

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Equation 5 of [1], with one error per type of column."""
        embeddings = encode(net.encoder, net.views(x))
        errors = [cell_error(net.predict(z), net.target(x), net.columns) for z in embeddings]
        return average(errors)
