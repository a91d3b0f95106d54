"""What the README and the documentation show is true of the code."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

import skssl
from skssl import SCARF, VIME, PretrainedClassifier, UnlabeledKFold
from skssl._training import _loop
from skssl.evaluation import _baselines
from skssl.semi_supervised import _ensemble

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def python_blocks(text):
    """Return (first line number, source) of each fenced python block."""
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match.group(1)) for match in found]


def test_readme_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_loop, "auto_steps", lambda *sizes: 30)  # a minute of default fits
    for module in (_ensemble, _baselines):
        monkeypatch.setattr(module, "N_TREES", 5)
    path = ROOT / "README.md"
    blocks = python_blocks(path.read_text(encoding="utf-8"))
    assert blocks
    names = {"__name__": "readme"}
    with sklearn.config_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for line, source in blocks:
            # The empty lines make a traceback point at the line of the README.
            exec(compile("\n" * line + source, str(path), "exec"), names)
    assert not list(tmp_path.iterdir()), "the README's code wrote files that nobody asked for"


def imports_that_fail(source):
    """Return what a piece of code imports from skssl that is not there, or is private."""
    failing = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "skssl":
            module = importlib.import_module(node.module)
            names = [alias.name for alias in node.names]
            failing += [name for name in names if not hasattr(module, name)]
            failing += [f"{node.module}.{name}" for name in names if is_private(node.module, name)]
        elif isinstance(node, ast.Import):
            failing += [alias.name for alias in node.names if is_private(alias.name)]
    return failing


def is_private(*names):
    """Tell whether a part of a dotted path of skssl begins with an underscore."""
    path = ".".join(names).split(".")
    return path[0] == "skssl" and any(part.startswith("_") for part in path)


@pytest.mark.parametrize(
    ("source", "failing"),
    [
        ("from skssl import SCARF\nfrom skssl.base import Net\nimport skssl.losses", []),
        ("from skssl import Scarf", ["Scarf"]),
        ("from skssl._compat import Interval", ["skssl._compat.Interval"]),
        ("from skssl import _compat", ["skssl._compat"]),
        ("import skssl._training._loop as loop", ["skssl._training._loop"]),
        ("from sklearn.base import _fit_context", []),  # only skssl's are looked at
    ],
)
def test_imports_that_fail_are_found(source, failing):
    assert imports_that_fail(source) == failing


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.rst")), ids=lambda path: path.name)
def test_code_on_pages_compiles_and_imports_what_exists(path):
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)\.\. code-block:: python\n\n((?:\1   .*\n|\n)+)", text, re.MULTILINE)
    assert len(blocks) == text.count(".. code-block:: python")
    for _, source in blocks:
        assert not imports_that_fail(textwrap.dedent(source))


PAGES_OF_NAMES = ["CHANGELOG.md", "docs/methods.rst", "docs/api.rst"]


@pytest.mark.parametrize("page", PAGES_OF_NAMES)
def test_every_public_name_is_on(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = [name for name in skssl.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"{page} does not mention {missing}"


def names_in_api():
    """Return the full names that the tables of docs/api.rst list."""
    names, module = [], None
    for line in (ROOT / "docs" / "api.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split(":: ")[1]
        elif re.fullmatch(r"   \w+", line):
            names.append(f"{module}.{line.strip()}")
    return names


MODULES = [
    "",
    ".base",
    ".methods",
    ".losses",
    ".views",
    ".encoders",
    ".inspection",
    ".metrics",
    ".callbacks",
    ".curation",
]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_and_class_is_in_the_api(module):
    listed = [pkgutil.resolve_name(name) for name in names_in_api()]
    assert len(listed) == len(set(listed)), "docs/api.rst lists a name twice"
    module = importlib.import_module(f"skssl{module}")
    public = {name: getattr(module, name) for name in module.__all__}
    missing = [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value not in listed
    ]
    assert not missing, f"docs/api.rst does not list {missing} of {module.__name__}"


def test_every_public_name_is_in_an_example():
    text = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLES)
    missing = [name for name in skssl.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"no example under docs/examples uses {missing}"


def test_every_place_of_a_method_is_on_the_page_that_says_how_to_add_one():
    page = (ROOT / "docs" / "add_a_method.rst").read_text(encoding="utf-8")
    places = ["skssl/methods/", "skssl/methods/__init__.py", "skssl/__init__.py", "docs/examples/"]
    for place in [*PAGES_OF_NAMES, *places, "tests/"]:
        assert f"`{place}`" in page and (ROOT / place).exists()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_compile_and_import_what_exists(path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)), "an example begins with what it shows"
    assert not imports_that_fail(source)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))], ids=lambda path: path.name
)
def test_files_that_pages_name_exist(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named += re.findall(r"^\.\. (?:literal)?include:: (.+)$", text, flags=re.MULTILINE)
    named += re.findall(r"^\s+:file: (.+)$", text, flags=re.MULTILINE)
    for target in named:
        assert (path.parent / target.strip()).exists(), f"{path.name} names {target}"


# What the README says works where, with a y of each kind.

SHORT = {"n_components": 8, "max_epochs": 2, "precision": "float32", "random_state": 0}
X, Y = load_iris(return_X_y=True)
FEW = np.random.default_rng(0).random(len(Y)) < 0.5
PARTLY = {
    "-1": np.where(FEW, Y, -1),
    "NaN": np.where(FEW, Y, np.nan),
    "None": np.where(FEW, np.array(["a", "b", "c"], dtype=object)[Y], None),
}
GRID = {"classifier__C": [0.1, 1.0]}


def short_model(transformer=None):
    return PretrainedClassifier(transformer or SCARF(**SHORT), LogisticRegression(max_iter=1000))


@pytest.fixture(params=PARTLY)
def y_partly(request):
    return PARTLY[request.param]


@pytest.mark.parametrize(
    "search",
    [
        lambda model, **cv: GridSearchCV(model, GRID, scoring="roc_auc_ovr", **cv),
        lambda model, **cv: RandomizedSearchCV(model, GRID, n_iter=2, scoring="accuracy", **cv),
        lambda model, **cv: HalvingGridSearchCV(
            model, GRID, resource="transformer__max_epochs", max_resources=4, **cv
        ),
    ],
    ids=["GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV"],
)
def test_searches_take_partly_labelled_y(search, y_partly):
    search = search(short_model(), cv=UnlabeledKFold(2)).fit(X, y_partly)
    assert 0.5 < search.best_score_ <= 1
    assert len(search.best_estimator_.classes_) == 3


def test_scores_take_partly_labelled_y(y_partly):
    cv = UnlabeledKFold(2)
    scores = cross_val_score(short_model(), X, y_partly, cv=cv, scoring="neg_log_loss")
    assert np.isfinite(scores).all()
    curve = learning_curve(short_model(), X, y_partly, cv=cv, train_sizes=[0.5, 1.0])
    assert np.isfinite(curve[2]).all()


@pytest.mark.parametrize(
    "transformer",
    [
        make_pipeline(StandardScaler(), SCARF(**SHORT)),
        FeatureUnion([("scarf", SCARF(**SHORT)), ("vime", VIME(**SHORT))]),
        ColumnTransformer([("a", SCARF(**SHORT), [0, 1]), ("b", "passthrough", [2, 3])]),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_compositions_take_partly_labelled_y(transformer, y_partly):
    model = short_model(transformer).fit(X, y_partly)
    assert model.score(X, y_partly) > 0.5


@pytest.mark.parametrize(
    "meta",
    [
        lambda model: StackingClassifier([("a", model), ("b", LogisticRegression())], cv=2),
        lambda model: VotingClassifier([("a", model), ("b", LogisticRegression(max_iter=1000))]),
        lambda model: CalibratedClassifierCV(model, cv=2),
    ],
    ids=["StackingClassifier", "VotingClassifier", "CalibratedClassifierCV"],
)
def test_what_reads_y_itself_takes_labelled_rows_and_a_frozen_encoder(meta):
    model = short_model(FrozenEstimator(SCARF(**SHORT).fit(X)))
    assert meta(model).fit(X[FEW], Y[FEW]).score(X, Y) > 0.8


def test_cross_val_predict_takes_labelled_rows_and_a_frozen_encoder():
    model = short_model(FrozenEstimator(SCARF(**SHORT).fit(X)))
    assert cross_val_predict(model, X[FEW], Y[FEW]).shape == (FEW.sum(),)
