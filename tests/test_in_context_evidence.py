"""What the in-context net is told in closed form, against slow loops."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from test_in_context import tables

from skssl.in_context import _evidence
from skssl.in_context._evidence import (
    DEPTH,
    FLATTER,
    LEAST,
    MISSING,
    N_BINS,
    N_RIDGES,
    N_SHARPER,
    PENALTIES,
    PRIOR,
    SHARPER,
    STEEPNESS,
    TRUST_IN_NUMBERS,
    WIDTHS,
    Statistics,
)

N_LABELLED, N_CONTEXT = 12, 18
N_PARTITIONS = 8  # for the slow loops


@pytest.fixture(scope="module")
def read():
    """The statistics of a context in float64, its rows, further rows, classes and their vectors."""
    context, new = tables()
    label = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(4)).double()
    x, new = context.x.double(), new.double()
    random = torch.Generator().manual_seed(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evidence, "N_PARTITIONS", N_PARTITIONS)
        values = torch.randn(2, N_LABELLED, generator=torch.Generator().manual_seed(7)).double()
        made = Statistics(x, context.cardinality, context.y, label, values, random)
        made.values = values.numpy()
        yield made, x, new, context.y, label / 4


@pytest.fixture(scope="module")
def kernels(read):
    """Kernels between all rows and those of the context, per table."""
    made, x, new, y, _ = read
    found = []
    for t in range(2):
        rows = np.concatenate([x[t].numpy(), new[t].numpy()])
        told = information(rows, y[t], WIDTHS[-1])
        pairs = [[kernels_of(made, told, t, a, b) for b in rows[:N_CONTEXT]] for a in rows]
        uniform, informed, parts = np.array(pairs).transpose(2, 0, 1)
        found.append(np.stack([uniform, informed, angles(rows), parts]))
    return found


def angles(x):
    """Return cosines between all rows and those of the context, as Mahalanobis would have them."""
    codes = [bin_of(row[0], False, WIDTHS[-1]) for row in x]
    x = np.concatenate([np.nan_to_num(x[:, 1:]), codes], 1)
    x = x - x[:N_CONTEXT].mean(0)
    scatter = x[:N_CONTEXT].T @ x[:N_CONTEXT]
    ridge = FLATTER * np.trace(scatter) / 4  # columns
    inverse = np.linalg.inv(scatter + ridge * np.eye(len(scatter)))
    made = x @ inverse @ x.T
    made += np.diagonal(made)[:N_CONTEXT].mean()
    length = np.sqrt(np.diagonal(made))
    return (made / np.outer(length, length))[:, :N_CONTEXT]


def bin_of(value, is_number, width):
    """Return the soft bins of a cell, as a vector of unit length."""
    made = np.zeros(N_BINS + 1)
    if math.isnan(value):
        made[-1] = 1
    elif not is_number:
        made[int(value)] = 1
    else:
        centres = -3.1 + 6.2 * np.arange(N_BINS) / (N_BINS - 1)
        made[:-1] = np.exp(-((value - centres) ** 2) / (2 * width**2))
    return made / np.linalg.norm(made)


def alike(a, b, column, width):
    """Return how like two cells of a column are."""
    return bin_of(a, column > 0, width) @ bin_of(b, column > 0, width)


def information(x, y, width):
    """Return what each column of a table tells of the classes, in nats."""
    told = []
    for column in range(x.shape[1]):
        joint = np.zeros((N_BINS + 1, 3))
        for value, k in zip(x[:N_LABELLED, column], y, strict=True):
            joint[:, k] += bin_of(value, column > 0, width)
        joint /= joint.sum()
        apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        known = joint > 0
        told.append(max(1e-6, (joint[known] * np.log(joint[known] / apart[known])).sum()))
    return np.array(told)


def kernels_of(made, information, t, a, b):
    """Return the kernels of two rows of a table, in the order that the net knows."""
    each = np.array([alike(a[j], b[j], j, WIDTHS[-1]) for j in range(len(a))])
    found = [each.mean(), each @ information / information.sum()]
    same = 0
    columns, values = made.partitions.columns[t], made.partitions.values[t]
    for first in range(0, N_PARTITIONS * DEPTH, DEPTH):
        parts = []
        for row in (a, b):
            row = np.nan_to_num(row, nan=MISSING)
            conditions = zip(
                columns[first : first + DEPTH], values[first : first + DEPTH], strict=True
            )
            parts.append([row[j] > v if j > 0 else row[j] == v for j, v in conditions])
        same += parts[0] == parts[1]
    return np.array([*found, same / N_PARTITIONS])


def test_evidence_of_cells_equals_a_loop(read):
    made, x, new, y, label = read
    evidence = made.read(new)
    x, new, label = x.numpy(), new.numpy(), label.numpy()
    for t in range(2):
        share = np.bincount(y[t], minlength=3) / N_LABELLED
        rows = [(x[t], made.own, i, i) for i in range(N_CONTEXT)]
        rows += [(new[t], evidence, i, None) for i in range(5)]
        for table, found, i, itself in rows:
            for j in range(4):
                expected = []
                for width in WIDTHS:
                    count = np.zeros(3)
                    for row in range(N_LABELLED):
                        if row != itself:
                            count[y[t, row]] += alike(table[i, j], x[t, row, j], j, width)
                    rate = (count + PRIOR * share) / (count.sum() + PRIOR)
                    more = np.log(rate / share)
                    expected += [*(more @ label[t]), math.log1p(count.sum())]
                np.testing.assert_allclose(found.of_cells[t, i, j].numpy(), expected, atol=1e-6)


def test_likeness_equals_a_loop(read, kernels):
    made, _, new, _, _ = read
    evidence = made.read(new)
    for t in range(2):
        for i in range(N_CONTEXT + 5):
            each = kernels[t][:, i].copy()
            if i < N_CONTEXT:
                each[:, i] = np.delete(each, i, 1).mean(1)
            spread = each.std(1, keepdims=True) + 1e-3
            expected = (each - each.mean(1, keepdims=True)) / spread
            found = made.own.likeness[t] if i < N_CONTEXT else evidence.likeness[t]
            row = i if i < N_CONTEXT else i - N_CONTEXT
            np.testing.assert_allclose(found[:, row], expected, atol=1e-7)


def test_ridge_regression_equals_one_fit_per_row(read, kernels):
    """A labelled row's prediction comes of a regression on the others; the penalty is the same."""
    made, _, new, y, label = read
    evidence = made.read(new)
    for t in range(2):
        each = np.concatenate([kernels[t], np.exp(SHARPER * (kernels[t][:N_SHARPER] - 1))])
        share = np.bincount(y[t], minlength=3) / N_LABELLED
        wanted = np.eye(3)[y[t]] - share
        for k, (penalty, kernel) in enumerate(product(PENALTIES, each)):
            left_out = np.zeros((N_LABELLED, 3))
            for i in range(N_CONTEXT + 5):
                used = [row for row in range(N_LABELLED) if row != i]
                known = kernel[np.ix_(used, used)] + penalty * np.eye(len(used))
                expected = kernel[i, used] @ np.linalg.solve(known, wanted[used])
                if i < N_LABELLED:
                    left_out[i] = expected
                found = made.own if i < N_CONTEXT else evidence
                row = i if i < N_CONTEXT else i - N_CONTEXT
                np.testing.assert_allclose(found.fitted[t, k, row], expected, atol=1e-7)
                told = found.of_rows[t, row, k]
                np.testing.assert_allclose(told, expected @ label[t].numpy(), atol=1e-7)
            for s, steep in enumerate(STEEPNESS):
                p = share * np.exp(steep * left_out)
                true = (p / p.sum(1, keepdims=True))[np.arange(N_LABELLED), y[t]]
                score = np.log(np.maximum(true, LEAST)).sum()
                np.testing.assert_allclose(evidence.scores[t, k, s], score, atol=1e-6)


def test_numbers_are_regressed_by_errors_of_rows_left_out(read, kernels):
    made, _, new, _, _ = read
    found = made.read(new).number
    for t in range(2):
        each = np.concatenate([kernels[t], np.exp(SHARPER * (kernels[t][:N_SHARPER] - 1))])
        values, mean = made.values[t], made.values[t].mean()
        predicted, weights = [], []
        for penalty, kernel in product(PENALTIES, each):
            known = kernel[:N_LABELLED, :N_LABELLED] + penalty * np.eye(N_LABELLED)
            errors = []
            for i in range(N_LABELLED):
                used = [row for row in range(N_LABELLED) if row != i]
                dual = np.linalg.solve(known[np.ix_(used, used)], values[used] - mean)
                errors.append((kernel[i, used] @ dual - (values[i] - mean)) ** 2)
            dual = np.linalg.solve(known, values - mean)
            predicted.append(kernel[N_CONTEXT:, :N_LABELLED] @ dual)
            weights.append(np.mean(errors) ** (-TRUST_IN_NUMBERS * N_LABELLED / 2))
        expected = mean + np.average(predicted, axis=0, weights=weights)
        expected = expected.clip(values.min(), values.max())
        np.testing.assert_allclose(found[t], expected, atol=1e-6)


def test_probabilities_are_those_of_each_regression_mixed(read):
    made, _, new, _, _ = read
    evidence = made.read(new)
    trust = torch.rand(evidence.scores.shape, generator=torch.Generator().manual_seed(6)).double()
    found = evidence.probabilities(trust)
    expected = torch.zeros(2, 5, 3).double()
    for k, (s, steep) in product(range(N_RIDGES), enumerate(STEEPNESS)):
        p = made.share[:, None] * (steep * evidence.fitted[:, k]).exp()
        expected += trust[:, k, s, None, None] * p / p.sum(2, keepdim=True)
    torch.testing.assert_close(found, expected)


def test_partitions_prefer_columns_that_tell_of_the_classes():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, 200, 5, generator=random)
    y = (x[:, :, 3] > 0).long()
    made = Statistics(
        x, torch.zeros(1, 5, dtype=torch.int64), y, torch.randn(1, 2, 4), generator=random
    )
    columns = made.partitions.columns[0]
    share = torch.bincount(columns, minlength=5) / len(columns)
    assert 0.7 < share[3] < 1


def test_a_category_beyond_the_bins_shares_one():
    x = torch.tensor([[[0.0], [N_BINS], [1.0]]])
    made = Statistics(x, torch.tensor([[40]]), torch.tensor([[0, 1, 1]]), torch.ones(1, 2, 3))
    assert made.own.of_cells.isfinite().all()
    assert torch.equal(made.counts[0, 0, 0, 0], torch.tensor([1.0, 1.0]))
