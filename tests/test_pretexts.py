"""Pretext tasks on images: rotation, jigsaw puzzles, colours, hidden blocks."""

import functools
import itertools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from test_methods import trained_net
from torch import nn

from skssl import Colorization, Inpainting, Jigsaw, MultiTask, RotationPrediction, SimCLR
from skssl.encoders import Decoder, ResNet
from skssl.encoders._colors import Colors, chroma
from skssl.methods._jigsaw import ORDERS
from skssl.views import erase, flip
from skssl.views._tiles import distant_permutations, random_tiles, standardize_tiles

DIGITS, LABELS = load_digits().images.astype(np.uint8), load_digits().target
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
}


def patches(n=600, side=16, seed=0):
    """Patches of two photographs, (n, side, side, 3) uint8."""
    photos = load_sample_images().images
    corners = np.random.default_rng(seed).integers(0, 400, (n, 2))
    cuts = [photos[i % 2][a : a + side, b : b + side] for i, (a, b) in enumerate(corners)]
    return np.stack(cuts)


def small(x):
    return ResNet(x.shape[1], (16, 32), (1, 1), 64)


def seeded(function, *args):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return function(*args)


def slow_cross_entropy(logits, target):
    """-log of the share that softmax gives the target: one row."""
    share = np.exp(logits - logits.max())
    return -np.log(share[target] / share.sum())


def evaluated(module, x):
    with torch.no_grad():
        return module(x).double().numpy()


# ---- rotation ----------------------------------------------------------------------------


def test_rotation_s_loss_equals_loop():
    fitted, net, x = trained_net(RotationPrediction(**CHEAP), patches(20))
    losses = []
    for image in x.numpy():
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(image, turns, (1, 2)))
            logits = evaluated(nn.Sequential(net.whole, net.head), torch.from_numpy(turned)[None])
            losses.append(slow_cross_entropy(logits[0], turns))
    loss = seeded(fitted._loss, net, x)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(("layer", "index"), [("middle", 1), ("last", 2), (0, 0), (-2, 1)])
def test_the_embedding_is_the_layer_asked_for(layer, index):
    X = patches(30, 8)
    fitted, net, _ = trained_net(RotationPrediction(layer=layer, **CHEAP), X)
    with torch.no_grad():
        expected = net.whole.eval().layers(fitted.encoder_[0](fitted._read(X)))[index].numpy()
    np.testing.assert_allclose(fitted.transform(X), expected, rtol=1e-4, atol=1e-5)


def test_counting_layers_leaves_batch_statistics_alone():
    params = {**CHEAP, "max_epochs": 0, "encoder": small}
    fitted = RotationPrediction(layer="middle", **params).fit(DIGITS[:40])
    norms = [m for m in fitted.encoder_.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(int(norm.num_batches_tracked) == 0 for norm in norms)


def test_an_encoder_without_layers_is_taken_as_it_is():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
    fitted = RotationPrediction(encoder=encoder, layer="middle", **CHEAP).fit(DIGITS[:40])
    assert fitted.transform(DIGITS[:40]).shape == (40, 6)


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_none_is_said(layer):
    with pytest.raises(ValueError, match="none of the encoder's 3 layers. Pass a number from -3"):
        RotationPrediction(layer=layer, **CHEAP).fit(DIGITS[:40])


def test_images_that_are_not_square_are_said():
    with pytest.raises(ValueError, match="expected square ones, got 8 x 6 pixels. Crop or pad"):
        RotationPrediction(**CHEAP).fit(DIGITS[:, :, 1:7])


def test_views_that_turn_images_are_not_taken():
    with pytest.raises(ValueError, match="'views' parameter of RotationPrediction"):
        RotationPrediction(views="rotations", **CHEAP).fit(DIGITS[:40])


# ---- jigsaw ------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "n_tiles"), [((3, 14), 2), ((17, 9), 2), ((28, 31), 3)])
@pytest.mark.parametrize("gap", [0.0, 0.15, 0.9])
def test_tiles_are_parts_of_their_cells(shape, n_tiles, gap):
    height, width = max(shape[0], 8), shape[1]
    x = torch.arange(2.0 * height * width).view(2, 1, height, width)
    tiles = random_tiles(x, n_tiles, gap)
    side = [s // n_tiles for s in (height, width)]
    left_out = [min(round(gap * s), s - 4) for s in side]
    assert tiles.shape == (2, n_tiles**2, 1, side[0] - left_out[0], side[1] - left_out[1])
    for image, (row, column) in itertools.product(
        range(2), itertools.product(range(n_tiles), repeat=2)
    ):
        tile = tiles[image, row * n_tiles + column, 0]
        at = int(tile[0, 0]) - image * height * width
        top, left = at // width, at % width
        assert torch.equal(tile, x[image, 0, top:, left:][: tile.shape[0], : tile.shape[1]])
        down = top - height % n_tiles // 2 - row * side[0]
        along = left - width % n_tiles // 2 - column * side[1]
        assert 0 <= down <= left_out[0] and 0 <= along <= left_out[1]


def test_tiles_are_standardised_one_by_one():
    x = torch.randn(3, 4, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[0, 0, 0] = 7.0
    out = standardize_tiles(3 * x + 1)
    assert (out[0, 0, 0] == 0).all()
    np.testing.assert_allclose(out.mean((-2, -1)), 0, atol=1e-12)
    np.testing.assert_allclose(out.std((-2, -1), correction=0).flatten()[1:], 1)


def test_permutations_are_far_apart():
    assert sorted(map(tuple, distant_permutations(4, 99).tolist())) == list(
        itertools.permutations(range(4))
    )
    orders = distant_permutations(9, 30).numpy()
    assert (np.sort(orders, 1) == np.arange(9)).all()
    apart = [(a != b).sum() for a, b in itertools.combinations(orders, 2)]
    random = [np.random.default_rng(i).permutation(9) for i in range(30)]
    by_chance = [(a != b).sum() for a, b in itertools.combinations(random, 2)]
    assert min(apart) >= 7 > min(by_chance) and np.mean(apart) > np.mean(by_chance)
    every = np.array(list(itertools.permutations(range(5))))
    chosen = distant_permutations(5, 40).numpy()
    for k in range(1, 40):  # each is the farthest from those before it
        apart = (every[:, None] != chosen[:k]).sum(2)
        farthest = apart[apart.min(1) == apart.min(1).max()]
        added = (chosen[k] != chosen[:k]).sum(1)
        assert added.min() == farthest.min(1)[0] and added.sum() == farthest.sum(1).max()
    assert chosen[0].tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(distant_permutations(5, 7), chosen[:7])


def test_jigsaw_s_loss_equals_loop():
    fitted, net, x = trained_net(Jigsaw(n_permutations=7, **CHEAP), patches(12))
    loss = seeded(fitted._loss, net, x)

    def draws():
        tiles = random_tiles(x, 2, fitted.gap)
        return tiles, torch.randint(7, (ORDERS, len(x)))

    tiles, order = seeded(draws)
    losses = []
    for laid, (i, image) in itertools.product(range(ORDERS), enumerate(tiles)):
        order_of = net.orders[order[laid, i]]
        z = [evaluated(net.siamese, standardize_tiles(image[tile][None])) for tile in order_of]
        logits = evaluated(net.head, torch.from_numpy(np.hstack(z)).float())
        losses.append(slow_cross_entropy(logits[0], order[laid, i]))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(("side", "n_tiles"), [(8, 3), (7, "auto"), (11, 3)])
def test_images_too_small_for_tiles_are_said(side, n_tiles):
    with pytest.raises(ValueError, match="at least 4 pixels per side; got .* Pass a lower"):
        Jigsaw(n_tiles=n_tiles, **CHEAP).fit(patches(20, side))


def test_large_images_are_cut_into_nine():
    _, net, _ = trained_net(Jigsaw(**{**CHEAP, "max_epochs": 0}), patches(20, 19))
    assert net.n_tiles == 3 and net.orders.shape == (100, 9)


# ---- colours -----------------------------------------------------------------------------


def test_bins_are_the_nearest_colours_and_weights_follow_the_paper():
    x = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    colors = seeded(Colors, x, 5, 0.5)
    assert colors.centers.shape == (5, 2)
    bins = colors(x)
    for image, row, column in itertools.product(range(20), range(4), range(4)):
        r, g, b = x[image, :, row, column].tolist()
        point = torch.tensor([(r - g) / 2**0.5, (r + g - 2 * b) / 6**0.5])
        assert bins[image, row, column] == (colors.centers - point).square().sum(1).argmin()
    share = torch.stack([(bins == q).float().mean() for q in range(5)])
    weight = 1 / (0.5 * share + 0.5 / 5)
    torch.testing.assert_close(colors.weight, weight / (share * weight).sum())
    assert (share * colors.weight).sum().item() == pytest.approx(1)
    even = seeded(Colors, x, 5, 0.0)
    torch.testing.assert_close(even.weight, torch.ones(5))
    assert torch.equal(seeded(Colors, x, 5, 0.5).centers, colors.centers)


def test_lightness_and_colours_are_orthogonal():
    basis = torch.eye(3).view(3, 3, 1, 1)
    rows = torch.cat([torch.full((3, 1), 3**-0.5), chroma(basis).view(3, 2)], 1)
    torch.testing.assert_close(rows.T @ rows, torch.eye(3))


def test_images_of_few_colours_have_few_bins():
    x = torch.zeros(4, 3, 2, 2)
    x[:2, 0] = 1
    assert len(seeded(Colors, x, 32, 0.5).weight) == 2


def test_colorization_s_loss_equals_loop():
    fitted, net, x = trained_net(Colorization(n_bins=6, **CHEAP), patches(12))
    loss = seeded(fitted._loss, net, x)
    total, mass = 0.0, 0.0
    for image in x:
        grey = image.mean(0).expand(3, -1, -1)[None]
        logits = evaluated(nn.Sequential(net.encoder[1], net.painter), grey)[0]
        for row, column in itertools.product(range(4), range(4)):
            block = image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean((1, 2))
            q = (net.colors.centers - chroma(block[None, :, None, None])).square().sum(-1).argmin()
            weight = net.colors.weight[q].item()
            total += weight * slow_cross_entropy(logits[:, row, column], q)
            mass += weight
    assert loss.item() == pytest.approx(total / mass, rel=1e-4)


def test_the_colours_of_an_image_are_not_looked_at_in_transform():
    X = patches(40).astype(np.float32)
    fitted = Colorization(**CHEAP).fit(X)
    scaler = fitted.encoder_[0]
    x = scaler(fitted._read(X))
    other = x + torch.tensor([1.0, 1.0, -2.0]).view(3, 1, 1)
    other = np.moveaxis(scaler.inverse(other).numpy(), 1, 3)
    np.testing.assert_allclose(fitted.transform(other), fitted.transform(X), rtol=1e-3, atol=1e-4)
    assert np.abs(fitted.transform(X[:, ::-1]) - fitted.transform(X)).max() > 1e-2


@pytest.mark.parametrize(
    ("X", "found"),
    [
        (DIGITS[:40], "1 channels"),
        (np.repeat(DIGITS[:40, :, :, None], 3, 3), "3 that are all alike"),
        (np.repeat(DIGITS[:40, :, :, None], 5, 3), "5 channels"),
    ],
)
def test_images_without_colours_are_said(X, found):
    with pytest.raises(ValueError, match=f"red, green and blue, got {found}. For others"):
        Colorization(**CHEAP).fit(X)


# ---- hidden blocks -----------------------------------------------------------------------


def test_inpainting_s_loss_equals_loop():
    fitted, net, x = trained_net(Inpainting(**CHEAP), patches(12))
    loss = seeded(fitted._loss, net, x)
    view = seeded(functools.partial(erase, ratio=(0.5, 2), p=1.0), x, (0.25, 0.25))
    out = evaluated(nn.Sequential(net.encoder, net.decoder), view)
    errors = []
    for i, row, column in itertools.product(range(12), range(16), range(16)):
        if (view[i, :, row, column] != x[i, :, row, column]).any():
            errors.extend((out[i, :, row, column] - x[i, :, row, column].numpy()) ** 2)
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-4)
    assert len(errors) / x.numel() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (28, 28), (32, 20), (7, 33), (1, 5), (96, 64)])
def test_decoders_make_images_of_any_size(size):
    assert Decoder(6, 2, size)(torch.zeros(3, 6)).shape == (3, 2, *size)


def test_reconstruct_fills_in_the_middle():
    X = patches(40)
    fitted = Inpainting(mask_ratio=0.25, **CHEAP).fit(X)
    hidden = fitted.decoder_.hidden.numpy()
    assert hidden.sum() == 64 and hidden[4:12, 4:12].all()
    out = fitted.reconstruct(X)
    assert out.shape == X.shape and out.dtype == X.dtype
    assert np.array_equal(out[:, ~hidden], X[:, ~hidden])
    other = X.copy()
    other[:, hidden] = 0
    assert np.array_equal(fitted.reconstruct(other)[:, hidden], out[:, hidden])  # never seen


def test_inpainting_takes_a_user_s_views():
    seen = []

    def halves(x):
        seen.append(len(x))
        return [x.masked_fill(torch.arange(x.shape[3]) < 8, 0.0), flip(x, p=1.0)]

    assert Inpainting(views=halves, **CHEAP).fit_transform(patches(40)).shape == (40, 8)
    assert seen == [20] * 4
    with pytest.raises(ValueError, match="views= must keep the shape"):
        Inpainting(views=lambda x: x[:, :, ::2], **CHEAP).fit(patches(40))


# ---- all four ----------------------------------------------------------------------------

METHODS = {
    "RotationPrediction": RotationPrediction(),
    "Jigsaw": Jigsaw(),
    "Colorization": Colorization(),
    "Inpainting": Inpainting(),
}
every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_views_of_several_sizes(name):
    """Crops of two sizes, for the methods that take any view."""
    if name == "Inpainting":
        pytest.skip("predicts the pixels that views alter")
    crops = clone(METHODS[name]).set_params(views=lambda x: [x, x[:, :, :8, :8]], **CHEAP)
    assert np.isfinite(crops.fit_transform(patches(40))).all()


@every_method
def test_as_a_task_of_several(name):
    tasks = [("simclr", SimCLR(), 1.0), ("mine", METHODS[name], 0.5)]
    fitted = MultiTask(tasks, **CHEAP).fit(patches(40))
    assert fitted.transform(patches(40)).shape == (40, 8)


@every_method
def test_gradients_are_finite_under_bfloat16_at_duplicates(name):
    X = patches(2).repeat(10, 0)
    params = {**CHEAP, "precision": "bfloat16"}
    fitted = clone(METHODS[name]).set_params(**params).fit(X)
    assert np.isfinite(fitted.loss_curve_).all() and np.isfinite(fitted.transform(X)).all()


# ---- learning ----------------------------------------------------------------------------

LEARNING = {"encoder": small, "batch_size": 128, "learning_rate": 3e-3, "precision": "float32"}
# Epochs, and by how much each beats untrained encoders: about half of what was measured, and three
# standard deviations over seeds less.
LEARNS = {
    "RotationPrediction": (6, 0.045),
    "Jigsaw": (12, 0.1),
    "Colorization": (12, 0.06),
    "Inpainting": (12, 0.15),
}


@functools.cache
def learnt(name, seed, trained):
    """Fit on the digits or, for colours, on patches of which the photograph is to be told."""
    epochs = LEARNS[name][0] if trained else 0
    estimator = clone(METHODS[name]).set_params(**LEARNING, max_epochs=epochs, random_state=seed)
    if name == "RotationPrediction":  # which more steps make the same for all seeds
        estimator.set_params(batch_size=64)
    fitted, net, x = trained_net(estimator.set_params(modality="image"), rows_of(name)[0])
    return fitted, net, x[:500]


@functools.cache
def rows_of(name):
    return (patches(1200), np.arange(1200) % 2) if name == "Colorization" else (DIGITS, LABELS)


def embedding(name, seed, trained=True):
    """Return what a linear model reads, and what it is to tell.

    Jigsaw embeds tiles, of which the corner is to be told: tiles of 4 x 4 pixels teach it nothing
    about the digit.
    """
    fitted, net, x = learnt(name, seed, trained)
    if name != "Jigsaw":
        X, y = rows_of(name)
        return fitted.transform(X), y
    tiles = standardize_tiles(random_tiles(x, 2, 0.0))
    corner = np.arange(len(x)) % 4
    return evaluated(net.siamese, tiles[np.arange(len(x)), corner]), corner


def probe(Z, y):
    """Return the accuracy of a logistic regression on 100 labels, the mean of ten draws."""
    Z = StandardScaler().fit_transform(Z)
    scores = []
    for draw in range(10):
        few, rest = train_test_split(
            np.arange(len(Z)), train_size=100, stratify=y, random_state=draw
        )
        model = LogisticRegression(C=0.01, max_iter=300).fit(Z[few], y[few])
        scores.append(model.score(Z[rest], y[rest]))
    return np.mean(scores)


@pytest.mark.learns(*LEARNS)
@every_method
def test_training_beats_the_untrained_encoder(name, seed, margin):
    untrained = [probe(*embedding(name, s, trained=False)) for s in range(3)]
    margin(probe(*embedding(name, seed)) - np.mean(untrained), LEARNS[name][1])


def test_turns_are_told(seed, margin):
    _, net, x = learnt("RotationPrediction", seed, True)
    for turns in range(4):
        logits = evaluated(nn.Sequential(net.whole, net.head), x.rot90(turns, (2, 3)))
        margin((logits.argmax(1) == turns).mean(), 0.95, f"{turns} turns")


def test_orders_are_told(seed, margin):
    """Of 24 orders, of four tiles of 4 x 4 pixels."""
    fitted, net, x = learnt("Jigsaw", seed, True)
    tiles = standardize_tiles(random_tiles(x, 2, 0.0))
    z = torch.from_numpy(evaluated(net.siamese, tiles.flatten(0, 1))).float().view(len(x), 4, -1)
    found = [
        evaluated(net.head, z[:, order].flatten(1)).argmax(1) == i
        for i, order in enumerate(net.orders)
    ]
    margin(np.mean(found), 10 / 24)


def test_colours_are_told_more_often_than_the_commonest(seed, margin):
    _, net, x = learnt("Colorization", seed, True)
    net.colors.weight.fill_(1.0)
    bins = net.colors(torch.nn.functional.adaptive_avg_pool2d(x, 4)).numpy()
    found = evaluated(nn.Sequential(net.encoder, net.painter), x).argmax(1)
    majority = np.bincount(bins.ravel()).max() / bins.size
    margin((found == bins).mean() / majority, 1.5)


def test_hidden_pixels_are_predicted_better_than_by_their_mean(seed, margin):
    fitted, _, _ = learnt("Inpainting", seed, True)
    hidden = fitted.decoder_.hidden.numpy()
    X = DIGITS[:500].astype(np.float32)
    error = np.square(fitted.reconstruct(X) - X)[:, hidden].mean()
    each = np.square(X - DIGITS.mean(0))[:, hidden].mean()
    margin(1 - error / each, 0.3)  # better than by the mean of each pixel, let alone of all
