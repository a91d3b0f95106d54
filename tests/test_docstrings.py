"""Defaults that docstrings name are those of the code: a change of either is seen."""

import importlib
import inspect
import pkgutil
import re

import pytest

import skssl

DEFAULT = re.compile(r"^ *([\w, ]+?) : .*?default=(.+)$", re.MULTILINE)
AFTER = re.compile(r"\n(?:Returns|Attributes|References|Examples|Raises|Shape|Yields)\n-+")
MODULES = [info.name for info in pkgutil.walk_packages(skssl.__path__, "skssl.")]


def defined_in(name):
    """Return the functions, classes and methods of a module by their names."""
    things = vars(importlib.import_module(name)).items()
    kinds = inspect.isfunction, inspect.isclass
    own = {n: t for n, t in things if any(is_(t) for is_ in kinds) and t.__module__ == name}
    methods = {
        f"{n}.{m}": function
        for n, thing in own.items()
        if inspect.isclass(thing)
        for m, function in vars(thing).items()
        if inspect.isfunction(function)
    }
    return own | methods


def documented(thing):
    """Return the defaults that a docstring names, by parameter."""
    doc = inspect.cleandoc(thing.__doc__ or "")
    parameters = AFTER.split(doc.partition("Parameters\n----------\n")[2])[0]
    found = {}
    for names, text in DEFAULT.findall(parameters):
        names = names.split(", ")
        texts = [text] if len(names) == 1 else re.split(r", (?!\d+\))| and ", text)
        assert len(texts) in (1, len(names)), (names, text)
        found |= dict(zip(names, texts * (len(names) // len(texts)), strict=True))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_defaults_are_those_of_the_docstring(module):
    for name, thing in defined_in(module).items():
        said = documented(thing)
        parameters = inspect.signature(thing).parameters if said else {}
        for parameter, text in said.items():
            default = parameters[parameter].default
            assert repr(eval(text)) == repr(default), (name, parameter)  # 1 is not True
        numbers = {p for p in parameters if type(parameters[p].default) in (bool, int, float)}
        assert numbers <= set(said), name
