"""Views that several tasks share within a step."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from torch import Tensor

from skssl.views import View

Maker = Callable[[Tensor], Tensor | list[Tensor]]  # from a batch to a view, or to several
Made = dict[tuple[int, int], tuple[Tensor, list[Tensor]]]  # by number of function, id of batch


class SharedViews:
    """Views of a batch; each function is called once per step for all tasks that list it.

    Parameters
    ----------
    functions : dict of int to callable
        Functions by their number, which equal functions of several tasks share. Each maps a
        batch to a view or to a list of views.
    made : dict
        What the tasks share; cleared at the end of a step.
    """

    _saved_as = "SharedViews"

    def __init__(self, functions: dict[int, Maker], made: Made):
        self.functions, self.made = functions, made

    def __call__(self, x: Tensor) -> list[Tensor]:
        for number, function in self.functions.items():
            if (number, id(x)) not in self.made:
                views = function(x)
                views = [views] if isinstance(views, Tensor) else views
                self.made[number, id(x)] = x, views  # x is kept, so that no other has its id
        return [view for number in self.functions for view in self.made[number, id(x)][1]]


def number_functions(functions: Sequence[View], numbers: dict[Hashable, int]) -> dict[int, Maker]:
    """Return functions by their number; partials with equal arguments are one function.

    A task that lists a function several times wants several draws of it: those are told apart.
    """
    found: dict[int, Maker] = {}
    keys: list[Hashable] = []
    for function in functions:
        key: Hashable = function
        if isinstance(function, partial):
            key = function.func, function.args, tuple(sorted(function.keywords.items()))
        number = numbers.setdefault((key, keys.count(key)), len(numbers))
        keys.append(key)
        found[number] = function
    return found
