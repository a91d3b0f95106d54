"""Milliseconds a step of ts3l's SCARF: run by `speed.py peers` with a Python that has ts3l."""

import sys

import numpy as np
import pandas as pd
from _peer import milliseconds_a_step
from torch.utils.data import DataLoader
from ts3l.pl_modules import SCARFLightning
from ts3l.utils.backbone_utils import MLPBackboneConfig
from ts3l.utils.embedding_utils import IdentityEmbeddingConfig
from ts3l.utils.scarf_utils import SCARFConfig, SCARFDataset

N_STEPS = 8


def main(batch_size: int) -> None:
    """Train for a few steps on 10 240 x 50 floats with a 4 x 256 encoder; print the median."""
    columns = [f"c{i}" for i in range(50)]
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(10_240, 50)), columns=columns)
    config = SCARFConfig(
        task="classification",
        loss_fn="CrossEntropyLoss",
        metric="accuracy_score",
        embedding_config=IdentityEmbeddingConfig(input_dim=50),
        backbone_config=MLPBackboneConfig(
            input_dim=50, hidden_dims=256, output_dim=256, n_hiddens=4
        ),
        output_dim=2,
        corruption_rate=0.6,
    )
    data = SCARFDataset(X, config=config, continuous_cols=columns, category_cols=[])
    module = SCARFLightning(config)
    module.set_first_phase()
    batches = DataLoader(data, batch_size, shuffle=True)
    loss, parameters = module._get_first_phase_loss, module.parameters()
    print(milliseconds_a_step(batches, loss, parameters, N_STEPS))


if __name__ == "__main__":
    main(int(sys.argv[1]))
