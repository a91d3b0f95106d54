"""From embeddings to rows: what to label next, duplicates, neighbours, drift, columns.

``embedding=`` is one thing everywhere: None says that X is an embedding already, an array is the
embedding of the rows of X, and a fitted transformer, or Pipeline, makes it.
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
