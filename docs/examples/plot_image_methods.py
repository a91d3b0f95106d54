"""
Methods for images side by side
===============================

Eighteen ways to learn from images that nobody labelled, on scikit-learn's digits: a logistic
regression on 100 labels reads each embedding, and, for comparison, that of the same encoder before
training.

Training is cut to a few epochs of a tiny net to keep the page quick, so that the order says little
about a real fit: ``benchmarks/images.py`` compares them at equal time.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import (
    BYOL,
    DINO,
    EMPSSL,
    IJEPA,
    MMCR,
    NNCLR,
    WMSE,
    BarlowTwins,
    Colorization,
    Inpainting,
    Jigsaw,
    LeJEPA,
    MaskedAutoencoder,
    MoCo,
    RotationPrediction,
    SimCLR,
    SimSiam,
    SwAV,
    VICReg,
)
from skssl.encoders import ResNet

digits = load_digits()
X, y = digits.images[:900].astype(np.uint8), digits.target[:900]
few, rest = train_test_split(np.arange(len(y)), train_size=100, stratify=y, random_state=0)

# %%
# Most compare views of an image; digits must not be mirrored, hence ``views="no_flip"``. The others
# make a task of the image itself: how far was it turned, how were its tiles shuffled, what stood
# where it has a hole.


def tiny(x):
    """Make a net of two stages, quick on eight by eight pixels."""
    return ResNet(x.shape[1], widths=(16, 32), n_blocks=(1, 1), n_components=64)


joint = [SimCLR, MoCo, BYOL, SimSiam, BarlowTwins, VICReg, NNCLR, SwAV, DINO, LeJEPA, WMSE]
joint += [EMPSSL, MMCR]
methods = [method(views="no_flip", encoder=tiny) for method in joint]
methods += [RotationPrediction(encoder=tiny), Jigsaw(encoder=tiny), Inpainting(encoder=tiny)]
methods += [MaskedAutoencoder(n_components=64), IJEPA(n_components=64)]


def accuracy(method):
    """Learn from all images, fit a classifier on the few, score it on the rest."""
    Z = method.fit_transform(X)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return model.fit(Z[few], y[few]).score(Z[rest], y[rest])


scores = {}
for method in methods:
    method.set_params(random_state=0, batch_size=100)
    untrained = clone(method).set_params(max_epochs=0)
    # transformers, which learn to see from nothing, take longer
    is_transformer = isinstance(method, MaskedAutoencoder | IJEPA)
    trained = clone(method).set_params(max_epochs=30 if is_transformer else 5)
    scores[type(method).__name__] = accuracy(untrained), accuracy(trained)

fig, ax = plt.subplots(layout="constrained")
for i, (before, after) in enumerate(scores.values()):
    ax.plot([before, after], [i, i], color="lightgrey", zorder=0)
    ax.scatter(before, i, color="tab:grey", label="untrained" if i == 0 else None)
    ax.scatter(after, i, color="tab:blue", label="trained" if i == 0 else None)
ax.set_yticks(range(len(scores)), scores)
ax.set(xlabel="accuracy with 100 labels")
ax.legend()
plt.show()

# %%
# Colorization needs three channels
# ---------------------------------
# It reads the lightness of an image and predicts its colours. Here are patches of two photographs,
# and the question which photograph a patch is from.
patches = np.stack(
    [
        photo[i : i + 16, j : j + 16]
        for photo in load_sample_images().images
        for i in range(0, 400, 16)
        for j in range(0, 640, 16)
    ]
)
photo = np.repeat([0, 1], len(patches) // 2)
Z = Colorization(encoder=tiny, max_epochs=5, random_state=0).fit_transform(patches)
few, rest = train_test_split(np.arange(len(photo)), train_size=100, stratify=photo, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
print(f"accuracy with 100 labels: {model.fit(Z[few], photo[few]).score(Z[rest], photo[rest]):.2f}")
