"""
Fill in the blank
=================

Docstrings come with every package, so here are some hundred texts to learn from. A masked language
model fills in words that are missing, and tells the packages apart from thirty labels.
"""

# %%
# Texts, and the package each is from.
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas
import torch
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression

from skssl import (
    EmbeddingDisplay,
    MaskedLanguageModel,
    NextToken,
    PretrainedClassifier,
    TextContrast,
    TextTokenizer,
)

texts, package = [], []
for module in (np, pandas, torch.nn, linear_model):
    docs = [inspect.getdoc(getattr(module, name)) for name in dir(module) if name[0] != "_"]
    docs = [doc for doc in dict.fromkeys(docs) if doc and len(doc) > 300][:150]
    texts += docs
    package += [module.__name__] * len(docs)
package = np.array(package)
len(texts)

# %%
# A tokenizer makes words into numbers, and back. Methods that read texts have one of their own;
# given, it can be set: here to the first hundred words of 1500.
tokenizer = TextTokenizer(vocab_size=1500, max_length=100)
tokenizer.inverse_transform(tokenizer.fit_transform(texts)[:1, :12])

# %%
# One word in seven is hidden, and predicted from the words around it. After a minute or two the
# model knows what stands in a docstring.
bert = MaskedLanguageModel(
    tokenizer=tokenizer, learning_rate=3e-3, max_epochs=40, random_state=0
).fit(texts)
blanks = ["the default [MASK] is None", "returns : ndarray of [MASK] (n,)", "if [MASK], then"]
candidates = bert.fill_mask(blanks, top=5)
bert.fill_mask(blanks)

# %%
# How sure it is:
_, axes = plt.subplots(1, 3, figsize=(9, 2.5), layout="constrained")
for ax, blank, found in zip(axes, blanks, candidates, strict=True):
    words, chances = zip(*found[0][::-1], strict=True)
    ax.barh(words, chances)
    ax.set(title=blank, xlabel="probability", xlim=(0, 1))

# %%
# A model that looks back only goes on with a text.
gpt = NextToken(tokenizer=tokenizer, learning_rate=3e-3, max_epochs=40, random_state=0).fit(texts)
print(gpt.generate("Returns the", n_tokens=30, temperature=0.5, random_state=0))

# %%
# Chunks of one docstring attract each other, those of different ones repel: a map of topics.
contrast = TextContrast(tokenizer=tokenizer, max_epochs=60, random_state=0).fit(texts)
EmbeddingDisplay.from_estimator(contrast, texts, package)

# %%
# Thirty labels, joined with the topics that TF-IDF and a truncated SVD find.
few = np.full(len(texts), None, dtype=object)
shown = np.random.default_rng(0).permutation(len(texts))[:30]
few[shown] = package[shown]
classifier = PretrainedClassifier(contrast, LogisticRegression(max_iter=1000)).fit(texts, few)
hidden = np.setdiff1d(np.arange(len(texts)), shown)
classifier.score([texts[i] for i in hidden], package[hidden])
