"""STUNT: its loss, its view, its clusters, and tables that leave little to cluster."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from skssl import STUNT, MultiTask
from skssl.base._transformer import SSLTransformer
from skssl.losses import prototypical
from skssl.methods._stunt import k_means
from skssl.views import altered, swap_columns

CHEAP = {"n_components": 8, "max_epochs": 3, "batch_size": 32, "precision": "float32"}


def slow_prototypical(z, classes, n_classes, n_shots, t):
    """One row and one class at a time."""
    rows = {c: [i for i, k in enumerate(classes.tolist()) if k == c] for c in range(n_classes)}
    mean = {c: sum(z[i] for i in r[:n_shots]) / len(r[:n_shots]) for c, r in rows.items() if r}
    errors = []
    for c, members in rows.items():
        for i in members[n_shots:]:
            score = {k: -float(((z[i] - p) ** 2).sum()) / t for k, p in mean.items()}
            errors.append(math.log(sum(math.exp(v) for v in score.values())) - score[c])
    return sum(errors) / len(errors)


@pytest.mark.parametrize("n_shots", [1, 3])
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_prototypical_equals_loop(n_shots, temperature):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    classes = torch.randint(0, 4, (20,), generator=generator)
    classes[classes == 2] = 1  # a class without rows, and 5 is one too
    expected = slow_prototypical(z, classes, 6, n_shots, temperature)
    loss = prototypical(z, classes, 6, n_shots, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    moved = prototypical(z + 1e3, classes, 6, n_shots, temperature)
    assert moved.item() == pytest.approx(expected, rel=1e-8)


def test_prototypical_closed_form():
    z = torch.tensor([[0.0], [2.0], [1.0], [0.0]])  # two examples, one half-way, one at its own
    classes = torch.tensor([0, 1, 1, 0])
    expected = (math.log(2) + math.log(1 + math.exp(-4 / 3))) / 2
    assert prototypical(z, classes, 2, temperature=3.0).item() == pytest.approx(expected)
    assert prototypical(z, torch.arange(4), 4).item() == 0.0  # examples only: nothing is asked


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
def test_prototypical_gradients_are_finite_at_duplicates(fill, dtype):
    z = torch.full((8, 5), fill, requires_grad=True)
    before = z.detach().clone()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = prototypical(z @ torch.eye(5), torch.arange(8) % 3, 5)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(3)) and z.grad.isfinite().all()
    assert torch.equal(z, before)


@pytest.mark.parametrize(
    ("d", "low", "high", "counts"),
    [
        (10, 0.2, 0.5, {2, 3, 4}),
        (2, 0.2, 0.5, {1}),
        (2, 1.0, 1.0, {1}),
        (5, 0.0, 0.0, {1}),
        (5, 1.0, 1.0, {4}),
        (1, 0.2, 0.5, {1}),
    ],
)
def test_swap_columns_swaps_whole_columns(d, low, high, counts):
    torch.manual_seed(0)
    x = torch.arange(50.0 * d).reshape(50, d)
    x[::7, 0] = torch.nan
    before = x.clone()
    seen = set()
    for _ in range(60):
        view = swap_columns(x, low, high)
        share = altered(x, view).float().mean(0)
        assert ((share == 0) | (share > 0.8)).all()  # a row may draw itself
        seen.add(int((share > 0).sum()))
        columns = torch.where(view.isnan(), x, view) % d  # no cell left its column
        assert torch.equal(columns.nan_to_num()[:, 1:], (x % d).nan_to_num()[:, 1:])
    assert seen == counts
    assert torch.equal(x.nan_to_num(-1), before.nan_to_num(-1))


def test_k_means_finds_separate_groups():
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.eye(4)
    truth = torch.cat([torch.arange(4), torch.randint(0, 4, (60,), generator=generator)])
    x = centres[truth] + 0.1 * torch.randn(64, 4, generator=generator)
    found = k_means(x, 4)
    assert torch.equal(found, truth)  # it starts from the first rows, one of each here
    assert set(k_means(torch.ones(9, 3), 4).tolist()) == {0}  # equal rows, empty clusters


def test_k_means_never_gets_worse():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(1))

    def within(classes):
        groups = [x[classes == c] for c in range(8)]
        return sum(float((g - g.mean(0)).square().sum()) for g in groups if len(g))

    errors = [within(k_means(x, 8, n_iter)) for n_iter in (1, 2, 4, 8, 16, 32)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.9 * errors[0]


class Noted(STUNT):
    """Keeps the net and the rows of its last fit."""

    def _build(self, net, X):
        super()._build(net, X)
        self.net, self.rows = net, X


def test_pseudo_classes_come_from_the_hidden_columns_only():
    """Two columns hold two groups each; the others are noise. Hiding one asks for its groups."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 400)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=list("abc"))
    frame["code"] = pd.Categorical(np.array(["no", "yes"])[group])
    fitted = Noted(n_clusters=2, **{**CHEAP, "batch_size": 400}).fit(frame)
    net, x = fitted.net.eval(), fitted.rows

    def hide(x):
        return torch.cat([x[:, :3], x[:, 3:].roll(1, 0)], 1)

    net.views = lambda x: [hide(x)]
    classes = k_means(net.front(torch.where(torch.arange(4) == 3, x, torch.nan)), 2)
    pairs = np.unique(np.c_[classes, x[:, 3]], axis=0)  # of rows as fit has them in order
    assert len(pairs) == len(np.unique(classes)) == 2  # the groups, by some numbers
    with torch.no_grad():
        z = net.encoder(hide(x))
        expected = slow_prototypical(z, classes, 2, 1, fitted.temperature * z.shape[1])
        assert fitted._loss(net, x).item() == pytest.approx(expected, rel=1e-4)


def test_tasks_cover_the_range_of_shares():
    views = STUNT(min_columns=0.1, max_columns=0.7, n_tasks=3)._views(None)
    shares = [tuple(view.keywords.values()) for view in views]
    np.testing.assert_allclose(shares, [(0.1, 0.3), (0.3, 0.5), (0.5, 0.7)])
    model = MultiTask([("stunt", STUNT(), 1.0)], **CHEAP)
    made = []

    def note(net, x, loss=MultiTask._loss):
        made.append(len({id(view) for view in net.tasks["stunt"].views(x)}))
        return loss(model, net, x)

    model._loss = note
    model.fit(np.random.default_rng(0).normal(size=(40, 6)))
    assert made and set(made) == {2}  # two tasks there, too, not one made twice


TABLES = {
    "one column": pd.DataFrame({"a": np.arange(40.0)}),
    "two columns": pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 7}),
    "a constant one": pd.DataFrame({"a": np.arange(40.0), "b": 1.0}),
    "all constant": pd.DataFrame({"a": np.ones(40), "b": 1.0}),
    "categories": pd.DataFrame({"a": list("xyzw") * 10, "b": [f"id {i // 2}" for i in range(40)]}),
    "holes": pd.DataFrame({"a": [1.0, np.nan] * 20, "b": [None, "u", "v", "u"] * 10, "c": np.nan}),
    "two rows": pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0]}),
    "five rows": pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5.0) ** 2}),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tables_that_leave_little_to_cluster(name, precision):
    frame = TABLES[name]
    params = {**CHEAP, "precision": precision, "random_state": 0}
    fitted = STUNT(**params).fit(frame)
    assert np.isfinite(fitted.loss_curve_).all()
    assert np.isfinite(fitted.transform(frame)).all()


def test_held_out_loss_is_the_same_at_every_call():
    X = np.random.default_rng(0).normal(size=(101, 6))  # ends with a batch of one held-out row
    params = {**CHEAP, "batch_size": 10, "validation_fraction": 0.3, "random_state": 0}
    still = STUNT(n_iter_no_change=5, **{**params, "learning_rate": 1e-30}).fit(X)
    assert len(still.validation_loss_curve_) == 3
    assert still.validation_loss_curve_[0] > 0
    assert isinstance(still, SSLTransformer)
