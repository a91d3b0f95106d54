"""Event sequences (bags): the events of each customer as one entry of a pandas Series."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pandas.api import types
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype, take
from pandas.api.indexers import check_array_indexer


@register_extension_dtype
class BagDtype(ExtensionDtype):
    """The dtype of a Series whose entries are bags of events."""

    name = "bags"
    type = pd.DataFrame

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the class of arrays of this dtype."""
        return BagArray


@dataclass(frozen=True, eq=False)
class Events:
    """Events of all customers in one dataframe, ordered by customer, then by time.

    ``gap`` is the time since the customer's previous event: seconds between datetimes, else
    the unit of the column named ``time``. It is 0 at a first event, and without times.
    """

    frame: pd.DataFrame
    gap: np.ndarray
    time: Hashable | None

    def between(self, start: int, stop: int) -> pd.DataFrame:
        """Return the events from ``start`` to ``stop``, with a new index."""
        return self.frame.iloc[start:stop].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Bag:
    """A bag in an array of objects, where a DataFrame would be printed in full."""

    events: Events
    start: int
    stop: int

    @property
    def frame(self) -> pd.DataFrame:
        """The events."""
        return self.events.between(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def __repr__(self) -> str:
        return _size(self)


class BagArray(ExtensionArray):
    """The array behind a Series of bags: one shared table of events, and the span of each bag.

    Selecting bags copies offsets and no events. An entry is the DataFrame of one
    customer's events. A bag without events is missing.
    """

    def __init__(self, events: Events, starts: np.ndarray, stops: np.ndarray):
        self.events, self.starts, self.stops = events, starts, stops

    @property
    def dtype(self) -> BagDtype:
        """The dtype."""
        return BagDtype()

    @property
    def nbytes(self) -> int:
        """Bytes of the events and offsets; events shared with other arrays count, too."""
        frame = int(self.events.frame.memory_usage(index=False).sum())
        return frame + self.events.gap.nbytes + self.starts.nbytes + self.stops.nbytes

    @property
    def lengths(self) -> np.ndarray:
        """Number of events of each bag."""
        return self.stops - self.starts

    def rows(self, at_most: int | None = None) -> np.ndarray:
        """Return the positions in ``events`` of the last ``at_most`` events of each bag."""
        lengths = self.lengths if at_most is None else np.minimum(self.lengths, at_most)
        before = lengths.cumsum() - lengths
        return np.arange(lengths.sum()) + np.repeat(self.stops - lengths - before, lengths)

    def compact(self) -> "BagArray":
        """Return the same bags on a table of their events only, in order."""
        rows, stops = self.rows(), self.lengths.cumsum()
        if len(rows) == len(self.events.gap) and np.array_equal(rows, np.arange(len(rows))):
            return self
        frame = self.events.frame.iloc[rows].reset_index(drop=True)
        events = Events(frame, self.events.gap[rows], self.events.time)
        return BagArray(events, stops - self.lengths, stops)

    def __reduce__(self) -> Any:  # a fold must not carry the events of other customers
        own = self.compact()
        return BagArray, (own.events, own.starts, own.stops)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, item: Any) -> Any:
        item = check_array_indexer(self, item)
        starts, stops = self.starts[item], self.stops[item]
        if isinstance(starts, np.ndarray):
            return BagArray(self.events, starts, stops)
        return self.events.between(starts, stops) if stops > starts else self.dtype.na_value

    def __iter__(self) -> Iterator[Events]:
        return (self[i] for i in range(len(self)))

    def __array__(
        self, dtype: np.typing.DTypeLike | None = None, copy: bool | None = None
    ) -> np.ndarray:
        out = np.empty(len(self), dtype=object)
        out[:] = [Bag(self.events, *span) for span in zip(self.starts, self.stops, strict=True)]
        out[self.isna()] = self.dtype.na_value
        return out

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """Apply a function to the DataFrame of each bag."""
        keep = na_action == "ignore"
        missing = self.isna()
        return pd.array(
            [bag if keep and gone else mapper(bag) for bag, gone in zip(self, missing, strict=True)]
        )

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, BagArray) or len(other) != len(self):
            return NotImplemented
        if self.events is other.events:
            return (self.starts == other.starts) & (self.stops == other.stops)
        pairs = zip(self, other, strict=True)
        return np.array([isinstance(a, pd.DataFrame) and a.equals(b) for a, b in pairs], dtype=bool)

    def isna(self) -> np.ndarray:
        """Tell which bags are missing, such as those that ``reindex`` adds."""
        return self.stops == self.starts

    def take(
        self, indices: Sequence[int], *, allow_fill: bool = False, fill_value: Any = None
    ) -> "BagArray":
        """Return bags by position; with ``allow_fill``, -1 makes a missing one."""
        where: dict[str, Any] = {"allow_fill": allow_fill, "fill_value": 0}
        return BagArray(
            self.events, take(self.starts, indices, **where), take(self.stops, indices, **where)
        )

    def copy(self) -> "BagArray":
        """Return an array of the same bags; their events stay shared."""
        return BagArray(self.events, self.starts.copy(), self.stops.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence["BagArray"]) -> "BagArray":
        if all(part.events is to_concat[0].events for part in to_concat):
            events, parts = to_concat[0].events, list(to_concat)
            offsets = [0] * len(parts)
        else:
            parts = [part.compact() for part in to_concat]
            times = {part.events.time for part in parts}
            if len(times) > 1:
                raise ValueError(f"Bags to join have different time columns: {times}.")
            frame = pd.concat([part.events.frame for part in parts], ignore_index=True)
            gap = np.concatenate([part.events.gap for part in parts])
            events = Events(frame, gap, times.pop())
            sizes = [len(part.events.gap) for part in parts]
            offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        joined = list(zip(parts, offsets, strict=True))
        starts = np.concatenate([part.starts + offset for part, offset in joined])
        return cls(events, starts, np.concatenate([part.stops + offset for part, offset in joined]))

    @classmethod
    def _from_sequence(
        cls, scalars: Any, *, dtype: object = None, copy: bool = False
    ) -> "BagArray":
        if isinstance(scalars, cls):
            return scalars
        raise TypeError(
            "Bags are made from one long frame of events: skssl.to_bags(df, id=..., time=...)."
        )

    def _formatter(self, boxed: bool = False) -> Callable[[object], str]:
        return lambda bag: _size(bag) if hasattr(bag, "__len__") else str(bag)


def _size(bag: Any) -> str:
    return f"{len(bag)} event{'s' * (len(bag) != 1)}"


def is_bags(X: Any) -> bool:
    """Tell whether X is a Series, or an array, of bags."""
    return isinstance(getattr(X, "dtype", None), BagDtype)


def to_bags(df: Any, id: Hashable, time: Hashable | None = None) -> pd.Series:
    """Gather a long table of events into one entry per customer.

    The result has the length of a target with one value per customer, so that scikit-learn
    splits, searches and scores it like any X.

    Parameters
    ----------
    df : dataframe of shape (n_events, n_columns)
        One row per event, in any order; pandas, polars or Arrow.
    id : str
        The column with the id of the customer.
    time : str, default=None
        The column with the time of the event: datetimes, or numbers in any unit. Events are
        sorted by it; equal times keep their order. None keeps the order of the rows.

    Returns
    -------
    bags : Series of n_customers entries
        Indexed by the ids, in the order of their first event in ``df``. An entry is the
        DataFrame of that customer's events. All share one table of the size of ``df``:
        selecting customers copies no event.

    Raises
    ------
    ValueError
        If a column does not exist, or an id or a time is missing.
    TypeError
        If ``df`` is not a dataframe, or times are neither datetimes nor numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from skssl import to_bags
    >>> events = pd.DataFrame(
    ...     {"client": ["ann", "bob", "ann"], "day": [3, 1, 2], "spent": [9.5, 4.0, 7.5]}
    ... )
    >>> bags = to_bags(events, id="client", time="day")
    >>> bags
    client
    ann    2 events
    bob     1 event
    Name: events, dtype: bags
    >>> bags["ann"]
       day  spent
    0    2    7.5
    1    3    9.5
    """
    frame = _as_pandas(df)
    _check_columns(frame, id, time)
    codes, ids = pd.factorize(frame[id])
    if len(codes) and codes.min() < 0:
        raise ValueError(
            f"{(codes < 0).sum()} events have no {id!r}: whose they are must be known. Drop them, "
            f"df.dropna(subset=[{id!r}]), or give each an id of its own."
        )
    if time is None:
        when = np.zeros(len(codes))
        order = np.argsort(codes, kind="stable")
    else:
        when = _as_numbers(frame[time], time)
        order = np.lexsort((when, codes))
    frame = frame.drop(columns=id).iloc[order].reset_index(drop=True)
    stops = np.bincount(codes, minlength=len(ids)).cumsum()
    starts = np.concatenate([[0], stops[:-1]]).astype(stops.dtype)[: len(stops)]
    gap = np.diff(when[order], prepend=0).astype(np.float64)
    gap[starts] = 0
    if time is not None and types.is_datetime64_any_dtype(frame[time]):
        gap /= 1e6
    events = Events(frame, gap, time)
    return pd.Series(BagArray(events, starts, stops), index=pd.Index(ids, name=id), name="events")


def _as_pandas(df: Any) -> pd.DataFrame:
    df = nw.to_native(df, pass_through=True)
    if isinstance(df, pd.DataFrame):
        return df
    if nw.dependencies.is_polars_lazyframe(df):
        raise TypeError("Expected a table in memory, got a polars LazyFrame. Pass df.collect().")
    if not nw.dependencies.is_into_dataframe(df):
        raise TypeError(
            f"to_bags expects a dataframe with one row per event, got {type(df).__name__}. "
            "Make one, for example pd.DataFrame(events)."
        )
    try:
        return nw.from_native(df, eager_only=True).to_pandas()
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Events of a {type(df).__module__.split('.')[0]} frame are read by way of pyarrow: "
            "pip install pyarrow."
        ) from error


def _check_columns(frame: pd.DataFrame, id: Hashable, time: Hashable | None) -> None:
    names = frame.columns.tolist()
    for role, name in {"id": id, "time": time}.items():
        if names.count(name) != 1 and not (role == "time" and name is None):
            raise ValueError(
                f"{role}={name!r} must name one column of df, whose columns are {names}."
            )
    if id == time:
        raise ValueError(f"id and time are both {id!r}: two columns are needed.")
    if len(names) == 1:
        raise ValueError(f"Events consist of nothing but {id!r}; give them a column or a time.")


def _as_numbers(column: pd.Series, name: object) -> np.ndarray:
    """Return times as numbers: microseconds for datetimes, else unchanged."""
    is_datetime = types.is_datetime64_any_dtype(column)
    if not is_datetime and (not types.is_numeric_dtype(column) or types.is_bool_dtype(column)):
        raise TypeError(
            f"time={name!r} holds {column.dtype}; expected datetimes or numbers. Convert it, for "
            f"example with pd.to_datetime(df[{name!r}])."
        )
    if column.isna().any():
        raise ValueError(
            f"{column.isna().sum()} events have no {name!r}: when they happened must be known. "
            f"Drop them, df.dropna(subset=[{name!r}]), or leave time= out."
        )
    if is_datetime:
        return column.dt.as_unit("us").astype("int64").to_numpy()
    when = column.to_numpy()
    if not np.isfinite(when).all():
        raise ValueError(f"time={name!r} holds infinity; expected finite numbers.")
    return when
