"""Imports point one way, and `import skssl` stays light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skssl

ROOT = Path(skssl.__file__).parent
# These know nothing of estimators. A module named nowhere here stands above the methods.
BOTTOM = {
    "_checkpoint",
    "_chunked",
    "_collapse",
    "_columns",
    "_compat",
    "_files",
    "_inputs",
    "_joint",
    "_kinds",
    "_parameters",
    "_ranks",
    "_restored",
    "_rows",
    "_sharing",
    "_teachers",
    "_train",
    "_vocabulary",
    "encoders",
    "losses",
    "views",
}
BASE = {"_base", "_language", "_outliers", "_reconstruction", "_report"}
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
    """Return the full names of what module ``name`` imports anywhere in its file."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def our_imports(name):
    """Return the skssl modules that module ``name`` imports, the package itself aside."""
    return {found for found in imported(name) if found in MODULES} - {"skssl", name}


def layer(name):
    """Return the floor of a module: 0 bottom, 1 the base, 2 the methods, 3 everything else."""
    part = name.split(".")[1] if "." in name else ""
    if part in BOTTOM:
        return 0
    return 1 if part in BASE else 2 if part == "methods" else 3


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    upwards = {other for other in our_imports(name) if layer(other) > layer(name)}
    assert not upwards, f"{name} must not import {upwards}"


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"skssl"}))
def test_public_names_are_imported_from_their_modules(name):
    found = {found for found in imported(name) if found.rpartition(".")[0] == "skssl"}
    assert found <= set(MODULES), f"{name} imports {found - set(MODULES)} from the package itself"


def test_no_import_cycle():
    graph = {name: our_imports(name) for name in MODULES}
    for name, others in graph.items():  # a package's __init__ imports its own members
        others -= {other for other in others if name.startswith(other + ".")}
    list(TopologicalSorter(graph).static_order())


def test_bottom_modules_exist():
    for name in BOTTOM:
        assert f"skssl.{name}" in MODULES, f"skssl.{name} is named as a bottom module but missing"


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
