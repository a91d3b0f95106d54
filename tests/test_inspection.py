"""Displays of fitted estimators: views, embeddings, reconstructions, loss curves."""

import random
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from skssl import (
    SCARF,
    CoLES,
    DenoisingAudio,
    DenoisingAutoencoder,
    EmbeddingDisplay,
    LossCurveDisplay,
    MaskedAutoencoder,
    MaskedTable,
    MultiTask,
    NextFrame,
    NextFrameDisplay,
    PretrainedClassifier,
    ReconstructionDisplay,
    SimCLR,
    TS2Vec,
    ViewsDisplay,
    to_bags,
)
from skssl.inspection._drawing import draw_rows, mosaic, to_colors
from skssl.inspection._fitted import spread, unwrap
from skssl.inspection._map import CLASS_COLORS, MAX_CLASSES, UNLABELLED, apart
from skssl.inspection._reconstruction import HIDDEN
from skssl.preprocessing import log_mel
from skssl.views import MultiCrop, Views, original

SHORT = {"n_components": 8, "max_epochs": 0, "precision": "float32", "random_state": 0}
IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES, DIGITS = IMAGES[:60].reshape(60, 8, 8).astype(np.uint8), DIGITS[:60]
COLORS = np.random.default_rng(0).integers(0, 256, (12, 8, 12, 3), dtype=np.uint8)
CLIPS = np.random.default_rng(0).integers(0, 256, (9, 5, 8, 6, 3), dtype=np.uint8)
TABLE, IRIS = load_iris(return_X_y=True, as_frame=True)
TABLE = TABLE.assign(size=pd.cut(TABLE.iloc[:, 0], 3, labels=["s", "m", "l"])).sample(
    60, random_state=0
)
IRIS = IRIS[TABLE.index]


@pytest.fixture(autouse=True)
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def simclr():
    return SimCLR(views="no_flip", **SHORT).fit(IMAGES)


@pytest.fixture(scope="module")
def next_frame():
    return NextFrame(context=2, **SHORT).fit(CLIPS)


@pytest.fixture(scope="module")
def scarf():
    return SCARF(**SHORT | {"max_epochs": 3}).fit(TABLE)


@pytest.fixture(scope="module")
def dae():
    return DenoisingAutoencoder(**SHORT | {"max_epochs": 3}).fit(TABLE)


DISPLAYS = {
    ViewsDisplay: lambda est, **kwargs: ViewsDisplay.from_estimator(est, TABLE, **kwargs),
    EmbeddingDisplay: lambda est, **kwargs: EmbeddingDisplay.from_estimator(est, TABLE, **kwargs),
    ReconstructionDisplay: lambda est, **kwargs: ReconstructionDisplay.from_estimator(
        est, TABLE, **kwargs
    ),
    LossCurveDisplay: lambda est, **kwargs: LossCurveDisplay.from_estimator(est, **kwargs),
}
displays = pytest.mark.parametrize("kind", DISPLAYS, ids=lambda kind: kind.__name__)


# What all of them share


@displays
def test_an_unfitted_estimator_is_said(kind):
    for estimator in (DenoisingAutoencoder(), PretrainedClassifier(SCARF())):
        with pytest.raises(NotFittedError):
            DISPLAYS[kind](estimator)
        with pytest.raises(NotFittedError):
            DISPLAYS[kind](make_pipeline(FunctionTransformer(), estimator))


@displays
def test_what_was_not_pretrained_is_said(kind):
    with pytest.raises(TypeError, match="Expected a self-supervised transformer.* got PCA"):
        DISPLAYS[kind](PCA(2).fit(TABLE.iloc[:, :4]))
    pipeline = make_pipeline(SCARF(**SHORT), LogisticRegression()).fit(TABLE, IRIS)
    with pytest.raises(TypeError, match="got Pipeline, in which is LogisticRegression"):
        DISPLAYS[kind](pipeline)


@displays
def test_estimators_around_a_transformer_are_opened(kind, dae):
    y = IRIS.where(np.arange(60) % 2 == 0, -1)
    plain = DISPLAYS[kind](dae)
    wrapped = [
        PretrainedClassifier(FrozenEstimator(dae), LogisticRegression()).fit(TABLE, y),
        make_pipeline(FunctionTransformer(), FrozenEstimator(dae)).fit(TABLE),
        make_pipeline(
            FunctionTransformer(),
            PretrainedClassifier(
                make_pipeline(FunctionTransformer(), clone(dae)), LogisticRegression()
            ),
        ).fit(TABLE, y),
    ]
    for estimator in wrapped:
        display = DISPLAYS[kind](estimator)
        assert display.figure_ is not plain.figure_ and type(display) is kind


def test_the_front_of_a_pipeline_prepares_X():
    X = TABLE.iloc[:, :4].to_numpy()
    scaler, scarf = StandardScaler(), SCARF(**SHORT)
    pipeline = make_pipeline(scaler, scarf).fit(X)
    inner, Z = unwrap(pipeline, X)
    assert inner is pipeline[-1]
    np.testing.assert_array_equal(Z, scaler.transform(X))
    Z = EmbeddingDisplay.from_estimator(pipeline, X).positions
    np.testing.assert_allclose(np.abs(Z), np.abs(PCA(2).fit_transform(pipeline.transform(X))))


@displays
def test_it_is_drawn_where_it_is_told(kind, dae, plt):
    figure, (left, right) = plt.subplots(1, 2)
    display = DISPLAYS[kind](dae, ax=right)
    panels = getattr(display, "axes_", None)
    panels = [display.ax_] if panels is None else panels
    assert display.figure_.get_figure(root=True) is figure
    assert not left.collections and not left.lines
    figure.canvas.draw()
    middle = figure.bbox.width / 2
    assert all(panel.get_window_extent().x0 > middle - 1 for panel in panels)
    assert display.plot() is display and display.figure_ is not figure


@pytest.mark.parametrize("images", [True, False])
def test_global_generators_and_X_stay_as_they_are(images, simclr, dae):
    estimator, X = (simclr, IMAGES) if images else (dae, TABLE)
    given, before = X.copy(), np.random.get_state()[1].copy()
    python, state = random.getstate(), torch.get_rng_state()
    ViewsDisplay.from_estimator(estimator, X)
    EmbeddingDisplay.from_estimator(estimator, X, method="pca" if images else "tsne")
    if not images:
        ReconstructionDisplay.from_estimator(estimator, X)
    assert (np.random.get_state()[1] == before).all() and random.getstate() == python
    assert torch.equal(torch.get_rng_state(), state)
    assert (X == given).all(axis=None)


@displays
def test_only_drawing_needs_matplotlib(kind, dae, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install skssl\[plot\]"):
        DISPLAYS[kind](dae)


def test_rows_to_show_are_evenly_spaced():
    assert spread(3, 8).tolist() == [0, 1, 2]
    assert spread(9, 3).tolist() == [0, 4, 8]
    assert spread(1000, 256)[-1] == 999 and len(set(spread(1000, 256))) == 256


# Images on paper


def test_a_mosaic_holds_every_image_in_its_place():
    large, small = np.full((3, 12, 10, 4), 0.2), np.full((3, 4, 6, 4), 0.7)
    ground, middles = mosaic([large, small])
    assert ground.shape == (12 + 1 + 4, 3 * 10 + 2, 4)
    np.testing.assert_allclose(ground[:12, 11:21], 0.2)
    np.testing.assert_allclose(ground[13:17, 13:19], 0.7)
    assert (ground[13:17, :2] == 0).all() and (ground[:, 10] == 0).all()  # see-through
    assert middles.tolist() == [5.5, 14.5]


def test_colors_span_what_there_is():
    grey = np.array([3, 5, 7], np.uint8).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(to_colors(grey)[0, 0, :, 0], [0, 0.5, 1])
    np.testing.assert_allclose(to_colors(grey, limits=(5, 6))[0, 0, :, 1], [0, 0, 1])
    assert (to_colors(np.full((2, 4, 4, 1), 3.0)) <= 1).all()  # constant
    np.testing.assert_allclose(to_colors(COLORS)[..., :3], COLORS / 255, atol=1e-2)


def test_channels_can_be_chosen():
    bands = np.random.default_rng(0).random((2, 4, 4, 13))
    mean = to_colors(bands)
    assert (mean[..., 0] == mean[..., 2]).all()
    chosen = to_colors(bands, (3, 2, 1), (0, 1))
    np.testing.assert_allclose(chosen[..., :3], bands[..., [3, 2, 1]])
    np.testing.assert_allclose(to_colors(bands, -1, (0, 1))[..., 1], bands[..., 12])
    for wrong in (13, (0, 1), "red", 0.5):
        with pytest.raises(ValueError, match="channels must be one channel, or three"):
            to_colors(bands, wrong)


def test_labels_of_rows_of_images_are_on_the_paper():
    image = draw_rows(None, [np.ones((8, 8, 8, 4))] * 2, ["original", "reconstructed"])
    image.axes.figure.canvas.draw()
    assert min(t.get_window_extent().x0 for t in image.axes.get_yticklabels()) >= 0
    assert len(image.axes.get_xticks()) == 0


# Views


def test_views_of_images_are_those_the_loss_sees(simclr):
    display = ViewsDisplay.from_estimator(simclr, IMAGES, n_samples=5, random_state=0)
    rows = spread(60, 5)
    np.testing.assert_allclose(display.originals[..., 0], IMAGES[rows], atol=1e-5)
    assert [view.shape for view in display.views] == [(5, 8, 8, 1)] * 2
    assert not np.allclose(*display.views)
    again = ViewsDisplay.from_estimator(simclr, IMAGES, n_samples=5, random_state=0)
    np.testing.assert_array_equal(display.views, again.views)
    other = ViewsDisplay.from_estimator(simclr, IMAGES, n_samples=5, random_state=1)
    assert not np.allclose(display.views, other.views)
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["original", "view 1", "view 2"]


def test_views_of_several_sizes_and_channels():
    simclr = SimCLR(views=MultiCrop(n_large=2, n_small=1), **SHORT).fit(COLORS)
    display = ViewsDisplay.from_estimator(simclr, COLORS, n_samples=4)
    shapes = [view.shape for view in display.views]
    assert shapes == [(4, 8, 12, 3)] * 2 + [(4, 4, 8, 3)]
    assert len(display.ax_.get_yticks()) == 4 and display.image_ in display.ax_.images


def test_views_that_are_no_such_images_are_said():
    simclr = SimCLR(views=lambda x: x.mean(1, keepdim=True), encoder=nn.Flatten(), **SHORT)
    with pytest.raises(ValueError, match=r"images of 3 channels like X; .* \(8, 1, 8, 12\)"):
        ViewsDisplay.from_estimator(simclr.fit(COLORS), COLORS)


def test_views_of_a_table_show_which_cells_changed():
    def halve(x):
        return x.index_fill(1, torch.tensor([1]), torch.nan).index_add(
            1, torch.tensor([0]), torch.ones(len(x), 1)
        )

    X = TABLE.iloc[:, :4]
    scarf = SCARF(views=Views((original, halve)), **SHORT).fit(X)
    display = ViewsDisplay.from_estimator(scarf, X, n_samples=10)
    cells = display.image_.get_array().reshape(4, -1)
    assert cells[:, :10].max() == 0  # the first view is the original
    assert cells[:, -10:].tolist() == [[1] * 10, [2] * 10, [0] * 10, [0] * 10]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == X.columns.tolist()
    shares = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert shares == ["view 1\n0% altered", "view 2\n50% altered"]
    keys = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert keys == ["as it was", "another value", "now missing"]


def test_views_of_tables_with_holes_and_categories():
    X = TABLE.mask(np.random.default_rng(0).random(TABLE.shape) < 0.2)
    for method in (MultiTask(**SHORT), MaskedTable(**SHORT), DenoisingAutoencoder(**SHORT)):
        display = ViewsDisplay.from_estimator(method.fit(X), X)
        assert display.originals.shape == (30, 5)
    wide = np.random.default_rng(0).normal(size=(20, 80))
    display = ViewsDisplay.from_estimator(SCARF(**SHORT).fit(wide), wide)
    assert len(display.ax_.get_yticks()) == 0 and display.ax_.get_ylabel() == "columns of X"


def test_what_has_no_views_to_draw_is_said():
    class Blind(SCARF):
        def _views(self, augment):
            return ()

    with pytest.raises(ValueError, match="Blind compares no altered copies"):
        ViewsDisplay.from_estimator(Blind(**SHORT).fit(TABLE), TABLE)
    events = pd.DataFrame({"who": np.repeat(range(6), 8), "when": list(range(8)) * 6, "what": 1.0})
    bags = to_bags(events, "who", "when")
    coles = CoLES(**SHORT).fit(bags)
    with pytest.raises(ValueError, match="series or waveforms; CoLES was fitted on bags"):
        ViewsDisplay.from_estimator(coles, bags)
    assert EmbeddingDisplay.from_estimator(coles, bags).positions.shape == (6, 2)


def test_views_of_clips_are_strips_of_frames():
    simclr = SimCLR(views="weak", **SHORT).fit(CLIPS)
    display = ViewsDisplay.from_estimator(simclr, CLIPS, n_samples=2, random_state=0)
    np.testing.assert_allclose(display.originals, CLIPS[[0, 8]], atol=1e-4)
    assert [view.shape for view in display.views] == [(2, 2, 8, 6, 3)] * 2
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["original", "view 1", "view 2"] * 2
    ground = display.image_.get_array()
    assert ground.shape[1] == 5 * 6 + 4  # all frames of the original side by side
    assert (ground[9:17, 14:, 3] == 0).all() and (ground[:8, :6, 3] == 1).all()
    grey = SimCLR(views=lambda x: x.mean(2, keepdim=True), encoder=nn.Flatten(), **SHORT)
    with pytest.raises(ValueError, match="clips of 3 channels like X"):
        ViewsDisplay.from_estimator(grey.fit(CLIPS), CLIPS)


def test_views_of_series_are_lines_upon_them():
    X = np.random.default_rng(0).normal(size=(9, 2, 20))
    X[0, :, 15:] = np.nan
    method = TS2Vec(views=Views((original, lambda x: x[:, :, :10] + 1)), **SHORT).fit(X)
    display = ViewsDisplay.from_estimator(method, X, n_samples=3, channels=1)
    np.testing.assert_allclose(display.originals, X[[0, 4, 8]], atol=1e-5)
    assert len(display.lines_) == 9 and not hasattr(display, "image_")
    drawn = [line.get_ydata() for line in display.lines_]
    shift = drawn[8] - display.views[1][2, 1]  # of the third series, all lines alike
    np.testing.assert_allclose(drawn[2] - X[8, 1], np.full(20, shift[0]), atol=1e-5)
    np.testing.assert_allclose(drawn[0][:15], X[0, 1, :15], atol=1e-5)
    assert np.isnan(drawn[0][15:]).all() and shift[0] < 0
    with pytest.raises(ValueError, match="out of the 2 there are"):
        ViewsDisplay.from_estimator(method, X, channels=2)


def test_views_of_recordings_are_spectrograms():
    X = np.random.default_rng(0).normal(size=(6, 1600)) * 0.1
    X[0, 800:] = np.nan
    for method in (SimCLR, DenoisingAudio):
        model = method(sampling_rate=8000, **SHORT).fit(X)
        display = ViewsDisplay.from_estimator(model, X, random_state=0)
        assert display.originals.shape == (4, 40, 21, 1)
        low_first = display.originals[:, ::-1, :, 0]
        np.testing.assert_allclose(low_first, log_mel(X[[0, 2, 3, 5]], 8000), atol=1e-3)
        colors = display.image_.get_array()
        assert (colors[:40, 12:21, 3] == 0).all() and (colors[:40, :11, 3] == 1).all()
        assert not np.allclose(display.views[0][1:], display.originals[1:], equal_nan=True)


# Embeddings


def test_a_map_is_the_principal_components_of_the_embedding(simclr):
    display = EmbeddingDisplay.from_estimator(simclr, IMAGES, DIGITS)
    pca = PCA(2).fit(simclr.transform(IMAGES))
    np.testing.assert_allclose(
        np.abs(display.positions), np.abs(pca.transform(simclr.transform(IMAGES))), atol=1e-4
    )
    share = f"({pca.explained_variance_ratio_[0]:.0%} of variance)"
    assert display.ax_.get_xlabel() == f"principal component 1 {share}"
    names = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert names == [str(digit) for digit in range(10)]
    assert len(display.scatters_) == 10 and len(display.ax_.get_xticks()) == 0


def test_thumbnails_lie_apart_in_frames_of_their_class(simclr, plt):
    display = EmbeddingDisplay.from_estimator(simclr, IMAGES, DIGITS)
    rows, side = apart(display.positions, 60)
    gaps = np.abs(display.positions[rows][:, None] - display.positions[rows][None]).max(2)
    assert (gaps + 10 * side * np.eye(len(rows)) > side).all()
    assert 5 < len(display.thumbnails_) == len(rows) == len(display.ax_.patches)
    for row, frame in zip(rows, display.ax_.patches, strict=True):
        expected = plt.matplotlib.colors.to_rgba(CLASS_COLORS[DIGITS[row]])
        assert frame.get_edgecolor() == expected
    display.figure_.canvas.draw()
    box = display.ax_.get_window_extent()
    for frame in display.ax_.patches:
        inside = frame.get_window_extent()
        assert box.x0 <= inside.x0 and inside.x1 <= box.x1
        assert inside.width == pytest.approx(inside.height, rel=1e-6)  # not stretched
    few = EmbeddingDisplay.from_estimator(simclr, IMAGES, n_thumbnails=3)
    assert len(few.thumbnails_) == 3 and len(few.scatters_) == 1
    none = EmbeddingDisplay.from_estimator(simclr, IMAGES, n_thumbnails=0)
    assert none.images is None and not none.thumbnails_


@pytest.mark.parametrize("missing", [-1, np.nan, None])
def test_rows_without_a_label_are_grey(scarf, missing, plt):
    y = IRIS.astype(object if missing is None else float).mask(np.arange(60) % 2 == 0, missing)
    display = EmbeddingDisplay.from_estimator(scarf, TABLE, y.rename("species"))
    assert len(display.scatters_) == 4
    assert len(display.scatters_[0].get_offsets()) == 30
    grey = plt.matplotlib.colors.to_rgb(UNLABELLED)
    np.testing.assert_allclose(display.scatters_[0].get_facecolor()[0][:3], grey)
    legend = display.ax_.get_legend()
    assert legend.get_texts()[0].get_text() == "unlabelled"
    assert legend.get_title().get_text() == "species"


def test_numbers_have_a_color_bar(scarf):
    y = TABLE["petal width (cm)"].where(np.arange(60) != 3)
    display = EmbeddingDisplay.from_estimator(scarf, TABLE, y - 2.0)  # -1.0 is a number
    assert len(display.scatters_) == 2 and len(display.scatters_[1].get_offsets()) == 59
    bar = display.figure_.axes[-1]
    assert bar is not display.ax_ and bar.get_ylabel() == "petal width (cm)"
    ages = np.arange(60)
    assert len(EmbeddingDisplay.from_estimator(scarf, TABLE, ages).figure_.axes) == 2


def test_many_classes_differ_in_color_or_shape(scarf, plt):
    y = np.array([f"{i % MAX_CLASSES:02d}" for i in range(60)])
    display = EmbeddingDisplay.from_estimator(scarf, TABLE, y)
    looks = {
        (tuple(s.get_facecolor()[0]), s.get_paths()[0].vertices.tobytes())
        for s in display.scatters_
    }
    assert len(looks) == MAX_CLASSES
    with pytest.raises(ValueError, match=f"60 classes; at most {MAX_CLASSES}"):
        EmbeddingDisplay.from_estimator(scarf, TABLE, [f"{i:02d}" for i in range(60)])


def test_the_way_to_two_dimensions_can_be_chosen(scarf):
    method = PCA(3, svd_solver="randomized")
    display = EmbeddingDisplay.from_estimator(scarf, TABLE, method=method, random_state=0)
    assert display.positions.shape == (60, 2) and not hasattr(method, "components_")
    assert method.random_state is None
    maps = [
        EmbeddingDisplay.from_estimator(scarf, TABLE, method="tsne", random_state=0)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(maps[0].positions, maps[1].positions)
    assert maps[0].ax_.get_ylabel() == "t-SNE 2"
    drawn = EmbeddingDisplay.from_estimator(scarf, TABLE, method=FunctionTransformer())
    np.testing.assert_array_equal(drawn.positions, scarf.transform(TABLE)[:, :2])


@pytest.mark.parametrize(
    ("X", "kwargs", "message"),
    [
        (TABLE, {"method": "umap"}, "method must be 'pca', 'tsne' or a transformer"),
        (TABLE, {"method": PCA(1)}, r"at least 2 columns; got shape \(60, 1\)"),
        (TABLE, {"y": IRIS[:5]}, "y has 5 labels for 60 rows"),
        (TABLE[:1], {}, "at least 2 rows"),
    ],
)
def test_what_makes_no_map_is_said(scarf, X, kwargs, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_estimator(scarf, X, **kwargs)


# Reconstructions


def test_reconstructed_images_stand_below_the_originals():
    for X, shape in ((IMAGES, (8, 8, 8, 1)), (COLORS, (8, 8, 12, 3))):
        masked = MaskedAutoencoder(**SHORT | {"n_components": 32}).fit(X)
        display = ReconstructionDisplay.from_estimator(masked, X)
        rows = spread(len(X), 8)
        expected = masked.reconstruct(X[rows]).reshape(shape)
        np.testing.assert_array_equal(display.originals, X[rows].reshape(shape))
        np.testing.assert_array_equal(display.reconstructions, expected)
        labels = [t.get_text() for t in display.axes_[0].get_yticklabels()]
        assert labels == ["original", "seen", "reconstructed"]
        seen = ~masked.decoder_.hidden.numpy()
        (image,) = display.axes_[0].images
        ground, (height, width) = image.get_array(), X.shape[1:3]
        top = height + round(max(height, width) / 12)
        second = ground[top : top + height, :width, :3]
        np.testing.assert_allclose(second[~seen], np.broadcast_to(HIDDEN[:3], second[~seen].shape))
        np.testing.assert_allclose(second[seen], ground[:height, :width, :3][seen])
        kept = display.reconstructions[:, seen].astype(int)
        np.testing.assert_allclose(kept, display.originals[:, seen], atol=1)


def test_reconstructed_cells_stand_against_the_true_ones(dae):
    X = TABLE.copy()
    X.iloc[:5, 0] = np.nan
    display = ReconstructionDisplay.from_estimator(dae, X)
    assert len(display.axes_) == 5
    assert display.levels == [None] * 4 + [["s", "m", "l"]]
    points = display.axes_[0].collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 0], X.iloc[5:, 0])  # holes have no truth
    np.testing.assert_allclose(points[:, 1], dae.reconstruct(X).iloc[5:, 0])
    sizes = display.axes_[4].collections[0].get_offsets()
    right = (dae.reconstruct(X)["size"] == X["size"]).mean()
    assert display.axes_[4].get_title() == f"size\n{right:.0%} right" and len(sizes) <= 9
    assert [t.get_text() for t in display.axes_[4].get_xticklabels()] == ["s", "m", "l"]


def test_columns_and_rows_can_be_chosen(dae):
    columns = ["size", 1]
    display = ReconstructionDisplay.from_estimator(dae, TABLE, columns=columns, n_samples=7)
    assert display.columns == ["size", "sepal width (cm)"] and display.originals.shape == (7, 2)
    for wrong in (["colour"], [9], []):
        with pytest.raises(ValueError, match="expected names or positions of columns"):
            ReconstructionDisplay.from_estimator(dae, TABLE, columns=wrong)


def test_odd_columns_are_drawn():
    X = pd.DataFrame(
        {
            "constant": 1.0,
            "a name that is far too long to be a title": np.arange(20.0),
            "empty": np.full(20, np.nan),
            "nothing": pd.Categorical([None] * 20, ["a", "b"]),
            "many": pd.Categorical(list("abcdefghijklmnopqrst")),
        }
    )
    dae = DenoisingAutoencoder(**SHORT).fit(X)
    X["many"] = X["many"].cat.rename_categories({"a": "unseen"})
    panels = ReconstructionDisplay.from_estimator(dae, X).axes_
    titles = [panel.get_title().split("\n") for panel in panels]
    assert titles[0][1] == "constant" and len(titles[1][0]) == 22
    assert titles[2][1] == titles[3][1] == "nothing known"
    assert len(panels[4].get_xticks()) == 0


def test_what_does_not_reconstruct_is_said(scarf, plt):
    with pytest.raises(ValueError, match="SCARF does not reconstruct"):
        ReconstructionDisplay.from_estimator(scarf, TABLE)
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax must come from subplots"):
        ReconstructionDisplay(np.ones((3, 2)), np.ones((3, 2))).plot(ax=ax)


# Loss curves


def test_loss_curves_are_those_of_the_fit(scarf):
    display = LossCurveDisplay.from_estimator(scarf)
    (line,) = display.lines_
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == scarf.loss_curve_
    assert display.ax_.get_title() == "SCARF" and display.ax_.get_legend() is None
    assert LossCurveDisplay.from_estimator(scarf, name="mine").ax_.get_title() == "mine"


def test_held_out_losses_and_the_epoch_that_was_kept():
    scarf = SCARF(**SHORT | {"max_epochs": 6}, n_iter_no_change=2).fit(TABLE)
    display = LossCurveDisplay.from_estimator(scarf)
    training, held_out = display.lines_
    assert training.get_label() == "training" and held_out.get_label() == "held out"
    assert held_out.get_ydata().tolist() == scarf.validation_loss_curve_
    best = int(np.argmin(scarf.validation_loss_curve_))
    assert display.best_.get_xdata().tolist() == [best + 1]
    texts = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "held out", f"kept: epoch {best + 1}"]


def test_an_untrained_encoder_has_no_curve(simclr):
    with pytest.raises(ValueError, match="SimCLR was not trained"):
        LossCurveDisplay.from_estimator(simclr)
    display = LossCurveDisplay([1.5]).plot()
    assert display.lines_[0].get_marker() == "o"  # a line of one point would not be seen


# Predicted frames


def test_frames_are_drawn_above_their_predictions(next_frame):
    display = NextFrameDisplay.from_estimator(next_frame, CLIPS, n_samples=4, n_frames=2)
    rows = spread(9, 4)
    np.testing.assert_allclose(display.clips, CLIPS[rows, 1:])  # two to go by, two to predict
    predicted = next_frame.predict_next(CLIPS[rows, :3], 2)
    np.testing.assert_allclose(display.predictions, predicted)
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["true", "predicted"] * 4
    pixels = np.asarray(display.image_.get_array())
    assert (pixels[9:17, :14, -1] == 0).all()  # nothing is drawn below the context
    np.testing.assert_allclose(pixels[:8, :6, :3], CLIPS[0, 1] / 255, atol=0.02)


def test_clips_with_channels_first_look_alike(next_frame):
    X = np.moveaxis(CLIPS, -1, 2)
    first = NextFrameDisplay.from_estimator(NextFrame(context=2, **SHORT).fit(X), X)
    last = NextFrameDisplay.from_estimator(next_frame, CLIPS)
    np.testing.assert_array_equal(first.image_.get_array(), last.image_.get_array())


def test_next_frames_of_estimators_around_the_method(next_frame, plt):
    y, given = np.arange(9) % 2, CLIPS.copy()
    _, ax = plt.subplots()
    pretrained = PretrainedClassifier(FrozenEstimator(next_frame), LogisticRegression())
    pipeline = make_pipeline(FunctionTransformer(), FrozenEstimator(next_frame))
    for estimator in (pretrained.fit(CLIPS, y), pipeline.fit(CLIPS)):
        display = NextFrameDisplay.from_estimator(estimator, CLIPS, ax=ax)
        assert display.ax_ is ax and display.predictions.shape == (3, 1, 8, 6, 3)
    assert np.array_equal(CLIPS, given)


def test_what_predicts_no_frames_is_said(next_frame, simclr):
    with pytest.raises(ValueError, match="SimCLR does not predict frames. Fit NextFrame"):
        NextFrameDisplay.from_estimator(simclr, IMAGES)
    with pytest.raises(NotFittedError):
        NextFrameDisplay.from_estimator(NextFrame(), CLIPS)
    for n_frames in (0, 4):
        with pytest.raises(ValueError, match=f"Predicting {n_frames} frames from 2 needs clips"):
            NextFrameDisplay.from_estimator(next_frame, CLIPS, n_frames=n_frames)
