"""Views of token sequences: int64 batches (n, length), 0 behind the last token of a row."""

import torch
from torch import Tensor

from skssl._data._draws import rand, randint
from skssl._data._vocabulary import MASK, N_SPECIAL, PAD, UNKNOWN


def random_chunk(
    x: Tensor,
    low: float = 0.25,
    high: float = 0.75,
    longest: int | None = None,
    within: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Keep a random run of each row's consecutive tokens.

    Parameters
    ----------
    x : int Tensor of shape (n, length)
        Tokens; 0 behind the last of a row.
    low, high : float, default=0.25, 0.75
        Least and greatest length of the run, as a share of the tokens it may lie in; at least
        one token.
    longest : int, default=None
        Greatest number of tokens in the run.
    within : (float, float), default=(0.0, 1.0)
        The run lies between these shares of the row, rounded outwards to whole tokens.

    Returns
    -------
    view : int Tensor of shape (n, longest of the runs)
        The runs, moved to the front.

    Examples
    --------
    >>> import torch
    >>> from skssl.views import random_chunk
    >>> random_chunk(torch.arange(3, 11)[None], low=0.5, high=0.5).diff()
    tensor([[1, 1, 1]])
    """
    n_tokens = (x != PAD).sum(1)
    begin = (within[0] * n_tokens).floor().long()
    total = (within[1] * n_tokens).ceil().long() - begin
    draw = rand(2, len(x), device=x.device)
    size = ((low + (high - low) * draw[0]) * total).round().long().clamp(1, longest)
    size = size.minimum(total)
    start = begin + (draw[1] * (total - size + 1)).long()
    step = torch.arange(max(1, int(size.max())), device=x.device)
    runs = x.gather(1, (start[:, None] + step).clamp(max=x.shape[1] - 1))
    return runs.masked_fill(step >= size[:, None], PAD)


def drop_tokens(x: Tensor, p: float = 0.1) -> Tensor:
    """Replace random tokens by padding.

    Parameters
    ----------
    x : int Tensor of shape (n, length)
        Tokens.
    p : float, default=0.1
        Probability that a token is dropped.

    Returns
    -------
    view : int Tensor of shape (n, length)

    Examples
    --------
    >>> import torch
    >>> from skssl.views import drop_tokens
    >>> drop_tokens(torch.tensor([[3, 4, 5]]), p=0.0)
    tensor([[3, 4, 5]])
    """
    return x.masked_fill(rand(x.shape, device=x.device) < p, PAD)


def mask_tokens(x: Tensor, n_tokens: int, p: float = 0.15) -> tuple[Tensor, Tensor]:
    """Choose random tokens to predict, and hide most of them.

    Of the chosen tokens, 80 % are masked, 10 % replaced by a random token, 10 % unchanged [1]_.

    Parameters
    ----------
    x : int Tensor of shape (n, length)
        Tokens. Padding and unknown tokens are never chosen.
    n_tokens : int
        Size of the vocabulary, from which replacements are drawn, special tokens aside.
    p : float, default=0.15
        Probability that a token is chosen.

    Returns
    -------
    view : int Tensor of shape (n, length)
        The altered tokens.
    chosen : bool Tensor of shape (n, length)
        The tokens to predict.

    References
    ----------
    .. [1] Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional
       Transformers for Language Understanding", NAACL 2019. https://arxiv.org/abs/1810.04805

    Examples
    --------
    >>> import torch
    >>> from skssl.views import mask_tokens
    >>> view, chosen = mask_tokens(torch.tensor([[3, 4, 5, 0]]), 6, p=1.0)
    >>> chosen
    tensor([[ True,  True,  True, False]])
    """
    draw = rand(2, *x.shape, device=x.device)
    chosen = (draw[0] < p) & (x != PAD) & (x != UNKNOWN)
    other = randint(N_SPECIAL, max(n_tokens, N_SPECIAL + 1), x.shape, device=x.device)
    view = torch.where(chosen & (draw[1] < 0.8), MASK, x)
    return torch.where(chosen & (draw[1] >= 0.9), other, view), chosen
