"""Caches that let several tasks on one encoder share computations within a step."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from skssl.encoders import encode
from skssl.views import View


class Once:
    """A function that caches its result for each input until ``answers`` is cleared."""

    _saved_as = "Once"

    def __init__(self, function: Callable[[Tensor], Any]):
        self.function = function
        self.answers: list[tuple[Tensor, Any]] = []

    def __call__(self, x: Tensor) -> Any:
        for known, answer in self.answers:
            if known is x:
                return answer
        answer = self.function(x)
        self.answers.append((x, answer))
        return answer


class SharedEncoder(Once):
    """An encoder that embeds each view of a batch once, and all new views in one pass."""

    _saved_as = "SharedEncoder"

    def encode(self, views: list[Tensor]) -> list[Tensor]:
        """Embed the views, as :func:`skssl.encoders.encode` does."""
        known = {id(view) for view, _ in self.answers}
        new = list({id(view): view for view in views if id(view) not in known}.values())
        if new:
            self.answers.extend(zip(new, encode(self.function, new), strict=True))
        found = {id(view): z for view, z in self.answers}
        return [found[id(view)] for view in views]


def once(shared: dict[Hashable, Once], function: View, before: Sequence[View] = ()) -> Once:
    """Return the shared ``Once`` of a function; partials with equal arguments are one function.

    A task that lists a function several times wants several draws of it: ``before`` holds the
    functions before it in the task's list.
    """
    key = _key(function)
    n_before = sum(_key(other) == key for other in before)
    return shared.setdefault((key, n_before), Once(function))


def _key(function: View) -> Hashable:
    if isinstance(function, partial):
        return function.func, function.args, tuple(sorted(function.keywords.items()))
    return function
