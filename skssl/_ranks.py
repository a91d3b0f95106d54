"""Ranks: processes of torch.distributed that fit one encoder, each on its share of every batch.

``torchrun`` starts them, and a script that calls ``fit`` needs no change. All ranks hold the same
net; each computes the loss of its share, and gradients are averaged. A loss that is a mean over
rows needs nothing else; a loss that compares rows calls :func:`gather` and is the same on all
ranks.
"""

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

T = TypeVar("T")


class _State(threading.local):
    size = 1  # ranks that compute together now; more only inside of together()


_state = _State()


@contextlib.contextmanager
def _among(n: int) -> Iterator[None]:
    before = _state.size
    _state.size = n
    try:
        yield
    finally:
        _state.size = before


def together() -> contextlib.AbstractContextManager[None]:
    """Share batches, losses and statistics among the ranks inside the block."""
    return _among(n_started())


def apart() -> contextlib.AbstractContextManager[None]:
    """Compute inside the block as if this rank were alone."""
    return _among(1)


def n_started() -> int:
    """Return the number of ranks; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def seed(random: np.random.RandomState, device: torch.device) -> int:
    """Draw a seed, the same on all ranks that ``torchrun`` started; join them first.

    Workers that a rank starts for a search inherit its variables but are not ranks.
    """
    is_rank = int(os.environ.get("WORLD_SIZE", 1)) > 1 and dist.is_available()
    if is_rank and multiprocessing.parent_process() is None and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    with together():
        return agree(random.randint(2**31 - 1))


def agree(value: T) -> T:
    """Return the tensor or plain value of the first rank on all ranks."""
    if _state.size == 1:
        return value
    if isinstance(value, Tensor):
        tensor = value.clone()
        dist.broadcast(tensor, 0)
        return cast(T, tensor)
    values = [value]
    dist.broadcast_object_list(values, 0)
    return values[0]


def one_order(own: torch.Generator) -> torch.Generator:
    """Return the generator of the order of rows, the same on all ranks; that of one is its own."""
    if _state.size == 1:
        return own
    seed = int(torch.randint(2**31 - 1, (), generator=own))
    return torch.Generator().manual_seed(agree(seed))


def own_seed(own: torch.Generator) -> int:
    """Return the seed of this rank's views of its rows, where there are other ranks."""
    return int(torch.randint(2**31 - 1 - _state.size, (), generator=own)) + dist.get_rank()


def index() -> int:
    """Return the index of this rank, from 0."""
    return dist.get_rank() if n_started() > 1 else 0


def every(value: T) -> list[T]:
    """Return the values of all ranks, in their order."""
    if _state.size == 1:
        return [value]
    values = [value] * _state.size
    dist.all_gather_object(values, value)
    return values


def check_batch(batch_size: int) -> None:
    """Raise unless each rank gets two rows of a batch."""
    n = _state.size
    if n > 1 and batch_size < 2 * n:
        raise ValueError(
            f"A batch of {batch_size} rows is too small for {n} ranks, of which each takes its "
            f"share: expected at least {2 * n}. Set batch_size higher, fit more rows, or start "
            "fewer processes."
        )


def mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the ranks."""
    if _state.size > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= _state.size
    return value


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace gradients by their means over the ranks, in one exchange."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    every = mean(torch.cat([g.flatten() for g in gradients]))
    for gradient, new in zip(gradients, every.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(new.view_as(gradient))


def share(z: Tensor) -> Tensor:
    """Return this rank's part of the rows; rows that do not divide evenly are dropped."""
    if _state.size == 1:
        return z
    n = len(z) // _state.size
    return z[dist.get_rank() * n : (dist.get_rank() + 1) * n]


def shares(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """Return an iterator of this rank's part of each batch."""
    if _state.size == 1:
        return batches
    return (tuple(map(share, batch)) for batch in batches)


def gather(z: Tensor) -> Tensor:
    """Return the rows of all ranks, the same number from each; gradients flow through."""
    return z if _state.size == 1 else _Gathered.apply(z)


def gather_views(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of all ranks of two views of the same shape, in one exchange."""
    if _state.size > 1:
        a, b = gather(torch.stack((a, b), 1)).unbind(1)
    return a, b


class _Gathered(torch.autograd.Function):
    """Gather rows so that all ranks compute the same loss, whose gradients are averaged."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.size, z = _state.size, z.contiguous()
        parts = [torch.empty_like(z) for _ in range(ctx.size)]
        dist.all_gather(parts, z)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        n = len(grad) // ctx.size
        return grad[dist.get_rank() * n : (dist.get_rank() + 1) * n] * ctx.size


class _Normalised(torch.autograd.Function):
    """Batch-normalise x by the mean and variance of the rows of all ranks; return these, too.

    torch's own kernels do the passes over x; only their sums are exchanged between ranks.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor | None, ...]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        own = torch.batch_norm_update_stats(wide, None, None, 0.0)  # mean and variance
        means, variances = _Gathered.apply(torch.stack(own)[None]).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.eps, ctx.size = eps, _state.size
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        into_x, into_weight, into_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, None, None, mean, scale, True, ctx.eps, [True, True, True]
        )
        # The kernel subtracted this rank's sums from the gradient instead of those of all ranks.
        sums = torch.stack([into_weight, into_bias])
        of_all = sums.clone()
        dist.all_reduce(of_all)
        slope, shift = (sums - of_all / ctx.size) * (scale * weight * x.shape[1] / x.numel())
        shape = [1, -1, *[1] * (x.ndim - 2)]
        slope, shift = slope * scale, shift - slope * scale * mean
        into_x.addcmul_(x, slope.view(shape).to(x)).add_(shift.view(shape))
        return into_x, into_weight, into_bias, None


class _OfAll:
    """Batch normalisation that counts the rows of all ranks.

    torch's SyncBatchNorm does not accept tensors on a CPU.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        if _state.size == 1 or not self.training:
            return super().forward(x)  # type: ignore[misc]
        plain = x.new_ones(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))
        weight, bias = (plain, 0 * plain) if self.weight is None else (self.weight, self.bias)
        out, mean, variance = _Normalised.apply(x, weight, bias, self.eps)
        if self.track_running_stats:
            n = x.numel() // x.shape[1] * _state.size
            self.num_batches_tracked += 1
            rate = self.momentum or 1 / float(self.num_batches_tracked)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean), rate)
                self.running_var.lerp_((variance * n / (n - 1)).to(self.running_var), rate)
        return out


class _BatchNorm1d(_OfAll, nn.BatchNorm1d):
    pass


class _BatchNorm2d(_OfAll, nn.BatchNorm2d):
    pass


_SYNCHRONISED: dict[type, type] = {
    nn.BatchNorm1d: _BatchNorm1d,
    nn.BatchNorm2d: _BatchNorm2d,
}


@contextlib.contextmanager
def one_net(net: nn.Module) -> Iterator[bool]:
    """Train one net on all ranks inside the block; yield whether there are several.

    All ranks start with the weights of the first one, and use the rows of all ranks in batch
    normalisation.
    """
    if _state.size == 1:
        yield False
        return
    _align(net)
    norms = [module for module in net.modules() if type(module) in _SYNCHRONISED]
    for norm in norms:
        norm.__class__ = _SYNCHRONISED[type(norm)]
    try:
        yield True
        _align(net)  # bit by bit
    finally:
        for norm in norms:
            norm.__class__ = type(norm).__bases__[1]


def _align(net: nn.Module) -> None:
    """Copy the weights and buffers of the first rank to all ranks."""
    for tensor in net.state_dict().values():
        dist.broadcast(tensor, 0)
