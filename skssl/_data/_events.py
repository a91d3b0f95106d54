"""The reader of event sequences: one padded float tensor, and the meaning of its columns."""

from collections.abc import Hashable, Iterator
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from skssl._data._bags import BagArray, Events, is_bags
from skssl._data._columns import Columns
from skssl._data._table import CategoricalFeatures, TableReader, extreme_rows

MAKE_BAGS = "Gather a long table of events with skssl.to_bags(df, id=..., time=...)."


class BagReader:
    """Turn event sequences into tensors; remembers the categories.

    The tensor is (n, longest sequence, d): a customer's events in time order, padded with NaN. Its
    columns are those of an event, as in :class:`TableReader`, followed by the logarithm of 1 + the
    time since the previous event, which is never missing at an event: NaN there is padding.

    Parameters
    ----------
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None
        The columns of an event, without the time, that are categories.
    max_events : int, default=512
        Greatest number of events per sequence; the last ones are read.

    Attributes
    ----------
    columns : Columns
        The meaning of the d columns of the tensor.
    """

    _saved_as = "BagReader"
    modality = "bags"
    columns: Columns

    def __init__(
        self, categorical_features: CategoricalFeatures = "from_dtype", max_events: int = 512
    ):
        self.categorical_features = categorical_features
        self.max_events = max_events

    def fit(self, X: Any, *more: Any) -> Self:
        """Learn the categories of the columns over X and all of ``more``."""
        parts = [bags_of(part) for part in (X, *more)]
        self.time = parts[0].events.time
        frames = [self._columns_of(part.events, part.rows(self.max_events)) for part in parts]
        self.cells = TableReader(self.categorical_features)
        is_bare = frames[0].shape[1] == 0  # events have no column but their time
        cardinality = () if is_bare else self.cells.fit(*frames).columns.cardinality
        self.columns = Columns((*cardinality, 0))
        return self

    def read(self, X: Any, ensure_min_samples: int = 1) -> torch.Tensor:
        """Return X as one tensor of shape (n_samples, longest bag, n_columns) on the CPU."""
        bags = bags_of(X)
        if len(bags) < ensure_min_samples:
            raise ValueError(
                f"Found {len(bags)} bag(s) (shape=({len(bags)},)) while a minimum of "
                f"{ensure_min_samples} is required."
            )
        check_time(bags, self.time)
        rows = bags.rows(self.max_events)
        gap = torch.from_numpy(np.log1p(bags.events.gap[rows])).float()[:, None]
        cells = gap[:, :0]
        if len(self.columns.cardinality) > 1:
            cells = self.cells.read(self._columns_of(bags.events, rows))
        flat = torch.cat([cells, gap.to(cells.dtype)], 1)
        lengths = torch.from_numpy(np.minimum(bags.lengths, self.max_events))
        is_event = torch.arange(int(lengths.max())) < lengths[:, None]
        out = flat.new_full((*is_event.shape, flat.shape[1]), torch.nan)
        out[is_event] = flat
        return out

    def blank_rows(self) -> Iterator[torch.Tensor]:
        """Yield a bag of events of the least and the greatest values, as ``read`` returns it."""
        yield extreme_rows(self.columns)[None, :3]

    @staticmethod
    def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Concatenate two tensors of ``read``, padded to the longest."""
        longest = max(first.shape[1], second.shape[1])
        padded = (
            F.pad(x, (0, 0, 0, longest - x.shape[1]), value=torch.nan) for x in (first, second)
        )
        return torch.cat(list(padded))

    def _columns_of(self, events: Events, rows: np.ndarray) -> Any:
        frame = events.frame if events.time is None else events.frame.drop(columns=events.time)
        is_whole = len(rows) == len(frame) and np.array_equal(rows, np.arange(len(rows)))
        return frame if is_whole else frame.iloc[rows]


def event_columns(X: Any) -> Any:
    """Return a dataframe with the columns of the events of X, to check their names."""
    return bags_of(X).events.frame


def bags_of(X: Any) -> BagArray:
    """Return the array behind X; raise if a bag is empty."""
    if not is_bags(X):
        raise TypeError(f"Expected bags of events, got {type(X).__name__}. {MAKE_BAGS}")
    bags = getattr(X, "array", X)
    if bags.isna().any():
        raise ValueError(
            f"{bags.isna().sum()} of {len(bags)} bags have no event, as reindex makes them for "
            "customers that it does not find. Leave them out: bags[bags.notna()]."
        )
    if not len(bags):
        raise ValueError("Found 0 bags (shape=(0,)) while a minimum of 1 is required.")
    return bags


def check_time(bags: BagArray, time: Hashable | None) -> None:
    """Compare the name of the time column with the one seen in ``fit``."""
    if bags.events.time != time:
        raise ValueError(
            f"The bags seen in fit have time={time!r}, these have time={bags.events.time!r}. "
            "Make both with the same to_bags(df, id=..., time=...)."
        )
