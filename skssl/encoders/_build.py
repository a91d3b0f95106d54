"""Build an encoder for X, and measure its width."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skssl import _compat
from skssl._data._columns import Columns
from skssl._data._vocabulary import PAD
from skssl.encoders._mlp import MLP, NARROW
from skssl.encoders._numbers import Numeric
from skssl.encoders._series import steps_of
from skssl.encoders._table import TableEncoder, TableFront
from skssl.encoders._transformer import FTTransformer

NUMBERS_AT_ONCE = 2**15  # per chunk: a sequence is a hundred times larger than its input


def table_encoder(
    encoder: str | nn.Module | Callable[[Tensor], nn.Module],
    X: Tensor,
    columns: Columns,
    n_components: int,
    numeric: Numeric = "plain",
) -> nn.Module:
    """Build the encoder of a table.

    Parameters
    ----------
    encoder : "auto", "ft_transformer", module or callable
        ``"auto"`` is an :class:`MLP` with two hidden layers of 256 units, whose output is linear
        if it has fewer than 8, ``"ft_transformer"`` an :class:`FTTransformer`, which reads cells
        directly. A module is copied. A callable
        receives the table front's output for X, of shape (n, n_inputs), and returns a module.
    X : Tensor of shape (n, d)
        Scaled training rows.
    columns : Columns
        The meaning of the d columns.
    n_components : int
        Width of the embedding of an encoder given by its name.
    numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
        Numeric embeddings: see the parameter ``numeric`` of the methods.

    Returns
    -------
    encoder : TableEncoder or FTTransformer
        Maps (n, d) to (n, width).
    """
    check_name(encoder, "a table", ("auto", "ft_transformer"))
    if encoder == "ft_transformer":
        return FTTransformer(X, columns, n_components, numeric=numeric)
    front = TableFront(X, columns, numeric=numeric)
    if isinstance(encoder, str):
        is_wide = n_components >= NARROW
        return TableEncoder(
            front, MLP(front.n_features_out, 256, 256, n_components, activated=is_wide)
        )
    with torch.no_grad():
        return TableEncoder(front, user_module(encoder, front(X[:1024])))


def check_name(encoder: object, noun: str, names: Sequence[str]) -> None:
    """Raise ValueError if this modality has no encoder of the given name."""
    if isinstance(encoder, str) and encoder not in names:
        are = "are" if len(names) > 1 else "is"
        raise ValueError(
            f"encoder={encoder!r} does not read {noun}; by name there {are} "
            f"{' and '.join(map(repr, names))}. Or pass a module, or a function that makes one."
        )


def user_module(encoder: nn.Module | Callable[[Tensor], nn.Module], x: Tensor) -> nn.Module:
    """Return a copy of the given module, or call the given function with ``x``; in float32.

    Raises
    ------
    TypeError
        If ``encoder`` is a class, or a function that returns no module.
    """
    if isinstance(encoder, type):
        raise TypeError(
            f"encoder= must be a module or a function that makes one; got the class "
            f"{encoder.__name__}. Pass an instance, or a function that makes one by the shape "
            f"of its input, `lambda x: {encoder.__name__}(...)`."
        )
    if isinstance(encoder, nn.Module):
        return copy.deepcopy(encoder).float()
    with torch.no_grad():
        return _check_module(encoder(x)).float()


def _check_module(made: object) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise TypeError(
            f"encoder= must return a torch.nn.Module; got {type(made).__name__}. Return the "
            "module itself, for example `lambda x: torch.nn.Linear(x.shape[1], 64)`."
        )
    return made


def width_of(encoder: nn.Module, X: Tensor) -> int:
    """Measure the width of an encoder's embeddings of X, in evaluation mode.

    Raises
    ------
    ValueError
        If the encoder cannot read X or does not return one row of numbers for each row.
    """
    rows = X[:2]
    try:
        with torch.no_grad():
            z = encoder.eval()(rows)
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(
            f"encoder= cannot read the data: given a batch of shape {tuple(rows.shape)} it "
            f"raised: {error}. The module receives scaled floats, those of a table with missing "
            "indicators and one-hot categories beside them, those of images as (n, channels, "
            "height, width), those of series as (n, channels, time), and tokens as integers: pass "
            "a callable to see their width or shape first, as in "
            "`encoder=lambda x: torch.nn.Linear(x.shape[1], 64)`."
        ) from error
    finally:
        encoder.train()
    if not isinstance(z, Tensor) or z.ndim != 2 or len(z) != len(rows):
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(
            f"encoder= must return embeddings of shape (n_rows, width); for {len(rows)} rows "
            f"it returned {got}. End it with pooling or torch.nn.Flatten()."
        )
    return z.shape[1]


def front_and_body(encoder: nn.Module) -> tuple[TableFront, nn.Module]:
    """Return the two parts of a table encoder: the front, from cells to floats, and the net.

    Raises
    ------
    ValueError
        If the encoder reads cells directly and has no such parts.
    """
    if not isinstance(encoder, TableEncoder):
        raise ValueError(
            "This method alters the numbers that a net is shown of a row: expected an encoder "
            f"that reads numbers, got {type(encoder).__name__}, which reads cells. Pass "
            "encoder='auto', or a module."
        )
    return encoder.front, encoder.body


class Steps(nn.Module):
    """An encoder's ``sequence``: a vector per token or time step instead of one per row.

    It is NaN where a series has no step, and 0 at padding of tokens. An encoder whose sequence is
    not as long as the series says where there are steps by ``steps(x)``.

    Raises
    ------
    ValueError
        If the encoder has no such method.

    Shape
    -----
    (n, ...) -> (n, t, width)
    """

    _saved_as = "Steps"

    def __init__(self, encoder: nn.Module):
        super().__init__()
        if not hasattr(encoder, "sequence"):
            raise ValueError(
                "pooling=None returns what the encoder's sequence(x) does, (n, t, width); "
                f"{type(encoder).__name__} has no such method. Give it one, or set pooling."
            )
        self.encoder: Any = encoder

    def forward(self, x: Tensor) -> Tensor:
        if _compat.is_exporting():
            return self._sequence(x)
        at_once = max(1, NUMBERS_AT_ONCE // x[0].numel())
        return torch.cat([self._sequence(part) for part in x.split(at_once)])

    def _sequence(self, x: Tensor) -> Tensor:
        h = self.encoder.sequence(x)
        if x.ndim == 2:
            return h.masked_fill((x == PAD)[:, :, None], 0.0)
        if x.ndim == 5:  # all frames of a clip are there
            return h
        tells = hasattr(self.encoder, "steps")
        steps = self.encoder.steps(x) if tells else steps_of(x)
        if not tells and steps.shape[1] != h.shape[1]:  # stretches of an encoder of the user
            return h
        return h.masked_fill(~steps[:, :, None], torch.nan)
