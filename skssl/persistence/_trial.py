"""A trial of loaded encoders on made-up rows, within bounds: whether weights fit each other."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from skssl._meta._raw_columns import RawColumns
from skssl.base._transformer import SSLTransformer

MOST_OPERATIONS = 4_000
MOST_NUMBERS = 2**22  # of all results together, and one for each byte of the file
MOST_PRODUCTS = 2**32  # that convolutions, pooling and the like sum up in one trial
PER_BYTE = 1_000  # products more for each byte of the file
MATRICES = {"mm", "bmm", "addmm", "baddbmm", "_cdist_forward"}


class _Unaffordable(Exception):
    """A trial would take more than a file may cost."""


class _Bounded(TorchDispatchMode):
    """Counts operations, the sizes of their results and their products, each before it is done.

    Parameters
    ----------
    size : int
        Bytes of the file.
    """

    def __init__(self, size: int):
        super().__init__()
        self.n_operations, self.n_numbers = MOST_OPERATIONS, MOST_NUMBERS + size
        self.n_products = MOST_PRODUCTS + PER_BYTE * size

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would load its compiler

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        given = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)}
        given |= kwargs or {}
        numbers, products = _work(func, given)
        self.n_operations -= 1
        self.n_numbers -= numbers
        self.n_products -= products
        if min(self.n_operations, self.n_numbers, self.n_products) < 0:
            raise _Unaffordable
        with self:  # what it consists of is counted, too
            made = func.decompose(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if made is NotImplemented else made


def check_transforms(model: SSLTransformer, size: int) -> None:
    """Raise ValueError if a fitted transformer cannot embed rows that its reader makes up.

    Nor may moments of its optimizer be of other weights than it has.

    Parameters
    ----------
    model : transformer
        It is not tried if that takes more than a file of ``size`` bytes may cost.
    size : int
        Bytes of the file.
    """
    if hasattr(model, "_net"):
        model._make_optimizer(model._net, again=True)
    if hasattr(model, "encoder_"):
        _try(model, model._reader, model._embedder(), model._n_features_out, size)


def check_raw_columns(raw: RawColumns, size: int) -> None:
    """Raise ValueError if fitted raw columns cannot encode such rows, likewise."""
    if hasattr(raw, "module"):
        _try(raw, raw.reader, raw.module, raw.n_outputs, size)


def _try(model: object, reader: Any, module: Any, width: int, size: int) -> None:
    """Raise ValueError if a module makes no rows of ``width`` numbers of what a reader makes up."""
    reason: Exception | None = None
    blank_rows = getattr(reader, "blank_rows", tuple)  # a reader of the user's has none
    every: Iterator[Tensor] = iter(blank_rows())
    while True:
        try:
            with torch.inference_mode(), _Bounded(size):
                rows = next(every, None)
                if rows is None:
                    break
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


def _work(func: OpOverload, given: dict[str, Any]) -> tuple[int, int]:
    """Return how many numbers an operation makes, and how many products it sums up, at most."""
    name = func.overloadpacket.__name__
    sizes = _result_sizes(func, given)
    made, first = sum(sizes), next((t for t in given.values() if isinstance(t, Tensor)), None)
    if first is None:
        return made, 0
    if "attention" in name or "transformer" in name:  # these hold a row of weights for each query
        weights = math.prod(first.shape[:-1]) * first.shape[-2]
        heads = given.get("num_heads", given.get("num_head", 1))
        return made + weights * heads, weights * first.shape[-1]
    if "kernel_size" in given:
        kernel = given["kernel_size"]
        n_axes = max(1, first.ndim - 2) if len(kernel) == 1 else 1
        return made, made * math.prod(kernel) ** n_axes
    if name == "convolution":
        weight = given["weight"]
        return made, max(made, first.numel()) * weight.numel() // max(1, weight.shape[0])
    if name in MATRICES:
        return made, made * given.get("mat1", given.get("batch1", first)).shape[-1]
    return made, 0


def _result_sizes(func: OpOverload, given: dict[str, Any]) -> list[int]:
    """Return how many numbers each result has, worked out without memory where torch can."""
    without = {name: _without_memory(value) for name, value in given.items()}
    if "device" in without:
        without["device"] = "meta"
    try:
        results = func(**without)
    except Exception:  # sizes that depend on values; other errors come again, from the operation
        return [value.numel() for value in given.values() if isinstance(value, Tensor)]
    parts = results if isinstance(results, tuple | list) else [results]
    return [part.numel() for part in parts if isinstance(part, Tensor)]


def _without_memory(value: Any) -> Any:
    """Return arguments with tensors that have a shape, but no numbers."""
    if isinstance(value, Tensor):
        strides = value.stride()
        return torch.empty_strided(value.shape, strides, dtype=value.dtype, device="meta")
    if isinstance(value, tuple | list):
        return type(value)(map(_without_memory, value))
    return value
