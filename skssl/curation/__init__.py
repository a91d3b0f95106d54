"""Curation of data by its embedding: rows to label next, duplicates, neighbours, drift.

``embedding=`` means the same everywhere: with None, X is the embedding already; an array is the
embedding of the rows of X; a fitted transformer, or Pipeline, computes it.
"""

from skssl.curation._drift import drift_score
from skssl.curation._influence import column_influence
from skssl.curation._neighbors import find_duplicates, kneighbors
from skssl.curation._select import select_to_label

__all__ = [
    "column_influence",
    "drift_score",
    "find_duplicates",
    "kneighbors",
    "select_to_label",
]
