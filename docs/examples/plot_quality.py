"""
Watching an embedding without labels
====================================

Two fits of VIME on scikit-learn's wine data, one of them at a learning rate that ruins it. What
needs no label tells them apart while they train; the labels only look on.
"""

# %%
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skssl import VIME
from skssl.callbacks import EarlyStopping, ProbeMonitor, TimeBudget
from skssl.metrics import label_free_scorer, rankme, seed_stability

X, y = load_wine(return_X_y=True)
watchers = ProbeMonitor(X, y), ProbeMonitor(scoring="rankme")
fits = {}
for rate in (0.001, 3.0):
    vime = VIME(n_components=32, max_epochs=60, batch_size=64, learning_rate=rate, random_state=0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        fits[rate] = vime.set_callbacks(*watchers).fit(X)
    print(f"learning rate {rate}:", *(str(warning.message) for warning in said))

# %%
# The rank of the embedding, which needs no label, and the score of nearest neighbours, which does.
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharex=True)
for ax, name in zip(axes, ("rankme", "probe"), strict=True):
    for rate, vime in fits.items():
        ax.plot(vime.probe_curves_[name], label=f"learning rate {rate}")
    ax.set(xlabel="epoch", title={"rankme": "RankMe", "probe": "accuracy of neighbours"}[name])
axes[0].legend()
plt.show()

# %%
# A search without labels, in which every fit has half a second and stops where views' neighbours
# agree no better.
vime.set_params(learning_rate=0.001).set_callbacks(EarlyStopping("knn"), TimeBudget(0.5))
grid = {"learning_rate": [0.001, 0.01]}
search = GridSearchCV(vime, grid, cv=2, scoring=label_free_scorer("rankme")).fit(X)
print(search.best_params_, "stopped after", search.best_estimator_.n_iter_, "epochs")

# %%
# Two seeds that agree have found something that is in the data.
one, other = (VIME(n_components=32, max_epochs=60, random_state=s).fit_transform(X) for s in (0, 1))
print(f"seeds agree: {seed_stability(one, other):.2f}; RankMe {rankme(one):.1f}")
