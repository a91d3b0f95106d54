"""The transformer over the cells of a table, and the method that masks them."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris

from skssl import SCARF, VIME, BinningPretext, DenoisingAutoencoder, MaskedTable, MultiTask
from skssl._data._columns import Columns
from skssl._data._draws import Draws
from skssl.encoders import MLP, FTTransformer, table_encoder, width_of
from skssl.encoders._transformer import Block, Tokenizer
from skssl.losses import cell_error
from skssl.views import altered, mask_cells

NAN = float("nan")
X_IRIS = load_iris().data
MIXED = Columns((3, 0, 0, 2))
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 50,
    "precision": "float32",
    "random_state": 0,
}
every_numeric = pytest.mark.parametrize("numeric", ["plain", "piecewise-linear", "periodic"])


def mixed(n=40, seed=0):
    """A category, two numbers, a category, and holes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    x[:, 0] = torch.randint(0, 3, (n,), generator=generator)
    x[:, 3] = torch.randint(0, 2, (n,), generator=generator)
    x[torch.rand(x.shape, generator=generator) < 0.1] = NAN
    return x


def frame(n=60, seed=0):
    """The mixed table as a user has it."""
    x = mixed(n, seed).numpy().astype(float)
    made = pd.DataFrame(x, columns=list("abcd"))
    for name, levels in (("a", "uvw"), ("d", "yz")):
        made[name] = [None if np.isnan(v) else levels[int(v)] for v in made[name]]
    return made


# ---- the tokenizer -----------------------------------------------------------------------


@every_numeric
def test_tokens_equal_loop(numeric):
    x = mixed()
    x[0] = torch.tensor([3.0, 0.5, NAN, 2.0])  # two categories never seen
    tokenizer = Tokenizer(x, MIXED, 8, numeric).requires_grad_(False)
    tokens = tokenizer(x)
    assert tokens.shape == (40, 4, 8)
    spelt = None if tokenizer.numbers is None else tokenizer.numbers(x[:, [1, 2]])
    rank = {1: 0, 2: 1, 0: 2, 3: 3}  # numbers come first
    for i in range(40):
        for j in range(4):
            expected = tokenizer.column[j].clone()
            cell = x[i, j].item()
            if math.isnan(cell):
                expected += tokenizer.mask
            elif j in (1, 2):
                expected += cell * tokenizer.slope[rank[j]]
                if spelt is not None:
                    for k, owner in enumerate(tokenizer.numbers.column.tolist()):
                        expected += (owner == rank[j]) * spelt[i, k] * tokenizer.number_vectors[k]
            elif cell < MIXED.cardinality[j]:
                expected += tokenizer.category[int(cell) + (3 if j == 3 else 0)]
            torch.testing.assert_close(tokens[i, j], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cardinality", [(0, 0), (2, 3)])
def test_tokens_of_columns_of_one_kind(cardinality):
    x = torch.tensor([[0.0, 1.0], [1.0, 2.0], [NAN, 0.0]])
    tokens = Tokenizer(x, Columns(cardinality), 4)(x)
    assert tokens.shape == (3, 2, 4)
    tokens.sum().backward()


def test_a_masked_cell_shows_nothing_of_itself():
    x = mixed()
    with Draws(0).here(everywhere=True):
        encoder = FTTransformer(x, MIXED, 8).eval()
    hidden = torch.zeros(4).bool()
    for j in range(4):
        hidden[:] = False
        hidden[j] = True
        one, other = torch.where(hidden, NAN, x), torch.where(hidden, NAN, x.roll(1, 0))
        other[:, ~hidden] = x[:, ~hidden]
        assert torch.equal(encoder(one), encoder(other))
        known = ~x[:, j].isnan()
        assert (encoder(one) != encoder(x)).any(1)[known].float().mean() > 0.9


# ---- blocks, tokens, layers --------------------------------------------------------------


def test_block_equals_loop():
    block = Block(6, n_heads=2).double().requires_grad_(False)
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    out = block(x)
    for i in range(2):
        query, key, value = block.qkv(block.before_attention(x[i])).chunk(3, 1)
        attended = torch.zeros(3, 6, dtype=torch.float64)
        for h in (slice(0, 3), slice(3, 6)):
            for t in range(3):
                weight = [math.exp(query[t, h] @ key[s, h] / math.sqrt(3)) for s in range(3)]
                for s in range(3):
                    attended[t, h] += weight[s] / sum(weight) * value[s, h]
        middle = x[i] + block.out(attended)
        expected = middle + block.down(
            torch.nn.functional.gelu(block.up(block.before_dense(middle)))
        )
        torch.testing.assert_close(out[i], expected)


def test_tokens_of_kept_columns():
    x = mixed()
    encoder = FTTransformer(x, MIXED, 8, width=16).eval()
    whole = encoder.tokens(x)
    assert whole.shape == (40, 4, 16)
    order = torch.tensor([2, 0, 3, 1]).expand(40, 4)
    shuffled = encoder.tokens(x, keep=order)
    torch.testing.assert_close(shuffled, whole[:, order[0]], rtol=1e-4, atol=1e-5)
    kept = encoder.tokens(x, keep=order[:, :2])
    other = x.clone()
    other[:, [1, 3]] = 1.0  # of what is not kept, nothing is read
    assert kept.shape == (40, 2, 16)
    assert torch.equal(kept, encoder.tokens(other, keep=order[:, :2]))
    each = torch.stack([torch.randperm(4)[:2] for _ in range(40)])
    one = torch.cat([encoder.tokens(x[i : i + 1], keep=each[i : i + 1]) for i in range(40)])
    torch.testing.assert_close(encoder.tokens(x, keep=each), one, rtol=1e-4, atol=1e-5)


def test_layers_end_with_the_embedding():
    x = mixed()
    encoder = FTTransformer(x, MIXED, 8, width=16, n_layers=2).eval()
    layers = encoder.layers(x)
    assert [a.shape[1] for a in layers] == [16, 16, 8]
    assert torch.equal(layers[-1], encoder(x))
    assert width_of(encoder, x) == 8


# ---- encoder="ft_transformer" ------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        SCARF(),
        VIME(),
        DenoisingAutoencoder(),
        BinningPretext(),
        MultiTask(),
        MultiTask([("masked", MaskedTable(), 1.0), ("scarf", SCARF(), 0.2)]),
    ],
    ids=lambda m: repr(m)[:30],
)
def test_every_table_method_takes_it(method):
    fitted = clone(method).set_params(encoder="ft_transformer", **CHEAP).fit(frame())
    assert isinstance(fitted.encoder_[1], FTTransformer)
    Z = fitted.transform(frame())
    assert Z.shape == (60, 8) and np.isfinite(Z).all()
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).transform(frame()), Z)


def test_all_layers_of_it():
    params = {**CHEAP, "layers": "all", "encoder": "ft_transformer"}
    assert DenoisingAutoencoder(**params).fit_transform(frame()).shape == (60, 3 * 32 + 8)


@every_numeric
def test_it_takes_numeric(numeric):
    x = mixed()
    encoder = table_encoder("ft_transformer", x, MIXED, 8, numeric)
    assert type(encoder.tokenizer.numbers) is not type(None) or numeric == "plain"
    encoder(x).sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    Z = MaskedTable(numeric=numeric, **CHEAP).fit_transform(frame())
    assert np.isfinite(Z).all()


# ---- MaskedTable -------------------------------------------------------------------------


def test_mask_cells():
    x = mixed(1000)
    before = x.clone()
    with Draws(0).here(everywhere=True):
        view = mask_cells(x, 0.4)
    known = ~x.isnan()
    assert view.isnan()[known].float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert torch.equal(view[~view.isnan()], x[~view.isnan()])
    assert torch.equal(x.nan_to_num(9), before.nan_to_num(9))
    assert torch.equal(altered(x, view), known & view.isnan())


def trained(estimator, X):
    """Fit, and return with it the net in evaluation mode and the scaled rows."""

    class Kept(type(estimator)):
        def _build(self, net, X):
            super()._build(net, X)
            self.net, self.rows = net, X

    fitted = Kept(**estimator.get_params(deep=False)).fit(X)
    return fitted, fitted.net.eval(), fitted.rows


@pytest.mark.parametrize("target", ["values", "bins"])
def test_the_loss_is_of_masked_known_cells(target):
    fitted, net, x = trained(MaskedTable(target=target, **CHEAP), frame())
    with torch.no_grad(), Draws(0).here(everywhere=True):
        value = fitted._loss(net, x).item()
    with torch.no_grad(), Draws(0).here(everywhere=True):
        (view,) = net.views(x)
        output = net.predict(net.encoder(view))
    wanted = net.target(x)
    total, count = 0.0, 0
    spans = {1: (0, 1), 2: (1, 2), 3: (2, 4), 0: (4, 7)}  # numbers, then by cardinality
    for i in range(len(x)):
        for j in range(4):
            if x[i, j].isnan() or not view[i, j].isnan():
                continue
            block = output[i, slice(*spans[j])]
            if j in (1, 2):
                total += (block[0] - wanted[i, j]).item() ** 2
            else:
                total -= block.log_softmax(0)[int(x[i, j])].item()
            count += 1
    assert value == pytest.approx(total / count, rel=1e-4)


def test_the_loss_closed_form():
    """Predicting 0 of standard numbers costs their mean square, whichever are masked."""
    x = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, NAN]])
    view = torch.tensor([[NAN, -1.0], [-1.0, NAN], [1.0, NAN]])
    weight = altered(x, view).float()
    assert weight.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert cell_error(torch.zeros(3, 2), x, Columns((0, 0)), weight).item() == 1.0


@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_at_duplicates(fill, dtype):
    x = torch.full((8, 4), fill).minimum(torch.tensor([2.0, 1e3, 1e3, 1.0]))
    encoder = FTTransformer(mixed(), MIXED, 8)
    head = MLP(8, MIXED.n_outputs)
    for view in (x, torch.where(torch.eye(8, 4) > 0, NAN, x), torch.full_like(x, NAN)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            value = cell_error(head(encoder(view)), x, MIXED, altered(x, view).float())
        value.backward()
        assert value.isfinite()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def related(n=400, seed=0):
    """A table whose columns know of each other."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 2))
    return pd.DataFrame(
        {
            "length": hidden[:, 0] + 0.1 * rng.normal(size=n),
            "width": np.exp(hidden[:, 0] + 0.1 * rng.normal(size=n)),
            "income": 30_000 + 5_000 * (hidden[:, 1] + 0.1 * rng.normal(size=n)),
            "sum": hidden.sum(1),
            "size": np.where(hidden[:, 0] > 0, "large", "small"),
        }
    )


@pytest.mark.parametrize("encoder", ["ft_transformer", "auto"])
@pytest.mark.parametrize("target", ["values", "bins"])
def test_holes_are_filled(encoder, target, seed, margin):
    whole = related()
    holes = np.random.default_rng(1).random(whole.shape) < 0.2
    params = {
        **CHEAP,
        "n_components": 32,
        "max_epochs": 40,
        "learning_rate": 3e-3,
        "random_state": seed,
    }
    fitted = MaskedTable(encoder=encoder, target=target, **params).fit(whole.mask(holes))
    filled = fitted.impute(whole.mask(holes))
    for j, name in enumerate(whole.columns[:4]):
        at = holes[:, j]
        error = (filled[name] - whole[name])[at].abs().mean()
        at_the_median = (whole[name] - whole[name].median())[at].abs().mean()
        margin(1 - error / at_the_median, 0.3, name)
    right = (filled["size"] == whole["size"])[holes[:, 4]].mean()
    margin(right, 0.8, "size")
    pd.testing.assert_frame_equal(filled.mask(holes), whole.mask(holes))


def test_unseen_categories_and_new_holes():
    fitted = MaskedTable(**CHEAP).fit(frame().dropna())
    new = frame(5, seed=1).assign(a=["u", "never", None, "w", "v"])
    assert np.isfinite(fitted.transform(new)).all()
    assert fitted.impute(new).notna().all().all()


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1])
def test_wrong_parameters_are_said(p):
    with pytest.raises(ValueError, match="'p' parameter of MaskedTable"):
        MaskedTable(p=p, **CHEAP).fit(X_IRIS)
