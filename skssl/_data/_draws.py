"""Random numbers of our own: inside a block, torch draws from generators that belong to a fit."""

import contextlib
import copy
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Function = Callable[..., Any]  # of torch
Args = tuple[object, ...]
Kwargs = dict[str, Any]


class Draws:
    """Generators of random numbers, from which a thread draws inside the block.

    The global generators of torch stay as they are: they belong to the user, and to all threads.

    Parameters
    ----------
    seed : int
        With it, numbers are those of ``torch.manual_seed``.
    device : torch.device, default="cpu"
        There is a generator for it, besides that of the CPU.
    for_others : bool, default=False
        Whether code runs inside the block that is not the package's and may draw: modules, views
        and methods of the user. Then every function of torch draws from the generators. The
        package's own code asks for its ``random_source`` instead, which costs nothing.
    compiled : bool, default=False
        Whether torch's compiler translates that code. It draws from the global generators, which
        are lent to it for the whole block, seeded.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device | str = "cpu",
        *,
        for_others: bool = False,
        compiled: bool = False,
    ):
        self.for_others, self.compiled = for_others, compiled
        self.cpu = torch.Generator()
        self.generators = {"cpu": self.cpu}
        if (device := torch.device(device)).type != "cpu":
            try:
                self.generators[device.type] = torch.Generator(device)
            except RuntimeError:  # a backend without generators of its own
                self.generators[device.type] = self.cpu
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin anew."""
        for generator in self.generators.values():
            generator.manual_seed(seed)

    def states(self) -> list[Tensor]:
        """Return the states of the generators."""
        return [generator.get_state() for generator in self.generators.values()]

    def restore(self, states: list[Tensor]) -> None:
        """Go on from states of the generators."""
        for generator, state in zip(self.generators.values(), states, strict=True):
            generator.set_state(state)

    def apart(self) -> Self:
        """Return generators in the same states, whose draws do not move these."""
        copied = copy.copy(self)
        copied.generators = {
            name: torch.Generator(generator.device) for name, generator in self.generators.items()
        }
        copied.cpu = copied.generators["cpu"]
        copied.restore(self.states())
        return copied

    def on(self, device: torch.device | str) -> torch.Generator:
        """Return the generator of a device."""
        return self.generators.get(torch.device(device).type, self.cpu)

    def of(self, args: Args, kwargs: Kwargs) -> torch.Generator:
        """Return the generator of the device that a call with these arguments draws on."""
        if (device := kwargs.get("device")) is not None:
            return self.on(device)
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        kind = next((tensor.device.type for tensor in tensors), "cpu")
        return self.generators.get(kind, self.cpu)

    @contextlib.contextmanager
    def here(self, *, everywhere: bool = False) -> Iterator[None]:
        """Draw from the generators in this thread, inside the block.

        ``everywhere`` lets all functions of torch do so, as modules need it when they are made.
        """
        outer, _here.draws = _here.draws, self
        try:
            with self._reach(everywhere):
                yield
        finally:
            _here.draws = outer

    def _reach(self, everywhere: bool) -> contextlib.AbstractContextManager[object]:
        if not (everywhere or self.for_others):
            return contextlib.nullcontext()
        if everywhere or not self.compiled:
            return _Everywhere(self)
        lent, seed = contextlib.ExitStack(), int(torch.randint(2**31, (), generator=self.cpu))
        for own in {id(own): own for own in self.generators.values()}.values():
            lent.enter_context(_lend(torch.Generator(own.device).manual_seed(seed)))
        return lent


class _Here(threading.local):
    """What is different in each thread."""

    draws: Draws | None = None  # those of the innermost block


_here = _Here()


def random_source(device: torch.device | str = "cpu") -> torch.Generator | None:
    """Return the generator of the fit that runs in this thread; None, torch's own, outside."""
    return None if _here.draws is None else _here.draws.on(device)


def _from_source(function: Function) -> Callable[..., Tensor]:
    @functools.wraps(function)
    def draw(*size: object, device: torch.device | None = None, **kwargs: object) -> Tensor:
        source = None
        if (draws := _here.draws) is not None:
            source = draws.cpu if device is None else draws.generators.get(device.type, draws.cpu)
        return cast(Tensor, function(*size, device=device, generator=source, **kwargs))

    return draw


# These are torch's; the package draws by them wherever it does not make modules.
rand, randn = _from_source(torch.rand), _from_source(torch.randn)
randint, randperm = _from_source(torch.randint), _from_source(torch.randperm)


class _Everywhere(TorchDispatchMode):
    """Makes every operator of torch draw from given generators."""

    def __init__(self, draws: Draws):
        super().__init__()
        self.draws = draws

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would load its compiler

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: object,
        args: Args = (),
        kwargs: Kwargs | None = None,
    ) -> object:
        kwargs = kwargs or {}
        giving = _with_generator(func)
        if giving is not None:
            given = kwargs.get("generator") or self.draws.of(args, kwargs)
            return giving(*args, **(kwargs | {"generator": given}))
        if torch.Tag.nondeterministic_seeded not in func.tags or _drops_nothing(func, args, kwargs):
            return func(*args, **kwargs)
        if (fill := FILLS.get(func.overloadpacket)) is not None:
            like, *limits = args
            made = torch.ops.aten.empty_like.default(like, **kwargs)
            limits = [0, *limits] if len(limits) == 1 else limits  # of whole numbers
            return fill(made, *limits, generator=self.draws.of((made,), {}))
        with _lend(self.draws.of(args, kwargs)):
            return func(*args, **kwargs)


# Modules of torch that draw nothing when they are called.
QUIET: set[type[nn.Module]] = {nn.Identity, nn.Linear, nn.Flatten, nn.Unflatten, nn.Embedding}
QUIET |= {nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Conv1d, nn.Conv2d, nn.Conv3d}
QUIET |= {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm}
QUIET |= {nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid}
QUIET |= {nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d}
QUIET |= {nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d}


def may_draw(module: nn.Module) -> bool:
    """Tell whether torch's generators may be drawn from when a module is called.

    Not if it consists of modules of ``QUIET`` and of the package, and neither has hooks.
    """
    return not all(map(_is_quiet, module.modules()))


def _is_quiet(module: nn.Module) -> bool:
    cls = type(module)
    is_known = cls in QUIET or cls.__module__.startswith("skssl.")
    forward = module._forward_hooks, module._forward_pre_hooks
    backward = module._backward_hooks, module._backward_pre_hooks
    return is_known and not any(forward + backward) and "forward" not in vars(module)


# Operators that take no generator in torch 2.6.
FILLS: dict[object, Function] = {
    torch.ops.aten.rand_like: torch.ops.aten.uniform_,
    torch.ops.aten.randn_like: torch.ops.aten.normal_,
    torch.ops.aten.randint_like: torch.ops.aten.random_,
}


@functools.cache
def _with_generator(func: torch._ops.OpOverload) -> torch._ops.OpOverload | None:
    """Return the operator, or its overload that takes a generator, too; None if neither does."""
    packet = func.overloadpacket
    asked = {(a.name, str(a.type)) for a in func._schema.arguments} | {GENERATOR}
    for op in (func, *(getattr(packet, name) for name in packet.overloads())):
        if {(a.name, str(a.type)) for a in op._schema.arguments} == asked:
            return cast(torch._ops.OpOverload, op)
    return None


def _drops_nothing(func: torch._ops.OpOverload, args: Args, kwargs: Kwargs) -> bool:
    """Tell whether an operator, such as attention, has a dropout of zero: then it draws nothing.

    That does not hold for ``native_dropout``, whose share is ``p``.
    """
    given = {a.name: a.default_value for a in func._schema.arguments}
    given |= dict(zip(given, args, strict=False)) | kwargs
    return any(given.get(share) == 0 for share in ("dropout", "dropout_p"))


GENERATOR = ("generator", "Optional[Generator]")
_lent = threading.RLock()  # while torch's global generators are lent a state


def _renew_lock() -> None:
    global _lent
    _lent = threading.RLock()


if hasattr(os, "register_at_fork"):  # another thread may hold it, which the child does not have
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def _lend(own: torch.Generator) -> Iterator[None]:
    """Let torch's global generator go on from our state, for what knows no other.

    These are kernels of dropout inside of attention and of recurrent nets on a GPU,
    ``native_dropout``, and code that is compiled.
    """
    place: Any = torch.random if own.device.type == "cpu" else getattr(torch, own.device.type)
    where = () if own.device.type == "cpu" else (own.device,)
    with _lent:
        before = place.get_rng_state(*where)
        place.set_rng_state(own.get_state(), *where)
        try:
            yield
        finally:
            own.set_state(place.get_rng_state(*where))
            place.set_rng_state(before, *where)
