"""The training loop, and what a method written by a user gets from it."""

import inspect
import itertools
import math
import pickle
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from skssl import SCARF, VIME, MultiTask, _compat
from skssl._data import _rows
from skssl._data._draws import Draws
from skssl._data._rows import Rows, _n_dealt, hold_out
from skssl._training import _loop
from skssl._training._epoch_end import Report
from skssl._training._loop import (
    Net,
    Patience,
    auto_batch,
    auto_steps,
    constant,
    held_out_loss,
    make_optimizer,
    make_plan,
    one_cycle,
    outputs,
    train,
)
from skssl.base._transformer import SSLTransformer
from skssl.encoders import width_of

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
CPU = torch.device("cpu")
CHEAP = {"n_components": 8, "batch_size": 50, "precision": "float32", "random_state": 0}


class Toy(SSLTransformer):
    """Reconstruct a row from its embedding: a method as a user would write it.

    Parameters
    ----------
    pull : float, default=1.0
        Factor of the loss.
    """

    pull: float = 1.0

    def _build(self, net, X):
        net.head = nn.Linear(width_of(net.encoder, X), X.shape[1])

    def _loss(self, net, x):
        return self.pull * F.mse_loss(net.head(net.encoder(x)), x)


# ---- a method written by a user ----------------------------------------------------------


def test_a_user_s_method_is_a_whole_estimator():
    toy = Toy(pull=2.0, max_epochs=3, **CHEAP)
    assert repr(toy).startswith("Toy(") and "pull=2.0" in repr(toy)
    assert clone(toy).get_params() == toy.get_params()
    assert toy.get_params()["pull"] == 2.0 and Toy().pull == 1.0 and Toy().batch_size == "auto"
    parameters = inspect.signature(Toy).parameters.values()
    assert {p.name for p in parameters} == set(toy.get_params())
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)
    with pytest.raises(TypeError, match="pul"):
        Toy(pul=1.0)
    fitted = pickle.loads(pickle.dumps(toy.fit(X_IRIS)))
    assert np.array_equal(fitted.transform(X_IRIS), toy.transform(X_IRIS))
    assert list(toy.get_feature_names_out()) == [f"toy{i}" for i in range(8)]
    assert len(toy.loss_curve_) == toy.n_iter_ == 3
    assert toy.partial_fit(X_IRIS).n_iter_ == 1


def test_a_user_s_method_learns():
    toy = Toy(max_epochs=60, encoder=nn.Linear(4, 8), learning_rate=0.01, **CHEAP)
    curve = toy.fit(X_IRIS).loss_curve_
    assert curve[-1] < 0.1 * curve[0]


def test_a_user_s_method_is_searched():
    pipe = make_pipeline(Toy(max_epochs=2, **CHEAP), LogisticRegression(C=0.1))
    search = GridSearchCV(pipe, {"toy__pull": [0.0, 1.0], "toy__n_components": [4, 8]}, cv=2)
    search.fit(X_IRIS, Y_IRIS)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_user_s_method_gets_the_shared_docs():
    assert Toy.__doc__.index("pull : float") < Toy.__doc__.index("n_components : int")
    assert Toy.__doc__.count("\nParameters\n----------\n") == 1
    assert Toy.__doc__.index("encoder_ : ") > Toy.__doc__.index("\nAttributes\n----------\n")
    for name in Toy().get_params():
        assert Toy.__doc__.count(f"\n{name} : ") == 1, name


def test_a_subclass_keeps_what_its_parent_declares():
    class Sharper(SCARF):
        sharpness: float = 0.5

    assert set(Sharper().get_params()) == {*SCARF().get_params(), "sharpness"}
    assert Sharper(corruption=0.2).corruption == 0.2
    for wrong in ({"corruption": 7.0}, {"batch_size": 1}, {"temperature": -1.0}):
        with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter of Sharper"):
            Sharper(**wrong).fit(X_IRIS)


def test_a_method_without_a_loss_is_said():
    class Nothing(SSLTransformer):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing does not define _loss"):
        Nothing(max_epochs=1, **CHEAP).fit(X_IRIS)


def test_defaults_that_can_change_are_refused():
    with pytest.raises(ValueError, match="mutable default"):

        class Bad(SSLTransformer):
            widths: list = []


# ---- batches -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 9, 10, 11, 39, 40])
def test_batches(n):
    rows = Rows(torch.arange(float(n)), torch.arange(n))
    passes = [list(rows.batches(10)) for _ in range(2)]
    for batches in passes:
        assert [len(a) for a, _ in batches] == ([10] * (n // 10) if n >= 10 else [n])
        assert all(torch.equal(a, b.float()) for a, b in batches)  # tensors stay aligned
        seen = torch.cat([b for _, b in batches])
        assert len(seen.unique()) == len(seen)
    if n > 9:  # in another order each time
        assert not torch.equal(passes[0][0][1], passes[1][0][1])


def test_rows_left_out_differ_between_passes():
    rows = Rows(torch.arange(19))
    seen = torch.cat([torch.cat([b for (b,) in rows.batches(10)]) for _ in range(20)])
    assert len(seen.unique()) == 19


def test_batches_follow_a_generator():
    rows = Rows(torch.arange(40))
    draws = [list(rows.batches(10, torch.Generator().manual_seed(3))) for _ in range(2)]
    assert all(torch.equal(a, b) for (a,), (b,) in zip(*draws, strict=True))


class Halved(nn.Module):
    """Scales bytes to floats."""

    def forward(self, x):
        return x.float() / 2


def test_rows_are_scaled_when_the_loop_takes_them():
    x = torch.arange(12, dtype=torch.uint8)[:, None]
    rows = Rows(x, torch.arange(12)).scale_later(Halved())
    assert all(batch[0].dtype == torch.uint8 for batch in rows.batches(4))
    assert rows.tensors[0].data_ptr() == x.data_ptr()  # no copy
    seen, net = [], Net()
    net.encoder = nn.Linear(1, 1)

    def loss(net, *batch):
        seen.append([t.flatten().float() for t in (*batch, net.raw)])
        return net.encoder(batch[0]).mean()

    rows, held_out = rows.split(4)
    plan = make_plan(rows, 4, 1, None)
    train(net, make_optimizer(net, 1e-3, 0.0), rows, loss, plan, Draws(0), lambda curve: False)
    held_out_loss(net, held_out, loss, plan, Draws(0))
    outputs(net, held_out, lambda *batch: loss(*batch)[None], 4)
    assert len(seen) == 4  # two steps, and two looks at the rows held out
    for scaled, number, raw in seen:
        assert torch.equal(scaled, number / 2) and torch.equal(raw, number)
    assert net.raw is None


def test_rows_scaled_now_and_later_are_alike():
    rows = Rows(torch.arange(12, dtype=torch.uint8)[:, None], torch.arange(12))
    now, later = rows.scale_now(Halved()), rows.scale_later(Halved())
    assert now.scale is None and torch.equal(now.tensors[0], later.scale(later.tensors[0]))
    assert torch.equal(now.tensors[1], later.tensors[1])


def test_selected_rows_keep_what_belongs_to_them():
    rows = Rows(
        torch.arange(10), share=torch.arange(1, 11) / 10, group=torch.arange(10) // 2
    ).scale_later(Halved())
    some = rows.select(torch.tensor([7, 2, 3]))
    assert some.index.tolist() == [7, 2, 3] and some.scale is rows.scale
    assert some.share.tolist() == rows.share[[7, 2, 3]].tolist()
    assert some.group.tolist() == [1, 0, 0]
    assert some.tensors[0] is rows.tensors[0]


def test_a_plan_of_passes_and_of_a_budget():
    rows = Rows(torch.arange(100))
    assert make_plan(rows, 30, 4, None).n_steps == 12
    assert make_plan(rows, 30, "auto", None).n_steps == auto_steps(90, 30)
    assert make_plan(rows, 500, 2, None).batch_size == 100
    assert make_plan(rows, 30, 1, None, endless=True).rate(10**6) == 1


def test_outputs_leave_the_net_in_its_mode():
    net = Net()
    net.encoder = nn.Dropout(0.5)
    net.head = nn.Linear(1, 1)
    rows = Rows(torch.ones(10, 1))
    for mode in (True, False):
        net.train(mode)
        out = outputs(net, rows, lambda net, x: net.encoder(x), 3)
        assert torch.equal(out, torch.ones(10, 1)) and net.training == mode


def test_rows_in_order():
    rows = Rows(torch.arange(23), -torch.arange(23))
    batches = list(rows.in_order(10))
    assert [len(a) for a, _ in batches] == [10, 10, 3]
    assert torch.equal(torch.cat([a for a, _ in batches]), torch.arange(23))
    assert all(torch.equal(a, -b) for a, b in batches)


def test_rows_of_a_group_are_looked_at_in_different_batches():
    rows = Rows(torch.arange(24), group=torch.arange(24) % 6)
    batches = [batch for (batch,) in rows.in_order(10)]
    assert all(len(set((batch % 6).tolist())) == len(batch) == 6 for batch in batches)
    assert torch.cat(batches).sort().values.tolist() == list(range(24))


def test_some_rows_are_evenly_spaced():
    rows = Rows(torch.arange(10))
    assert rows.some(3).tolist() == [0, 4, 8] and rows.some(5).tolist() == [0, 2, 4, 6, 8]
    assert len(rows.some(10)) == len(rows.some(99)) == len(rows.some()) == 10


def test_a_number_of_rows_is_not_rounded_down():
    """Sums of shares of 0.1 are next to whole numbers, on either side."""
    for n in range(10, 400, 10):
        share = torch.full((n,), 0.1, dtype=torch.float64)
        assert len(Rows(torch.zeros(n), share=share)) == n // 10
        assert _n_dealt(share, 1) == n // 10


def test_batches_without_two_rows_of_a_group_against_a_slow_loop():
    random = np.random.default_rng(0)
    for _ in range(60):
        sizes, batch_size = random.integers(1, 9, random.integers(2, 7)), random.integers(1, 7)
        n = 1  # batches, of which each takes a row from a group at most
        while (
            n < sizes.sum() // batch_size and np.minimum(sizes, n + 1).sum() >= (n + 1) * batch_size
        ):
            n += 1
        assert _n_dealt(torch.from_numpy(sizes), int(batch_size)) == n


def test_small_data_moves_to_the_device_at_once(monkeypatch):
    rows, elsewhere = Rows(torch.zeros(10, 2), torch.zeros(10)), torch.device("meta")
    assert rows.place_on(CPU, 0) is rows
    monkeypatch.setattr(_rows, "BYTES_TO_MOVE", 10 * 3 * 4)
    assert {t.device for t in rows.place_on(elsewhere, 0).tensors} == {elsewhere}
    monkeypatch.setattr(_rows, "BYTES_TO_MOVE", 10 * 3 * 4 - 1)
    assert rows.place_on(elsewhere, 0) is rows


def test_two_rows_are_held_out_and_two_are_left():
    rest, held_out = hold_out(Rows(torch.arange(4)), 0.1)
    assert sorted([*rest.some().tolist(), *held_out.some().tolist()]) == [0, 1, 2, 3]
    assert len(rest) == len(held_out) == 2 and len(hold_out(Rows(torch.zeros(100)), 0.2)[1]) == 20
    with pytest.raises(ValueError, match="holds 2 rows out, which leaves 1 of n_samples = 3"):
        hold_out(Rows(torch.arange(3)), 0.1)
    with pytest.raises(ValueError, match="holds 2 groups out, which leaves 1 of n_groups = 3"):
        hold_out(Rows(torch.arange(6), group=torch.arange(6) // 2), 0.1)


# ---- budgets and rates -------------------------------------------------------------------


def test_the_budget_is_one_of_steps():
    """Small tables are seen often, large ones seldom; every fit has some thousand steps."""
    sizes = [10, 500, 20_000, 100_000, 1_000_000, 10**9]
    steps = [auto_steps(n, min(n, 256)) for n in sizes]
    assert steps == sorted(steps)
    assert 1500 <= steps[0] and steps[-1] == 6000
    passes = [s / _loop.n_batches(n, min(n, 256)) for s, n in zip(steps, sizes, strict=True)]
    assert passes == sorted(passes, reverse=True)
    assert auto_steps(20_000, 256) == 20 * 78 and auto_steps(60_000, 256) == 10 * 234
    assert all(p == int(p) for p in passes[:4])  # whole ones, but for the largest tables


def test_the_default_tasks_of_tables_take_fewer_steps(monkeypatch):
    """A quarter of what others take at least; large tables get their ten passes all the same."""
    assert SSLTransformer._least_steps == 1500
    assert auto_steps(1000, 250, at_least=375) == 376
    assert auto_steps(60_000, 256, at_least=375) == auto_steps(60_000, 256)
    monkeypatch.setattr(SSLTransformer, "_least_steps", 30)
    methods = SCARF(**CHEAP), MultiTask([("scarf", SCARF(), 1.0)], **CHEAP), MultiTask(**CHEAP)
    passes = [len(method.fit(X_IRIS[:50]).loss_curve_) for method in methods]
    assert passes == [30, 30, 375]  # of one step each


class Shallow(SSLTransformer):
    """Notes how many rows its batches have."""

    _modalities = "table", "series"

    def _build(self, net, X):
        self.seen = []

    def _loss(self, net, x):
        self.seen.append(len(x))
        return net.encoder(x).square().mean()


class Narrow(Shallow):
    """One whose rows take long."""

    batch_size: int = 16


def test_an_auto_batch_follows_the_size_of_a_row(monkeypatch):
    """256 rows; fewer where those have more than 16 million numbers, or the method says so."""
    assert [auto_batch(n) for n in (1, 2**16, 2**16 + 1, 224 * 224 * 3)] == [256, 256, 128, 64]
    assert auto_batch(10**9) == 32
    monkeypatch.setattr(_loop, "NUMBERS_PER_STEP", 256 * 10)
    X = np.random.default_rng(0).standard_normal((300, 1, 11), dtype=np.float32)

    def sizes(method, X, **params):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(X.shape[2], 1))
        return set(method(encoder=encoder, max_epochs=1, **params).fit(X).seen)

    assert sizes(Shallow, X[:, :, 1:]) == {256} and sizes(Shallow, X) == {128}
    assert sizes(Shallow, X[:40]) == {40} and sizes(Shallow, X, batch_size=200) == {200}
    assert sizes(Narrow, X) == sizes(Narrow, X, batch_size="auto") == {16}


def test_long_rows_are_read_less_often():
    """The budget of 10 million places: of 2000 rows in 7 batches of 256, and at least once."""
    assert auto_steps(2000, 256, 20) == auto_steps(2000, 256)
    assert auto_steps(2000, 256, 500) == 7 * (_loop.PLACES // (7 * 256 * 500)) == 77
    assert auto_steps(2000, 256, 10**9) == 7


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 300, 8000])
def test_one_cycle(n_steps):
    rate = one_cycle(n_steps)
    rates = [rate(step) for step in range(n_steps)]
    assert all(0 < r <= 1 for r in rates)
    top = int(np.argmax(rates))
    assert top <= n_steps // 5 and rates[top] > 0.85
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    if n_steps >= 300:
        assert rates[0] < 0.1 and rates[-1] < 0.01
        gaps = np.diff(rates[: top // 2])
        np.testing.assert_allclose(gaps, gaps[0], rtol=0.05)  # the warm-up is a line


def test_rates_are_those_of_the_formula():
    """Warm-up over a tenth of the steps, 500 at most; half a cosine from the first to the last."""

    def decay(share):
        return (1 + math.cos(math.pi * share)) / 2

    assert [one_cycle(19)(step) for step in (0, 1, 9)] == pytest.approx(
        [1, decay(1 / 19), decay(9 / 19)]
    )
    assert [one_cycle(100)(step) for step in (0, 4, 9, 50)] == pytest.approx(
        [0.1, 0.5 * decay(0.04), decay(0.09), 0.5]
    )
    assert [one_cycle(8000)(step) for step in (0, 249, 499, 6000)] == pytest.approx(
        [1 / 500, 0.5 * decay(249 / 8000), decay(499 / 8000), decay(0.75)]
    )
    assert constant()(49) == 0.5


def test_constant_rate_of_a_stream():
    rates = [constant(10)(step) for step in range(30)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10) and set(rates[9:]) == {1.0}


def test_parts_have_a_pace_of_their_own():
    net = nn.Module()
    net.encoder, net.predictor, net.frozen = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 3)
    net.frozen.requires_grad_(False)
    net.lr_scale = {"predictor": 10.0}
    optimizer = make_optimizer(net, 1e-3, 0.01)
    peak = {id(p): g["peak"] for g in optimizer.param_groups for p in g["params"]}
    assert {peak[id(p)] for p in net.encoder.parameters()} == {1e-3}
    assert {peak[id(p)] for p in net.predictor.parameters()} == {1e-2}
    assert len(peak) == 4  # what is frozen is not stepped
    assert all(g["weight_decay"] == 0.01 for g in optimizer.param_groups)
    assert optimizer.defaults["fused"]


class Paced(Toy):
    """A method whose head stands still."""

    def _build(self, net, X):
        super()._build(net, X)
        net.lr_scale = {"head": 0.0}
        self.start = [p.detach().clone() for p in net.head.parameters()]
        self.net = net


def test_pace_is_kept_through_a_fit():
    paced = Paced(max_epochs=3, weight_decay=0.1, **CHEAP).fit(X_IRIS)
    for before, after in zip(paced.start, paced.net.head.parameters(), strict=True):
        assert torch.equal(before, after)
    assert paced.loss_curve_[-1] < paced.loss_curve_[0]  # the encoder moved


# ---- the loop ----------------------------------------------------------------------------


class Clock(Toy):
    """A method that writes down what the loop shows it."""

    def _build(self, net, X):
        super()._build(net, X)
        self.log = []

    def _loss(self, net, x):
        self.log.append((net.step, net.progress, net.training, x.clone()))
        return super()._loss(net, x)


def test_the_clock():
    clock = Clock(max_epochs=4, **CHEAP).fit(X_IRIS)
    steps, progress, training, _ = zip(*clock.log, strict=True)
    assert steps == tuple(range(12))
    assert progress == pytest.approx(np.arange(12) / 12)
    assert all(training)
    clock = Clock(max_epochs=4, n_iter_no_change=9, **CHEAP).fit(X_IRIS)
    trained = [entry for entry in clock.log if entry[2]]
    looked = [entry for entry in clock.log if not entry[2]]
    assert [e[0] for e in trained] == list(range(8)) and len(looked) == 4
    assert all(len(e[3]) == 15 for e in looked)


def test_the_clock_of_a_stream_goes_on():
    clock = Clock(**CHEAP)
    steps = []
    for _ in range(3):
        clock.partial_fit(X_IRIS)
        log = getattr(clock, "log", [])
        steps += [entry[0] for entry in log]
        assert all(entry[1] == 0.0 for entry in log)
        log.clear()
    assert steps == list(range(9))


def test_warm_start_goes_on_counting():
    clock = Clock(max_epochs=2, warm_start=True, **CHEAP).fit(X_IRIS)
    clock.log.clear()
    clock.fit(X_IRIS)
    assert [entry[0] for entry in clock.log] == list(range(6, 12))
    assert [entry[1] for entry in clock.log] == pytest.approx(np.arange(6) / 6)


def test_long_epochs_are_reported_in_parts(monkeypatch):
    monkeypatch.setattr(_loop, "STEPS_PER_REPORT", 3)
    X = np.random.default_rng(0).normal(size=(70, 3))
    clock = Clock(max_epochs=3, encoder=nn.Linear(3, 2), **{**CHEAP, "batch_size": 10}).fit(X)
    assert len(clock.log) == 21 and clock.n_iter_ == len(clock.loss_curve_) == 7
    for start in range(0, 21, 7):  # a pass still holds each row once
        rows = torch.cat([entry[3] for entry in clock.log[start : start + 7]])
        assert len(rows.unique(dim=0)) == 70
    monkeypatch.setattr(_loop, "STEPS_PER_REPORT", 5)  # 21 = 4 x 5 + 1: the last is shorter
    again = clone(clock).fit(X)
    assert again.n_iter_ == 5
    whole = np.array(clock.loss_curve_) @ np.full(7, 3)
    assert np.array(again.loss_curve_) @ [5, 5, 5, 5, 1] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("n_iter_no_change", [None, 3])
def test_no_epoch_at_all(n_iter_no_change, capsys):
    """The untrained encoder is the baseline that training has to beat."""
    params = {**CHEAP, "n_iter_no_change": n_iter_no_change, "verbose": True}
    clock = Clock(max_epochs=0, warm_start=True, **params).fit(X_IRIS)
    assert clock.log == [] and clock.loss_curve_ == [] and clock.n_iter_ == 0
    assert np.isfinite(clock.transform(X_IRIS)).all() and capsys.readouterr().out == ""
    clock.set_params(max_epochs=2).fit(X_IRIS)
    assert clock.n_iter_ == 2 and clock.log[0][0] == 0


def test_loss_curve_is_the_mean_of_the_steps():
    class Spy(Toy):
        def _loss(self, net, x):
            value = super()._loss(net, x)
            seen.append(value.item())
            return value

    seen = []
    spy = Spy(max_epochs=2, **CHEAP).fit(X_IRIS)
    expected = np.mean(np.reshape(seen, (2, 3)), 1)
    np.testing.assert_allclose(spy.loss_curve_, expected, rtol=1e-5)


class Noted(Rows):
    """Notes what the loop asks for."""

    def place_on(self, device, n_taken):
        self.asked = device, n_taken
        return super().place_on(device, n_taken)


def trained(net, loss, n_steps, rate):
    """Train with plain gradient descent, and return the rows."""
    rows = Noted(torch.zeros(4, 1))
    groups = [{"params": list(net.parameters()), "peak": rate}]
    plan = make_plan(rows, 4, n_steps, None)
    optimizer = torch.optim.SGD(groups, lr=rate)
    train(net, optimizer, rows, loss, plan, Draws(0, CPU), lambda curve: False)
    return rows


def test_steps_are_those_of_a_slow_loop():
    """A gradient is of one batch, and at most of length 1; the rate is that of the plan."""
    targets = torch.tensor([[3.0, 0.0], [0.0, 0.2], [0.0, -5.0], [0.1, 0.1]])
    net = Net()
    net.weight = nn.Parameter(torch.zeros(2))
    rows = trained(net, lambda net, x: (net.weight - targets[net.step]).square().sum(), 4, 0.1)
    expected = torch.zeros(2)
    for step, target in enumerate(targets):
        gradient = 2 * (expected - target)
        rate = 0.1 * (1 + math.cos(math.pi * step / 4)) / 2
        expected = expected - rate * gradient / max(1, gradient.norm())
    torch.testing.assert_close(net.weight.detach(), expected, rtol=1e-4, atol=1e-6)
    assert net.step == 4 and rows.asked == (CPU, 4 * 4)


def test_what_only_shows_has_a_gradient_of_its_own():
    def loss(net, x):
        net.display_loss = 1e3 * net.shown.sum()
        return 0.5 * net.weight.sum()

    net = Net()
    net.weight, net.shown = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    trained(net, loss, 1, 1.0)
    assert net.weight.tolist() == [-0.5, -0.5]  # shorter than 1
    assert net.shown.tolist() == pytest.approx([-(0.5**0.5)] * 2, rel=1e-4)  # clipped to 1


class Elsewhere(torch.Tensor):
    """A tensor that can be told from its copy on the CPU."""

    def cpu(self):
        return "on the CPU"


def test_every_tensor_of_a_state_comes_to_the_cpu():
    there = torch.zeros(2).as_subclass(Elsewhere)
    state = {"state": {0: {"step": there, "eps": 1e-8}}, "groups": [{"params": [0]}, there]}
    assert _loop.on_cpu(state) == {
        "state": {0: {"step": "on the CPU", "eps": 1e-8}},
        "groups": [{"params": [0]}, "on the CPU"],
    }


class Spike(Toy):
    """A method with one step whose gradient is a hundred million times too large."""

    def _loss(self, net, x):
        error = super()._loss(net, x)
        Spike.last = error.item()
        return error * (1e8 if net.step == 3 else 1.0)


def test_gradients_are_clipped():
    """AdamW remembers the size of gradients for a thousand steps: one spike would stop it."""
    params = {"max_epochs": 60, "encoder": nn.Linear(4, 8), "learning_rate": 0.01, **CHEAP}
    plain = Toy(**params).fit(X_IRIS).loss_curve_
    Spike(**params).fit(X_IRIS)
    assert Spike.last < 3 * plain[-1] < 0.3 * plain[0]


class Breaks(Toy):
    """A method whose loss is NaN from its fifth step on."""

    def _loss(self, net, x):
        return super()._loss(net, x) * (math.nan if net.step >= 4 else 1.0)


def test_a_loss_that_is_not_finite_is_said():
    with pytest.raises(ValueError, match=r"became nan in epoch 2\. Lower learning_rate.*float32"):
        Breaks(max_epochs=3, **CHEAP).fit(X_IRIS)
    with pytest.raises(ValueError, match="became (inf|nan) in epoch 1"):
        Toy(pull=math.inf, max_epochs=3, **CHEAP).fit(X_IRIS)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_smallest_tables_are_fitted(n):
    """Batch normalisation refuses one row: no batch may hold a single one."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    for batch_size in (2, 3, 256):
        toy = Toy(n_components=4, max_epochs=2, batch_size=batch_size, random_state=0).fit(X)
        assert np.isfinite(toy.transform(X)).all()
    with pytest.raises(ValueError, match="'batch_size' parameter of Toy must be .* \\[2, inf"):
        Toy(batch_size=1).fit(X)


def test_repeated_fits_have_one_loss_curve():
    toy = Toy(max_epochs=5, **CHEAP)
    curves = [clone(toy).fit(X_IRIS).loss_curve_ for _ in range(2)]
    curves.append(toy.fit(X_IRIS).fit(X_IRIS).loss_curve_)
    assert curves[0] == curves[1] == curves[2]


def test_a_fit_after_a_stream_is_forgotten_by_neither():
    """`partial_fit` goes on from whatever was fitted last, `fit` starts again."""
    plain = Toy(max_epochs=20, learning_rate=0.01, **CHEAP).fit(X_IRIS)
    toy = Toy(max_epochs=20, learning_rate=0.01, **CHEAP).partial_fit(X_IRIS[:50])
    assert toy.fit(X_IRIS).loss_curve_ == plain.loss_curve_
    Z = toy.transform(X_IRIS)
    moved = np.abs(toy.partial_fit(X_IRIS).transform(X_IRIS) - Z).mean()
    wanted = np.abs(plain.partial_fit(X_IRIS).transform(X_IRIS) - Z).mean()
    assert moved == pytest.approx(wanted, rel=1e-4)
    wider = np.hstack([X_IRIS, X_IRIS])
    assert toy.fit(wider).partial_fit(wider).n_features_in_ == 8


# ---- precision and device ----------------------------------------------------------------


class Dtypes(Toy):
    """A method that notes the dtype its embeddings are computed in."""

    def _build(self, net, X):
        super()._build(net, X)
        self.seen = set()

    def _loss(self, net, x):
        z = net.encoder.body(net.encoder.front(x))
        self.seen.add(net.head(z).dtype)
        return super()._loss(net, x)


@pytest.mark.parametrize("n_iter_no_change", [None, 50])
def test_precision(n_iter_no_change):
    curves = {}
    for precision, dtype in {"float32": torch.float32, "bfloat16": torch.bfloat16}.items():
        params = {**CHEAP, "precision": precision, "n_iter_no_change": n_iter_no_change}
        toy = Dtypes(max_epochs=30, learning_rate=0.01, **params).fit(X_IRIS)
        curves[precision] = toy.loss_curve_
        assert toy.seen == {dtype}
        assert toy.transform(X_IRIS).dtype == np.float32
        assert {p.dtype for p in toy.encoder_.parameters()} == {torch.float32}
    assert curves["bfloat16"] != curves["float32"]
    assert curves["bfloat16"][-1] < 0.5 * curves["bfloat16"][0]
    assert curves["bfloat16"] == pytest.approx(curves["float32"], rel=0.25)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="device='cuda' cannot be used here.*device='cpu'"):
        Toy(device="cuda", **CHEAP).fit(X_IRIS)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", CPU, "auto"])
def test_devices(device):
    toy = Toy(device=device, max_epochs=1, **CHEAP).fit(X_IRIS)
    assert {p.device.type for p in toy.encoder_.parameters()} == {"cpu"}


def test_a_device_that_never_was_is_said():
    with pytest.raises(ValueError, match="device='abacus' cannot be used here"):
        Toy(device="abacus", **CHEAP).fit(X_IRIS)


# ---- early stopping ----------------------------------------------------------------------

EARLY = {**CHEAP, "n_iter_no_change": 3, "validation_fraction": 0.2}
STILL = {"learning_rate": 1e-30, "weight_decay": 0.0}


@pytest.mark.parametrize("method", [SCARF, VIME])
def test_held_out_views_stay_the_same(method):
    """A net that does not change has one held-out loss, though its views are random."""

    class Still(method):
        def _build(self, net, X):
            super()._build(net, X)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.momentum = 0.0  # nor may a head's running averages move

    still = Still(max_epochs=4, **STILL, **{**EARLY, "n_iter_no_change": 9}).fit(X_IRIS)
    assert len(still.validation_loss_curve_) == 4
    assert len(set(still.validation_loss_curve_)) == 1
    assert len(set(still.loss_curve_)) == 4  # the training views go on changing


def test_an_unchanged_loss_stops():
    still = Toy(max_epochs=50, encoder=nn.Linear(4, 8), **STILL, **EARLY).fit(X_IRIS)
    assert still.n_iter_ == len(still.validation_loss_curve_) == 4  # the first and 3 no better
    assert len(still.loss_curve_) == 4


def test_a_falling_loss_does_not_stop():
    falling = Toy(max_epochs=12, **EARLY).fit(X_IRIS)
    assert falling.n_iter_ == 12
    assert falling.validation_loss_curve_[-1] < falling.validation_loss_curve_[0]


class Overfits(Toy):
    """A method that gets better for a third of its time and then worse and worse."""

    def _loss(self, net, x):
        error = super()._loss(net, x)
        return -error if net.training and net.progress > 0.3 else error


def test_the_best_weights_come_back():
    class Watched(Overfits):
        def _build(self, net, X):
            super()._build(net, X)
            self.net = net

    params = {**EARLY, "n_iter_no_change": 100, "learning_rate": 0.01, "encoder": nn.Linear(4, 8)}
    watched = Watched(max_epochs=30, **params).fit(X_IRIS)
    curve = watched.validation_loss_curve_
    assert 3 < int(np.argmin(curve)) < 25 and curve[-1] > 1.5 * min(curve)
    x = watched.encoder_[0](torch.from_numpy(X_IRIS))
    with torch.no_grad():
        error = F.mse_loss(watched.net.head(watched.encoder_[1](x)), x).item()
    assert error == pytest.approx(min(curve), rel=0.4)
    assert error < 0.7 * curve[-1]
    stopped = Watched(max_epochs=30, **{**params, "n_iter_no_change": 3}).fit(X_IRIS)
    assert stopped.n_iter_ == np.argmin(curve) + 1 + 3
    np.testing.assert_allclose(stopped.validation_loss_curve_, curve[: stopped.n_iter_])
    np.testing.assert_allclose(stopped.transform(X_IRIS), watched.transform(X_IRIS), rtol=1e-5)


def test_held_out_rows_are_not_trained_on():
    clock = Clock(max_epochs=3, encoder=nn.Linear(1, 2), **{**EARLY, "batch_size": 40})
    clock.fit(np.arange(100.0)[:, None])
    trained = torch.cat([e[3] for e in clock.log if e[2]]).unique()
    held_out = torch.cat([e[3] for e in clock.log if not e[2]]).unique()
    assert len(trained) == 80 and len(held_out) == 20
    assert not torch.isin(held_out, trained).any()


def test_early_stopping_needs_rows():
    with pytest.raises(ValueError, match="holds 2 rows out, which leaves 1 of n_samples = 3"):
        Toy(max_epochs=2, **EARLY).fit(X_IRIS[:3])
    Toy(max_epochs=2, **EARLY).fit(X_IRIS[:4])
    with pytest.raises(ValueError, match="holds 29 rows out"):
        Toy(max_epochs=2, **{**EARLY, "validation_fraction": 0.98}).fit(X_IRIS[:30])


def test_streams_do_not_stop_early():
    toy = Toy(**EARLY).partial_fit(X_IRIS)
    assert not hasattr(toy, "validation_loss_curve_")


def test_patience():
    net = nn.Linear(1, 1)
    patience = Patience(2)
    for value, stop in [(3.0, False), (2.0, False), (2.5, False), (1.0, False), (1.5, False)]:
        nn.init.constant_(net.weight, value)
        assert patience(net, value) is stop
    nn.init.constant_(net.weight, 9.0)
    assert patience(net, 1.2) is True
    assert patience.best["weight"].item() == 1.0 and patience.curve[-1] == 1.2


# ---- seeds and threads -------------------------------------------------------------------


def test_threads_do_not_disturb_each_other():
    names = [(cls, seed) for cls in (SCARF, VIME) for seed in (0, 1)]
    params = {**CHEAP, "max_epochs": 8, "batch_size": 20}

    def fit(cls, seed):
        return cls(**{**params, "random_state": seed}).fit(X_IRIS).transform(X_IRIS)

    alone = {name: fit(*name) for name in names}
    together = {}
    start = threading.Barrier(len(names))

    def work(name):
        start.wait()
        together[name] = fit(*name)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        np.testing.assert_allclose(together[name], alone[name], atol=1e-3)
    for one, other in itertools.combinations(names, 2):
        assert not np.allclose(together[one], together[other], atol=0.1)


# ---- compiled ----------------------------------------------------------------------------


@pytest.mark.slow  # seconds of a compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own
def test_compiled_training_is_plain_training():
    plain, compiled = (SCARF(compile=c, max_epochs=2, **CHEAP).fit(X_IRIS) for c in (False, True))
    np.testing.assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(compiled.transform(X_IRIS), plain.transform(X_IRIS), atol=1e-3)
    again = pickle.loads(pickle.dumps(compiled))
    assert np.array_equal(again.transform(X_IRIS), compiled.transform(X_IRIS))


def test_the_encoder_is_compiled_in_training_only(monkeypatch):
    calls = []

    def compile(module):
        def call(*args):
            calls.append(type(module))
            return module.forward(*args)

        module._compiled_call_impl = call

    monkeypatch.setattr(_compat.shutil, "which", lambda name: name)
    monkeypatch.setattr(nn.Module, "compile", compile)
    SCARF(max_epochs=1, **CHEAP).fit(X_IRIS)
    assert not calls
    scarf = SCARF(compile=True, max_epochs=1, **CHEAP).fit(X_IRIS)
    assert set(calls) == {type(scarf.encoder_[1])}
    n_calls = len(calls)
    scarf.transform(X_IRIS)
    assert len(calls) == n_calls > 0


def test_compiling_asks_for_a_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="needs a C.. compiler.*compile=False"):
        SCARF(compile=True, max_epochs=1).fit(X_IRIS)


def test_making_a_report_does_nothing():
    rows = Rows(torch.arange(20.0)[:, None])
    estimator = SCARF().set_callbacks(Failing())
    before, state = dict(vars(estimator)), torch.get_rng_state()
    plan = make_plan(rows, 5, 3, None)
    report = Report(estimator, {}, Untouchable(), None, plan, rows, None, 0, Draws(0))
    assert vars(estimator) == before and torch.equal(torch.get_rng_state(), state)
    assert report.n_epochs == 3 and not report.place.curve and report.untrained is None


class Untouchable(Net):
    """A net that nobody may run or move."""

    def forward(self, *batch):
        raise AssertionError("The net was run.")

    parameters = state_dict = train = forward


class Failing:
    """A callback that nobody may open."""

    def setup(self, estimator, context):
        raise AssertionError("The callbacks were opened.")

    teardown = on_fit_task_begin = on_fit_task_end = setup
