"""
Fine-tuning, and when it pays
=============================

A frozen encoder and a small classifier are hard to beat with few labels. With more of them the
encoder itself can learn from labels: :class:`skssl.FineTunedClassifier` starts from the frozen
encoder and a logistic regression, and leaves both as they are unless held-out labels say that
training further does good.
"""

# %%
# Digits as rows of 64 numbers. One encoder learns from all rows, without labels, and both ways
# start from it.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from skssl import SCARF, FineTunedClassifier, PretrainedClassifier

X, y = load_digits(return_X_y=True)
encoder = FrozenEstimator(SCARF(n_components=128, max_epochs=30, random_state=0).fit(X))
models = {
    "frozen": PretrainedClassifier(encoder, random_state=0),
    "fine-tuned": FineTunedClassifier(encoder, random_state=0),
}

# %%
# Two draws of each number of labels. ``n_iter_`` is the number of epochs that held-out labels
# asked for; 0 is the frozen encoder.
budgets = [50, 200, 800]
accuracy = {name: np.empty((2, len(budgets))) for name in models}
for i, n in enumerate(budgets):
    for seed in range(2):
        few = np.random.default_rng(seed).permutation(len(y))[:n]
        labels = np.full(len(y), -1)
        labels[few] = y[few]
        rest = labels < 0
        for name, model in models.items():
            accuracy[name][seed, i] = model.fit(X, labels).score(X[rest], y[rest])
    print(f"{n} labels: {models['fine-tuned'].n_iter_} epochs in the last draw")

# %%
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, scores in accuracy.items():
    ax.errorbar(budgets, scores.mean(0), scores.std(0) / 2**0.5, marker="o", label=name)
ax.set(xscale="log", xlabel="labels", ylabel="accuracy", xticks=budgets, xticklabels=budgets)
ax.legend()
plt.show()
