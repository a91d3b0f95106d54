"""scikit-learn before 1.9 has no callbacks: everything else works, and setting one says so."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skssl import SCARF, EmbeddingOutlierDetector, PretrainedClassifier

CHEAP = {"n_components": 4, "max_epochs": 2, "device": "cpu", "precision": "float32"}
FITS = """
import sys
import sklearn.compose, sklearn.linear_model, sklearn.model_selection, sklearn.pipeline
sys.modules["sklearn.callback"] = None  # as if it were not there
sys.path.insert(0, {folder!r})
from test_without_callbacks import fits, refusal
import json
print(json.dumps([fits(), refusal()]))
"""


def fits():
    """Return numbers of a transformer, a classifier and a detector."""
    X = np.random.default_rng(0).standard_normal((80, 3))
    y = np.where(np.arange(80) % 4, -1, X[:, 0] > 0)
    scarf = SCARF(random_state=0, **CHEAP)
    model = PretrainedClassifier(scarf, LogisticRegression(), random_state=0).fit(X, y)
    detector = EmbeddingOutlierDetector(scarf, random_state=0).fit(X)
    found = scarf.fit(X).loss_curve_, model.predict_proba(X[:3]), detector.score_samples(X[:3])
    return [np.asarray(numbers).tolist() for numbers in found]


def refusal():
    """Return what setting a callback says, if it says anything."""
    try:
        SCARF().set_callbacks().set_callbacks(object())
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.fixture(scope="module")
def without(request):
    """Return what the same gives in a process that has no callbacks."""
    code = FITS.format(folder=str(request.path.parent))
    return json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))


def test_fits_are_the_same_without_callbacks(without):
    assert without[0] == fits()


def test_setting_a_callback_says_what_it_needs(without):
    assert without[1].startswith("VersionError: Callbacks need scikit-learn 1.9 or newer, this is ")
    assert "pip install 'scikit-learn>=1.9'" in without[1]
