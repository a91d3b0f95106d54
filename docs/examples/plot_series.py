"""
Series: a sensor's stream in segments
=====================================

A sensor runs for a while, and what it senses changes from time to time: when? Here
:class:`skssl.TS2Vec` embeds every step of the stream in the light of the steps around it, and
k-means groups the steps. Then four methods learn from handwritten digits, read as series pixel
after pixel, with 100 labels at the end.
"""

# %%
# A stream of two channels that passes from one of four states to another.
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import maximum_filter1d
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import CPC, MaskedSeries, NextStep, TS2Vec
from skssl.preprocessing import sliding_windows

rng = np.random.default_rng(0)
time = np.arange(100)
states = {
    0: lambda: np.stack([np.sin(time / 3), np.cos(time / 3)]),
    1: lambda: np.stack([np.sin(time / 8), np.sign(np.sin(time / 4))]),
    2: lambda: np.stack([np.sign(np.sin(time / 6)), np.sin(time / 3)]),
    3: lambda: rng.normal(scale=0.7, size=(2, 100)),
}
truth = np.repeat(rng.permutation(np.arange(24) % 4), 100)
stream = np.concatenate([states[i]() for i in truth[::100]], axis=1)
stream += 0.2 * rng.normal(size=stream.shape)

# %%
# Windows of it are the series to learn from; ``pooling=None`` keeps an embedding of each step. A
# step says where in a wave it stands, too; the maximum over the steps around it does not.
windows = sliding_windows(stream, length=200, step=50)
encoder = TS2Vec(pooling=None, n_components=64, max_epochs=40, random_state=0).fit(windows)
Z = maximum_filter1d(encoder.transform(stream[None])[0], size=51, axis=0)
segments = KMeans(4, n_init=5, random_state=0).fit_predict(Z)
agreement = adjusted_rand_score(truth, segments)
on_values = KMeans(4, n_init=5, random_state=0).fit_predict(stream.T)

figure, axes = plt.subplots(4, 1, figsize=(9, 5), sharex=True, height_ratios=[3, 3, 1, 1])
for axis, channel in zip(axes, stream, strict=False):
    axis.plot(channel, linewidth=0.6)
for axis, labels, title in (
    (axes[2], truth, "the states"),
    (
        axes[3],
        segments,
        f"groups of embedded steps: adjusted Rand index {agreement:.2f}, "
        f"of the values themselves {adjusted_rand_score(truth, on_values):.2f}",
    ),
):
    axis.imshow(labels[None], aspect="auto", cmap="tab10", vmin=0, vmax=9, interpolation="none")
    axis.set_title(title, fontsize=9)
    axis.set_yticks([])
figure.tight_layout()

# %%
# Four methods on series of 64 steps, each beside its encoder as initialised.
X, y = load_digits(return_X_y=True)
X = X[:, None]
few, rest = train_test_split(np.arange(len(y)), train_size=100, stratify=y, random_state=0)
for method in (
    TS2Vec(batch_size=32, max_epochs=2),
    MaskedSeries(max_epochs=8),
    CPC(max_epochs=5),
    NextStep(max_epochs=5),
):
    scores = []
    for epochs in (0, method.max_epochs):
        encoder = method.set_params(max_epochs=epochs, learning_rate=3e-3, random_state=0).fit(X)
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        scores.append(
            head.fit(encoder.transform(X[few]), y[few]).score(encoder.transform(X[rest]), y[rest])
        )
    print(f"{type(method).__name__:13} untrained {scores[0]:.3f}, trained {scores[1]:.3f}")
plt.show()
