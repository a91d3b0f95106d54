"""Losses of embeddings that depend on a context."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl.losses._common import _unit, _wide


def context_nce(
    before: Tensor, first: Tensor, second: Tensor, changed: Tensor, temperature: float = 0.2
) -> Tensor:
    """NT-Xent within each context, where a row before the actions told is a negative of its own.

    Parameters
    ----------
    before : Tensor of shape (g, n, d)
        Embeddings of n rows in each of g contexts, before all actions. Normalised here.
    first, second : Tensor of shape (g, n, d)
        Embeddings of the rows altered twice: alike by the actions that the context tells of, and
        independently by the others. Normalised here.
    changed : bool Tensor of shape (g, n)
        Whether the actions told have changed the row. If not, its own embedding before is no
        negative.
    temperature : float, default=0.2
        Divides the cosine similarities.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over all 2 g n embeddings of the cross-entropy of the row's other embedding among
        the first, second and former ones of all rows of the context, without itself.

    Notes
    -----
    Of the paper's loss [1]_, this differs where short trainings on small data ignored the context.
    There, the embedding of a row and its action must be that of the result; a predictor can then
    guess around what the embedding keeps, and hardly anything is gained by dropping it. Here, two
    results of the same actions told are compared, so that every trace of the other actions costs.

    References
    ----------
    .. [1] Gupta, Wang, Wang, Jaakkola and Jegelka, "In-Context Symmetries: Self-Supervised
       Learning through Contextual World Models", NeurIPS 2024. https://arxiv.org/abs/2405.18193

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import context_nce
    >>> a = torch.eye(2)[None]
    >>> context_nce(-a, a, a, torch.tensor([[True, True]]), 1.0).item()  # log(1 + 3/e + 1/e**2)
    0.806...
    """
    n = first.shape[1]
    first, second, before = _unit(first), _unit(second), _unit(before)
    z = torch.cat([first, second], 1)
    similarity = _wide(z @ torch.cat([z, before], 1).mT) / temperature
    own = torch.eye(n, dtype=torch.bool, device=z.device).repeat(2, 1)
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device).expand(len(z), -1, -1)
    same = own & ~changed.repeat(1, 2)[:, :, None]
    similarity = similarity.masked_fill(torch.cat([itself, same], 2), -torch.inf)
    other = torch.arange(2 * n, device=z.device).roll(n).repeat(len(z))
    return F.cross_entropy(similarity.flatten(0, 1), other)


def told_error(guess: Tensor, changes: Tensor, told: Tensor) -> Tensor:
    """Squared error of guessed parameters of actions, over those that are told.

    Parameters
    ----------
    guess : Tensor of shape (g, n, p)
        Parameters guessed in each of g contexts.
    changes : Tensor of shape (g, n, p)
        True parameters.
    told : Tensor of shape (g, p)
        1 for the parameters that the context tells of, 0 for the others.

    Returns
    -------
    loss : Tensor of shape ()
        The mean over what is told; 0 if nothing is.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import told_error
    >>> changes = torch.tensor([[[1.0, 5.0]]])
    >>> told_error(torch.zeros(1, 1, 2), changes, torch.tensor([[1.0, 0.0]]))
    tensor(1.)
    """
    error = (guess.float() - changes).square() * told[:, None]
    return error.sum() / (told.sum() * changes.shape[1]).clamp(min=1)
