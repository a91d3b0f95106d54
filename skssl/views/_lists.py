"""Lists and chains of views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

View = Callable[[Tensor], Tensor]


def original(x: Tensor) -> Tensor:
    """Return the batch unchanged: the view of methods that compare with the clean row.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import original
    >>> original(torch.ones(1, 2))
    tensor([[1., 1.]])
    """
    return x


@dataclass(frozen=True, repr=False)
class Compose:
    """A chain of view functions as one view.

    Parameters
    ----------
    functions : tuple of callable
        Each maps a batch to an altered batch; :func:`functools.partial` sets its strengths.
    at_once : int or None, default=None
        On a CPU, process the batch in parts of at most this many numbers, which fit its cache.
        Only for functions that alter each row independently. None processes the batch whole.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from skssl.views import Compose, flip, shift
    >>> view = Compose((flip, partial(shift, share=0.2)))
    >>> view
    Compose(flip, shift(share=0.2))
    >>> view(torch.ones(2, 1, 4, 4)).shape
    torch.Size([2, 1, 4, 4])
    """

    functions: tuple[View, ...]
    at_once: int | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.at_once is None or x.numel() <= self.at_once or x.device.type != "cpu":
            return self._through(x)
        parts = x.split(max(1, self.at_once // x[0].numel()))
        return torch.cat([self._through(part) for part in parts])

    def _through(self, x: Tensor) -> Tensor:
        for function in self.functions:
            x = function(x)
        return x

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(_source_of, self.functions))})"


def _source_of(function: Callable[..., object]) -> str:
    """Return a function as its call would be written, without its address in memory."""
    if isinstance(function, partial):
        given = [repr(a) for a in function.args]
        given += [f"{name}={value!r}" for name, value in function.keywords.items()]
        return f"{_source_of(function.func)}({', '.join(given)})"
    return getattr(function, "__name__", None) or repr(function)


@dataclass(frozen=True)
class Views:
    """A list of view functions, called as one: a batch in, the list of altered batches out.

    Parameters
    ----------
    functions : tuple of callable
        Each maps a batch to an altered batch; their sizes may differ.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import Views, original
    >>> len(Views((original, original))(torch.ones(3, 2)))
    2
    """

    functions: tuple[View, ...]

    def __call__(self, x: Tensor) -> list[Tensor]:
        return [function(x) for function in self.functions]

    def __len__(self) -> int:
        return len(self.functions)


@dataclass(frozen=True)
class UserViews:
    """A user's callable as a list of views, checked at every batch.

    A callable that returns one tensor is called ``n_views`` times; one that returns a list makes
    all views at once, ``at_least`` so many; None is ``n_views``. Views of a table must keep its
    columns.
    """

    function: Callable[[Tensor], Tensor | Sequence[Tensor]]
    n_views: int
    at_least: int | None = None

    def __call__(self, x: Tensor) -> list[Tensor]:
        out = self.function(x)
        if isinstance(out, Tensor):
            views = [out, *(self.function(x) for _ in range(self.n_views - 1))]
        else:
            views = list(out) if isinstance(out, list | tuple) else [out]
        # The size of a view may differ, but not the columns of a table; tokens have no columns.
        kept = 2 if x.ndim == 2 and x.is_floating_point() else 1
        for view in views:
            if (
                not isinstance(view, Tensor)
                or view.shape[:kept] != x.shape[:kept]
                or view.dtype != x.dtype
            ):
                got = type(view).__name__
                if isinstance(view, Tensor):
                    got = f"{tuple(view.shape)}, {view.dtype}"
                raise ValueError(
                    f"views= must return an altered batch, or a list of them, with the "
                    f"{len(x)} rows, the columns and the dtype it was given, "
                    f"{tuple(x.shape)}, {x.dtype}; got {got}."
                )
        at_least = self.n_views if self.at_least is None else self.at_least
        if len(views) < at_least:
            raise ValueError(
                f"This method compares {at_least} views, but views= returned {len(views)}. "
                "Return one tensor (it is then called once per view) or a longer list."
            )
        return views  # type: ignore[return-value]


def make_views(
    views: str | Callable[[Tensor], Tensor | Sequence[Tensor]],
    default: Views,
    at_least: int | None = None,
) -> Views | UserViews:
    """Return the callable that maps a batch to its list of views: the default, or the user's."""
    if isinstance(views, str):
        return default
    return UserViews(views, max(1, len(default)), at_least)
