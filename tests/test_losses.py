"""Each loss against a slow loop written from its formula, a closed form, and hard inputs."""

import math

import pytest
import torch

from skssl._data._columns import Columns
from skssl.losses import cell_error, cell_errors, info_nce, mask_error

NAN = float("nan")


def slow_info_nce(a, b, t):
    """-log softmax of the cosine to one's own positive, one pair at a time."""
    n, total = len(a), 0.0
    for i in range(n):
        s = [float(a[i] @ b[j] / (a[i].norm() * b[j].norm())) / t for j in range(n)]
        total += -(s[i] - math.log(sum(math.exp(v) for v in s)))
    return total / n


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_info_nce_equals_loop(temperature):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    expected = slow_info_nce(a, b, temperature)
    assert info_nce(a, b, temperature).item() == pytest.approx(expected, rel=1e-10)
    assert info_nce(b, a, temperature).item() != pytest.approx(expected, rel=1e-3)  # one way


def test_info_nce_closed_form():
    eye = torch.eye(3, dtype=torch.float64)
    assert info_nce(eye, eye, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    same = torch.ones(4, 2)
    assert info_nce(same, same).item() == pytest.approx(math.log(4))


def slow_cell_error(output, x, cardinality, weight=None):
    """One cell at a time, in the documented layout: by cardinality, then by column."""
    order = sorted(range(len(cardinality)), key=lambda j: (cardinality[j], j))
    start, span = 0, {}
    for j in order:
        span[j] = (start, start + max(cardinality[j], 1))
        start = span[j][1]
    total = count = 0.0
    for i in range(len(x)):
        for j, c in enumerate(cardinality):
            value = float(x[i, j])
            if math.isnan(value) or (c and value >= c):
                continue
            w = 1.0 if weight is None else float(weight[i, j])
            block = output[i, span[j][0] : span[j][1]]
            if c:
                error = -float(torch.log_softmax(block, 0)[int(value)])
            else:
                error = (float(block[0]) - value) ** 2
            total, count = total + w * error, count + w
    return total / count


@pytest.mark.parametrize("cardinality", [(0, 0, 0), (3, 0, 2, 3, 0), (2, 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_cell_error_equals_loop(cardinality, weighted):
    generator = torch.Generator().manual_seed(1)
    columns = Columns(cardinality)
    n = 6
    x = torch.stack(
        [
            torch.randint(0, c + 1, (n,), generator=generator).double()  # c itself: unseen
            if c
            else torch.randn(n, generator=generator, dtype=torch.float64)
            for c in cardinality
        ],
        1,
    )
    x[torch.rand(x.shape, generator=generator) < 0.2] = NAN
    output = torch.randn(n, columns.n_outputs, generator=generator, dtype=torch.float64)
    weight = torch.rand(x.shape, generator=generator, dtype=torch.float64) if weighted else None
    expected = slow_cell_error(output, x, cardinality, weight)
    assert cell_error(output, x, columns, weight).item() == pytest.approx(expected, rel=1e-10)


def test_cell_error_closed_form():
    x = torch.tensor([[1.0, 0.0], [NAN, 2.0]])
    columns = Columns((0, 3))
    output = torch.zeros(2, 4)
    expected = (1 + 2 * math.log(3)) / 3  # a missing number is no target
    assert cell_error(output, x, columns).item() == pytest.approx(expected)
    nothing = torch.full((2, 2), NAN)
    assert cell_error(output, nothing, columns).item() == 0.0


def test_mask_error_equals_loop():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    mask = torch.rand(5, 3, generator=generator) < 0.5
    terms = [
        -math.log(1 / (1 + math.exp(-v))) if m else -math.log(1 - 1 / (1 + math.exp(-v)))
        for v, m in zip(logits.flatten().tolist(), mask.flatten().tolist(), strict=True)
    ]
    assert mask_error(logits, mask).item() == pytest.approx(sum(terms) / len(terms), rel=1e-10)
    assert mask_error(torch.zeros(2, 2), torch.eye(2).bool()).item() == pytest.approx(math.log(2))


CELLS = torch.tensor([[0.0, 1.0, NAN]] * 8)
LOSSES = {
    "info_nce": lambda z: info_nce(z, z.flip(1), 0.1),
    "cell_error": lambda z: cell_error(z, CELLS, Columns((0, 3, 0))),
    "mask_error": lambda z: mask_error(z, torch.ones(8, 5, dtype=torch.bool)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_at_duplicates(name, fill, dtype):
    """Identical rows, zero rows and large rows; plain and under bfloat16 autocast."""
    z = torch.full((8, 5), fill, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = LOSSES[name](z @ torch.eye(5))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and z.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [*LOSSES, "cell_errors"])
def test_rounded_outputs_are_computed_with_in_full_precision(name, dtype):
    loss = LOSSES.get(name, lambda z: cell_errors(z, CELLS, Columns((0, 3, 0))))
    z = torch.randn(8, 5, generator=torch.Generator().manual_seed(4)).to(dtype)
    value, expected = loss(z), loss(z.float())
    assert value.dtype == torch.float32
    assert torch.equal(value.nan_to_num(-1), expected.nan_to_num(-1))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_leave_inputs_alone(name):
    z = torch.randn(8, 5, generator=torch.Generator().manual_seed(3))
    before = z.clone()
    LOSSES[name](z)
    assert torch.equal(z, before)
