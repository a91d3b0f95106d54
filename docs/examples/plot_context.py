"""
One encoder, several symmetries
===============================

A method such as ``SimCLR`` decides before the fit what its embedding shall ignore: with views that
change colours, the colour is lost, whoever may need it later. ``ContextSSL`` decides after the fit:
a context of a few pairs, an image before and after, tells what to be sensitive to.

Here are scikit-learn's digits, each turned by a random angle and tinted by a random hue.
"""

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import nn, tensor

from skssl import ContextSSL
from skssl.encoders import MLP
from skssl.views import hue_action, rotation_action

digits, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
hue = rng.uniform(0, 2 * np.pi, len(digits))
color = 0.5 + 0.5 * np.cos(hue[:, None] - 2 * np.pi * np.arange(3) / 3)
X = (digits.reshape(-1, 1, 8, 8) / 16 * color[:, :, None, None]).astype(np.float32)
view, turned = rotation_action(tensor(X), degrees=60)
X, angle = view.numpy(), turned[:, 0].numpy()  # the sine of the angle
train, test = slice(0, 1200), slice(1200, None)


# %%
# The method is fitted once, without labels. Its actions alter images and say how. A small dense
# encoder is enough here, and takes half a minute.
def dense(x):
    return nn.Sequential(nn.Flatten(), MLP(x[0].numel(), 512, 512, 64, activated=True))


actions = [partial(rotation_action, degrees=60), hue_action]
ssl = ContextSSL(actions=actions, encoder=dense, modality="image", max_epochs=250, random_state=0)
ssl.fit(X[train])

# %%
# Then ``with_context`` asks for an embedding that is sensitive to the rotation and blind to all
# else, or to the hue, with more and more pairs. A regression by the nearest neighbours says what
# the embedding tells.
n_pairs = [0, 1, 2, 4, 8, 14]
targets = {"rotation": angle[:, None], "hue": np.stack([np.sin(hue), np.cos(hue)], 1)}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
for ax, context in zip(axes, targets, strict=True):
    embeddings = [ssl.with_context(context, n=n).transform(X) for n in n_pairs]
    for name, target in targets.items():
        near = KNeighborsRegressor(10, metric="cosine")
        r2 = [near.fit(Z[train], target[train]).score(Z[test], target[test]) for Z in embeddings]
        ax.plot(n_pairs, r2, "o-", label=f"R² of the {name}")
    near = KNeighborsClassifier(10, metric="cosine")
    accuracy = [near.fit(Z[train], y[train]).score(Z[test], y[test]) for Z in embeddings]
    ax.plot(n_pairs, accuracy, "o:", color="grey", label="accuracy of the digit")
    ax.set_title(f"a context that tells of the {context}")
    ax.set_xlabel("pairs in the context")
axes[0].set_ylabel("by ten neighbours, on test images")
axes[1].legend()
plt.show()
