"""What is inside fitted estimators: Displays, and the table of the default ensemble."""

from skssl.inspection._embedding import EmbeddingDisplay
from skssl.inspection._label_budget import LabelBudgetDisplay
from skssl.inspection._loss_curve import LossCurveDisplay
from skssl.inspection._members import MembersDisplay, members
from skssl.inspection._next_frame import NextFrameDisplay
from skssl.inspection._reconstruction import ReconstructionDisplay
from skssl.inspection._views import ViewsDisplay

__all__ = [
    "EmbeddingDisplay",
    "LabelBudgetDisplay",
    "LossCurveDisplay",
    "MembersDisplay",
    "NextFrameDisplay",
    "ReconstructionDisplay",
    "ViewsDisplay",
    "members",
]
