"""Passes over a table: several random readings of its rows, whose predictions are averaged."""

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
MOST_COLUMNS = 60  # read by a pass; a random subset if there are more
CELLS, ROWS = 2**16, 2**11  # predicted at once, over all passes
N_INTERVALS = 10  # classes that a number to predict is cut into


@functools.cache
def starting_net() -> InContextNet:
    """Return the net with the package's starting weights, or random ones if there are none."""
    with Draws(0).here(everywhere=True):
        if WEIGHTS not in DIGESTS:
            return InContextNet().eval().double()
        settings, state = read_weights(FOLDER / f"{WEIGHTS}.npz", DIGESTS[WEIGHTS])
        net = InContextNet(**cast("dict[str, Any]", settings))
    net.load_state_dict(state)
    return net.eval().double()


@dataclass
class DrawnLabels:
    """Classes of the labelled rows of a pass; the numbers behind them, if these are intervals."""

    codes: np.ndarray
    n_classes: int
    numbers: np.ndarray | None = None


@dataclass
class Classes:
    """A target of classes: codes from 0, -1 for unlabelled rows."""

    codes: np.ndarray
    n_classes: int

    @property
    def known(self) -> np.ndarray:
        """The rows that have one."""
        return np.flatnonzero(self.codes >= 0)

    def draw(self, random: np.random.RandomState, most: int) -> tuple[np.ndarray, DrawnLabels]:
        """Draw labelled rows, stratified by class."""
        rows = some_of_each(random, self.known, self.codes, most)
        return rows, DrawnLabels(self.codes[rows], self.n_classes)


@dataclass
class Numbers:
    """A target of numbers, NaN for unlabelled rows."""

    values: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """The rows that have one."""
        return np.flatnonzero(~np.isnan(self.values))

    def draw(self, random: np.random.RandomState, most: int) -> tuple[np.ndarray, DrawnLabels]:
        """Draw labelled rows, and cut their numbers at random quantiles into intervals."""
        rows = random.permutation(self.known)[:most]
        numbers = self.values[rows]
        places = (np.arange(1, N_INTERVALS) + random.uniform(-0.5, 0.5)) / N_INTERVALS
        edges = np.quantile(numbers, places)
        found, codes = np.unique(np.searchsorted(edges, numbers, "right"), return_inverse=True)
        return rows, DrawnLabels(codes, len(found), numbers)


def standardized(values: np.ndarray) -> tuple[Numbers, float, float]:
    """Return numbers as a standardized target, and their mean and standard deviation."""
    mean, scale = float(np.nanmean(values)), float(np.nanstd(values)) or 1.0
    return Numbers((values - mean) / scale), mean, scale


Target = Classes | Numbers
_TENSORS = tuple(f.name for f in fields(Context) if f.type is Tensor)


class Passes(nn.Module):
    """The context rows of several passes over a table, each with its own columns and rows.

    Parameters
    ----------
    context : Context
        The rows of each pass, one table per pass.
    columns : Tensor of shape (n_passes, n_columns)
        The columns of the table that each pass reads.
    seed : int
        Seed of the vectors of columns, categories and classes.
    numbers : Tensor of shape (n_passes, n_labelled), default=None
        Labels that are numbers; the classes are then intervals of them.
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
        """Return the context in float64, which the closed-form evidence needs."""
        given = {name: getattr(self, name) for name in _TENSORS}
        numbers = None if self.numbers is None else self.numbers.double()
        given |= {"x": self.x.double(), "values": numbers}
        return Context(**given, n_classes=self.n_classes)

    @torch.inference_mode()
    def predict(self, x: Tensor) -> np.ndarray:
        """Predict scaled rows in chunks; return the mean over passes, in float64.

        That is class probabilities (n, n_classes), or a number per row (n,).
        """
        size = max(1, min(CELLS // self.columns.numel(), ROWS // len(self.columns)))
        return torch.cat([self._predict(part).double() for part in x.split(size)]).numpy()

    def _predict(self, x: Tensor) -> Tensor:
        x = x[:, self.columns].transpose(0, 1).double()
        if self.numbers is None:
            return starting_net().predict(self.memory, x).exp().mean(0)
        return starting_net().expect(self.memory, x).mean(0)

    @functools.cached_property
    @torch.inference_mode()
    def memory(self) -> Memory:
        """The context as the net has read it; copies and files leave it out."""
        if self.weights != DIGESTS.get(WEIGHTS):
            raise ValueError(
                "This model was fitted with other starting weights than this version of skssl "
                f"has: SHA-256 {self.weights}, here {DIGESTS.get(WEIGHTS)}. Fit it again."
            )
        return starting_net().read(self.context(), torch.Generator().manual_seed(self.seed))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "memory"}


def draw_passes(
    random: np.random.RandomState,
    x: Tensor,
    cardinality: Sequence[int],
    target: Target,
    n_passes: int,
    most: tuple[int, int],
    read: np.ndarray | None = None,
) -> Passes:
    """Draw passes over scaled rows; ``most`` bounds the labelled and the unlabelled rows of each.

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
    """Draw at most ``most`` rows, stratified by class, with one per class if there is room."""
    rows = random.permutation(rows)
    if len(rows) <= most:
        return rows
    place = np.zeros(len(rows))  # rank of a row within its class, scaled to [0, 1)
    for code in np.unique(codes[rows]):
        mine = np.flatnonzero(codes[rows] == code)
        place[mine] = np.arange(len(mine)) / len(mine)
    return rows[np.sort(np.argsort(place, kind="stable")[:most])]
