"""Losses of joint embeddings: each against a slow loop from its paper, closed forms, hard inputs.

The loops are written with Python numbers or one small matrix at a time, in float64, and share
no code with what they check.
"""

import itertools
import math
from functools import partial

import pytest
import torch

from skssl.losses import (
    barlow_twins,
    cosine_error,
    dino,
    emp_ssl,
    info_nce,
    lejepa,
    mmcr,
    nt_xent,
    sigreg,
    sinkhorn,
    swapped_prediction,
    total_coding_rate,
    vicreg,
    whitening_error,
)

SQUARE = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
NAN = float("nan")


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cos(u, v):
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def seeded(seed, function, *args, **kwargs):
    """Call a function of torch's global generator without leaving a trace in it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*args, **kwargs)


# ---- NT-Xent, InfoNCE with a queue, cosine error ----------------------------------------------


def slow_nt_xent(a, b, t, decoupled):
    """2n terms; for each, the sum over all others, without the positive if decoupled."""
    z, n = [*a, *b], len(a)
    total = 0.0
    for i in range(2 * n):
        own = (i + n) % (2 * n)
        others = [j for j in range(2 * n) if j != i and not (decoupled and j == own)]
        total += math.log(sum(math.exp(cos(z[i], z[j]) / t) for j in others))
        total -= cos(z[i], z[own]) / t
    return total / (2 * n)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_nt_xent_equals_loop(temperature, decoupled):
    a, b = draw(6, 4), draw(6, 4, seed=1)
    expected = slow_nt_xent(a, b, temperature, decoupled)
    assert nt_xent(a, b, temperature, decoupled).item() == pytest.approx(expected, rel=1e-10)
    assert nt_xent(b, 3 * a, temperature, decoupled).item() == pytest.approx(expected, rel=1e-10)


def test_nt_xent_closed_form():
    eye = torch.eye(3, dtype=torch.float64)
    assert nt_xent(eye, eye, 0.5).item() == pytest.approx(math.log(1 + 4 * math.exp(-2)))
    # Decoupled, the positive is not among those to be told apart from: log(4) - 1 / t.
    assert nt_xent(eye, eye, 0.5, decoupled=True).item() == pytest.approx(math.log(4) - 2)
    same = torch.ones(4, 2)
    assert nt_xent(same, same).item() == pytest.approx(math.log(7))


def test_nt_xent_of_one_row():
    """The last batch of a validation set may be a single row: no negatives."""
    one = draw(1, 4).requires_grad_()
    assert nt_xent(one, one).item() == 0
    value = nt_xent(one, one, 0.5, decoupled=True)
    value.backward()
    assert value.item() == pytest.approx(-2) and one.grad.isfinite().all()


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Note the number of elements of the largest tensor that any operation makes."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, tuple | list) else [out]:
            if isinstance(made, torch.Tensor):
                self.size = max(self.size, made.numel())
        return out


@pytest.mark.parametrize("decoupled", [False, True])
def test_nt_xent_makes_nothing_larger_than_the_similarities(decoupled):
    """Broadcasting cosine similarities makes (2n, 2n, d)."""
    n, d = 16, 16
    z = torch.randn(n, d, requires_grad=True)
    with Largest() as largest:
        nt_xent(z, z, decoupled=decoupled).backward()
    assert largest.size == (2 * n) ** 2


def slow_queue_nce(anchor, positive, negatives, t):
    """One positive against a queue that all rows share."""
    total = 0.0
    for q, k in zip(anchor, positive, strict=True):
        own = math.exp(cos(q, k) / t)
        rest = sum(math.exp(cos(q, other) / t) for other in negatives)
        total -= math.log(own / (own + rest))
    return total / len(anchor)


def test_info_nce_with_a_queue_equals_loop():
    q, k, queue = draw(5, 4), draw(5, 4, seed=1), draw(9, 4, seed=2)
    expected = slow_queue_nce(q, k, queue, 0.2)
    assert info_nce(q, k, 0.2, queue).item() == pytest.approx(expected, rel=1e-10)
    assert info_nce(q, k, 0.2, 7 * queue).item() == pytest.approx(expected, rel=1e-10)


def test_info_nce_with_a_queue_closed_form():
    eye = torch.eye(2, dtype=torch.float64)
    expected = math.log(1 + math.exp(-2) + math.exp(-4))  # cosines 1, then 0 and -1
    assert info_nce(eye, eye, 0.5, -eye).item() == pytest.approx(expected)
    # Two rows in each other's place: the other rows of a batch are no negatives of a queue.
    assert info_nce(eye, eye, 0.5, -eye[:1]).item() == pytest.approx(
        (math.log(1 + math.exp(-4)) + math.log(1 + math.exp(-2))) / 2
    )
    empty = torch.zeros(0, 2, dtype=torch.float64)
    z = eye.clone().requires_grad_()
    info_nce(z, eye, 0.5, empty).backward()
    assert info_nce(z, eye, 0.5, empty).item() == 0 and z.grad.isfinite().all()


def test_cosine_error_equals_loop():
    p, t = draw(5, 3), draw(5, 3, seed=1)
    unit = [(u / u.norm(), v / v.norm()) for u, v in zip(p, t, strict=True)]
    expected = sum(float((u - v).square().sum()) for u, v in unit) / 5  # BYOL's equation 2
    assert cosine_error(p, t).item() == pytest.approx(expected, rel=1e-10)
    simsiam = -sum(cos(u, v) for u, v in zip(p, t, strict=True)) / 5
    assert cosine_error(p, t).item() / 2 - 1 == pytest.approx(simsiam, rel=1e-10)


def test_cosine_error_closed_form():
    eye = torch.eye(2)
    assert cosine_error(eye, 5 * eye).item() == 0
    assert cosine_error(eye, eye.flip(0)).item() == 2
    assert cosine_error(eye, -eye).item() == 4


# ---- Barlow Twins (its loop stands in test_table_methods), VICReg ------------------------------


def test_barlow_twins_sees_collapse():
    """A constant column is left with rounding errors by centring, which correlate perfectly."""
    z = torch.full((100, 4), 0.1)
    assert barlow_twins(z, z, 0.0).item() == pytest.approx(4, abs=1e-3)


def test_barlow_twins_does_not_see_scales():
    """Not down to columns whose deviation is a few times what is taken for constant."""
    a, b = draw(400, 3), draw(400, 3, seed=1)
    expected = barlow_twins(a, b, 0.3)
    torch.testing.assert_close(barlow_twins(3e-4 * a, b + 2, 0.3), expected)


@pytest.mark.parametrize("n", [3, 6, 40])
def test_wide_and_narrow_embeddings_have_the_same_formula(n):
    """Products of rows stand in for those of columns where embeddings are wide."""
    a, b = draw(n, 12), draw(n, 12, seed=1)
    c = torch.corrcoef(torch.cat((a, b), 1).T)[:12, 12:]
    expected = (1 - c.diagonal()).square().sum() + 0.3 * (
        c.square().sum() - c.diagonal().square().sum()
    )
    assert barlow_twins(a, b, 0.3).item() == pytest.approx(expected.item(), rel=1e-10)
    expected = slow_vicreg(a, b, 0.0, 0.0, 1.0)
    assert vicreg(a, b, 0.0, 0.0, 1.0).item() == pytest.approx(expected, rel=1e-10)


def slow_vicreg(a, b, invariance, variance, covariance):
    """Algorithm 1: one feature, then one pair of features, at a time."""
    n, d = a.shape
    total = invariance * sum(float((a[i, j] - b[i, j]) ** 2) for i in range(n) for j in range(d))
    total /= n * d
    for z in (a, b):
        columns = [z[:, j] - float(z[:, j].sum()) / n for j in range(d)]
        for j in range(d):
            var = float((columns[j] ** 2).sum()) / (n - 1)
            total += variance * max(0.0, 1 - math.sqrt(var + 1e-4)) / d
            for k in range(d):
                if k != j:
                    total += covariance * (float(columns[j] @ columns[k]) / (n - 1)) ** 2 / d
    return total


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 3.0)])
@pytest.mark.parametrize("shape", [(7, 3), (4, 11)])
def test_vicreg_equals_loop(shape, weights):
    a, b = 0.9 * draw(*shape) + 2, 0.8 * draw(*shape, seed=1)
    assert vicreg(a, b, *weights).item() == pytest.approx(slow_vicreg(a, b, *weights), rel=1e-10)


def test_vicreg_closed_form():
    assert vicreg(SQUARE, SQUARE).item() == pytest.approx(0)  # variances 4 / 3, covariance 0
    assert vicreg(SQUARE, SQUARE + 2, 1.0).item() == pytest.approx(4)  # the mean is taken off
    twice = SQUARE[:, [0, 0]]  # covariances 4 / 3, two of them, over d = 2, in two views
    assert vicreg(twice, twice).item() == pytest.approx(2 * 16 / 9)
    flat = torch.full((4, 2), 3.0, dtype=torch.float64)
    assert vicreg(flat, flat).item() == pytest.approx(25 * 2 * (1 - 0.01))


# ---- Sinkhorn, SwAV, DINO ----------------------------------------------------------------------


def slow_sinkhorn(scores, n_iterations, epsilon):
    """The paper's listing, with plain exponentials: prototypes by rows, samples by columns."""
    n, k = scores.shape
    q = [[math.exp(float(scores[i, j]) / epsilon) for i in range(n)] for j in range(k)]
    total = sum(map(sum, q))
    q = [[v / total for v in row] for row in q]
    for _ in range(n_iterations):
        q = [[v / sum(row) / k for v in row] for row in q]
        sums = [sum(q[j][i] for j in range(k)) for i in range(n)]
        q = [[q[j][i] / sums[i] / n for i in range(n)] for j in range(k)]
    return torch.tensor([[q[j][i] * n for j in range(k)] for i in range(n)], dtype=torch.float64)


@pytest.mark.parametrize("n_iterations", [1, 3, 10])
def test_sinkhorn_equals_loop(n_iterations):
    scores = draw(8, 3).clamp(-1, 1)
    expected = slow_sinkhorn(scores, n_iterations, 0.05)
    torch.testing.assert_close(sinkhorn(scores, n_iterations), expected, rtol=1e-10, atol=1e-12)


def test_sinkhorn_balances():
    scores = draw(12, 4) + torch.tensor([3.0, 0.0, 0.0, 0.0])  # all rows like the first best
    q = sinkhorn(scores, 200, 0.5)
    torch.testing.assert_close(q.sum(1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(q.sum(0), torch.full((4,), 3.0, dtype=torch.float64))
    same = sinkhorn(torch.ones(4, 2))
    torch.testing.assert_close(same, torch.full((4, 2), 0.5))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sinkhorn_is_float32_and_finite(dtype, scale):
    scores = (draw(6, 3) * min(scale, torch.finfo(dtype).max / 8)).to(dtype).requires_grad_()
    q = sinkhorn(scores)
    assert q.dtype == torch.float32 and not q.requires_grad
    assert q.isfinite().all()
    torch.testing.assert_close(q.sum(1), torch.ones(6))
    assert sinkhorn(scores[:1]).isfinite().all()  # one row


def slow_swapped(scores, targets, t):
    """Cross-entropy of every target with every other view, one row at a time."""
    terms = []
    for i, target in enumerate(targets):
        for v, score in enumerate(scores):
            if v != i:
                for q, s in zip(target.tolist(), (score / t).tolist(), strict=True):
                    norm = math.log(sum(map(math.exp, s)))
                    terms.append(-sum(a * (b - norm) for a, b in zip(q, s, strict=True)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("n_views", "n_targets"), [(2, 2), (2, 1), (5, 2), (3, 3)])
def test_swapped_prediction_equals_loop(n_views, n_targets):
    scores = [draw(6, 3, seed=v) for v in range(n_views)]
    targets = [sinkhorn(s) for s in scores[:n_targets]]
    expected = slow_swapped(scores, targets, 0.3)
    assert swapped_prediction(scores, targets, 0.3).item() == pytest.approx(expected, rel=1e-10)


def test_swapped_prediction_closed_form():
    eye = torch.eye(2, dtype=torch.float64)
    one_hot = [eye, eye]
    assert swapped_prediction(one_hot, one_hot, 0.5).item() == pytest.approx(
        math.log(1 + math.exp(-2))
    )
    # Swapped: a view's own target is none of its business.
    crossed = [eye, eye.flip(0)]
    assert swapped_prediction(crossed, crossed[::-1], 1e-3).item() == pytest.approx(0)


@pytest.mark.parametrize(("n_views", "n_teacher"), [(2, 2), (4, 2), (2, 1)])
def test_dino_equals_loop(n_views, n_teacher):
    student = [draw(5, 4, seed=v) for v in range(n_views)]
    teacher = [draw(5, 4, seed=10 + v) for v in range(n_teacher)]
    center = draw(1, 4, seed=20)
    targets = []
    for view in teacher:
        rows = [[math.exp((float(v) - float(c)) / 0.2) for v, c in zip(r, center[0], strict=True)]
                for r in view]  # fmt: skip
        targets.append(torch.tensor([[v / sum(r) for v in r] for r in rows]))
    expected = slow_swapped(student, targets, 0.5)
    assert dino(student, teacher, center, 0.5, 0.2).item() == pytest.approx(expected, rel=1e-6)
    assert dino(student, teacher, center[0], 0.5, 0.2).item() == pytest.approx(expected, rel=1e-6)


def test_dino_closed_form():
    """The centre takes off what all rows share: a collapsed teacher has no opinion left."""
    z = [torch.tensor([[5.0, 0.0], [5.0, 0.0]])] * 2
    center = torch.tensor([5.0, 0.0])
    flat = [torch.zeros(2, 2)] * 2
    assert dino(flat, z, center).item() == pytest.approx(math.log(2))
    teacher = [v.clone().requires_grad_() for v in z]
    assert not dino(z, teacher, center).requires_grad


# ---- SIGReg, LeJEPA ----------------------------------------------------------------------------


def exact_epps_pulley(x):
    """The integral over all t in closed form: every term is a Gaussian integral."""
    n = len(x)
    pairs = sum(math.exp(-((u - v) ** 2) / 2) for u in x for v in x) / n**2
    cross = sum(math.exp(-(u**2) / 4) for u in x) / n
    return n * math.sqrt(2 * math.pi) * (pairs - math.sqrt(2) * cross + 1 / math.sqrt(3))


def slow_epps_pulley(x, n_knots, limit):
    """The trapezoidal rule over [-limit, limit], one knot and one point at a time."""
    step, total = limit / (n_knots - 1), 0.0
    for i in range(-(n_knots - 1), n_knots):
        t = i * step
        real = sum(math.cos(t * v) for v in x) / len(x) - math.exp(-t * t / 2)
        imaginary = sum(math.sin(t * v) for v in x) / len(x)
        value = (real**2 + imaginary**2) * math.exp(-t * t / 2)
        total += value * step * (0.5 if abs(i) == n_knots - 1 else 1)
    return len(x) * total


def slices_of(seed, n_slices, d):
    """Return the directions that a seeded call draws."""
    directions = seeded(seed, torch.randn, n_slices, d, dtype=torch.float64)
    return [v / v.norm() for v in directions]


@pytest.mark.parametrize(("n_knots", "limit"), [(17, 5.0), (17, 3.0), (2, 1.0)])
def test_sigreg_equals_loop(n_knots, limit):
    z = 1.5 * draw(7, 3) + 0.2
    terms = [slow_epps_pulley((z @ v).tolist(), n_knots, limit) for v in slices_of(3, 4, 3)]
    value = seeded(3, sigreg, z, 4, n_knots, limit).item()
    assert value == pytest.approx(sum(terms) / 4, rel=1e-10)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 3.0])
def test_sigreg_default_knots_are_the_integral(scale):
    z = scale * draw(9, 3)
    terms = [exact_epps_pulley((z @ v).tolist()) for v in slices_of(3, 4, 3)]
    assert seeded(3, sigreg, z, 4).item() == pytest.approx(sum(terms) / 4, rel=1e-5)


def test_sigreg_closed_form():
    """Collapsed at zero; and at two points of one dimension, where each slice is +-1."""
    zero = torch.zeros(4, 2, dtype=torch.float64)
    expected = 4 * math.sqrt(2 * math.pi) * (1 - math.sqrt(2) + 1 / math.sqrt(3))
    assert sigreg(zero).item() == pytest.approx(expected, rel=1e-5)
    two = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    expected = exact_epps_pulley([1.0, -1.0])
    assert sigreg(two).item() == pytest.approx(expected, rel=1e-5)


def test_sigreg_draws_from_the_global_generator():
    z = draw(20, 5)
    assert seeded(0, sigreg, z, 8).item() == seeded(0, sigreg, z, 8).item()
    assert seeded(0, sigreg, z, 8).item() != seeded(1, sigreg, z, 8).item()
    first, second = seeded(0, lambda: (sigreg(z, 8), sigreg(z, 8)))
    assert first.item() != second.item()  # nothing is seeded anew


@pytest.mark.parametrize("n_global", [None, 1, 2])
def test_lejepa_equals_loop(n_global):
    views = [draw(6, 3, seed=v) + v for v in range(4)]
    n = n_global or 4
    error, statistic = 0.0, 0.0
    for view in views:
        for i, j in itertools.product(range(6), range(3)):
            center = sum(float(g[i, j]) for g in views[:n]) / n
            error += (float(view[i, j]) - center) ** 2 / (4 * 6 * 3)
        for v in slices_of(5, 8, 3):  # all views count, on the same slices
            statistic += slow_epps_pulley((view @ v).tolist(), 17, 5.0) / (4 * 8)
    expected = 0.9 * error + 0.1 * statistic
    value = seeded(5, lejepa, views, 0.1, n_global, 8)
    assert value.item() == pytest.approx(expected, rel=1e-10)


def test_lejepa_closed_form():
    views = [SQUARE, SQUARE + 3, SQUARE - 3]
    assert lejepa(views, 0.0).item() == pytest.approx(6)  # (0 + 9 + 9) / 3
    assert lejepa(views, 0.0, n_global=2).item() == pytest.approx((1.5**2 * 2 + 4.5**2) / 3)
    zero = torch.zeros(4, 2, dtype=torch.float64)
    assert lejepa([zero, zero], 1.0).item() == pytest.approx(sigreg(zero).item())


# ---- W-MSE -------------------------------------------------------------------------------------


def slow_whitened(z, shrinkage):
    """Cholesky's algorithm and forward substitution, one entry at a time."""
    n, d = z.shape
    z = z - z.sum(0) / n
    cov = [[float(z[:, i] @ z[:, j]) / (n - 1) for j in range(d)] for i in range(d)]
    level = sum(cov[i][i] for i in range(d)) / d
    cov = [[(1 - shrinkage) * cov[i][j] + (i == j) * shrinkage * level for j in range(d)]
           for i in range(d)]  # fmt: skip
    low = [[0.0] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            rest = cov[i][j] - sum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = math.sqrt(rest) if i == j else rest / low[j][j]
    out = torch.zeros_like(z)
    for row in range(n):
        for i in range(d):
            done = sum(low[i][k] * float(out[row, k]) for k in range(i))
            out[row, i] = (float(z[row, i]) - done) / low[i][i]
    return out


@pytest.mark.parametrize("shrinkage", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize(("n", "size", "n_parts"), [(12, None, 2), (13, 6, 2), (5, 99, 1)])
def test_whitening_error_equals_loop(n, size, n_parts, shrinkage):
    views = [draw(n, 3, seed=v) for v in range(3)]
    rows = seeded(1, torch.randperm, n)[: n // n_parts * n_parts].tolist()
    length = len(rows) // n_parts
    terms = []
    for start in range(0, len(rows), length):
        part = rows[start : start + length]  # the same rows of every view
        white = [slow_whitened(view[part], shrinkage) for view in views]
        for a, b in itertools.combinations(white, 2):
            terms += [2 - 2 * cos(u, v) for u, v in zip(a, b, strict=True)]
    value = seeded(1, whitening_error, views, size, 1, shrinkage).item()
    assert value == pytest.approx(sum(terms) / len(terms), rel=1e-8)


def test_whitening_error_averages_over_draws():
    views = [draw(12, 3), draw(12, 3, seed=1)]

    def one_by_one():
        return (whitening_error(views, 6) + whitening_error(views, 6)) / 2

    value = seeded(0, whitening_error, views, 6, n_draws=2).item()
    assert value == pytest.approx(seeded(0, one_by_one).item(), rel=1e-12)


def test_whitening_error_sees_small_directions():
    """Else a net hides whatever views disagree in where the shrinkage outweighs it."""
    views = [draw(40, 3), draw(40, 3, seed=1)]
    small = torch.tensor([1.0, 1e-2, 1.0], dtype=torch.float64)
    expected = whitening_error(views, 40, shrinkage=0.0).item()
    assert whitening_error([z * small for z in views], 40).item() == pytest.approx(
        expected, abs=1e-3
    )


def test_whitening_error_factors_in_float64():
    """Directions a thousand times as short as others count as much, of float32 numbers, too."""
    scale = torch.logspace(0, -3, 4)
    views = [
        (draw(200, 4, seed=seed).float() * scale) @ draw(4, 4, seed=2).float() for seed in (0, 1)
    ]
    expected = whitening_error([view.double() for view in views], 200, shrinkage=0.0)
    assert whitening_error(views, 200, shrinkage=0.0).item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_whitening_error_closed_form():
    """Scale, shift and correlation do not count: whitened, they are gone."""
    z = draw(40, 2)
    mixed = z @ torch.tensor([[2.0, 1.0], [0.0, 3.0]], dtype=torch.float64).T + 5
    lower = whitening_error([z, 3 * z - 1], 40, shrinkage=0.0)
    assert lower.item() == pytest.approx(0, abs=1e-10)
    turned = torch.stack((mixed[:, 0], mixed[:, 1] - mixed[:, 0]), 1)
    assert whitening_error([mixed, turned], 40, shrinkage=0.0).item() == pytest.approx(0, abs=1e-10)
    assert whitening_error([SQUARE, SQUARE * torch.tensor([1, -1])]).item() == pytest.approx(2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_whitening_error_with_fewer_rows_than_features(n):
    views = [draw(n, 16, seed=v).float().requires_grad_() for v in range(2)]
    value = whitening_error(views)
    value.backward()
    assert 0 <= value.item() <= 4 and all(view.grad.isfinite().all() for view in views)


# ---- MMCR, total coding rate, EMP-SSL ------------------------------------------------------------


def test_mmcr_equals_loop():
    views = [draw(5, 3, seed=v) for v in range(3)]
    centroids = torch.stack([sum(view[i] / view[i].norm() for view in views) / 3 for i in range(5)])
    values = torch.linalg.eigvalsh(centroids.T @ centroids)  # the squares of the singular values
    expected = -sum(math.sqrt(max(0.0, float(v))) for v in values)
    assert mmcr(views).item() == pytest.approx(expected, rel=1e-10)


def test_mmcr_closed_form():
    eye = torch.eye(3, dtype=torch.float64)
    assert mmcr([eye, 2 * eye]).item() == pytest.approx(-3)  # orthogonal and agreed
    assert mmcr([eye, -eye]).item() == pytest.approx(0)
    same = torch.ones(4, 2, dtype=torch.float64)
    assert mmcr([same, same]).item() == pytest.approx(-2)  # rank one: sqrt(4)


def slow_logdet(matrix):
    """Gaussian elimination."""
    m, total = [list(map(float, row)) for row in matrix], 0.0
    for i in range(len(m)):
        total += math.log(m[i][i])
        for j in range(i + 1, len(m)):
            factor = m[j][i] / m[i][i]
            m[j] = [a - factor * b for a, b in zip(m[j], m[i], strict=True)]
    return total


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
@pytest.mark.parametrize("epsilon", [0.2, 1.0])
def test_total_coding_rate_equals_loop(shape, epsilon):
    n, d = shape
    z = draw(n, d)
    unit = torch.stack([row / row.norm() for row in z])
    matrix = torch.eye(d, dtype=torch.float64)
    for row in unit:
        matrix = matrix + d / (n * epsilon) * torch.outer(row, row)
    value = total_coding_rate(z, epsilon).item()
    assert value == pytest.approx(slow_logdet(matrix) / 2, rel=1e-10)


def test_total_coding_rate_closed_form():
    eye = torch.eye(2, dtype=torch.float64)
    assert total_coding_rate(eye, 0.25).item() == pytest.approx(math.log(5))
    same = torch.ones(4, 2, dtype=torch.float64)
    assert total_coding_rate(same, 0.25).item() == pytest.approx(math.log(9) / 2)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
def test_emp_ssl_equals_loop(shape):
    views = [draw(*shape, seed=v) for v in range(3)]
    cosines = []
    for rows in zip(*views, strict=True):
        unit = [row / row.norm() for row in rows]
        centre = sum(unit) / 3
        cosines += [float(row @ centre / centre.norm()) for row in unit]
    rates = [total_coding_rate(view, 0.3).item() for view in views]
    expected = -50 * sum(cosines) / len(cosines) - sum(rates) / 3
    assert emp_ssl(views, 50.0, 0.3).item() == pytest.approx(expected, rel=1e-10)


def test_emp_ssl_closed_form():
    eye = torch.eye(2, dtype=torch.float64)
    assert emp_ssl([eye, 3 * eye], 7.0, 0.25).item() == pytest.approx(-7 - math.log(5))
    turned = emp_ssl([eye, eye.flip(0)], 7.0, 0.25).item()  # each is at 45 degrees from the mean
    assert turned == pytest.approx(-7 / math.sqrt(2) - math.log(5))


# ---- Hard inputs -------------------------------------------------------------------------------

LOSSES = {
    "nt_xent": lambda a, b: nt_xent(a, b, 0.1),
    "decoupled": lambda a, b: nt_xent(a, b, 0.1, decoupled=True),
    "info_nce": lambda a, b: info_nce(a, b, 0.1),
    "info_nce_queue": lambda a, b: info_nce(a, b.detach(), 0.1, b.detach().flip(0)),
    "cosine_error": cosine_error,
    "barlow_twins": barlow_twins,
    "vicreg": vicreg,
    "swapped_prediction": lambda a, b: swapped_prediction([a, b], [sinkhorn(a), sinkhorn(b)]),
    "dino": lambda a, b: dino([a, b], [b, a], a.detach().mean(0)),
    "sigreg": lambda a, b: sigreg(a) + sigreg(b),
    "lejepa": lambda a, b: lejepa([a, b]),
    "whitening_error": lambda a, b: whitening_error([a, b]),
    "emp_ssl": lambda a, b: emp_ssl([a, b], 1.0),
    "mmcr": lambda a, b: mmcr([a, b]),
    "total_coding_rate": lambda a, b: -total_coding_rate(a) - total_coding_rate(b),
}
HARD = {
    "zeros": torch.zeros(8, 6),
    "duplicates": torch.full((8, 6), 0.1),
    "large duplicates": torch.full((8, 6), 100.0),
    "constant columns": draw(8, 6).float() * torch.tensor([0, 0, 1, 1, 1, 1]) + 0.1,
    "a zero row": draw(8, 6).float() * torch.arange(8).clamp(max=1)[:, None],
    "large": 1e4 * draw(8, 6).float(),
    "one row": draw(1, 6).float(),
    "wide": draw(4, 40).float(),
}


@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("hard", HARD)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite(name, hard, rounded):
    """Plain and under bfloat16 autocast, both views alike and different."""
    z = HARD[hard].clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=rounded):
        made = z @ torch.eye(z.shape[1])
        assert made.dtype == (torch.bfloat16 if rounded else torch.float32)
        values = [LOSSES[name](made, made), LOSSES[name](made, made.flip(1))]
    sum(values).backward()
    assert all(value.dtype == torch.float32 and value.shape == () for value in values)
    assert all(value.isfinite() for value in values)
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_is_close(name):
    """Similarities are rounded, the rest is not: values agree to a few per cent."""
    z, noise = draw(64, 16).float(), draw(64, 16, seed=1).float()
    a, b = z, z + noise
    expected = seeded(0, LOSSES[name], a, b).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = seeded(0, LOSSES[name], a, b).item()
    assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_rounded_embeddings_are_computed_with_in_full_precision(name, dtype):
    a, b = (draw(64, 16, seed=seed).to(dtype) for seed in (0, 1))
    loss = LOSSES[name] if name != "dino" else lambda a, b: dino([a, b], [b, a], a[0])  # no mean
    value = seeded(0, loss, a, b)
    expected = seeded(0, loss, a.float(), b.float())
    assert value.dtype == torch.float32 and torch.equal(value, expected)


# Those that compare directions.
UNIT = ["nt_xent", "decoupled", "info_nce", "cosine_error", "emp_ssl", "mmcr", "total_coding_rate"]


@pytest.mark.parametrize("name", UNIT)
def test_next_to_zero_there_is_no_direction(name):
    """The slope does not grow as one over the length."""
    z, other = (1e-9 * draw(8, 6, seed=seed).float() for seed in (0, 1))
    z.requires_grad_()
    LOSSES[name](z, other).backward()
    assert 0 < z.grad.abs().max() < 1e7


@pytest.mark.parametrize("name", LOSSES)
def test_inputs_are_left_alone_and_grad_is_right(name):
    """Inputs keep their bits, and autograd agrees with finite differences."""
    a, b = draw(5, 3).requires_grad_(), draw(5, 3, seed=1).requires_grad_()
    before = a.detach().clone(), b.detach().clone()
    targets = {"swapped_prediction": lambda a, b: swapped_prediction([a, b], TARGETS),
               "dino": lambda a, b: dino([a, b], FIXED, FIXED[0][:1])}  # fmt: skip
    loss = partial(seeded, 0, targets.get(name, LOSSES[name]))
    inputs = (a, b.detach()) if name == "info_nce_queue" else (a, b)  # a queue has no gradient
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.equal(a, before[0]) and torch.equal(b, before[1])


FIXED = [draw(5, 3, seed=7), draw(5, 3, seed=8)]  # not to be differentiated through
TARGETS = [sinkhorn(z) for z in FIXED]


@pytest.mark.parametrize("name", LOSSES)
def test_nan_reaches_the_training_loop(name):
    """A diverged net gives a NaN loss, which the loop explains, and no error of a solver's."""
    z = torch.full((8, 6), NAN)
    assert LOSSES[name](z, z).isnan()


@pytest.mark.parametrize(
    "loss",
    [
        lambda views: swapped_prediction(views, views),
        lambda views: dino(views, views, torch.zeros(3)),
        lejepa,
        whitening_error,
        mmcr,
        emp_ssl,
    ],
)
def test_one_view_is_an_error_that_says_so(loss):
    with pytest.raises(ValueError, match="at least two, got 1. Give views= one more"):
        loss([torch.eye(3)])


@pytest.mark.parametrize("loss", [whitening_error, lambda views: total_coding_rate(views[0])])
def test_factorisations_ignore_autocast(loss):
    """Rounded products are no longer positive definite."""
    views = [draw(200, 32).float() + 5, draw(200, 32, seed=1).float() + 5]
    expected = seeded(0, loss, views)
    precise = seeded(0, loss, [view.double() for view in views])
    assert expected.item() == pytest.approx(precise.item(), rel=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(seeded(0, loss, views), expected)


# Kept from collapse by a predictor or a centre, not by the loss.
OUTSIDE = {"cosine_error", "dino"}


@pytest.mark.parametrize("name", sorted(set(LOSSES) - OUTSIDE))
def test_collapse_is_not_the_optimum(name):
    """Embeddings that agree and spread cost less than those that agree because all are equal."""
    axes = 4 * torch.cat((torch.eye(8), -torch.eye(8))) + 0.01 * draw(16, 8).float()
    normal = draw(64, 8).float()
    likes_axes = {"swapped_prediction", "emp_ssl", "mmcr", "total_coding_rate"}
    spread = axes if name in likes_axes else normal
    same = torch.full_like(spread, 0.1)
    assert LOSSES[name](spread, spread) < LOSSES[name](same, same)
