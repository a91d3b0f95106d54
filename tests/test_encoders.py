"""Scaler, table front and encoders: from a table's tensor to its embedding."""

import copy
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

from skssl import SCARF, VIME, DenoisingAutoencoder, MultiTask
from skssl._data._columns import Columns
from skssl.encoders import (
    MLP,
    ONE_HOT_LIMIT,
    AllLayers,
    Periodic,
    PiecewiseLinear,
    QuantileScaler,
    TableFront,
    encode,
    table_encoder,
    width_of,
)
from skssl.encoders._sharing import SharedEncoder

NAN = float("nan")
X_IRIS = load_iris().data
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}


def normal(n, d, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype)


def numbers(d):
    return Columns((0,) * d)


# ---- QuantileScaler ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 50])
def test_few_values_become_their_normal_quantiles(n):
    column = normal(n, 1).exp()
    scaled = QuantileScaler(column, numbers(1))(column)
    rank = column.flatten().argsort().argsort().numpy()
    np.testing.assert_allclose(scaled.flatten(), ndtri((rank + 0.5) / n), rtol=1e-5, atol=1e-6)


def test_ties_get_the_quantile_of_their_middle():
    column = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    scaled = QuantileScaler(column, numbers(1))(column).flatten()
    expected = [ndtri(1.5 / 4)] * 3 + [ndtri(3.5 / 4)]
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)


@pytest.mark.parametrize("make", [torch.exp, torch.sign, torch.atan, lambda x: 1e6 + x.pow(3)])
def test_scaled_columns_look_normal_and_keep_their_order(make):
    column = make(normal(5000, 1))
    scaled = QuantileScaler(column, numbers(1))(column).flatten()
    assert scaled.dtype == torch.float32
    ordered = scaled[column.flatten().argsort()]
    assert (ordered.diff() >= 0).all()
    if make is not torch.sign:
        at = torch.linspace(0.02, 0.98, 50, dtype=torch.float64)
        wanted = torch.special.ndtri(at)
        torch.testing.assert_close(scaled.double().quantile(at), wanted, atol=0.1, rtol=0)
        n_distinct = column.float().unique().numel()
        assert ordered.unique().numel() > 0.98 * n_distinct  # what differs goes on differing


@pytest.mark.parametrize("n_distinct", [1, 2, 3, 31, 40, 64, 65, 500])
def test_many_rows_are_scaled_as_few_are(n_distinct):
    """They are searched for in another way."""
    generator = torch.Generator().manual_seed(n_distinct)
    x = torch.randint(n_distinct, (500, 3), generator=generator).double()
    x[:, 1], x[:, 2] = x[:, 1].exp(), NAN
    scaler = QuantileScaler(x, numbers(3))
    new = torch.cat([x, x + 0.5, -x, 1e300 * x.sign(), torch.full((3, 3), NAN)])
    few = torch.cat([scaler(part) for part in new.split(7)])
    torch.testing.assert_close(scaler(new), few, rtol=0, atol=0, equal_nan=True)


def test_numbers_between_and_beyond_the_knots():
    column = torch.tensor([[0.0], [1.0], [3.0]])
    scaler = QuantileScaler(column, numbers(1))
    low, middle, high = scaler(column).flatten().tolist()
    new = torch.tensor([[2.0], [-5.0], [1e30], [-1e308]], dtype=torch.float64)
    scaled = scaler(new).flatten().tolist()
    assert scaled == pytest.approx([(middle + high) / 2, low, high, low], rel=1e-6)


def test_holes_pass_and_teach_nothing():
    column = normal(40, 2)
    holey = torch.cat([column, torch.full((30, 2), NAN, dtype=torch.float64)])
    holey[0, 0] = NAN
    scaler = QuantileScaler(holey, numbers(2))
    scaled = scaler(holey)
    assert torch.equal(scaled.isnan(), holey.isnan())
    plain = QuantileScaler(column[1:], numbers(2))(column[1:])
    torch.testing.assert_close(scaled[1:40, 0], plain[:, 0])


def test_constant_and_empty_columns():
    x = torch.tensor([[7.0, NAN], [7.0, NAN], [7.0, NAN]])
    scaler = QuantileScaler(x, numbers(2))
    assert scaler(x)[:, 0].tolist() == [0.0] * 3
    assert scaler(x)[:, 1].isnan().all()
    new = torch.tensor([[8.0, 1e9], [-8.0, -1e9], [NAN, 0.0]])
    scaled = scaler(new)  # nothing is known of how far off the first are; of the second, nothing
    assert torch.equal(scaled.nan_to_num(5.0), torch.tensor([[0.0, 5], [0, 5], [5, 5]]))
    back = scaler.inverse(torch.tensor([[-3.0, 0.0], [0.0, 0.0], [3.0, 2.0]]))
    assert back[:, 0].tolist() == [7.0] * 3
    assert back[:, 1].isnan().all()  # no value is made up for a column never seen


def test_numbers_closer_than_any_slope_can_tell():
    column = torch.tensor([[0.0], [5e-324], [1.0]], dtype=torch.float64)
    scaled = QuantileScaler(column, numbers(1))(column).flatten()
    assert scaled.isfinite().all() and scaled[2] > scaled[1] >= scaled[0]


def test_codes_are_untouched():
    x = torch.cat([normal(30, 1), torch.arange(30.0)[:, None] % 4, normal(30, 1)], 1)
    x[3, 1] = NAN
    scaled = QuantileScaler(x, Columns((0, 4, 0)))(x)
    assert torch.equal(scaled[:, 1].nan_to_num(9.0), x[:, 1].nan_to_num(9.0).float())
    alone = QuantileScaler(x[:, [2]], numbers(1))(x[:, [2]])
    assert torch.equal(scaled[:, [2]], alone)
    codes = torch.tensor([[0.0, 1.0], [2.0, NAN]], dtype=torch.float64)
    kept = QuantileScaler(codes, Columns((3, 2)))(codes)
    assert kept.dtype == torch.float32
    assert torch.equal(kept.nan_to_num(9.0), codes.nan_to_num(9.0).float())


def test_timestamps_stay_distinct():
    """Three moments 30 s apart are one number in float32: the spacing there is 128."""
    moments = torch.tensor([[1.7e9], [1.7e9 + 30], [1.7e9 + 60]], dtype=torch.float64)
    assert moments.float().unique().numel() == 1
    scaler = QuantileScaler(moments, numbers(1))
    scaled = scaler(moments).flatten()
    np.testing.assert_allclose(scaled, ndtri([1 / 6, 1 / 2, 5 / 6]), atol=1e-6)
    torch.testing.assert_close(scaler.inverse(scaled[:, None]), moments, atol=1e-4, rtol=0)
    frame = pd.DataFrame({"at": np.tile(moments.flatten().numpy(), 20), "v": np.arange(60) % 7})
    Z = SCARF(**CHEAP).fit(frame).transform(frame)
    for one, other in [(0, 7), (0, 14), (7, 14)]:  # equal in v, 30 or 60 s apart
        assert np.abs(Z[one] - Z[other]).max() > 1e-3


@pytest.mark.parametrize("n", [10, 64, 65, 3000])
def test_inverse_is_the_inverse(n):
    x = torch.cat([normal(n, 1).exp(), 1e5 * normal(n, 1, seed=1), normal(n, 1).round()], 1)
    scaler = QuantileScaler(x, numbers(3))
    back = scaler.inverse(scaler(x))
    assert back.dtype == torch.float64
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-4)
    far = scaler.inverse(torch.tensor([[-99.0] * 3, [99.0] * 3]))
    torch.testing.assert_close(far, torch.stack([x.amin(0), x.amax(0)]))
    assert scaler.inverse(torch.empty(0, 3)).shape == (0, 3)


def test_scaler_is_fitted_on_a_sample_of_many_rows():
    x = torch.arange(10_000.0)[:, None]
    scaler = QuantileScaler(x, numbers(1), n_knots=16, subsample=100)
    assert scaler.knots.shape == (1, 16)
    quarters = scaler(x).flatten()[[2500, 5000, 7500]].tolist()
    assert quarters == pytest.approx(ndtri([0.25, 0.5, 0.75]).tolist(), abs=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(30, 4), (1, 4), (30, 1), (1, 1), (0, 4)])
def test_inputs_are_not_written(shape, dtype):
    """A tensor of one row or one column is contiguous both ways: views of it are no copies."""
    for cardinality in [(0,) * shape[1], (0, 3, 0, 2)[: shape[1]], (3,) * shape[1]]:
        fit_on = (normal(30, shape[1], dtype=dtype) * 3).abs().floor()
        kept = fit_on.clone()
        scaler = QuantileScaler(fit_on, Columns(cardinality))
        front = TableFront(scaler(fit_on), Columns(cardinality))
        x = kept[: shape[0]].clone()
        scaled = scaler(x)
        state = copy.deepcopy(scaler.state_dict())
        before = scaled.clone()
        front(scaled)
        z = scaled[:, scaler.numeric].clone()
        scaler.inverse(z)
        assert torch.equal(z, scaled[:, scaler.numeric])
        assert torch.equal(scaled, before)
        assert torch.equal(x, kept[: shape[0]]) and torch.equal(fit_on, kept)
        assert all(torch.equal(v, state[k]) for k, v in scaler.state_dict().items())


# ---- TableFront --------------------------------------------------------------------------


def test_front_of_plain_numbers_is_the_numbers():
    x = normal(5, 3, dtype=torch.float32)
    front = TableFront(x, numbers(3))
    assert front.plain and front.n_features_out == 3
    assert torch.equal(front(x), x)
    x[0, 1] = NAN  # a hole that training never saw is an average value
    assert front(x)[0].tolist() == [x[0, 0].item(), 0.0, x[0, 2].item()]


def test_front_spells_out_categories_and_holes():
    x = torch.tensor([[0.5, 0.0, 1.0], [NAN, 2.0, 0.0], [1.5, NAN, 1.0]])
    front = TableFront(x, Columns((0, 3, 2)))
    # number | hole in column 0, hole in column 1 | column 1 one-hot, column 2 one-hot
    expected = [
        [0.5, 0, 0, 1, 0, 0, 0, 1],
        [0.0, 1, 0, 0, 0, 1, 1, 0],
        [1.5, 0, 1, 0, 0, 0, 0, 1],
    ]
    assert front(x).tolist() == expected
    assert front.n_features_out == 8 and not front.plain
    new = torch.tensor([[9.0, 3.0, 2.0], [9.0, 1.0, NAN]])  # two unseen; a hole never seen
    assert front(new).tolist() == [[9, 0, 0, 0, 0, 0, 0, 0], [9, 0, 0, 0, 1, 0, 0, 0]]


def test_front_of_categories_alone():
    x = torch.tensor([[0.0], [1.0]])
    front = TableFront(x, Columns((2,)))
    assert front(x).tolist() == [[1, 0], [0, 1]]
    holes = torch.tensor([[NAN], [NAN]])
    assert TableFront(holes, numbers(1))(holes).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("cardinality", [ONE_HOT_LIMIT + 1, 60, 500])
def test_many_levels_are_embedded(cardinality):
    width = min(50, (cardinality + 1) // 2)
    x = torch.arange(float(cardinality))[:, None]
    front = TableFront(x, Columns((cardinality,)))
    assert front.n_features_out == width < cardinality
    out = front(x)
    assert out.shape == (cardinality, width)
    assert torch.cdist(out, out).fill_diagonal_(9.0).min() > 0  # each level has its own place
    unknown = front(torch.tensor([[float(cardinality)], [NAN]]))
    assert unknown.abs().max() == 0
    front(torch.tensor([[2.0], [float(cardinality)], [NAN]])).sum().backward()
    gradient = front.embeddings[0].weight.grad
    assert gradient[2].abs().min() > 0
    assert gradient.abs().sum() == gradient[2].abs().sum()  # the unknown stays at zero


def test_limit_of_one_hot():
    x = torch.zeros(2, 1)
    assert TableFront(x, Columns((ONE_HOT_LIMIT,))).n_features_out == ONE_HOT_LIMIT
    assert not TableFront(x, Columns((ONE_HOT_LIMIT,))).embeddings


# ---- numbers spelt out -------------------------------------------------------------------


def slow_piecewise_linear(x, edges):
    """Equation 1 of Gorishniy et al. 2022, one number at a time; within the outer edges."""
    out = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        if x < low:
            out.append(0.0)
        elif x >= high:
            out.append(1.0)
        else:
            out.append((x - low) / (high - low))
    return out


@pytest.mark.parametrize("n_bins", [2, 3, 8])
def test_piecewise_linear_equals_loop(n_bins):
    x = normal(41, 3, dtype=torch.float32)
    x[:, 1] = x[:, 1].round()  # ties leave fewer bins
    x[::5, 2] = NAN
    module = PiecewiseLinear(x, n_bins)
    out, at = module(x), 0
    for j in range(3):
        known = x[:, j][~x[:, j].isnan()].numpy()
        edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bins + 1), method="lower"))
        span = slice(at, at + len(edges) - 1)
        for value, row in zip(x[:, j].tolist(), out[:, span].tolist(), strict=True):
            expected = [0.0] * (len(edges) - 1)
            if not math.isnan(value):
                expected = slow_piecewise_linear(value, edges.tolist())
            assert row == pytest.approx(expected, abs=1e-5)
        at = span.stop
    assert module.n_features_out == out.shape[1] == at
    assert len(edges) == n_bins + 1  # of the last column


def test_piecewise_linear_closed_form():
    x = torch.tensor([[0.0], [1.0], [2.0], [4.0], [8.0]])
    module = PiecewiseLinear(x, n_bins=4)
    new = torch.tensor([[-9.0], [0.25], [3.0], [99.0], [NAN]])
    expected = [[0, 0, 0, 0], [0.25, 0, 0, 0], [1, 1, 0.5, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert module(new).tolist() == expected


def test_piecewise_linear_leaves_out_columns_of_one_bin():
    """Of a constant, a binary and an empty column it could say nothing new."""
    x = torch.tensor([[1.0, 0.0, NAN, 0.0], [1.0, 1.0, NAN, 1.0], [1.0, 1.0, NAN, 2.0]])
    module = PiecewiseLinear(x, n_bins=2)
    assert module.column.tolist() == [3, 3]
    nothing = PiecewiseLinear(x[:, :3])
    assert nothing.n_features_out == 0 and nothing(x[:, :3]).shape == (3, 0)
    assert PiecewiseLinear(torch.empty(3, 0)).n_features_out == 0
    assert TableFront(x[:, :2], numbers(2), numeric="piecewise-linear").plain


def test_periodic_equals_loop():
    """Equation 2 of Gorishniy et al. 2022, then linear and ReLU, one cell at a time."""
    x = normal(6, 3, dtype=torch.float32)
    x[2, 1] = NAN
    module = Periodic(x, n_frequencies=4, width=5)
    module.requires_grad_(False)
    out = module(x).unflatten(1, (3, 5))
    for i in range(6):
        for j in range(3):
            expected = torch.zeros(5)
            if not x[i, j].isnan():
                turns = [2 * math.pi * float(c) * float(x[i, j]) for c in module.frequency[j]]
                waves = torch.tensor([*map(math.sin, turns), *map(math.cos, turns)])
                expected = (waves @ module.weight[j] + module.bias[j]).relu()
            torch.testing.assert_close(out[i, j], expected, rtol=1e-4, atol=1e-5)
    assert module.n_features_out == 15


@pytest.mark.parametrize("numeric", ["piecewise-linear", "periodic"])
def test_front_keeps_plain_numbers_first(numeric):
    x = torch.cat([normal(30, 2, dtype=torch.float32), torch.arange(30.0)[:, None] % 3], 1)
    x[0, 0] = x[1, 2] = NAN
    columns = Columns((0, 0, 3))
    front, plain = TableFront(x, columns, numeric=numeric), TableFront(x, columns)
    out = front(x)
    assert out.shape == (30, front.n_features_out) and out.isfinite().all()
    n_spelt = front.n_features_out - plain.n_features_out
    assert n_spelt == 16  # two columns of 8
    kept = torch.cat([out[:, :2], out[:, 2 + n_spelt :]], 1)
    assert torch.equal(kept, plain(x))
    assert (out[0, 2:10] == 0).all() and not (out[1:, 2:10] == 0).all()  # the missing value
    if numeric == "periodic":
        out.sum().backward()
        assert all(p.grad.isfinite().all() for p in front.parameters())


@pytest.mark.parametrize("numeric", ["piecewise-linear", "periodic"])
def test_front_without_numbers_has_none_to_spell_out(numeric):
    codes = torch.tensor([[0.0], [1.0]])
    assert TableFront(codes, Columns((2,)), numeric=numeric)(codes).tolist() == [[1, 0], [0, 1]]


MIXED = pd.DataFrame(
    {
        "number": [0.5, None, 2.0, 3.5, 1.0, 7.0] * 10,
        "constant": 1.0,
        "empty": np.nan,
        "colour": ["red", "blue", None, "red", "green", "red"] * 10,
    }
)


@pytest.mark.parametrize("numeric", ["piecewise-linear", "periodic"])
@pytest.mark.parametrize("cls", [SCARF, VIME, DenoisingAutoencoder, MultiTask])
def test_methods_take_numeric(cls, numeric):
    fitted = cls(numeric=numeric, **CHEAP).fit(MIXED)
    front = fitted.encoder_[1].front
    assert isinstance(front.numbers, PiecewiseLinear if "linear" in numeric else Periodic)
    Z = fitted.transform(MIXED)
    assert np.isfinite(Z).all() and Z.shape == (60, 8)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).transform(MIXED), Z)
    assert not np.array_equal(clone(fitted).set_params(numeric="plain").fit_transform(MIXED), Z)
    inputs = []
    make = cls(numeric=numeric, encoder=lambda x: inputs.append(x) or nn.Linear(x.shape[1], 4))
    make.set_params(max_epochs=0).fit(MIXED)
    assert inputs[0].shape[1] == front.n_features_out


def test_wrong_numeric_is_said():
    with pytest.raises(ValueError, match="'numeric' parameter of SCARF must be a str among"):
        SCARF(numeric="spline", **CHEAP).fit(X_IRIS)
    with pytest.raises(ValueError, match="numeric is shared by all tasks"):
        MultiTask([("a", VIME(numeric="periodic"), 1.0)], **CHEAP).fit(X_IRIS)


# ---- MLP, AllLayers, encode --------------------------------------------------------------


@pytest.mark.parametrize("activated", [False, True])
def test_mlp_layers(activated):
    net = MLP(4, 16, 12, 8, activated=activated).eval()
    x = normal(50, 4, dtype=torch.float32)
    layers = net.layers(x)
    assert [tuple(a.shape) for a in layers] == [(50, 16), (50, 12), (50, 8)]
    assert torch.equal(layers[-1], net(x))
    assert all((a >= 0).all() for a in layers[:-1])
    assert bool((layers[-1] < 0).any()) is not activated
    assert [tuple(a.shape) for a in MLP(4, 8).layers(x)] == [(50, 8)]


def test_mlp_normalises_its_hidden_layers():
    """So the scale of what goes in does not matter to what comes out."""
    x = normal(64, 4, dtype=torch.float32)
    net = MLP(4, 16, 8).train()
    torch.testing.assert_close(net(1000 * x), net(x), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(MLP(4, 8)(1000 * x), MLP(4, 8)(x), atol=1)  # only an output
    net.eval()  # a row alone is read like a row in a batch
    torch.testing.assert_close(net(x[:1]), net(x)[:1])


def test_all_layers_side_by_side():
    x = normal(6, 4, dtype=torch.float32)
    encoder = table_encoder("auto", x, numbers(4), 8).eval()
    z = AllLayers(encoder)(x)
    assert torch.equal(z, torch.cat(encoder.layers(x), 1))
    assert torch.equal(z[:, -8:], encoder(x)) and z.shape[1] > 8


class Counting(nn.Module):
    """An encoder that notes the batches it is given."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.batches = encoder, []

    def forward(self, x):
        self.batches.append(tuple(x.shape))
        return self.encoder(x)


def test_encode_shares_a_pass():
    net = Counting(nn.Linear(3, 2))
    a, b, c = (normal(n, 3, seed, torch.float32) for seed, n in enumerate((5, 4, 5)))
    z = encode(net, [a, b, c])
    assert net.batches == [(14, 3)]
    for view, embedding in zip((a, b, c), z, strict=True):
        torch.testing.assert_close(embedding, net.encoder(view))


def test_encode_takes_views_of_several_sizes():
    net = Counting(nn.Sequential(nn.AdaptiveAvgPool1d(3), nn.Linear(3, 2)))
    views = [normal(5, d, d, torch.float32) for d in (6, 4, 6)]
    z = encode(net, views)
    assert net.batches == [(10, 6), (5, 4)]
    for view, embedding in zip(views, z, strict=True):
        torch.testing.assert_close(embedding, net.encoder(view))
    assert encode(net, []) == []


def test_a_shared_encoder_embeds_each_view_once():
    net = Counting(nn.Linear(3, 2))
    shared = SharedEncoder(net)
    a, b, c = (normal(5, 3, seed, torch.float32) for seed in range(3))
    first, second = encode(shared, [a, b])
    assert shared(a) is first and encode(shared, [b, c])[0] is second
    assert net.batches == [(10, 3), (5, 3)]


# ---- table_encoder and the parameter encoder= --------------------------------------------


def test_auto_encoder_reads_what_the_front_makes():
    x = torch.tensor([[0.5, 0.0], [NAN, 2.0], [1.5, 1.0]])
    columns = Columns((0, 3))
    encoder = table_encoder("auto", x, columns, 8)
    assert encoder.front.n_features_out == 5
    assert encoder.eval()(x).shape == (3, 8) and width_of(encoder, x) == 8
    assert encoder.training  # measuring leaves it ready to train


def test_a_module_is_copied():
    module = nn.Linear(4, 6)
    before = copy.deepcopy(module.state_dict())
    fitted = SCARF(encoder=module, **CHEAP).fit(X_IRIS)
    assert fitted.transform(X_IRIS).shape == (150, 6)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    learnt = fitted.encoder_[1].body.state_dict()
    assert not torch.equal(learnt["weight"], before["weight"])
    assert fitted.get_params()["encoder"] is module


def test_a_callable_sees_what_the_module_will_read():
    seen = []

    def make(x):
        seen.append(x)
        return nn.Sequential(nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 5))

    frame = pd.DataFrame({"a": [1.0, None, 3.0] * 10, "b": ["x", "y", "z"] * 10})
    fitted = SCARF(encoder=make, **CHEAP).fit(frame)
    assert fitted.transform(frame).shape == (30, 5)
    assert list(fitted.get_feature_names_out()) == [f"scarf{i}" for i in range(5)]
    assert len(seen) == 1 and seen[0].shape == (30, 5)  # number, hole, three levels
    assert seen[0].isfinite().all() and not seen[0].requires_grad
    again = SCARF(encoder=make, **CHEAP).fit(frame)  # its weights too follow random_state
    assert np.array_equal(again.transform(frame), fitted.transform(frame))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        (lambda x: "a net", TypeError, "must return a torch.nn.Module; got str"),
        (lambda x: nn.Linear(7, 8), ValueError, r"cannot read the data.*shape \(2, 4\)"),
        (nn.Linear(7, 8), ValueError, "cannot read the data.*pass a callable to see their width"),
        (nn.Unflatten(1, (2, 2)), ValueError, r"for 2 rows it returned \(2, 2, 2\)"),
        (nn.Flatten(0), ValueError, r"for 2 rows it returned \(8,\)"),
        (nn.Module(), ValueError, "cannot read the data"),
        (Pair(), ValueError, "for 2 rows it returned tuple"),
        ("resnet", ValueError, "The 'encoder' parameter of SCARF must be"),
        (64, ValueError, "The 'encoder' parameter of SCARF must be"),
    ],
)
def test_wrong_encoders_are_said(encoder, error, message):
    estimator = SCARF(encoder=encoder, **CHEAP)
    with pytest.raises(error, match=message):
        estimator.fit(X_IRIS)
    assert not hasattr(estimator, "encoder_")


def test_layers_of_an_encoder_that_has_none():
    with pytest.raises(ValueError, match=r"needs an encoder that has layers\(x\).*made a Linear"):
        DenoisingAutoencoder(layers="all", encoder=nn.Linear(4, 8), **CHEAP).fit(X_IRIS)


@pytest.mark.parametrize("encoder", ["auto", nn.Linear(4, 8)], ids=["auto", "module"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_embedding_is_float32(dtype, encoder):
    X = np.round(X_IRIS * 10).astype(dtype)
    fitted = SCARF(encoder=encoder, **CHEAP).fit(X)
    for Z in (fitted.transform(X), fitted.transform(X[:1]), fitted.fit_transform(X)):
        assert Z.dtype == np.float32 and Z.shape[1] == 8


def test_encoder_is_scaler_and_encoder_from_tensor_to_embedding():
    fitted = SCARF(**CHEAP).fit(X_IRIS)
    with torch.no_grad():
        z = fitted.encoder_(torch.from_numpy(X_IRIS))
    assert np.array_equal(z.numpy(), fitted.transform(X_IRIS))
    assert isinstance(fitted.encoder_[0], QuantileScaler)
    assert not any(m.training for m in fitted.encoder_.modules())
    loaded = pickle.loads(pickle.dumps(fitted.encoder_))
    with torch.no_grad():
        assert torch.equal(loaded(torch.from_numpy(X_IRIS)), z)
