"""Closed-form evidence about a table: naive Bayes counts, kernels and ridge regressions.

The net starts from what these classical methods say; nothing here is learnt:

- **Cells**, as in naive Bayes: the number of labelled rows of each class with a similar cell.
- **Kernels** between rows: the share of columns in which two rows agree, with equal weights and
  weighted by the mutual information of column and class; the cosine between whitened rows; and the
  share of random partitions of the table, by conditions on a few columns, that put two rows into
  the same part.
- **Ridge regression** of the classes on each kernel, with several penalties. Leave-one-out
  predictions of the labelled rows tell how far to trust each regression, and how steeply
  probabilities should rise with its output.

Each class is represented by a vector, so nothing depends on the names or the number of classes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

N_BINS = 32  # of a column; category 32 shares the bin of category 0
WIDTHS = (0.2, 0.8)  # of a soft bin, in standard deviations
PRIOR = 1.0  # pseudo-count of the class frequencies
N_PARTITIONS, DEPTH = 128, 4  # DEPTH: conditions per partition
FLAT = 0.02  # part of a column's chance to be drawn that is the same for all columns
FLATTER = 0.3  # shrinkage of the whitening, in mean variances of a column
N_KERNELS, N_SHARPER = 4, 3
PENALTIES = (0.03, 0.3)  # of ridge regression
SHARPER = 4.0  # exp(SHARPER * (kernel - 1)): a product over columns instead of a sum
N_RIDGES = (N_KERNELS + N_SHARPER) * len(PENALTIES)
STEEPNESS = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0)  # factors of a regression's output in the softmax
TRUST_IN_NUMBERS = 0.15  # power of the leave-one-out likelihood, for numbers
LEAST = 1e-9  # lower bound of a probability or a squared error
MISSING = -4.0  # stands for a missing value in conditions: below all scaled numbers


@dataclass
class Evidence:
    """The evidence about some rows.

    Attributes
    ----------
    of_cells : Tensor of shape (n_tables, n_rows, n_columns, len(WIDTHS) * (n_label + 1))
        Log-ratio of each class's frequency among similar cells to its overall frequency, times the
        vector of the class; and the logarithm of the number of similar cells.
    of_rows : Tensor of shape (n_tables, n_rows, N_RIDGES, n_label)
        Output of the ridge regressions, times the vectors of the classes.
    fitted : Tensor of shape (n_tables, N_RIDGES, n_rows, n_classes)
        Output of the ridge regressions for each class, relative to its frequency.
    scores : Tensor of shape (n_tables, N_RIDGES, len(STEEPNESS))
        Leave-one-out log-likelihood of the labelled rows, for each steepness.
    share : Tensor of shape (n_tables, n_classes)
        Frequency of each class among the labelled rows.
    number : Tensor of shape (n_tables, n_rows), or None
        Where the labels are numbers: the mean of the ridge regressions, weighted by their
        leave-one-out errors, and clipped to the range of the labels.
    likeness : Tensor of shape (n_tables, N_KERNELS, n_rows, n_context)
        Kernels with the rows of the context, standardized over these.
    """

    of_cells: Tensor
    of_rows: Tensor
    fitted: Tensor
    scores: Tensor
    share: Tensor
    number: Tensor | None
    likeness: Tensor

    def probabilities(self, trust: Tensor) -> Tensor:
        """Return class probabilities, (n_tables, n_rows, n_classes).

        ``trust``, (n_tables, N_RIDGES, len(STEEPNESS)), are the weights of the mixture.
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
    """Cosines between whitened rows: the variance of the context is shrunk towards equality.

    Parameters
    ----------
    x : Tensor of shape (n_tables, n_context, n_coordinates)
        The rows of the context.
    n_columns : int
        Number of columns of the table.

    Attributes
    ----------
    own : Tensor of shape (n_tables, n_context, n_context)
        Cosines between the rows of the context.
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
        """Return cosines of rows (n_tables, n, n_coordinates) with those of the context."""
        x = x - self.mean
        products = x @ self.x.mT
        made = products @ self.inverse
        square = (x.square().sum(2) - (made * products).sum(2)) / self.ridge
        return self._cosines(made, (square.clamp(min=0) + self.constant).sqrt())

    def _cosines(self, made: Tensor, length: Tensor) -> Tensor:
        return (made + self.constant[..., None]) / (length[..., None] * self.length[:, None])


class Statistics:
    """Statistics of a context, from which the evidence about new rows is computed.

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
        Labels that are numbers; the classes are then intervals of them.
    generator : torch.Generator, default=None
        Draws the partitions.

    Attributes
    ----------
    own : Evidence
        Evidence about the rows of the context, each left out of its own.
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
        """Return the evidence about rows outside the context, (n_tables, n, n_columns)."""
        bins = _bins(x, self.is_number)
        angles = self.directions.compare(_coordinates(x, bins, self.is_number))
        kernels = self._compare(self._maps(x, bins), angles)
        known = _sharpened(kernels[..., : self.dual.shape[3]])
        fitted = (known[:, None] @ self.dual).flatten(1, 2)
        return self._evidence(bins @ self.counts, fitted, kernels)

    def _maps(self, x: Tensor, bins: Tensor) -> list[Tensor]:
        """Return feature maps of rows, (n_tables, n, n_features): their products are kernels."""
        maps = []
        for weight in self.weights[-1]:
            weighted = bins[-1] * weight.sqrt()[..., None, None]
            maps.append(weighted.transpose(1, 2).flatten(2))
        return [*maps, _parts(x, self.is_number, self.partitions)]

    def _compare(self, maps: list[Tensor], angles: Tensor) -> Tensor:
        """Return kernels of rows with the context's, (n_tables, N_KERNELS, n, m)."""
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
        """Return naive Bayes evidence from counts (n_widths, n_tables, n_columns, n, k)."""
        share = self.share[:, None, None]
        total = counts.sum(-1, keepdim=True)
        rate = (counts.clamp(min=0) + PRIOR * share) / (total + PRIOR)
        more = (rate / share).log().masked_fill(share == 0, 0.0)
        told = torch.cat([more @ self.label[:, None], total.clamp(min=0).log1p()], -1)
        return told.permute(1, 3, 2, 0, 4).flatten(3)


def _shares(x: Tensor) -> Tensor:
    return x / x.sum(-1, keepdim=True)


def _information(counts: Tensor) -> Tensor:
    """Return the mutual information of bin and class, in nats; at least 1e-6."""
    joint = counts / counts.sum((-2, -1), keepdim=True)
    apart = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return torch.xlogy(joint, joint / apart.clamp(min=1e-12)).sum((-2, -1)).clamp(min=1e-6)


def _sharpened(kernels: Tensor) -> Tensor:
    """Return the kernels, and the first ones again as products over columns."""
    return torch.cat([kernels, ((kernels[:, :N_SHARPER] - 1) * SHARPER).exp()], 1)


def _probabilities(share: Tensor, fitted: Tensor, steep: float) -> Tensor:
    """Return class probabilities of each regression, (n_tables, N_RIDGES, n_rows, n_classes)."""
    usual = share.log()[:, None, None]  # -inf where a class has no rows
    return (usual + steep * fitted).softmax(-1)


def _score(share: Tensor, fitted: Tensor, y: Tensor) -> Tensor:
    """Return log-likelihoods of the labelled rows, (n_tables, N_RIDGES, len(STEEPNESS))."""
    true = y[:, None, :, None].expand(-1, fitted.shape[1], -1, 1)
    every = [_probabilities(share, fitted, steep).gather(3, true) for steep in STEEPNESS]
    return torch.stack(every, -1).clamp(min=LEAST).log().sum((2, 3))


def _regress(kernels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Fit ridge regressions; return their output and their dual coefficients.

    Parameters
    ----------
    kernels : Tensor of shape (n_tables, n_kernels, n_rows, n_labelled)
        Labelled rows come first; their output is the leave-one-out prediction.
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
    """Replace the kernel of a row with itself by its mean over the other rows."""
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
    """Return numbers and one-hot categories of rows, (n_tables, n, n_coordinates)."""
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
    """Draw conditions: columns by their mutual information, thresholds among the values."""
    n = N_PARTITIONS * DEPTH
    chance = _shares(information) + FLAT / x.shape[2]
    columns = torch.multinomial(chance, n, replacement=True, generator=generator)
    ranks = torch.randint(x.shape[1], (len(x), n), generator=generator, device=x.device)
    tables = torch.arange(len(x), device=x.device)[:, None]
    in_order = x.nan_to_num(nan=MISSING).sort(1).values  # so the order of rows does not matter
    return Partitions(columns, in_order[tables, ranks, columns])


def _parts(x: Tensor, is_number: Tensor, partitions: Partitions) -> Tensor:
    """Return one-hot codes of the part of each partition that a row falls into."""
    columns = partitions.columns[:, None]
    given = x.nan_to_num(nan=MISSING).gather(2, columns.expand(-1, x.shape[1], -1))
    above = is_number[..., 0].gather(1, partitions.columns)[:, None]
    values = partitions.values[:, None]
    holds = (above & (given > values)) | (~above & (given == values))
    holds = holds.unflatten(2, (-1, DEPTH))
    part = (holds * 2 ** torch.arange(DEPTH, device=x.device)).sum(3)
    return _one_hot(part, 2**DEPTH, x.dtype).flatten(2) / N_PARTITIONS**0.5
