"""One error for all columns of a table that cannot be read."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


def attempt(
    function: Callable[[int], Result], columns: Iterable[int]
) -> tuple[dict[int, Result], dict[int, TypeError | ValueError]]:
    """Call a function for each column; return the results, and the errors of the others."""
    results, errors = {}, {}
    for i in columns:
        try:
            results[i] = function(i)
        except (TypeError, ValueError) as error:
            errors[i] = error
    return results, errors


def one_error(errors: dict[int, TypeError | ValueError]) -> TypeError | ValueError:
    """Return the error of a single column, or one that has the messages of all, in their order."""
    ordered = [errors[i] for i in sorted(errors)]
    if len(ordered) == 1:
        return ordered[0]
    kind = TypeError if all(isinstance(error, TypeError) for error in ordered) else ValueError
    return kind("\n- ".join([f"{len(ordered)} columns cannot be read:", *map(str, ordered)]))
