"""Self-supervised methods, one file each, exported by ``skssl`` itself, and what they share."""

from skssl.methods._projections import average, mean_over_pairs, projections, targets_and_views
from skssl.methods._teachers import Queue, follow, rising, teacher_of

__all__ = [
    "Queue",
    "follow",
    "mean_over_pairs",
    "projections",
    "rising",
    "targets_and_views",
    "teacher_of",
    "average",
]
