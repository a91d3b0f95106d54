"""A trial of loaded encoders on made-up rows, within bounds: whether weights fit each other."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from skssl._meta._raw_columns import RawColumns
from skssl.base._transformer import SSLTransformer

MOST_OPERATIONS = 20_000
MOST_NUMBERS = 2**22  # of all results together, and one for each byte of the file
MOST_PRODUCTS = 2**32  # of one convolution, which may unfold its input
CONVOLUTIONS: set[Any] = {torch.conv1d, torch.conv2d, torch.conv3d}
CONVOLUTIONS |= {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
MAKERS = {torch.zeros, torch.ones, torch.full, torch.empty, torch.arange, torch.linspace, torch.eye}
MAKERS |= {torch.rand, torch.randn, torch.randint, torch.randperm, torch.tensor}
# Results are as large as the input; without memory, they would load torch's compiler.
LIKE_INPUT = {torch.nan_to_num, Tensor.nan_to_num}


class _Unaffordable(Exception):
    """A trial would take more than a file may cost."""


class _Bounded(TorchFunctionMode):
    """Counts operations and the sizes of their results, each before it is done.

    A mode of torch's dispatcher would see more, but loads 800 modules.
    """

    def __init__(self, n_numbers: int):
        super().__init__()
        self.n_operations, self.n_numbers = MOST_OPERATIONS, n_numbers

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.n_operations -= 1
        sizes = _result_sizes(function, args, kwargs)
        self.n_numbers -= sum(sizes)
        n_products = 0
        if function in CONVOLUTIONS and sizes:
            n_products = sizes[0] * args[1].numel() // max(1, args[1].shape[0])
        if min(self.n_operations, self.n_numbers) < 0 or n_products > MOST_PRODUCTS:
            raise _Unaffordable
        return function(*args, **kwargs)


def check_transforms(model: SSLTransformer, size: int) -> None:
    """Raise ValueError if a fitted transformer cannot embed rows that its reader makes up.

    Parameters
    ----------
    model : transformer
        It is not tried if that takes more than a file of ``size`` bytes may cost.
    size : int
        Bytes of the file.
    """
    if hasattr(model, "encoder_"):
        _try(model, model._reader, model._embedder(), model._n_features_out, size)


def check_raw_columns(raw: RawColumns, size: int) -> None:
    """Raise ValueError if fitted raw columns cannot encode such rows, likewise."""
    if hasattr(raw, "module"):
        _try(raw, raw.reader, raw.module, raw.n_outputs, size)


def _try(model: object, reader: Any, module: Any, width: int, size: int) -> None:
    """Raise ValueError if a module makes no rows of ``width`` numbers of what a reader makes up."""
    reason: Exception | None = None
    for rows in getattr(reader, "blank_rows", tuple)():  # a reader of the user's has none
        try:
            with torch.inference_mode(), _Bounded(MOST_NUMBERS + size):
                z = module(rows)
        except _Unaffordable:
            return
        except Exception as error:  # of whatever kind: the file may hold anything
            reason = error
        else:
            if not isinstance(z, Tensor) or z.shape[-1:] != (width,) or z.dtype != torch.float32:
                raise ValueError(
                    f"its {type(model).__name__} gives no embedding of {width} numbers"
                )
            return
    if reason is not None:
        raise ValueError(
            f"the weights of its {type(model).__name__} do not fit each other: {reason}"
        ) from reason


def _result_sizes(function: Callable[..., Any], args: Any, kwargs: Any) -> list[int]:
    """Return how many numbers each result has, worked out without memory where torch can."""
    if function in LIKE_INPUT:
        return [args[0].numel()]
    without = _without_memory((args, kwargs))
    if function in MAKERS:
        without[1]["device"] = "meta"
    try:
        results = function(*without[0], **without[1])
    except Exception:  # sizes that depend on values; other errors come again, from the operation
        return []
    parts = results if isinstance(results, tuple | list) else [results]
    return [part.numel() for part in parts if isinstance(part, Tensor)]


def _without_memory(value: Any) -> Any:
    """Return arguments with tensors that have a shape, but no numbers."""
    if isinstance(value, Tensor):
        strides = value.stride()
        return torch.empty_strided(value.shape, strides, dtype=value.dtype, device="meta")
    if isinstance(value, dict):
        return {name: _without_memory(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(_without_memory, value))
    return value
