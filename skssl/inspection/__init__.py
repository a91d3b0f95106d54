"""Displays: figures of reports and of fitted estimators."""

from skssl.inspection._embedding import EmbeddingDisplay
from skssl.inspection._label_budget import LabelBudgetDisplay
from skssl.inspection._loss_curve import LossCurveDisplay
from skssl.inspection._next_frame import NextFrameDisplay
from skssl.inspection._reconstruction import ReconstructionDisplay
from skssl.inspection._views import ViewsDisplay

__all__ = [
    "EmbeddingDisplay",
    "LabelBudgetDisplay",
    "LossCurveDisplay",
    "NextFrameDisplay",
    "ReconstructionDisplay",
    "ViewsDisplay",
]
