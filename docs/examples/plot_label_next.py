"""
What to label next
==================

Labels cost somebody's time; an embedding tells which are worth it. ``select_to_label`` chooses the
first rows by what is typical of their neighbourhood, and later ones by what the classifier is not
sure of. Beside it stand ``find_duplicates``, ``drift_score`` and ``column_influence``, and
``distill`` makes what was learnt small and fast.

Training is cut short (``max_epochs``) to keep the page quick; leave it out in earnest.
"""

# %%
# An embedding, no labels
# -----------------------
# 1200 handwritten digits are there to be labelled; the others are the test.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, distill, select_to_label
from skssl.curation import column_influence, drift_score, find_duplicates, kneighbors

X, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order], y[order]
X_pool, y_pool, X_test, y_test = X[:1200], y[:1200], X[1200:], y[1200:]
encoder = make_pipeline(SCARF(n_components=64, max_epochs=30, random_state=0), StandardScaler())
encoder.fit(X_pool)

# %%
# The first twenty
# ----------------
# Typical rows come one from each group. Centres are far from each other, and so the odd ones are
# among them. A random draw has some digits twice and others not at all.
rows = {
    "typicality": select_to_label(X_pool, 20, embedding=encoder, random_state=0),
    "k_center": select_to_label(X_pool, 20, embedding=encoder, strategy="k_center"),
    "at random": np.arange(20),
}
fig, axes = plt.subplots(3, 20, figsize=(10, 1.4), layout="constrained")
for line, (name, chosen) in zip(axes, rows.items(), strict=True):
    for ax, row in zip(line, chosen, strict=True):
        ax.imshow(X_pool[row].reshape(8, 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
    label = f"{name}, {len(set(y_pool[chosen]))} of 10 digits"
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
plt.show()

# %%
# And then?
# ---------
# Labels are bought ten at a time. Uncertainty needs a classifier, so its first twenty are typical.


def fitted(known):
    """Fit a classifier to the rows whose labels are known."""
    model = make_pipeline(FrozenEstimator(encoder), LogisticRegression(C=0.1, max_iter=500))
    return model.fit(X_pool[known >= 0], y_pool[known >= 0])


def bought(strategy, known):
    """Return the next ten rows."""
    if strategy == "at random":
        return np.flatnonzero(known < 0)[:10]
    if strategy == "uncertainty" and (known >= 0).sum() >= 20:
        asked = {"strategy": strategy, "classifier": fitted(known)}
    else:
        asked = {"strategy": "k_center" if strategy == "k_center" else "typicality"}
    return select_to_label(X_pool, 10, y=known, embedding=encoder, random_state=0, **asked)


budgets = np.arange(10, 101, 10)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for strategy in ("typicality", "uncertainty", "k_center", "at random"):
    known, accuracy = np.full(len(X_pool), -1), []
    for _ in budgets:
        chosen = bought(strategy, known)
        known[chosen] = y_pool[chosen]
        accuracy.append(fitted(known).score(X_test, y_test))
    ax.plot(budgets, accuracy, marker=".", label=strategy)
ax.set(xlabel="labels", ylabel="accuracy")
ax.legend(frameon=False)
plt.show()

# %%
# Twice the same
# --------------
# A row that is there twice needs one label only, and must not be on both sides of a split.
scans = np.vstack([X_pool, X_pool[:3] + np.random.default_rng(0).normal(0, 0.05, (3, 64))])
find_duplicates(scans, embedding=encoder)

# %%
# Its neighbours are what a labeller may want to see beside a row.
distances, neighbours = kneighbors(X_pool, X_test, embedding=encoder)
(y_pool[neighbours] == y_test[:, None]).mean()

# %%
# Are new rows like the old ones?
# -------------------------------
# .5 is yes. From a scanner with a darker lamp they would not be.
old, new = X_pool[600:], X_test
print(f"new digits: {drift_score(old, new, embedding=encoder, random_state=0):.2f}")
darker = np.clip(new * 0.7, 0, 16)
print(f"a darker lamp: {drift_score(old, darker, embedding=encoder, random_state=0):.2f}")

# %%
# Which columns matter?
# ---------------------
# By how far the embedding moves when one of them is shuffled: here pixels.
influence = column_influence(encoder, X_test, n_repeats=1, random_state=0)
shares = influence.set_index("column")["influence"].sort_index().to_numpy()
fig, ax = plt.subplots(figsize=(3, 2.5), layout="constrained")
fig.colorbar(ax.imshow(shares.reshape(8, 8)), label="influence")
ax.set(xticks=[], yticks=[])
plt.show()

# %%
# Small and fast
# --------------
# Encoder and classifier in one small net, which learns from what they say of all rows.
teacher = fitted(known)
student = distill(teacher, X_pool, random_state=0)
teacher.score(X_test, y_test), student.score(X_test, y_test)
