"""
A table with few labels
=======================

Numbers, categories and missing cells in one table, and a label for few of its rows. This example
makes such a table out of scikit-learn's breast cancer data, embeds it with each method, and
compares label budgets with and without pretraining.

Training is cut short (``max_epochs``) to keep the page quick; leave it out in earnest.
"""

# %%
# The table
# ---------
# A third of the columns become categories, and every tenth cell goes missing.
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import (
    SCARF,
    VIME,
    DenoisingAutoencoder,
    MembersDisplay,
    MultiTask,
    PretrainedClassifier,
    transform_to,
)
from skssl.inspection import members

rng = np.random.default_rng(0)
df, malignant = load_breast_cancer(return_X_y=True, as_frame=True)
for name in df.columns[::3]:
    df[name] = pd.qcut(df[name], 4, labels=["low", "medium", "high", "very high"])
df = df.mask(rng.random(df.shape) < 0.1)
df.iloc[:3, :4]

# %%
# Four embeddings
# ---------------
# Each method takes the table as it is. Nobody tells it which rows are malignant; the colours do,
# on the first two principal components of each embedding.
methods = [SCARF, VIME, DenoisingAutoencoder, MultiTask]
fig, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for ax, method in zip(axes, methods, strict=True):
    Z = method(max_epochs=150, random_state=0).fit_transform(df)
    ax.scatter(*PCA(2).fit_transform(Z).T, c=malignant, cmap="coolwarm", s=5)
    ax.set(title=method.__name__, xticks=[], yticks=[])

# %%
# Names of the new columns, and frames out
# ----------------------------------------
encoder = SCARF(n_components=8, max_epochs=20, random_state=0).set_output(transform="pandas")
encoder.fit_transform(df).head(3)

# %%
# A table on a disk
# -----------------
# Arrays on a disk and Parquet files are read where they lie, however large they are, and
# ``transform_to`` writes their embedding to a file.
with tempfile.TemporaryDirectory() as folder:
    np.save(f"{folder}/rows.npy", load_digits().data)
    rows = np.load(f"{folder}/rows.npy", mmap_mode="r")
    encoder = SCARF(n_components=8, max_epochs=5, random_state=0).fit(rows)
    Z = transform_to(encoder, rows, f"{folder}/Z.npy")
    print(Z.shape)

# %%
# A label budget
# --------------
# Here are scikit-learn's digits with 2 to 20 labels a class. The embedding does not depend on the
# labels, so one encoder, frozen, serves all budgets.
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
encoder = FrozenEstimator(MultiTask(max_epochs=60, random_state=0).fit(X_train))

tuned = GridSearchCV(LogisticRegression(max_iter=2000), {"C": np.logspace(-3, 2, 6)}, cv=2)
raw = make_pipeline(StandardScaler(), tuned)
budgets = [2, 5, 10, 20]
accuracy = {"raw columns, tuned logistic regression": [], "pretrained": []}
for budget in budgets:
    y_partly = np.full_like(y_train, -1)
    for label in range(10):
        rows = rng.permutation(np.flatnonzero(y_train == label))[:budget]
        y_partly[rows] = label
    few = y_partly >= 0
    raw.fit(X_train[few], y_train[few])
    pretrained = PretrainedClassifier(encoder, random_state=0).fit(X_train, y_partly)
    for values, model in zip(accuracy.values(), [raw, pretrained], strict=True):
        values.append(model.score(X_test, y_test))

fig, ax = plt.subplots(layout="constrained")
for name, values in accuracy.items():
    ax.plot(budgets, values, "o-", label=name)
ax.set(xlabel="labels a class", ylabel="accuracy on held-out rows", xscale="log")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend()
plt.show()

# %%
# What predicts
# -------------
# Without a classifier of yours, `PretrainedClassifier` weighs many. ``members`` lists the chosen
# ones with what they read and their loss on held-out labels, and a Display draws them.
MembersDisplay(members(pretrained).head(8)).plot()
plt.show()

# %%
# One draw of labels is one draw: take several before believing a difference, as `make demo` does.
