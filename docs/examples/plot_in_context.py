"""
Few labels, and nothing trained
===============================

``InContextClassifier`` reads the labelled rows of a table and predicts others from them in one
pass: labelled rows vote, each with a weight by how alike it is. ``fit`` takes a fraction of a
second, whatever the table. ``InContextImputer`` fills in missing cells in the same way.

Here is scikit-learn's table of breast cancer cells, with 6 to 96 labels.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import InContextClassifier, InContextImputer, InContextRegressor

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
models = {
    "in context": InContextClassifier(random_state=0),
    "random forest": RandomForestClassifier(100, random_state=0),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}
scores = []
for draw in range(5):
    for n_labels in (6, 12, 24, 48, 96):
        X_few, X_test, y_few, y_test = train_test_split(
            X, y, train_size=n_labels, stratify=y, random_state=draw
        )
        for name, model in models.items():
            scores.append((name, n_labels, model.fit(X_few, y_few).score(X_test, y_test)))
scores = pd.DataFrame(scores, columns=["model", "labels", "accuracy"])

# %%
# The mean of five draws of the labels, with a standard error on either side. Classes of this table
# are linear in its columns: from 24 labels on a logistic regression is the better choice here.
fig, ax = plt.subplots(layout="constrained")
for name in models:
    found = scores[scores["model"] == name].groupby("labels")["accuracy"]
    ax.errorbar(found.mean().index, found.mean(), found.sem(), label=name, capsize=3)
ax.set(xscale="log", xlabel="labels", ylabel="accuracy", xticks=[6, 12, 24, 48, 96])
ax.xaxis.set_major_formatter("{x:.0f}")
ax.minorticks_off()
ax.legend()
plt.show()

# %%
# Numbers
# -------
# `InContextRegressor` takes NaN for a row without a label. Predictions lie within the range of the
# labels that it was shown.
X, y = load_diabetes(return_X_y=True, as_frame=True)
is_labelled = np.random.default_rng(0).random(len(y)) < 0.15
model = InContextRegressor(random_state=0).fit(X, y.where(is_labelled))
predicted = model.predict(X[~is_labelled])

fig, ax = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
ax.scatter(y[~is_labelled], predicted, s=8)
ax.axline((150, 150), slope=1, color="gray", lw=1)
r2 = model.score(X[~is_labelled], y[~is_labelled])
ax.set(
    xlabel="progression of diabetes",
    ylabel="predicted",
    title=f"{is_labelled.sum()} labels, R² {r2:.2f}",
)
plt.show()

# %%
# Missing cells
# -------------
# `InContextImputer` is an imputer as scikit-learn's are.
is_missing = np.random.default_rng(0).random(X.shape) < 0.2
filled = InContextImputer(random_state=0).fit_transform(X.mask(is_missing))
filled.iloc[:3, :5]
