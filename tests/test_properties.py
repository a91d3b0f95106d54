"""Whatever is given: an embedding that is finite and right, or an error of ours.

====== ============================ ================================================================
report kind                         cousins looked for, and what was found
====== ============================ ================================================================
34     a storm of bad inputs        Every public estimator, method and function that takes rows, in
                                    every modality; rows, targets, weights and groups of 60 kinds of
                                    cells in 80 containers. Found: dictionaries, sets, buffers;
                                    sparse, nested, quantized, meta, conjugated and float8 tensors;
                                    Int128; records; nested, unhashable and unordered groups and
                                    labels; whole numbers beyond 64 bits; weights that are no
                                    numbers in every ``score``; metrics of text and of huge numbers;
                                    waveforms of huge samples; ICL of a single column.
====== ============================ ================================================================
"""

import copy
import traceback
import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from bad_inputs import duck
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from storm import case, fault, functions, subjects, verbs
from test_common import EVERY, SAMPLES, modalities_of, public_estimators, told

from skssl import (
    ICL,
    SCARF,
    EmbeddingDisplay,
    MuLaw,
    NextToken,
    PretrainedClassifier,
    PretrainedRegressor,
    PrototypeClassifier,
    TextContrast,
    TextTokenizer,
    VICReg,
    to_bags,
)
from skssl._data import is_bags
from skssl.base._transformer import SSLTransformer
from skssl.metrics import rankme
from skssl.semi_supervised._target_scaler import TargetScaler

FEW, MANY = 40, 1500  # examples of each modality; ten thousand in all
# Of choices below, the plainest stands first: it is drawn the most often.

NAMES = ["a", "Größe", "体重", "x y", "", "🙂", "__class__", "nan"]
WORDS = [
    "",
    " ",
    "a",
    "Rome",
    "it is",
    "体重 ist schön",
    "🙂",
    "\x00",
    "a" * 500,
    "nan",
    "-1",
    "\n",
]
SCALES = [1.0, 0.0, 1e-30, 1e30, 3e38, 1e300]


def numbers(seed, n, how, scale):
    """A column of n floats, or of few distinct ones, with holes of some share."""
    rng = np.random.default_rng(seed)
    column = rng.normal(size=n) if how != "few" else rng.integers(0, 3, n).astype(float)
    column *= scale
    if how == "skewed":
        with np.errstate(over="ignore"):
            column = column * column**2
    if how == "dates":
        column = 1.7e9 + 30 * np.arange(n, dtype=float)
    return column


@st.composite
def arrays(draw, shape, dtypes=("f4", "f8", "f2", "i8", "u1", "i1", "?")):
    """An array of floats, integers or bytes, with holes or infinities here and there."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from(dtypes))
    X = rng.normal(size=shape) * draw(st.sampled_from(SCALES[:4]))
    if dtype[0] in "iu?":
        X = rng.integers(0, 100, shape)
    with np.errstate(over="ignore"):
        X = X.astype(dtype)
    if X.dtype.kind == "f":
        X[rng.random(shape) < draw(st.sampled_from([0, 0, 0.3, 1]))] = np.nan
        if draw(st.integers(0, 9)) == 9 and X.size:
            X[(0,) * X.ndim] = np.inf
    if draw(st.booleans()):
        X = np.asfortranarray(X)
    X.flags.writeable = draw(st.booleans())
    return X


@st.composite
def frames(draw):
    """A frame of any columns, of one to thirty rows."""
    n, seed = draw(st.sampled_from([30, 12, 3, 2, 1])), draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    columns = {}
    for i in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["float", "int", "bool", "str", "category", "Int64", "date"]))
        if kind == "float":
            how = draw(st.sampled_from(["plain", "few", "skewed", "dates"]))
            column = pd.Series(numbers(seed + i, n, how, draw(st.sampled_from(SCALES))))
        elif kind in ("str", "category"):
            words = rng.choice(WORDS, n) if draw(st.booleans()) else [f"word {j}" for j in range(n)]
            column = pd.Series(words, dtype="category" if kind == "category" else object)
        elif kind == "date":
            column = pd.Series(pd.date_range("2026", periods=n))
            column = column if draw(st.integers(0, 5)) == 5 else column.astype("int64")
        else:
            column = pd.Series(rng.integers(0, 2 if kind == "bool" else 9, n)).astype(kind)
        hidden = rng.random(n) < draw(st.sampled_from([0, 0, 0.3, 1]))
        columns[f"{draw(st.sampled_from(NAMES))}{i}"] = column.mask(hidden)
    X = pd.DataFrame(columns, index=draw(st.sampled_from([None, range(5, 5 + n)])))
    if draw(st.integers(0, 9)) == 9:  # names that are not unique
        X.columns = ["same"] * X.shape[1]
    return pd.concat([X, X.iloc[:, :1].add_suffix("'")], axis=1) if draw(st.booleans()) else X


N = st.sampled_from([12, 3, 2, 1])
SIDE = st.sampled_from([8, 13, 5, 2, 1])
TABLES = st.one_of(frames(), st.tuples(N, st.integers(1, 5)).flatmap(arrays))
DATA = {
    "table": TABLES,
    "image": st.one_of(
        st.tuples(N, SIDE, SIDE).flatmap(arrays),
        st.tuples(N, SIDE, SIDE, st.sampled_from([1, 3, 4])).flatmap(arrays),
    ),
    "series": st.tuples(N, st.integers(1, 3), st.sampled_from([9, 40, 2, 1])).flatmap(arrays),
    "audio": st.tuples(N, st.sampled_from([300, 900, 1])).flatmap(arrays),
    "video": st.tuples(N, st.integers(1, 4), SIDE, SIDE).flatmap(arrays),
    "text": st.lists(
        st.one_of(st.none(), st.sampled_from(WORDS), st.text(max_size=30)), min_size=1, max_size=20
    ),
    "tokens": st.tuples(N, st.sampled_from([9, 30, 2, 1])).flatmap(
        partial(arrays, dtypes=("i8", "u1", "i1", "f4", "?"))
    ),
    "bags": frames().map(
        lambda frame: to_bags(
            frame.assign(owner=np.arange(len(frame)) // 3, at=np.arange(len(frame))),
            id="owner",
            time="at",
        )
    ),
}
READERS = {
    modality: [
        told(e, modality)
        for e in EVERY
        if isinstance(e, SSLTransformer) and modality in modalities_of(e)
    ]
    for modality in DATA
}


def of_whom(error):
    """Return the package that an error was raised in."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return next((name for name in ("skssl", "sklearn") if f"/{name}/" in last), last)


def assert_unchanged(X, given):
    if is_bags(X):
        X, given = (pd.concat([*bags]) for bags in (X, given))
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(X, given)
    else:
        np.testing.assert_array_equal(np.asarray(X), np.asarray(given))


def embeds_or_says_why(estimator, X):
    """Fit and transform; what comes out is right, or what is raised is ours; tell which."""
    given = copy.deepcopy(X)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            estimator = clone(estimator).fit(X)
            Z = estimator.transform(X)
    except (TypeError, ValueError) as error:
        assert of_whom(error) in ("skssl", "sklearn")
        assert len(str(error)) > 20
        return False
    finally:
        assert_unchanged(X, given)
    assert Z.shape == (len(X), 8) and Z.dtype == np.float32
    assert np.isfinite(Z).all()
    alone = estimator.transform(X[-1:])
    scale = 1 + np.abs(Z[-1]).max()
    np.testing.assert_allclose(alone[0], Z[-1], rtol=1e-4, atol=1e-5 * scale)
    return True


def examples(modality, n):
    """Check so many examples, not all of which are refused: of each modality a fifth was not."""
    embedded = []

    @settings(
        max_examples=n, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(READERS[modality]), DATA[modality])
    def check(estimator, X):
        embedded.append(embeds_or_says_why(estimator, X))

    check()
    assert np.mean(embedded) >= 0.1


@pytest.mark.parametrize("modality", DATA)
def test_anything(modality):
    examples(modality, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("modality", DATA)
def test_ten_thousand_of_anything(modality):
    examples(modality, MANY)


# ---------------------------------------------------- bad inputs of every method and function

INPUTS, STORM, PORTION = 120, 20_000, 1000


def weather(seeds):
    """Return what is wrong with the cases of some seeds, and how many inputs were taken."""
    found = {}
    n_taken = 0
    for seed in seeds:
        one = case(seed)
        is_taken, wrong = one.verdict()
        n_taken += is_taken
        if wrong is not None:
            found[seed] = f"{one.what}: {wrong}"
    return found, n_taken


def test_bad_inputs_get_an_error_of_ours_or_a_right_answer():
    wrong, n_taken = weather(range(INPUTS))
    assert not wrong
    assert 0.1 * INPUTS < n_taken < 0.6 * INPUTS


@pytest.mark.slow
@pytest.mark.parametrize("first", range(INPUTS, STORM, PORTION))
def test_twenty_thousand_bad_inputs(first):
    assert not weather(range(first, min(first + PORTION, STORM)))[0]


def test_the_storm_reaches_every_estimator_method_and_function():
    assert {type(e) for e, _ in subjects()} == set(public_estimators())
    for cls in public_estimators():
        assert {"fit"} < set(verbs(cls)), cls
    names = {function.__name__ for function, _ in functions()}
    assert names >= {"split", "to_bags", "select_to_label", "rankme", "log_mel", "from_estimator"}
    assert case(7).what == case(7).what


X4, Y4 = np.random.default_rng(0).normal(size=(12, 4)), [0, 1] * 6
FOUND = {  # what is called, and the remedy that the message names
    "groups of lists": (lambda: SCARF().fit(X4, groups=[[1, 2]] * 12), "one entry for each"),
    "unhashable groups": (lambda: SCARF().fit(X4, groups=[{}] * 12), "a number or a text"),
    "a dictionary": (lambda: SCARF().fit({"a": [1.0, 2.0]}), r"pd.DataFrame\(X\)"),
    "a set": (lambda: TextTokenizer().fit({"a", "b"}), "Pass a list"),
    "a sparse tensor": (lambda: MuLaw().fit(torch.eye(4).to_sparse()), "to_dense"),
    "a nested tensor": (
        lambda: SCARF().fit(torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)),
        "unbind",
    ),
    "a lazy frame": (lambda: TextTokenizer().fit(pl.LazyFrame({"a": ["b"]})), "collect"),
    "an empty list": (lambda: PrototypeClassifier().fit(X4, Y4).predict([]), "0 sample|1D array"),
    "a missing label": (lambda: PrototypeClassifier().fit(X4[:2], ["a", None]), "without a label"),
    "a large label": (lambda: PrototypeClassifier().fit(X4[:2], [0, 2**70]), "classes as text"),
    "labels without order": (
        lambda: PrototypeClassifier().fit(X4[:2], [(1, 2), 3j]),
        "Pass one number, text or None",
    ),
    "objects as labels": (
        lambda: PrototypeClassifier().fit(X4[:2], [len, max]),
        "Make all",
    ),
    "weights of a score": (
        lambda: PrototypeClassifier().fit(X4, Y4).score(X4, Y4, ["a"] * 12),
        "0 leaves a row out",
    ),
    "a column twice": (
        lambda: SCARF().fit(pd.DataFrame(X4, columns=["a"] * 4)),
        "rename or drop the repeated",
    ),
    "text as an embedding": (lambda: rankme([["a", "b"]] * 3), "convert or drop"),
    "huge targets": (lambda: TargetScaler().fit([1e308, -1e308]), "a greater unit"),
    "loud waveforms": (lambda: MuLaw().fit([[0.5, 1e20]]), "Leave them out"),
    "a range among labels": (
        lambda: EmbeddingDisplay(X4[:, :2], y=[range(3), *[-1] * 11]).plot(),
        "Pass one number, text or None",
    ),
    "sets of one class": (
        lambda: PrototypeClassifier().fit(X4[:2], [{1}, {2}]),
        "Pass one number, text or None",
    ),
    "groups of pandas": (
        lambda: MuLaw().fit(pd.DataFrame({"a": [1], "b": [0.5]}).groupby("a")),
        "Pass what it aggregates to",
    ),
    "a window of pandas": (
        lambda: rankme(pd.DataFrame(X4).rolling(2)),
        "Pass what it aggregates to",
    ),
    "groups of polars": (
        lambda: SCARF().fit(pl.DataFrame(X4).group_by("column_0")),
        "Pass what it aggregates to",
    ),
    "huge ids of tokens": (
        lambda: TextTokenizer().fit(["a b"]).inverse_transform([[1e300]]),
        "Pass what transform returned",
    ),
    "texts behind another library's array": (
        lambda: VICReg(modality="audio", sampling_rate=8000).fit(
            duck(np.array(["a", "b"], dtype=object))
        ),
        "Expected a list of arrays",
    ),
}


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_errors_name_the_remedy(found):
    call, remedy = found
    with pytest.raises((TypeError, ValueError), match=remedy) as caught:
        call()
    assert fault(caught.value) is None


def test_columns_without_a_dtype_of_numpy_are_read():
    y = pl.Series([0, 1] * 6, dtype=pl.Int128)
    np.testing.assert_array_equal(PrototypeClassifier().fit(X4, y).classes_, [0, 1])
    eight = torch.from_numpy(X4).to(torch.float8_e5m2)
    assert np.isfinite(rankme(eight))
    assert rankme(pl.DataFrame(np.rint(9 * X4)).cast(pl.Int128)) == rankme(np.rint(9 * X4))


def test_a_prompt_may_be_an_array_of_another_library():
    X = np.arange(96).reshape(12, 8) % 7 + 1
    method = NextToken(n_components=4, max_epochs=0, random_state=0).fit(X)
    for prompt in (X, X[0]):
        of_numpy = method.generate(prompt, 2, temperature=0)
        np.testing.assert_array_equal(method.generate(duck(prompt), 2, temperature=0), of_numpy)


def test_an_index_of_arrow_text_is_scored():
    texts = pd.Index(["a b", "b c", "c a", "a a"] * 3, dtype="string[pyarrow]")
    model = PretrainedClassifier(
        TextContrast(n_components=4, max_epochs=0, random_state=0), LogisticRegression()
    )
    labels = [0, 1, -1, 1] * 3
    expected = model.fit(list(texts), labels).score(list(texts), labels)
    assert model.fit(texts, labels).score(texts, labels) == expected


@pytest.mark.parametrize("offset", [0, 1e9, 1e30])
def test_a_regressor_of_the_user_s_learns_targets_far_from_zero(offset):
    """scikit-learn's regressors convert targets to the dtype of the columns."""
    transformer = SCARF(n_components=4, max_epochs=0, random_state=0)
    y = X4[:, 0] * max(1, offset * 1e-8)
    model = PretrainedRegressor(transformer, Ridge(1e-3)).fit(X4, y + offset)
    assert model.score(X4, y + offset) == pytest.approx(
        PretrainedRegressor(transformer, Ridge(1e-3)).fit(X4, y).score(X4, y), abs=1e-4
    )


def raise_inside_numpy():
    np.zeros(2).reshape(3)


def raise_inside_pandas():
    pd.DataFrame({"a": [1]})["b"]


def raise_a_word():
    clone(EVERY[0]).set_params(n_components=0).fit(np.eye(4))


@pytest.mark.parametrize(
    ("modality", "method", "least"),
    [
        ("image", "SimSiam", 3),
        ("series", "MaskedSeries", 3),
        ("tokens", "MaskedLanguageModel", 3),
        ("text", "TextContrast", 2),
        ("table", "SCARF", 1),
        ("bags", "CoLES", 1),
        ("audio", "SimCLR", 1),
    ],
)
def test_few_components_embed_or_say_why_not(modality, method, least):
    estimator = next(e for e in EVERY if type(e).__name__ == method)
    encoder = "vit" if modality == "image" else "auto"
    few = {"max_epochs": 0, "encoder": encoder}
    estimator = told(clone(estimator), modality).set_params(**few)
    X = X4 if modality == "table" else SAMPLES[modality](12)
    for n_components in (1, 2, 3):
        estimator.set_params(n_components=n_components)
        if n_components < least:
            with pytest.raises(ValueError, match=f"n_components={least} or more"):
                estimator.fit(X)
        else:
            Z = estimator.fit_transform(X)
            assert len(np.unique((Z / np.abs(Z).max()).round(3), axis=0)) > 9


def test_one_column_is_too_few_for_icl():
    with pytest.raises(ValueError, match="n_features = 1.*2 columns or more"):
        ICL(max_epochs=0).fit(np.arange(6.0)[:, None])


@pytest.mark.parametrize("call", [raise_inside_numpy, raise_inside_pandas])
def test_the_storm_tells_errors_of_others(call):
    with pytest.raises((ValueError, KeyError)) as caught:
        call()
    assert fault(caught.value)
    with pytest.raises(ValueError) as caught:
        raise_a_word()
    assert fault(caught.value) is None
