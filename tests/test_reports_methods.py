"""What users who knew the papers ran into: the right value of each.

====== =================================== ========================================================
number kind                                cousins
====== =================================== ========================================================
6      predictions in the unit of y        the default ensemble, fine-tuning, distilled students
                                           and the report's trees: all were found. A regressor of
                                           the user's gets targets as they are.
9      embeddings that are mostly zeros    encoders of tables, by name, and of images and clips:
                                           found; of series, audio, bags and tokens: not. Dead
                                           components of any encoder are warned of.
17     a loss that is not its authors'     EMP-SSL and MMCR against the numbers of their authors'
                                           code, as functions and as methods; views of several
                                           numbers and shapes, on one rank and on two
18     a variant that the authors use      NeuTraL: residual and multiplicative transformations
                                           against a slow loop, also after load; its encoder has no
                                           biases and a linear output, after partial_fit as well.
                                           ICL, the other loss within a row: as its authors have it
19     what is only shown counts           MaskedAutoencoder's pixels: clipping, ``loss_curve_`` and
                                           held-out loss, alone and in MultiTask. No other method
                                           has a part that reads what is detached.
23     a hint that cannot be right         every method: negatives, views, batches and parameters
                                           are named by those that have them only
20     a loss that is not its authors'     LFR, SubTab: what differs, and what it costs, is in their
                                           notes; no test
21     the other of two encoders           DINO, I-JEPA, BYOL and MoCo, all that have a teacher: the
                                           student is kept, after fit, partial_fit and a warm start;
                                           which is better is measured by a command
22     a rate where the paper has a        SCARF's cells on tables of 1 to 13 columns, and in
       number                              MultiTask; a rate of float32 was a cell short.
                                           VIME and SubTab draw for each cell, as their authors do;
                                           denoising and SwitchTab as before.
====== =================================== ========================================================
"""

import functools
import inspect
import math
import re
import warnings
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from torch import nn

import skssl
from skssl import EMPSSL, MMCR, SCARF, VIME, MaskedAutoencoder, MultiTask, NeuTraL, SimCLR
from skssl._data._rows import Rows
from skssl._training import _collapse, _loop
from skssl._training._collapse import _likely_cause
from skssl.base import SSLTransformer
from skssl.evaluation._baselines import default_baselines
from skssl.losses import emp_ssl, mmcr, total_coding_rate
from skssl.methods import _mae
from skssl.semi_supervised import _ensemble
from skssl.views import Views, original, swap_cells

CHEAP = {"n_components": 8, "max_epochs": 1, "batch_size": 16, "precision": "float32"}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ---------------------------------------------------------------- 17: EMP-SSL and MMCR

# What the authors' code (tsb0601/EMP-SSL, ThomasYerxa/mmcr) returns for three views that are drawn
# with the seeds 0 to 2: the coding rate of the first view, EMP-SSL's loss, MMCR's loss.
AUTHORS = {
    (7, 3): (2.4844584698428145, -114.20720503958471, -2.554420536612704),
    (3, 7): (3.77239375084137, -112.54260481305724, -1.528379286584139),
    (15, 8): (6.4941927757536995, -114.54399568014993, -5.772684866828131),
}


@pytest.mark.parametrize("shape", AUTHORS)
def test_losses_are_those_of_the_authors_code(shape):
    views = [draw(*shape, seed=seed) for seed in range(3)]
    values = total_coding_rate(views[0]), emp_ssl(views), mmcr(views)
    assert [value.item() for value in values] == pytest.approx(AUTHORS[shape], rel=1e-12)


@pytest.mark.parametrize("cls", [EMPSSL, MMCR])
def test_their_methods_have_the_paper_s_number_of_views_and_take_any_list_of_two(cls):
    X, n_views = draw(40, 3).numpy(), {EMPSSL: 8, MMCR: 4}[cls]
    x = torch.zeros(4, 3)
    assert len(cls(**CHEAP).fit(X).views_(x)) == n_views
    assert len(cls(views=original, **CHEAP).fit(X).views_(x)) == n_views
    for views in (
        cls(**CHEAP),
        MultiTask([("it", cls(), 1.0), ("simclr", SimCLR(), 1.0)], **CHEAP),
    ):
        views.set_params(views=Views((original, torch.neg))).fit(X)
        assert len(views.views_(x)) == 2
        with pytest.raises(ValueError, match="compares 2 views, but views= returned 1"):
            views.set_params(views=Views((original,))).fit(X)


# ---------------------------------------------------------------- 22: SCARF draws a number


@pytest.mark.parametrize("corruption", [0.25, 0.3, 0.6, 0.7, 1.0, np.float32(0.7)])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 5, 10, 13])
def test_scarf_replaces_the_paper_s_number_of_cells(n_columns, corruption):
    expected = max(1, int(Fraction(str(corruption)) * n_columns))  # 0.7 * 10 is 7, not 6.99
    x = draw(60, n_columns)
    fitted = SCARF(corruption=corruption, **CHEAP | {"max_epochs": 0}).fit(x.numpy())
    row, view = fitted.views_(x)
    assert torch.equal(row, x)
    assert ((view != x).sum(1) == expected).all()
    assert all(torch.isin(view[:, j], x[:, j]).all() for j in range(n_columns))


def test_scarf_takes_any_columns_from_any_other_rows():
    x = torch.arange(8.0).repeat(20_000, 1).T.contiguous()  # each cell names its row
    view = swap_cells(x, 0.3, exact=True)
    for row in range(8):
        donors = torch.bincount(view[row][view[row] != row].long(), minlength=8)
        assert donors[row] == 0 and donors.sum() == 6_000
        assert (donors[torch.arange(8) != row] / 6_000 - 1 / 7).abs().max() < 0.03
    x = torch.arange(4000.0).repeat(4, 1).T.contiguous()
    share = (swap_cells(x, 0.5, exact=True) != x).double().mean(0)
    assert (share - 0.5).abs().max() < 0.05
    assert torch.equal(swap_cells(x[:1], 0.5, exact=True), x[:1])  # there is no other row


def test_scarf_as_a_task_draws_the_number_too():
    x = draw(40, 4)
    tasks = [("scarf", SCARF(corruption=0.6), 1.0)]
    views = MultiTask(tasks, **CHEAP | {"max_epochs": 0}).fit(x.numpy()).views_(x)
    assert ((views[1] != x).sum(1) == 2).all()


# ---------------------------------------------------------------- 21: student or teacher


@pytest.mark.parametrize("cls", [skssl.BYOL, skssl.DINO, skssl.IJEPA, skssl.MoCo])
def test_what_embeds_is_the_student_that_was_measured_to_be_better(cls):
    X = (100 * draw(32, 8, 8)).abs().byte().numpy()
    method = cls(modality="image", warm_start=True, **CHEAP | {"n_components": 16})
    for again in (method.fit, method.fit, method.partial_fit):
        again(X)
        net, kept = method._net, method.encoder_[1].state_dict()
        student, teacher = (
            part.state_dict() if cls is skssl.IJEPA else part[0].state_dict()
            for part in (net.student, net.teacher)
        )
        assert kept.keys() == student.keys() == teacher.keys()
        assert all(torch.equal(value, student[name]) for name, value in kept.items())
        assert any(not torch.equal(value, teacher[name]) for name, value in kept.items())


# ---------------------------------------------------------------- 19: pixels that are only shown


@pytest.mark.parametrize("task", [False, True], ids=["alone", "task"])
def test_pixels_that_are_shown_do_not_change_what_is_learnt(task, monkeypatch):
    """Gradients of the rest, its clipping, and every loss are as if there were no such layer."""

    def fitted(scale):
        def error(made, target):
            return scale * mse_loss(made, torch.full_like(made, scale))

        monkeypatch.setattr(_mae, "F", SimpleNamespace(mse_loss=error))
        method = MaskedAutoencoder()
        if task:
            method = MultiTask([("mae", method, 1.0)], encoder="vit")
        method.set_params(**CHEAP | {"max_epochs": 2, "n_iter_no_change": 2, "random_state": 0})
        return method.fit(X)

    X, mse_loss = (100 * draw(40, 8, 8)).abs().byte().numpy(), torch.nn.functional.mse_loss
    a, b = fitted(1e-3), fitted(1e3)
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_loss_curve_ == b.validation_loss_curve_
    assert (a.transform(X) == b.transform(X)).all()
    first, second = (each.decoder_.pixels.weight for each in (a, b))
    assert not torch.equal(first, second)  # they are trained


# ---------------------------------------------------------------- 23: the hint of a collapse

PUBLIC = [getattr(skssl, name) for name in skssl.__all__]
METHODS = [cls for cls in PUBLIC if isinstance(cls, type) and issubclass(cls, SSLTransformer)]
ACROSS_ROWS = "info_nce|nt_xent|context_nce|margin_contrastive|hierarchical_contrast|find_future"
PREDICTS_ITSELF = {"BYOL", "SimSiam", "DINO", "IJEPA"}


def hint(method, views=torch.neg, layer=nn.Linear):
    net = SimpleNamespace(views=Views((views,)), modules=lambda: [layer(2, 2)])
    return _likely_cause(method, net)


@pytest.mark.parametrize("cls", METHODS)
def test_the_hint_of_a_collapse_names_negatives_where_there_are_any(cls):
    has_them = re.search(ACROSS_ROWS, inspect.getsource(inspect.getmodule(cls)))
    has_them = has_them or cls is MultiTask  # whose default has SCARF among its tasks
    found = hint(cls())
    assert ("Other rows are its negatives" in found) == bool(has_them)
    assert ("Its loss has no negatives" in found) == (cls.__name__ in PREDICTS_ITSELF)
    assert "views=" in found and "views=" not in hint(cls(), original)


def test_the_hint_of_a_collapse_names_what_was_changed_only():
    as_it_is, changed = hint(skssl.VICReg()), hint(skssl.VICReg(variance=0.0, covariance=0.0))
    assert "variance" not in as_it_is and "variance and covariance as by default" in changed
    mae = MaskedAutoencoder(batch_size=8)
    assert "batch_size" not in hint(mae) and "batch_size=8" in hint(
        mae, layer=lambda n, _: nn.BatchNorm1d(n)
    )
    assert "batch_size=8" in hint(SimCLR(batch_size=8))
    tasks = [("byol", skssl.BYOL(), 1.0), ("simsiam", skssl.SimSiam(), 1.0)]
    assert "no negatives" in hint(MultiTask(tasks))


@pytest.mark.parametrize(
    ("name", "usual", "suspicious", "remedy"),
    [
        ("learning_rate", 0.005, 0.0051, ": try 0.001 or less."),
        ("weight_decay", 1, 1.1, ": try 0.0001."),
        ("temperature", 2, 2.1, ": try one between 0.1 and 1."),
        ("batch_size", 32, 31, ": too few rows to compare, or to take statistics of. Try 128 or"),
    ],
)
def test_the_hint_of_a_collapse_names_a_parameter_out_of_range(name, usual, suspicious, remedy):
    found = hint(SimCLR(**{name: suspicious}))
    assert found.startswith(f"{name}={suspicious} is the likely cause{remedy}")
    assert "likely cause" not in hint(SimCLR(**{name: usual}))


def test_the_hint_of_a_collapse_is_a_sentence():
    assert hint(SimCLR()) == (
        "Other rows are its negatives, which keep rows apart: the steps were too large, or the "
        "views= hide what tells them apart. Try weaker views= or a lower learning_rate."
    )
    assert hint(skssl.BYOL(), original) == (
        "Its loss has no negatives, which would keep rows apart. Try a lower learning_rate or a "
        "method whose loss keeps rows apart, such as SimCLR or VICReg."
    )
    assert hint(VIME(alpha=9.0), original) == (
        "Nothing in the loss may keep rows apart. Try a lower learning_rate or alpha as by default."
    )


class Table(nn.Module):
    """An encoder that looks embeddings up, by the number of the row."""

    def __init__(self, z):
        super().__init__()
        self.z = nn.Parameter(z)

    def forward(self, x):
        return self.z[x[:, 0].long()]


def test_what_is_seen_of_an_embedding():
    def seen(z):
        net = _loop.Net()
        net.encoder = Table(z)
        return _collapse.look(net, Rows(torch.arange(float(len(z)))[:, None]), 8)

    apart = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    p = torch.tensor([18.0, 32.0]).sqrt() / (18**0.5 + 32**0.5)  # shares of the singular values
    assert seen(apart) == pytest.approx((1.0, (-(p * p.log()).sum()).exp().item(), 0, 2))
    beside = torch.cat([apart, torch.full((4, 3), 5.0)], 1)  # 3 components are the same
    spread, rank, n_dead, n = seen(beside)
    assert (spread, rank) == pytest.approx((50 / (50 + 300), rank)) and (n_dead, n) == (3, 5)
    rounded = 4096 + torch.tensor([0.0, 0.0, 0.0, 5e-4])[:, None]  # next to a component of 4096
    assert seen(torch.cat([apart, rounded], 1)).n_dead == 1
    line = torch.arange(100.0)[:, None] * torch.tensor([1.0, -2.0, 0.5])
    assert seen(line).rank == pytest.approx(1.0)
    for same in (torch.ones(40, 3), torch.zeros(40, 3)):
        assert seen(same) == (0.0, 0.0, 3, 3)


@pytest.mark.parametrize(
    ("spread", "rank", "n_dead", "found"),
    [
        (0.5, 1.3, 3, None),
        (0.5, 1.24, 0, "has collapsed: rows differ in 1.2 directions, untrained in 3.0"),
        (0.0051, 2.0, 0, None),
        (0.0049, 2.0, 0, "has collapsed: rows hardly differ in it"),
        (0.0, 0.0, 8, "has collapsed: rows hardly differ in it"),
        (0.5, 1.3, 4, "In the embedding of SimCLR, 4 of 8 components are the same for all rows"),
    ],
)
def test_thresholds_of_a_collapse(spread, rank, n_dead, found, monkeypatch):
    after = _collapse.Look(spread, rank, n_dead, 8)
    monkeypatch.setattr(_collapse, "look", lambda net, rows, batch_size: after)
    net, rows = SimpleNamespace(views=torch.neg, modules=list), Rows(draw(9, 2))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _collapse.warn_of_collapse(SimCLR(), net, rows, 8, _collapse.Look(0.5, 3.0, 0, 8))
    assert bool(told) == (found is not None)
    if found:
        assert found in str(told[0].message) and told[0].filename == __file__


# ---------------------------------------------------------------- 9: embeddings of few components

FEW = {
    "table": (SimCLR, {}),
    "ft_transformer": (SCARF, {"encoder": "ft_transformer"}),
    "image": (SimCLR, {"modality": "image"}),
    "resnet18": (SimCLR, {"modality": "image", "encoder": "resnet18"}),
    "video": (SimCLR, {"modality": "video"}),
    "series": (skssl.TS2Vec, {"modality": "series"}),
}


@pytest.mark.parametrize("n_components", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", FEW)
def test_few_components_tell_rows_apart(kind, n_components):
    cls, given = FEW[kind]
    shape = {"image": (8, 8), "resnet18": (8, 8), "video": (2, 8, 8), "series": (1, 12)}
    X = draw(32, *shape.get(kind, (5,))).numpy()
    max_epochs = 0 if kind == "resnet18" else 1
    method = cls(**CHEAP | {"n_components": n_components, "max_epochs": max_epochs}, **given)
    Z = method.set_params(random_state=0).fit_transform(X)
    assert not (Z == 0).any()
    assert (Z.std(0) > 0).all() and len(np.unique(Z, axis=0)) == 32


def test_wide_embeddings_keep_their_relu():
    assert (SCARF(**CHEAP | {"max_epochs": 0}).fit_transform(draw(32, 5).numpy()) == 0).any()


def test_dead_components_are_said():
    def encoder(x, n_dead):
        linear = nn.Linear(x.shape[1], 8)
        nn.init.constant_(linear.bias[:n_dead], -1e3)
        return nn.Sequential(linear, nn.ReLU())

    X = draw(32, 5).numpy()
    given = CHEAP | {"random_state": 0}
    with pytest.warns(ConvergenceWarning, match="SCARF, [456] of 8 components are the same"):
        SCARF(encoder=lambda x: encoder(x, 4), **given).fit(X)
    SCARF(encoder=lambda x: encoder(x, 1), **given).fit(X)  # nothing is said of a few


# ---------------------------------------------------------------- 6: the unit of targets

UNITS = [(1e-9, 0.0), (1.0, 1.7e9), (-1e200, 0.0)]


@functools.cache
def regression():
    random = np.random.default_rng(0)
    X = random.normal(size=(90, 4))
    return X, np.round(X @ [3.0, -2, 1, 0] + np.sin(3 * X[:, 3]) + random.normal(size=90), 3)


def pretrained(X, y, of):
    scarf = SCARF(**CHEAP | {"random_state": 0})
    return skssl.PretrainedRegressor(scarf, random_state=0).fit(X, y).predict(of)


def fine_tuned(X, y, of):
    scarf = SCARF(**CHEAP | {"random_state": 0})
    return skssl.FineTunedRegressor(scarf, max_epochs=2, random_state=0).fit(X, y).predict(of)


def distilled(X, y, of):
    return skssl.distill(LinearRegression().fit(X, y), X, random_state=0).predict(of)


def trees_of_the_report(X, y, of, name="extra trees"):
    model = skssl.PretrainedRegressor(SCARF(), random_state=0)
    trees = default_baselines(X, model, is_classes=False)[name]
    return (
        trees.set_params(regressor__regressor__n_estimators=40, random_state=0)
        .fit(X, y)
        .predict(of)
    )


forest_of_the_report = partial(trees_of_the_report, name="random forest")


@pytest.mark.parametrize(
    "fit",
    [pretrained, fine_tuned, distilled, trees_of_the_report, forest_of_the_report],
    ids=["pretrained", "fine-tuned", "distilled", "extra trees", "random forest"],
)
def test_predictions_follow_the_unit_of_the_targets(fit, monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 10)
    X, y = regression()
    expected = in_their_unit(fit, 1.0, 0.0)
    assert 0.1 < np.std(expected) / np.std(y) < 1.5
    units = UNITS[:2] if fit is distilled else UNITS  # a net learns other things of -y
    for scale, shift in units:
        np.testing.assert_allclose(
            (in_their_unit(fit, scale, shift) - shift) / scale,
            expected,
            rtol=0,
            atol=1e-6 * y.std(),
        )


def in_their_unit(fit, scale, shift):
    X, y = regression()
    return fit(X[:60], scale * y[:60] + shift, X[60:])


# ---------------------------------------------------------------- 18: NeuTraL as its authors'


def slow_neutral_loss(row, scorer, change, t):
    """Loss of one row, one transformation and one similarity at a time."""
    copies = [row]
    for inner, outer in zip(scorer.masks.inner, scorer.masks.outer, strict=True):
        copies.append(change(row, outer.T @ (inner.T @ row).clamp(min=0)))
    z = []
    for copy in copies:
        *hidden, last = scorer.body.stack
        for linear, norm, _ in hidden:
            copy = (linear.weight @ copy - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            copy = copy.clamp(min=0)
        z.append(last.weight @ copy)
    s = [[float(a @ b / (a.norm() * b.norm())) / t for b in z] for a in z]
    loss, indices = 0.0, range(1, len(z))
    for i in indices:
        others = sum(math.exp(s[i][j]) for j in indices if j != i)
        loss -= math.log(math.exp(s[i][0]) / (math.exp(s[i][0]) + others))
    return loss


CHANGES = {"residual": lambda x, m: x + m, "multiplicative": lambda x, m: x * m.sigmoid()}


@pytest.mark.parametrize("transformation", CHANGES)
def test_the_score_of_neutral_is_minus_the_loss_of_a_loop(transformation, tmp_path):
    X = draw(40, 3).numpy()
    method = NeuTraL(transformation=transformation, n_transformations=4, **CHEAP, random_state=0)
    method.fit(X)
    x, change = method.encoder_[0](torch.from_numpy(X)).detach(), CHANGES[transformation]
    with torch.no_grad():
        expected = [-slow_neutral_loss(row, method.scorer_, change, 0.1) for row in x]
    np.testing.assert_allclose(method.score_samples(X), expected, rtol=1e-4, atol=1e-4)
    skssl.save(method, tmp_path / "neutral")
    again = skssl.load(tmp_path / "neutral")
    assert again.transformation == transformation
    np.testing.assert_array_equal(again.score_samples(X), method.score_samples(X))


@pytest.mark.parametrize("n_components", [4, 16])
def test_the_encoder_of_neutral_has_no_constant_solution(n_components):
    """Neither biases nor scales and shifts of norms, and no output is cut off at 0."""
    X = draw(40, 3).numpy()
    method = NeuTraL(**CHEAP | {"n_components": n_components}, random_state=0).fit(X)
    for fitted in (method, method.partial_fit(X)):
        body = fitted.encoder_[1].body
        assert [p.ndim for p in body.parameters()] == [2, 2, 2]
        Z = fitted.transform(X)
        assert Z.shape == (40, n_components) and (Z < 0).any() and not (Z == 0).any()
    given = NeuTraL(encoder=nn.Linear(3, 5), **CHEAP).fit(X)
    assert given.encoder_[1].body.bias is not None
    tasks = MultiTask([("own", NeuTraL(), 1.0), ("scarf", SCARF(), 1.0)], **CHEAP).fit(X)
    assert any(p.ndim == 1 for p in tasks.encoder_.parameters())  # the encoder is MultiTask's
    with pytest.raises(ValueError, match="transformation"):
        NeuTraL(transformation="additive", **CHEAP).fit(X)
