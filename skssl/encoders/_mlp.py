"""Fully connected encoders."""

import itertools

import torch
from torch import Tensor, nn

NARROW = 8  # components: fewer are not passed through ReLU, which makes many rows 0 in all of them


class MLP(nn.Module):
    """Fully connected layers with batch normalisation and ReLU between them.

    Parameters
    ----------
    *widths : int
        Width of the input, of each hidden layer, and of the output.
    activated : bool, default=False
        Whether the output is normalised and passed through ReLU, too. Encoders do so: small
        classifiers work better on such embeddings than on a linear output.
    bias : bool, default=True
        False leaves out all biases, and the scales and shifts of batch normalisation: such a net
        cannot learn to map all rows to the same point.

    Shape
    -----
    (n, widths[0]) -> (n, widths[-1])

    Examples
    --------
    >>> import torch
    >>> from skssl.encoders import MLP
    >>> MLP(4, 32, 8)(torch.zeros(5, 4)).shape
    torch.Size([5, 8])
    """

    def __init__(self, *widths: int, activated: bool = False, bias: bool = True):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        hidden = pairs if activated else pairs[:-1]
        layers = [dense(i, o, bias) for i, o in hidden]
        last = [] if activated else [nn.Linear(*pairs[-1], bias=bias)]
        self.stack = nn.ModuleList([*layers, *last])

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer; the last one is the net's output."""
        outputs = []
        for layer in self.stack:
            x = layer(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stack:
            x = layer(x)
        return x


def dense(n_in: int, n_out: int, bias: bool = True) -> nn.Sequential:
    """Make a linear layer with batch normalisation, whose shift is the bias, and ReLU."""
    norm = nn.BatchNorm1d(n_out, affine=bias)
    return nn.Sequential(nn.Linear(n_in, n_out, bias=False), norm, nn.ReLU())


class AllLayers(nn.Module):
    """The activations of every layer of an encoder, side by side."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.encoder.layers(x), 1)  # type: ignore[operator]
