"""The actions of ContextSSL by their names."""

from collections.abc import Sequence
from functools import partial
from typing import cast

from torch import Tensor

from skssl.base._context import as_list, name_of
from skssl.views import IMAGE_ACTIONS, Action, Actions, swap_action


def find_actions(
    given: str | Sequence[object], X: Tensor, columns: Sequence[str] | None
) -> Actions:
    """Return the actions that a user gave by name, as columns or as callables.

    Parameters
    ----------
    given : "auto" or list
        As the parameter ``actions`` of :class:`skssl.ContextSSL`.
    X : Tensor of shape (n, d) or (n, channels, height, width)
        Rows, of which only the shape is used.
    columns : sequence of str, optional
        Names of the columns of a table, if they have any.

    Returns
    -------
    actions : Actions
        The actions by their names.
    """
    is_table, wanted = X.ndim == 2, given
    if isinstance(given, str):
        colour = "hue" if X.shape[1] == 3 else "brightness"
        wanted = range(X.shape[1]) if is_table else ("rotation", colour)
    names = list(map(str, range(X.shape[1]) if columns is None else columns))
    found: dict[str, Action] = {}
    for action in wanted:
        function: Action
        if callable(action):
            name, function = name_of(action), cast(Action, action)
        elif is_table:
            block = [_column(c, names) for c in as_list(action)]
            name = ", ".join(names[j] for j in block)
            function = partial(swap_action, columns=block)
        else:
            name, function = str(action), _image_action(action)
        if name in found:
            raise ValueError(f"actions must have different names; {name!r} stands there twice.")
        found[name] = function
    if not found:
        raise ValueError("actions must name at least one action; got none. Leave it at 'auto'.")
    return Actions(found)


def _image_action(name: object) -> Action:
    if not isinstance(name, str) or name not in IMAGE_ACTIONS:
        raise ValueError(
            f"{name!r} is no action on images: by name there are "
            f"{', '.join(map(repr, IMAGE_ACTIONS))}. Or pass a callable that returns the altered "
            "batch and the parameters of each row."
        )
    return IMAGE_ACTIONS[name]


def _column(column: object, names: list[str]) -> int:
    """Return the index of a column given by its name or index."""
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and -len(names) <= column < len(names):
        return column % len(names)
    raise ValueError(
        f"{column!r} in actions is no column of X; there are {len(names)}: "
        f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}."
    )
