"""Meta-estimators that learn from few labels on a self-supervised embedding."""

from skssl.semi_supervised._distillation import distill
from skssl.semi_supervised._fine_tuned import FineTunedClassifier, FineTunedRegressor
from skssl.semi_supervised._pretrained import PretrainedClassifier, PretrainedRegressor
from skssl.semi_supervised._prototypes import PrototypeClassifier

__all__ = [
    "FineTunedClassifier",
    "FineTunedRegressor",
    "PretrainedClassifier",
    "PretrainedRegressor",
    "PrototypeClassifier",
    "distill",
]
