"""Random numbers of our own: inside a block, torch draws from generators that belong to a fit."""

import contextlib
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Function = Callable[..., Any]  # of torch
Args = tuple[object, ...]
Kwargs = dict[str, Any]
Test = Callable[[Args, Kwargs], bool]


class Draws(TorchFunctionMode):
    """Generators of random numbers, from which torch draws in this thread, inside the block.

    Views, losses and modules, the user's as well as ours, call torch's functions as ever. The
    global generators stay as they are: they belong to the user, and to all threads.

    Parameters
    ----------
    seed : int
        With it, numbers are those of ``torch.manual_seed``.
    device : torch.device, default="cpu"
        There is a generator for it, besides that of the CPU.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu"):
        super().__init__()
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
        copied = type(self)(0)
        copied.generators = {
            name: torch.Generator(generator.device) for name, generator in self.generators.items()
        }
        copied.cpu = copied.generators["cpu"]
        copied.restore(self.states())
        return copied

    def of(self, args: Args, kwargs: Kwargs) -> torch.Generator:
        """Return the generator of the device that a call with these arguments draws on."""
        device = kwargs.get("device")
        if device is None:
            tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
            device = next((tensor.device for tensor in tensors), "cpu")
        return self.generators.get(torch.device(device).type, self.cpu)

    def __torch_function__(
        self, func: Function, types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> object:
        kwargs = kwargs or {}
        draw = RULES.get(func)
        return func(*args, **kwargs) if draw is None else draw(self, func, args, kwargs)


# -------------------------------------------------- how each function of torch that draws does it


def _give(draws: Draws, func: Function, args: Args, kwargs: Kwargs) -> object:
    """Draw by a function that takes a generator."""
    if kwargs.get("generator") is None:
        kwargs = kwargs | {"generator": draws.of(args, kwargs)}
    return func(*args, **kwargs)


def _fill(draws: Draws, func: Function, args: Args, kwargs: Kwargs) -> Tensor:
    """Draw a tensor like another; before torch 2.9 these take no generator."""
    like, *limits = args or (kwargs["input"],)
    assert isinstance(like, Tensor)
    limits += [kwargs[name] for name in ("low", "high") if name in kwargs]
    own = ("input", "low", "high", "generator")
    made = torch.empty_like(like, **{k: v for k, v in kwargs.items() if k not in own})
    generator = kwargs.get("generator") or draws.of((made,), {})
    return getattr(made, FILLS[func])(*limits, generator=generator)


def _drop(draws: Draws, func: Function, args: Args, kwargs: Kwargs) -> Tensor:
    """Drop out cells or channels."""
    given = _bound(func, args, kwargs)
    x, p = given["input"], given["p"]
    n_axes = CHANNELS.get(func, x.ndim)  # of a batch
    if not given["training"] or not 0 < p < 1 or x.ndim not in (n_axes - 1, n_axes):
        return func(*args, **kwargs)
    shape = list(x.shape)
    if func in CHANNELS:
        kept = 2 if x.ndim == n_axes else 1
        shape[kept:] = [1] * (x.ndim - kept)
    noise = x.new_empty(shape) if func in CHANNELS else torch.empty_like(x)
    noise = noise.bernoulli_(1 - p, generator=draws.of((x,), {})).div_(1 - p)
    return x.mul_(noise) if given["inplace"] else x * noise


def _look_inside(draws: Draws, func: Function, args: Args, kwargs: Kwargs) -> object:
    """Call a function that draws without taking a generator: what it calls takes one."""
    if not MAY_DRAW[func](args, kwargs):
        return func(*args, **kwargs)
    with _inner_mode(draws):
        return func(*args, **kwargs)


def _inner_mode(draws: Draws) -> contextlib.AbstractContextManager[object]:
    """Return a mode of torch's dispatcher; it loads torch's compiler, hence only where needed."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Inner(TorchDispatchMode):
        def __torch_dispatch__(
            self,
            func: torch._ops.OpOverload,
            types: object,
            args: Args = (),
            kwargs: Kwargs | None = None,
        ) -> object:
            kwargs = kwargs or {}
            if torch.Tag.nondeterministic_seeded not in func.tags:
                return func(*args, **kwargs)
            if not _takes_generator(func):
                func = getattr(func.overloadpacket, "generator", func)
            if _takes_generator(func):
                return _give(draws, func, args, kwargs)
            with _lend(draws, draws.of(args, kwargs)):
                return func(*args, **kwargs)

    return Inner()


def _takes_generator(func: torch._ops.OpOverload) -> bool:
    return any(argument.name == "generator" for argument in func._schema.arguments)


_lent = threading.Lock()  # while torch's global generators are lent a state


def _renew_lock() -> None:
    global _lent
    _lent = threading.Lock()


if hasattr(os, "register_at_fork"):  # another thread may hold it, which the child does not have
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def _lend(draws: Draws, own: torch.Generator) -> Iterator[None]:
    """Let torch's global generator go on from our state: for one kernel that knows no other.

    These are dropout inside of attention and of recurrent nets on a GPU, and ``native_dropout``.
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


def _bound(func: Function, args: Args, kwargs: Kwargs) -> Kwargs:
    given = inspect.signature(func).bind(*args, **kwargs)
    given.apply_defaults()
    return given.arguments


def _in_training(func: Function) -> Test:
    """Return the rule of functions that draw in training, if a dropout among them is not 0."""

    def draws(args: Args, kwargs: Kwargs) -> bool:
        given = _bound(func, args, kwargs)
        p = given.get("dropout_p", given.get("p", 1.0))
        return bool(given.get("training", True) and p)

    return draws


def _in_attention(args: Args, kwargs: Kwargs) -> bool:
    return bool(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0))


def _between_layers(args: Args, kwargs: Kwargs) -> bool:
    """Tell whether a recurrent net has dropout; packed sequences come with their batch sizes."""
    p = args[-3] if isinstance(args[2], Tensor) else args[-4]
    return not (isinstance(p, int | float) and p == 0)


def _always(args: Args, kwargs: Kwargs) -> bool:
    return True


GIVEN: set[object] = {torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal}
GIVEN |= {torch.bernoulli, torch.multinomial, torch.poisson, torch.binomial}
GIVEN |= {torch._standard_gamma, torch._sample_dirichlet}
GIVEN |= {Tensor.bernoulli, Tensor.bernoulli_, Tensor.cauchy_, Tensor.exponential_}
GIVEN |= {Tensor.geometric_, Tensor.log_normal_, Tensor.multinomial, Tensor.normal_}
GIVEN |= {Tensor.uniform_, Tensor.random_}
GIVEN |= {nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_}
GIVEN |= {nn.init.trunc_normal_, nn.init.xavier_uniform_, nn.init.xavier_normal_}
GIVEN |= {nn.init.orthogonal_}
FILLS = {torch.rand_like: "uniform_", torch.randn_like: "normal_", torch.randint_like: "random_"}
CHANNELS: dict[object, int] = {F.dropout1d: 3, F.dropout2d: 4, F.dropout3d: 5}
MAY_DRAW: dict[object, Test] = {
    func: _in_training(func)
    for func in (
        F.multi_head_attention_forward,
        F.alpha_dropout,
        F.feature_alpha_dropout,
        F.rrelu,
    )
}
MAY_DRAW |= {func: _between_layers for func in (torch.lstm, torch.gru, torch.rnn_tanh)}
MAY_DRAW |= {
    torch.rnn_relu: _between_layers,
    F.scaled_dot_product_attention: _in_attention,
}
MAY_DRAW |= dict.fromkeys(
    [
        F.gumbel_softmax,
        F.fractional_max_pool2d,
        F.fractional_max_pool3d,
        F.fractional_max_pool2d_with_indices,
        F.fractional_max_pool3d_with_indices,
        torch.dropout,
        torch.dropout_,
        torch.native_dropout,
        torch.feature_dropout,
        torch.feature_dropout_,
        torch.alpha_dropout,
        torch.alpha_dropout_,
        torch.feature_alpha_dropout,
        torch.feature_alpha_dropout_,
        torch.rrelu,
        torch.rrelu_,
    ],
    _always,
)
RULES: dict[object, Function] = dict.fromkeys(GIVEN, _give)
RULES |= dict.fromkeys(FILLS, _fill) | dict.fromkeys([F.dropout, *CHANNELS], _drop)
RULES |= dict.fromkeys(MAY_DRAW, _look_inside)
