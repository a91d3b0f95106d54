"""What users of other tools ran into when they passed their data, with the right value.

====== ============================ ================================================================
report kind                         cousins looked for, and what was found
====== ============================ ================================================================
2      ``image_shape`` and frames   pandas (also objects, nullable, booleans), polars, Arrow,
                                    Pipelines with ``set_output``, ``X_unlabeled``, detectors,
                                    meta-estimators, ``reconstruct``, ``transform_to``: all took a
                                    table, or failed. Frames that are told to be series or audio:
                                    nullable columns failed. Shapes that do not fit, text among
                                    pixels: errors now.
3      samples of integers          every width, whole floats, lists, frames, tensors; ``MuLaw``,
                                    ``log_mel``, ``enhance`` and ONNX: all depended on the dtype.
                                    Images, clips and series did not.
5      images or series             every method of the docs' table, tasks of ``MultiTask``, lists,
                                    tensors, ``partial_fit``, default transformers, detectors:
                                    series without a word; an error in methods of images alone.
7      steps that are not there     steps, stretches and patches of series, frames of audio, leading
                                    gaps, encoders of the user, ONNX: constant vectors before. At
                                    padding of tokens an encoder of the user did not give 0.
                                    Estimators, Displays, scorers and ``set_output`` that were
                                    handed steps raised errors of numpy and pandas.
10     negative strides             bytes and bits as images and clips, in every verb, detectors,
                                    meta-estimators and Displays failed. Other readers copied.
11     guessed again after fit      single series, equal lengths, integers, images of other dtypes,
                                    tokens, missing texts, ``X_unlabeled``, ``partial_fit``,
                                    detectors, loaded models, large waveforms on disk (read as
                                    tables): failed. Training folds of equal lengths, too.
12     torch's global state         every method and verb, meta-estimators, detectors, ``save`` and
                                    ``load``, scorers, Displays, ``log_mel``, encoders of the user
                                    (of float64), failed fits, threads.
====== ============================ ================================================================
"""

import contextlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from pyarrow.dataset import dataset
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from test_common import EVERY, mixed_frame, modalities_of, told
from test_common import SAMPLES as SAMPLES_OF
from torch import nn

import skssl
from skssl import (
    EmbeddingOutlierDetector,
    FineTunedClassifier,
    MaskedAutoencoder,
    PretrainedClassifier,
    ReconstructionOutlierDetector,
    SimCLR,
    TS2Vec,
    ViewsDisplay,
)
from skssl._compat import plain_torch
from skssl._data import AudioReader, SeriesReader, TableReader, TokenReader, _sources
from skssl.base import GeneratesImages
from skssl.base._modalities import MODALITIES
from skssl.base._modality_of import infer_modality, modality_of
from skssl.base._transformer import SSLTransformer
from skssl.encoders import steps_of
from skssl.encoders._build import Steps
from skssl.metrics import label_free_scorer
from skssl.persistence._onnx_inputs import AudioInput
from skssl.preprocessing import log_mel

CHEAP = {"n_components": 8, "max_epochs": 1, "precision": "float32", "random_state": 0}
UNTRAINED = {**CHEAP, "max_epochs": 0}
DIGITS = load_digits().images[:20].astype(np.uint8)  # (20, 8, 8)
PIXELS = DIGITS.reshape(20, -1)
LABELS = load_digits().target[:20] % 3
NAMES = [f"pixel{i}" for i in range(64)]


# ---- report 2: rows of pixels in dataframes ----------------------------------------------

FRAMES = {
    "pandas": lambda X: pd.DataFrame(X, columns=NAMES),
    "pandas, objects": lambda X: pd.DataFrame(X.astype(object), columns=NAMES),
    "pandas, nullable": lambda X: pd.DataFrame(X, columns=NAMES).convert_dtypes(),
    "pandas, mixed dtypes": lambda X: pd.DataFrame(X, columns=NAMES).astype({"pixel3": float}),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES),
    "arrow": lambda X: pa.table(dict(zip(NAMES, X.T, strict=True))),
}
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=list(FRAMES))


@every_frame
def test_image_shape_is_heeded_in_dataframes(frame):
    X = PIXELS.astype(np.float64)
    method = SimCLR(image_shape=(8, 8), **UNTRAINED)
    of_array = clone(method).fit(X, X_unlabeled=X[:0:-1])
    of_frame = clone(method).fit(frame(X), X_unlabeled=frame(X[:0:-1]))
    assert of_frame._reader.modality == "image"
    expected = of_array.transform(X)
    assert np.array_equal(of_frame.transform(frame(X)), expected)
    with pytest.warns(UserWarning, match="feature names"):  # as scikit-learn does
        assert np.array_equal(of_array.transform(frame(X)), expected)
    with pytest.warns(UserWarning, match="feature names"):
        assert np.array_equal(of_frame.transform(X), expected)
    of_array.partial_fit(X)
    assert np.array_equal(of_frame.partial_fit(frame(X)).transform(frame(X)), of_array.transform(X))


@pytest.mark.parametrize("frame", [FRAMES["pandas"], FRAMES["polars"], FRAMES["arrow"]])
def test_bytes_in_dataframes_stay_bytes(frame):
    mae = MaskedAutoencoder(image_shape=(8, 8), **UNTRAINED).fit(frame(PIXELS))
    assert mae._reader.is_bytes
    expected = MaskedAutoencoder(image_shape=(8, 8), **UNTRAINED).fit(PIXELS)
    assert np.array_equal(mae.transform(frame(PIXELS)), expected.transform(PIXELS))
    rebuilt = mae.reconstruct(frame(PIXELS))
    assert type(rebuilt) is type(frame(PIXELS)) and rebuilt.shape == (20, 64)
    assert np.array_equal(np.asarray(rebuilt), expected.reconstruct(PIXELS))


def test_bits_in_dataframes_are_bytes():
    bits = PIXELS > 8
    expected = SimCLR(image_shape=(8, 8), **UNTRAINED).fit(bits).transform(bits)
    for frame in (FRAMES["pandas"], FRAMES["polars"]):
        assert np.array_equal(
            SimCLR(image_shape=(8, 8), **UNTRAINED).fit_transform(frame(bits)), expected
        )


@pytest.mark.parametrize("frame", ["pandas", "polars"])
def test_image_shape_is_heeded_behind_set_output(frame):
    X = FRAMES[frame](PIXELS)
    front = MinMaxScaler().set_output(transform=frame)
    pipe = make_pipeline(front, SimCLR(image_shape=(8, 8), **UNTRAINED)).fit(X)
    assert pipe[-1]._reader.modality == "image"
    plain = make_pipeline(MinMaxScaler(), SimCLR(image_shape=(8, 8), **UNTRAINED)).fit(X)
    assert np.array_equal(pipe.transform(X), plain.transform(X))


def test_estimators_around_a_method_read_pixels_in_dataframes(tmp_path):
    X, simclr = FRAMES["pandas"](PIXELS), SimCLR(image_shape=(8, 8), **UNTRAINED)
    model = PretrainedClassifier(simclr, skssl.PrototypeClassifier(), random_state=0)
    expected = model.fit(PIXELS, LABELS).predict_proba(PIXELS)
    assert np.array_equal(model.fit(X, LABELS).predict_proba(X), expected)
    assert type(model.raw_columns_).__name__ == "RawPixels"
    mae = MaskedAutoencoder(image_shape=(8, 8), **UNTRAINED)
    detectors = EmbeddingOutlierDetector(simclr), ReconstructionOutlierDetector(mae)
    for detector in detectors:
        expected = detector.fit(PIXELS).score_samples(PIXELS)
        assert np.array_equal(detector.fit(X).score_samples(X), expected)
    path = tmp_path / "pixels.parquet"
    X.to_parquet(path)
    fitted = simclr.fit(X)
    Z = skssl.transform_to(fitted, path, tmp_path / "Z.npy")
    assert np.array_equal(Z, fitted.transform(X))


@pytest.mark.parametrize(
    ("X", "shape", "message"),
    [
        (FRAMES["pandas"](PIXELS), (99, 99), "rows of 64 pixels, but image_shape"),
        (FRAMES["polars"](PIXELS), (8, 9), "rows of 64 pixels, but image_shape"),
        (FRAMES["polars"](PIXELS).lazy(), (8, 8), "collect"),
        (
            FRAMES["pandas"](PIXELS).assign(pixel3="a", pixel5="b"),
            (8, 8),
            "'pixel3', Column 'pixel5' hold something else",
        ),
        (FRAMES["pandas"](PIXELS).mask(PIXELS == 3).astype("Float64"), (8, 8), "contains NaN"),
    ],
)
def test_pixels_that_do_not_fit_image_shape_are_an_error(X, shape, message):
    with pytest.raises((TypeError, ValueError), match=message):
        SimCLR(image_shape=shape, **UNTRAINED).fit(X)


@pytest.mark.parametrize("kind", ["path", "dataset", "batches"])
def test_pixels_outside_memory_are_an_error(kind, tmp_path):
    X = FRAMES["pandas"](PIXELS)
    X.to_parquet(tmp_path / "pixels.parquet")
    made = {
        "path": lambda: tmp_path / "pixels.parquet",
        "dataset": lambda: dataset(tmp_path / "pixels.parquet"),
        "batches": lambda: iter([X]),
    }[kind]()
    with pytest.raises(ValueError, match="Here pass the rows, as pandas.read_parquet"):
        SimCLR(image_shape=(8, 8), **UNTRAINED).fit(made)


@every_frame
def test_dataframes_that_are_told_to_be_series_are_read_like_arrays(frame):
    X = PIXELS / 16
    for reader in (SeriesReader(), AudioReader(100)):
        assert torch.equal(reader.fit(frame(X)).read(frame(X)), reader.fit(X).read(X))
    assert infer_modality(frame(X), "series") == "series"
    assert infer_modality(frame(X), told=["audio"]) == "audio"


# ---- report 3: samples of integers, in any dtype and container ---------------------------

TONES = np.sin(np.linspace(9, [[100], [200], [400]], 800)[:, :, 0].T)  # (3, 800)
SAMPLES = (TONES * [[3e4], [9e3], [2.0]]).round().astype(np.int16)  # the last is almost silent
WAVEFORMS = {
    "int16": SAMPLES,
    "int32": SAMPLES.astype(np.int32),
    "int64": SAMPLES.astype(np.int64),
    ">i4": SAMPLES.astype(">i4"),
    "float32": SAMPLES.astype(np.float32),
    "float64": SAMPLES.astype(np.float64),
    "one channel": SAMPLES[:, None].astype(np.int64),
    "objects": SAMPLES.astype(object),
    "list": SAMPLES.tolist(),
    "list of arrays": list(SAMPLES.astype(np.int64)),
    "list of floats": SAMPLES.astype(float).tolist(),
    "pandas": pd.DataFrame(SAMPLES.astype(np.int64)),
    "pandas, nullable": pd.DataFrame(SAMPLES).astype("Int64"),
    "polars": pl.DataFrame(SAMPLES.astype(np.int32)),
    "tensor": torch.from_numpy(SAMPLES).long(),
}
every_waveform = pytest.mark.parametrize("X", WAVEFORMS.values(), ids=list(WAVEFORMS))


@every_waveform
def test_samples_of_integers_are_the_same_in_every_width(X):
    expected = torch.from_numpy(SAMPLES / np.float32(32767))
    learnt, other = AudioReader(8000).fit(X), AudioReader(8000).fit(SAMPLES)
    assert learnt.full_scale == 32767
    for reader in (learnt, other):
        torch.testing.assert_close(reader.read(X), expected, rtol=1e-6, atol=0)
    for reader in (learnt, AudioReader(8000).fit(TONES)):
        assert torch.equal(reader.read(SAMPLES), other.read(SAMPLES))
    back = other.restore(other.read(X).numpy(), X)
    np.testing.assert_allclose(back.reshape(SAMPLES.shape), SAMPLES, rtol=1e-6)
    assert np.array_equal(log_mel(X, 8000), log_mel(SAMPLES, 8000))
    law = skssl.MuLaw()
    assert np.array_equal(law.transform(X), law.fit(SAMPLES).transform(SAMPLES))
    assert np.array_equal(law.fit(X).transform(SAMPLES), law.transform(X))


def test_ragged_samples_of_integers_are_the_same_in_every_width():
    expected = AudioReader(8000).fit(SAMPLES).read(SAMPLES)[:, :500]
    for dtype in (np.int16, np.int32, np.int64, np.float32, np.float64):
        X = [row[:n].astype(dtype) for row, n in zip(SAMPLES, (500, 800, 500), strict=True)]
        for ragged in (X, np.array(X, dtype=object), [row.tolist() for row in X]):
            reader = AudioReader(8000).fit(ragged)
            read = reader.read(ragged)
            assert torch.equal(read[:, :500], expected)
            np.testing.assert_allclose(reader.restore(read.numpy(), ragged)[1], SAMPLES[1])


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_the_number_of_bits_is_learnt_once(bits):
    X = (TONES * [[0.9], [0.1], [2 ** (1 - bits)]] * 2.0 ** (bits - 1)).round()
    reader = AudioReader(8000).fit(X.astype(np.int64))
    together = reader.read(X.astype(np.int32))
    np.testing.assert_allclose(together[0], TONES[0] * 0.9, atol=1e-4)
    alone = [reader.read(row[None].astype(dtype)) for row in X for dtype in (np.int32, float)]
    assert torch.equal(torch.cat(alone[::2]), together)
    assert torch.equal(torch.cat(alone[1:4:2]), together[:2])


def test_integers_reach_every_method_of_audio_alike():
    cheap = {**UNTRAINED, "sampling_rate": 8000}
    expected = SimCLR(**cheap).fit(SAMPLES).transform(SAMPLES)
    for first, second in (("int64", "int16"), ("int16", "list"), ("float64", "int32")):
        method = SimCLR(**cheap).fit(WAVEFORMS[first], X_unlabeled=WAVEFORMS[second])
        twice = SimCLR(**cheap).fit(SAMPLES, X_unlabeled=SAMPLES)
        assert np.array_equal(method.transform(WAVEFORMS[second]), twice.transform(SAMPLES))
    assert np.abs(np.diff(expected, axis=0)).max() > 0.01
    denoiser = skssl.DenoisingAudio(**cheap).fit(SAMPLES)
    made = denoiser.enhance(SAMPLES)
    for name in ("int64", "float64"):
        assert denoiser.enhance(WAVEFORMS[name]).dtype == WAVEFORMS[name].dtype
        assert np.abs(denoiser.enhance(WAVEFORMS[name]) - made).max() < 1


def test_graphs_scale_samples_of_integers_as_the_reader_does():
    for seen in (SAMPLES, SAMPLES.astype(float)):
        reader = AudioReader(8000).fit(seen)
        module = AudioInput.read(None, reader, [None])[1]
        for X in (SAMPLES.astype(np.float32), TONES.astype(np.float32)):
            assert torch.equal(module(torch.from_numpy(X)), reader.read(X))


@pytest.mark.parametrize(
    ("seen", "X", "message"),
    [
        (
            SAMPLES,
            SAMPLES.astype(int) * 1000,
            "samples up to .*expected whole numbers up to 32767, as in fit",
        ),
        (SAMPLES.astype(int) * 60000, SAMPLES, "int16 samples; expected whole numbers"),
        (SAMPLES.astype(int) * 10**7, SAMPLES, "the most that there are"),
        ((SAMPLES >> 8).astype(np.uint8), SAMPLES, "Expected waveforms, got uint8.*signed"),
        ([SAMPLES[0], TONES[1, :500]], SAMPLES, "some floats"),
    ],
)
def test_samples_of_an_unknown_full_scale_are_an_error(seen, X, message):
    with pytest.raises(ValueError, match=message):
        AudioReader(8000).fit(seen).read(X)
    with pytest.raises(ValueError, match="X_unlabeled"):
        AudioReader(8000).fit(SAMPLES, SAMPLES.astype(int) * 60000)


# ---- report 7: embeddings of steps, where there is no step -------------------------------

LENGTHS = (24, 60, 37)
RAGGED = [np.sin(np.arange(n) * [[0.3], [0.7]] + n) for n in LENGTHS]
SHORT = {**UNTRAINED, "pooling": None}


class Local(nn.Module):
    """An encoder of the user: a vector of each step, or of each pair of steps."""

    def __init__(self, stride=1, tells=False):
        super().__init__()
        self.net = nn.Conv1d(2, 5, stride, stride)
        self.stride = stride
        if tells:
            self.steps = lambda x: steps_of(x)[:, ::stride]

    def sequence(self, x, keep=None):
        return self.net(x.nan_to_num(0.0)).mT

    def forward(self, x):
        return self.sequence(x).mean(1)


@pytest.mark.parametrize(
    "method",
    [
        TS2Vec(**SHORT),
        skssl.NextStep(**SHORT),
        skssl.CPC(**SHORT),
        skssl.MaskedSeries(**SHORT),
        TS2Vec(**SHORT, encoder=Local()),
    ],
    ids=["TS2Vec", "NextStep", "CPC", "MaskedSeries", "of the user"],
)
def test_steps_that_are_not_there_have_no_embedding(method):
    Z = method.fit(RAGGED).transform(RAGGED)
    stride = getattr(method.encoder_[1], "patch_size", getattr(method.encoder_[1], "stride", 1))
    there = ~np.isnan(Z)
    n_steps = [-(-n // stride) for n in LENGTHS]
    assert (there.any(2) == there.all(2)).all()
    assert there[:, :, 0].tolist() == [[i < n for i in range(max(n_steps))] for n in n_steps]
    alone = np.concatenate([method.transform(x[None])[0] for x in RAGGED])
    np.testing.assert_allclose(Z[there[:, :, 0]], alone, rtol=1e-4, atol=1e-5)
    late = np.concatenate([np.full((1, 2, 2 * stride), np.nan), RAGGED[0][None]], 2)
    late[:, :, 3 * stride + 1 : 3 * stride + 2] = np.nan  # a hole between steps is a step
    known = ~np.isnan(method.transform(late)[0, :, 0])
    assert known.tolist() == [False] * 2 + [True] * (len(known) - 2)
    silent = np.stack([np.full((2, 60), np.nan), RAGGED[1]])
    assert np.isnan(method.transform(silent)[0]).all()


def test_stretches_of_an_encoder_that_tells_them():
    for tells in (True, False):
        method = SimCLR(**UNTRAINED, encoder=Local(2, tells)).fit(RAGGED)
        Z = Steps(method.encoder_[1])(method._read(RAGGED))
        assert Z.isnan().any() == tells
        assert not tells or Z.isnan()[:, :, 0].sum(1).tolist() == [18, 0, 11]


def test_frames_that_are_not_there_have_no_embedding():
    X = [TONES[0], TONES[1, :400]]
    Z = TS2Vec(sampling_rate=8000, **SHORT).fit(X).transform(X)
    assert np.isnan(Z[:, :, 0]).sum(1).tolist() == [0, 5] and np.isfinite(Z[1, :6]).all()


def test_padding_of_tokens_is_0_for_encoders_of_the_user():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(9, 4)

        def sequence(self, x):
            return self.embedding(x)

        def forward(self, x):
            return self.sequence(x).mean(1)

    X = np.array([[3, 4, 5], [4, 0, 0], [5, 3, 0]])
    Z = skssl.TextContrast(**SHORT, encoder=Reads()).fit_transform(X)
    assert (Z.any(2) == (X > 0)).all()


def test_steps_are_clustered_without_those_that_are_not_there():
    Z = TS2Vec(**SHORT).fit_transform(RAGGED)
    steps = Z[~np.isnan(Z[:, :, 0])]
    assert len(steps) == sum(LENGTHS)
    assert np.bincount(KMeans(2, n_init=1, random_state=0).fit_predict(steps)).sum() == sum(LENGTHS)
    with pytest.raises(ValueError, match="NaN"):
        KMeans(2).fit(Z.reshape(-1, Z.shape[2]))


@pytest.mark.parametrize(
    "use",
    [
        lambda m, y: PretrainedClassifier(m, skssl.PrototypeClassifier()).fit(RAGGED, y),
        lambda m, y: PretrainedClassifier(m, passthrough=False).fit(RAGGED, y),
        lambda m, y: EmbeddingOutlierDetector(m).fit(RAGGED),
        lambda m, y: skssl.EmbeddingDisplay.from_estimator(m.fit(RAGGED), RAGGED),
        lambda m, y: label_free_scorer("rankme")(m.fit(RAGGED), RAGGED),
        lambda m, y: skssl.select_to_label(RAGGED, 2, embedding=m.fit(RAGGED)),
    ],
)
def test_embeddings_of_steps_are_refused_where_one_of_each_row_is_due(use):
    with pytest.raises(ValueError, match="one (vector for each row.*Set pooling=|row per sample)"):
        use(TS2Vec(**SHORT), [0, 1, 0])


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_no_dataframe_holds_embeddings_of_steps(container):
    method = TS2Vec(**SHORT).set_output(transform=container)
    with pytest.raises(ValueError, match="which no dataframe holds.*pooling='mean' or"):
        method.fit_transform(RAGGED)
    assert method.set_params(pooling="max").transform(RAGGED).shape == (3, 8)


# ---- report 10: arrays that torch cannot share -------------------------------------------

COLORS = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
CLIPS = np.random.default_rng(0).integers(0, 256, (6, 4, 8, 8, 3), dtype=np.uint8)
RECORDS = np.zeros((12, 8, 10, 3), [("pad", np.uint8), ("pixel", np.float32)])
STRANGE = {
    "channels": COLORS[..., ::-1],
    "columns": COLORS[:, :, ::-1],
    "rows": COLORS[::-1, ::-1],
    "every other": COLORS[:, ::-2],
    "bits": (COLORS > 9)[..., ::-1],
    "floats": (COLORS / 255)[..., ::-1],
    "whole numbers": COLORS.astype(np.int64)[:, :, ::-1],
    "fields of records": RECORDS["pixel"],
    "read-only": np.broadcast_to(COLORS[:1], COLORS.shape),
    "clips reversed in time": CLIPS[:, ::-1],
    "pixels": PIXELS[:, ::-1],
}


@pytest.mark.parametrize("X", STRANGE.values(), ids=list(STRANGE))
def test_arrays_of_any_strides_are_read(X):
    method = SimCLR(**UNTRAINED, image_shape=(8, 8) if X.ndim == 2 else None)
    expected = clone(method).fit(X.copy(), X_unlabeled=X.copy()).transform(X.copy())
    Z = method.fit(X, X_unlabeled=X).transform(X)
    assert np.array_equal(Z, expected)
    assert np.array_equal(method.partial_fit(X).transform(X), method.transform(X.copy()))


def test_reversed_images_go_through_every_verb():
    X, y = COLORS[..., ::-1], np.arange(12) % 2
    simclr, mae = SimCLR(**UNTRAINED), MaskedAutoencoder(**UNTRAINED)
    model = PretrainedClassifier(simclr, skssl.PrototypeClassifier(), random_state=0).fit(X, y)
    assert np.array_equal(model.predict_proba(X), model.predict_proba(X.copy()))
    tuned = FineTunedClassifier(simclr, max_epochs=1, random_state=0)
    weight = np.arange(12.0)[::-1]
    tuned.fit(X, y[::-1], sample_weight=weight)
    assert np.array_equal(tuned.predict_proba(X), tuned.predict_proba(X.copy()))
    for detector in (EmbeddingOutlierDetector(simclr), ReconstructionOutlierDetector(mae)):
        detector.fit(X)
        assert np.array_equal(detector.score_samples(X), detector.score_samples(X.copy()))
    mae.fit(X)
    assert np.array_equal(mae.reconstruct(X), mae.reconstruct(X.copy()))
    frames = skssl.NextFrame(context=2, **UNTRAINED).fit(CLIPS[:, ::-1])
    assert np.array_equal(
        frames.predict_next(CLIPS[:, ::-1]), frames.predict_next(CLIPS[:, ::-1].copy())
    )
    ViewsDisplay.from_estimator(simclr.fit(X), X, random_state=0)


@pytest.mark.parametrize(
    ("reader", "X"),
    [
        (TableReader(), TONES[:, ::-1]),
        (TableReader(), TONES.astype(np.float32)[::-1]),
        (SeriesReader(), np.stack(RAGGED[1:2])[:, ::-1, ::-1]),
        (SeriesReader(), [x[:, ::-1] for x in RAGGED]),
        (AudioReader(8000), SAMPLES[:, ::-1]),
        (AudioReader(8000), [x[::-1] for x in TONES]),
        (TokenReader(), PIXELS.astype(np.int64)[:, ::-1]),
    ],
    ids=lambda value: getattr(value, "modality", ""),
)
def test_other_readers_take_any_strides(reader, X):
    copied = [x.copy() for x in X] if isinstance(X, list) else X.copy()
    torch.testing.assert_close(
        reader.fit(X).read(X), reader.fit(copied).read(copied), rtol=0, atol=0, equal_nan=True
    )


def test_displays_take_any_strides():
    rows = TONES[:, :9]
    ViewsDisplay(rows[::-1], [rows[:, ::-1]]).plot()
    plt.close("all")


# ---- report 11: what fit learnt decides how later rows are read --------------------------

LISTS = {
    "channels": RAGGED,
    "integers": [np.round(9 * x).astype(np.int64) for x in RAGGED],
    "one channel": [x[0] for x in RAGGED],
    "lists": [x.tolist() for x in RAGGED],
    "objects": np.array(RAGGED + [None], dtype=object)[:3],
    "tensors": [torch.from_numpy(x) for x in RAGGED],
}
every_list = pytest.mark.parametrize("X", LISTS.values(), ids=list(LISTS))


@every_list
@pytest.mark.parametrize("method", [skssl.MaskedSeries(**UNTRAINED), SimCLR(**UNTRAINED)])
def test_one_series_of_a_ragged_list_is_a_series(X, method):
    Z = method.fit(X, X_unlabeled=X[:1]).transform(X)
    for i in range(3):
        one = method.transform(X[i : i + 1])
        np.testing.assert_allclose(one[0], Z[i], rtol=1e-4, atol=1e-5)
    same = X[1:2] if isinstance(X, np.ndarray) else [X[1], X[1]]
    np.testing.assert_allclose(method.transform(same)[0], Z[1], rtol=1e-4, atol=1e-5)
    method.partial_fit(X[::2] if isinstance(X, np.ndarray) else [X[0], X[0]])
    assert method._reader.modality == "series"


def test_leave_one_out_takes_ragged_lists(tmp_path):
    X = [np.sin(np.arange(20 + n) * [[0.3], [0.7]] + n) for n in range(4)]
    y = np.array([0, 1, 0, 1])
    encoder = skssl.MaskedSeries(**UNTRAINED)
    head = skssl.PrototypeClassifier()
    around = PretrainedClassifier(encoder, head, passthrough=False)
    for model in (make_pipeline(encoder, head), around):
        scores = cross_val_score(model, X, y, cv=LeaveOneOut(), error_score="raise")
        assert len(scores) == 4
    detector = EmbeddingOutlierDetector(encoder, scorer="mahalanobis", passthrough=False).fit(X)
    one, every = detector.score_samples(X[:1]), detector.score_samples(X)
    np.testing.assert_allclose(one, every[:1], rtol=1e-3)
    skssl.save(encoder.fit(X), tmp_path / "encoder.skssl")
    loaded = skssl.load(tmp_path / "encoder.skssl")
    assert np.array_equal(loaded.transform(X[:1]), encoder.transform(X[:1]))


@pytest.mark.parametrize("name", ["channels", "integers", "one channel", "tensors"])
def test_a_fold_in_which_all_lengths_agree_is_series(name):
    X = LISTS[name]
    method = skssl.MaskedSeries(**UNTRAINED).fit([X[0], X[0]])
    assert method._reader.modality == "series" and method.transform(X).shape == (3, 8)
    model = PretrainedClassifier(method, skssl.PrototypeClassifier(), passthrough=False)
    model.fit([X[0], X[0], X[0]], [0, 1, 0])
    assert model.predict(X).shape == (3,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int16, object])
def test_images_of_another_dtype_than_in_fit_are_images(dtype):
    method = SimCLR(**UNTRAINED).fit(DIGITS)
    expected = method.transform(DIGITS)
    assert np.array_equal(method.transform(DIGITS.astype(dtype)), expected)
    assert np.array_equal(method.transform(DIGITS.astype(dtype).tolist()), expected)
    mae = MaskedAutoencoder(**UNTRAINED).fit(DIGITS)
    assert mae.reconstruct(DIGITS.astype(dtype)).shape == DIGITS.shape
    assert mae.fit(DIGITS.astype(dtype))._reader.modality == "image"  # all that it reads


def test_texts_and_tokens_are_read_as_in_fit():
    texts = skssl.TextContrast(**UNTRAINED).fit(["a b c", "b c d", "c d"] * 3)
    assert np.array_equal(texts.transform([None]), texts.transform([""]))
    assert texts.transform(np.array([None, "a b"], dtype=object)).shape == (2, 8)
    tokens = skssl.TextContrast(**UNTRAINED).fit(PIXELS[:, :9].astype(np.int64))
    assert tokens.transform([[3, 4, 0]]).shape == (1, 8)
    with pytest.raises(ValueError, match="TextContrast reads texts; X looks like modality='table'"):
        texts.transform([[3, 4]])
    with pytest.raises(ValueError, match="reads tokens; X looks like modality='text'"):
        tokens.transform(["a b"])


@pytest.mark.parametrize(
    ("method", "X", "other", "message"),
    [
        (SimCLR(**UNTRAINED), DIGITS, PIXELS, "X looks like modality='table'.*image_shape"),
        (SimCLR(**UNTRAINED), DIGITS, DIGITS[:, :7], "but .8, 8. was seen in fit"),
        (SimCLR(**UNTRAINED), DIGITS, list("ab"), "X looks like modality='text'"),
        (SimCLR(**UNTRAINED), TONES, DIGITS, "SimCLR reads tables; X looks like modality='image'"),
        (SimCLR(**UNTRAINED), TONES, RAGGED, "SimCLR reads tables; X looks like modality='series'"),
        (skssl.MaskedSeries(**UNTRAINED), RAGGED, PIXELS, "X looks like modality='table'"),
        (skssl.MaskedSeries(**UNTRAINED), RAGGED, RAGGED[0][None, :1], "1 channels, but 2 were"),
        (skssl.MaskedSeries(**UNTRAINED), RAGGED, CLIPS, "X looks like modality='video'"),
    ],
)
def test_rows_of_another_modality_than_in_fit_are_an_error(method, X, other, message):
    with pytest.raises(ValueError, match=message):
        method.fit(X).transform(other)
    with pytest.raises(ValueError, match=message):
        method.partial_fit(other)
    with pytest.raises(ValueError, match=message):
        clone(method).fit(X, X_unlabeled=other)


def test_waveforms_on_the_disk_are_no_table(tmp_path, monkeypatch):
    np.save(tmp_path / "waves.npy", np.ascontiguousarray(TONES))
    X = np.load(tmp_path / "waves.npy", mmap_mode="r")
    expected = SimCLR(sampling_rate=8000, **UNTRAINED).fit_transform(TONES)
    monkeypatch.setattr(_sources, "IN_MEMORY", 100)
    method = SimCLR(sampling_rate=8000, **UNTRAINED).fit(X)
    assert method._reader.modality == "audio"
    assert np.array_equal(method.transform(X), expected)


# ---- report 5: images or series, where three dimensions of floats may be both -------------

GREY = load_digits().images[:20]  # (20, 8, 8) float64
TABLE = (Path(__file__).parent.parent / "docs" / "methods.rst").read_text(encoding="utf-8")
ROWS = re.findall(r"\* - :class:`skssl.(\w+)`\n((?: {5}.*\n)*)", TABLE)
NAMED = [name for name, _ in ROWS]
ABOUT_IMAGES = NAMED[NAMED.index("SimCLR") : NAMED.index("RotationPrediction")]
ONLY_IMAGES = ["RotationPrediction", "Jigsaw", "Inpainting", "MaskedAutoencoder", "IJEPA"]
ONLY_SERIES = ["TS2Vec", "CPC", "NextStep", "MaskedSeries"]


def test_the_table_of_methods_says_which_are_about_images():
    assert "for images and tables" in dict(ROWS)["SimCLR"] and len(ABOUT_IMAGES) >= 11
    methods = [name for name in NAMED if issubclass(getattr(skssl, name), SSLTransformer)]
    assert [name for name in methods if getattr(skssl, name)()._about == "image"] == ABOUT_IMAGES
    assert "series" in dict(ROWS)["LFR"]


@pytest.mark.parametrize("name", ABOUT_IMAGES)
def test_a_method_about_images_reads_grey_floats_as_images(name):
    method = getattr(skssl, name)
    with pytest.warns(UserWarning, match=r"may be series or images, and is read as images.*"):
        assert modality_of(GREY, method()) == "image"
    for said in ("image", "series", "video"):
        assert modality_of(GREY, method(modality=said)) == said


@pytest.mark.parametrize("X", [GREY, GREY.astype(np.float32), GREY.tolist(), torch.tensor(GREY)])
def test_simclr_takes_the_images_of_digits(X):
    method = SimCLR(**UNTRAINED)
    with pytest.warns(UserWarning, match="modality='series' or modality='image'") as warned:
        method.fit(X, X_unlabeled=X)
    assert len(warned) == 1 and method._reader.modality == "image"
    assert Path(warned[0].filename) == Path(__file__)
    said = SimCLR(modality="image", **UNTRAINED).fit(X, X_unlabeled=X)
    assert np.array_equal(method.transform(X), said.transform(X))
    with pytest.warns(UserWarning, match="is read as images"):
        assert SimCLR(**UNTRAINED).partial_fit(X)._reader.modality == "image"
    assert TWO_TASKS("simclr", "byol")._about == "image"


def TWO_TASKS(*names):
    methods = {"simclr": SimCLR(), "byol": skssl.BYOL(), "lfr": skssl.LFR(n_projectors=1)}
    return skssl.MultiTask([(name, methods[name], 1.0) for name in names], **UNTRAINED)


@pytest.mark.parametrize("method", [skssl.LFR(), TWO_TASKS("simclr", "lfr")])
def test_other_methods_read_grey_floats_as_series(method):
    with pytest.warns(UserWarning, match="may be series or images, and is read as series"):
        assert modality_of(GREY, method) == "series"


@pytest.mark.parametrize("name", ONLY_IMAGES + ONLY_SERIES)
def test_nobody_is_warned_where_a_method_reads_one_of_them(name):
    method = getattr(skssl, name)()
    assert modality_of(GREY, method) == ("image" if name in ONLY_IMAGES else "series")


@pytest.mark.parametrize(
    ("shape", "modality"),
    [
        ((5, 8, 8), "image"),
        ((5, 8, 16), "image"),
        ((5, 28, 20), "image"),
        ((5, 8, 17), "series"),
        ((5, 7, 8), "series"),
        ((5, 1, 64), "series"),
        ((5, 3, 100), "series"),
    ],
)
def test_the_sides_tell_what_may_be_images(shape, modality):
    X = np.zeros(shape)
    if modality == "image":
        with pytest.warns(UserWarning, match="is read as images"):
            assert modality_of(X, SimCLR()) == "image"
    else:
        assert modality_of(X, SimCLR()) == "series"
        with pytest.raises(ValueError, match="reads images; X looks like modality='series'"):
            skssl.RotationPrediction(**UNTRAINED).fit(X)


def test_nobody_is_warned_of_what_is_clear():
    assert modality_of(GREY.astype(np.uint8), SimCLR()) == "image"
    assert modality_of(GREY[..., None], SimCLR()) == "image"
    assert modality_of(GREY, SimCLR(image_shape=(8, 8))) == "image"
    assert modality_of(RAGGED, SimCLR()) == "series"
    with pytest.raises(ValueError, match="could be several things. Say which with modality="):
        modality_of(GREY.astype(np.int64), SimCLR())


@pytest.mark.parametrize("owner", ["classifier", "outliers", "regressor"])
def test_the_default_transformer_reads_grey_floats_as_series(owner, monkeypatch):
    series = MODALITIES["series"]
    monkeypatch.setitem(MODALITIES, "series", replace(series, method_parameters=UNTRAINED))
    model = {
        "classifier": PretrainedClassifier(classifier=skssl.PrototypeClassifier()),
        "regressor": skssl.PretrainedRegressor(regressor=Ridge()),
        "outliers": EmbeddingOutlierDetector(scorer="mahalanobis"),
    }[owner].set_params(passthrough=False)
    ways = r"transformer=skssl.TS2Vec\(modality='series'\) or .*SimCLR\(modality='image'\)"
    with pytest.warns(UserWarning, match=f"is read as series.*{ways}") as warned:
        model.fit(GREY, LABELS)
    assert len(warned) == 1 and type(model.transformer_) is TS2Vec


def test_meta_estimators_follow_the_method():
    model = PretrainedClassifier(SimCLR(**UNTRAINED), skssl.PrototypeClassifier())
    with pytest.warns(UserWarning, match="is read as images"):
        model.fit(GREY, LABELS)
    assert type(model.raw_columns_).__name__ == "RawPixels" and model.predict(GREY).shape == (20,)
    model.set_params(transformer__modality="series").fit(GREY, LABELS)
    assert type(model.raw_columns_).__name__ == "RawSeries"
    row = ReconstructionOutlierDetector()._default(GREY)  # series cannot be reconstructed
    assert type(row) is MaskedAutoencoder


# ---- report 12: torch's global state is the user's, and estimators have their own ---------


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def everything():
    with default_dtype(torch.float64), torch.device("meta"), torch.inference_mode():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "another device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "everything": everything,
}
every_state = pytest.mark.parametrize("state", STATES.values(), ids=list(STATES))
TRAINED = {**CHEAP, "max_epochs": 2, "batch_size": 10}


def now():
    """Return all that a fit must leave alone."""
    kinds = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    dtypes = torch.get_default_dtype(), torch.get_autocast_dtype("cpu")
    return *kinds, *dtypes, torch.is_autocast_enabled("cpu"), torch.get_default_device()


@pytest.mark.parametrize(
    ("method", "X", "state"),
    [
        *[pytest.param(skssl.SCARF(**TRAINED), PIXELS, state, id=k) for k, state in STATES.items()],
        pytest.param(SimCLR(**TRAINED), DIGITS, everything, id="SimCLR"),
    ],
)
def test_fits_and_embeddings_are_the_same_in_every_state_of_torch(method, X, state):
    fitted = clone(method).fit(X)
    expected = fitted.transform(X)
    with state():
        before = now()
        inside = clone(method).fit(X)
        Z, again = inside.transform(X), fitted.transform(X)
        inside.partial_fit(X)
        assert now() == before
    assert np.array_equal(Z, expected) and np.array_equal(again, expected)
    assert inside.loss_curve_ is not None and Z.dtype == np.float32
    assert np.array_equal(inside.transform(X), fitted.partial_fit(X).transform(X))
    assert not any(p.is_inference() or p.dtype != torch.float32 for p in weights(inside))


def weights(method):
    return list(method.encoder_.parameters())


@every_state
def test_encoders_of_the_user_are_read_in_float32(state):
    X = np.random.default_rng(0).normal(size=(20, 5))
    with state():
        before = now()
        if state is not STATES["everything"] and state is not STATES["another device"]:
            own = nn.Linear(5, 4)  # made in the state of the user
            assert skssl.SCARF(encoder=own, **TRAINED).fit(X).transform(X).dtype == np.float32
        made = skssl.SCARF(encoder=lambda x: nn.Linear(x.shape[1], 4), **TRAINED).fit(X)
        assert made.transform(X).dtype == np.float32 and now() == before
    assert all(p.dtype == torch.float32 for p in weights(made))


def test_estimators_around_methods_have_their_own_state(tmp_path):
    X, y = PIXELS.astype(float), np.arange(20) % 2
    scarf = skssl.SCARF(**UNTRAINED)

    def results(where):
        model = PretrainedClassifier(scarf, skssl.PrototypeClassifier(), random_state=0).fit(X, y)
        tuned = FineTunedClassifier(scarf, max_epochs=1, random_state=0).fit(X, y)
        dae = skssl.DenoisingAutoencoder(**UNTRAINED).fit(X)
        detectors = EmbeddingOutlierDetector(scarf), ReconstructionOutlierDetector(dae)
        skssl.save(model, tmp_path / where)
        loaded = skssl.load(tmp_path / where)
        scorer = label_free_scorer("alignment")
        ViewsDisplay.from_estimator(scarf.fit(X), X, random_state=0)
        plt.close("all")
        return [
            model.predict_proba(X),
            loaded.predict_proba(X),
            tuned.predict_proba(X),
            tuned.partial_fit(X, y).predict_proba(X),
            *[detector.fit(X).score_samples(X) for detector in detectors],
            log_mel(TONES, 8000),
            np.array(scorer(scarf, X)),
        ]

    expected = results("plain.skssl")
    with everything():
        found = results("strange.skssl")
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


SAMPLE_OF = {**SAMPLES_OF, "table": mixed_frame}
EVERY_METHOD = [
    pytest.param(told(e, modality), modality, id=f"{type(e).__name__}-{modality}")
    for e in EVERY
    if isinstance(e, SSLTransformer)
    for modality in dict.fromkeys((modalities_of(e)[0], modalities_of(e)[-1]))
]
VERBS = {
    "transform": {},
    "reconstruct": {},
    "impute": {},
    "score_samples": {},
    "predict_next": {},
    "enhance": {},
    "fill_mask": {},
    "generate": {"random_state": 0},
}


@pytest.mark.parametrize(("method", "modality"), EVERY_METHOD)
def test_every_verb_has_its_own_state(method, modality):
    X = SAMPLE_OF[modality](18)
    method = clone(method).set_params(max_epochs=0)
    fitted = clone(method).fit(X)
    with everything():
        before = now()
        inside = clone(method).fit(X)
        assert now() == before
    for verb, params in VERBS.items():
        if hasattr(fitted, verb) and not (verb == "fill_mask" and modality != "text"):
            call, given = getattr(fitted, verb), [X]
            if verb == "generate":
                given = [3] if isinstance(fitted, GeneratesImages) else [X, 2]
            expected = call(*given, **params)
            with everything():
                found = [call(*given, **params), getattr(inside, verb)(*given, **params)]
                assert now() == before
            for one in found:
                if isinstance(expected, pd.DataFrame):
                    pd.testing.assert_frame_equal(one, expected)
                else:
                    np.testing.assert_array_equal(one, expected)


def test_a_fit_that_fails_gives_the_state_back():
    with everything():
        before = now()
        with pytest.raises(ValueError, match="infinity"):
            skssl.SCARF(**CHEAP).fit(np.full((9, 3), np.inf))
        assert now() == before


def test_the_default_dtype_is_given_back_by_the_last_of_several_threads():
    inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]

    def run(i):
        with plain_torch():
            inside.wait()
            leave[i].wait()
            return torch.get_default_dtype()

    with default_dtype(torch.float64), ThreadPoolExecutor(2) as pool:
        done = [pool.submit(run, i) for i in range(2)]
        inside.wait()
        leave[0].set()
        assert done[0].result() == torch.float32
        leave[1].set()
        assert done[1].result() == torch.float32 and torch.get_default_dtype() == torch.float64
