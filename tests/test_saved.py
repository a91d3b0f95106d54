"""Files that skssl.save wrote once load in this version, and predict what they did then.

``python tests/write_saved.py`` writes them; those of released formats are never written again.
"""

import json
import warnings

import numpy as np
import pytest
import safetensors
import sklearn
from sklearn.exceptions import InconsistentVersionWarning
from write_saved import FORMAT, MODELS, SAVED, fitted, outputs

from skssl import load, save

FILES = sorted(SAVED.glob("*/*.skssl"))
every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


def content(path):
    """Return the versions and the entries of a file."""
    with safetensors.safe_open(path, "np") as file:
        return json.loads(file.metadata()["model"])


def loaded(path):
    """Load a file; only scikit-learn may warn, and does if another version fitted its part."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load(path)
    assert {w.category for w in caught} <= {InconsistentVersionWarning}
    file = content(path)
    of_sklearn = any("_sklearn_version" in entry.get("state", ()) for entry in file["entries"])
    is_other = file["versions"]["scikit-learn"] != sklearn.__version__
    assert bool(caught) == (of_sklearn and is_other)
    return model


def attributes(path):
    """Return the names of the attributes that instances have, by the id of their class of ours."""
    found = {}
    for entry in content(path)["entries"]:
        if entry.get("class", "").startswith("skssl."):
            found.setdefault(entry["class"], set()).update(entry["state"])
    return found


@every_file
def test_kept_files_predict_what_they_did(path):
    model = loaded(path)
    _, read, _ = MODELS[path.stem]
    with np.load(path.with_suffix(".npz")) as kept:
        arrays = dict(kept)
    rows = {name[6:]: value for name, value in arrays.items() if name.startswith("input.")}
    expected = {name[7:]: value for name, value in arrays.items() if name.startswith("output.")}
    found = outputs(model, read(rows))
    assert found.keys() == expected.keys() and expected
    for verb, value in expected.items():
        assert found[verb].shape == value.shape and found[verb].dtype.kind == value.dtype.kind, verb
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[verb], value, rtol=1e-4, atol=1e-5, err_msg=verb)
        else:
            assert np.array_equal(found[verb], value), verb


@every_file
def test_attributes_of_kept_files_are_those_of_today(path, tmp_path):
    """Whoever renames, adds or drops an attribute says so in CHANGES, private ones included."""
    save(loaded(path), tmp_path / "again")
    save(fitted(path.stem)[1], tmp_path / "new")
    again, new = attributes(tmp_path / "again"), attributes(tmp_path / "new")
    assert again == new, (
        "say in skssl.persistence._changes how the attributes of older files change"
    )


def test_each_kind_of_model_is_kept():
    assert {path.stem for path in FILES if path.parent.name == str(FORMAT)} == set(MODELS)
    assert {int(path.parent.name) for path in FILES} == set(range(1, FORMAT + 1))
    for format in range(1, FORMAT + 1):
        sizes = [path.stat().st_size for path in (SAVED / str(format)).iterdir()]
        assert max(sizes) <= 150_000 and sum(sizes) <= 1_000_000


def test_a_part_that_another_scikit_learn_fitted_is_warned_of(tmp_path, monkeypatch):
    """What is foreign is its version; test-oldest loads the kept files with another one in fact."""
    (path,) = (path for path in FILES if path.stem == "search")
    with monkeypatch.context() as patched:
        patched.setattr("sklearn.base.__version__", "0.0.1")
        with pytest.warns(InconsistentVersionWarning, match="from version"):
            model = load(path)
    assert model.best_params_ == loaded(path).best_params_
