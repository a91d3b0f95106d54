"""Images: what is read as images, and how, from the user's array to the embedding."""

import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skssl import BYOL, MultiTask, PretrainedClassifier, SimCLR
from skssl._data import ImageReader
from skssl._meta._raw_columns import RawPixels
from skssl._training import _loop
from skssl.base._modality_of import infer_modality

BYTES = load_digits().images[:20].astype(np.uint8)  # (20, 8, 8)
CHEAP = {
    "n_components": 8,
    "max_epochs": 1,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
}


def colors(n=6, height=8, width=12):
    """Patches of two photographs, (n, height, width, 3) uint8."""
    photos = load_sample_images().images
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 400, (n, 2))
    return np.stack(
        [photos[i % 2][a : a + height, b : b + width] for i, (a, b) in enumerate(corners)]
    )


@pytest.mark.parametrize(
    ("X", "modality"),
    [
        (BYTES, "image"),
        (BYTES.tolist(), None),
        (BYTES.astype(float), "series"),
        (colors(), "image"),
        (colors().astype(np.float32), "image"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), None),
        (np.zeros((2, 3, 4, 5, 6)), "video"),
        (BYTES.reshape(20, -1), "table"),
    ],
)
def test_what_is_an_image(X, modality):
    if modality is None:
        modality = "image" if isinstance(X, torch.Tensor) else None
    if modality is None:  # lists of lists of int: an array of int64, which could be several things
        with pytest.raises(ValueError, match="Say which with modality="):
            infer_modality(X)
    else:
        assert infer_modality(X) == modality
    assert infer_modality(X, "image") == "image"


def test_rows_of_pixels_are_images_where_their_shape_is_given():
    assert infer_modality(BYTES.reshape(20, -1), told=["image"]) == "image"
    reader = ImageReader(image_shape=(8, 8)).fit(BYTES.reshape(20, -1))
    assert torch.equal(reader.read(BYTES.reshape(20, -1)), torch.from_numpy(BYTES)[:, None])
    assert torch.equal(reader.read(BYTES), torch.from_numpy(BYTES)[:, None])
    X = colors()
    for layout, axis in ((X, -1), (np.moveaxis(X, -1, 1), 1)):
        flat = layout.reshape(len(X), -1)
        reader = ImageReader(image_shape=layout.shape[1:], channel_axis=axis).fit(flat)
        assert torch.equal(reader.read(flat), torch.from_numpy(np.moveaxis(X, -1, 1)))
        assert np.array_equal(reader.restore(reader.read(flat).float().numpy(), flat), flat)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 8, 12, 3), 3),
        ((2, 3, 8, 12), 1),
        ((2, 13, 64, 64), 1),
        ((2, 28, 28, 1), 3),
        ((2, 2, 3, 32), 1),
        ((2, 8, 16, 4), 3),
    ],
)
def test_the_channel_axis_is_the_short_one(shape, axis):
    reader = ImageReader().fit(np.zeros(shape, np.uint8))
    rest = [n for i, n in enumerate(shape) if i not in (0, axis)]
    assert reader.axis == axis and reader.shape == (shape[axis], *rest)


@pytest.mark.parametrize("shape", [(2, 13, 13, 13), (2, 3, 28, 3), (2, 4, 4, 4), (2, 32, 3, 32)])
def test_an_ambiguous_channel_axis_is_asked_for(shape):
    with pytest.raises(ValueError, match="channel_axis=1 or channel_axis=-1"):
        ImageReader().fit(np.zeros(shape))
    for axis in (1, -1, 3):
        X = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        read = ImageReader(channel_axis=axis).fit(X).read(X)
        assert np.array_equal(read.numpy(), np.moveaxis(X, axis, 1))


def test_bytes_stay_bytes_in_the_memory_they_are_in():
    X = colors()
    read = ImageReader().fit(X).read(X)
    assert read.dtype == torch.uint8 and read.data_ptr() == X.__array_interface__["data"][0]
    frozen = X.copy()
    frozen.setflags(write=False)
    assert torch.equal(ImageReader().fit(frozen).read(frozen), read)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint16, ">u2"])
def test_other_numbers_are_floats(dtype):
    X = BYTES.astype(dtype)
    read = ImageReader().fit(X).read(X)
    assert read.dtype == torch.float32
    assert np.array_equal(read[:, 0].numpy(), BYTES)
    assert ImageReader().fit(X > 0).read(X > 0).dtype == torch.uint8
    restored = ImageReader().fit(X).restore(read.numpy(), X)
    assert restored.shape == X.shape and np.array_equal(restored, X)


def test_restored_bytes_are_rounded_and_clipped():
    reader = ImageReader().fit(colors())
    out = reader.restore(np.full((1, 3, 8, 12), 300.0), colors())
    assert out.dtype == np.uint8 and out.shape == (1, 8, 12, 3) and (out == 255).all()
    assert (reader.restore(np.full((1, 3, 8, 12), 3.6), colors()) == 4).all()


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (np.full((3, 8, 8), np.nan), {}, "contains NaN: 3 of 3 images, the first in row 0"),
        (np.full((3, 8, 8), np.inf), {}, "contains infinity"),
        (np.zeros((3, 8, 8)) * 1j, {}, "Complex data not supported"),
        (np.full((3, 8, 8), "a"), {}, "Expected numbers in images"),
        (np.zeros((3, 64)), {}, r"shape \(3, 64\). Pass images as"),
        (np.zeros((3, 65)), {"image_shape": (8, 8)}, "rows of 65 pixels, but image_shape"),
        (np.zeros((3, 9, 9)), {"image_shape": (8, 8)}, "Leave it out"),
        (np.zeros((3, 64)), {"image_shape": 64}, "image_shape must be"),
        (np.zeros((3, 0, 8)), {}, "at least one pixel"),
        (np.zeros((3, 4, 4, 4)), {"channel_axis": 2}, "channel_axis must be"),
    ],
)
def test_what_is_no_image_is_said(X, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ImageReader(**params).fit(X).read(X)


def test_other_shapes_than_fit_saw_are_said():
    reader = ImageReader().fit(colors())
    with pytest.raises(ValueError, match=r"images of shape \(8, 13, 3\), but \(8, 12, 3\)"):
        reader.read(colors(width=13))
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        reader.read(colors(1), ensure_min_samples=2)


# ---- estimators of images ----------------------------------------------------------------

TWO_TASKS = functools.partial(MultiTask, [("simclr", SimCLR(), 1.0), ("byol", BYOL(), 0.5)])


@pytest.mark.parametrize("make", [SimCLR, TWO_TASKS], ids=["SimCLR", "MultiTask"])
def test_rows_of_pixels_give_what_their_images_give(make):
    X = load_digits().images[:60]
    rows = X.reshape(60, -1)
    flat = make(image_shape=(8, 8), **CHEAP).fit(rows)
    whole = make(modality="image", **CHEAP).fit(X)
    assert flat.loss_curve_ == whole.loss_curve_ and flat.n_features_in_ == 64
    assert np.array_equal(flat.transform(rows), whole.transform(X))
    assert np.array_equal(flat.transform(X), whole.transform(X))


def test_unlabelled_images_join_the_fit():
    X = colors(60)
    joined = SimCLR(**CHEAP).fit(X)
    beside = SimCLR(**CHEAP).fit(X[:20], X_unlabeled=X[20:])
    assert beside.loss_curve_ == joined.loss_curve_
    assert np.array_equal(beside.transform(X), joined.transform(X))
    assert not np.array_equal(beside.transform(X), SimCLR(**CHEAP).fit(X[:20]).transform(X))


@functools.cache
def fitted():
    return SimCLR(**CHEAP).fit(colors(40))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (colors(width=13), r"images of shape \(8, 13, 3\), but \(8, 12, 3\) was seen in fit"),
        (colors(height=9), r"images of shape \(9, 12, 3\), but \(8, 12, 3\)"),
        (colors()[..., :2], r"images of shape \(8, 12, 2\), but \(8, 12, 3\)"),
        (colors()[..., 0], r"images of shape \(8, 12\), but \(8, 12, 3\)"),
        (np.moveaxis(colors(), -1, 1), r"\(3, 8, 12\).* keep the channels where they were"),
        (colors().reshape(6, -1), r"looks like modality='table'.*image_shape=\(height, width\)"),
    ],
    ids=["wider", "taller", "two channels", "grey", "channels first", "rows"],
)
def test_other_images_than_fit_saw_are_said_by_estimators(X, message):
    labels = np.arange(40) % 2
    model = PretrainedClassifier(FrozenEstimator(fitted()), LogisticRegression())
    for verb in (fitted().transform, fitted().partial_fit, model.fit(colors(40), labels).predict):
        with pytest.raises(ValueError, match=message):
            verb(X)
    with pytest.raises(ValueError, match=message):
        SimCLR(**CHEAP).fit(colors(40), X_unlabeled=X)


# ---- pixels beside the embedding ---------------------------------------------------------


def test_raw_pixels_are_principal_components_of_mean_variance_1():
    X = load_digits().images[:300].astype(np.uint8)
    pixels = X.reshape(300, -1).astype(float)
    pca = PCA(svd_solver="full").fit(pixels)
    expected = pca.transform(pixels) / np.sqrt(pca.explained_variance_.mean())
    raw = RawPixels().fit(X)
    Z = raw.transform(X)
    assert Z.shape == (300, 64) and raw.n_outputs == 64 and Z.dtype == np.float32
    np.testing.assert_allclose(np.abs(Z), np.abs(expected), atol=1e-3)  # signs are arbitrary
    assert Z.var(0, ddof=1).mean() == pytest.approx(1, rel=1e-4)


def test_raw_pixels_of_colours_of_rows_and_of_more_images():
    X = colors(100)
    raw = RawPixels().fit(X)
    assert raw.n_outputs == 80 and raw.transform(X[:5]).shape == (5, 80)
    rows = X.reshape(100, -1)
    flat = RawPixels(image_shape=(8, 12, 3)).fit(rows)
    assert np.array_equal(flat.transform(rows), raw.transform(X))
    assert np.array_equal(RawPixels().fit(X[:30], X[30:]).transform(X), raw.transform(X))
    assert RawPixels().fit(X[:30]).n_outputs == 30
    alike = np.full((9, 8, 8), 7, np.uint8)
    assert (RawPixels().fit(alike).transform(alike) == 0).all()


def test_the_default_of_images_is_simclr_with_the_pixels_beside_it(monkeypatch):
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 2)
    X, y = load_digits().images[:100].astype(np.uint8), load_digits().target[:100]
    joined = PretrainedClassifier(classifier=LogisticRegression(max_iter=2000), random_state=0)
    joined.fit(X, np.where(np.arange(100) < 60, y, -1))
    assert type(joined.transformer_) is SimCLR
    assert joined.classifier_.n_features_in_ == 512 + 64
    raw = joined.raw_columns_.transform(X)
    Z = np.hstack([joined.transformer_.transform(X), raw])
    assert np.array_equal(joined.classifier_.predict_proba(Z), joined.predict_proba(X))
    alone = PretrainedClassifier(joined.transformer_, LogisticRegression(), passthrough=False)
    assert alone.fit(X, y).classifier_.n_features_in_ == 512
