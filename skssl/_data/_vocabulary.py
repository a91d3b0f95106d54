"""The meaning of the ids in a token tensor."""

from dataclasses import dataclass

import torch
from torch import Tensor

PAD, UNKNOWN, MASK = 0, 1, 2  # in every vocabulary, before the tokens of the data
N_SPECIAL = 3


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens seen in ``fit``: their number, and the number of documents with each.

    Parameters
    ----------
    document_frequency : int Tensor of shape (size,)
        Number of documents that contain each token; 0 for padding, unknown tokens and the mask,
        which come first.
    n_documents : int
        Number of documents.
    """

    _saved_as = "Vocabulary"
    document_frequency: Tensor
    n_documents: int

    @property
    def size(self) -> int:
        """Number of tokens, including the three special ones."""
        return len(self.document_frequency)

    @property
    def idf(self) -> Tensor:
        """Weight of each token: the smooth idf of scikit-learn, 0 for special tokens."""
        weight = ((1 + self.n_documents) / (1 + self.document_frequency.double())).log() + 1
        weight[:N_SPECIAL] = 0
        return weight.to(torch.float32)
