"""SubTab, SwitchTab and LFR: their parts and equations, against loops and closed forms."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from test_methods import CHEAP, small, table, trained_net, with_holes
from torch import nn

from skssl import LFR, VIME, MultiTask, SubTab, SwitchTab
from skssl.encoders._subsets import MeanOverSubsets, column_subsets
from skssl.losses import barlow_twins, cell_error, info_nce
from skssl.methods._random_nets import most_diverse
from skssl.views import swap_cells

X_IRIS, _ = load_iris(return_X_y=True)
NAN = float("nan")
every_method = pytest.mark.parametrize("method", [SubTab(), SwitchTab(), LFR()], ids=repr)


def seeded(function, *args):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return function(*args)


# ---- barlow_twins ------------------------------------------------------------------------


def slow_barlow_twins(a, b, lambd):
    """One pair of features at a time, their correlation by numpy; 0 of one that is constant."""
    d, total = a.shape[1], 0.0
    for i in range(d):
        for j in range(d):
            x, y = a[:, i].numpy(), b[:, j].numpy()
            c = np.corrcoef(x, y)[0, 1] if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0
            total += (1 - c) ** 2 if i == j else lambd * c**2
    return total


@pytest.mark.parametrize("lambd", [0.0, 5e-3, 1.0])
@pytest.mark.parametrize("shape", [(9, 4), (3, 7)])
def test_barlow_twins_equals_loop(shape, lambd):
    generator = torch.Generator().manual_seed(0)
    a = 3 + 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    b = a + torch.randn(shape, generator=generator, dtype=torch.float64)
    expected = slow_barlow_twins(a, b, lambd)
    assert barlow_twins(a, b, lambd).item() == pytest.approx(expected, rel=1e-10)
    scaled = barlow_twins(5 * a - 1, b / 3, lambd)  # each feature is standardised
    assert scaled.item() == pytest.approx(expected, rel=1e-8)


def test_barlow_twins_closed_form():
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert barlow_twins(z, z).item() == pytest.approx(0)  # uncorrelated features
    assert barlow_twins(z, -z).item() == pytest.approx(2 * 4)
    twice = z[:, [0, 0]]  # the same feature twice
    assert barlow_twins(twice, twice, 0.3).item() == pytest.approx(2 * 0.3)
    constant = torch.ones(4, 2, dtype=torch.float64)
    assert barlow_twins(constant, z).item() == pytest.approx(2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("batch_wise", [False, True])
def test_barlow_twins_has_finite_gradients_at_duplicates(batch_wise, fill, dtype):
    z = torch.full((8, 5), fill, requires_grad=True)
    target = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        made = z @ torch.eye(5)
        pairs = [(made, made), (made, target), (target, made)]
        losses = [barlow_twins(*(v.T for v in p) if batch_wise else p) for p in pairs]
    sum(losses).backward()
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses)
    assert z.grad.isfinite().all()


# ---- SubTab ------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize(("n_subsets", "overlap"), [(2, 0.0), (4, 0.75), (5, 0.3), (3, 9.0)])
def test_subsets_cover_all_columns_evenly(n_columns, n_subsets, overlap):
    inside = column_subsets(n_columns, n_subsets, overlap)
    assert inside.shape == (n_subsets, n_columns) and inside.dtype == torch.bool
    assert inside.any(0).all()
    width = math.ceil((1 + overlap) * n_columns / n_subsets)
    assert (inside.sum(1) == min(n_columns, width)).all()
    if n_columns % n_subsets == 0:
        assert inside.sum(0).max() - inside.sum(0).min() <= 1


def test_subsets_of_eight_columns():
    rows = ["11110000", "00111100", "00001111", "11000011"]
    expected = torch.tensor([[c == "1" for c in row] for row in rows])
    assert torch.equal(column_subsets(8, 4, 0.75), expected)  # ceil(1.75 * 2) columns each


def slow_subtab(net, views, x, temperature, weight):
    """Reconstruction over subsets; contrast, both ways, and distance over pairs."""
    k = len(views)
    z = []
    for view, inside in zip(views, net.encoder.inside, strict=True):
        cut = view.clone()
        cut[:, ~inside] = NAN
        z.append(net.encoder.encoder(cut))
    cells = sum(cell_error(net.decoder(part), x, net.columns) for part in z) / k
    unit = [p / p.norm(dim=1, keepdim=True) for p in map(net.projector, z)]
    pairs = list(itertools.combinations(unit, 2))
    assert len(pairs) == k * (k - 1) / 2
    apart = 0.0
    for a, b in pairs:
        contrast = (info_nce(a, b, temperature) + info_nce(b, a, temperature)) / 2
        distance = sum(((a[i] - b[i]) ** 2).sum() for i in range(len(x))) / len(x)
        apart += (contrast + distance) / len(pairs)
    return cells + weight * apart


@pytest.mark.parametrize(
    "params",
    [{}, {"n_subsets": 3, "overlap": 0.2, "noise": 0.0, "temperature": 0.5, "contrast": 2.0}],
    ids=["default", "other"],
)
def test_subtab_s_loss_equals_loop(params):
    frame, _ = with_holes(table(60))
    fitted, net, x = trained_net(SubTab(**params, **CHEAP), frame)
    loss = seeded(fitted._loss, net, x)
    views = seeded(lambda: [swap_cells(x, fitted.noise) for _ in range(fitted.n_subsets)])
    with torch.no_grad():
        expected = slow_subtab(net, views, x, fitted.temperature, fitted.contrast)
    torch.testing.assert_close(loss, expected)


def test_subtab_embeds_by_the_mean_over_subsets_without_noise():
    """A peer leaves training noise on at inference: digits fall from 83 to 62 %."""
    frame, _ = with_holes(table(60))
    fitted = SubTab(noise=0.9, **CHEAP).fit(frame)
    Z = fitted.transform(frame)
    assert np.array_equal(fitted.transform(frame), Z)
    scaler, mean = fitted.encoder_
    assert isinstance(mean, MeanOverSubsets) and not mean.training
    with torch.no_grad():
        x = scaler(fitted._read(frame))
        parts = [mean.encoder(torch.where(inside, x, NAN)) for inside in mean.inside]
    np.testing.assert_allclose(sum(parts).numpy() / 4, Z, rtol=1e-4, atol=1e-5)


def test_each_subset_of_subtab_sees_its_columns_only():
    frame, _ = with_holes(table(60))
    _, net, x = trained_net(SubTab(**CHEAP), frame)
    with torch.no_grad():
        for k, inside in enumerate(net.encoder.inside):
            other = torch.where(inside, x, x.flip(0))
            before, after = (net.encoder.each([v] * 4)[k] for v in (x, other))
            assert torch.equal(before, after)
            assert not torch.equal(net.encoder(x), net.encoder(other))


@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_subtab_takes_narrow_tables(n_columns):
    fitted = SubTab(**CHEAP).fit(X_IRIS[:, :n_columns])
    assert fitted.transform(X_IRIS[:, :n_columns]).shape == (150, 8)


def test_subtab_takes_a_user_s_encoder_and_views():
    calls = []

    def views(x):
        calls.append(len(x))
        return x + 0.1 * torch.randn_like(x)

    params = {**CHEAP, "max_epochs": 1}
    fitted = SubTab(encoder=nn.Linear(4, 6), views=views, **params).fit(X_IRIS)
    assert fitted.transform(X_IRIS).shape == (150, 6)
    assert calls == [50] * 4 * 3  # one view a subset
    many = SubTab(views=lambda x: [x] * 9, **params).fit(X_IRIS)
    assert many.transform(X_IRIS).shape == (150, 8)


# ---- SwitchTab ---------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_switchtab_recovers_and_switches(alpha):
    """Row by row: its own salient part with its own mutual part, and with its neighbour's."""
    frame, _ = with_holes(table(60))
    fitted, net, x = trained_net(SwitchTab(alpha=alpha, corruption=0.4, **CHEAP), frame)
    decoder = net.decoder
    with torch.no_grad():
        decoder.mutual.weight.mul_(10)  # so that it matters whose mutual part it is
    loss = seeded(fitted._loss, net, x)
    view = seeded(swap_cells, x, 0.4)
    with torch.no_grad():
        z = net.encoder(view)
        mutual, salient = torch.sigmoid(decoder.mutual(z)), torch.sigmoid(decoder.salient(z))
        rows = {0: [], 1: []}
        for i in range(len(x)):
            for shift, found in rows.items():
                found.append(torch.cat([mutual[i - shift], salient[i]]))
        own, switched = (decoder.cells(torch.stack(found)) for found in rows.values())
    errors = [cell_error(cells, x, net.columns) for cells in (own, switched)]
    torch.testing.assert_close(loss, errors[0] + alpha * errors[1])
    assert (own - switched).std(0).mean() > 0.5 * own.std(0).mean()  # 1.3 to 1.5 over six seeds


def test_switchtab_s_mutual_part_is_the_partner_s():
    _, net, _ = trained_net(SwitchTab(**CHEAP), X_IRIS)
    z = torch.randn(6, 8)
    with torch.no_grad():
        nn.init.zeros_(net.decoder.salient.weight)  # all salient parts alike
        own, switched = net.decoder(z), net.decoder(z, partner=z.roll(1, 0))
    torch.testing.assert_close(switched, own.roll(1, 0))


# ---- LFR ---------------------------------------------------------------------------------


def test_lfr_predicts_random_networks():
    frame, _ = with_holes(table(60))
    fitted, net, x = trained_net(LFR(n_projectors=3, lambd=0.2, **CHEAP), frame)
    with torch.no_grad():
        loss, z = fitted._loss(net, x), net.encoder(x)
        expected = 0.0
        for predictor, projector in zip(net.predictors, net.projectors, strict=True):
            a, b = predictor(z).double(), projector(x).double()
            expected += slow_barlow_twins(a.T, b.T, 0.2) / 3 / len(x)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_lfr_s_random_networks_are_not_trained_and_differ():
    params = {**CHEAP, "encoder": small}
    _, start, x = trained_net(LFR(**{**params, "max_epochs": 0}), X_IRIS)
    _, end, _ = trained_net(LFR(**params), X_IRIS)
    for a, b in zip(start.projectors.parameters(), end.projectors.parameters(), strict=True):
        assert torch.equal(a, b) and not b.requires_grad and b.grad is None
    assert not torch.equal(start.predictors[0].weight, end.predictors[0].weight)
    first = [p.body.stack[0][0].weight for p in start.projectors]
    for a, b in itertools.combinations([*first, start.encoder.body.stack[0][0].weight], 2):
        assert not torch.equal(a, b)
        assert torch.equal(a.flatten().sort()[0], b.flatten().sort()[0])  # shuffled, no more


def test_most_diverse_maximises_the_determinant():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    points = torch.cat([points, points[:2] + 1e-3])  # near twins
    points /= points.norm(dim=1, keepdim=True)
    kernel = points @ points.T
    chosen = most_diverse(kernel, 3)
    assert len(set(chosen)) == 3
    for step in (1, 2):  # each choice is the best one given those before it
        found = {
            j: torch.det(kernel[[*chosen[:step], j]][:, [*chosen[:step], j]]).item()
            for j in range(9)
            if j not in chosen[:step]
        }
        assert max(found, key=found.get) == chosen[step]
    assert not {0, 7} <= set(chosen) and not {1, 8} <= set(chosen)


def test_most_diverse_of_equals():
    assert most_diverse(torch.ones(4, 4, dtype=torch.float64), 3) == [0, 1, 2]


@pytest.mark.parametrize(
    "encoder",
    [nn.Linear(4, 8), nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 2), nn.Flatten())],
    ids=["linear", "conv"],
)
def test_lfr_takes_any_encoder(encoder):
    fitted = LFR(**{**CHEAP, "encoder": encoder}).fit(X_IRIS)
    assert np.isfinite(fitted.transform(X_IRIS)).all()


# ---- all three ---------------------------------------------------------------------------


@every_method
def test_as_a_task_of_several(method):
    frame, _ = with_holes(table(60))
    tasks = [("vime", VIME(), 1.0), ("mine", method, 0.5)]
    fitted, net, x = trained_net(MultiTask(tasks, **CHEAP), frame)
    assert fitted.transform(frame).shape == (60, 8)
    alone = MultiTask([("mine", method, 1.0)], **CHEAP).fit(frame)
    assert np.isfinite(alone.transform(frame)).all()
    if isinstance(method, SubTab):  # its own encoder is the mean over subsets of the shared one
        assert net.tasks["mine"].encoder.encoder is net.encoder
        assert not hasattr(alone, "decoder_")
    start = MultiTask([("mine", method, 1.0)], **{**CHEAP, "max_epochs": 0}).fit(frame)
    assert np.abs(alone.transform(frame) - start.transform(frame)).max() > 1e-3


@every_method
def test_training_lowers_the_loss_on_held_out_rows(method):
    params = {**CHEAP, "max_epochs": 12, "n_iter_no_change": 12, "learning_rate": 3e-3}
    curve = clone(method).set_params(**params).fit(table()).validation_loss_curve_
    assert min(curve[-3:]) < curve[0]


@every_method
def test_columns_of_categories_alone(method):
    frame = pd.DataFrame({"a": list("xyzxy") * 12, "b": list("uvwt") * 15})
    fitted = clone(method).set_params(**CHEAP).fit(frame)
    assert np.isfinite(fitted.transform(frame)).all()
    if hasattr(fitted, "reconstruct"):
        assert set(fitted.reconstruct(frame)["a"]) <= set("xyz")
