"""
A stream that labels itself
===========================

A vehicle looks at the ground ahead of it, and a moment later feels how rough that ground is. So
every frame of its camera gets a label, and nobody annotates anything. An encoder that stays as it
is, a regression that goes on learning, and a detector of what is new: so SALON [1]_ drives off the
road. Here the terrain is generated, and the camera takes ten frames per second.

.. [1] "SALON: Self-supervised Adaptive Learning for Off-road Navigation", Carnegie Mellon
   University. https://theairlab.org/SALON
"""

# %%
# The encoder reads five minutes of other frames, without any roughness. Roughness shows in texture,
# so the encoder, a module of our own, computes energies of filtered images. In the logarithm of the
# brightness, a change of the light is a constant, which is subtracted.
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skssl import EmbeddingOutlierDetector, SimCLR, select_to_label
from skssl.datasets import KNOWN_TERRAINS, make_terrain, make_terrain_drive
from skssl.views import image_views


class TextureEnergy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3)
        self.norm = torch.nn.BatchNorm1d(64)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(64, 128), torch.nn.GELU(), torch.nn.Linear(128, 60)
        )

    def forward(self, x):
        energy = self.filters(x).square().mean((2, 3))
        return self.net(self.norm((energy + 1e-4).log()))


def log_brightness(frames):
    grey = np.log(frames.astype(np.float32) + 4).mean(-1, keepdims=True)
    return grey - grey.mean((1, 2), keepdims=True)


torch.manual_seed(0)
views = image_views("rotations", (1, 32, 32), scale=(0.5, 1.0))
simclr = SimCLR(encoder=TextureEnergy(), views=views, max_epochs=12, random_state=0)
encoder = make_pipeline(FunctionTransformer(log_brightness), simclr, StandardScaler())
encoder.fit(make_terrain_drive(3000, random_state=1)[0])

# %%
# A minute on six terrains, then a minute on cobbles, which neither the encoder nor the regression
# has seen. Cobbles have the colour of asphalt.
minutes = [
    make_terrain_drive(600, terrains=terrains, random_state=2)
    for terrains in (KNOWN_TERRAINS, ["cobbles"])
]
frames = np.concatenate([minute[0] for minute in minutes])
target = np.log(np.concatenate([minute[1] for minute in minutes]))

ground, acceleration, _ = make_terrain(
    (320, 640), terrains=(*KNOWN_TERRAINS, "cobbles"), random_state=3
)


def windows(image):
    """Cut a map into windows of 32 pixels, which overlap by half."""
    cut = np.lib.stride_tricks.sliding_window_view(image, (32, 32), (0, 1))[::16, ::16]
    return np.moveaxis(cut, 2, -1) if image.ndim == 3 else cut


def speed(log_roughness):
    """Return the speed in m/s at which the roughness, measured at 6 m/s, becomes 1 m/s²."""
    return np.minimum(6 * np.exp(-log_roughness / 2), 12)


tiles = windows(ground)
shape = tiles.shape[:2]
tiles = encoder.transform(tiles.reshape(-1, 32, 32, 3))
right = speed(np.log(windows(acceleration**2).mean((2, 3))) / 2)

# %%
# The stream, a second at a time: predict, then learn from the frames of the second before, whose
# ground the wheels have reached. The buffer keeps 600 rows that are far from each other, old ones
# too. It is so small that the regression is fitted to it each second; the detector is each ten.
ridge = KernelRidge(kernel="rbf", gamma=0.02, alpha=0.1)
model = TransformedTargetRegressor(ridge, transformer=StandardScaler())
as_it_is = FrozenEstimator(FunctionTransformer())
detector = EmbeddingOutlierDetector(as_it_is, "density", passthrough=False, contamination=0.01)


def draw_map():
    """Return the speeds on the map, NaN where the detector does not know the ground."""
    return np.where(detector.predict(tiles) == 1, speed(model.predict(tiles)), np.nan)


Z = encoder.transform(frames)
rows, errors, normality, maps = np.arange(0), [], [], {}
for second in range(1, 120):
    now = slice(10 * second, 10 * second + 10)
    if second > 5:
        errors.append(np.sqrt(np.mean((model.predict(Z[now]) - target[now]) ** 2)))
        normality.append(np.median(detector.score_samples(Z[now])))
    if second == 60:
        maps["after 60 s"] = draw_map()
    rows = np.concatenate([rows, np.arange(10 * second - 10, 10 * second)])
    if len(rows) > 700:
        rows = rows[select_to_label(Z[rows], 600, strategy="k_center", metric="euclidean")]
    model.fit(Z[rows], target[rows])
    if second % 10 == 5:
        detector.fit(Z[rows])
maps["after 120 s"] = draw_map()

# %%
# When the cobbles come, the detector says at once that it does not know them, and the error is
# larger than that of a constant. Once two seconds of them have labels, it is as low as before. At
# 72 seconds a stretch of cobbles is rougher than any before, and the detector says so, too.
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.5), sharex=True, layout="constrained")
above.semilogy(np.arange(6, 120), errors)
above.axhline(np.std(target[:600]), color="black", linestyle="--", label="a constant")
above.set(ylabel="error of log roughness", title="A minute on six terrains, then cobbles")
above.legend()
below.plot(np.arange(6, 120), normality, color="tab:orange")
below.set(xlabel="seconds", ylabel="normality")
for ax in (above, below):
    ax.axvline(60, color="gray")
plt.show()

# %%
# The speed map: how fast the vehicle may go. White is what the detector does not know: borders
# between terrains and, at first, cobbles. There the vehicle should go slowly.
figure, axes = plt.subplots(2, 2, figsize=(9, 5), layout="constrained")
axes[0, 0].imshow(ground)
axes[0, 0].set_title("ground")
for ax, (name, each) in zip(axes.flat[1:], {"true speed": right, **maps}.items(), strict=True):
    picture = ax.imshow(np.reshape(each, shape), cmap="viridis", vmin=3, vmax=12)
    ax.set_title(name)
for ax in axes.flat:
    ax.axis("off")
figure.colorbar(picture, ax=axes, label="m/s")
plt.show()

# %%
# One frame at a time, embedded and predicted: milliseconds of the processor. At 200 frames per
# second there are 5.
start = time.process_time()
for frame in frames[:200]:
    model.predict(encoder.transform(frame[None]))
round(1e3 * (time.process_time() - start) / 200, 1)
