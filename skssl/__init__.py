"""Self-supervised learning as scikit-learn transformers."""

from skssl.methods import SCARF, VIME, DenoisingAutoencoder, MultiTask
from skssl.model_selection import UnlabeledKFold
from skssl.semi_supervised import PretrainedClassifier, PretrainedRegressor

__version__ = "0.1.0.dev0"

__all__ = [
    "SCARF",
    "VIME",
    "DenoisingAutoencoder",
    "MultiTask",
    "PretrainedClassifier",
    "PretrainedRegressor",
    "UnlabeledKFold",
]
