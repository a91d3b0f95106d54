"""Quality of an embedding without labels: functions on embeddings, and scorers for searches.

Functions take the output of ``transform``. Those that compare altered copies of the same rows
take them stacked, in an array of shape (n_views, n_samples, n_components).
"""

from skssl.metrics._generation import frechet_distance
from skssl.metrics._leakage import attribute_leakage
from skssl.metrics._scorers import label_free_scorer
from skssl.metrics._spectrum import alpha_req, nesum, rankme, seed_stability, stable_rank
from skssl.metrics._views import alignment, knn_consistency, lidar, uniformity

__all__ = [
    "alignment",
    "alpha_req",
    "attribute_leakage",
    "frechet_distance",
    "knn_consistency",
    "label_free_scorer",
    "lidar",
    "nesum",
    "rankme",
    "seed_stability",
    "stable_rank",
    "uniformity",
]
