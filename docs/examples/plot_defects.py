"""
Defects in images, with few labels
==================================

A camera looks at every part, and few of its images carry a word on whether the part was sound. A
net that predicts an image from an altered copy of it learns without labels what images look like.
What it does not expect is shown, and some labels tell which surprises are defects.

No images of real defects come with Python packages: these are scikit-learn's handwritten digits, of
which one in five gets a scratch, along which light and dark are exchanged.
"""

# %%
# The images
# ----------
# A scratch is a straight line of up to four pixels through the middle of the image. No pixel has a
# value that sound images do not have.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import DenoisingAutoencoder, EmbeddingOutlierDetector, ReconstructionOutlierDetector

rng = np.random.default_rng(0)


def scratched(image):
    """Return a copy of an image with a scratch."""
    angle, (row, column) = rng.uniform(0, np.pi), rng.uniform(2.5, 4.5, 2)
    along = np.linspace(-2, 2, 20)
    rows = np.round(row + along * np.sin(angle)).astype(int)
    columns = np.round(column + along * np.cos(angle)).astype(int)
    image = image.copy()
    image[rows, columns] = 16 - image[rows, columns]
    return image


images = load_digits().images
is_defect = rng.random(len(images)) < 0.2
images = np.array([scratched(i) if d else i for i, d in zip(images, is_defect, strict=True)])
X_train, X_test, y_train, y_test = train_test_split(
    images.reshape(-1, 64), is_defect, test_size=0.4, random_state=0
)

# %%
# Without labels
# --------------
# All training images are learnt from, scratched ones among them. An outlier is an image that is not
# predicted back well, or one with few others near it in the embedding.
method = DenoisingAutoencoder(max_epochs=150)
detectors = [
    IsolationForest(random_state=0),
    EmbeddingOutlierDetector(method, random_state=0),
    ReconstructionOutlierDetector(method, random_state=0),
]
for detector in detectors:
    scores = detector.fit(X_train).score_samples(X_test)
    print(f"{type(detector).__name__}: AUC {roc_auc_score(y_test, -scores):.2f}")

# %%
# Where?
# ------
# The difference to what was expected is an image, too, and points at the scratch.
encoder = detector.transformer_


def surprise(X):
    """Return how far each pixel is from what was expected."""
    return np.abs(X - encoder.reconstruct(X))


shown = np.flatnonzero(y_test)[:8]
fig, axes = plt.subplots(3, 8, figsize=(8, 3.3), layout="constrained")
parts = [X_test, encoder.reconstruct(X_test), surprise(X_test)]
for line, name, part in zip(axes, ["image", "expected", "surprise"], parts, strict=True):
    for ax, row in zip(line, shown, strict=True):
        cmap = "Reds" if name == "surprise" else "gray_r"
        ax.imshow(part[row].reshape(8, 8), cmap=cmap, vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
plt.show()

# %%
# With few labels
# ---------------
# A logistic regression on the surprise of each pixel learns which of them count: edges are hard to
# predict, and surprise nobody. The same regression on the pixels themselves learns next to nothing,
# and gradient boosting needs many more labels.


def linear():
    """Make a logistic regression of standardised columns."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))


budgets, names = [20, 50, 100, 200], ["pixels", "pixels, gradient boosting", "surprise"]
auc = np.empty((len(names), len(budgets), 5))
for i, n in enumerate(budgets):
    for draw in range(5):
        few, _ = train_test_split(
            np.arange(len(X_train)), train_size=n, stratify=y_train, random_state=draw
        )
        boosting = HistGradientBoostingClassifier(min_samples_leaf=5, random_state=0)
        for j, (model, read) in enumerate(
            [(linear(), np.asarray), (boosting, np.asarray), (linear(), surprise)]
        ):
            model.fit(read(X_train[few]), y_train[few])
            auc[j, i, draw] = roc_auc_score(y_test, model.predict_proba(read(X_test))[:, 1])

# %%
# Means over five draws of the labels, and their standard errors.
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, values in zip(names, auc, strict=True):
    ax.errorbar(budgets, values.mean(1), values.std(1, ddof=1) / 5**0.5, marker="o", label=name)
ax.axhline(roc_auc_score(y_test, -scores), color="tab:gray", linestyle="--", label="no labels")
ax.set(xscale="log", xlabel="labels", ylabel="area under the ROC curve")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()
for name, values in zip(names, auc.mean(2), strict=True):
    print(
        f"{name}: " + ", ".join(f"{v:.2f} with {n}" for v, n in zip(values, budgets, strict=True))
    )
