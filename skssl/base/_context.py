"""Embeddings that depend on a context: the verb that sets one."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Integral
from typing import Self, cast

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skssl import _ranks
from skssl._data._draws import Draws
from skssl._data._rows import RowsLike
from skssl.encoders import ContextEncoder, encode
from skssl.views import Actions


class TakesContext:
    """Mixin for methods whose encoder is a ``ContextEncoder``: ``with_context``.

    ``_build`` sets ``actions_``. After training, pairs of some training rows are kept in the
    encoder: their features, not the rows themselves.
    """

    n_pairs: int
    actions_: Actions
    encoder_: nn.Sequential
    views_: Callable[[Tensor], list[Tensor]]
    _generator: np.random.RandomState

    def with_context(
        self, sensitive: object = None, *, blind: object = None, n: int | None = None
    ) -> Self:
        """Return a copy of this transformer that reads a context before it embeds rows.

        Parameters
        ----------
        sensitive : str or list of str, default=None
            Actions that the context tells of, by name; an empty list tells of none. The embedding
            is blind to all others.
        blind : str or list of str, default=None
            Instead of ``sensitive``: the actions to be silent of; all others are told.
        n : int, default=None
            Number of pairs, at most ``n_pairs``; None is all that there are, 0 is no context.

        Returns
        -------
        transformer : object
            Shares all but ``encoder_`` with this one, which stays as it is.

        Raises
        ------
        ValueError
            If neither or both of ``sensitive`` and ``blind`` are given, if one names an unknown
            action, or if there are not so many pairs.

        Notes
        -----
        Blind means that distances do not show it: neighbours are found by something else. It is
        no protection of a sensitive attribute, of which a linear probe still finds traces.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skssl import ContextSSL
        >>> X = load_iris(as_frame=True).data
        >>> ssl = ContextSSL(n_components=8, max_epochs=5, random_state=0).fit(X)
        >>> ssl.with_context(blind="petal width (cm)").transform(X).shape
        (150, 8)
        """
        check_is_fitted(self)
        told, made = told_actions(list(self.actions_.functions), sensitive, blind), copy.copy(self)
        most = len(_last(self.encoder_).pairs)
        if n is not None and not (isinstance(n, Integral) and 0 <= n <= most):
            raise ValueError(
                f"n must be a number of pairs from 0 to {most}; got {n!r}. For more, set n_pairs "
                "before fit, and fit more rows."
            )
        made.encoder_ = copy.deepcopy(self.encoder_)
        _last(made.encoder_).set_context(told, most if n is None else int(n))
        return made

    @torch.no_grad()
    def _finish(self, rows: RowsLike) -> None:
        x, encoder = rows.some(self.n_pairs), _last(self.encoder_)
        x = x if rows.scale is None else self.encoder_[0](x)
        draws = Draws(_ranks.seed(self._generator, torch.device("cpu")), for_others=True)
        with draws.here():
            after, parameters = self.actions_(x)
            views = [self.views_(copy)[0] for copy in (x, after)]
        before, after = encode(encoder.encoder, views)
        encoder.keep(before, after, encoder.standardised(torch.cat(parameters, 1)))


def _last(encoder: nn.Sequential) -> ContextEncoder:
    return cast(ContextEncoder, encoder[1])


def told_actions(names: list[str], sensitive: object, blind: object) -> Tensor:
    """Return 1 for each action that a context tells of, 0 for the others.

    Parameters
    ----------
    names : list of str
        Names of all actions.
    sensitive, blind : str, list or None
        The actions to tell of, or those to be silent of; one of the two is None.
    """
    if (sensitive is None) == (blind is None):
        raise ValueError(
            "Say what the embedding shall be sensitive to, as in with_context('rotation'), or "
            f"what it shall be blind to, as in with_context(blind='hue'): one of the two; got "
            f"sensitive={sensitive!r} and blind={blind!r}."
        )
    asked = blind if sensitive is None else sensitive
    chosen = {_known(name, names) for name in as_list(asked)}
    return torch.tensor([float((name in chosen) == (blind is None)) for name in names])


def as_list(value: object) -> list[object]:
    """Return a list of actions or columns, or one of them as a list."""
    is_one = isinstance(value, str | int) or callable(value)
    return [value] if is_one else list(cast(Iterable[object], value))


def name_of(action: object) -> str:
    """Return the name of an action or column; of a callable without an ending ``_action``."""
    if isinstance(action, str | int):
        return str(action)
    if not callable(action):
        return ", ".join(map(str, as_list(action)))
    while isinstance(action, partial):
        action = action.func
    return getattr(action, "__name__", type(action).__name__).removesuffix("_action")


def _known(action: object, names: list[str]) -> str:
    name = name_of(action)
    if name not in names:
        raise ValueError(f"{action!r} is none of the actions that were fitted: {', '.join(names)}.")
    return name
