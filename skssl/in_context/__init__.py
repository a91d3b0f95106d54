"""In-context learning: predict a column of a table from its other columns, in one forward pass."""

from skssl.in_context._imputer import InContextImputer
from skssl.in_context._predictors import InContextClassifier, InContextRegressor

__all__ = [
    "InContextClassifier",
    "InContextImputer",
    "InContextRegressor",
]
