"""Milliseconds a step of TabNet's pretraining: run by `speed.py peers` in its own environment."""

import sys
import time
import warnings

import numpy as np
from pytorch_tabnet.callbacks import Callback
from pytorch_tabnet.pretraining import TabNetPretrainer


class Clock(Callback):
    """When each step was over."""

    def __init__(self):
        self.times: list[float] = []

    def on_batch_end(self, batch, logs=None):
        """Look at the clock."""
        self.times.append(time.perf_counter())


def main(batch_size: int) -> None:
    """Pretrain its default net on 10 240 x 50 floats for two epochs; print the median step."""
    X = np.random.default_rng(0).standard_normal((10_240, 50), dtype=np.float32)
    clock = Clock()
    warnings.simplefilter("ignore")  # that nothing stops it early
    TabNetPretrainer(verbose=0).fit(X, max_epochs=2, batch_size=batch_size, callbacks=[clock])
    print(np.median(np.diff(clock.times)) * 1e3)


if __name__ == "__main__":
    main(int(sys.argv[1]))
