"""Views of images: each against a slow reference, image by image, and what all have in common."""

import copy
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from skssl.views import (
    IMAGE_PRESETS,
    Compose,
    MultiCrop,
    UserViews,
    Views,
    add_noise,
    blur,
    color_jitter,
    erase,
    flip,
    grayscale,
    image_views,
    quarter_turns,
    resized_crop,
    rotate,
    shift,
    solarize,
)

OPERATIONS = {
    "resized_crop": resized_crop,
    "small crop": partial(resized_crop, scale=(0.1, 0.3), size=5, mirror=0.5),
    "flip": partial(flip, vertical=0.5),
    "quarter_turns": quarter_turns,
    "rotate": rotate,
    "shift": partial(shift, share=0.3),
    "blur": blur,
    "erase": erase,
    "color_jitter": partial(color_jitter, grey=0.2),
    "grayscale": grayscale,
    "solarize": solarize,
    "add_noise": add_noise,
}
SQUARE = {"quarter_turns"}
COLOR = {"grayscale"}
PRESET_VIEWS = {name: lambda x, n=name: image_views(n, x.shape[1:])(x) for name in IMAGE_PRESETS}
EVERY = {**OPERATIONS, **PRESET_VIEWS}
every = pytest.mark.parametrize("name", EVERY)


@pytest.fixture(autouse=True)
def seeded():
    """Views draw from torch's own generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(n=6, channels=3, height=12, width=12, dtype=torch.float32):
    return torch.randn(n, channels, height, width, dtype=dtype)


def maps(n, height, width):
    """Images whose channels are the row, the column and noise: a view shows where it looked."""
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    coordinates = torch.stack([rows, columns]).expand(n, 2, height, width)
    return torch.cat([coordinates, images(n, 1, height, width, torch.float64)], 1)


def seeded_call(view, x, seed=7):
    torch.manual_seed(seed)
    return view(x)


def changed(x, view):
    """Return which images a view altered."""
    return (x != view).flatten(1).any(1)


def is_share(hits, p):
    """Whether a share of independent trials is p, within five standard errors."""
    error = 5 * math.sqrt(p * (1 - p) / len(hits))
    return abs(hits.double().mean().item() - p) <= error + 1e-12


# What every view of images does


@every
def test_pure(name):
    x = images()
    before = x.clone()
    first, second = seeded_call(EVERY[name], x), EVERY[name](x)
    assert torch.equal(x, before)
    assert torch.equal(seeded_call(EVERY[name], x), first)
    assert not torch.equal(first, second)
    assert first.shape[:2] == x.shape[:2] and first.isfinite().all()
    assert first.device == x.device


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_keeps_the_dtype(name, dtype):
    x = images(dtype=dtype)
    for channels in (3,) if name in COLOR else (3, 1):
        view = EVERY[name](x[:, :channels])
        assert view.dtype == dtype and view.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_autocast_changes_nothing(name, dtype):
    x = images(dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = seeded_call(EVERY[name], x)
    assert inside.dtype == dtype
    assert torch.equal(inside, seeded_call(EVERY[name], x))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in EVERY
        for shape in [(1, 8, 8), (3, 9, 14), (13, 20, 7), (2, 1, 1), (3, 70, 65), (3, 7, 7)]
        if not (name in COLOR and shape[0] != 3 or name in SQUARE and shape[1] != shape[2])
    ],
)
@pytest.mark.parametrize("n", [1, 4])
def test_any_shape(name, shape, n):
    view = EVERY[name](torch.randn(n, *shape))
    wanted = (5, 5) if name == "small crop" else shape[1:]
    assert view.shape == (n, shape[0], *wanted) and view.isfinite().all()


@every
@pytest.mark.parametrize("value", [0.0, -2.5])
def test_constant_images(name, value):
    view = EVERY[name](torch.full((8, 3, 16, 16), value))
    assert view.isfinite().all()
    if name in {"resized_crop", "small crop", "flip", "quarter_turns", "shift", "blur", "weak"}:
        torch.testing.assert_close(view, torch.full_like(view, value), rtol=1e-6, atol=0)
    if name in PRESET_VIEWS:  # a colour, perhaps another one
        spread = view.amax((2, 3)) - view.amin((2, 3))
        assert spread.max() < 1e-5


@every
def test_strides_do_not_matter(name):
    x = images()
    last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(seeded_call(EVERY[name], last), seeded_call(EVERY[name], x))


@every
def test_each_image_is_altered_on_its_own(name):
    x = images(1).expand(64, -1, -1, -1)
    kinds = {row.numpy().tobytes() for row in EVERY[name](x)}
    assert len(kinds) > (3 if name in {"flip", "quarter_turns"} else 1)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("x", [torch.zeros(4, 3, 8), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)])
def test_what_is_not_a_batch_of_images(name, x):
    with pytest.raises(ValueError, match=r"float batch \(n, channels, height, width\); got \(4, "):
        OPERATIONS[name](x)


PROBABLE = {
    "crop's mirror": lambda x, p: resized_crop(x, (1.0, 1.0), mirror=p),
    "crop's blur": lambda x, p: resized_crop(x, (1.0, 1.0), blurred=p, sigma=(1.0, 2.0)),
    "flip": lambda x, p: flip(x, p),
    "vertical": lambda x, p: flip(x, 0.0, vertical=p),
    "rotate": lambda x, p: rotate(x, p=p),
    "blur": lambda x, p: blur(x, (1.0, 2.0), p),
    "erase": lambda x, p: erase(x, scale=(0.4, 0.5), p=p),
    "color_jitter": lambda x, p: color_jitter(x, p=p),
    "jitter's grey": lambda x, p: color_jitter(x, p=0.0, grey=p),
    "grayscale": grayscale,
    "solarize": solarize,
    "add_noise": lambda x, p: add_noise(x, std=(0.1, 0.2), p=p),
}


@pytest.mark.parametrize("p", [0.0, 0.15, 0.8, 1.0])
@pytest.mark.parametrize("name", PROBABLE)
def test_probabilities(name, p):
    x = images(3000, height=6, width=6, dtype=torch.float64)
    view = PROBABLE[name](x, p)
    touched = (x - view).abs().flatten(1).amax(1) > 1e-9
    assert is_share(touched, p)
    if p == 0:
        torch.testing.assert_close(view, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PROBABLE)
@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_what_is_no_probability(name, p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        PROBABLE[name](images(), p)


# Crops


def slow_crop(image, top, left, tall, broad, size):
    """Resample a box of an image: each new pixel is a triangle-weighted mean of old ones."""
    out = np.zeros(size)
    for i, j in np.ndindex(*size):
        total = weights = 0.0
        for (k, m), value in np.ndenumerate(image):
            down = top + (i + 0.5) * tall / size[0] - (k + 0.5)
            right = left + (j + 0.5) * broad / size[1] - (m + 0.5)
            weight = max(0, 1 - abs(down) / max(1, abs(tall) / size[0]))
            weight *= max(0, 1 - abs(right) / max(1, abs(broad) / size[1]))
            total, weights = total + weight * value, weights + weight
        out[i, j] = total / weights
    return out


def boxes(view):
    """Where crops of ``maps``, not shrunk, were cut out, in pixels: from two middle pixels."""
    height, width = view.shape[2:]
    i, j = height // 2, width // 2
    step_down = view[:, 0, i, j] - view[:, 0, i - 1, j]
    step_right = view[:, 1, i, j] - view[:, 1, i, j - 1]
    top = view[:, 0, i, j] + 0.5 - step_down * (i + 0.5)
    left = view[:, 1, i, j] + 0.5 - step_right * (j + 0.5)
    return top, left, step_down * height, step_right * width


@pytest.mark.parametrize("mirror", [0.0, 0.5])
@pytest.mark.parametrize("size", [(12, 9), (17, 12)])
def test_crops_are_those_of_a_slow_loop(size, mirror):
    x = maps(6, 12, 9)
    view = resized_crop(x, scale=(0.3, 0.9), size=size, mirror=mirror)
    for image, crop, *box in zip(x, view, *boxes(view), strict=True):
        slow = slow_crop(image[2].numpy(), *(side.item() for side in box), size)
        np.testing.assert_allclose(crop[2], slow, atol=1e-9)


@pytest.mark.parametrize("size", [(5, 4), (7, 20), (3, 3)])
def test_shrinking_is_antialiased(size):
    x = images(4, 2, 12, 9, torch.float64)
    view = resized_crop(x, (1.0, 1.0), size=size)
    expected = F.interpolate(x, size, mode="bilinear", antialias=True)
    torch.testing.assert_close(view, expected)
    slow = slow_crop(x[1, 1].numpy(), 0, 0, 12, 9, size)
    np.testing.assert_allclose(view[1, 1], slow, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("ratio", [(1.0, 1.0), (0.5, 2.0)])
def test_the_whole_image_is_itself(dtype, ratio):
    x = images(5, 4, 9, 14, dtype)
    assert torch.equal(resized_crop(x, (1.0, 1.0), ratio), x)
    assert torch.equal(resized_crop(x, (1.0, 1.0), ratio, mirror=1.0), x.flip(3))


@pytest.mark.parametrize("scale", [(0.2, 1.0), (0.5, 0.6)])
@pytest.mark.parametrize("shape", [(16, 16), (20, 10)])
def test_areas_and_ratios_are_uniform(scale, shape):
    view = resized_crop(maps(3000, *shape), scale, (0.5, 2.0))
    top, left, tall, broad = boxes(view)
    tall, broad = tall / shape[0], broad / shape[1]
    assert max(tall.max(), broad.max()) < 1 + 1e-9
    area = (tall * broad - scale[0]) / (scale[1] - scale[0])
    assert area.min() > -1e-9 and area.max() < 1 + 1e-9
    assert area.mean().item() == pytest.approx(0.5, abs=0.025)
    assert area.std().item() == pytest.approx(12**-0.5, abs=0.015)
    bent = (broad / tall).log() / math.log(2)
    assert bent.mean().item() == pytest.approx(0, abs=0.05)
    assert bent.abs().max() <= 1 + 1e-9
    fits = area * (scale[1] - scale[0]) + scale[0] < 0.5  # any ratio fits a box that small
    if fits.any():
        assert bent[fits].std().item() == pytest.approx(3**-0.5, abs=0.04)
    places = [
        start / side / (1 - long)
        for start, long, side in zip((top, left), (tall, broad), shape, strict=True)
    ]
    inside = (tall < 0.99) & (broad < 0.99)  # there is room beside the box
    for place in places:
        assert place[inside].min() > -1e-6 and place[inside].max() < 1 + 1e-6
        assert place[inside].mean().item() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(*(place[inside] for place in places))[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": (0.0, 1.0)}, r"scale must be two shares within \(0, 1\].* got \(0.0, 1.0\)"),
        ({"scale": (0.5, 1.2)}, "scale must be"),
        ({"scale": (0.9, 0.2)}, "scale must be"),
        ({"ratio": (2.0, 0.5)}, "ratio must be two positive numbers.* got"),
        ({"ratio": (0.0, 0.5)}, "ratio must be"),
        ({"size": 0}, "size must be at least one pixel each way; got 0"),
        ({"size": (4, -1)}, r"size must be .* got \(4, -1\)"),
    ],
)
def test_what_a_crop_may_not_be(given, message):
    with pytest.raises(ValueError, match=message):
        resized_crop(images(), **given)


# Flips, turns, shifts, blur, boxes


def test_flips():
    x = images(400, 2, 5, 8)
    view = flip(x, p=0.3, vertical=0.6)
    kinds = torch.tensor(
        [
            [torch.equal(out, image.flip(axes)) for axes in ((), (2,), (1,), (1, 2))]
            for image, out in zip(x, view, strict=True)
        ]
    )
    assert (kinds.sum(1) == 1).all()
    for hits, p in zip(kinds.T, (0.7 * 0.4, 0.3 * 0.4, 0.7 * 0.6, 0.3 * 0.6), strict=True):
        assert is_share(hits, p)


def test_quarter_turns():
    x = images(800, 2, 5, 5)
    view = quarter_turns(x)
    kinds = torch.tensor(
        [
            [np.array_equal(out, np.rot90(image, k, (1, 2))) for k in range(4)]
            for image, out in zip(x.numpy(), view.numpy(), strict=True)
        ]
    )
    assert (kinds.sum(1) == 1).all()
    assert all(is_share(hits, 0.25) for hits in kinds.T)
    with pytest.raises(ValueError, match="square images; got 5 x 8 pixels.*resized_crop"):
        quarter_turns(images(2, 1, 5, 8))


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        ((15, 15), torch.float64, 1e-9),
        ((21, 12), torch.float64, 1e-9),
        ((21, 12), torch.float32, 1e-4),
    ],
)
def test_rotations_are_scipy_s(shape, dtype, error):
    x = maps(40, *shape)
    view = rotate(x.to(dtype), degrees=20.0).double()
    centre = (np.array(shape) - 1) / 2
    i, j = shape[0] // 2, shape[1] // 2
    angles = []
    for image, out in zip(x.numpy(), view.numpy(), strict=True):
        angle = math.asin(out[1, i, j] - out[1, i - 1, j])  # how far a row leads to the side
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        expected = ndimage.affine_transform(
            image[2], matrix, centre - matrix @ centre, order=1, mode="nearest"
        )
        np.testing.assert_allclose(out[2], expected, atol=error)
        angles.append(math.degrees(angle))
    assert -20 <= min(angles) < -12 and 12 < max(angles) <= 20


def test_shifts():
    x = images(300, 2, 10, 6)
    view = shift(x, share=0.2)  # 2 pixels down, 1 to the side
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (1, 1)), mode="edge")
    counts = np.zeros((5, 3))
    for image, out in zip(padded, view.numpy(), strict=True):
        for i, j in np.ndindex(5, 3):
            counts[i, j] += np.array_equal(out, image[:, i : i + 10, j : j + 6])
    assert counts.sum() == 300 and counts.min() > 5
    assert torch.equal(shift(x, share=0.05), x)  # less than a pixel


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(16, 16), (9, 21)])
def test_blur_is_scipy_s(sigma, shape):
    x = images(3, 2, *shape, torch.float64)
    view = blur(x, (sigma, sigma), p=1.0)
    smooth = partial(
        ndimage.gaussian_filter, sigma=(0, 0, sigma, sigma), mode="constant", truncate=30
    )
    inside = smooth(np.ones(x.shape))  # a mean over what there is
    np.testing.assert_allclose(view, smooth(x.numpy()) / inside, atol=1e-9)


def test_crops_are_blurred_after_they_are_resampled():
    x = images(6, 3, 20, 26)
    crop = partial(resized_crop, scale=(0.2, 0.9), size=(16, 12), mirror=0.5)
    torch.manual_seed(1)
    expected = blur(crop(x), (0.7, 0.7), p=1.0)
    torch.manual_seed(1)
    torch.testing.assert_close(crop(x, blurred=1.0, sigma=(0.7, 0.7)), expected)
    torch.testing.assert_close(
        resized_crop(x, (1.0, 1.0), (1.0, 1.0), blurred=1.0, sigma=(2.0, 2.0)),
        blur(x, (2.0, 2.0), p=1.0),
    )


def test_blur_draws_its_strength_and_checks_it():
    x = torch.zeros(2000, 1, 1, 21)
    x[..., 10] = 1
    peak = blur(x, (1.0, 2.0), p=1.0)[:, 0, 0, 10]
    sigma = 1 / (peak * math.sqrt(2 * math.pi))
    assert sigma.min() > 0.99 and sigma.max() < 2.01
    assert sigma.mean().item() == pytest.approx(1.5, abs=0.04)
    with pytest.raises(ValueError, match=r"sigma must be two positive numbers.* got \(0.0, 1.0\)"):
        blur(x, (0.0, 1.0))


def test_erased_boxes():
    x = images(2000, 2, 20, 30).abs() + 1
    view = erase(x, scale=(0.1, 0.3), p=1.0)
    hole = view[:, 0] == 0
    assert torch.equal(view, torch.where(hole[:, None], 0.0, x))
    rows, columns = hole.any(2), hole.any(1)
    assert torch.equal(hole, rows[:, :, None] & columns[:, None, :])  # a box ...
    for line in (rows, columns):
        assert (line.int().diff(dim=1).abs().sum(1) <= 2).all()  # ... in one piece
    area = hole.double().mean((1, 2))
    assert area.mean().item() == pytest.approx(0.2, abs=0.01)
    assert 0.05 < area.min() < 0.15 and 0.27 < area.max() < 0.36
    middle = hole.double().mean(0)
    assert middle[10, 15] > 2 * middle[0, 0] > 0


# Colours


def color_maps(x, view):
    """Fit out = A x + b to the colours of each image, which must fit without a rest."""
    for image, out in zip(x.flatten(2).numpy(), view.flatten(2).numpy(), strict=True):
        known = np.vstack([image, np.ones(image.shape[1])])
        fit, *_ = np.linalg.lstsq(known.T, out.T, rcond=None)
        np.testing.assert_allclose(known.T @ fit, out.T, atol=1e-9)
        yield image, out, fit[:3].T, fit[3]


def slow_jitter(image, brightness, gain, saturation, angle):
    """Hue, saturation, contrast, brightness: one after the other, pixel by pixel."""
    axis = np.ones(3) / math.sqrt(3)
    turned = Rotation.from_rotvec(angle * axis)
    pixels = [turned.apply(pixel) for pixel in image.T]
    pixels = np.array([p.mean() + saturation * (p - p.mean()) for p in pixels])
    mean = pixels.mean(0)
    return (mean + gain * (pixels - mean) + brightness).T


def test_color_jitter_is_a_slow_loop_s():
    x = images(200, 3, 5, 7, torch.float64) + torch.tensor([1.0, 0.0, -0.5])[:, None, None]
    view = color_jitter(x, brightness=0.8, contrast=0.4, saturation=0.5, hue=0.1, p=1.0)
    drawn = []
    across = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])  # of the grey axis
    for image, out, matrix, _ in color_maps(x, view):
        gain = (matrix @ np.ones(3)).mean()
        plane = across @ matrix @ across.T / gain
        saturation = math.sqrt(np.linalg.det(plane))
        angle = math.atan2(plane[1, 0], plane[0, 0])
        brightness = out.mean() - image.mean()
        expected = slow_jitter(image, brightness, gain, saturation, angle)
        np.testing.assert_allclose(out, expected, atol=1e-8)
        drawn.append((brightness / 0.8, (gain - 1) / 0.4, (saturation - 1) / 0.5, angle / 0.2))
    drawn = np.array(drawn) / [1, 1, 1, math.pi]
    assert np.abs(drawn).max() < 1 + 1e-9
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.2)
    np.testing.assert_allclose(drawn.std(0), 3**-0.5, atol=0.1)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.35


@pytest.mark.parametrize("channels", [1, 2, 13])
def test_other_channels_change_in_brightness_and_contrast(channels):
    x = images(50, channels, 6, 4, torch.float64)
    view = color_jitter(x, brightness=0.5, contrast=0.4, p=1.0)
    mean = x.mean((2, 3), keepdim=True)
    added = (view.mean((2, 3), keepdim=True) - mean)[:, :1]
    gain = view.std((1, 2, 3), keepdim=True) / x.std((1, 2, 3), keepdim=True)
    if channels > 1:
        gain = view[:, :1].std((2, 3), keepdim=True) / x[:, :1].std((2, 3), keepdim=True)
    torch.testing.assert_close(view, mean + gain * (x - mean) + added)
    assert added.abs().max() < 0.5 and (gain - 1).abs().max() < 0.4
    assert added.std() > 0.2 and gain.std() > 0.15


def test_grey():
    x = images(200)
    grey = x.mean(1, keepdim=True).expand_as(x)
    for view in (grayscale(x, p=0.5), color_jitter(x, p=0.0, grey=0.5)):
        lost = (view - grey).abs().amax((1, 2, 3)) < 1e-6
        kept = (view - x).abs().amax((1, 2, 3)) < 1e-6
        assert (lost ^ kept).all() and is_share(lost, 0.5)
    with pytest.raises(ValueError, match="3 channels; got 13"):
        grayscale(images(channels=13))


def test_solarize():
    x = images(100)
    view = solarize(x, p=0.5, threshold=0.7)
    for image, out in zip(x, view, strict=True):
        turned = torch.tensor([2 * 0.7 - v if v > 0.7 else v for v in image.flatten()])
        assert torch.equal(out, image) or torch.allclose(out.flatten(), turned)


def test_noise():
    x = images(500, 1, 30, 30)
    noise = add_noise(x, std=(0.1, 0.3)) - x
    assert noise.mean().abs() < 0.01
    strength = noise.std((1, 2, 3))
    assert 0.09 < strength.min() < 0.12 and 0.28 < strength.max() < 0.33


# Chains, presets, many crops


def test_compose():
    view = Compose((partial(torch.mul, other=2.0), torch.neg, flip))
    x = torch.arange(4.0).view(1, 1, 2, 2)
    assert view(x).sum() == -12
    assert repr(view) == "Compose(mul(other=2.0), neg, flip)"
    assert "0x" not in repr(image_views("strong", (3, 96, 96)))
    nested = Compose((view, resized_crop))
    assert repr(nested) == "Compose(Compose(mul(other=2.0), neg, flip), resized_crop)"
    for again in (pickle.loads(pickle.dumps(nested)), copy.deepcopy(nested)):
        assert repr(again) == repr(nested)
        y = images()
        assert torch.equal(seeded_call(again, y), seeded_call(nested, y))


def names(view):
    return [getattr(f, "func", f).__name__ for f in view.functions]


def test_parts_of_a_batch_are_altered_as_the_whole():
    sizes = []

    def double(x):
        sizes.append(len(x))
        return 2 * x

    x = torch.arange(60.0).reshape(10, 1, 2, 3)
    assert torch.equal(Compose((double, torch.neg), at_once=24)(x), -2 * x)
    assert sizes == [4, 4, 2]
    assert torch.equal(Compose((double,), at_once=1)(x), 2 * x) and sizes[3:] == [1] * 10
    view = image_views("strong", (3, 64, 64))(torch.rand(200, 3, 64, 64))
    assert view.shape == (200, 3, 64, 64) and view.std(0).min() > 0


@pytest.mark.parametrize(
    ("preset", "shape", "expected"),
    [
        ("weak", (3, 32, 32), ["resized_crop"]),
        ("strong", (1, 28, 28), ["resized_crop", "color_jitter", "erase"]),
        ("strong", (3, 96, 96), ["resized_crop", "color_jitter"]),
        ("strong", (3, 96, 40), ["resized_crop", "color_jitter"]),
        ("no_flip", (13, 64, 64), ["resized_crop", "color_jitter", "erase"]),
        ("rotations", (3, 32, 32), ["resized_crop", "quarter_turns", "color_jitter"]),
        ("rotations", (3, 32, 24), ["resized_crop", "flip", "color_jitter"]),
    ],
)
def test_presets(preset, shape, expected):
    view = image_views(preset, shape)
    assert names(view) == expected
    assert view(torch.randn(4, *shape)).shape == (4, *shape)
    text = repr(view)
    assert ("mirror" in text) == (preset != "no_flip")
    assert ("blurred" in text) == (preset != "weak" and min(shape[1:]) >= 64)
    assert ("hue" in text) == ("grey" in text) == (preset != "weak" and shape[0] == 3)


COLORS = "color_jitter(brightness=0.8, contrast=0.4, p=0.8"
RGB = f"{COLORS}, saturation=0.4, hue=0.1, grey=0.2)"


@pytest.mark.parametrize(
    ("preset", "shape", "expected"),
    [
        ("weak", (3, 96, 96), "resized_crop(scale=(0.6, 1.0), mirror=0.5)"),
        ("strong", (3, 32, 32), f"resized_crop(scale=(0.2, 1.0), mirror=0.5), {RGB}"),
        ("no_flip", (1, 28, 28), f"resized_crop(scale=(0.2, 1.0)), {COLORS}), erase(p=0.5)"),
        (
            "no_flip",
            (3, 300, 224),  # blurred by up to 2 pixels there, in proportion elsewhere
            f"resized_crop(scale=(0.2, 1.0), blurred=0.5, sigma=(0.1, 2.0)), {RGB}",
        ),
        (
            "no_flip",
            (3, 64, 70),
            f"resized_crop(scale=(0.2, 1.0), blurred=0.5, sigma=(0.028, 0.57)), {RGB}",
        ),
        (
            "rotations",
            (3, 40, 24),
            f"resized_crop(scale=(0.2, 1.0), mirror=0.5), flip(p=0.0, vertical=0.5), {RGB}",
        ),
        (
            "rotations",
            (3, 40, 40),
            f"resized_crop(scale=(0.2, 1.0), mirror=0.5), quarter_turns, {RGB}",
        ),
    ],
)
def test_strengths_of_the_presets(preset, shape, expected):
    chain = image_views(preset, shape)
    assert repr(chain) == f"Compose({expected})" and chain.at_once == 2**20


@pytest.mark.parametrize("preset", IMAGE_PRESETS)
def test_which_way_round_a_preset_leaves_images(preset):
    chain = image_views(preset, (1, 16, 16), scale=(0.9, 1.0))
    view = Compose(tuple(f for f in chain.functions if "erase" not in repr(f)))
    x = torch.zeros(400, 1, 16, 16)
    x[..., :8, :8] = 9  # one corner
    corners = view(x)[..., [3, 3, 12, 12], [3, 12, 3, 12]].flatten(1).argmax(1).unique().tolist()
    assert corners == {"no_flip": [0], "rotations": [0, 1, 2, 3]}.get(preset, [0, 1])


def test_presets_of_another_scale_and_size():
    view = image_views("strong", (3, 32, 32), scale=(0.1, 0.2), size=16)
    assert "scale=(0.1, 0.2), size=(16, 16)" in repr(view)
    assert view(images(4, 3, 32, 32)).shape == (4, 3, 16, 16)


def test_what_a_preset_may_not_be():
    with pytest.raises(ValueError, match="no preset of views 'medium'; there are 'weak', 'strong'"):
        image_views("medium", (3, 32, 32))
    with pytest.raises(ValueError, match=r"shape must be \(channels, height, width\); got \(28, "):
        image_views("weak", (28, 28))


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        ((1, 28, 28), (16, 16)),
        ((3, 32, 32), (16, 16)),
        ((13, 8, 20), (4, 12)),
        ((2, 3, 3), (3, 3)),
    ],
)
def test_multi_crop(shape, small):
    view = MultiCrop(n_large=2, n_small=3)
    made = view(torch.randn(5, *shape))
    assert [v.shape for v in made] == [(5, *shape)] * 2 + [(5, shape[0], *small)] * 3
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[2], made[3])
    again = pickle.loads(pickle.dumps(view))
    assert again == view and "n_small=3" in repr(view)
    assert len(UserViews(view, 2)(torch.randn(5, *shape))) == 5  # as ``views=`` calls it


def test_multi_crop_s_parameters():
    x = maps(300, 32, 32).float()
    large, small = MultiCrop(1, 1, "no_flip", (0.5, 0.6), (0.1, 0.2), (32, 32))(x)
    assert large.shape == small.shape
    view = MultiCrop(1, 1, "weak", (0.5, 0.6), (0.1, 0.2), 32)
    for crops, (low, high) in zip(view(x), ((0.5, 0.6), (0.1, 0.2)), strict=True):
        _, _, tall, broad = boxes(crops)
        area = (tall * broad).abs() / 32**2
        assert low - 1e-3 < area.min() < area.max() < high + 1e-3
    with pytest.raises(ValueError, match="no preset of views 'mild'"):
        MultiCrop(preset="mild")(x)
    with pytest.raises(ValueError, match="size must be at least one pixel"):
        MultiCrop(small_size=0)(x)
    with pytest.raises(ValueError, match="float batch"):
        MultiCrop()(torch.zeros(4, 5))


def test_several_views_of_one_size():
    x = images()
    assert [v.shape for v in MultiCrop(n_large=4, n_small=0)(x)] == [x.shape] * 4
    view = image_views("weak", (3, 12, 12))
    made = UserViews(Views((view,) * 4), 2)(x)
    assert len(made) == 4 and not torch.equal(made[0], made[3])
