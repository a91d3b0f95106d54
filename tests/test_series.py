"""Series: readers, encoders, views, losses, and what the methods learn from them."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import skssl
from skssl import CPC, NextStep, PretrainedClassifier, SimCLR, TS2Vec
from skssl._data import SeriesReader
from skssl._meta._raw_columns import RawSeries
from skssl._training import _loop
from skssl.base._modality_of import infer_modality
from skssl.encoders import (
    CausalGRU,
    RandomKernels,
    SeriesScaler,
    SeriesTransformer,
    TemporalConvNet,
    places_of,
    series_encoder,
    steps_of,
    video_encoder,
)
from skssl.losses import find_future, hierarchical_contrast
from skssl.preprocessing import sliding_windows
from skssl.views import (
    crop_time,
    jitter,
    mask_frequencies,
    mask_time,
    overlapping_crops,
    permute_time,
    rescale,
    series_views,
)

NAN = np.nan
CHEAP = {"n_components": 8, "max_epochs": 1, "precision": "float32", "random_state": 0}


def waves(n=40, channels=2, length=30, seed=0):
    rng = np.random.default_rng(seed)
    speed, phase = rng.uniform(0.2, 1.5, (n, channels, 1)), rng.uniform(0, 6, (n, channels, 1))
    return np.sin(np.arange(length) * speed + phase)


# ---- reading ------------------------------------------------------------------------------


def test_lists_of_arrays_are_padded():
    ragged = [np.ones((2, 5)), np.full((2, 3), 2.0)]
    assert infer_modality(ragged) == "series"
    x = SeriesReader().fit(ragged).read(ragged)
    assert x.shape == (2, 2, 5) and x.dtype == torch.float32
    assert x[1, :, 3:].isnan().all() and not x[1, :, :3].isnan().any()
    one_channel = [np.arange(4.0), np.arange(2.0)]
    assert SeriesReader().fit(one_channel).read(one_channel).shape == (2, 1, 4)
    objects = np.empty(2, dtype=object)
    objects[:] = ragged
    assert torch.equal(SeriesReader().fit(objects).read(objects).nan_to_num(), x.nan_to_num())


def test_two_dimensions_are_one_channel():
    X = waves(channels=1)
    for method in (TS2Vec, SimCLR):
        flat = method(**CHEAP, modality="series").fit_transform(X[:, 0])
        np.testing.assert_array_equal(flat, method(**CHEAP).fit_transform(X))


def test_series_of_another_length_are_read():
    fitted = TS2Vec(**CHEAP).fit(waves())
    assert fitted.transform(waves(length=17)).shape == (40, 8)
    short = waves(length=20)
    padded = np.concatenate([short, np.full((40, 2, 13), NAN)], 2)
    np.testing.assert_allclose(fitted.transform(padded), fitted.transform(short), atol=1e-5)
    several = fitted.fit(waves(), X_unlabeled=waves(n=10, length=45, seed=1))
    assert several.transform(waves()).shape == (40, 8)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((5, 3, 20)), ValueError, "series of 3 channels, but 2 were seen"),
        (np.ones((5, 2, 0)), ValueError, "Expected series"),
        (np.where(waves() > 0.9, np.inf, 0), ValueError, "infinity"),
        (np.ones((5, 2, 4, 4)), ValueError, "TS2Vec reads series"),
        ([np.ones((2, 5)), np.ones((3, 4))], ValueError, r"Series have \[2, 3\] channels"),
        (np.full((4, 2, 5), "a"), TypeError, "Expected numbers in series"),
    ],
)
def test_bad_series_are_said(X, error, message):
    fitted = TS2Vec(**CHEAP).fit(waves())
    if isinstance(X, np.ndarray) and X.dtype.kind == "U":
        fitted.set_params(modality="series")
    with pytest.raises(error, match=message):
        fitted.transform(X)


def test_a_series_without_values_has_an_embedding():
    X = waves()
    X[3] = NAN
    for method in (TS2Vec(**CHEAP), CPC(**CHEAP), NextStep(**CHEAP), SimCLR(**CHEAP)):
        assert np.isfinite(method.fit(X).transform(X)).all()


def test_scaler_ignores_holes():
    x = torch.tensor([[[1.0, 3.0, NAN], [5.0, 5.0, 5.0]], [[5.0, NAN, NAN], [5.0, 5.0, 5.0]]])
    scaler = SeriesScaler(x)
    z = scaler(x)
    known = z[:, 0][~x[:, 0].isnan()]
    np.testing.assert_allclose(known, np.array([-1, 0, 1]) * math.sqrt(1.5), rtol=1e-5)
    assert (z[:, 1] == 0).all() and torch.equal(z.isnan(), x.isnan())
    torch.testing.assert_close(scaler.inverse(z), x, equal_nan=True)


# ---- encoders -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TemporalConvNet, CausalGRU], ids=["convolutions", "gru"])
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_padding_is_not_read(make, pooling):
    net = make(2, 8, pooling=pooling).eval()
    x = torch.randn(5, 2, 20)
    x[:, :, 4] = NAN
    padded = torch.cat([x, torch.full((5, 2, 7), NAN)], 2)
    torch.testing.assert_close(net(padded), net(x), rtol=1e-4, atol=1e-5)
    assert steps_of(padded).sum(1).tolist() == [20] * 5


@pytest.mark.parametrize("stride", [1, 3])
def test_states_look_back_only(stride):
    net = CausalGRU(1, 8, stride=stride).eval()
    x = torch.randn(2, 1, 18, requires_grad=True)
    net.sequence(x)[:, 3].sum().backward()
    read = x.grad.abs().sum((0, 1)) > 0
    assert read.tolist() == [i < 4 * stride for i in range(18)]


def test_depth_follows_the_length():
    depth = [len(series_encoder("auto", torch.zeros(2, 1, t), None, 8).blocks) for t in (9, 500)]
    assert depth == [3, 7]


def test_places_are_those_an_encoder_computes_at():
    x = torch.zeros(2, 1, 500)
    counts = [places_of(series_encoder(name, x, None, 8), x) for name in ("auto", "gru")]
    assert counts == [500, 125]
    assert places_of(series_encoder("transformer", x, None, 8), x) == 42
    assert places_of(torch.nn.Flatten(), x) == 500
    clips = torch.zeros(2, 12, 1, 20, 30)  # 5 x 8 squares, and two frames at once
    assert places_of(video_encoder("auto", clips, None, 8), clips) == 80
    assert places_of(torch.nn.Flatten(), clips) == 40


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_encoders_that_cannot_hide_steps_are_said(encoder):
    with pytest.raises(ValueError, match="TS2Vec needs an encoder with `sequence"):
        TS2Vec(encoder=encoder, **CHEAP).fit(waves())


def test_a_default_fit_is_bounded_by_the_places_it_reads(monkeypatch):
    monkeypatch.setattr(_loop, "PLACES", 2 * 40 * 30)
    short = CHEAP | {"max_epochs": "auto"}
    assert SimCLR(**short).fit(waves()).n_iter_ == 2  # of 40 series of 30 steps
    assert TS2Vec(**short, max_length=10).fit(waves()).n_iter_ == 7  # of 2 * 16, 10 steps each


def test_kernels_count_what_exceeds_the_threshold():
    """A slow loop over one kernel, dilation and threshold."""
    torch.manual_seed(0)
    X = torch.randn(6, 1, 40)
    kernels = RandomKernels(X, n_features=168)
    features = kernels(X).numpy()
    places = list(itertools.combinations(range(9), 3))
    column = 0
    for i, dilation in enumerate(kernels.dilations):
        thresholds = getattr(kernels, f"thresholds{i}")
        for j in range(thresholds.shape[1]):
            for k in (0, 41, 83):
                weight = [2 if p in places[k] else -1 for p in range(9)]
                for row in (0, 5):
                    series, above = X[row, 0].tolist(), 0
                    for t in range(40):
                        at = [t + dilation * (p - 4) for p in range(9)]
                        inside = [(w, a) for w, a in zip(weight, at, strict=True) if 0 <= a < 40]
                        value = sum(w * series[a] for w, a in inside)
                        above += value > thresholds[k, j]
                    assert abs(features[row, column + k] - above / 40) <= 1 / 40  # ties
            column += 84
    assert column == features.shape[1] == 168


# ---- views --------------------------------------------------------------------------------

EVERY_VIEW = [
    jitter,
    rescale,
    crop_time,
    permute_time,
    mask_time,
    mask_frequencies,
    series_views("weak"),
    series_views("strong"),
]


@pytest.mark.parametrize("view", EVERY_VIEW, ids=lambda view: getattr(view, "__name__", repr(view)))
def test_views_keep_shape_dtype_and_input(view):
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(6, 2, 21, dtype=dtype)
        x[:, :, 18:] = NAN
        before = x.clone()
        out = view(x)
        assert out.shape == x.shape and out.dtype == dtype
        assert torch.equal(x.nan_to_num(), before.nan_to_num())
        assert not torch.equal(out.nan_to_num(), x.nan_to_num())


def test_a_crop_is_linear_interpolation():
    torch.manual_seed(0)
    line = torch.arange(30.0).expand(50, 2, 30)
    view = crop_time(line, low=0.5, high=0.9)
    steps = view.diff(dim=2)
    torch.testing.assert_close(steps, steps[:, :, :1].expand_as(steps), rtol=1e-3, atol=1e-4)
    assert 0.5 <= steps.min() and steps.max() <= 0.9 and steps.std(0).max() > 0.05
    assert view.min() >= 0 and view.max() <= 29


def test_segments_are_moved_whole():
    torch.manual_seed(0)
    view = permute_time(torch.arange(12.0).expand(20, 1, 12), n_segments=3)
    parts = {tuple(p.tolist()) for p in view.reshape(-1, 4)}
    assert parts == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)}
    assert len({tuple(row.tolist()) for row in view[:, 0]}) > 3


@pytest.mark.parametrize(("length", "share"), [(20, 0.3), (10, 1.0), (9, 0.0)])
def test_one_stretch_is_masked_anywhere(length, share):
    torch.manual_seed(0)
    hidden = mask_time(torch.ones(300, 2, length), share).isnan()
    n_hidden = round(share * length)
    assert (hidden.sum(2) == n_hidden).all() and torch.equal(hidden[:, 0], hidden[:, 1])
    first = hidden[:, 0].int().argmax(1).tolist() if n_hidden else []
    assert all(row[i : i + n_hidden].all() for row, i in zip(hidden[:, 0], first, strict=False))
    assert not n_hidden or set(first) == set(range(length - n_hidden + 1))


def test_strengths_of_views():
    torch.manual_seed(0)
    x = torch.full((100, 20, 50), 3.0)
    assert (jitter(x, 0.2) - x).std().item() == pytest.approx(0.2, rel=0.02)
    factor = (rescale(x, 0.3) / x).log()
    assert factor.std(2).max() < 1e-5 and factor[..., 0].std().item() == pytest.approx(0.3, rel=0.1)
    assert (
        repr(series_views("strong")) == "Compose(crop_time, rescale, jitter, mask_time(share=0.2))"
    )
    assert repr(series_views("weak")) == "Compose(rescale, jitter)"


def test_a_band_of_frequencies_goes():
    torch.manual_seed(0)
    x = torch.randn(8, 1, 64)
    before, after = torch.fft.rfft(x).abs(), torch.fft.rfft(mask_frequencies(x, 0.25)).abs()
    gone = (after < 1e-4) & (before > 1e-4)
    assert (gone.sum(2) == round(0.25 * 33)).all() and not gone[..., 0].any()
    torch.testing.assert_close(after[~gone], before[~gone], rtol=1e-4, atol=1e-4)
    clicks = torch.zeros(300, 1, 16)
    clicks[..., 0] = 1.0  # all nine frequencies are as strong
    gone = torch.fft.rfft(mask_frequencies(clicks, 0.25))[:, 0].abs() < 1e-4
    assert (gone.sum(1) == 2).all() and set(gone.int().argmax(1).tolist()) == set(range(1, 8))


def test_crops_overlap():
    torch.manual_seed(0)
    x = torch.arange(50.0).expand(9, 3, 50)
    for _ in range(30):
        first, second, n = overlapping_crops(x, max_length=20)
        assert torch.equal(first[..., -n:], second[..., :n])
        assert first.shape[2] + second.shape[2] - n <= 20
        assert (first[:, 0].diff() == 1).all()


def test_views_by_name():
    assert SimCLR(**CHEAP, views="weak").fit(waves()).views_
    with pytest.raises(ValueError, match="no views 'rotations' of series"):
        SimCLR(**CHEAP, views="rotations").fit(waves())


# ---- losses -------------------------------------------------------------------------------


def slow_hierarchy(a, b, alpha):
    """Equations 1 to 3 of TS2Vec, one term at a time."""
    total, scales = 0.0, 0
    a, b = a.tolist(), b.tolist()

    def dot(u, v):
        return sum(x * y for x, y in zip(u, v, strict=True))

    def term(anchor, positive, others):
        scores = [math.exp(dot(anchor, o)) for o in [positive, *others]]
        return -math.log(scores[0] / sum(scores))

    while True:
        n, length = len(a), len(a[0])
        for u, v in ((a, b), (b, a)):
            for i in range(n):
                for t in range(length):
                    rows = [w[j][t] for w in (u, v) for j in range(n) if j != i]
                    total += alpha * term(u[i][t], v[i][t], rows) / (2 * n * length)
                    steps = [w[i][s] for w in (u, v) for s in range(length) if s != t]
                    if length > 1:
                        temporal = term(u[i][t], v[i][t], steps)
                        total += (1 - alpha) * temporal / (2 * n * length)
        scales += 1
        if length == 1:
            return total / scales
        a, b = (
            [
                [
                    [max(p) for p in zip(*w[i][t : t + 2], strict=True)]
                    for t in range(0, length - 1, 2)
                ]
                for i in range(n)
            ]
            for w in (a, b)
        )


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_hierarchical_contrast_against_a_slow_loop(length):
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, length, 4, dtype=torch.float64)
    ours = hierarchical_contrast(a, b, alpha=0.3)
    assert ours.item() == pytest.approx(slow_hierarchy(a, b, 0.3), abs=1e-5)


def test_find_future_against_a_slow_loop():
    torch.manual_seed(0)
    prediction, future = torch.randn(2, 5, 3, dtype=torch.float64)
    total = 0.0
    for i in range(5):
        scores = [math.exp(float(prediction[i] @ future[j]) / 3**0.5) for j in range(5)]
        total -= math.log(scores[i] / sum(scores)) / 5
    assert find_future(prediction, future).item() == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_at_duplicates(dtype):
    a = torch.ones(4, 6, 3, dtype=dtype, requires_grad=True)
    hierarchical_contrast(a, a.detach()).backward()
    assert a.grad.isfinite().all()
    z = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    find_future(z, z.detach()).backward()
    assert z.grad.isfinite().all()


# ---- methods ------------------------------------------------------------------------------


def test_methods_say_what_encoder_they_need():
    for method in (TS2Vec, CPC, NextStep):
        with pytest.raises(ValueError, match=f"{method.__name__} needs an encoder"):
            method(**CHEAP, encoder=lambda x: torch.nn.Sequential(torch.nn.Flatten())).fit(waves())
    with pytest.raises(ValueError, match="TS2Vec needs an encoder .* got CausalGRU"):
        TS2Vec(**CHEAP, encoder="gru").fit(waves(length=400))
    with pytest.raises(ValueError, match="at least 2 stretches"):
        CPC(**CHEAP).fit(waves(length=1))


@pytest.mark.filterwarnings("ignore:The embedding of CPC has collapsed")
def test_a_batch_without_two_stretches_in_a_row_is_no_error():
    X = waves(length=40)
    X[:, :, 1:] = np.nan
    cpc = CPC(**CHEAP).fit(X)
    assert cpc.loss_curve_ == [0.0] * cpc.n_iter_
    assert np.isfinite(cpc.transform(X)).all()


def test_any_module_reads_series():
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(60, 5))
    X = waves()
    X[:, :, 3] = NAN
    Z = SimCLR(encoder=encoder, max_epochs=1, random_state=0).fit_transform(X)
    assert Z.shape == (40, 5) and np.isfinite(Z).all()


def test_next_step_predicts(seed, margin):
    """Of a sine, what follows is known: the error falls to a small part of the variance."""
    method = NextStep(n_components=32, max_epochs=200, batch_size=40, learning_rate=1e-2)
    X = waves(channels=1, length=60)
    margin(-method.set_params(random_state=seed).fit(X).loss_curve_[-1], -0.2)


def test_raw_series_are_joined():
    X = waves(n=60)
    raw = RawSeries().fit(X)
    assert raw.transform(X).shape == (60, raw.n_outputs)
    assert raw.transform(X).var(0).mean() == pytest.approx(1, rel=0.1)
    y = np.where(np.arange(60) < 30, np.arange(60) % 2, -1)
    model = PretrainedClassifier(random_state=0)
    model.set_params(transformer=TS2Vec(**CHEAP)).fit(X, y)
    assert model.raw_columns_.n_outputs == raw.n_outputs


def test_default_of_series():
    assert isinstance(skssl._meta._steps.default_transformer(waves()), TS2Vec)


def test_windows_of_a_recording():
    recording = np.arange(20.0).reshape(2, 10)
    windows = sliding_windows(recording, 4, 3)
    assert windows.shape == (3, 2, 4) and not windows.flags.owndata
    np.testing.assert_array_equal(windows[1, 1], [13, 14, 15, 16])
    assert TS2Vec(**CHEAP).fit_transform(windows).shape == (3, 8)
    for bad, message in ((np.ones((2, 3, 4)), "one series"), (np.ones(3), "a window 4")):
        with pytest.raises(ValueError, match=message):
            sliding_windows(bad, 4)
    with pytest.raises(ValueError, match="at least 1"):
        sliding_windows(recording, 4, 0)


def test_steps_have_embeddings_of_their_own():
    X = waves(length=30)
    fitted = TS2Vec(**CHEAP, pooling=None).fit(X)
    Z = fitted.transform(X)
    assert Z.shape == (40, 30, 8) and Z.dtype == np.float32
    row = TS2Vec(**CHEAP).fit(X).transform(X)
    np.testing.assert_allclose(Z.max(1), row, rtol=1e-4, atol=1e-5)


def test_hidden_patches_are_not_read():
    net = SeriesTransformer(1, width=16, patch_size=5, n_layers=2).eval()
    patches, level = net.patches(torch.randn(3, 1, 40))
    hidden = patches.clone()
    hidden[:, 2] = NAN
    tokens = net.tokens(hidden, level)
    other = torch.cat([hidden[:, :2], hidden[:, 3:]], 1)
    assert tokens.isfinite().all() and other.isfinite().all()
    moved = hidden.clone().requires_grad_()
    net.tokens(moved, level)[:, 0, 0].sum().backward()  # all together are normalised to a constant
    assert (moved.grad[:, 2] == 0).all() and (moved.grad[:, 3] != 0).any()


def probe(Z, y):
    """Return the accuracy of logistic regressions on 100 labels, the mean of five draws."""
    Z, scores = StandardScaler().fit_transform(Z), []
    for draw in range(5):
        few, rest = train_test_split(
            np.arange(len(Z)), train_size=100, stratify=y, random_state=draw
        )
        model = LogisticRegression(C=0.03, max_iter=200, tol=1e-3).fit(Z[few], y[few])
        scores.append(model.score(Z[rest], y[rest]))
    return 100 * np.mean(scores)


# The digits, pixel after pixel, as series of 64 steps. Points of accuracy over untrained encoders:
# about half of the mean over seeds is asked. That mean, where it was measured anew, and its
# standard deviation.
MARGIN = {
    "TS2Vec": (4.5, {"batch_size": 32, "max_epochs": 2}),  # 10.6, 1.5
    "CPC": (14.7, {"batch_size": 64, "max_epochs": 4}),  # 25.3, 2.7
    "NextStep": (15.0, {"batch_size": 64, "max_epochs": 5}),  # 31.6
    "MaskedSeries": (6.2, {"batch_size": 64, "max_epochs": 6}),  # 17.5, 2.7
}


@pytest.mark.learns(*MARGIN)
@pytest.mark.parametrize("name", MARGIN)
def test_it_beats_its_own_untrained_encoder(name, seed, margin):
    X, y = load_digits(return_X_y=True)
    bound, settings = MARGIN[name]
    method = getattr(skssl, name)(
        n_components=64, learning_rate=3e-3, precision="float32", random_state=seed
    )
    trained = clone(method).set_params(**settings).fit(X[:, None])
    untrained = []
    for start in range(3):
        fitted = method.set_params(max_epochs=0, random_state=start).fit(X[:, None])
        untrained.append(probe(fitted.transform(X[:, None]), y))
    margin(probe(trained.transform(X[:, None]), y) - np.mean(untrained), bound)
