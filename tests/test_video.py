"""Clips: what is read as clips, their views, encoder and losses; and NextFrame."""

import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skssl import NextFrame, SimCLR
from skssl._data import VideoReader
from skssl.base._modality_of import infer_modality, modality_of
from skssl.datasets import make_moving_digits
from skssl.encoders import FramePredictor, ResNet, VideoEncoder, video_encoder
from skssl.losses import gradient_difference
from skssl.views import Alike, clip_views, color_jitter, flip, random_run, resized_crop

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (6, 5, 8, 12, 3), dtype=np.uint8)  # channels last
GREY = COLORS[..., 0]
CHEAP = {"n_components": 8, "max_epochs": 1, "precision": "float32", "random_state": 0}


# ---- reader ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "method", "modality"),
    [
        (COLORS, NextFrame(), "video"),
        (GREY, NextFrame(), "video"),
        (COLORS, SimCLR(), "video"),
        (GREY, SimCLR(), "image"),
        (GREY, SimCLR(modality="video"), "video"),
    ],
)
def test_what_is_a_clip(X, method, modality):
    assert modality_of(X, method) == modality
    assert infer_modality(COLORS.astype(float)) == "video"


@pytest.mark.parametrize(
    ("X", "axis"),
    [
        (COLORS, "auto"),
        (COLORS, -1),
        (np.moveaxis(COLORS, -1, 2), "auto"),
        (np.moveaxis(COLORS, -1, 2), 2),
        (np.moveaxis(COLORS, -1, 2).astype(np.float32), "auto"),
    ],
)
def test_clips_are_read_channels_first_and_restored(X, axis):
    reader = VideoReader(axis).fit(X)
    read = reader.read(X)
    assert reader.shape == (3, 8, 12)
    assert read.dtype == (torch.uint8 if X.dtype == np.uint8 else torch.float32)
    assert np.array_equal(read.numpy(), np.moveaxis(COLORS, -1, 2))
    restored = reader.restore(read[:, :2].float().numpy(), X)
    assert restored.dtype == X.dtype and np.array_equal(restored, X[:, :2])


def test_clips_without_channels():
    reader = VideoReader().fit(GREY)
    read = reader.read(GREY)
    assert read.shape == (6, 5, 1, 8, 12)
    assert read.data_ptr() == GREY.__array_interface__["data"][0] or not GREY.flags.carray
    assert np.array_equal(reader.restore(read.float().numpy(), GREY), GREY)
    assert reader.read(GREY[:, :2]).shape == (6, 2, 1, 8, 12)  # shorter ones are fine


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((3, 4, 8, 8), np.nan), "contains NaN: 3 of 3 clips, the first in row 0"),
        (np.zeros((3, 8, 8)), "Expected clips, got an array of shape"),
        (np.zeros((3, 0, 8, 8)), "at least one pixel"),
        (np.full((3, 4, 8, 8), "a"), "Expected numbers in images.*Pass clips"),
        (np.zeros((3, 4, 8, 8, 8)), "channel_axis=2 or channel_axis=-1"),
    ],
)
def test_what_is_no_clip_is_said(X, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VideoReader().fit(X).read(X)


@pytest.mark.parametrize("method", [NextFrame, SimCLR], ids=lambda method: method.__name__)
@pytest.mark.parametrize("of_objects", [False, True])
def test_clips_of_different_lengths_are_said(method, of_objects):
    ragged = [COLORS[0], COLORS[1, :3]]
    if of_objects:
        ragged = np.array([*ragged, None], dtype=object)[:2]
    with pytest.raises(ValueError, match=r"shapes: \(3, 8, 12, 3\) .* same number of frames"):
        method().fit(ragged)
    with pytest.raises(ValueError, match=r"shapes: \(4, 8, 12\) .* cut clips to one length"):
        method(modality="video").fit([GREY[0], GREY[1], GREY[2, :4]])


def test_other_frames_and_lengths_are_said():
    reader = VideoReader().fit(COLORS)
    with pytest.raises(ValueError, match=r"shape \(8, 11, 3\), but \(8, 12, 3\) was seen"):
        reader.read(COLORS[:, :, :, :11])
    with pytest.raises(ValueError, match="minimum of 7 is required"):
        reader.read(COLORS, ensure_min_samples=7)
    with pytest.raises(ValueError, match="X_unlabeled of 3. Cut them to one length"):
        reader.join(reader.read(COLORS), reader.read(COLORS[:, :3]))
    with pytest.raises(ValueError, match="channel_axis must be .* for an array of shape"):
        VideoReader(1).fit(COLORS)


# ---- views -------------------------------------------------------------------------------

CLIPS = torch.from_numpy(np.moveaxis(COLORS, -1, 2)).float() / 100 - 1


def test_runs_are_stretches_of_their_clips():
    numbered = torch.arange(500.0).view(100, 5, 1, 1, 1)
    torch.manual_seed(0)
    run = random_run(numbered, 3).view(100, 3)
    first = run[:, 0] % 5
    assert (run[:, 1] == run[:, 0] + 1).all() and (run[:, 2] == run[:, 0] + 2).all()
    assert (run[:, 0] // 5 == torch.arange(100)).all()  # of its own clip
    assert first.unique().tolist() == [0, 1, 2]
    assert torch.equal(random_run(CLIPS, 5), CLIPS)
    with pytest.raises(ValueError, match="run of 6 frames is to be cut out of clips of 5"):
        random_run(CLIPS, 6)


@pytest.mark.parametrize(
    ("view", "colors"),
    [(functools.partial(resized_crop, size=(4, 6)), False), (color_jitter, True), (flip, True)],
)
def test_frames_are_altered_alike(view, colors):
    """Clips whose frames are all one image: what the image becomes, each frame becomes."""
    still = CLIPS[:, :1].expand(-1, 5, -1, -1, -1)
    torch.manual_seed(0)
    out = Alike(view, colors)(still)
    torch.manual_seed(0)
    expected = view(CLIPS[:, 0])
    assert out.shape == (6, 5, *expected.shape[1:])
    torch.testing.assert_close(out, expected[:, None].expand_as(out))
    assert not torch.equal(out, still[..., : out.shape[-2], : out.shape[-1]])


def test_clip_views_keep_motion_and_show_themselves():
    view = clip_views("strong", (5, 3, 8, 12))
    assert repr(view).startswith("Compose(random_run(n_frames=2), Alike(resized_crop(")
    assert [a.colors for a in view.functions[1:]] == [False, True]
    assert view(CLIPS).shape == (6, 2, 3, 8, 12)
    assert clip_views("weak", (1, 3, 8, 12))(CLIPS[:, :1]).shape == (6, 1, 3, 8, 12)
    with pytest.raises(ValueError, match="time, channels, height, width"):
        clip_views("weak", (3, 8, 12))
    with pytest.raises(ValueError, match="Views of clips read a float batch"):
        view(CLIPS[:, 0])


# ---- loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_gradient_difference_against_a_slow_loop(alpha):
    """Equation 6 of Mathieu et al., a mean for each direction in the place of sums."""
    torch.manual_seed(0)
    made, true = torch.randn(2, 3, 2, 4, 5, dtype=torch.float64).unbind()
    down, right = [], []
    for a, b in zip(made.flatten(0, 1), true.flatten(0, 1), strict=True):
        for i in range(4):
            for j in range(5):
                if i:
                    down.append(abs((b[i, j] - b[i - 1, j]).abs() - (a[i, j] - a[i - 1, j]).abs()))
                if j:
                    right.append(abs((b[i, j - 1] - b[i, j]).abs() - (a[i, j - 1] - a[i, j]).abs()))
    expected = np.mean(np.array(down) ** alpha) + np.mean(np.array(right) ** alpha)
    assert gradient_difference(made, true, alpha).item() == pytest.approx(expected)


def test_gradient_difference_closed_forms_and_gradients():
    edge = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert gradient_difference(edge, edge + 5) == 0  # brightness is the squared error's
    assert gradient_difference(edge, 1 - edge) == 0  # and so is the sign
    assert gradient_difference(torch.zeros(2, 2), edge, 2.0) == 1
    assert gradient_difference(torch.zeros(3, 1, 1), torch.ones(3, 1, 1)) == 0  # one pixel
    for dtype in (torch.float32, torch.bfloat16):
        same = torch.ones(2, 4, 4, dtype=dtype, requires_grad=True)
        error = gradient_difference(same, torch.ones(2, 4, 4, dtype=dtype))
        error.backward()
        assert error.dtype == torch.float32 and same.grad.isfinite().all()


# ---- encoder -----------------------------------------------------------------------------


def small(n_channels):
    torch.manual_seed(0)
    return ResNet(n_channels, widths=(4, 8), n_blocks=(0, 1), n_components=6).eval()


def test_a_clip_is_read_by_its_runs():
    net, x = VideoEncoder(small(6), 2), CLIPS
    with torch.no_grad():
        rows = [net.frames(torch.cat([x[:, t], x[:, t + 1]], 1)) for t in range(4)]
        first = net.frames(torch.cat([x[:, 0], x[:, 0]], 1))
        torch.testing.assert_close(net.sequence(x), torch.stack([first, *rows], 1))
        torch.testing.assert_close(net(x), torch.stack(rows).mean(0))
        torch.testing.assert_close(VideoEncoder(net.frames, 2, "max")(x), torch.stack(rows).amax(0))
        torch.testing.assert_close(net(x[:, :1]), first)  # one frame stands still
        assert [m.shape[1] for m in net.maps(x[:, :2])] == [4, 8, 6]


def test_encoders_of_images_are_reused():
    frames = small(3)
    with torch.no_grad():
        expected = torch.stack([frames(CLIPS[:, t]) for t in range(5)]).mean(0)
        torch.testing.assert_close(VideoEncoder(frames, 1)(CLIPS), expected)
    assert video_encoder("auto", CLIPS, None, 10, context=3)(CLIPS).shape == (6, 10)
    seen = []
    simclr = SimCLR(
        encoder=lambda x: seen.append(x.shape) or nn.Flatten(),
        views=lambda x: x[:, :2],
        **CHEAP | {"max_epochs": 0},
    )
    with pytest.raises(ValueError, match="embeddings"):
        SimCLR(encoder=lambda x: nn.Identity(), **CHEAP).fit(COLORS)
    assert simclr.fit(COLORS).transform(COLORS).shape == (6, COLORS[0].size)
    assert seen == [(6, 5, 3, 8, 12)]


def test_the_predictor_starts_from_the_last_frame():
    net = VideoEncoder(small(6), 2)
    run = CLIPS[:, :2]
    predictor = FramePredictor(net.maps(run), run).eval()
    assert torch.equal(predictor(run, net.maps(run)), run[:, -1])
    nn.init.ones_(predictor.residual.bias)
    torch.testing.assert_close(predictor(run, net.maps(run)), run[:, -1] + 1)


# ---- moving digits -----------------------------------------------------------------------


def test_digits_move_straight_and_bounce():
    clips, digits, velocities = make_moving_digits(300, 12, size=14, random_state=0)
    assert clips.shape == (300, 12, 14, 14) and clips.dtype == np.uint8 and clips.max() == 255
    assert set(digits) == set(range(10))
    assert np.abs(velocities).max() == 2 and np.abs(velocities).sum(1).min() == 1
    mass = clips.reshape(300, 12, -1).sum(2, dtype=int)
    assert (mass == mass[:, :1]).all()  # whole in every frame
    side = np.arange(14)
    down = (clips.sum(3) * side).sum(2) / mass
    right = (clips.sum(2) * side).sum(2) / mass
    steps = np.diff(np.stack([down, right], 2), axis=1)  # of the centre of mass
    free = np.abs(steps[:, 0] - velocities) < 1e-9
    assert free.mean() > 0.6 and (np.abs(steps) < 2 + 1e-9).all()
    turned = np.abs(steps[:, 0] + velocities) < 1e-9  # or in the corner of its room, in between
    assert (free | turned | (np.abs(steps[:, 0]) < np.abs(velocities))).all()
    images = load_digits().images
    shapes = {tuple(np.round(image / 16 * 255).astype(np.uint8).ravel()) for image in images}
    i, t = 7, 5
    top, left = (np.flatnonzero(clips[i, t].any(axis)).min() for axis in (1, 0))
    inside = [
        tuple(clips[i, t, a : a + 8, b : b + 8].ravel())
        for a in range(max(0, top - 3), top + 1)
        for b in range(max(0, left - 4), left + 1)
    ]
    assert any(one in shapes for one in inside)
    again = make_moving_digits(300, 12, size=14, random_state=0)
    assert np.array_equal(again[0], clips)
    with pytest.raises(ValueError, match="size must be at least 9"):
        make_moving_digits(3, size=8)


# ---- NextFrame ---------------------------------------------------------------------------


@functools.cache
def moving(seed, n_clips=300, n_frames=6):
    return make_moving_digits(n_clips, n_frames, size=16, random_state=seed)


@functools.cache
def learnt(max_epochs, seed):
    model = NextFrame(context=2, max_epochs=max_epochs, precision="float32", random_state=seed)
    return model.set_params(learning_rate=3e-3, n_components=64).fit(moving(0)[0])


def probe(model):
    """Return R squared of the digits' velocities, predicted from embeddings of new clips."""
    clips, _, velocities = moving(1, 400, 3)
    Z = model.transform(clips)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
    return ridge.fit(Z[:200], velocities[:200]).score(Z[200:], velocities[200:])


def errors(model):
    """Return mean squared errors of predictions, and of copies of the last frame."""
    clips = moving(1, 400, 3)[0].astype(float)
    made = model.predict_next(clips[:, :-1])[:, 0]
    return ((made - clips[:, -1]) ** 2).mean(), ((clips[:, -2] - clips[:, -1]) ** 2).mean()


def test_it_predicts_better_than_a_copy_of_the_last_frame(seed, margin):
    made, copied = errors(learnt(20, seed))
    margin(1 - made / copied, 0.3)


@pytest.mark.learns("NextFrame")
def test_its_embedding_knows_where_digits_go(seed, margin):
    untrained = [probe(learnt(0, s)) for s in range(3)]
    margin(probe(learnt(20, seed)) - np.mean(untrained), 0.1)  # 0.16, sd 0.02 over seeds


def test_untrained_it_copies_the_last_frame():
    model = NextFrame(**CHEAP | {"max_epochs": 0}).fit(COLORS)
    assert np.array_equal(model.predict_next(COLORS, 3), COLORS[:, -1:].repeat(3, 1))


@pytest.mark.parametrize(
    "X",
    [COLORS, GREY, np.moveaxis(COLORS, -1, 2), GREY / 255, GREY.astype(np.float32), GREY * 7],
    ids=["channels last", "grey", "channels first", "float64", "float32", "uint8"],
)
def test_predictions_are_laid_out_like_the_clips(X):
    model = NextFrame(context=2, **CHEAP).fit(X)
    given = X.copy()
    made = model.predict_next(X, n_frames=2)
    assert made.shape == (6, 2, *X.shape[2:]) and made.dtype == X.dtype
    assert np.array_equal(X, given)
    assert np.array_equal(model.predict_next(X[:, -2:], 2), made)  # it reads the context alone
    assert model.predict_next(X).shape == (6, 1, *X.shape[2:])
    np.testing.assert_allclose(model.predict_next(X)[:, 0], made[:, 0], rtol=1e-4, atol=1e-4)
    longer = np.concatenate([X, model.predict_next(X)], 1)  # bytes are rounded on the way
    tolerance = 2 if X.dtype == np.uint8 else 1e-4
    np.testing.assert_allclose(
        model.predict_next(longer)[:, 0].astype(float), made[:, 1].astype(float), atol=tolerance
    )
    assert model.transform(X).shape == (6, 8)


def test_the_loss_is_that_of_the_paper():
    clips = (CLIPS[:, :3] - CLIPS[:, :3].mean()) / CLIPS[:, :3].std()

    class Kept(NextFrame):
        def _build(self, net, X):
            super()._build(net, X)
            self.net = net

    model = Kept(context=2, lambda_gdl=0.5, alpha=2.0, **CHEAP).fit(COLORS)
    net = model.net.eval()
    with torch.no_grad():
        loss = model._loss(net, clips)  # there is one run of three frames
        made = net.decoder(clips[:, :2], net.encoder.maps(clips[:, :2]))
        squared = (made - clips[:, 2]).square().mean()
        expected = squared + 0.5 * gradient_difference(made, clips[:, 2], 2.0)
    torch.testing.assert_close(loss, expected)
    assert squared > 0


def test_views_of_clips_are_learnt_from():
    model = NextFrame(context=2, views=Alike(flip), **CHEAP).fit(COLORS)
    plain = NextFrame(context=2, **CHEAP).fit(COLORS)
    assert model.loss_curve_ != plain.loss_curve_


def test_what_cannot_be_predicted_is_said():
    with pytest.raises(ValueError, match="A run of 6 frames is to be cut out of clips of 5"):
        NextFrame(context=5, **CHEAP).fit(COLORS)
    model = NextFrame(context=3, **CHEAP).fit(COLORS)
    with pytest.raises(ValueError, match="reads 3 frames .* clips of 2 frames"):
        model.predict_next(COLORS[:, :2])
    with pytest.raises(ValueError, match="n_frames=0"):
        model.predict_next(COLORS, n_frames=0)
    with pytest.raises(ValueError, match="needs an encoder with maps"):
        NextFrame(encoder="vit", **CHEAP).fit(COLORS)
    with pytest.raises(ValueError, match="reads clips; X looks like modality='table'"):
        NextFrame(**CHEAP).fit(np.zeros((9, 3)))


def test_pooling_none_keeps_one_row_a_frame():
    model = NextFrame(context=2, pooling=None, **CHEAP).fit(COLORS)
    assert model.transform(COLORS).shape == (6, 5, 8)
