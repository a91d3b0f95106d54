"""ONNX graphs compute what the fitted models do; most exports are in the slow tests."""

import os
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from test_common import (
    CHEAP,
    EVERY,
    OF_OTHER_MODALITIES,
    SAMPLES,
    TOKENIZERS,
    bags,
    images,
    mixed_frame,
    modalities_of,
    name_of,
    series,
    table_for,
    texts,
    tokens,
    video,
)
from torch import nn

import skssl
from skssl import SCARF, PretrainedClassifier, PretrainedRegressor, SimCLR, _compat, to_onnx
from skssl._data import ImageReader, TableReader, TokenReader
from skssl._training import _loop
from skssl.base._modalities import MODALITIES, look_up, modalities_with
from skssl.base._transformer import SSLTransformer
from skssl.encoders import VideoEncoder
from skssl.persistence._onnx_inputs import ChannelsFirst, NumericCodes, PaddingLast, raw_module
from skssl.persistence._onnx_predictors import Mixture, forest_of
from skssl.semi_supervised import _ensemble
from skssl.semi_supervised._ensemble import EnsembleClassifier, EnsembleRegressor

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
SHORT = {**CHEAP, "random_state": 0}
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
REFUSED = set(modalities_with("no_onnx"))


def session_of(model):
    return onnxruntime.InferenceSession(to_onnx(model).SerializeToString())


def ran(session, feed):
    """Return the outputs of a graph, by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def columns(frame):
    """Return a frame as a graph takes it that has text."""
    return {
        name: frame[[name]].to_numpy(float if column.dtype.kind in "fib" else object)
        for name, column in frame.items()
    }


def assert_same(model, X, feed=None):
    """Compare the graph with the model, all rows and the first alone."""
    session, feed = session_of(model), {"X": X} if feed is None else feed
    for part, rows in ((feed, X), ({k: v[:1] for k, v in feed.items()}, X[:1])):
        found = ran(session, part)
        expected = {"label": "predict", "probabilities": "predict_proba"}
        expected = {k: verb for k, verb in expected.items() if hasattr(model, verb)}
        if "label" not in found:
            is_end = hasattr(model, "score")
            expected = {"prediction": "predict"} if is_end else {"embedding": "transform"}
        assert found.keys() == expected.keys()
        for name, value in found.items():
            wanted = getattr(model, expected[name])(rows)
            assert value.shape == wanted.shape
            if name == "label":
                assert (value == wanted).all()
            else:
                np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)


def new_frame():
    """Rows with unseen categories, and holes in every column, where training had none as well."""
    frame = mixed_frame(40, seed=1).astype({"city": object, "plan": object})
    frame.loc[:9, "city"] = "Atlantis"
    frame.loc[5:12, "income"] = np.nan
    frame.loc[9:14, "plan"] = None
    return frame


# ---- a whole export, as the documentation has it -----------------------------------------


def test_documented_code_on_a_table_with_text(tmp_path, monkeypatch, capfd, caplog):
    page = Path(skssl.__file__).parents[1] / "docs" / "deploy.rst"
    blocks = re.findall(r"\n\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page.read_text("utf-8"))
    (code,) = [textwrap.dedent(block) for block in blocks if "to_onnx" in block]
    model = PretrainedClassifier(SCARF(**SHORT), LogisticRegression(), passthrough=False)
    model.fit(mixed_frame(150), NAMES)
    frame = new_frame()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    expected = model.predict(frame), model.predict_proba(frame)
    monkeypatch.chdir(tmp_path)
    names = {"model": model, "frame": frame}
    exec(code, names)
    assert os.listdir() == ["model.onnx"]
    np.testing.assert_allclose(names["probabilities"], expected[1], atol=1e-5)
    assert (names["labels"] == expected[0]).all()
    assert (model.predict_proba(frame) == expected[1]).all()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert not any(capfd.readouterr()) and not caplog.records
    written = (tmp_path / "model.onnx").read_bytes()
    onnx.checker.check_model(written, full_check=True)
    assert str(Path(torch.__file__).parent).encode() not in written  # nor any other path
    assert os.fspath(page.parents[1]).encode() not in written


# ---- its parts, which torch runs as well -------------------------------------------------


def exporting(monkeypatch):
    monkeypatch.setattr(_compat, "is_exporting", lambda: True)


def test_what_is_computed_otherwise_for_onnx_is_the_same(monkeypatch):
    table = SCARF(**SHORT).fit(mixed_frame())
    clips = [VideoEncoder(nn.Flatten(), context=3, pooling=pooling) for pooling in ("mean", "max")]
    words = skssl.MaskedLanguageModel(**SHORT).fit(tokens())
    frames = torch.rand(5, 6, 1, 2, 2)

    def found():
        yield table.encoder_(table._read(new_frame()))
        for net in clips:
            yield from (net(frames[:, :length]) for length in (1, 2, 3, 6))
        for rows in (words._read(tokens()), words._read(tokens()[:, :3])):
            yield from (words.encoder_(rows), words.encoder_[1].sequence(rows).sum(1))

    with torch.no_grad():
        expected = list(found())
        exporting(monkeypatch)
        for one, other in zip(expected, found(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_numeric_categories_are_coded_as_the_reader_does():
    frame = pd.DataFrame(
        {
            "size": pd.Categorical([10, 30, 20] * 4, categories=[30, 20, 10], ordered=True),
            "half": pd.Categorical([0.5, -1.0, np.nan] * 4),
            "flag": [True, False] * 6,
            "number": np.arange(12.0),
        }
    )
    reader = TableReader().fit(frame)
    rows = np.array([[10, 0.5, 1, 3], [30, -1, 0, np.nan], [7, 0, np.nan, 1], [np.nan] * 4])
    other = pd.DataFrame(rows, columns=frame.columns)
    codes = NumericCodes(reader)(torch.from_numpy(rows))
    expected = [[2, 1, 1, 3], [0, 0, 0, np.nan], [3, 2, np.nan, 1], [np.nan] * 4]
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codes, reader.read(other))


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (images(9), {}),
        (images(9)[..., 0], {}),
        (images(9).transpose(0, 3, 1, 2) / 7.0, {}),
        (images(9).reshape(9, -1), {"image_shape": (8, 8, 3)}),
    ],
    ids=["last", "none", "first", "flat"],
)
def test_images_are_laid_out_as_the_reader_does(X, given):
    reader = ImageReader(**given).fit(X)
    x = ChannelsFirst(reader)(torch.from_numpy(X))
    expected = reader.read(X)
    assert x.dtype == expected.dtype and torch.equal(x, expected)
    assert reader.is_bytes == (X.dtype == np.uint8)


def test_padding_is_moved_to_the_end_as_the_reader_does():
    X = np.array([[0, 0, 5, 7], [5, 0, 7, 0], [7, 7, 7, 5], [0, 0, 0, 0]])
    codes = torch.from_numpy(np.select([X == 5, X == 7], [3, 4], 0))
    assert torch.equal(PaddingLast()(codes), TokenReader().fit(X).read(X))


@pytest.mark.parametrize("modality", ["table", "image", "series", "audio"])
def test_raw_columns_are_what_they_were(modality):
    X = mixed_frame() if modality == "table" else SAMPLES[modality]()
    given = {"sampling_rate": 8000} if modality == "audio" else {}
    raw = look_up(MODALITIES[modality].raw_columns)(**given).fit(X)
    with torch.no_grad():
        found = raw_module(raw)(raw.reader.read(X))
    np.testing.assert_allclose(found, raw.transform(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n_embedding", "n_classes", "n_more"), [(4, 3, 0), (2, 2, 0), (2, 0, 0), (4, 3, 50)]
)
def test_default_ends_are_what_they_were(n_embedding, n_classes, n_more, monkeypatch):
    monkeypatch.setattr(_ensemble, "N_TREES", 3)
    y = X_IRIS[:, 0] if n_classes == 0 else Y_IRIS % n_classes
    cls = EnsembleClassifier if n_classes else EnsembleRegressor
    rng = np.random.default_rng(0)
    X = X_IRIS + 0.01 * rng.random(X_IRIS.shape)  # no two equally near
    X = np.hstack([X, rng.normal(size=(150, n_more))])
    few = np.arange(150) % 4 == 0
    end = cls(n_embedding, random_state=0).fit(X[few], y[few], X_unlabeled=X[~few])
    end.members_ = [pair for pair in end.members_ if not forest_of(pair[1].estimator)]
    kinds = {member.features[0] for _, member in end.members_}
    assert {"spanned", "placed"} <= kinds
    least = [m for _, m in end.members_ if "LeastSquares" in repr(m.estimator)]
    assert bool(least) == (n_more > few.sum())
    found = Mixture(end, [], max(1, n_classes))(torch.from_numpy(X))[0].numpy()
    expected = end.predict_proba(X) if n_classes else end.predict(X)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# ---- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SCARF, TypeError, "Expected a fitted estimator, got SCARF"),
        (lambda: SCARF(**SHORT), NotFittedError, "not fitted"),
        (lambda: skssl.TextContrast(**SHORT).fit(texts()), ValueError, "no tokenizer.*pipeline.1:"),
        (lambda: skssl.CoLES(**SHORT).fit(bags()), ValueError, "table of events"),
        (
            lambda: make_pipeline(skssl.TextTokenizer()).fit(texts()),
            ValueError,
            "TextTokenizer reads no table of numbers.*pipeline.1:",
        ),
        (
            lambda: FeatureUnion([("a", SCARF(**SHORT)), ("b", PCA(2))]).fit(X_IRIS),
            ValueError,
            "FeatureUnion cannot be exported to ONNX: skl2onnx says .*SCARF",
        ),
        (
            lambda: PretrainedClassifier(
                skssl.TextContrast(**SHORT), LogisticRegression(), random_state=0
            ).fit(tokens(), np.arange(60) % 2),
            ValueError,
            "passthrough=False",
        ),
    ],
    ids=["class", "unfitted", "texts", "bags", "tokenizer", "union", "words"],
)
def test_what_cannot_be_exported_is_said(make, error, message, tmp_path):
    model = make()
    with pytest.raises(error, match=message):
        to_onnx(model, tmp_path / "model.onnx")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (KNeighborsRegressor(metric="chebyshev"), "NotImplementedError"),
        (LinearRegression(fit_intercept=False), "AttributeError"),
        (MLPRegressor("poisson", [3], max_iter=1), "KeyError"),
        (RFE(LogisticRegression()), "NameError"),
        (SGDClassifier(), "TypeError: Expected a tensor, got a list of dicts"),
        (GaussianMixture(), "TypeError"),
        (HistGradientBoostingRegressor(max_iter=1), "TypeError"),  # the cause of a ValueError
    ],
    ids=lambda given: type(given).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_whatever_skl2onnx_raises_is_said(model, said):
    with pytest.raises(ValueError, match=f"cannot be exported to ONNX: skl2onnx says {said}"):
        to_onnx(model.fit(X_IRIS, Y_IRIS))


@pytest.mark.parametrize(("package", "message"), [("onnxscript", "onnx and"), ("skl2onnx", "scik")])
def test_missing_packages_are_named(package, message, monkeypatch):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_IRIS, Y_IRIS)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{message}.*pip install skssl\[onnx\]"):
        to_onnx(model)


# ---- everything else, slowly -------------------------------------------------------------


FOUND = [
    *(
        pytest.param(e, "table", id=f"{name_of(e)}-table")
        for e in EVERY
        if "table" in modalities_of(e)
    ),
    *OF_OTHER_MODALITIES,
    *(pytest.param(e, modalities_of(e)[0], id=name_of(e)) for e in TOKENIZERS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "modality"), FOUND)
def test_every_estimator_is_exported_or_refused(estimator, modality):
    X = table_for(estimator) if modality == "table" else SAMPLES[modality]()
    X = X.to_numpy() if modality == "table" and "city" not in X else X
    model = clone(estimator).fit(X, np.arange(60) % 2)
    if modality in REFUSED or not is_exported(model):
        with pytest.raises(ValueError, match="to ONNX|no table of numbers"):
            to_onnx(model)
    elif modality == "table":
        assert_same(model, X, columns(X) if isinstance(X, pd.DataFrame) else None)
    else:
        x = np.asarray(X, {"series": np.float32, "audio": np.float32}.get(modality))
        assert_same(model, x, {"X": x})


def is_exported(model):
    ends = skssl.PrototypeClassifier, PretrainedClassifier, PretrainedRegressor
    tuned = skssl.FineTunedClassifier, skssl.FineTunedRegressor
    return isinstance(model, (SSLTransformer, *ends, *tuned))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "X"),
    [
        (SimCLR(**SHORT), series()),
        (skssl.CPC(**SHORT), series()),
        (skssl.CPC(**SHORT, sampling_rate=8000), SAMPLES["audio"]()),
        (skssl.MaskedSeries(**SHORT), series()),
        (skssl.TS2Vec(**SHORT, pooling=None), series()),
        (skssl.NextToken(**SHORT), tokens()),
        (skssl.TextContrast(**SHORT), tokens()),
        (skssl.MaskedLanguageModel(**SHORT, pooling="max"), tokens()),
        (skssl.NextFrame(**SHORT, context=2), video()),
        (SimCLR(**SHORT, modality="video"), video()),
    ],
    ids=lambda value: name_of(value) if hasattr(value, "fit") else "",
)
def test_any_length(estimator, X):
    """Other lengths than that of training or of the export."""
    model = estimator.fit(X)
    session = session_of(model)
    axis = 1 if X.ndim in (2, 5) else 2
    X = X.astype(np.float32) if X.dtype.kind == "f" else X
    longer = np.concatenate([X, X], axis)
    for length in (1, 2, 3, 7, 24, 30, 48) if X.shape[axis] <= 24 else (65, 400, 999, 1600):
        x = longer[:7].take(range(min(length, longer.shape[axis])), axis)
        found = session.run(None, {"X": x})[0]
        np.testing.assert_allclose(found, model.transform(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"encoder": "ft_transformer"},
        {"numeric": "piecewise-linear"},
        {"numeric": "periodic"},
        {
            "encoder": lambda x: nn.Sequential(
                nn.Linear(x.shape[1], 8), nn.BatchNorm1d(8), nn.SiLU()
            )
        },
    ],
    ids=["ft_transformer", "piecewise-linear", "periodic", "module"],
)
def test_encoders_of_tables(given):
    frame = mixed_frame(150)
    frame["code"] = np.random.default_rng(0).integers(0, 30, 150).astype(str)  # is embedded
    model = SCARF(**SHORT, **given).fit(frame)
    new = pd.concat([new_frame(), frame.head(20)]).assign(code="7").astype({"code": object})
    new.iloc[3:5, -1], new.iloc[5:7, -1] = None, "31"
    assert_same(model, new, columns(new))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["vit", "resnet18"])
def test_encoders_of_images(encoder):
    X = images().repeat(4, 1).repeat(4, 2)
    assert_same(SimCLR(**SHORT, encoder=encoder).fit(X), X)


@pytest.mark.slow
@pytest.mark.parametrize("scaler", [MinMaxScaler(), RobustScaler(), PCA(3), "passthrough"], ids=str)
def test_steps_before_an_encoder(scaler):
    X = X_IRIS * [1, 1e3, 1e-3, 1]
    model = make_pipeline(scaler, StandardScaler(), SCARF(**SHORT)).fit(X)
    assert_same(model, X)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        RandomForestClassifier(20, random_state=0),
        MLPClassifier((8,), max_iter=5000, random_state=0),
        SVC(),
        LinearSVC(),
        Ridge(),
        RandomForestRegressor(20, random_state=0),
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=5000, random_state=0),
    ],
    ids=name_of,
)
def test_ends_of_scikit_learn(end):
    y = NAMES if hasattr(end, "predict_proba") or name_of(end).endswith("SVC") else X_IRIS[:, 0]
    assert_same(make_pipeline(SCARF(**SHORT), end).fit(X_IRIS, y), X_IRIS)


@pytest.mark.slow
@pytest.mark.parametrize("y", [NAMES, Y_IRIS == 1, X_IRIS[:, 0]], ids=["names", "two", "numbers"])
@pytest.mark.parametrize("fine_tuned", [False, True])
def test_ends_of_ours(y, fine_tuned):
    kind = "Regressor" if y.dtype.kind == "f" else "Classifier"
    model = getattr(skssl, f"{'FineTuned' if fine_tuned else 'Pretrained'}{kind}")
    given = {"max_epochs": 2} if fine_tuned else {}
    model = model(make_pipeline(StandardScaler(), SCARF(**SHORT)), random_state=0, **given)
    few = np.random.default_rng(0).random(len(y)) < 0.3
    X = X_IRIS + 0.01 * np.random.default_rng(0).random(X_IRIS.shape)  # no two equally near
    labels = np.where(few, y if kind == "Regressor" else y.astype(object), None)
    assert_same(model.fit(X, labels), X)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_prototypes(metric):
    model = make_pipeline(SCARF(**SHORT), skssl.PrototypeClassifier(metric))
    assert_same(model.fit(X_IRIS, NAMES), X_IRIS)


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["image", "series", "audio"])
def test_defaults_on_other_modalities(modality, monkeypatch):
    """Of images the mixture with a fine-tuned half."""
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 20)
    X = SAMPLES[modality](320)
    X = X if modality == "image" else X.astype(np.float32)
    y = np.arange(320) % 2
    given = SimCLR(**SHORT, sampling_rate=8000) if modality == "audio" else None
    model = PretrainedClassifier(given, random_state=0).fit(X, y)
    assert (getattr(model, "fine_tuned_", None) is not None) == (modality == "image")
    new = SAMPLES[modality](40, seed=1)  # of training rows some series have values at thresholds
    assert_same(model, new.astype(X.dtype))


@pytest.mark.slow
def test_pipeline_around_a_frozen_encoder():
    scarf = SCARF(**SHORT).fit(StandardScaler().fit_transform(X_IRIS))
    head = LogisticRegression(max_iter=500)
    model = make_pipeline(StandardScaler(), FrozenEstimator(scarf), head).fit(X_IRIS, NAMES)
    X = X_IRIS.copy()
    X[::7, 2] = np.nan
    assert_same(model, X)


@pytest.mark.slow
def test_raw_columns_of_a_table_with_text():
    model = PretrainedRegressor(SCARF(**SHORT), Ridge()).fit(mixed_frame(150), X_IRIS[:, 0])
    assert_same(model, new_frame(), columns(new_frame()))


@pytest.mark.slow
def test_a_search():
    model = PretrainedClassifier(SCARF(**SHORT), LogisticRegression(max_iter=500))
    search = GridSearchCV(model, {"classifier__C": [0.1, 1.0]}, cv=2).fit(X_IRIS, NAMES)
    assert_same(search, X_IRIS)


@pytest.mark.slow
def test_names_of_columns():
    """Names that outputs have, and none."""
    frame = mixed_frame().rename(columns={"income": "embedding"})
    model = SCARF(**SHORT).fit(frame)
    found = ran(session_of(model), columns(frame))
    np.testing.assert_allclose(found["output_embedding"], model.transform(frame), atol=1e-5)
    rows = frame.astype(object).to_numpy()
    model = SCARF(**SHORT).fit(rows)
    given = {f"x{i}": part for i, part in enumerate(columns(frame).values())}
    found = ran(session_of(model), given)
    np.testing.assert_allclose(found["embedding"], model.transform(rows), atol=1e-5)


@pytest.mark.slow
def test_text_that_says_nothing_may_be_a_category():
    frame = pd.DataFrame({"a": ["", "None", "b", None] * 15, "b": np.arange(60.0)})
    assert_same(SCARF(**SHORT).fit(frame), frame[:3], columns(frame[:3]))


class ByValue(nn.Module):
    """What torch cannot export: its shapes depend on values."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 2)

    def forward(self, x):
        return self.linear(x[:, :1]) if x.sum() > 0 else self.linear(-x[:, :1])


class Loops(nn.Module):
    """What torch exports as a loop over the rows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(10, 2))

    def forward(self, x):
        index = x.abs().long().clamp(max=9)
        return nn.functional.embedding_bag(index, self.weight, per_sample_weights=x, mode="sum")


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "by"), [(ByValue(), "torch"), (Loops(), "onnx")])
def test_modules_that_onnx_cannot_hold_are_said(encoder, by):
    model = SCARF(**SHORT, encoder=encoder).fit(X_IRIS)
    with pytest.raises(ValueError, match=f"SCARF cannot be exported to ONNX: {by}"):
        to_onnx(model)
