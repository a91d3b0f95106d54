"""
Finding faults without labels
=============================

Faults need not be extreme: a gauge read for the wrong sample, a claim copied from another file.
Each value is usual, and only their combination is not. Such rows are made here of real ones, and
looked for with detectors that learn how columns go together, beside scikit-learn's.
"""

# %%
# The measurements of scikit-learn's breast cancer data, 569 rows of 30 columns. In the test half,
# one row in ten gets a third of its cells from other rows.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from skssl import (
    ICL,
    DenoisingAutoencoder,
    EmbeddingOutlierDetector,
    NeuTraL,
    ReconstructionOutlierDetector,
)

X = load_breast_cancer(as_frame=True).data
X_train, X_test = train_test_split(X, test_size=0.5, random_state=0)
rng = np.random.default_rng(0)
is_fault = rng.random(len(X_test)) < 0.1
foreign = is_fault[:, None] & (rng.random(X_test.shape) < 1 / 3)
others = X_test.apply(lambda column: rng.permutation(column))
X_test = X_test.mask(foreign, others)

# %%
# The training half is sound. ``fit`` takes the frame as it is, and ``score_samples`` is the
# greater, the more normal the row. ``predict`` puts its threshold where ``contamination`` of the
# training rows are outliers; but a net that was shown a row predicts it better than a new one. So
# we keep some sound rows back, and put the threshold where 2 % of those are below.
X_train, X_sound = train_test_split(X_train, test_size=0.3, random_state=0)
method = DenoisingAutoencoder(max_epochs=300)
detector = ReconstructionOutlierDetector(method, random_state=0).fit(X_train)
flagged = detector.score_samples(X_test) < np.quantile(detector.score_samples(X_sound), 0.02)
print(
    f"{is_fault.sum()} faults, {(flagged & is_fault).sum()} of them among {flagged.sum()} flagged"
)

# %%
# All detectors have the same verbs, so that comparing them is a loop. ICL and NeuTraL are methods
# whose own loss is the score; their ``transform`` gives an embedding as well.
scale = StandardScaler().fit(X_train)
A, B = scale.transform(X_train), scale.transform(X_test)
scores = {
    "isolation forest": IsolationForest(random_state=0).fit(A).score_samples(B),
    "local outlier factor": LocalOutlierFactor(novelty=True).fit(A).score_samples(B),
    "ReconstructionOutlierDetector": detector.score_samples(X_test),
}
for learner in (
    EmbeddingOutlierDetector(method, random_state=0),
    ICL(max_epochs=100, random_state=0),
    NeuTraL(max_epochs=100, random_state=0),
):
    scores[type(learner).__name__] = learner.fit(X_train).score_samples(X_test)

fig, ax = plt.subplots(figsize=(6.5, 6), layout="constrained")
for name, score in scores.items():
    RocCurveDisplay.from_predictions(is_fault, -score, name=name, ax=ax)
ax.set(xlabel="share of sound rows flagged", ylabel="share of faults found")
plt.show()
