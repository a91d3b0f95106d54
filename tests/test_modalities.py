"""A modality is one row: what the table says of each, and that nothing else says more."""

import ast
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils import Tags, get_tags
from test_common import SAMPLES, mixed_frame
from test_imports import MODULES, nodes_that_run
from torch import nn

import skssl
from skssl._meta._raw_columns import Raw
from skssl.base import ReconstructionMixin, SSLTransformer
from skssl.base._modalities import MODALITIES, Modality, look_up, modalities_with, nouns
from skssl.base._modality_of import infer_modality

CHEAP = {"n_components": 8, "max_epochs": 2, "batch_size": 16, "precision": "float32"}
METHODS = [
    cls
    for cls in (getattr(skssl, name) for name in skssl.__all__)
    if isinstance(cls, type) and issubclass(cls, SSLTransformer)
]
NAMES = ("method", "outlier_method", "reconstruction_method", "raw_columns", "onnx")

every_row = pytest.mark.parametrize(("modality", "row"), MODALITIES.items(), ids=list(MODALITIES))


def reads(cls, modality):
    return modality in cls()._modalities


# ---- each row is whole -------------------------------------------------------------------


def test_every_modality_has_a_sample():
    assert set(MODALITIES) == {"table", *SAMPLES}


@every_row
def test_a_row_is_named_by_its_reader(modality, row):
    assert row.reader.modality == modality
    assert row.noun and row.make


@every_row
def test_what_a_row_names_is_there(modality, row):
    found = {name: look_up(getattr(row, name)) for name in NAMES if getattr(row, name)}
    for name in NAMES[:3]:
        assert name not in found or issubclass(found[name], SSLTransformer)
    assert isinstance(found["method"](**row.method_parameters), SSLTransformer)
    for name in NAMES[1:3]:
        assert name not in found or reads(found[name], modality)
    if "raw_columns" in found:
        assert callable(found["raw_columns"].fit) and callable(found["raw_columns"].transform)
    if "onnx" in found:
        assert callable(found["onnx"].inputs) and callable(found["onnx"].read)
    if "onnx" in found and "raw_columns" in found and modality != "tokens":  # counted by sklearn
        assert callable(found["onnx"].raw_module)


@every_row
def test_a_row_has_what_its_methods_need(modality, row):
    able = [cls for cls in METHODS if reads(cls, modality)]
    assert able
    assert reads(look_up(row.method), modality) or row.read_by.startswith(
        tuple(cls.__name__ for cls in able)
    )
    assert bool(row.onnx) != bool(row.no_onnx)
    assert row.also == "" or row.also in MODALITIES
    assert all(hasattr(Tags(None, None).input_tags, tag) for tag in row.tags)
    assert not row.told_by or all(hasattr(cls(), row.told_by) for cls in able if row.altered)
    if row.altered:  # SimCLR and the others that compare alterations are fine-tuned and drawn
        assert reads(skssl.SimCLR, modality)
        assert row.is_table or row.gentle
        assert row.n_views_shown
    if any(issubclass(cls, ReconstructionMixin) and cls()._reconstructs() for cls in able):
        assert row.n_reconstructions_shown and row.reconstruction_method
    if row.gentle:
        reader = row.reader().fit(SAMPLES[modality](9))
        x = reader.read(SAMPLES[modality](9))
        x = row.scaler(x, reader.columns)(x)
        altered = row.augment(row.gentle, x)(x)
        assert len(altered) == 9 and altered.ndim == x.ndim and altered.dtype == x.dtype
        assert not torch.equal(altered, x)


@every_row
def test_a_sample_is_recognised_where_nothing_is_said(modality, row):
    """Tokens are read as tables and waveforms ask for their sampling rate."""
    if modality in ("tokens", "audio"):
        assert infer_modality(SAMPLES[modality]()) == "table"
        assert infer_modality(SAMPLES[modality](), told=[modality]) == (
            "audio" if row.told_by else "table"
        )
    else:
        sample = mixed_frame() if modality == "table" else SAMPLES[modality]()
        assert infer_modality(sample) == modality


@every_row
def test_tags_are_those_of_what_a_method_reads(modality, row):
    class Reads(SSLTransformer):
        _modalities = (modality,)

    found = get_tags(Reads()).input_tags
    for name in ("two_d_array", "three_d_array", "string", "allow_nan", "categorical"):
        assert getattr(found, name) == (name in row.tags)


def test_nouns_are_joined():
    assert nouns(["table"]) == "tables"
    assert nouns(["table", "image", "video"]) == "tables, images or clips"
    assert modalities_with("reconstruction_method") == ["table", "image"]


# ---- a new one is one row ----------------------------------------------------------------


class HologramReader:
    """Six axes, of which all but the first become one."""

    modality = "hologram"
    columns = None

    def fit(self, X, *more):
        return self

    def read(self, X, ensure_min_samples=1):
        return torch.from_numpy(np.asarray(X, np.float32).reshape(len(X), -1))

    join = staticmethod(lambda first, second: torch.cat([first, second]))


class Shifted(nn.Module):
    def __init__(self, x, columns):
        super().__init__()
        self.register_buffer("mean", x.mean(0))

    def forward(self, x):
        return x - self.mean


class RawHolograms(Raw):
    n_outputs = 2

    def learn(self, x, scaler):
        return self

    def encode(self, x):
        rows = x.numpy()
        return np.stack([rows.mean(1), rows.std(1)], 1).astype(np.float32)


class SimHolo(skssl.SimCLR):
    _modalities = ("hologram",)


def noisy(name, x, seen):
    seen.append(name)
    return lambda x: x + 0.1 * torch.randn_like(x)


def test_a_new_modality_is_one_row(monkeypatch):
    seen = []
    row = Modality(
        reader=HologramReader,
        scaler=Shifted,
        encoder=lambda encoder, x, columns, n: nn.Sequential(nn.Linear(x.shape[1], n), nn.ReLU()),
        table=lambda X: None,
        augment=partial(noisy, seen=seen),
        noun="holograms",
        make="Pass holograms of six axes.",
        read_by="SimHolo reads holograms.",
        is_array=lambda X, is_told: X.ndim == 6,
        gentle="weak",
        method=f"{__name__}.SimHolo",
        method_parameters=CHEAP,
        raw_columns=f"{__name__}.RawHolograms",
        labels_to_fine_tune=30,
        no_onnx="Nobody has written it.",
    )
    monkeypatch.setitem(MODALITIES, "hologram", row)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 2, 1, 2, 2, 1)) + y[:, None, None, None, None, None]
    model = skssl.PretrainedClassifier(random_state=0).fit(X, np.where(np.arange(60) < 40, y, -1))
    assert type(model.transformer_) is SimHolo
    assert isinstance(model.raw_columns_, RawHolograms)
    assert model.fine_tuned_ is not None and seen[0] == "auto" and "weak" in seen
    assert model.score(X, y) > 0.8
    detector = skssl.EmbeddingOutlierDetector(random_state=0).fit(X)
    assert type(detector.transformer_) is SimHolo and detector.score_samples(X).shape == (60,)
    with pytest.raises(ValueError, match=r"modality='hologram' cannot be .*: Nobody has written"):
        skssl.to_onnx(model)
    with pytest.raises(ValueError, match=r"SCARF reads tables.*'hologram'.* SimHolo reads holo"):
        skssl.SCARF(**CHEAP).fit(X)
    with pytest.raises(ValueError, match="SimHolo reads holograms; .*Pass holograms of six axes"):
        SimHolo(**CHEAP).fit(np.ones((9, 3)))
    with pytest.raises(ValueError, match="was fitted on holograms"):
        skssl.ViewsDisplay.from_estimator(model, X)


def test_the_default_of_a_field_can_be_replaced(monkeypatch):
    """Rows are frozen, and read when they are used."""
    table = MODALITIES["table"]
    with pytest.raises(AttributeError):
        table.noun = "sheets"
    monkeypatch.setitem(MODALITIES, "table", replace(table, noun="sheets"))
    with pytest.raises(ValueError, match="SCARF reads sheets; "):
        skssl.SCARF(**CHEAP).fit(SAMPLES["image"]())


# ---- nothing else says what a modality is ------------------------------------------------


# Where such a word means something else: the dtype of a Series of bags, and the family of the
# values of a column, or of labels. `ModalityName` lists the names for editors, and
# tests/test_types.py holds it to the table.
OTHER_MEANINGS = {
    "skssl._data._bags": {"bags"},
    "skssl._data._table": {"text"},
    "skssl._data._labels": {"text"},
}


def words(node):
    """Return the modalities among the literals that a part of a syntax tree consists of."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [p.value for p in parts if isinstance(p, ast.Constant) and p.value in MODALITIES]


def second_tables(tree):
    """Yield the modalities that are keys, values, items, or compared with something."""
    for node in nodes_that_run(tree):
        if isinstance(node, ast.Dict):
            found = [word for part in (*node.keys, *node.values) if part for word in words(part)]
        elif isinstance(node, ast.Compare):
            found = [word for part in (node.left, *node.comparators) for word in words(part)]
        elif isinstance(node, ast.Subscript):
            found = words(node.slice)
        elif isinstance(node, ast.MatchValue):
            found = words(node.value)
        elif isinstance(node, ast.Return | ast.Assign) and isinstance(node.value, ast.Constant):
            found = words(node.value)
        elif isinstance(node, ast.Tuple | ast.List | ast.Set) and len(words(node)) > 1:
            found = words(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            found = [name for name in READERS if name in ast.unparse(node.args[1])]
        else:
            continue
        yield from found


READERS = {row.reader.__name__ for row in MODALITIES.values()}


def declares_modalities(node):
    """Tell a line in a class that says which modalities a method reads, or a reader makes."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [getattr(t, "id", None) for t in targets] in (["_modalities"], ["modality"])


class WithoutDeclarations(ast.NodeTransformer):
    def visit_ClassDef(self, node):
        body = [part for part in node.body if not declares_modalities(part)]
        return ast.ClassDef(node.name, node.bases, node.keywords, body or [ast.Pass()], [])


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"skssl.base._modalities"}))
def test_there_is_no_second_table(name):
    tree = WithoutDeclarations().visit(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    found = set(second_tables(tree)) - OTHER_MEANINGS.get(name, set())
    assert not found, (
        f"{name} tells modalities apart by {found}; say it in skssl/base/_modalities.py"
    )


@pytest.mark.parametrize(
    "code",
    [
        "x = {'image': 8}",
        "x = {8: 'image'}",
        "x = kind == 'table'",
        "x = kind in ('table', y)",
        "x = ('image', 'video')",
        "x = TABLE['audio']",
        "isinstance(reader, (int, TokenReader))",
        "match x:\n    case 'text':\n        pass",
        "def f():\n    return 'bags'",
    ],
)
def test_second_tables_are_found(code):
    assert list(second_tables(ast.parse(code)))


def test_the_exceptions_are_needed():
    for name, meanings in OTHER_MEANINGS.items():
        found = set(second_tables(ast.parse(Path(MODULES[name]).read_text(encoding="utf-8"))))
        assert meanings <= found


def test_every_field_is_used():
    """A field that nothing reads is dead."""
    sources = "".join(path.read_text(encoding="utf-8") for path in MODULES.values())
    for field in fields(Modality):
        used = f".{field.name}" in sources or f"modalities_with({field.name!r})" in sources
        assert used or f'modalities_with("{field.name}")' in sources, field.name
