"""What the numbers of a token array mean."""

from dataclasses import dataclass

import torch
from torch import Tensor

PAD, UNKNOWN, MASK = 0, 1, 2  # in every vocabulary; what data hold follows
N_SPECIAL = 3


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens that ``fit`` saw: how many there are, and how many documents hold each.

    Parameters
    ----------
    document_frequency : int Tensor of shape (size,)
        In how many documents each token stands; 0 for padding, unknown tokens and the mask,
        which come first.
    n_documents : int
        How many documents there were.
    """

    _saved_as = "Vocabulary"
    document_frequency: Tensor
    n_documents: int

    @property
    def size(self) -> int:
        """Number of tokens, the three special ones included."""
        return len(self.document_frequency)

    @property
    def idf(self) -> Tensor:
        """Weight of each token, the rarer the higher: scikit-learn's smooth idf; 0 if special."""
        weight = ((1 + self.n_documents) / (1 + self.document_frequency.double())).log() + 1
        weight[:N_SPECIAL] = 0
        return weight.to(torch.float32)
