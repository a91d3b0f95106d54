"""What classical methods say of a table, in closed form: the net begins where they end.

Three readings of the rows that have labels, of which nothing is learnt beforehand:

- **Cells**, as naive Bayes does: how many labelled rows of each class have a cell like this one.
- **Likeness** of rows by kernels: the share of columns in which they agree, where each column
  counts the same or as much as it tells of the classes; the angle between them, where all rows
  of the context vary alike in every direction; and the share of random partitions of the table,
  by conditions on a few columns, in which they fall into the same part.
- **Ridge regression** of the classes with each kernel and several penalties; a labelled row is
  left out of its own, which tells how far each regression is to be trusted, and how steeply
  probabilities rise with it.

A class is told by its vector, so nothing depends on what classes are called or how many there are.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

N_BINS = 32  # of a column; category 32 shares the bin of category 0
WIDTHS = (0.2, 0.8)  # of a soft bin, in standard deviations
PRIOR = 1.0  # labelled rows that say what all of them say
N_PARTITIONS, DEPTH = 128, 4  # conditions of each partition
FLAT = 0.02  # of the chance of a column to be taken for a condition
FLATTER = 0.3  # of a column's variance, that every direction has beside its own
N_KERNELS, N_SHARPER = 4, 3
PENALTIES = (0.03, 0.3)  # of ridge regression
SHARPER = 4.0  # what makes of a sum over columns a product of so many
N_RIDGES = (N_KERNELS + N_SHARPER) * len(PENALTIES)
STEEPNESS = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0)  # of probabilities in what is regressed
TRUST_IN_NUMBERS = 0.15  # power of the likelihood of rows left out
LEAST = 1e-9  # probability, or squared error
MISSING = -4.0  # below all numbers, and no category


@dataclass
class Evidence:
    """What is said of rows.

    Attributes
    ----------
    of_cells : Tensor of shape (n_tables, n_rows, n_columns, len(WIDTHS) * (n_label + 1))
        For each class how much more of it there is among like cells than elsewhere, times its
        vector; and the logarithm of their number.
    of_rows : Tensor of shape (n_tables, n_rows, N_RIDGES, n_label)
        What ridge regressions predict, times the vectors of the classes.
    fitted : Tensor of shape (n_tables, N_RIDGES, n_rows, n_classes)
        What they predict, less the shares of the classes.
    scores : Tensor of shape (n_tables, N_RIDGES, len(STEEPNESS))
        Log-likelihood of the labelled rows, each left out, with each steepness.
    share : Tensor of shape (n_tables, n_classes)
        Of each class in the labelled rows.
    number : Tensor of shape (n_tables, n_rows), or None
        What is regressed where labelled rows have numbers: the mean of the regressions, by their
        errors of rows left out; not beyond the numbers of the labelled rows.
    likeness : Tensor of shape (n_tables, N_KERNELS, n_rows, n_context)
        To the rows of the context: of mean 0 and standard deviation 1 over them.
    """

    of_cells: Tensor
    of_rows: Tensor
    fitted: Tensor
    scores: Tensor
    share: Tensor
    number: Tensor | None
    likeness: Tensor

    def probabilities(self, trust: Tensor) -> Tensor:
        """Return those of the classes, (n_tables, n_rows, n_classes).

        ``trust``, (n_tables, N_RIDGES, len(STEEPNESS)), are the shares in the mixture.
        """
        made = [
            (_probabilities(self.share, self.fitted, steep) * trust[..., i, None, None]).sum(1)
            for i, steep in enumerate(STEEPNESS)
        ]
        return torch.stack(made).sum(0)


@dataclass
class Partitions:
    """Conditions on columns, (n_tables, N_PARTITIONS * DEPTH): above a number, or a category."""

    columns: Tensor
    values: Tensor


class Directions:
    """Cosines of the angles between rows, where a context varies alike in every direction.

    Parameters
    ----------
    x : Tensor of shape (n_tables, n_context, n_coordinates)
        The rows of the context.
    n_columns : int
        Which they have.

    Attributes
    ----------
    own : Tensor of shape (n_tables, n_context, n_context)
        Of the rows of the context.
    """

    def __init__(self, x: Tensor, n_columns: int):
        self.mean = x.mean(1, keepdim=True)
        self.x = x - self.mean
        products = self.x @ self.x.mT
        variance = products.diagonal(dim1=1, dim2=2).sum(1) / n_columns  # of a column, times n
        self.ridge = (FLATTER * variance).clamp(min=1e-6)[:, None]
        more = torch.diag_embed(self.ridge.expand(-1, x.shape[1]))
        self.inverse = torch.linalg.inv(products + more)
        made = products @ self.inverse
        square = made.diagonal(dim1=1, dim2=2)
        self.constant = square.mean(1, keepdim=True).clamp(min=1e-6)
        self.length = (square.clamp(min=0) + self.constant).sqrt()
        self.own = self._cosines(made, self.length)

    def compare(self, x: Tensor) -> Tensor:
        """Return those between rows (n_tables, n, n_coordinates) and the context's."""
        x = x - self.mean
        products = x @ self.x.mT
        made = products @ self.inverse
        square = (x.square().sum(2) - (made * products).sum(2)) / self.ridge
        return self._cosines(made, (square.clamp(min=0) + self.constant).sqrt())

    def _cosines(self, made: Tensor, length: Tensor) -> Tensor:
        return (made + self.constant[..., None]) / (length[..., None] * self.length[:, None])


class Statistics:
    """What is kept of a context, to tell the evidence of further rows.

    Parameters
    ----------
    x : Tensor of shape (n_tables, n_context, n_columns)
        Labelled rows come first.
    cardinality : Tensor of shape (n_tables, n_columns)
        The number of categories, 0 for numbers.
    y : Tensor of shape (n_tables, n_labelled)
        Classes.
    label : Tensor of shape (n_tables, n_classes, n_label)
        The vector that stands for each class.
    values : Tensor of shape (n_tables, n_labelled), default=None
        Numbers of the labelled rows, of which the classes are intervals.
    generator : torch.Generator, default=None
        What draws the partitions.

    Attributes
    ----------
    own : Evidence
        Of the rows of the context: none counts itself.
    """

    def __init__(
        self,
        x: Tensor,
        cardinality: Tensor,
        y: Tensor,
        label: Tensor,
        values: Tensor | None = None,
        generator: torch.Generator | None = None,
    ):
        one_hot = _one_hot(y, label.shape[1], x.dtype)
        n = y.shape[1]
        self.is_number, self.label = (cardinality == 0)[..., None], label.to(x.dtype) / 4
        self.share = one_hot.mean(1)
        bins = _bins(x, self.is_number)
        self.counts = bins[..., :n, :].mT @ one_hot[:, None]
        information = _information(self.counts)
        self.weights = _shares(torch.stack([torch.ones_like(information), information], 1))
        self.partitions = _draw_partitions(x, information.mean(0), generator)
        self.directions = Directions(_coordinates(x, bins, self.is_number), x.shape[2])
        self.maps = self._maps(x, bins)
        of_cells = bins @ self.counts
        of_cells[..., :n, :] -= one_hot[:, None]
        kernels = self._compare(self.maps, self.directions.own)
        self.numbers = numbers = (
            one_hot[..., :0] if values is None else values[..., None].to(x.dtype)
        )
        self.mean = numbers.mean(1, keepdim=True)
        wanted = torch.cat([one_hot - self.share[:, None], numbers - self.mean], 2)[:, None]
        fitted, self.dual = _regress(_sharpened(kernels[..., :n]), wanted)
        left_out = fitted[:, :, :n]
        self.scores = _score(self.share, left_out[..., : one_hot.shape[2]], y)
        error = (left_out - wanted)[..., one_hot.shape[2] :].square().mean((2, 3))
        self.of_numbers = (-TRUST_IN_NUMBERS * n / 2 * error.clamp(min=LEAST).log()).softmax(1)
        self.own = self._evidence(of_cells, fitted, _without_itself(kernels))

    def read(self, x: Tensor) -> Evidence:
        """Return the evidence of rows outside the context, (n_tables, n, n_columns)."""
        bins = _bins(x, self.is_number)
        angles = self.directions.compare(_coordinates(x, bins, self.is_number))
        kernels = self._compare(self._maps(x, bins), angles)
        known = _sharpened(kernels[..., : self.dual.shape[3]])
        fitted = (known[:, None] @ self.dual).flatten(1, 2)
        return self._evidence(bins @ self.counts, fitted, kernels)

    def _maps(self, x: Tensor, bins: Tensor) -> list[Tensor]:
        """Return features of rows, (n_tables, n, n_features), whose products are kernels."""
        maps = []
        for weight in self.weights[-1]:
            weighted = bins[-1] * weight.sqrt()[..., None, None]
            maps.append(weighted.transpose(1, 2).flatten(2))
        return [*maps, _parts(x, self.is_number, self.partitions)]

    def _compare(self, maps: list[Tensor], angles: Tensor) -> Tensor:
        """Return kernels between rows and those of the context, (n_tables, N_KERNELS, n, m)."""
        uniform, informed, parts = (new @ old.mT for new, old in zip(maps, self.maps, strict=True))
        return torch.stack([uniform, informed, angles, parts], 1)

    def _evidence(self, counts: Tensor, fitted: Tensor, kernels: Tensor) -> Evidence:
        n_classes, number = self.share.shape[1], None
        if fitted.shape[3] > n_classes:
            of_each = fitted[..., n_classes] * self.of_numbers[..., None]
            number = self.mean[..., 0] + of_each.sum(1)
            number = number.clamp(self.numbers.amin(1), self.numbers.amax(1))
        fitted = fitted[..., :n_classes]
        spread = kernels.std(-1, keepdim=True, correction=0)
        return Evidence(
            self._weigh(counts),
            (fitted @ self.label[:, None]).transpose(1, 2),
            fitted,
            self.scores,
            self.share,
            number,
            (kernels - kernels.mean(-1, keepdim=True)) / (spread + 1e-3),
        )

    def _weigh(self, counts: Tensor) -> Tensor:
        """Return evidence from counts of like cells, (n_widths, n_tables, n_columns, n, k)."""
        share = self.share[:, None, None]
        total = counts.sum(-1, keepdim=True)
        rate = (counts.clamp(min=0) + PRIOR * share) / (total + PRIOR)
        more = (rate / share).log().masked_fill(share == 0, 0.0)
        told = torch.cat([more @ self.label[:, None], total.clamp(min=0).log1p()], -1)
        return told.permute(1, 3, 2, 0, 4).flatten(3)


def _shares(x: Tensor) -> Tensor:
    return x / x.sum(-1, keepdim=True)


def _information(counts: Tensor) -> Tensor:
    """Return what bins (..., n_bins, n_classes) tell of the classes, in nats; at least a little."""
    joint = counts / counts.sum((-2, -1), keepdim=True)
    apart = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return torch.xlogy(joint, joint / apart.clamp(min=1e-12)).sum((-2, -1)).clamp(min=1e-6)


def _sharpened(kernels: Tensor) -> Tensor:
    """Return kernels, and some of them again, that multiply over columns instead of adding."""
    return torch.cat([kernels, ((kernels[:, :N_SHARPER] - 1) * SHARPER).exp()], 1)


def _probabilities(share: Tensor, fitted: Tensor, steep: float) -> Tensor:
    """Return probabilities from what is regressed, (n_tables, N_RIDGES, n_rows, n_classes)."""
    usual = share.log()[:, None, None]  # -inf where a class has no rows
    return (usual + steep * fitted).softmax(-1)


def _score(share: Tensor, fitted: Tensor, y: Tensor) -> Tensor:
    """Return log-likelihoods of labelled rows, (n_tables, N_RIDGES, len(STEEPNESS))."""
    true = y[:, None, :, None].expand(-1, fitted.shape[1], -1, 1)
    every = [_probabilities(share, fitted, steep).gather(3, true) for steep in STEEPNESS]
    return torch.stack(every, -1).clamp(min=LEAST).log().sum((2, 3))


def _regress(kernels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return what ridge regressions predict, and their dual coefficients.

    Parameters
    ----------
    kernels : Tensor of shape (n_tables, n_kernels, n_rows, n_labelled)
        The labelled rows come first, and are predicted without themselves.
    wanted : Tensor of shape (n_tables, 1, n_labelled, n_classes)

    Returns
    -------
    fitted : Tensor of shape (n_tables, N_RIDGES, n_rows, n_classes)
    dual : Tensor of shape (n_tables, n_penalties, n_kernels, n_labelled, n_classes)
    """
    n = kernels.shape[3]
    penalties = torch.tensor(PENALTIES, dtype=kernels.dtype, device=kernels.device)
    ridge = penalties[:, None, None, None] * torch.eye(n, device=kernels.device)
    inverse = torch.linalg.inv(kernels[:, None, :, :n] + ridge)
    dual = inverse @ wanted[:, None]
    wrong = dual / inverse.diagonal(dim1=3, dim2=4)[..., None]
    fitted = torch.cat([wanted[:, None] - wrong, kernels[:, None, :, n:] @ dual], 3)
    return fitted.flatten(1, 2), dual


def _without_itself(kernels: Tensor) -> Tensor:
    """Replace what compares a row with itself by the mean over the others."""
    n = kernels.shape[-1]
    itself = torch.eye(n, dtype=torch.bool, device=kernels.device)
    others = kernels.masked_fill(itself, 0).sum(-1, keepdim=True) / max(1, n - 1)
    return torch.where(itself, others, kernels)


def _bins(x: Tensor, is_number: Tensor) -> Tensor:
    """Return soft bins of unit length, (n_widths, n_tables, n_columns, n, N_BINS + 1)."""
    x = x.mT
    missing = x.isnan()[..., None]
    value = x.nan_to_num()
    code = _one_hot(value.long().remainder(N_BINS), N_BINS, x.dtype)
    centres = torch.linspace(-3.1, 3.1, N_BINS, dtype=x.dtype, device=x.device)
    far = (value[..., None] - centres).square()
    made = []
    for width in WIDTHS:
        near = F.normalize((far / (-2 * width**2)).softmax(-1), dim=-1)
        known = torch.where(is_number[..., None], near, code) * ~missing
        made.append(torch.cat([known, missing.to(x.dtype)], -1))
    return torch.stack(made)


def _coordinates(x: Tensor, bins: Tensor, is_number: Tensor) -> Tensor:
    """Return rows as coordinates, (n_tables, n, n_coordinates): numbers, and one-hot categories."""
    numbers = x.nan_to_num() * is_number.mT
    if is_number.all():
        return numbers
    codes = bins[-1] * ~is_number[..., None]
    return torch.cat([numbers, codes.transpose(1, 2).flatten(2)], 2)


def _one_hot(code: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Return one-hot codes; torch's own are int64, eight times as large."""
    return (code[..., None] == torch.arange(n, device=code.device)).to(dtype)


def _draw_partitions(
    x: Tensor, information: Tensor, generator: torch.Generator | None
) -> Partitions:
    """Draw conditions: columns by what they tell of the classes, values that rows have."""
    n = N_PARTITIONS * DEPTH
    chance = _shares(information) + FLAT / x.shape[2]
    columns = torch.multinomial(chance, n, replacement=True, generator=generator)
    ranks = torch.randint(x.shape[1], (len(x), n), generator=generator, device=x.device)
    tables = torch.arange(len(x), device=x.device)[:, None]
    in_order = x.nan_to_num(nan=MISSING).sort(1).values  # so the order of rows does not matter
    return Partitions(columns, in_order[tables, ranks, columns])


def _parts(x: Tensor, is_number: Tensor, partitions: Partitions) -> Tensor:
    """Return the part of each partition that a row is in, one-hot and side by side."""
    columns = partitions.columns[:, None]
    given = x.nan_to_num(nan=MISSING).gather(2, columns.expand(-1, x.shape[1], -1))
    above = is_number[..., 0].gather(1, partitions.columns)[:, None]
    values = partitions.values[:, None]
    holds = (above & (given > values)) | (~above & (given == values))
    holds = holds.unflatten(2, (-1, DEPTH))
    part = (holds * 2 ** torch.arange(DEPTH, device=x.device)).sum(3)
    return _one_hot(part, 2**DEPTH, x.dtype).flatten(2) / N_PARTITIONS**0.5
