"""MaskedAutoencoder and IJEPA: what is hidden stays hidden; and ``reconstruct`` for images."""

import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl import IJEPA, SCARF, MaskedAutoencoder, MultiTask, SimCLR
from skssl.base._reconstruction import ReconstructionMixin
from skssl.base._transformer import SSLTransformer
from skssl.encoders import ResNet, ViT, encode, patchify, width_of
from skssl.encoders._patches import (
    PatchPredictor,
    block_size,
    draw_blocks,
    parts_outside,
    split_patches,
    unlike_others,
)
from skssl.losses import standardized_error

DIGITS, Y = load_digits(return_X_y=True)
DIGITS = (DIGITS * 15.9).astype(np.uint8).reshape(-1, 8, 8)
CHEAP = {"n_components": 16, "max_epochs": 1, "precision": "float32", "random_state": 0}
METHODS = [MaskedAutoencoder(**CHEAP), IJEPA(**CHEAP)]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def colors(n=40, side=12):
    """Patches of a photograph, (n, side, side, 3) uint8."""
    photo = load_sample_images().images[0]
    corners = np.random.default_rng(0).integers(0, 400, (n, 2))
    return np.stack([photo[a : a + side, b : b + side] for a, b in corners])


def parts_of(method, X=DIGITS[:40], **params):
    """Return a fitted method, its net in training mode and its images, in float64."""
    fitted = clone(method).set_params(warm_start=True, **params).fit(X)
    x = fitted._scaler(fitted._reader.read(X)).double()
    return fitted, fitted._net.train().double(), x


def seeded(function, *args, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*args)


def small(x):
    return ViT(1, (8, 8), width=64, n_layers=3)


def probe(Z, n_seeds=4):
    """Mean accuracy of a linear model on 10 labels a class."""
    Z, scores = StandardScaler().fit_transform(Z), []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        few = np.concatenate([rng.permutation(np.flatnonzero(Y == c))[:10] for c in range(10)])
        rest = np.setdiff1d(np.arange(len(Y)), few)
        model = LogisticRegression(C=0.1, max_iter=500).fit(Z[few], Y[few])
        scores.append(model.score(Z[rest], Y[rest]))
    return np.mean(scores)


# ---- standardized_error --------------------------------------------------------------------


def slow_standardized_error(prediction, target):
    total, count = 0.0, 0
    rows = zip(prediction.flatten(0, -2).tolist(), target.flatten(0, -2).tolist(), strict=True)
    for made, true in rows:
        mean = sum(true) / len(true)
        std = math.sqrt(sum((t - mean) ** 2 for t in true) / len(true) + 1e-6)
        total += sum((m - (t - mean) / std) ** 2 for m, t in zip(made, true, strict=True))
        count += len(true)
    return total / count


def test_standardized_error_equals_loop():
    prediction, target = draw(3, 4, 5), 2 + 3 * draw(3, 4, 5, seed=1)
    expected = slow_standardized_error(prediction, target)
    assert standardized_error(prediction, target).item() == pytest.approx(expected, rel=1e-10)


def test_standardized_error_closed_form():
    target = torch.tensor([[0.0, 0.0, 2.0, 2.0], [7.0, 7.0, 7.0, 7.0]], dtype=torch.float64)
    right = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    assert standardized_error(right, target).item() < 1e-11
    assert standardized_error(0 * right, 1000 * target).item() == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_standardized_error_is_finite_where_targets_are_constant(dtype):
    prediction = torch.zeros(3, 4, dtype=dtype, requires_grad=True)
    target = torch.ones(3, 4, dtype=dtype, requires_grad=True)
    value = standardized_error(prediction, target)
    value.backward()
    assert value.dtype == torch.float32 and value.item() == 0
    assert prediction.grad.isfinite().all() and target.grad.isfinite().all()


def test_standardized_error_has_the_right_gradient():
    inputs = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(standardized_error, inputs)


# ---- which patches are seen, which are predicted -------------------------------------------


@pytest.mark.parametrize(
    ("n_patches", "ratio", "n_seen"), [(49, 0.75, 12), (64, 0.75, 16), (4, 0.99, 1), (4, 0.01, 3)]
)
def test_patches_are_seen_or_hidden(n_patches, ratio, n_seen):
    seen, hidden = seeded(split_patches, 200, n_patches, ratio)
    assert seen.shape == (200, n_seen) and hidden.shape == (200, n_patches - n_seen)
    order = torch.cat([seen, hidden], 1).sort(1).values
    assert torch.equal(order, torch.arange(n_patches).expand(200, -1))
    assert (seen.flatten().bincount(minlength=n_patches) > 0).all()


def test_blocks_are_rectangles_within_the_grid():
    blocks = seeded(draw_blocks, 50, 3, (5, 7), (2, 4))
    assert blocks.shape == (50, 3, 8)
    for block in blocks.flatten(0, 1).tolist():
        rows, columns = {i // 7 for i in block}, {i % 7 for i in block}
        assert len(set(block)) == 8 and max(block) < 35
        assert max(rows) - min(rows) == 1 and max(columns) - min(columns) == 3
    assert set(blocks.flatten().tolist()) == set(range(35))


@pytest.mark.parametrize("grid", [(7, 7), (8, 4), (2, 1), (1, 9)])
def test_blocks_have_the_size_asked_for(grid):
    sizes = [seeded(block_size, grid, (0.15, 0.2), (0.75, 1.5), seed=i) for i in range(50)]
    assert all(1 <= h <= grid[0] and 1 <= w <= grid[1] for h, w in sizes)
    if grid == (7, 7):  # 7 to 10 of 49 patches
        assert {h * w for h, w in sizes} <= {6, 8, 9, 12}


def test_the_context_leaves_the_blocks_out():
    context = seeded(draw_blocks, 41, 1, (7, 7), (6, 6))
    drawn = seeded(draw_blocks, 41, 4, (7, 7), (3, 3), seed=1)
    free = [
        set(inside) - set(block)
        for inside, block in zip(
            context.flatten(1).tolist(), drawn.flatten(1).tolist(), strict=True
        )
    ]
    n_seen = sorted(map(len, free))[20]
    seen, blocks = seeded(parts_outside, context, drawn, 49, seed=2)
    assert seen.shape == (41, n_seen) and blocks.shape == drawn.shape
    for i, part in enumerate(seen.tolist()):
        assert len(set(part)) == n_seen
        assert set(part).isdisjoint(blocks[i].flatten().tolist())
        if len(free[i]) >= n_seen:
            assert set(part) <= free[i] and torch.equal(blocks[i], drawn[i])


def test_a_context_that_is_covered_keeps_one_patch():
    everything = torch.arange(4).expand(3, 1, 4)
    seen, blocks = parts_outside(everything, everything, 4)
    assert seen.shape == (3, 1) and torch.equal(blocks, everything)


# ---- losses of the methods -----------------------------------------------------------------


@pytest.mark.parametrize("norm_pix_loss", [True, False])
def test_mae_loss_equals_loop(norm_pix_loss):
    """Image by image; only hidden patches are targets, and only seen ones are read."""
    mae, net, x = parts_of(METHODS[0], norm_pix_loss=norm_pix_loss)
    value = seeded(mae._loss, net, x).item()
    seen, hidden = seeded(split_patches, len(x), 16, 0.75)
    total, shown = [], []
    for i in range(len(x)):
        tokens = net.student.tokens(x[i : i + 1], seen[i : i + 1])
        h = net.decoder.predictor(tokens, seen[i : i + 1], hidden[i : i + 1])
        target = torch.stack(
            [x[i, :, 2 * (j // 4) :][:, :2, 2 * (j % 4) :][:, :, :2].flatten() for j in hidden[i]]
        )
        total.append(slow_standardized_error(net.head(h)[0], target))
        shown.append((net.decoder.pixels(h)[0] - target).square().mean().item())
    assert value == pytest.approx(np.mean(total if norm_pix_loss else shown), rel=1e-8)
    net.train()
    assert seeded(mae._loss, net, x).item() == value  # without dropout or statistics of batches
    if norm_pix_loss:
        assert net.display_loss.item() == pytest.approx(np.mean(shown), rel=1e-8)
    else:
        assert net.display_loss is None


def test_the_encoder_never_reads_what_is_hidden():
    mae, net, x = parts_of(METHODS[0])
    read = []
    net.student.embed.register_forward_hook(lambda module, args, out: read.append(args[0]))
    seeded(mae._loss, net, x)
    seen, hidden = seeded(split_patches, len(x), 16, 0.75)
    patches = patchify(x, 2)
    assert len(read) == 1 and torch.equal(read[0], patches.take_along_dim(seen[:, :, None], 1))
    x = x.requires_grad_()
    h = net.decoder.predictor(net.student.tokens(x, seen), seen, hidden)
    h.square().sum().backward()
    gradient = patchify(x.grad, 2)
    assert (gradient.take_along_dim(hidden[:, :, None], 1) == 0).all()
    assert (gradient.take_along_dim(seen[:, :, None], 1) != 0).all()


def test_shown_pixels_train_their_last_layer_only():
    """Their error is not in the loss, and its gradient stops at the decoder's output."""
    mae, net, x = parts_of(METHODS[0])
    net.train().zero_grad()
    nn.init.zeros_(net.head.weight)  # nothing comes from the standardised targets now
    seeded(mae._loss, net, x).backward()
    moved = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"head.weight", "head.bias"}
    net.zero_grad()
    net.display_loss.backward()
    moved = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"decoder.pixels.weight", "decoder.pixels.bias"}


def test_ijepa_loss_equals_loop():
    """Number by number: what the teacher makes of a place, less what it makes of all images."""
    ijepa, net, x = parts_of(METHODS[1], X=DIGITS[:6])
    net.eval()
    value = seeded(ijepa._loss, net, x).item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wanted = draw_blocks(6, 4, (4, 4), block_size((4, 4), (0.15, 0.2), (0.75, 1.5)))
        context = draw_blocks(6, 1, (4, 4), block_size((4, 4), (0.85, 1.0), (1.0, 1.0)))
        seen, wanted = parts_outside(context, wanted, 16)
    whole = net.teacher.tokens(x).tolist()
    n, width = len(whole), 16
    mean = [[sum(w[j][k] for w in whole) / n for k in range(width)] for j in range(16)]
    less = [[[w[j][k] - mean[j][k] for k in range(width)] for j in range(16)] for w in whole]
    scale = [
        math.sqrt(sum(w[j][k] ** 2 for w in less for j in range(16)) / (16 * n - 1))
        for k in range(width)
    ]
    errors = []
    for i in range(n):
        tokens = net.student.tokens(x[i : i + 1], seen[i : i + 1])
        for block in wanted[i]:
            made = net.head(net.predictor(tokens, seen[i : i + 1], block[None]))[0].tolist()
            for token, j in zip(made, block.tolist(), strict=True):
                errors += [(token[k] - less[i][j][k] / scale[k]) ** 2 for k in range(width)]
    assert value == pytest.approx(sum(errors) / len(errors), rel=1e-4)  # float32 inside


def test_what_all_images_share_is_no_target():
    """A teacher that says where a patch stands, and nothing else, sets nothing to predict."""
    places = draw(16, 5).expand(8, 16, 5)
    assert unlike_others(places).abs().max() < 0.01
    said = unlike_others(places + draw(8, 16, 5, seed=1))
    torch.testing.assert_close(said, unlike_others(7 + 3 * (places + draw(8, 16, 5, seed=1))))
    assert said.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(said.std((0, 1)), torch.ones(5))
    assert unlike_others(places[:1]).eq(0).all()


def test_the_predictor_is_asked_about_places_of_any_size_of_image():
    predictor = PatchPredictor(4, (4, 4), 8, 1)
    seen, wanted = torch.tensor([[0, 1]]), torch.tensor([[2, 3]])
    tokens = torch.zeros(1, 2, 4)
    whole = predictor(tokens, seen, wanted)
    assert whole.shape == (1, 2, 8) and not torch.allclose(whole[:, 0], whole[:, 1])
    torch.testing.assert_close(predictor(tokens, seen, wanted, (4, 4)), whole)
    assert predictor(tokens, seen, wanted, (2, 2)).shape == (1, 2, 8)


def test_the_teacher_follows_in_training_only():
    ijepa, net, x = parts_of(IJEPA(momentum=0.5, **CHEAP))
    net.progress = 0.0
    before = [p.clone() for p in net.teacher.parameters()]
    student = [p.clone() for p in net.student.parameters()]
    net.eval()
    ijepa._loss(net, x).backward()
    assert all(torch.equal(a, b) for a, b in zip(before, net.teacher.parameters(), strict=True))
    assert all(p.grad is None and not p.requires_grad for p in net.teacher.parameters())
    assert all(p.grad is not None for p in net.student.parameters())
    net.train()
    ijepa._loss(net, x)
    for old, new, towards in zip(before, net.teacher.parameters(), student, strict=True):
        torch.testing.assert_close(new.data, (old + towards) / 2)


@every_method
def test_views_are_averaged_and_may_differ_in_size(method):
    one = clone(method).set_params(views=lambda x: x[:, :, :4, 2:])
    fitted, net, x = parts_of(one)
    assert seeded(fitted._loss, net, x).isfinite()
    net.views = lambda x: [x[:, :, :4, 2:], x]
    both = seeded(fitted._loss, net.eval(), x)
    net.views = lambda x: [x[:, :, :4, 2:]]
    small = seeded(fitted._loss, net, x)
    assert both.isfinite() and both != small
    assert clone(method).set_params(views="weak").fit(DIGITS[:40]).loss_curve_[0] > 0


# ---- encoders ------------------------------------------------------------------------------


@every_method
def test_the_default_encoder_is_a_vision_transformer(method):
    fitted = clone(method).fit(DIGITS[:40])
    assert isinstance(fitted.encoder_[1], ViT) and fitted.get_params()["encoder"] == "auto"
    assert clone(method).set_params(encoder="vit").fit(DIGITS[:40]).transform(DIGITS).shape == (
        1797,
        16,
    )
    own = ViT(1, (8, 8), patch_size=4, width=24, n_layers=1)
    assert clone(method).set_params(encoder=own).fit(DIGITS[:40]).transform(DIGITS).shape[1] == 24


@every_method
@pytest.mark.parametrize("encoder", ["resnet18", lambda x: ResNet(1, [8, 8], [1, 1], 8)])
def test_an_encoder_without_patches_is_one_error(method, encoder):
    with pytest.raises(ValueError, match=r"needs an encoder that reads images as patches.*'vit'"):
        clone(method).set_params(encoder=encoder).fit(DIGITS[:20])


@every_method
def test_images_that_make_no_patches_are_one_error(method):
    whole = ViT(1, (8, 8), patch_size=8, width=16, n_layers=1)
    with pytest.raises(ValueError, match="is the whole image"):
        clone(method).set_params(encoder=whole).fit(DIGITS[:20])
    with pytest.raises(ValueError, match="7 x 5"):
        clone(method).fit(DIGITS[:20, :7, :5])


@every_method
def test_tables_are_not_read(method):
    with pytest.raises(ValueError, match="reads images; X looks like modality='table'"):
        clone(method).fit(DIGITS[:20].reshape(20, -1))


# ---- fits ----------------------------------------------------------------------------------


@every_method
def test_seeds_and_pickle(method):
    X = DIGITS[:60]
    fitted = clone(method).fit(X)
    Z = fitted.transform(X)
    assert np.array_equal(clone(method).fit(X).transform(X), Z)
    assert not np.allclose(clone(method).set_params(random_state=1).fit_transform(X), Z)
    copied = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copied.transform(X), Z)
    np.testing.assert_allclose(fitted.transform(X[:1]), Z[:1], rtol=1e-4, atol=1e-5)


@every_method
def test_going_on(method):
    fitted = clone(method).fit(DIGITS[:60])
    before = fitted.transform(DIGITS[:9])
    fitted.partial_fit(DIGITS[60:120]).partial_fit(DIGITS[120:180])
    assert not np.array_equal(fitted.transform(DIGITS[:9]), before)
    stopping = {"n_iter_no_change": 1, "max_epochs": 3}
    assert clone(method).set_params(**stopping).fit(DIGITS[:60]).validation_loss_curve_


@every_method
def test_any_number_of_channels(method):
    X = np.random.default_rng(0).normal(size=(20, 8, 12, 5))
    assert clone(method).fit_transform(X).shape == (20, 16)


@every_method
def test_rounded_training(method):
    curve = (
        clone(method)
        .set_params(precision="bfloat16", max_epochs=4, batch_size=64)
        .fit(DIGITS[:256])
        .loss_curve_
    )
    assert curve[-1] < curve[0]


SMALL = {**CHEAP, "encoder": small, "batch_size": 128, "max_epochs": 30}


@pytest.mark.learns("MaskedAutoencoder", "IJEPA")
@pytest.mark.slow
@pytest.mark.parametrize("method", [MaskedAutoencoder, IJEPA])
def test_a_fit_beats_the_untrained_encoder(method, seed, margin):
    """LR on 100 labels of digits. MAE 66 and I-JEPA 64 against 51, in one run each."""
    models = [method(**SMALL | {"max_epochs": n, "random_state": seed}) for n in (30, 0)]
    trained, untrained = (model.fit_transform(DIGITS) for model in models)
    margin(probe(trained) - probe(untrained), 0.05, "accuracy")
    margin(trained.std(0).mean() / untrained.std(0).mean(), 0.5, "spread")


# ---- reconstruct ---------------------------------------------------------------------------


class Plain(ReconstructionMixin, SSLTransformer):
    """An autoencoder of tables and images, whose decoder reads the embedding."""

    image_shape: object = None
    channel_axis: object = "auto"
    _modalities = ("table", "image")

    def _views(self, augment):
        return (lambda x: x,)

    def _build(self, net, X):
        shape = tuple(X.shape[1:])
        linear = nn.Linear(width_of(net.encoder, X), math.prod(shape))
        net.decoder = nn.Sequential(linear, nn.Unflatten(1, shape))

    def _loss(self, net, x):
        (z,) = encode(net.encoder, net.views(x))
        return (net.decoder(z) - x).square().mean()


RECONSTRUCT = [METHODS[0], Plain(**CHEAP)]
every_reconstructor = pytest.mark.parametrize("method", RECONSTRUCT, ids=["hides", "whole"])
LAYOUTS = {
    "grey bytes": (DIGITS[:40], {}),
    "grey floats": (DIGITS[:40] / 7.0, {"modality": "image"}),
    "channels last": (colors(), {}),
    "channels first": (np.moveaxis(colors(), -1, 1).astype(np.float32), {}),
    "rows": (DIGITS[:40].reshape(40, 64), {"image_shape": (8, 8)}),
    "rows of floats": (colors().reshape(40, -1) * 1e3, {"image_shape": (12, 12, 3)}),
    "half": (colors().astype(np.float16), {}),
}


@every_reconstructor
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_come_back_as_they_went_in(method, layout):
    X, params = LAYOUTS[layout]
    before = X.copy()
    fitted = clone(method).set_params(**params).fit(X)
    made = fitted.reconstruct(X)
    assert made.shape == X.shape and made.dtype == X.dtype and np.array_equal(X, before)
    assert np.isfinite(made.astype(float)).all()
    assert abs(made.mean(dtype=float) - X.mean(dtype=float)) < X.std(dtype=float)
    np.testing.assert_allclose(fitted.reconstruct(X[:1]), made[:1], rtol=1e-3, atol=1)


@every_reconstructor
def test_images_are_not_imputed(method):
    fitted = clone(method).fit(DIGITS[:40])
    assert hasattr(fitted, "reconstruct") and not hasattr(fitted, "impute")
    with pytest.raises(ValueError, match="not fitted yet"):
        clone(method).reconstruct(DIGITS)
    with pytest.raises(ValueError, match="was seen in fit"):
        fitted.reconstruct(DIGITS[:, :4])


def test_what_reads_tables_too_imputes_them():
    assert hasattr(Plain(), "impute") and not hasattr(MaskedAutoencoder(), "impute")
    assert hasattr(Plain(**CHEAP).fit(DIGITS[:40].reshape(40, 64)), "impute")
    assert not hasattr(IJEPA(), "reconstruct")


@pytest.mark.parametrize("X", [DIGITS[:60], colors()], ids=["grey", "colour"])
def test_only_hidden_pixels_are_predicted_and_from_the_others(X):
    mae = clone(METHODS[0]).fit(X)
    hidden = mae.decoder_.hidden.numpy()
    assert hidden.shape == X.shape[1:3] and hidden.mean() == 0.75
    made = mae.reconstruct(X)
    assert np.array_equal(made[:, ~hidden], X[:, ~hidden])
    other = X.copy()
    other[:, hidden] = 255 - other[:, hidden]
    assert np.array_equal(mae.reconstruct(other), made)
    other = X.copy()
    other[:, ~hidden] = 255 - other[:, ~hidden]
    assert not np.array_equal(mae.reconstruct(other)[:, hidden], made[:, hidden])


def test_several_tasks_reconstruct():
    tasks = [("mae", MaskedAutoencoder(), 1.0), ("simclr", SimCLR(), 0.1)]
    both = MultiTask(tasks, **{**CHEAP, "encoder": "vit"}).fit(DIGITS[:60])
    assert both.reconstruct(DIGITS[:60]).shape == (60, 8, 8) and not hasattr(both, "impute")
    jepa = [("ijepa", IJEPA(), 1.0), ("simclr", SimCLR(), 0.1)]
    assert MultiTask(jepa, **{**CHEAP, "encoder": "vit"}).fit(DIGITS[:60]).loss_curve_[0] > 0
    assert not hasattr(SCARF(), "reconstruct")
