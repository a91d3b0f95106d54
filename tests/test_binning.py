"""Quantile bins as targets: the bins, the method of that name, and the option of others."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.preprocessing import KBinsDiscretizer

from skssl import VIME, BinningPretext, DenoisingAutoencoder, MultiTask
from skssl._data._columns import Columns
from skssl._data._draws import Draws
from skssl.encoders import Bins
from skssl.losses import cell_error

NAN = float("nan")
X_IRIS = load_iris().data
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}
MIXED = Columns((0, 3, 0, 0, 2))


def mixed(n=60, seed=0):
    """Three numbers, one of them of four values, two categories, and holes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator)
    x[:, 1] = torch.randint(0, 3, (n,), generator=generator)
    x[:, 3] = torch.randint(0, 4, (n,), generator=generator)
    x[:, 4] = torch.randint(0, 2, (n,), generator=generator)
    x[torch.rand(x.shape, generator=generator) < 0.1] = NAN
    return x


def slow_bins(column, n_bins):
    """The index of each number's bin, one at a time; holes give None."""
    known = sorted(v for v in column if not math.isnan(v))
    values = sorted(set(known))
    cuts = values[1:]
    if len(values) > n_bins:
        at = [math.ceil(Fraction((len(known) - 1) * i, n_bins)) for i in range(1, n_bins)]
        cuts = sorted({known[i] for i in at} - {values[0]}) or values[1:2]
    return [None if math.isnan(v) else sum(v >= cut for cut in cuts) for v in column]


@pytest.mark.parametrize("n_bins", [2, 4, 10])
def test_bins_equal_loop(n_bins):
    x = mixed(61)
    codes = Bins(x, MIXED, n_bins, classes=True)
    target, scaled = codes(x), Bins(x, MIXED, n_bins)(x)
    for j in (0, 2, 3):
        expected = slow_bins(x[:, j].tolist(), n_bins)
        known = np.array([i for i in expected if i is not None])
        assert codes.columns.cardinality[j] == known.max() + 1 <= n_bins
        for i, index in enumerate(expected):
            if index is None:
                assert target[i, j].isnan() and scaled[i, j].isnan()
            else:
                assert target[i, j] == index
                standard = (index - known.mean()) / known.std()
                assert scaled[i, j].item() == pytest.approx(standard, abs=1e-4)
    for j in (1, 4):
        assert torch.equal(target[:, j].nan_to_num(9), x[:, j].nan_to_num(9))
        assert torch.equal(scaled[:, j].nan_to_num(9), x[:, j].nan_to_num(9))
    assert codes.columns.cardinality[1] == 3 and Bins(x, MIXED).columns == MIXED


def test_bins_agree_with_scikit_learn():
    x = torch.randn(1001, 2, generator=torch.Generator().manual_seed(0))
    other = KBinsDiscretizer(
        5, encode="ordinal", strategy="quantile", quantile_method="linear", subsample=None
    )
    expected = other.fit_transform(x.numpy())
    assert (Bins(x, Columns((0, 0)), 5, classes=True)(x).numpy() == expected).mean() > 0.99


def test_bins_of_odd_columns():
    """Constant, empty, nearly constant, and one of two values."""
    x = torch.zeros(100, 4)
    x[:, 1] = NAN
    x[:3, 2] = torch.tensor([1.0, 2.0, 3.0])
    x[:, 3] = torch.arange(100) % 2
    x[:, 2] += torch.linspace(0, 1e-3, 100) * (x[:, 2] > 0)
    columns = Columns((0,) * 4)
    codes = Bins(x, columns, 3, classes=True)
    assert codes.columns.cardinality == (1, 1, 2, 2)
    assert codes(x)[:4, 2].tolist() == [1, 1, 1, 0] and torch.equal(codes(x)[:, 3], x[:, 3])
    scaled = Bins(x, columns, 3)(x)
    assert (scaled[:, 0] == 0).all() and scaled[:, 1].isnan().all()
    assert scaled[:, 3].unique().tolist() == [-1, 1]
    for bins in (codes, Bins(x, columns, 3)):
        back = bins.inverse(torch.randn(5, bins.columns.n_outputs))
        assert back.shape == (5, 4) and back.isfinite().all()
    nothing = Bins(torch.tensor([[0.0], [1.0]]), Columns((2,)))
    logits = torch.randn(3, 2)
    assert torch.equal(nothing.inverse(logits), logits)
    assert nothing(torch.ones(1, 1)).tolist() == [[1.0]]


def test_inverse_of_bins_gives_their_means():
    x = mixed(61)
    bins = Bins(x, MIXED, 4)
    target, numeric = bins(x), MIXED.numeric
    output = torch.cat([target[:, numeric].nan_to_num(), torch.arange(5.0).expand(61, 5)], 1)
    back = bins.inverse(output)
    assert torch.equal(back[:, 3:], output[:, 3:])  # logits of the categories
    for k, j in enumerate(numeric):
        for index in target[:, j].unique():
            same = target[:, j] == index
            if same.any():
                mean = x[same, j].mean().expand(int(same.sum()))
                torch.testing.assert_close(back[same, k], mean, rtol=1e-4, atol=1e-4)
    far = bins.inverse(torch.full((2, 8), 99.0))  # beyond the last bin is in it
    torch.testing.assert_close(far[0, :3], torch.stack([b[b != 0][-1] for b in bins.centers]))
    half = bins.inverse(((torch.full((1, 3), 0.5) - bins.mean) / bins.std).repeat(1, 3)[:, :8])
    torch.testing.assert_close(half[0, :3], bins.centers[:, :2].mean(1))


def test_inverse_of_classes_weighs_their_means():
    x = mixed(61)
    bins = Bins(x, MIXED, 4, classes=True)
    columns, codes = bins.columns, bins(x)
    assert columns.cardinality == (4, 3, 4, 4, 2)  # laid out as 2 | 3 | 4, 4, 4
    output = torch.full((61, columns.n_outputs), -1e4)
    rows = torch.arange(61)
    for start, j in ((0, 4), (2, 1), (5, 0), (9, 2), (13, 3)):
        output[rows, start + codes[:, j].nan_to_num().long()] = 1e4
    back = bins.inverse(output)
    plain = Bins(x, MIXED, 4)
    target = plain(x)[:, MIXED.numeric].nan_to_num()
    expected = plain.inverse(torch.cat([target, torch.zeros(61, 5)], 1))
    for k, j in enumerate(MIXED.numeric):
        known = ~x[:, j].isnan()
        torch.testing.assert_close(back[known, k], expected[known, k], rtol=1e-4, atol=1e-4)
    assert torch.equal(back[:, 3:5], output[:, 0:2]) and torch.equal(back[:, 5:], output[:, 2:5])
    even = bins.inverse(torch.zeros(1, columns.n_outputs))
    torch.testing.assert_close(even[0, :3], bins.centers.mean(1))


def slow_loss(output, target, columns):
    """Mean over the known cells: squared error of indices, -log softmax of codes."""
    order = sorted(range(len(columns.cardinality)), key=lambda j: (columns.cardinality[j], j))
    total, count, start = 0.0, 0, 0
    for j in order:
        c = columns.cardinality[j]
        for row, cell in zip(output, target[:, j].tolist(), strict=True):
            if math.isnan(cell):
                continue
            if c:
                total -= row[start : start + c].log_softmax(0)[int(cell)].item()
            else:
                total += (row[start].item() - cell) ** 2
            count += 1
        start += max(c, 1)
    return total / count


def frame(n=60, seed=0):
    """The mixed table as a user has it."""
    x = mixed(n, seed).numpy()
    made = pd.DataFrame(x.astype(float), columns=list("abcde"))
    for name, levels in (("b", "uvw"), ("e", "yz")):
        made[name] = [None if np.isnan(v) else levels[int(v)] for v in made[name]]
    return made


def trained(estimator, X):
    """Fit, and return with it the net in evaluation mode and the scaled rows."""

    class Kept(type(estimator)):
        def _build(self, net, X):
            super()._build(net, X)
            self.net, self.rows = net, X

    fitted = Kept(**estimator.get_params(deep=False)).fit(X)
    return fitted, fitted.net.eval(), fitted.rows


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_the_loss_of_binning_equals_loop(loss):
    fitted, net, x = trained(BinningPretext(loss=loss, p=0.0, n_bins=5, **CHEAP), frame())
    with torch.no_grad():
        value = fitted._loss(net, x).item()
        output = net.predict(net.encoder(x))
    assert value == pytest.approx(slow_loss(output, net.bins(x), net.bins.columns), rel=1e-4)


def test_binning_corrupts_what_the_encoder_sees_only():
    fitted, net, x = trained(BinningPretext(p=0.5, **CHEAP), frame())
    with torch.no_grad(), Draws(0).here(everywhere=True):
        value = fitted._loss(net, x)
    with torch.no_grad(), Draws(0).here(everywhere=True):
        (view,) = net.views(x)
        expected = cell_error(net.predict(net.encoder(view)), net.bins(x), net.bins.columns)
    torch.testing.assert_close(value, expected)
    assert not torch.equal(view.nan_to_num(), x.nan_to_num())


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_at_duplicates(classes, fill, dtype):
    x = torch.cat([mixed(20)[:1]] * 20)
    bins = Bins(x, MIXED, classes=classes)
    z = torch.full((20, bins.columns.n_outputs), fill, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = cell_error(z @ torch.eye(z.shape[1]), bins(x), bins.columns)
    value.backward()
    assert value.isfinite() and z.grad.isfinite().all()


@pytest.mark.parametrize(
    "estimator", [VIME(target="bins"), DenoisingAutoencoder(target="bins")], ids=repr
)
def test_bins_as_a_target_of_others(estimator):
    fitted, net, x = trained(estimator.set_params(**CHEAP), frame())
    with torch.no_grad(), Draws(0).here(everywhere=True):
        value = fitted._loss(net, x).item()
    with torch.no_grad(), Draws(0).here(everywhere=True):
        (view,) = net.views(x)
        z = net.encoder(view)
        expected = slow_loss(net.predict(z), net.target(x), net.columns)
        if isinstance(estimator, VIME):
            same = (x == view) | (x.isnan() & view.isnan())
            logits = net.mask_head(z)
            mask = torch.nn.functional.binary_cross_entropy_with_logits(logits, (~same).float())
            expected = mask.item() + estimator.alpha * expected
    assert value == pytest.approx(expected, rel=1e-4)


RECONSTRUCT = [
    BinningPretext(),
    BinningPretext(loss="log_loss"),
    DenoisingAutoencoder(target="bins"),
    MultiTask([("vime", VIME(target="bins"), 1.0)]),
]


@pytest.mark.parametrize("estimator", RECONSTRUCT, ids=repr)
def test_predictions_come_in_the_units_of_x(estimator, seed, margin):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=300)
    X = pd.DataFrame(
        {
            "income": 30_000 * np.exp(0.3 * hidden + 0.02 * rng.normal(size=300)),
            "age": np.rint(40 + 10 * hidden),
            "size": np.where(hidden > 0, "large", "small"),
        }
    )
    params = {"max_epochs": 60, "batch_size": 100, "n_components": 16, "learning_rate": 3e-3}
    fitted = clone(estimator).set_params(**{**CHEAP, **params, "random_state": seed}).fit(X)
    made = fitted.reconstruct(X)
    margin((made["size"] == X["size"]).mean(), 0.9, "size")
    for name in ("income", "age"):
        margin(made[name].corr(X[name]), 0.85, f"correlation of {name}")
        moved = abs(made[name].mean() - X[name].mean()) / X[name].std()
        margin(-moved, -1 / 3, f"mean of {name}")
    holey = X.copy()
    holey.loc[::5, "income"] = None
    filled = fitted.impute(holey)
    pd.testing.assert_frame_equal(filled.drop(index=X.index[::5]), X.drop(index=X.index[::5]))
    error = (filled["income"] - X["income"])[::5].abs().mean()
    margin(1 - error / (X["income"] - X["income"].median())[::5].abs().mean(), 0.3, "imputed")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_bins": 1}, "'n_bins' parameter of BinningPretext"),
        ({"loss": "huber"}, "'loss' parameter of BinningPretext"),
        ({"p": 1.0}, "'p' parameter of BinningPretext"),
    ],
)
def test_wrong_parameters_are_said(params, message):
    with pytest.raises(ValueError, match=message):
        BinningPretext(**params, **CHEAP).fit(X_IRIS)
    with pytest.raises(ValueError, match="'target' parameter of VIME"):
        VIME(target="median", **CHEAP).fit(X_IRIS)
