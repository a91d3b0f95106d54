"""Views: how cells are swapped, and what a user's own views may be."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

from skssl import SCARF, VIME, DenoisingAutoencoder, MultiTask
from skssl.views import (
    UserViews,
    Views,
    _batches,
    _table,
    _tokens,
    altered,
    drop_tokens,
    mask_cells,
    mask_tokens,
    original,
    solarize,
    swap_cells,
)
from skssl.views._lists import make_views

NAN = float("nan")
X_IRIS = load_iris().data
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def seeded():
    """Views draw from torch's own generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def same(a, b):
    """Equal cell by cell, holes included."""
    return torch.equal(a.nan_to_num(-7e7), b.nan_to_num(-7e7)) and torch.equal(a.isnan(), b.isnan())


def rows_as_cells(n, d):
    """A batch whose every cell names its row."""
    return torch.arange(float(n)).repeat(d, 1).T.contiguous()


@pytest.mark.parametrize("p", [0.05, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("n", [2, 7, 256])
def test_swap_rate(n, p):
    d = 100_000 // n
    x = rows_as_cells(n, d)
    changed = altered(x, swap_cells(x, p)).float()
    expected = p * (1 - 1 / n)  # one donor in n is the row itself
    tolerance = 5 * (expected * (1 - expected) / (n * d)) ** 0.5
    assert changed.mean().item() == pytest.approx(expected, abs=tolerance)
    last = changed[-1].mean().item()  # what the clamp of the donor's index would crowd on
    assert last == pytest.approx(expected, abs=tolerance * n**0.5)


@pytest.mark.parametrize("p", [0.02, 0.3, 1.0])
def test_every_row_is_a_donor_equally_often(p):
    n, d = 8, 200_000
    x = rows_as_cells(n, d)
    view = swap_cells(x, p)
    for row in range(n):
        others = torch.bincount(view[row][view[row] != row].long(), minlength=n).double()
        others = torch.cat([others[:row], others[row + 1 :]])
        expected = p * d / n
        chi2 = ((others - expected).square() / expected).sum().item()
        assert chi2 < 30  # 7 degrees of freedom: exceeded once in 10 000 times
    if p == 1:  # the row itself is as likely as any other
        assert (view == x).double().mean().item() == pytest.approx(1 / n, abs=0.005)


def test_swaps_are_independent_between_cells():
    x = rows_as_cells(64, 20_000)
    view = swap_cells(x, 0.5)
    changed = altered(x, view)
    both = (changed[:, ::2] & changed[:, 1::2]).double().mean().item()
    assert both == pytest.approx(changed.double().mean().item() ** 2, abs=0.003)
    same_donor = (view[:, ::2] == view[:, 1::2])[changed[:, ::2] & changed[:, 1::2]]
    assert same_donor.double().mean().item() == pytest.approx(1 / 63, abs=0.003)


def test_swap_cells_keeps_columns_codes_and_holes():
    n = 4000
    numbers = torch.randn(n)
    codes = torch.randint(0, 5, (n,)).float()
    holes = torch.where(torch.rand(n) < 0.25, NAN, torch.ones(n))
    x = torch.stack([numbers, codes, holes], 1)
    view = swap_cells(x, 0.7)
    assert view.shape == x.shape and view.dtype == x.dtype
    assert torch.isin(view[:, 0], numbers).all()  # every number is one of its column's
    assert torch.isin(view[:, 1], torch.arange(5.0)).all()
    assert view[:, 0].mean().item() == pytest.approx(numbers.mean().item(), abs=0.1)
    assert view[:, 0].std().item() == pytest.approx(numbers.std().item(), abs=0.1)
    share = torch.bincount(view[:, 1].long()) / n
    torch.testing.assert_close(share, torch.bincount(codes.long()) / n, atol=0.04, rtol=0)
    assert view[:, 2].isnan().double().mean().item() == pytest.approx(0.25, abs=0.04)
    moved = holes.isnan() != view[:, 2].isnan()  # holes come and holes go
    assert moved.double().mean().item() == pytest.approx(0.7 * 2 * 0.25 * 0.75, abs=0.04)


def test_swap_cells_extremes():
    x = torch.randn(50, 6)
    assert torch.equal(swap_cells(x, 0.0), x)
    assert torch.equal(swap_cells(x[:1], 1.0), x[:1])  # a row alone has no other donor
    assert not torch.equal(swap_cells(x, 1.0), x)
    assert torch.equal(original(x), x)
    pair = rows_as_cells(2, 50)
    assert torch.equal(swap_cells(pair, 1.0, exact=True), pair.flip(0))  # the only other row
    wide = torch.randn(5, 3, dtype=torch.float64)
    assert swap_cells(wide).dtype == torch.float64


ROWS, TOKENS, IMAGES = torch.ones(4, 6), torch.full((4, 6), 7), torch.ones(4, 1, 2, 2)
AT_ZERO = {
    "swap_cells": lambda: (ROWS, swap_cells(ROWS, 0.0)),
    "mask_cells": lambda: (ROWS, mask_cells(ROWS, 0.0)),
    "drop_tokens": lambda: (TOKENS, drop_tokens(TOKENS, 0.0)),
    "mask_tokens": lambda: (TOKENS, mask_tokens(TOKENS, 9, 0.0)[0]),
    "solarize": lambda: (IMAGES, solarize(IMAGES, 0.0)),
}


@pytest.mark.parametrize("name", AT_ZERO)
def test_a_probability_of_0_alters_nothing_whatever_is_drawn(name, monkeypatch):
    """The least of the numbers in [0, 1) is 0."""
    for module in (_batches, _table, _tokens):
        monkeypatch.setattr(module, "rand", lambda *shape, **given: torch.zeros(*shape))
    assert torch.equal(*AT_ZERO[name]())


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_views_do_not_write(p):
    x = torch.randn(30, 4)
    x[0, 0] = NAN
    before = x.clone()
    view = swap_cells(x, p)
    assert same(x, before)
    assert p == 0 or view.data_ptr() != x.data_ptr()


def test_views_follow_torch_s_seed():
    x = torch.randn(30, 4)
    torch.manual_seed(3)
    first, second = swap_cells(x), swap_cells(x)
    torch.manual_seed(3)
    assert torch.equal(swap_cells(x), first)
    assert not torch.equal(first, second)


def test_altered():
    x = torch.tensor([[1.0, 2.0, NAN, NAN, 0.0]])
    view = torch.tensor([[1.0, 3.0, NAN, 5.0, NAN]])
    assert altered(x, view).tolist() == [[False, True, False, True, True]]


def test_views_are_a_list_of_functions():
    x = torch.arange(6.0).reshape(3, 2)
    views = Views((original, torch.neg, partial(torch.mul, other=2.0)))
    assert len(views) == 3
    for view, expected in zip(views(x), (x, -x, 2 * x), strict=True):
        assert torch.equal(view, expected)
    assert len(pickle.loads(pickle.dumps(views))(x)) == 3


def test_a_callable_that_returns_a_tensor_is_called_once_a_view():
    x, calls = torch.zeros(4, 2), []

    def count(x):
        calls.append(len(x))
        return x + len(calls)

    views = UserViews(count, 3)(x)
    assert [v.mean().item() for v in views] == [1.0, 2.0, 3.0] and calls == [4, 4, 4]


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_callable_that_returns_a_list_is_called_once(kind):
    x, calls = torch.zeros(4, 1, 2), []

    def crops(x):
        calls.append(1)
        return kind([x, x + 1, x[..., :1]])  # sizes of views may differ, but not a table's

    assert [v.shape for v in UserViews(crops, 2)(x)] == [(4, 1, 2), (4, 1, 2), (4, 1, 1)]
    assert len(calls) == 1
    with pytest.raises(ValueError, match=r"got \(4, 1\)"):
        UserViews(lambda x: x[:, :1], 1)(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="got .*float64"):
        UserViews(torch.Tensor.double, 1)(torch.zeros(4, 2))


def test_views_may_change_the_size_of_images_and_the_length_of_texts():
    images, tokens = torch.zeros(4, 3, 5, 5), torch.ones(4, 6, dtype=torch.int64)
    for x in (images, tokens):
        assert UserViews(lambda x: x[:, :2], 1)(x)[0].shape == (4, 2, *x.shape[2:])


@pytest.mark.parametrize(
    ("function", "n_views", "message"),
    [
        (lambda x: x[:2], 1, r"the 4 rows, .*; got \(2, 3\), "),
        (lambda x: [x, x[1:]], 2, r"the 4 rows, .*; got \(3, 3\), "),
        (lambda x: [x.numpy()], 1, "altered batch, or a list of them.* got ndarray"),
        (lambda x: [x], 2, "compares 2 views, but views= returned 1"),
        (lambda x: [], 1, "compares 1 views, but views= returned 0"),
        (lambda x: None, 1, "altered batch, or a list of them.* got NoneType"),
        (lambda x: x.sum(), 1, r"the 4 rows, .*; got \(\), "),
    ],
    ids=["fewer rows", "uneven", "numpy", "too few", "none", "nothing", "scalar"],
)
def test_what_a_user_s_views_may_not_be(function, n_views, message):
    with pytest.raises(ValueError, match=message):
        UserViews(function, n_views)(torch.zeros(4, 3))


def test_make_views():
    default = Views((original, swap_cells))
    assert make_views("auto", default) is default
    assert make_views(torch.neg, default) == UserViews(torch.neg, 2)
    assert make_views(torch.neg, Views(())).n_views == 1


class Jitter(nn.Module):
    """A view that is a module and counts what it is asked."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x):
        self.batches.append(x.shape)
        return x + 0.1 * torch.randn_like(x)


def jitter(x):
    return x + 0.1 * torch.randn_like(x)


def two_jitters(x):
    return [jitter(x), jitter(x)]


METHODS = {
    "SCARF": (SCARF, 2),
    "VIME": (VIME, 1),
    "DenoisingAutoencoder": (DenoisingAutoencoder, 1),
    "MultiTask": (MultiTask, 2),
}


@pytest.mark.parametrize("method", METHODS)
def test_estimators_take_a_module_as_views(method):
    cls, n_views = METHODS[method]
    module = Jitter()
    fitted = cls(views=module, **CHEAP).fit(X_IRIS)
    assert module.batches == [(50, 4)] * (2 * 3 * n_views)  # 2 epochs of 3 batches
    assert np.isfinite(fitted.transform(X_IRIS)).all()
    assert len(module.batches) == 6 * n_views  # transform alters nothing


@pytest.mark.parametrize("views", ["auto", jitter, two_jitters], ids=["auto", "one", "list"])
@pytest.mark.parametrize("method", METHODS)
def test_views_are_kept(method, views):
    cls, n_views = METHODS[method]
    fitted = cls(views=views, **CHEAP).fit(X_IRIS)
    x = fitted.encoder_[0](torch.from_numpy(X_IRIS))
    for kept in (fitted.views_, pickle.loads(pickle.dumps(fitted)).views_):
        made = kept(x)
        assert len(made) == (2 if views is two_jitters else n_views)
        assert all(v.shape == x.shape for v in made)
        assert any(not torch.equal(v, x) for v in made)


@pytest.mark.parametrize("method", METHODS)
def test_user_s_views_change_what_is_learnt(method):
    cls, _ = METHODS[method]
    losses = {
        name: cls(views=views, **CHEAP).fit(X_IRIS).loss_curve_
        for name, views in {"auto": "auto", "jitter": jitter, "list": two_jitters}.items()
    }
    assert losses["auto"] != losses["jitter"]
    if cls is SCARF:  # one tensor, asked for twice, is a list of two
        assert losses["jitter"] == losses["list"]


def test_a_wrong_view_is_said_by_fit():
    with pytest.raises(ValueError, match="compares 2 views, but views= returned 1"):
        SCARF(views=lambda x: [x], **CHEAP).fit(X_IRIS)
    with pytest.raises(ValueError, match="the 50 rows, the columns"):
        VIME(views=lambda x: x[::2], **CHEAP).fit(X_IRIS)
    with pytest.raises(ValueError, match="The 'views' parameter of VIME"):
        VIME(views=3, **CHEAP).fit(X_IRIS)
