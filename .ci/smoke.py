"""Use an installed wheel with nothing but its core dependencies: `make dist` runs this."""

import importlib.util
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skssl

OPTIONAL = ("matplotlib", "onnx", "polars", "pyarrow", "rich", "safetensors", "tokenizers")
FAST = {"n_components": 8, "max_epochs": 2, "random_state": 0}


def check_it_is_installed_alone():
    assert Path(skssl.__file__).is_relative_to(sys.prefix), skssl.__file__
    there = [name for name in OPTIONAL if importlib.util.find_spec(name)]
    assert not there, f"not an environment of core dependencies only: {there}"
    assert all(hasattr(skssl, name) for name in skssl.__all__)


def check_it_learns():
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X).rename(columns=str).assign(name=np.array(["a", "b", "c"])[y])
    Z = skssl.SCARF(**FAST).set_output(transform="pandas").fit_transform(frame)
    assert Z.shape == (150, 8) and np.isfinite(Z.to_numpy()).all()
    partly = np.where(np.arange(150) % 3, y, -1)
    model = skssl.PretrainedClassifier(skssl.SCARF(**FAST), LogisticRegression(max_iter=1000))
    assert model.fit(frame, partly).score(frame, y) > 0.8
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    pipeline = make_pipeline(skssl.SimCLR(**FAST), LogisticRegression(max_iter=1000))
    pipeline.fit(images, np.arange(40) % 2)
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict_proba(images), pipeline.predict_proba(images))


def check_what_is_missing_is_named():
    with tempfile.TemporaryDirectory() as folder:
        try:
            skssl.save(skssl.SCARF(), Path(folder) / "model.skssl")
        except ImportError as error:
            assert "pip install skssl[persistence]" in str(error)
        else:
            raise AssertionError("save needs safetensors, which is not there")


if __name__ == "__main__":
    check_it_is_installed_alone()
    check_it_learns()
    check_what_is_missing_is_named()
    print(f"skssl {skssl.__version__} works with its core dependencies only")
