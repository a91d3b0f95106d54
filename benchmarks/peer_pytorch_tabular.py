"""Milliseconds a step of pytorch-tabular's denoising autoencoder: run by `speed.py peers`."""

import contextlib
import logging
import sys
import tempfile
import time
import warnings

import numpy as np
import pandas as pd
from pytorch_lightning import Callback
from pytorch_tabular import TabularModel
from pytorch_tabular.config import DataConfig, OptimizerConfig, TrainerConfig
from pytorch_tabular.models import CategoryEmbeddingModelConfig
from pytorch_tabular.ssl_models.dae import DenoisingAutoEncoderConfig


class Clock(Callback):
    """When each step was over."""

    def __init__(self):
        self.times: list[float] = []

    def on_train_batch_end(self, *args):
        """Look at the clock."""
        self.times.append(time.perf_counter())


def main(batch_size: int) -> None:
    """Pretrain a 4 x 256 encoder on 10 240 x 50 floats for three epochs; print the median step."""
    columns = [f"c{i}" for i in range(50)]
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((10_240, 50)), columns=columns)
    layers = CategoryEmbeddingModelConfig(
        task="backbone", layers="256-256-256-256", use_batch_norm=True
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # where it writes
        model = TabularModel(
            data_config=DataConfig(continuous_cols=columns),
            model_config=DenoisingAutoEncoderConfig(encoder_config=layers),
            optimizer_config=OptimizerConfig(),
            trainer_config=TrainerConfig(
                accelerator="cpu",
                batch_size=batch_size,
                max_epochs=3,
                early_stopping=None,
                checkpoints=None,
                load_best=False,
                progress_bar="none",
                trainer_kwargs={"default_root_dir": folder},
            ),
            verbose=False,
            suppress_lightning_logger=True,
        )
        clock = Clock()
        model.pretrain(train=X, validation=X[:256], callbacks=[clock])
    print(np.median(np.diff(clock.times)) * 1e3)


if __name__ == "__main__":
    logging.disable()
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]))
