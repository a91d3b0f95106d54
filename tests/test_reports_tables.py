"""What users of tables, labels and containers ran into: the right value of each.

====== =================================== ========================================================
number kind                                cousins
====== =================================== ========================================================
1      impute deletes known cells          columns empty at fit of every dtype, in pandas, polars,
                                           Arrow, arrays of objects and lists: all found. A column
                                           that stays empty keeps its dtype.
4      masks of numpy.ma are ignored       series, ragged lists, lists of masked rows and cells,
                                           waves, tokens, texts; labels and targets of all, weights,
                                           groups; the cache, metrics, curation, windows,
                                           MuLaw, arrays on disk whose slices are masked: found.
                                           Tables were right, but for booleans and what ``impute``
                                           returns. Steps of scikit-learn in front ignore masks.
8      look-alikes of missing labels       every text that files, numpy and pandas write for a
                                           missing label, in any case, in five containers; texts as
                                           groups; NaT and NaN of Decimal were classes. Also where
                                           every row needs a label.
13     numbers and None as objects         arrays and Series of int, float, bool: named scorers of
                                           scikit-learn refuse every slice of them, so ``split``
                                           says so, and what to pass; StringDType, too. Lists and
                                           texts were right.
15     messy tables                        dates, texts, ids, currencies, mixed cells, lists,
                                           structs, infinity, in pandas, polars, Arrow and Parquet,
                                           at fit and transform, with categories listed or not: all
                                           were named one column at a time.
16     weights as memory and time bombs    survey weights, a single huge weight, totals beyond
                                           floats and integers, ``sample_weight_unlabeled``,
                                           ``partial_fit``, routed weights, tables, series, lists
                                           and texts: all were found.
14     containers                          ``impute`` of Sparse, Object, views of text, run-end
                                           encoded; Decimal targets, also of classes and signalling
                                           NaN; a Series, an Index or an Arrow column as a table in
                                           every verb; labels of columns that are dates, periods,
                                           bytes; series that are NaN throughout; texts as Arrow
                                           arrays of each type; batches of Arrow; lazy frames in
                                           every verb; Series and arrays of objects that are images;
                                           images of PIL: a single one and palettes were misread
                                           without a word; arrays in the cells of a column, as
                                           Parquet and polars hold images, series and tokens; tokens
                                           as objects; records. All were found.
====== =================================== ========================================================
"""

import re
import tracemalloc
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_score

from skssl import (
    DenoisingAutoencoder,
    EmbeddingOutlierDetector,
    MuLaw,
    NextToken,
    PretrainedClassifier,
    PretrainedRegressor,
    PrototypeClassifier,
    SimCLR,
    TextContrast,
    TextTokenizer,
    TS2Vec,
    UnlabeledKFold,
    load,
    save,
)
from skssl._data._labels import separate_labelled
from skssl._data._sources import _open_array
from skssl._meta._cache import fit_key
from skssl._meta._fitting import stack
from skssl.curation import kneighbors
from skssl.metrics import seed_stability
from skssl.preprocessing import sliding_windows

N = 12


def cells_of(X: Any) -> list[list[Any]]:
    """Return the columns of any table as lists of Python values, None where one is missing."""
    if isinstance(X, pa.Table):
        columns = [column.to_pylist() for column in X.columns]
    elif isinstance(X, pl.DataFrame):
        columns = [column.to_list() for column in X.iter_columns()]
    else:
        columns = [column.tolist() for _, column in pd.DataFrame(X).items()]
    return [[None if pd.isna(value) else value for value in column] for column in columns]


# ------------------------------------------------------------------- 1: impute and known cells

NUMBERS = [float(i) for i in range(N)]
LATER = {  # what comes into a column that was empty at fit
    "text": ["u", None, "v"] * 4,
    "number": [1.5, None, -2.0] * 4,
    "bool": [True, None, False] * 4,
}


def in_containers(later: list[Any]) -> dict[str, tuple[Any, Any]]:
    """Return, per container, a table whose second column is empty and one in which it is not."""
    empty = [None] * N
    kind = {str: "string", float: "Float64", bool: "boolean"}[type(later[0])]

    def pandas(column: list[Any], dtype: Any) -> pd.DataFrame:
        return pd.DataFrame({"a": NUMBERS, "s": pd.Series(column, dtype=dtype)})

    def rows(column: list[Any]) -> list[list[Any]]:
        return [list(row) for row in zip(NUMBERS, column, strict=True)]

    return {
        "pandas": (pandas(empty, object), pandas(later, object)),
        "pandas extension": (pandas(empty, kind), pandas(later, kind)),
        "pandas category": (pandas(empty, "category"), pandas(later, "category")),
        "polars": (
            pl.DataFrame({"a": NUMBERS, "s": empty}),
            pl.DataFrame({"a": NUMBERS, "s": later}),
        ),
        "Arrow": (pa.table({"a": NUMBERS, "s": empty}), pa.table({"a": NUMBERS, "s": later})),
        "objects": (np.array(rows(empty), object), np.array(rows(later), object)),
        "list": (rows(empty), rows(later)),
    }


@pytest.mark.parametrize("kind", LATER)
def test_impute_changes_missing_cells_only(kind):
    for container, (empty, later) in in_containers(LATER[kind]).items():
        model = DenoisingAutoencoder(n_components=4, max_epochs=0, random_state=0).fit(empty)
        before, after = cells_of(later), cells_of(model.impute(later))
        for column, filled in zip(before, after, strict=True):
            pairs = zip(column, filled, strict=True)
            assert all(b == a for b, a in pairs if b is not None), container
        assert cells_of(model.impute(empty))[0] == NUMBERS, container


def test_impute_keeps_the_dtypes_of_columns_without_a_prediction():
    X = pd.DataFrame({"a": NUMBERS, "s": pd.Series([None] * N, dtype=object), "i": [pd.NA] * N})
    X = X.astype({"i": "Int64"})
    model = DenoisingAutoencoder(n_components=4, max_epochs=0, random_state=0).fit(X)
    later = X.assign(s=pd.Series(["u", None] * 6, dtype="category"))
    pd.testing.assert_frame_equal(model.impute(later), later)


# ------------------------------------------------------------- 4: a masked entry is a missing one

CHEAP: dict[str, Any] = {"n_components": 4, "max_epochs": 0, "random_state": 0}
RNG = np.random.default_rng(0)
HIDDEN = RNG.random((N, 2, 8)) < 0.2
SERIES = np.ma.MaskedArray(RNG.normal(size=(N, 2, 8)), HIDDEN)
TABLE = np.ma.MaskedArray(RNG.integers(0, 9, size=(N, 4)), HIDDEN[:, 0, :4])
WORDS = np.ma.MaskedArray(np.array(["a b", "b c", "c a"] * 4), HIDDEN[:, 0, 0])


def objects(X: np.ma.MaskedArray) -> np.ndarray:
    """Return a masked array as objects, None where it is masked."""
    return np.where(np.ma.getmaskarray(X), None, np.ma.getdata(X).astype(object))


SAME = {  # what is masked, what it equals, and what reads it
    "table": (TABLE, TABLE.astype(float).filled(np.nan), DenoisingAutoencoder(**CHEAP)),
    "list of rows": (list(TABLE), TABLE.astype(float).filled(np.nan), SimCLR(**CHEAP)),
    "list of cells": (
        [[1.0, np.ma.masked], [2.0, 3.0]] * 6,
        [[1.0, np.nan], [2.0, 3.0]] * 6,
        SimCLR(**CHEAP),
    ),
    "list of texts": (
        [["a", np.ma.masked, "c"], ["d", "c", "c"]] * 6,
        [["a", None, "c"], ["d", "c", "c"]] * 6,
        SimCLR(**CHEAP),
    ),
    "booleans": (TABLE > 4, objects(TABLE > 4), SimCLR(**CHEAP)),
    "series": (SERIES, SERIES.filled(np.nan), SimCLR(**CHEAP)),
    "integer series": (
        (9 * SERIES).astype(np.int16),
        (9 * SERIES).astype(np.int16).astype(float).filled(np.nan),
        SimCLR(modality="series", **CHEAP),
    ),
    "list of series": (list(SERIES), SERIES.filled(np.nan), SimCLR(**CHEAP)),
    "ragged series": (
        [SERIES[0, :, :6], *SERIES[1:]],
        [SERIES.filled(np.nan)[0, :, :6], *SERIES.filled(np.nan)[1:]],
        SimCLR(**CHEAP),
    ),
    "waveforms": (
        (9000 * SERIES[:, 0]).astype(np.int16),
        (9000 * SERIES[:, 0]).astype(np.int16).astype(float).filled(np.nan),
        SimCLR(sampling_rate=8000, **CHEAP),
    ),
    "list of waveforms": (
        list((9000 * SERIES[:, 0]).astype(np.int16)),
        (9000 * SERIES[:, 0]).astype(np.int16).astype(float).filled(np.nan),
        SimCLR(sampling_rate=8000, **CHEAP),
    ),
    "tokens": (TABLE + 1, (TABLE + 1).filled(0), NextToken(modality="tokens", **CHEAP)),
    "texts": (WORDS, objects(WORDS), TextContrast(**CHEAP)),
}


@pytest.mark.parametrize("modality", SAME)
def test_masked_entries_are_missing_values(modality):
    masked, plain, method = SAME[modality]
    embedding = method.fit(plain).transform(plain)
    np.testing.assert_array_equal(method.transform(masked), embedding)
    np.testing.assert_array_equal(method.fit(masked).transform(masked), embedding)
    np.testing.assert_array_equal(method.transform(plain), embedding)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_masked_pixels_are_refused_as_nan_is(dtype):
    pixels = RNG.integers(0, 255, size=(N, 8, 8)).astype(dtype)
    method = SimCLR(modality="image", **CHEAP)
    with pytest.raises(ValueError, match="contains NaN: . of 12 images, the first in row"):
        method.fit(np.ma.MaskedArray(pixels, pixels == pixels[3, 0, 0]))
    whole = np.ma.MaskedArray(pixels)
    expected = method.fit(pixels).transform(pixels)
    np.testing.assert_array_equal(method.fit(whole).transform(list(whole)), expected)
    images = SimCLR(**CHEAP).fit(np.ma.MaskedArray(pixels.astype(np.uint8)))
    assert images._reader.modality == "image"


def test_impute_fills_a_masked_array():
    X = np.ma.MaskedArray(2**60 + np.arange(2 * N).reshape(N, 2), HIDDEN[:, 0, :2])
    X[:, 1] = np.ma.masked  # nothing to predict from
    filled = DenoisingAutoencoder(**CHEAP).fit(X).impute(X)
    assert isinstance(filled, np.ma.MaskedArray) and filled.dtype == X.dtype
    known = ~np.ma.getmaskarray(X)
    assert np.array_equal(filled.data[known], X.data[known])
    assert not filled.mask[:, 0].any() and filled.mask[:, 1].all()


LABELS = np.ma.MaskedArray([0, 1, 7] * 4, [0, 0, 1] * 4)
ROWS = RNG.normal(size=(N, 3))


@pytest.mark.parametrize(
    "y",
    [
        LABELS,
        LABELS.astype(float),
        LABELS[:, None],
        list(LABELS),
        np.array(list(LABELS), dtype=object),
        np.ma.MaskedArray(np.array(["no", "yes", "x"] * 4), LABELS.mask),
        np.ma.MaskedArray(np.array(["no", "yes", None] * 4), LABELS.mask),
    ],
    ids=["int", "float", "column", "list", "objects", "text", "text objects"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_masked_labels_are_unlabelled(y):
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression()).fit(ROWS, y)
    assert model.classes_.tolist() == (["no", "yes"] if isinstance(y[0], str) else [0, 1])
    if isinstance(y, np.ndarray) and y.dtype.kind == "O" and y[0] == 0:  # no scorer takes that
        y = y.tolist()
    folds = list(UnlabeledKFold(2).split(ROWS, y))
    assert all(not LABELS.mask[test].any() for _, test in folds)


def test_masked_targets_are_unlabelled():
    y = np.ma.MaskedArray(ROWS[:, 0], LABELS.mask)
    model = PretrainedRegressor(SimCLR(**CHEAP), Ridge())
    expected = model.fit(ROWS, y.filled(np.nan)).predict(ROWS)
    np.testing.assert_array_equal(model.fit(ROWS, y).predict(ROWS), expected)


def test_masked_labels_are_refused_where_every_row_needs_one():
    with pytest.raises(ValueError, match="y contains NaN"):
        PrototypeClassifier().fit(ROWS, LABELS)
    with pytest.raises(ValueError, match="X contains NaN"):
        PrototypeClassifier().fit(TABLE, np.arange(N) % 2)


def test_masked_groups_are_rows_of_their_own():
    y, groups = [0, 1, 0, 1, -1, -1], np.ma.MaskedArray([1, 1, 2, 2, 1, 1], [0, 0, 0, 0, 1, 0])
    for train, test in UnlabeledKFold(GroupKFold(2)).split(np.zeros((6, 1)), y, groups):
        assert 4 in train and (5 in train) == (0 not in test)
    alone = np.ma.MaskedArray(np.zeros(N, int), np.arange(N) > 0)
    SimCLR(**CHEAP).fit(ROWS, groups=alone)  # all of one group would be an error


def test_masked_weights_are_refused_as_nan_is():
    with pytest.raises(ValueError, match="sample_weight must be finite, got nan"):
        SimCLR(**CHEAP).fit(ROWS, sample_weight=np.ma.MaskedArray(np.ones(N), LABELS.mask))


def test_a_mask_is_part_of_the_key_of_the_cache():
    other = np.ma.MaskedArray(SERIES.data, ~HIDDEN)
    keys = {fit_key(SimCLR(**CHEAP), X) for X in (SERIES, other, list(SERIES), list(other))}
    assert len(keys) == 4


def test_rows_that_are_joined_keep_their_mask():
    np.testing.assert_array_equal(np.ma.getmaskarray(stack(SERIES[:6], SERIES[6:])), HIDDEN)


def test_functions_take_masked_entries_as_missing():
    Z = np.ma.MaskedArray(ROWS, HIDDEN[:, 0, :3])
    with pytest.raises(ValueError, match="contains NaN"):
        seed_stability(Z, ROWS)
    with pytest.raises(ValueError, match="contains NaN"):
        kneighbors(ROWS, embedding=Z)
    windows = sliding_windows(np.ma.MaskedArray(np.arange(4), [0, 1, 0, 0]), 2)
    np.testing.assert_array_equal(windows, [[[0, np.nan]], [[2, 3]]])
    waves = np.ma.MaskedArray([[0.5, 0.1]], [[0, 1]])
    assert MuLaw().fit(waves).transform(waves)[0, 1] == 0
    tokens = np.ma.MaskedArray([[129, 7]], [[0, 1]])
    with pytest.raises(ValueError, match="1 values that are no tokens"):
        MuLaw().fit(waves).inverse_transform(tokens)
    coder = TextTokenizer().fit(["ab"])
    ids = coder.transform(["ab"])
    assert coder.inverse_transform(np.ma.MaskedArray(ids, ids == 0)) == ["ab"]


def test_slices_of_an_array_on_disk_may_be_masked():
    class Variable:  # as of netCDF
        shape, dtype = TABLE.shape, TABLE.dtype

        def __getitem__(self, rows):
            return TABLE[rows]

        def __array__(self, dtype=None, copy=None):
            return TABLE

        def __len__(self):
            return N

    expected = SimCLR(**CHEAP).fit(TABLE).transform(TABLE)
    np.testing.assert_array_equal(SimCLR(**CHEAP).fit(Variable()).transform(Variable()), expected)
    blocks = _open_array(Variable()).blocks()
    np.testing.assert_array_equal(next(blocks), TABLE.astype(float).filled(np.nan))


def test_detectors_read_masks():
    detector, plain = EmbeddingOutlierDetector(SimCLR(**CHEAP)), TABLE.astype(float).filled(np.nan)
    expected = detector.fit(plain).score_samples(plain)
    np.testing.assert_array_equal(detector.fit(TABLE).score_samples(TABLE), expected)


# ------------------------------------------------------------------ 8: texts that look missing

LOOK_ALIKES = ["", " ", "None", "none", "NaN", "nan", "-nan", "NAN ", "null", "NULL", "NA", "N/A"]
LOOK_ALIKES += ["<NA>", "NaT", "--", "-1", "-1.0", " -1", "#N/A"]
ORDINARY = ["no", "a", "nano", "nonempty", "1", "0", "-2", "inf", "-", "unknown", "_"]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_texts_that_look_like_a_missing_label_are_refused(text):
    labels = ["a", "b", text] * 4
    for y in (
        labels,
        np.array(labels),
        pd.Series(labels, dtype="category"),
        pl.Series(labels),
        pa.array(labels),
    ):
        with pytest.raises(ValueError, match=f"the text '{re.escape(text)}'.*or rename the class"):
            separate_labelled(y)


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_one_rule_holds_where_every_row_needs_a_label(text):
    labels = ["a", "b", text] * 4
    if "-1" in text:  # a class, as the number -1 is where no row is unlabelled
        assert text in PrototypeClassifier().fit(ROWS, labels).classes_
        return
    with pytest.raises(ValueError, match=f"the text '{re.escape(text)}'.*Leave rows without"):
        PrototypeClassifier().fit(ROWS, labels)
    with pytest.raises(ValueError, match="Leave rows without a label out, or rename the class"):
        PrototypeClassifier().fit(ROWS, ["a", "b"] * 6).score(ROWS, labels)


@pytest.mark.parametrize("text", ORDINARY)
def test_other_texts_are_classes(text):
    assert text in separate_labelled(["x", "y", None, text])[1]


@pytest.mark.parametrize("label", [pd.NaT, Decimal("NaN"), np.float32("nan"), np.ma.masked])
def test_missing_objects_of_every_type_are_unlabelled(label):
    mask, labels = separate_labelled([0, 1, label])
    assert mask.tolist() == [True, True, False] and labels.tolist() == [0, 1]


def test_texts_that_look_like_a_missing_group_are_refused():
    groups = np.array(["ann", "bob", np.nan] * 4)  # numpy turns NaN into "nan"
    for use in (
        lambda: SimCLR(**CHEAP).fit(ROWS, groups=groups),
        lambda: list(UnlabeledKFold(GroupKFold(2)).split(ROWS, [0, 1, -1] * 4, groups)),
    ):
        with pytest.raises(ValueError, match="groups holds the text 'nan'.*Pass None"):
            use()
    SimCLR(**CHEAP).fit(ROWS, groups=np.array(["-1", "1", "2"] * 4))  # no missing group


# --------------------------------------------------------- 13: numbers as objects, and scorers


def as_objects(labels: list[Any]) -> np.ndarray:
    return np.array(labels, dtype=object)


@pytest.mark.parametrize(
    "labels", [[0, 1, None], [0.0, 1.0, None], [False, True, None], [0, 1, pd.NA], [0, 1, -1]]
)
def test_named_scorers_take_labels_that_are_numbers(labels):
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression(), passthrough=False)
    y, how = labels * 8, {"cv": UnlabeledKFold(2), "scoring": "accuracy", "error_score": "raise"}
    X = RNG.normal(size=(24, 3))
    for odd in (as_objects(y), pd.Series(y, dtype=object)):
        with pytest.raises(ValueError, match="array of objects.*Pass y.tolist()"):
            cross_val_score(model, X, odd, **how)
    scores = cross_val_score(model, X, as_objects(y).tolist(), **how)
    coded = [-1 if label is None or label is pd.NA else int(label) for label in y]
    np.testing.assert_array_equal(scores, cross_val_score(model, X, coded, **how))
    assert "pass `y.tolist()`" in (Path(__file__).parents[1] / "README.md").read_text(
        encoding="utf8"
    )


def test_named_scorers_take_no_string_dtype():
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression(), passthrough=False)
    how = {"cv": UnlabeledKFold(2), "scoring": "accuracy", "error_score": "raise"}
    y = np.array(["a", "b", None] * 4, dtype=np.dtypes.StringDType(na_object=None))
    with pytest.raises(ValueError, match=r"StringDType.*Pass y.astype\(object\)"):
        cross_val_score(model, ROWS, y, **how)
    assert np.isfinite(cross_val_score(model, ROWS, y.astype(object), **how)).all()


def test_texts_and_fractions_may_be_objects():
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression(), passthrough=False)
    how = {"cv": UnlabeledKFold(2), "error_score": "raise"}
    y = as_objects(["a", "b", None] * 4)
    assert np.isfinite(cross_val_score(model, ROWS, y, scoring="accuracy", **how)).all()
    targets = as_objects([0.5, 1.25, None] * 4)
    ridge = PretrainedRegressor(SimCLR(**CHEAP), Ridge(), passthrough=False)
    assert np.isfinite(cross_val_score(ridge, ROWS, targets, scoring="r2", **how)).all()


# --------------------------------------------------------- 15: all columns that cannot be read

MESSY: dict[str, tuple[list[Any], str]] = {  # cells, and the remedy that the message has to name
    "when": ([datetime(2020, 1, 1 + i % 28) for i in range(60)], "age in days"),
    "id": ([f"u{i}" for i in range(60)], "Drop it"),
    "price": ([f"${i}.50" for i in range(60)], "convert it if it holds numbers"),
    "tags": ([[1]] * 60, "Convert or drop the column"),
    "speed": ([np.inf] * 60, "replace or clip them"),
}
CLEAN = {"age": [float(i) for i in range(60)], "sex": ["f", "m"] * 30}


def messy(frame: Any) -> Any:
    return frame(CLEAN | {name: cells for name, (cells, _) in MESSY.items()})


def check_names_all(error: Exception, n: int = len(MESSY)) -> None:
    first, *lines = str(error).split("\n- ")
    assert first == f"{n} columns cannot be read:" and len(lines) == n
    for name, (_, remedy) in MESSY.items():
        (line,) = [line for line in lines if f"Column '{name}'" in line]
        assert remedy in line or "categorical_features" in line
    assert "'age'" not in str(error) and "'sex'" not in str(error)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("categories", ["from_dtype", ["sex"]])
def test_one_message_names_every_column_that_cannot_be_read(frame, categories):
    with pytest.raises(ValueError) as caught:
        SimCLR(categorical_features=categories, **CHEAP).fit(messy(frame))
    check_names_all(caught.value)


def test_one_message_names_every_column_of_a_file_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("skssl._data._sources.IN_MEMORY", 1)
    messy(pa.table).drop_columns(["speed"]).to_pandas().to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="4 columns cannot be read") as caught:
        SimCLR(**CHEAP).fit(tmp_path / "rows.parquet")
    assert all(f"'{name}'" in str(caught.value) for name in ("when", "id", "price", "tags"))


def test_one_message_names_every_column_that_changed_since_fit():
    fitted = SimCLR(**CHEAP).fit(pd.DataFrame({name: CLEAN["age"] for name in MESSY} | CLEAN))
    frame = messy(pd.DataFrame)[[*MESSY, *CLEAN]]
    with pytest.raises(ValueError) as caught:
        fitted.transform(frame)
    check_names_all(caught.value)
    with pytest.raises(ValueError) as caught:
        fitted.transform(frame.assign(**dict.fromkeys(["when", "id", "price", "tags"], np.inf)))
    assert str(caught.value).count("holds inf or -inf") == 5


def test_a_single_column_has_its_own_error():
    with pytest.raises(TypeError, match="^Column 'when' holds dates or times"):
        SimCLR(**CHEAP).fit(pd.DataFrame({"when": MESSY["when"][0]} | CLEAN))


# -------------------------------------------------------------- 16: weights that add up to too much

HUGE = {
    "survey": np.full(N, 190_000.0),
    "one row": np.r_[1e9, np.ones(N - 1)],
    "beyond integers": np.full(N, 1e300),
    "beyond floats": np.full(N, 1e308),
}


def peak_of(call: Any) -> int:
    """Return the greatest number of bytes that a call had allocated, if it raises ValueError."""
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError, match="adds up to .* GiB .*Divide the weights by their mean"
        ):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("weight", HUGE.values(), ids=HUGE)
def test_weights_that_make_too_many_rows_are_refused_before_they_are_made(weight):
    method = SimCLR(**CHEAP)
    assert peak_of(lambda: method.fit(ROWS, sample_weight=weight)) < 2**24
    assert peak_of(lambda: method.partial_fit(ROWS, sample_weight=weight)) < 2**24
    more = {"X_unlabeled": ROWS, "sample_weight_unlabeled": weight}
    with pytest.raises(ValueError, match="sample_weight_unlabeled adds up to"):
        method.fit(ROWS, **more)
    for X in (SERIES.filled(0), list(SERIES.filled(0)), pd.DataFrame(ROWS), pl.DataFrame(ROWS)):
        assert peak_of(lambda X=X: method.fit(X, sample_weight=weight)) < 2**24
    texts = TextContrast(**CHEAP)
    assert peak_of(lambda: texts.fit(["a b"] * N, sample_weight=weight)) < 2**24


def test_the_error_says_the_size_and_what_to_divide_by():
    X, weight = np.zeros((1000, 20)), np.full(1000, 190_000.0)
    with pytest.raises(ValueError, match="1.9e.08 rows, for 1000 rows of X.*32.6 GiB.*190000"):
        SimCLR(**CHEAP).fit(X, sample_weight=weight)
    large = np.broadcast_to(np.float32(0), (10**6, 100))  # a mean of 10 is 8 GiB here
    with pytest.raises(ValueError, match="7.67 GiB"):
        SimCLR(**CHEAP).fit(large, sample_weight=np.full(10**6, 10.0))


def test_weights_keep_their_totals():
    times = np.array([1, 2, 90] * 4)
    expected = SimCLR(**CHEAP).fit(ROWS.repeat(times, 0)).transform(ROWS)
    found = SimCLR(**CHEAP).fit(ROWS, sample_weight=times).transform(ROWS)
    np.testing.assert_array_equal(found, expected)
    SimCLR(**CHEAP).fit(ROWS, sample_weight=np.full(N, 1000.0))  # many, but few rows


# ------------------------------------------------------------------------------ 14: containers

HALF = [1.0, None, 2.0, 2.5] * 3


def arrow_frame(column: Any) -> pd.DataFrame:
    extension = pd.arrays.ArrowExtensionArray(pa.chunked_array([column]))
    return pd.DataFrame({"a": NUMBERS, "s": pd.Series(extension)})


VIEWS = pa.array(["u", None, "v", "u"] * 3).cast(pa.string_view())
HELD = {
    "sparse": pd.DataFrame({"a": NUMBERS, "s": pd.arrays.SparseArray([1.0, np.nan, 2.0] * 4)}),
    "sparse with a fill": pd.DataFrame(
        {"a": NUMBERS, "s": pd.arrays.SparseArray([0.0, np.nan, 2.0] * 4, fill_value=0.0)}
    ),
    "objects of polars": pl.DataFrame({"a": NUMBERS, "s": pl.Series(HALF, dtype=pl.Object)}),
    "views": pa.table({"a": NUMBERS, "s": VIEWS}),
    "views of pandas": arrow_frame(VIEWS),
    "run ends": pa.table({"a": NUMBERS, "s": pc.run_end_encode(pa.array(HALF))}),
    "batch": pa.RecordBatch.from_pydict({"a": NUMBERS, "s": HALF}),
    "decimals": pa.table({"a": NUMBERS, "s": pa.array([Decimal(1), None, Decimal(2)] * 4)}),
}


@pytest.mark.parametrize("container", HELD)
def test_impute_takes_every_container_that_fit_takes(container):
    X = HELD[container]
    filled = DenoisingAutoencoder(**CHEAP).fit(X).impute(X)
    X = pa.Table.from_batches([X]) if isinstance(X, pa.RecordBatch) else X
    assert type(filled) is type(X)
    for old, new in zip(cells_of(X), cells_of(filled), strict=True):
        assert None not in new
        assert [b for a, b in zip(old, new, strict=True) if a is not None] == [
            a for a in old if a is not None
        ]


@pytest.mark.parametrize("made", [list, as_objects, pd.Series, pa.array, pl.Series])
def test_decimals_are_targets_and_labels(made):
    y = [Decimal(i) / 4 for i in range(N - 1)]
    mask, targets = separate_labelled(made([*y, None]), classes=False)
    assert mask.tolist() == [True] * (N - 1) + [False] and targets.tolist() == list(map(float, y))
    labels = separate_labelled(made([Decimal(0), Decimal(1), None, Decimal(-1)]))[1]
    assert labels.tolist() == [0, 1] and labels.dtype.kind == "f"
    assert not separate_labelled([Decimal("sNaN"), 1])[0][0]


COLUMNS = {
    "row": pd.DataFrame(ROWS).iloc[0],
    "column": pd.DataFrame(ROWS)[0],
    "polars": pl.Series(NUMBERS),
    "Arrow": pa.array(NUMBERS),
    "chunks": pa.chunked_array([NUMBERS]),
    "index": pd.Index(NUMBERS),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_is_no_table(kind):
    X, method = COLUMNS[kind], DenoisingAutoencoder(**CHEAP).fit(ROWS)
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression()).fit(ROWS, [0, 1] * 6)
    calls = [method.transform, method.impute, model.predict]
    calls += [SimCLR(**CHEAP).fit, lambda X: model.fit(X, np.arange(len(X)) % 2)]
    for call in calls:
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array.*reshape") as caught:
            call(X)
        assert ("X.to_frame()" in str(caught.value)) == hasattr(X, "to_frame")


@pytest.mark.parametrize(
    "names",
    [
        pd.date_range("2020", periods=3),
        pd.period_range("2020", periods=3, freq="M"),
        [b"a", b"b", b"c"],
        pd.MultiIndex.from_product([["a"], pd.date_range("2020", periods=3)]),
    ],
    ids=["dates", "periods", "bytes", "tuples"],
)
def test_tables_whose_columns_have_odd_names_are_saved(names, tmp_path):
    X = pd.DataFrame(ROWS, columns=names)
    method = SimCLR(**CHEAP).fit(X)
    save(method, tmp_path / "method.skssl")
    found = load(tmp_path / "method.skssl").transform(X)
    np.testing.assert_array_equal(found, method.transform(X))


def test_series_without_a_value_are_refused():
    for method in (SimCLR(**CHEAP), PretrainedClassifier(TS2Vec(**CHEAP))):
        with pytest.raises(ValueError, match="All 12 series are NaN throughout"):
            method.fit(np.full((N, 2, 8), np.nan), [0, 1] * 6)


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_texts_are_read_from_arrow(kind):
    texts = ["a b", "b c", None] * 4
    column = pa.array(texts)
    column = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    method = TextContrast(**CHEAP)
    expected = method.fit(texts).transform(texts)
    for X in (column, pa.chunked_array([column])):
        np.testing.assert_array_equal(method.fit(X).transform(X), expected)
        assert TextTokenizer().fit(X).transform(X).shape[0] == N


def test_a_batch_of_arrow_is_a_table():
    batch = HELD["batch"]
    table = pa.Table.from_batches([batch])
    method = DenoisingAutoencoder(**CHEAP).fit(batch, sample_weight=[1, 0] * 6)
    assert method.feature_names_in_.tolist() == ["a", "s"]
    np.testing.assert_array_equal(method.transform(batch), method.transform(table))


def test_lazy_frames_say_how_to_read_them():
    frame = pl.DataFrame({"a": NUMBERS, "b": NUMBERS})
    lazy, y = frame.lazy(), [0, 1] * 6
    method = DenoisingAutoencoder(**CHEAP).fit(frame)
    model = PretrainedClassifier(SimCLR(**CHEAP), LogisticRegression())
    detector = EmbeddingOutlierDetector(SimCLR(**CHEAP)).fit(frame)
    calls = [method.fit, method.partial_fit, method.transform, method.impute, method.reconstruct]
    calls += [model.fit(frame, y).predict, lambda X: model.fit(X, y), detector.fit]
    calls += [detector.predict, TextContrast(**CHEAP).fit, SimCLR(image_shape=(1, 2)).fit]
    for call in calls:
        with pytest.raises(TypeError, match=r"got a polars LazyFrame. Pass X.collect\(\)"):
            call(lazy)


PIXELS = [RNG.integers(0, 255, (8, 8), dtype=np.uint8) for _ in range(N)]


def test_images_in_a_series_or_an_array_of_objects():
    array = np.empty(N, dtype=object)
    array[:] = PIXELS
    expected = SimCLR(**CHEAP).fit(np.stack(PIXELS)).transform(np.stack(PIXELS))
    for X in (pd.Series(PIXELS), array, pd.Series([Image.fromarray(x) for x in PIXELS])):
        method = SimCLR(**CHEAP).fit(X)
        np.testing.assert_array_equal(method.transform(X), expected)
        assert method._reader.modality == "image"


NESTED = {  # what arrays in the cells of a column are read as
    "images": (RNG.integers(0, 255, (N, 8, 8)), SimCLR(modality="image", **CHEAP)),
    "clips": (RNG.integers(0, 255, (N, 2, 8, 8)), SimCLR(modality="video", **CHEAP)),
    "series": (SERIES.filled(0), TS2Vec(**CHEAP)),
    "ragged series": ([x[:, : 5 + i % 3] for i, x in enumerate(SERIES.filled(0))], TS2Vec(**CHEAP)),
    "waveforms": (9000 * SERIES.filled(0)[:, 0], SimCLR(sampling_rate=8000, **CHEAP)),
    "tokens": (TABLE.data + 1, TextContrast(modality="tokens", **CHEAP)),
    "table": (ROWS, SimCLR(**CHEAP)),
}


@pytest.mark.parametrize("kind", NESTED)
def test_arrays_in_the_cells_of_a_column_are_read(kind, tmp_path):
    X, method = NESTED[kind]
    expected = method.fit(X).transform(X)
    column = pa.array([np.asarray(x).tolist() for x in X])
    pq.write_table(pa.table({"x": column}), tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet").x  # objects that hold arrays of objects
    backed = pd.read_parquet(tmp_path / "rows.parquet", dtype_backend="pyarrow").x
    of_polars = pl.read_parquet(tmp_path / "rows.parquet")["x"]
    for same in (column, read, read.tolist(), read.to_numpy(), backed, of_polars):
        assert np.array_equal(method.transform(same), expected)
        assert np.array_equal(method.fit(same).transform(same[:1]), method.transform(X[:1]))
    with pytest.raises((TypeError, ValueError)):
        method.fit(read.to_frame())


def test_a_column_of_arrays_in_a_table_says_how_to_pass_it():
    frame = pd.DataFrame({"image": PIXELS, **{f"name {i}": "a" for i in range(9)}})
    with pytest.raises(TypeError, match=r"'name 3' and 5 more.*X\['images'\]"):
        SimCLR(modality="image", **CHEAP).fit(frame)


def test_tokens_may_be_objects_or_nullable():
    X, method = TABLE.data + 1, TextContrast(modality="tokens", **CHEAP)
    expected = method.fit(X).transform(X)
    for same in (X.astype(object), pd.DataFrame(X).convert_dtypes()):
        assert np.array_equal(method.fit(same).transform(same), expected)
    for odd in (X.astype(str).astype(object), np.where(X > 7, None, X), X / 2):
        with pytest.raises(ValueError, match="Expected token ids, integers"):
            method.transform(odd)


def test_an_array_of_records_says_how_to_pass_it():
    with pytest.raises(ValueError, match=r"array of records, pass pd.DataFrame\(X\)"):
        SimCLR(**CHEAP).fit(pd.DataFrame(ROWS, columns=list("abc")).to_records())


def test_images_of_pil_that_make_no_array_say_why():
    images = [Image.fromarray(x) for x in PIXELS]
    bits = SimCLR(**CHEAP).fit([image.convert("1") for image in images])
    assert bits._reader.modality == "image"
    for X, message in [
        (images[0], "got a single one"),
        ([images[0].resize((4, 6)), *images], r"different sizes, \(4, 6\) and \(8, 8\).*resize"),
        ([images[0].convert("RGB"), *images], "several modes, L, RGB.*convert"),
        ([image.convert("P") for image in images], "palette.*convert"),
        ([PIXELS[0][:4], *PIXELS], r"Images of different shapes: \(4, 8\) and \(8, 8\)"),
    ]:
        for method in (SimCLR(modality="image", **CHEAP), SimCLR(**CHEAP)):
            if method.modality == "auto" and "shapes" in message:  # series of two lengths
                continue
            with pytest.raises(ValueError, match=message):
                method.fit(X)
