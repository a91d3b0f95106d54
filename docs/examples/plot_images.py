"""
Small images, seen from inside
==============================

What does an encoder see before anybody tells it a label, and what does it make of that? Four
Displays answer with pictures: the views it compares, the loss of each epoch, a map of what it
learnt, and what a method that fills gaps puts in place of the part it cannot see.

To keep the page quick the nets are tiny and training is cut short: leave ``encoder`` and
``max_epochs`` out in earnest.
"""

# %%
# The images
# ----------
# Scikit-learn's handwritten digits, 8 by 8 pixels, as bytes. An array of bytes in three
# dimensions is images; nothing has to be scaled or reshaped. Few of them carry a label.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skssl import (
    EmbeddingDisplay,
    Inpainting,
    LossCurveDisplay,
    PretrainedClassifier,
    ReconstructionDisplay,
    SimCLR,
    ViewsDisplay,
)
from skssl.encoders import ResNet

digits = load_digits()
rows = np.random.default_rng(0).permutation(len(digits.images))
X, y = digits.images[rows].astype(np.uint8), digits.target[rows]
X_train, X_test, y_train, y_test = X[:1000], X[1000:], y[:1000], y[1000:]
y_partly = np.where(np.arange(len(y_train)) < 50, y_train, -1)
X_train.shape, X_train.dtype

# %%
# Look at the views first
# -----------------------
# SimCLR learns that the views of an image belong together, so a view must keep whatever the label
# depends on. ``"strong"`` views suit photographs: they mirror. A mirrored 2 is no 2 any more, nor
# is a mirrored 7 a 7. An encoder that was not trained, ``max_epochs=0``, shows its views, too.
photographic = SimCLR(views="strong", max_epochs=0).fit(X_train)
ViewsDisplay.from_estimator(photographic, X_train[y_train == 7][:8], random_state=0)
plt.show()


# %%
# ``"no_flip"`` alters them likewise, but leaves left and right alone.
def tiny(x):
    """Make a net of two stages, quick on eight by eight pixels."""
    return ResNet(x.shape[1], widths=(16, 32), n_blocks=(1, 1), n_components=64)


short = {"encoder": tiny, "batch_size": 128, "learning_rate": 3e-3, "random_state": 0}
simclr = SimCLR(views="no_flip", max_epochs=50, **short)
model = PretrainedClassifier(simclr, random_state=0).fit(X_train, y_partly)
ViewsDisplay.from_estimator(model, X_train[y_train == 7][:8], random_state=0)
plt.show()

# %%
# Did it learn?
# -------------
# The loss says whether training goes on. It says nothing about how good the embedding is.
LossCurveDisplay.from_estimator(model)
plt.show()

# %%
# A map does: here are images that the encoder never saw, before and after training. The colours
# are their labels, which nobody told it.
untrained = SimCLR(max_epochs=0, **short).fit(X_train)
fig, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for ax, encoder in zip(axes, [untrained, model], strict=True):
    EmbeddingDisplay.from_estimator(
        encoder, X_test[:500], y_test[:500], method="tsne", random_state=0, ax=ax
    )
axes[0].set_title("untrained")
axes[1].set_title("trained without labels")
plt.show()

# %%
# What 50 labels are worth, on the pixels, and on either embedding with the pixels beside it.
pixels = LogisticRegression(max_iter=1000).fit(X_train[:50].reshape(50, -1), y_train[:50])
before = PretrainedClassifier(FrozenEstimator(untrained), random_state=0).fit(X_train, y_partly)
print(f"pixels:    {pixels.score(X_test.reshape(len(X_test), -1), y_test):.1%}")
print(f"untrained: {before.score(X_test, y_test):.1%}")
print(f"trained:   {model.score(X_test, y_test):.1%}")

# %%
# Filling gaps
# ------------
# Inpainting learns in another way: it cuts a hole into each image, and predicts what was there
# from the embedding of the rest. Where several strokes would do, it predicts their mean, which
# looks grey. New images again, with the hole in blue. A `MaskedAutoencoder`, which hides scattered
# patches and takes longer to learn, is drawn likewise.
inpainting = Inpainting(max_epochs=40, **short).fit(X_train)
ReconstructionDisplay.from_estimator(inpainting, X_test[:8])
plt.show()
