"""Losses: pure functions from predictions and targets, or embeddings, to a scalar tensor.

Similarities are multiplied in the dtype of the computation (bfloat16 under autocast, where
that product is most of the cost); everything after the product is float32 or wider.
"""

from skssl._data._columns import Columns
from skssl.losses._adversarial import hinge
from skssl.losses._capacity import emp_ssl, mmcr, total_coding_rate
from skssl.losses._cells import cell_error, cell_errors, mask_error
from skssl.losses._clusters import dino, prototypical, sinkhorn, swapped_prediction
from skssl.losses._context import context_nce, told_error
from skssl.losses._contrastive import info_nce, margin_contrastive, nt_xent
from skssl.losses._frames import gradient_difference
from skssl.losses._gaussian import lejepa, sigreg
from skssl.losses._patches import standardized_error
from skssl.losses._prediction import cosine_error
from skssl.losses._redundancy import barlow_twins, vicreg, whitening_error
from skssl.losses._series import find_future, hierarchical_contrast
from skssl.losses._within import deterministic_contrast, internal_contrast

__all__ = [
    "Columns",
    "barlow_twins",
    "cell_error",
    "cell_errors",
    "context_nce",
    "cosine_error",
    "deterministic_contrast",
    "dino",
    "emp_ssl",
    "gradient_difference",
    "find_future",
    "hierarchical_contrast",
    "hinge",
    "info_nce",
    "internal_contrast",
    "lejepa",
    "margin_contrastive",
    "mask_error",
    "mmcr",
    "nt_xent",
    "prototypical",
    "sigreg",
    "sinkhorn",
    "standardized_error",
    "swapped_prediction",
    "told_error",
    "total_coding_rate",
    "vicreg",
    "whitening_error",
]
