"""
Images that a generator makes
=============================

``SSGAN`` and ``BiGAN`` learn from images by a contest: a generator makes images of random numbers,
and a discriminator tells them from real ones. What is left is an embedding, as of any other method,
and a generator.

Here are scikit-learn's digits, real and generated. The Fréchet distance says how far the generated
ones are from the real ones.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skssl import SSGAN, BiGAN, SimCLR
from skssl.metrics import frechet_distance

X = load_digits().images.astype(np.uint8)
train, test = X[::2], X[1::2]

ssgan = SSGAN(max_epochs=70, random_state=0).fit(train)
bigan = BiGAN(max_epochs=40, random_state=0).fit(train)

# %%
# The rival is a normal distribution of principal components.
pca = PCA(50, random_state=0).fit(train.reshape(-1, 64))
Z = np.random.default_rng(0).normal(size=(len(test), 50)) * pca.explained_variance_**0.5
drawn = pca.inverse_transform(Z).round().clip(0, 16).astype(np.uint8).reshape(-1, 8, 8)

images = {
    "real": train[: len(test)],
    "SSGAN": ssgan.generate(len(test), random_state=0),
    "BiGAN": bigan.generate(len(test), random_state=0),
    "normal distribution": drawn,
}

# %%
# The ruler is one fixed encoder, which has learnt from real digits by another method. Two halves of
# the real digits are not at distance 0 either.
ruler = SimCLR(views="no_flip", max_epochs=15, random_state=0).fit(train)
distance = {name: frechet_distance(made, test, ruler) for name, made in images.items()}


def side_by_side(X, n_rows, n_columns):
    """Return images as one."""
    tiles = X[: n_rows * n_columns].reshape(n_rows, n_columns, 8, 8)
    return np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1))).swapaxes(1, 2).reshape(n_rows * 10, -1)


fig, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
for ax, (name, made) in zip(axes, images.items(), strict=True):
    ax.imshow(side_by_side(made, 8, 8), cmap="gray_r")
    ax.set_title(f"{name}: {distance[name]:.2f}")
    ax.axis("off")
plt.show()

# %%
# Back from the embedding
# -----------------------
# BiGAN's encoder is to invert its generator: an image is generated from the embedding of another
# one. It was never asked to keep the pixels, so that a digit may come back in another hand; and
# after so few epochs many of them fade.
fig, ax = plt.subplots(figsize=(8, 2), layout="constrained")
pairs = np.concatenate([test[:16], bigan.reconstruct(test[:16])])
ax.imshow(side_by_side(pairs, 2, 16), cmap="gray_r")
ax.set_title("test digits, and what is generated from their embeddings")
ax.axis("off")
plt.show()
