"""Embeddings that depend on a context: actions, the encoder, losses and ContextSSL."""

import functools
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor
from test_methods import trained_net
from test_pretexts import probe
from torch import nn

from skssl import ContextSSL, load, save, to_onnx
from skssl.encoders import MLP, ContextEncoder
from skssl.encoders._context import ContextBlock
from skssl.losses import context_nce, told_error
from skssl.views import (
    IMAGE_ACTIONS,
    Actions,
    blur_action,
    brightness_action,
    crop_action,
    hue_action,
    rotation_action,
    swap_action,
)
from skssl.views._images import turn

CHEAP = {
    "n_components": 8,
    "max_epochs": 1,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
}
IRIS = load_iris(as_frame=True).data
DIGITS = load_digits().images[:60]


def colored(n=40, side=8, seed=0):
    """Smooth coloured images, (n, 3, side, side)."""
    x = torch.randn(n, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(x, size=(side, side), mode="bilinear")


# ---- actions -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGE_ACTIONS)
def test_actions_leave_their_input_and_tell_each_row_s_parameters(name):
    x = colored()
    before = x.clone()
    view, parameters = IMAGE_ACTIONS[name](x)
    assert torch.equal(x, before) and view.shape == x.shape and view.dtype == x.dtype
    assert parameters.ndim == 2 and len(parameters) == len(x) and parameters.isfinite().all()
    assert (parameters.std(0) > 0).all()
    small = IMAGE_ACTIONS[name](x.bfloat16())[0]
    assert small.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="float batch"):
        IMAGE_ACTIONS[name](x[:, 0])


def test_a_crop_is_where_it_says():
    x = torch.zeros(200, 1, 64, 64)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    x[:, 0] = (rows + 0.5) / 64 - 0.5  # each pixel says how far down it is
    view, parameters = crop_action(x, scale=(0.3, 0.6))
    middle = view[:, 0, 31:33, 31:33].mean((1, 2))
    torch.testing.assert_close(middle, parameters[:, 0], atol=2e-3, rtol=0)
    across = crop_action(x.mT, scale=(0.3, 0.6))
    torch.testing.assert_close(
        across[0][:, 0, 31:33, 31:33].mean((1, 2)), across[1][:, 1], atol=2e-3, rtol=0
    )
    tall = (view[:, 0, 48, 32] - view[:, 0, 16, 32]) / 32 * 64  # length of a pixel's step
    torch.testing.assert_close(tall.log(), parameters[:, 2], atol=2e-2, rtol=0)
    area = parameters[:, 2:].sum(1).exp()
    assert area.min() > 0.29 and area.max() < 0.61


def test_a_rotation_is_by_the_angle_it_says():
    x = torch.zeros(100, 1, 33, 33)
    x[:, 0, 16, 28] = 1  # a dot to the right of the centre
    x = blur_action(x, sigma=(1.0, 1.0))[0]
    view, parameters = rotation_action(x, degrees=180)
    place = torch.arange(33.0) - 16
    weight = view[:, 0] / view[:, 0].sum((1, 2), keepdim=True)
    down, right = (weight.sum(2) * place).sum(1), (weight.sum(1) * place).sum(1)
    angle = torch.atan2(*parameters.T)
    found = torch.atan2(-down, right)  # counterclockwise
    difference = (found - angle).remainder(2 * math.pi)
    assert torch.minimum(difference, 2 * math.pi - difference).max() < 0.05
    assert angle.min() < -2.5 and angle.max() > 2.5
    assert rotation_action(x, degrees=10)[1][:, 0].abs().max() <= math.sin(math.radians(10)) + 1e-6


def test_a_hue_is_turned_by_the_angle_it_says():
    x = colored(200)
    view, parameters = hue_action(x)
    basis = torch.tensor([[2.0, -1, -1], [0, 3**0.5, -(3**0.5)]]) / 6**0.5  # across the grey axis
    before, after = ((basis @ part.flatten(2)) for part in (x, view))
    sin, cos = parameters[:, :, None].unbind(1)
    turned = torch.stack(
        [cos * before[:, 0] - sin * before[:, 1], sin * before[:, 0] + cos * before[:, 1]], 1
    )
    torch.testing.assert_close(after, turned, atol=1e-4, rtol=1e-4)
    assert parameters[:, 1].min() < -0.9
    with pytest.raises(ValueError, match="3 channels; got 1"):
        hue_action(x[:, :1])


def test_brightness_and_blur_are_what_they_say():
    x = colored()
    view, parameters = brightness_action(x, strength=0.5)
    torch.testing.assert_close(view - x, parameters[:, :, None, None].expand_as(x))
    assert parameters.abs().max() <= 0.5
    point = torch.zeros(50, 1, 31, 31)
    point[:, 0, 15, 15] = 1
    view, parameters = blur_action(point, sigma=(1.0, 3.0))
    place = torch.arange(31.0) - 15
    spread = (view[:, 0].sum(2) * place**2).sum(1).sqrt()
    torch.testing.assert_close(spread, parameters[:, 0], rtol=2e-2, atol=0)
    with pytest.raises(ValueError, match="least first"):
        blur_action(x, sigma=(2.0, 1.0))


def test_swapped_blocks_come_from_one_row_and_are_told():
    x = torch.arange(400.0).reshape(100, 4)
    x[:, 3] = torch.nan
    view, parameters = swap_action(x, [0, 2, 3], p=0.6)
    assert torch.equal(view[:, 1], x[:, 1]) and view[:, 3].isnan().all()
    assert torch.equal(view[:, 0] + 2, view[:, 2])  # of the same row
    assert torch.equal((view[:, 0] != x[:, 0]).float(), parameters[:, 0])
    assert 0.4 < parameters.mean() < 0.8
    assert swap_action(x, [3], p=1.0)[1].sum() == 0  # what is the same has not changed


def test_actions_follow_each_other():
    def add(x):
        return x + 1, x[:, :1]

    def double(x):
        return 2 * x, x[:, 1:]

    x = torch.tensor([[1.0, 2.0]])
    view, parameters = Actions({"add": add, "double": double})(x)
    assert view.tolist() == [[4.0, 6.0]]
    assert [p.tolist() for p in parameters] == [[[1.0]], [[3.0]]]


def test_rows_are_altered_alike_by_the_actions_told():
    def noise(column):
        def add(x):
            drawn = torch.randn(len(x), 1)
            return x + drawn * F.one_hot(torch.tensor(column), 3), drawn

        return add

    actions = Actions({str(i): noise(i) for i in range(3)})
    x, told = torch.randn(11, 3), torch.tensor([[True, False, True], [False, False, False]])
    (rows, first, second), parameters, changed = actions.twice(x, told)
    assert torch.equal(rows, x[:10].view(2, 5, 3))
    torch.testing.assert_close(first - rows, parameters)
    assert torch.equal((first == second).all(1), told)
    assert changed.tolist() == [[True] * 5, [False] * 5]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x,
        lambda x: (x, x[:, :0]),
        lambda x: (x[:1], x),
        lambda x: (x, x[:1]),
        lambda x: (x, x[:, 0]),
        lambda x: (x.double(), x),
        lambda x: (x, 3),
    ],
)
def test_what_is_no_action_is_said(wrong):
    with pytest.raises(ValueError, match="action 'wrong' must return the altered batch"):
        Actions({"wrong": wrong})(torch.ones(3, 2))


# ---- the encoder -------------------------------------------------------------------------


def slow_block(block, context, rows, length):
    """One context: each row is read in a sequence of its own behind the pairs it sees."""

    def one(sequence):
        h = block.before_attention(sequence)
        query, key, value = block.qkv(h).chunk(3, 1)
        width = sequence.shape[1] // block.n_heads
        out = torch.zeros_like(sequence)
        for head in range(block.n_heads):
            at = slice(head * width, (head + 1) * width)
            for i in range(len(sequence)):
                scores = torch.stack([query[i, at] @ key[j, at] for j in range(i + 1)])
                share = (scores / math.sqrt(width)).softmax(0)
                out[i, at] = sum(share[j] * value[j, at] for j in range(i + 1))
        sequence = sequence + block.out(out)
        a, b = block.up(block.before_dense(sequence)).chunk(2, 1)
        return sequence + block.down(a * b.sigmoid())

    read = torch.stack([one(torch.cat([context[:length], row[None]]))[-1] for row in rows])
    return one(context) if len(context) else context, read


def test_a_block_equals_a_slow_loop():
    torch.manual_seed(0)
    block = ContextBlock(32)
    context, rows = torch.randn(3, 5, 32), torch.randn(3, 4, 32)
    length = torch.tensor([0, 2, 5])
    fast = block(context, rows, length)
    assert block.n_heads == 2
    for g in range(3):
        slow = slow_block(block, context[g], rows[g], int(length[g]))
        for a, b in zip(fast, slow, strict=True):
            torch.testing.assert_close(a[g], b, rtol=1e-4, atol=1e-5)


def test_no_context_is_a_context_of_which_nothing_is_seen():
    torch.manual_seed(0)
    block, rows, none = ContextBlock(32), torch.randn(2, 4, 32), torch.zeros(2, dtype=torch.long)
    unseen = block(torch.randn(2, 5, 32), rows, none)[1]
    torch.testing.assert_close(block(torch.randn(2, 0, 32), rows, none)[1], unseen)


def made_encoder(width=8):
    torch.manual_seed(0)
    parameters = [torch.randn(50, 2), 3 * torch.randn(50, 1) + 1, torch.ones(50, 1)]
    return ContextEncoder(nn.Linear(3, width), width, parameters), parameters


def test_parameters_are_standardised_and_hidden():
    encoder, parameters = made_encoder()
    changes = encoder.standardised(torch.cat(parameters, 1))
    torch.testing.assert_close(changes.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(changes.std(0, correction=0), torch.tensor([1.0, 1, 1, 0]))
    told = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    before, after = torch.randn(2, 2, 50, 8)
    context = encoder.make_context(before, after, changes.expand(2, -1, -1), told)
    assert torch.equal(context[..., :16], torch.cat([before, after], 2))
    given = context[..., 16:20]
    assert torch.equal(given[0, :, :2], changes[:, :2]) and (given[0, :, 2] == 0).all()
    assert torch.equal(given[1, :, 2], changes[:, 2]) and (given[1, :, :2] == 0).all()
    assert torch.equal(context[..., 20:], told[:, None].expand(-1, 50, -1))


def test_a_context_changes_embeddings_and_rows_do_not_see_each_other():
    encoder, parameters = made_encoder()
    encoder.eval()
    x = torch.randn(20, 3)
    z = encoder(x)
    before, after = encoder.encoder(torch.randn(2, 50, 3)).detach()
    encoder.keep(before, after, encoder.standardised(torch.cat(parameters, 1)))
    torch.testing.assert_close(encoder(x), z)  # what is kept is no context yet
    encoder.set_context(torch.tensor([1.0, 0.0, 0.0]), 5)
    told = encoder(x)
    assert encoder.context.shape == (5, 2 * 8 + 4 + 3)
    assert not torch.allclose(told, z, atol=1e-3)
    torch.testing.assert_close(encoder(x[:1]), told[:1], rtol=1e-4, atol=1e-5)
    encoder.set_context(torch.tensor([0.0, 1.0, 0.0]), 5)
    assert not torch.allclose(encoder(x), told, atol=1e-3)
    encoder.set_context(torch.tensor([0.0, 1.0, 0.0]), 0)
    torch.testing.assert_close(encoder(x), z)


# ---- losses ------------------------------------------------------------------------------


def test_the_contrast_equals_a_slow_loop():
    torch.manual_seed(0)
    before, first, second = torch.randn(3, 2, 4, 5)
    changed = torch.tensor([[True, False, True, True], [False] * 4])
    slow = []
    for g in range(2):
        views = [F.normalize(z[g], dim=1).double() for z in (first, second, before)]
        for v in (0, 1):
            for i in range(4):
                negatives = 0.0
                for w in (0, 1, 2):
                    for j in range(4):
                        same = i == j and (w == v or (w == 2 and not changed[g, i]))
                        negatives += 0 if same else math.exp(views[v][i] @ views[w][j] / 0.3)
                slow.append(math.log(negatives) - views[v][i] @ views[1 - v][i] / 0.3)
    assert context_nce(before, first, second, changed, 0.3).item() == pytest.approx(np.mean(slow))


def test_the_contrast_of_two_rows_and_of_duplicates():
    a = torch.eye(2)[None]
    both, none = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)
    exact = math.log(1 + 3 / math.e + 1 / math.e**2)
    assert context_nce(-a, a, a, both, 1.0).item() == pytest.approx(exact)
    exact = math.log(1 + 3 / math.e)
    assert context_nce(-a, a, a, none, 1.0).item() == pytest.approx(exact)
    for dtype in (torch.float32, torch.bfloat16):
        z = torch.ones(1, 3, 4, dtype=dtype).requires_grad_()
        loss = context_nce(z, z, z, torch.ones(1, 3, dtype=torch.bool), 0.1)
        loss.backward()
        assert loss.dtype == torch.float32 and z.grad.isfinite().all()
        assert loss.item() == pytest.approx(math.log(8))


def test_the_error_of_what_is_told_equals_a_slow_loop():
    torch.manual_seed(0)
    guess, changes = torch.randn(2, 2, 3, 4)
    told = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])
    slow = [
        float(guess[g, i, p] - changes[g, i, p]) ** 2
        for g in range(2)
        for i in range(3)
        for p in range(4)
        if told[g, p]
    ]
    assert told_error(guess, changes, told).item() == pytest.approx(np.mean(slow))
    assert told_error(guess, changes, torch.zeros(2, 4)).item() == 0


def test_the_method_s_loss_equals_a_slow_loop():
    """Actions that draw nothing and contexts of given lengths: each row is embedded by itself."""

    def action(place, added):
        return lambda x: (x + added * F.one_hot(torch.tensor(place), 4), x[:, :1] * 0 + added)

    X, actions = IRIS.to_numpy()[:64], [action(0, 0.5), action(1, -0.7)]
    for i, function in enumerate(actions):
        function.__name__ = f"add{i}"
    given = {**CHEAP, "batch_size": 64, "n_pairs": 3, "temperature": 0.3, "symmetry": 0.4}
    fitted, net, x = trained_net(ContextSSL(actions=actions, **given), X)
    encoder = net.encoder
    encoder.scale.fill_(2.0)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        loss = fitted._loss(net, x).item()
        torch.manual_seed(0)
        told, length = torch.rand(2, 2) < 0.5, torch.randint(0, 4, (2,))
        contrasts, errors = [], []
        for g in range(2):
            rows = x[32 * g : 32 * (g + 1)]
            after = rows + torch.tensor([0.5, -0.7, 0.0, 0.0])
            changes = encoder.standardised(torch.tensor([[0.5, -0.7]]))[0]
            f, f_after = encoder.encoder(rows), encoder.encoder(after)
            seen = torch.cat([changes * told[g], told[g].float()]).expand(3, -1)
            encoder.context = torch.cat([f[:3], f_after[:3], seen], 1)[: length[g]]
            z, z_after = encoder(rows[3:]), encoder(after[3:])
            changed = told[g].any().expand(1, 29)
            contrasts.append(context_nce(z[None], z_after[None], z_after[None], changed, 0.3))
            pair = torch.cat([F.normalize(z, dim=1), F.normalize(z_after, dim=1)], 1)
            error = (net.guess(pair) - changes).square()
            errors += [error[:, p] for p in range(2) if told[g, p]]
    assert told.any()
    slow = torch.stack(contrasts).mean() + 0.4 * torch.cat(errors).mean()
    assert loss == pytest.approx(slow.item(), rel=1e-4)


def test_gradients_are_finite_under_bfloat16_at_duplicates():
    X = np.tile(IRIS.to_numpy()[:2], (20, 1))
    fitted = ContextSSL(**{**CHEAP, "precision": "bfloat16"}).fit(X)
    assert np.isfinite(fitted.loss_curve_).all() and np.isfinite(fitted.transform(X)).all()


# ---- what the user says ------------------------------------------------------------------


def test_default_actions_of_images_and_tables():
    def names(X, **params):
        return list(ContextSSL(**CHEAP, **params).fit(X).actions_.functions)

    grey, color = DIGITS, colored(40).numpy()
    assert names(grey, modality="image") == ["rotation", "brightness"]
    assert names(color, modality="image") == ["rotation", "hue"]
    assert names(IRIS) == list(IRIS.columns)
    assert names(IRIS.to_numpy()) == ["0", "1", "2", "3"]
    block = [["petal length (cm)", 3], "sepal width (cm)"]
    assert names(IRIS, actions=block) == [
        "petal length (cm), petal width (cm)",
        "sepal width (cm)",
    ]
    given = [partial(rotation_action, degrees=180), "blur"]
    assert names(grey, modality="image", actions=given) == ["rotation", "blur"]


@pytest.mark.parametrize(
    ("X", "actions", "message"),
    [
        (IRIS, ["rotation"], "'rotation' in actions is no column of X; there are 4: sepal"),
        (IRIS, [4], "4 in actions is no column"),
        (IRIS, [], "at least one action"),
        (IRIS, [0, "sepal length (cm)"], "stands there twice"),
        (DIGITS, ["hue"], "3 channels; got 1"),
        (DIGITS, ["colour"], "'colour' is no action on images: by name there are 'crop'"),
        (DIGITS, [[0, 1]], "is no action on images"),
        (DIGITS, [lambda x: x], "must return the altered batch"),
    ],
)
def test_bad_actions_are_said(X, actions, message):
    modality = "table" if X is IRIS else "image"
    with pytest.raises(ValueError, match=message):
        ContextSSL(**CHEAP, modality=modality, actions=actions).fit(X)


@pytest.fixture(scope="module")
def fitted():
    return ContextSSL(**CHEAP).fit(IRIS)


def test_with_context_is_a_copy_that_reads_pairs(fitted):
    Z = fitted.transform(IRIS)
    made = fitted.with_context("petal width (cm)", n=3)
    assert np.array_equal(fitted.transform(IRIS), Z)
    assert made.encoder_[1].context.shape[0] == 3
    other = made.transform(IRIS)
    assert other.shape == Z.shape and not np.allclose(other, Z, atol=1e-3)
    assert np.array_equal(fitted.with_context("petal width (cm)", n=0).transform(IRIS), Z)
    assert np.array_equal(made.with_context([], n=0).transform(IRIS), Z)
    three = [name for name in IRIS if name != "petal width (cm)"]
    a = fitted.with_context(three).encoder_[1].context
    assert torch.equal(a, fitted.with_context(blind="petal width (cm)").encoder_[1].context)
    assert len(a) == fitted.n_pairs == 14


def test_a_context_is_saved(fitted, tmp_path):
    made = fitted.with_context(blind="petal width (cm)")
    save(made, tmp_path / "made")
    for other in (load(tmp_path / "made"), pickle.loads(pickle.dumps(made))):
        assert np.array_equal(other.transform(IRIS), made.transform(IRIS))
        again = other.with_context("petal width (cm)", n=2).transform(IRIS)
        assert np.array_equal(again, fitted.with_context("petal width (cm)", n=2).transform(IRIS))


@pytest.mark.parametrize("n", [0, 14])
def test_a_context_is_exported(fitted, n, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    made = fitted.with_context(blind="petal width (cm)", n=n)
    to_onnx(made, tmp_path / "made.onnx")
    session = runtime.InferenceSession(tmp_path / "made.onnx")
    out = session.run(None, {session.get_inputs()[0].name: IRIS.to_numpy()})[0]
    np.testing.assert_allclose(out, made.transform(IRIS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "one of the two"),
        ({"sensitive": "petal width (cm)", "blind": []}, "one of the two"),
        ({"sensitive": "petal"}, "'petal' is none of the actions that were fitted: sepal"),
        ({"blind": [7]}, "7 is none of the actions"),
        ({"sensitive": [], "n": 15}, "from 0 to 14; got 15"),
        ({"sensitive": [], "n": -1}, "from 0 to 14; got -1"),
        ({"sensitive": [], "n": 2.0}, "from 0 to 14; got 2.0"),
    ],
)
def test_bad_contexts_are_said(fitted, given, message):
    with pytest.raises(ValueError, match=message):
        fitted.with_context(**given)


def test_a_context_needs_a_fit():
    with pytest.raises(NotFittedError):
        ContextSSL().with_context("rotation")


# ---- learning ----------------------------------------------------------------------------


@functools.cache
def tinted_digits(seed):
    """Digits turned by up to 60 degrees and tinted by a hue, with both and the labels."""
    digits, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    hue, angle = rng.uniform(0, 2 * np.pi, len(y)), np.radians(rng.uniform(-60, 60, len(y)))
    grey = torch.tensor(digits.reshape(-1, 1, 8, 8) / 16).float()
    color = 0.5 + 0.5 * np.cos(hue[:, None] - 2 * np.pi * np.arange(3) / 3)
    X = turn(grey, torch.tensor(angle).float()).numpy() * color[:, :, None, None]
    return (
        X.astype(np.float32),
        {"rotation": angle, "hue": np.stack([np.sin(hue), np.cos(hue)], 1)},
        y,
    )


@functools.cache
def learnt(seed, trained):
    """Fit 910 steps, in three quarters of a minute, or none."""
    actions = [partial(rotation_action, degrees=60), "hue"]
    epochs = 130 if trained else 0
    made = ContextSSL(actions=actions, encoder=dense, modality="image", max_epochs=epochs)
    return made.set_params(random_state=seed).fit(tinted_digits(seed)[0])


def dense(x):
    return nn.Sequential(nn.Flatten(), MLP(x[0].numel(), 512, 512, 64, activated=True))


@pytest.mark.slow
@pytest.mark.learns("ContextSSL")
def test_training_beats_the_untrained_encoder(seed, margin):
    X, _, y = tinted_digits(seed)
    scores = [probe(learnt(seed, t).with_context([]).transform(X), y) for t in (True, False)]
    margin(scores[0] - scores[1], 0.28)


@pytest.mark.slow
@pytest.mark.parametrize(("context", "other"), [("rotation", "hue"), ("hue", "rotation")])
def test_a_context_keeps_what_it_tells_and_hides_the_rest(context, other, seed, margin):
    X, factors, _ = tinted_digits(seed)
    made = learnt(seed, True)

    def told(name, n):
        Z = made.with_context(context, n=n).transform(X)
        near = KNeighborsRegressor(10, metric="cosine").fit(Z[::2], factors[name][::2])
        return near.score(Z[1::2], factors[name][1::2])

    margin(told(context, 14), 0.5, f"{context} is told")
    margin(told(other, 0) - told(other, 14), 0.4, f"{other} is hidden")
