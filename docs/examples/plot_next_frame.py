"""
What comes next
===============

:class:`skssl.NextFrame` learns from clips alone: it predicts each frame from the few before it.
Digits that move straight on and bounce off the walls show how far that goes.
"""

# %%
# A thousand clips to learn from, and some that it never sees.
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import NextFrame, NextFrameDisplay
from skssl.datasets import make_moving_digits

clips, _, _ = make_moving_digits(1000, n_frames=10, random_state=0)
new, digits, velocities = make_moving_digits(400, n_frames=8, random_state=1)
model = NextFrame(context=4, max_epochs=20, random_state=0).fit(clips)

# %%
# Three frames ahead, each predicted from those before it, predicted ones included. What is unsure
# is blurred.
NextFrameDisplay.from_estimator(model, new, n_frames=3)

# %%
# The squared error, as a share of that of the cheapest guess: that nothing will move.
last, true = new[:, -2].astype(float), new[:, -1].astype(float)
predicted = model.predict_next(new[:, :-1])[:, 0]
((predicted - true) ** 2).mean() / ((last - true) ** 2).mean()

# %%
# To predict, the net has to know where a digit is going. So the embedding tells.
ridge = make_pipeline(StandardScaler(), RidgeCV([1e-1, 1e1, 1e3]))
short = new[:, :5]  # longer clips turn round at a wall
for name, encoder in {"trained": model, "untrained": NextFrame(max_epochs=0).fit(clips)}.items():
    r2 = cross_val_score(ridge, encoder.transform(short), velocities, cv=5).mean()
    print(f"{name}: R² of the velocity {r2:.2f}")
