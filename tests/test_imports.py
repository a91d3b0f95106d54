"""Imports point one way, and `import skssl` stays light."""

import ast
import functools
import json
import pickle
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skssl

ROOT = Path(skssl.__file__).parent
# From the ground up. A room, a folder or a file at the root, imports only from rooms below it.
FLOORS = (
    {"_atomic", "_compat", "_ranks", "_weights", "datasets"},
    {"_data"},
    {"losses", "views", "encoders", "_training", "model_selection"},
    {"base"},
    {"methods"},
    {"_meta"},
    {"in_context", "outliers", "curation", "preprocessing"},
    {"semi_supervised"},
    {"evaluation", "inspection", "persistence"},
    {"metrics"},
    {"callbacks"},
)
NAMES_ROOMS_ABOVE = "skssl.base._modalities"  # a modality is one row, whatever floor it touches
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
AT_MOST = {"rooms": 26, "floors": 11, "arrows": 110}
OPTIONAL = {"matplotlib", "polars", "pyarrow", "rich", "IPython", "tokenizers"} | {
    "onnx",
    "onnxruntime",
    "onnxscript",
    "skl2onnx",
}
SLOW = {"torch._dynamo", "torch._inductor", "torch.onnx"}  # and needed by few calls only
# Builds of these that match no torch break every package that imports them.
NEVER = {"torchvision", "torchaudio", "torchmetrics", "lightning", "pytorch_lightning"}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@functools.cache
def imported(name):
    """Return the full names of what module ``name`` imports when it runs, anywhere in its file."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    names = set()
    for node in nodes_of(name):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(names)


@functools.cache
def nodes_of(name):
    """Return the nodes of module ``name`` that run."""
    return list(nodes_that_run(ast.parse(MODULES[name].read_text(encoding="utf-8"))))


def nodes_that_run(tree):
    """Yield the nodes of a syntax tree, what only type checkers read left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from nodes_that_run(node)


def our_imports(name):
    """Return the skssl modules that module ``name`` imports, the package itself aside."""
    return {found for found in imported(name) if found in MODULES} - {"skssl", name}


def our_names(name):
    """Return the skssl modules that strings of a module name: what is looked up when used."""
    strings = {
        node.value
        for node in nodes_of(name)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = {string for string in strings if re.fullmatch(r"skssl(\.\w+)+", string)}
    modules = {string if string in MODULES else home_of(string) for string in found}
    assert modules <= set(MODULES), f"{name} names what is not there: {modules - set(MODULES)}"
    return modules - {"skssl", name}


def home_of(name):
    """Return the module of something that is looked up by its full name."""
    module, _, attribute = name.rpartition(".")
    return f"skssl.{skssl._HOMES.get(attribute)}" if module == "skssl" else module


def room_of(name):
    """Return the room of a module; the package's own ``__init__`` has none."""
    return name.split(".")[1] if "." in name else None


def arrows():
    """Return the pairs of rooms of which one imports from the other, or looks it up by name."""
    used = {name: our_imports(name) | our_names(name) for name in MODULES}
    pairs = {(room_of(name), room_of(other)) for name in MODULES for other in used[name]}
    return {tuple(sorted(pair)) for pair in pairs if None not in pair and len(set(pair)) == 2}


def test_every_room_has_a_floor():
    assert {room_of(name) for name in MODULES} - {None} == set(FLOOR)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"skssl"}))
def test_imports_point_one_way(name):
    room = room_of(name)
    others = {room_of(other) for other in our_imports(name)} - {room, None}
    above = {other for other in others if FLOOR[other] >= FLOOR[room]}
    assert not above, f"{name} must not import from {above}"


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"skssl", NAMES_ROOMS_ABOVE}))
def test_only_the_table_of_modalities_names_rooms_above(name):
    above = {other for other in our_names(name) if FLOOR[room_of(other)] > FLOOR[room_of(name)]}
    assert not above, f"{name} must not look up {above}"


def test_names_in_the_table_of_modalities_are_arrows():
    rooms = {room_of(other) for other in our_names(NAMES_ROOMS_ABOVE)}
    assert {"methods", "_meta", "persistence"} <= rooms
    assert {tuple(sorted(("base", room))) for room in rooms} <= arrows()


def test_the_house_stays_small():
    counts = {"rooms": len(FLOOR), "floors": len(FLOORS), "arrows": len(arrows())}
    print("The house has " + ", ".join(f"{n} {what}" for what, n in counts.items()) + ".")
    for what, n in counts.items():
        assert n <= AT_MOST[what], f"{n} {what}, at most {AT_MOST[what]} wanted"


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"skssl"}))
def test_public_names_are_imported_from_their_modules(name):
    found = {found for found in imported(name) if found.rpartition(".")[0] == "skssl"}
    assert found <= set(MODULES), f"{name} imports {found - set(MODULES)} from the package itself"


def test_no_import_cycle():
    graph = {name: our_imports(name) for name in MODULES}
    for name, others in graph.items():  # a package's __init__ imports its own members
        others -= {other for other in others if name.startswith(other + ".")}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_what_breaks_installations(name):
    assert not {found.split(".")[0] for found in imported(name)} & NEVER


# In one fresh interpreter, one after the other, and the packages of scikit-learn that each of
# them may load.
BEFORE = "import torch, pandas, sklearn.linear_model"
MAY_WAKE = {
    "import skssl": set(),
    "from skssl import SCARF": set(),
    "from skssl import PretrainedClassifier": {
        "sklearn.compose",
        "sklearn.frozen",
        "sklearn.pipeline",
    },
}
STEPS = [BEFORE, *MAY_WAKE, "rooms = [getattr(skssl, room).__name__ for room in skssl._ROOMS]"]
FRESH = """
import json, sys
names = {}
for step in %r:
    before = set(sys.modules)
    exec(step, names)
    print(json.dumps(sorted(set(sys.modules) - before)))
    if step == "import skssl":
        listed = dir(names["skssl"])
all_of_it = {}
exec("from skssl import *", all_of_it)
print(json.dumps([listed, names["rooms"], sorted({*all_of_it} - {"__builtins__"})]))
"""


@pytest.fixture(scope="module")
def fresh():
    """Return what a fresh interpreter loads at each of STEPS, and the names that it then sees."""
    said = subprocess.check_output([sys.executable, "-c", FRESH % STEPS], text=True).splitlines()
    *loaded, seen = map(json.loads, said)
    return {**dict(zip(STEPS, map(set, loaded), strict=True)), "seen": seen}


def packages(modules):
    """Return the packages of scikit-learn that modules belong to."""
    return {".".join(m.split(".")[:2]) for m in modules if m.startswith("sklearn.")}


@pytest.mark.parametrize("step", MAY_WAKE)
def test_imports_wake_no_other_package_of_scikit_learn(fresh, step):
    assert packages(fresh[step]) - packages(fresh[BEFORE]) <= MAY_WAKE[step]


@pytest.mark.parametrize("step", STEPS[1:])
def test_imports_load_nothing_optional_or_slow(fresh, step):
    assert not fresh[step] & (OPTIONAL | NEVER | SLOW)


def test_import_skssl_loads_no_module_of_ours(fresh):
    assert {name for name in fresh["import skssl"] if "skssl" in name} == {"skssl"}


def for_type_checkers():
    """Return what ``skssl/__init__.py`` imports for type checkers only: {name: module}."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_type_checkers_see_what_is_loaded_lazily():
    homes = {name: f"skssl.{home}" for name, home in skssl._HOMES.items()}
    rooms = dict.fromkeys(skssl._ROOMS, "skssl")
    assert for_type_checkers() == homes | rooms
    assert sorted(skssl.__all__) == sorted(homes)


def test_public_rooms_need_no_import_of_their_own(fresh):
    rooms = {room for room in FLOOR if not room.startswith("_")}
    assert rooms == skssl._ROOMS
    _, found, _ = fresh["seen"]
    assert set(found) == {f"skssl.{room}" for room in rooms}


def test_names_complete_before_they_are_loaded(fresh):
    listed, _, _ = fresh["seen"]
    assert {*listed} >= {*skssl.__all__, *skssl._ROOMS}


def test_star_import_brings_all_names(fresh):
    *_, names = fresh["seen"]
    assert set(names) == set(skssl.__all__)


def test_names_that_are_not_there_are_said():
    with pytest.raises(AttributeError, match="module 'skssl' has no attribute 'Scarf'"):
        skssl.Scarf  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Scarf'"):
        exec("from skssl import Scarf")


@pytest.mark.parametrize("name", skssl.__all__)
def test_public_names_can_be_pickled(name):
    assert pickle.loads(pickle.dumps(getattr(skssl, name))) is getattr(skssl, name)


def length(function):
    """Return the lines of a function without its docstring."""
    n = function.end_lineno - function.lineno + 1
    doc = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    return n if doc is None else n - (doc.end_lineno - doc.lineno + 1)


def test_a_function_has_at_most_40_lines():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {
        f"{path.name}: {node.name}": length(node)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
    }
    assert len(found) > 1000
    assert {name: n for name, n in found.items() if n > 40} == {}


def test_a_method_is_a_file_of_at_most_120_lines():
    files = [path for path in (ROOT / "methods").glob("*.py") if path.name != "__init__.py"]
    lengths = {path.name: len(path.read_text().splitlines()) for path in files}
    assert len(files) > 40
    assert {name: n for name, n in lengths.items() if n > 120} == {}
