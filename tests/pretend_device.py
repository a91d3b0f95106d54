"""An accelerator in name only, for machines that have none: what test_device.py computes on.

Its tensors are the CPU's, wrapped, and as on a GPU they refuse to be computed with one that stays
on the CPU, a single number or an index aside. It draws from the CPU's generator, so a fit on it is
the fit on the CPU, but for kernels that sum in another order.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
aten = torch.ops.aten
# A GPU takes these from the CPU as well: copies, indices, and the lengths of sequences.
FROM_THE_CPU = {
    aten.copy_.default,
    aten._to_copy.default,
    aten.index.Tensor,
    aten._index_put_impl_.default,
    aten.index_put.default,
    aten.index_put_.default,
    aten._pack_padded_sequence.default,
}


class Backend:
    """What torch asks the module of a device for."""

    def is_initialized(self) -> bool:
        """Return True: there is nothing to do."""
        return True

    is_available = is_initialized

    def device_count(self) -> int:
        """Return that there is one."""
        return 1

    def current_device(self) -> int:
        """Return that it is the first."""
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed(self, seed: int) -> None:
        """Seed the CPU's generator, which is this one's, too."""
        torch.default_generator.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Return what autocast may be asked for."""
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        """Return the state of the CPU's generator."""
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        """Set the state of the CPU's generator."""
        torch.set_rng_state(state)


class There(Tensor):
    """A tensor on the pretended device."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> "There":
        out = Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        out.raw = raw
        return out

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        here = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.ndim]
        if any(not isinstance(t, There) for t in here) and func not in FROM_THE_CPU:
            raise RuntimeError(f"{func} of tensors on the CPU and on {NAME}.")
        if func is aten.copy_.default:
            _raw(args[0]).copy_(_raw(args[1]))
            return args[0]
        to = kwargs.get("device")
        cpu = {"device": torch.device("cpu"), "pin_memory": False}
        same = tree_map(_raw, (args, kwargs | {k: v for k, v in cpu.items() if k in kwargs}))
        made = CELLS.get(func, func)(*same[0], **same[1])
        if to is not None and torch.device(to).type == "cpu":
            return made
        if func is aten._pack_padded_sequence.default:
            return There(made[0]), made[1]  # sizes of batches stay on the CPU
        made = tree_map(lambda t: There(t) if isinstance(t, Tensor) else t, made)
        return return_and_correct_aliasing(func, args, kwargs, made)


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, There) else value


def gru_cell(inner, hidden, state, inner_bias=None, hidden_bias=None):
    """Take a step of a GRU, which the CPU has no kernel of its own for."""
    if inner_bias is not None:
        inner, hidden = inner + inner_bias, hidden + hidden_bias
    (a, b, c), (d, e, f) = inner.chunk(3, 1), hidden.chunk(3, 1)
    reset, update = (a + d).sigmoid(), (b + e).sigmoid()
    new = (c + reset * f).tanh()
    return new + update * (state - new), torch.cat([reset, update, new, state, f], 1)


def gru_cell_backward(grad, kept, has_bias):
    """Return the gradients of that step."""
    reset, update, new, state, hidden = kept.chunk(5, 1)
    by_new = grad * (1 - update) * (1 - new * new)
    by_reset = by_new * hidden * reset * (1 - reset)
    by_update = grad * (state - new) * update * (1 - update)
    gates = [torch.cat([by_reset, by_update, x], 1) for x in (by_new, by_new * reset)]
    return *gates, grad * update, *((g.sum(0) if has_bias else None) for g in gates)


CELLS = {
    aten._thnn_fused_gru_cell.default: gru_cell,
    aten._thnn_fused_gru_cell_backward.default: gru_cell_backward,
}


def install() -> torch.library.Library:
    """Make the device known to torch, for as long as what is returned is kept."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
    library = torch.library.Library("aten", "IMPL")

    def made(function):
        def make(*args, dtype=None, **others):
            return There(function(*args, dtype=dtype))

        return make

    for name, function in {
        "empty.memory_format": torch.empty,
        "empty_strided": lambda size, stride, dtype: torch.empty_strided(size, stride, dtype=dtype),
        "arange": torch.arange,
        "arange.start": torch.arange,
        "arange.start_step": torch.arange,
    }.items():
        library.impl(name, made(function), "PrivateUse1")

    def copy(source, target, non_blocking=False):
        _raw(target).copy_(_raw(source))
        return target

    library.impl("_copy_from", copy, "PrivateUse1")
    return library
