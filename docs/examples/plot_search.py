"""
Searching with partly labelled rows
===================================

``UnlabeledKFold`` splits the labelled rows and gives every training fold all unlabelled ones, so
that `GridSearchCV` and its scorers see a problem they understand.
"""

# %%
# In scikit-learn's breast cancer data, 60 of 569 rows keep their label; the others are marked -1.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skssl import SCARF, PretrainedClassifier, UnlabeledKFold, load, save, to_onnx

X, y_true = load_breast_cancer(return_X_y=True, as_frame=True)
rng = np.random.default_rng(0)
y = np.full(len(X), -1)
labelled = rng.permutation(len(X))[:60]
y[labelled] = y_true[labelled]

cv = UnlabeledKFold(3, shuffle=True, random_state=0)
for train, test in cv.split(X, y):
    print(f"train: {(y[train] >= 0).sum()} labelled, {(y[train] < 0).sum()} not; test: {len(test)}")

# %%
# Parameters of the transformer and of the classifier are reached by their usual names. With
# ``passthrough=False`` the classifier sees the embedding alone, so that its quality shows.
model = PretrainedClassifier(
    SCARF(n_components=32, max_epochs=40, random_state=0),
    LogisticRegression(max_iter=1000),
    passthrough=False,
)
grid = {"transformer__corruption": [0.2, 0.4, 0.6], "classifier__C": [0.1, 1]}
search = GridSearchCV(model, grid, cv=cv, scoring="neg_log_loss").fit(X, y)
search.best_params_

# %%
# The scorer saw labelled test rows only. The encoder saw no row of the test fold, with or without
# its label.
results = search.cv_results_
fig, ax = plt.subplots(layout="constrained")
for C in grid["classifier__C"]:
    at = np.flatnonzero(results["param_classifier__C"] == C)
    corruption = results["param_transformer__corruption"][at].astype(float)
    spread = results["std_test_score"][at] / np.sqrt(cv.get_n_splits())
    ax.errorbar(corruption, -results["mean_test_score"][at], spread, fmt="o-", label=f"C = {C}")
ax.set(xlabel="share of corrupted cells", ylabel="log loss on labelled test rows")
ax.legend()
plt.show()

# %%
# The search, with the model that it ended in, goes into a file, and comes back without code being
# run from it.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "search.skssl"
    save(search, path)
    print(f"{path.stat().st_size / 1000:.0f} kB")
    found = load(path)
(found.predict_proba(X) == search.predict_proba(X)).all()

# %%
# As a graph it runs without scikit-learn and skssl, here by onnxruntime; its probabilities are the
# same to about 1e-7.
session = onnxruntime.InferenceSession(to_onnx(search).SerializeToString())
labels, probabilities = session.run(None, {"X": X.to_numpy()})
abs(probabilities - search.predict_proba(X)).max()
