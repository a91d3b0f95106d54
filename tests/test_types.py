"""Types: names that parameters take are literals, and `Any` becomes rarer."""

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest

import skssl
from skssl._compat import StrOptions
from skssl.base._modalities import MODALITIES, ModalityName
from skssl.callbacks import NAMES, Name
from skssl.metrics._scorers import OF_EMBEDDINGS, OF_VIEWS, MetricName

ROOT = Path(skssl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
OPTIONAL = {"ModelProto": object}  # hints of packages that are optional name what is not imported
# `Any` stands for what a user passes. Names of parameters say which; the rest is to become rarer.
USERS_DATA = set(
    "X y X_unlabeled X_new groups sample_weight sample_weight_unlabeled groups_unlabeled Z A B df "
    "series queries prompt embedding more every like params metadata routed".split()
)
ESTIMATORS = set(
    "estimator transformer transformers model classifier regressor clusterer student baselines "
    "tokenizer memory cv scoring fitted_estimator owner made".split()
)
# What files restore can be anything of scikit-learn or torch.
AT_MOST = {"data": 375, "estimators": 128, "returned": 138, "other": 261}


def public_parameters():
    """Return the public functions and constructors with hints and run-time checks, by name."""
    modules = [skssl] + [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(skssl.__path__, "skssl.")
        if "._" not in info.name
    ]
    found = {}
    for module in modules:
        own = [name for name in vars(module) if not name.startswith("_")]
        for name in getattr(module, "__all__", own):
            thing = getattr(module, name)
            if not getattr(thing, "__module__", "").startswith("skssl"):
                continue
            if inspect.isclass(thing):
                checks = getattr(thing, "_parameter_constraints", None)
                if checks is None:  # a class that checks in its constructor, such as callbacks
                    checks = getattr(thing.__init__, "_skl_parameter_constraints", {})
                found[name] = thing.__init__, checks
            elif callable(thing):
                found[name] = thing, getattr(thing, "_skl_parameter_constraints", {})
    return found


PUBLIC = public_parameters()


def literals(hint):
    """Return the values that a hint names, and whether it also takes any text."""
    if get_origin(hint) is Literal:
        return set(get_args(hint)), False
    if get_origin(hint) in (Union, UnionType):
        parts = [literals(part) for part in get_args(hint)]
        return set().union(*(names for names, _ in parts)), any(text for _, text in parts)
    return set(), hint is str


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_names_in_hints_are_those_that_are_checked(name):
    function, checks = PUBLIC[name]
    hints = get_type_hints(function, localns=OPTIONAL)
    for parameter, check in checks.items():
        if parameter not in hints or not isinstance(check, list):
            continue
        options = {o for part in check if isinstance(part, StrOptions) for o in part.options}
        named, takes_text = literals(hints[parameter])
        if options:
            assert {n for n in named if isinstance(n, str)} == options, parameter
            assert not takes_text, parameter


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_defaults_that_are_names_are_literals(name):
    function, _ = PUBLIC[name]
    hints = get_type_hints(function, localns=OPTIONAL)
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.default, str) and parameter.default:
            assert parameter.default in literals(hints[parameter.name])[0], parameter.name


def test_public_names_are_many():
    assert len(PUBLIC) > 150
    with_options = [
        (name, parameter)
        for name, (_, checks) in PUBLIC.items()
        for parameter, check in checks.items()
        if isinstance(check, list) and any(isinstance(part, StrOptions) for part in check)
    ]
    assert len(with_options) > 250


def test_names_that_tables_hold_are_literals():
    assert set(get_args(ModalityName)) == {"auto", *MODALITIES}
    assert set(get_args(MetricName)) == {*OF_EMBEDDINGS, *OF_VIEWS}
    assert literals(Name)[0] == NAMES


def reasons_of(tree):
    """Yield why each `Any` of annotations stands there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            name, hint = node.arg, node.annotation
            reason = "data" if name in USERS_DATA else "other"
            reason = "estimators" if name in ESTIMATORS else reason
        elif isinstance(node, ast.FunctionDef):
            hint, reason = node.returns, "returned"
        elif isinstance(node, ast.AnnAssign):
            hint, reason = node.annotation, "other"
        else:
            continue
        for part in ast.walk(hint or ast.Pass()):
            if isinstance(part, ast.Name) and part.id == "Any":
                yield reason


def test_any_becomes_rarer():
    counts = Counter()
    for path in FILES:
        counts.update(reasons_of(ast.parse(path.read_text(encoding="utf-8"))))
    print(dict(counts), "of", sum(counts.values()))
    assert set(counts) == set(AT_MOST)
    for reason, bound in AT_MOST.items():
        assert counts[reason] <= bound, f"{reason}: give what is new a type, see the annotations"
