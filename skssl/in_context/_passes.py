"""Readings of a table, from which further rows are predicted."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from skssl._data._draws import Draws
from skssl._weights import DIGESTS, FOLDER, read_weights
from skssl.in_context._net import Context, InContextNet, Memory

WEIGHTS = "tables"
MOST_COLUMNS = 60  # that the net reads at once; of more, each pass reads some
CELLS, ROWS = 2**16, 2**11  # that are predicted at once, of all passes
N_INTERVALS = 10  # of a number that is to be predicted


@functools.cache
def starting_net() -> InContextNet:
    """Return the net with its starting weights, which are random where the package has none."""
    with Draws(0).here(everywhere=True):
        if WEIGHTS not in DIGESTS:
            return InContextNet().eval().double()
        settings, state = read_weights(FOLDER / f"{WEIGHTS}.npz", DIGESTS[WEIGHTS])
        net = InContextNet(**cast("dict[str, Any]", settings))
    net.load_state_dict(state)
    return net.eval().double()


@dataclass
class DrawnLabels:
    """Classes of labelled rows; and numbers, of which those are intervals."""

    codes: np.ndarray
    n_classes: int
    numbers: np.ndarray | None = None


@dataclass
class Classes:
    """Classes, from 0; -1 where a row has none."""

    codes: np.ndarray
    n_classes: int

    @property
    def known(self) -> np.ndarray:
        """The rows that have one."""
        return np.flatnonzero(self.codes >= 0)

    def draw(self, random: np.random.RandomState, most: int) -> tuple[np.ndarray, DrawnLabels]:
        """Return rows of each class: its share, and one at least if there is room."""
        rows = some_of_each(random, self.known, self.codes, most)
        return rows, DrawnLabels(self.codes[rows], self.n_classes)


@dataclass
class Numbers:
    """Numbers, NaN where a row has none."""

    values: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """The rows that have one."""
        return np.flatnonzero(~np.isnan(self.values))

    def draw(self, random: np.random.RandomState, most: int) -> tuple[np.ndarray, DrawnLabels]:
        """Return rows, and intervals that begin elsewhere each time, with equally many rows."""
        rows = random.permutation(self.known)[:most]
        numbers = self.values[rows]
        places = (np.arange(1, N_INTERVALS) + random.uniform(-0.5, 0.5)) / N_INTERVALS
        edges = np.quantile(numbers, places)
        found, codes = np.unique(np.searchsorted(edges, numbers, "right"), return_inverse=True)
        return rows, DrawnLabels(codes, len(found), numbers)


def standardized(values: np.ndarray) -> tuple[Numbers, float, float]:
    """Return numbers, NaN where there is none, as a target, and their mean and deviation."""
    mean, scale = float(np.nanmean(values)), float(np.nanstd(values)) or 1.0
    return Numbers((values - mean) / scale), mean, scale


Target = Classes | Numbers
_TENSORS = tuple(f.name for f in fields(Context) if f.type is Tensor)


class Passes(nn.Module):
    """The rows of a table that several passes read, each with its own columns and names.

    Parameters
    ----------
    context : Context
        The rows of each pass, as of so many tables.
    columns : Tensor of shape (n_passes, n_columns)
        Their columns in the table.
    seed : int
        Of what stands for columns, categories and classes.
    numbers : Tensor of shape (n_passes, n_labelled), default=None
        Of the labelled rows, where classes are intervals of a number.
    """

    _saved_as = "InContextPasses"
    columns: Tensor
    numbers: Tensor | None

    def __init__(self, context: Context, columns: Tensor, seed: int, numbers: Tensor | None = None):
        super().__init__()
        for name in _TENSORS:
            self.register_buffer(name, getattr(context, name))
        self.register_buffer("columns", columns)
        self.register_buffer("numbers", numbers)
        self.n_classes, self.seed = context.n_classes, seed
        self.weights = DIGESTS.get(WEIGHTS)

    def context(self) -> Context:
        """Return the rows, in float64: what is told in closed form needs the places."""
        given = {name: getattr(self, name) for name in _TENSORS}
        numbers = None if self.numbers is None else self.numbers.double()
        given |= {"x": self.x.double(), "values": numbers}
        return Context(**given, n_classes=self.n_classes)

    @torch.inference_mode()
    def predict(self, x: Tensor) -> np.ndarray:
        """Return the mean of what the passes predict of scaled rows, part by part, in float64.

        Probabilities of classes (n, n_classes), or a number for each row (n,).
        """
        size = max(1, min(CELLS // self.columns.numel(), ROWS // len(self.columns)))
        return torch.cat([self._predict(part).double() for part in x.split(size)]).numpy()

    def _predict(self, x: Tensor) -> Tensor:
        x = x[:, self.columns].transpose(0, 1).double()
        if self.numbers is None:
            return starting_net().predict(self._memory, x).exp().mean(0)
        return starting_net().expect(self._memory, x).mean(0)

    @functools.cached_property
    def _memory(self) -> Memory:
        """What the net keeps of the rows; copies and files do without."""
        if self.weights != DIGESTS.get(WEIGHTS):
            raise ValueError(
                "This model was fitted with other starting weights than this version of skssl "
                f"has: SHA-256 {self.weights}, here {DIGESTS.get(WEIGHTS)}. Fit it again."
            )
        return starting_net().read(self.context(), torch.Generator().manual_seed(self.seed))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_memory"}


def draw_passes(
    random: np.random.RandomState,
    x: Tensor,
    cardinality: Sequence[int],
    target: Target,
    n_passes: int,
    most: tuple[int, int],
    read: np.ndarray | None = None,
) -> Passes:
    """Draw passes over scaled rows, with at most so many labelled and unlabelled ones.

    ``cardinality`` is the number of categories of each column, 0 for numbers; ``read`` are the
    columns to choose from, by default all.
    """
    others = np.setdiff1d(np.arange(len(x)), target.known)
    rows, columns, labels = [], [], []
    for _ in range(n_passes):
        labelled, drawn = target.draw(random, most[0])
        labels.append(drawn)
        rows.append(np.concatenate([labelled, random.permutation(others)[: most[1]]]))
        columns.append(random.permutation(x.shape[1] if read is None else read)[:MOST_COLUMNS])
    of_passes = torch.from_numpy(np.stack(columns))
    numbers = [drawn.numbers for drawn in labels if drawn.numbers is not None]
    context = Context(
        x[torch.from_numpy(np.stack(rows))[..., None], of_passes[:, None]],
        torch.tensor(cardinality)[of_passes],
        torch.from_numpy(np.stack([drawn.codes for drawn in labels])),
        max(drawn.n_classes for drawn in labels),
        torch.full((n_passes,), bool(numbers)),
    )
    values = torch.from_numpy(np.stack(numbers)).float() if numbers else None
    return Passes(context, of_passes, int(random.randint(2**31 - 1)), values)


def some_of_each(
    random: np.random.RandomState, rows: np.ndarray, codes: np.ndarray, most: int
) -> np.ndarray:
    """Return at most ``most`` rows: of each class its share, and one at least if there is room."""
    rows = random.permutation(rows)
    if len(rows) <= most:
        return rows
    place = np.zeros(len(rows))  # of a row among those of its class, in [0, 1)
    for code in np.unique(codes[rows]):
        mine = np.flatnonzero(codes[rows] == code)
        place[mine] = np.arange(len(mine)) / len(mine)
    return rows[np.sort(np.argsort(place, kind="stable")[:most])]
