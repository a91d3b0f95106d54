"""States of random generators, which compiled code trusts: checked before they are set."""

from typing import Any

import numpy as np

BIT_GENERATORS = {
    one.__name__: one
    for one in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}
# Greatest values of integers: positions in a buffer, and numbers of so many bits.
LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "uinteger": 2**32 - 1}
LARGEST |= {"state": 2**128 - 1, "inc": 2**128 - 1}


def random_state(parts: list[Any]) -> np.random.RandomState:
    """Return a Mersenne twister in a state; raise ValueError if there is no such state."""
    name, key, pos, has_gauss, gauss = parts
    if name != "MT19937" or has_gauss not in (0, 1) or type(gauss) is not float:
        raise ValueError("a RandomState is in no state of a Mersenne twister")
    _check({"key": key, "pos": pos}, np.random.MT19937(0).state["state"])
    made = np.random.RandomState(0)
    made.set_state((name, key, pos, has_gauss, gauss))
    return made


def generator(state: dict[str, Any]) -> np.random.Generator:
    """Return a generator in a state; raise ValueError if there is no such state."""
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if not isinstance(name, str) or name not in BIT_GENERATORS:
        raise ValueError(f"there is no bit generator {name!r:.50}")
    bits: Any = BIT_GENERATORS[name](0)
    _check(state, bits.state)
    bits.state = state
    return np.random.Generator(bits)


def _check(state: Any, like: Any, name: str = "") -> None:
    """Raise ValueError if a state has other parts than one that numpy made, or larger numbers."""
    if isinstance(like, dict):
        fits = isinstance(state, dict) and state.keys() == like.keys()
        for key in like if fits else ():
            _check(state[key], like[key], key)
    elif isinstance(like, np.ndarray):
        fits = isinstance(state, np.ndarray)
        fits = fits and (state.shape, state.dtype) == (like.shape, like.dtype)
    elif isinstance(like, int):
        fits = type(state) is int and 0 <= state <= LARGEST[name]
    else:
        fits = state == like
    if not fits:
        raise ValueError(
            f"the state of a random generator has a {name or 'form'} that it cannot have"
        )
