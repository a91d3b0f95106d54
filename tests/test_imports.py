"""Imports point one way, and `import skssl` stays light."""

import ast
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
    {"_atomic", "_compat", "_ranks", "datasets"},
    {"_data"},
    {"losses", "views", "encoders", "_training", "model_selection"},
    {"base"},
    {"methods"},
    {"_meta"},
    {"outliers", "curation", "preprocessing"},
    {"semi_supervised"},
    {"evaluation", "inspection", "persistence"},
    {"metrics"},
    {"callbacks"},
)
NAMES_ROOMS_ABOVE = "skssl.base._modalities"  # a modality is one row, whatever floor it touches
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
AT_MOST = {"rooms": 26, "floors": 11, "arrows": 110}
OPTIONAL = {"matplotlib", "polars", "pyarrow", "rich", "IPython", "skops", "tokenizers"} | {
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


def imported(name):
    """Return the full names of what module ``name`` imports when it runs, anywhere in its file."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    names = set()
    for node in nodes_that_run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


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
        for node in nodes_that_run(ast.parse(MODULES[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = {string for string in strings if re.fullmatch(r"skssl(\.\w+)+", string)}
    modules = {string if string in MODULES else string.rpartition(".")[0] for string in found}
    assert modules <= set(MODULES), f"{name} names what is not there: {modules - set(MODULES)}"
    return modules - {"skssl", name}


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


def loaded_after(statement):
    """Return what of optional or slow modules a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print(*({OPTIONAL | NEVER | SLOW!r} & set(sys.modules)))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_import_skssl_loads_nothing_optional_or_slow():
    before = loaded_after("import torch, pandas, sklearn.callback")
    assert loaded_after("import skssl") <= before
