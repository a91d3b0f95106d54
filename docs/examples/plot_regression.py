"""
Regression with few targets
===========================

``PretrainedRegressor`` learns an embedding from all rows and fits a regressor on those that have a
target. Rows without one are marked NaN, since -1 is a number like any other.
"""

# %%
# scikit-learn's diabetes data have 442 rows and ten columns, which is little to learn from without
# labels. The page shows how it is done, and what to compare with.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skssl import FineTunedRegressor, MultiTask, PretrainedRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X["sex"] = X["sex"].astype(int).astype("category")
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)

# %%
# One fit: the encoder on all training rows, the regressor on the 20 that keep their target.
y_partly = y_train.copy()
y_partly[20:] = np.nan
reg = PretrainedRegressor(MultiTask(max_epochs=200), random_state=0).fit(X_train, y_partly)
print(f"R² on held-out rows: {reg.score(X_test, y_test):.2f}")

# %%
# Five draws of each number of targets, all with the encoder that is trained already.
encoder = FrozenEstimator(reg.transformer_)
columns = make_column_transformer(
    (OneHotEncoder(drop="if_binary"), ["sex"]), remainder=StandardScaler()
)
columns = FrozenEstimator(columns.fit(X_train))
raw_ridge = make_pipeline(columns, RidgeCV(np.logspace(-3, 6, 28)))
budgets = [20, 40, 80, 160]
scores = {"raw columns, ridge": [], "pretrained": []}
rng = np.random.default_rng(0)
for budget in budgets:
    draws = []
    for _ in range(5):
        y_partly = y_train.copy()
        y_partly.iloc[rng.permutation(len(X_train))[budget:]] = np.nan
        few = y_partly.notna()
        pretrained = PretrainedRegressor(encoder, random_state=0).fit(X_train, y_partly)
        raw_ridge.fit(X_train[few], y_partly[few])
        draws.append([model.score(X_test, y_test) for model in (raw_ridge, pretrained)])
    for values, column in zip(scores.values(), np.transpose(draws), strict=True):
        values.append((column.mean(), column.std(ddof=1) / np.sqrt(len(column))))

fig, ax = plt.subplots(layout="constrained")
for name, values in scores.items():
    mean, error = np.transpose(values)
    ax.errorbar(budgets, mean, error, fmt="o-", capsize=3, label=name)
ax.set(xlabel="rows with a target", ylabel="R² on held-out rows", xscale="log")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend()
plt.show()

# %%
# :class:`skssl.FineTunedRegressor` lets the encoder learn from the targets as well, for as many
# epochs as held-out targets ask for. On so few rows they ask for few, or for none:
tuned = FineTunedRegressor(encoder, random_state=0).fit(X_train, y_train)
print(f"{tuned.n_iter_} epochs; R² on held-out rows: {tuned.score(X_test, y_test):.2f}")
