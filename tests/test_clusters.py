"""Searches on the backends of joblib: each on a cluster of two workers on this machine."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skssl import SCARF

X, Y = load_iris(return_X_y=True)


def scores(n_jobs=None):
    """Return what a search finds of each candidate."""
    encoder = SCARF(max_epochs=2, precision="float32", random_state=0)
    model = make_pipeline(encoder, LogisticRegression(max_iter=500))
    search = GridSearchCV(model, {"scarf__corruption": [0.3, 0.6]}, cv=2, n_jobs=n_jobs)
    return search.fit(X, Y).cv_results_["mean_test_score"]


@pytest.mark.slow  # two workers that have to import torch
def test_search_on_loky():
    with joblib.parallel_config("loky"):
        assert np.array_equal(scores(2), scores())


@pytest.mark.slow  # a cluster has to start
def test_search_on_dask():
    distributed = pytest.importorskip("distributed", reason="pip install skssl[cluster]")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        with joblib.parallel_config("dask"):
            assert np.array_equal(scores(2), scores())


@pytest.mark.slow  # a cluster has to start
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_search_on_ray(monkeypatch):
    monkeypatch.setenv(
        "RAY_AUTH_MODE", "disabled"
    )  # otherwise it writes a token to the home folder
    ray = pytest.importorskip("ray", reason="pip install skssl[cluster]")
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False)
    try:
        register_ray()
        with joblib.parallel_config("ray"):
            assert np.array_equal(scores(2), scores())
    finally:
        ray.shutdown()
