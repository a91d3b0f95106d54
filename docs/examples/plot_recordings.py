"""
Cleaner recordings
==================

:class:`skssl.DenoisingAudio` distorts recordings itself, clips them, adds noise and echoes, and
learns to undo that. Nobody has to label anything, nor to record anything twice.
"""

# %%
# Words of three phones, by a new voice every time, at 8000 samples a second. What is learnt from
# them is tried on others, under noise that is as loud as half the voice.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import DenoisingAudio, HiddenUnit, MuLaw
from skssl.datasets import make_spoken_words
from skssl.preprocessing import log_mel

X, words = make_spoken_words(300, random_state=0)
clean, _ = make_spoken_words(60, random_state=1)
noise = np.random.default_rng(0).normal(size=clean.shape)
noisy = clean + 0.5 * clean.std(1, keepdims=True) * noise
model = DenoisingAudio(sampling_rate=8000, max_epochs=40, random_state=0).fit(X)

# %%
# ``enhance`` returns waveforms, ``reconstruct`` the spectrograms that they are made to be like.
shown = {
    "clean": log_mel(clean[:1], 8000),
    "noisy": log_mel(noisy[:1], 8000),
    "enhanced": log_mel(model.enhance(noisy[:1]), 8000),
    "reconstructed": model.reconstruct(noisy[:1]),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True, layout="constrained")
for ax, (name, mel) in zip(axes, shown.items(), strict=True):
    ax.imshow(mel[0], origin="lower", aspect="auto", vmin=-10, vmax=3, extent=(0, 0.4, 0, 40))
    ax.set(title=name, xlabel="seconds")
axes[0].set_ylabel("mel band")
plt.show()

# %%
# The squared error of the waveforms, as a share of that of the noisy ones:
((model.enhance(noisy) - clean) ** 2).mean() / ((noisy - clean) ** 2).mean()

# %%
# Embeddings of both methods for audio, with ten labels a word. The first line is the rival: the
# mean and the standard deviation of the spectrogram's bands.
mel = log_mel(X, 8000)
embeddings = {
    "log-mel statistics": np.hstack([mel.mean(2), mel.std(2)]),
    "HiddenUnit": HiddenUnit(sampling_rate=8000, max_epochs=40, random_state=0).fit_transform(X),
    "DenoisingAudio": model.transform(X),
}
for name, Z in embeddings.items():
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    print(f"{name}: {linear.fit(Z[:60], words[:60]).score(Z[60:], words[60:]):.2f}")

# %%
# Waveforms go on as tokens, too: :class:`skssl.MuLaw` makes each sample one of 256 levels, as
# telephones do, which :class:`skssl.NextToken` predicts from those before. Little is lost:
tokens = MuLaw().fit_transform(clean)
back = MuLaw().inverse_transform(tokens)
tokens.shape, (np.abs(back - clean).max() / np.abs(clean).max()).round(3)
