"""Losses that make embeddings follow a standard normal distribution."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from skssl._data._draws import randn
from skssl._ranks import agree, gather
from skssl.losses._common import _several, _unit, _wide


def sigreg(z: Tensor, n_slices: int = 256, n_knots: int = 17, limit: float = 5.0) -> Tensor:
    """Sketched isotropic Gaussian regularisation: how far embeddings are from a normal sample.

    Each call projects the rows on new random directions and compares the characteristic
    function of each projection with that of a standard normal variable: the test of Epps and
    Pulley. Time and memory grow linearly with each of n, d, ``n_slices`` and ``n_knots``.

    Parameters
    ----------
    z : Tensor of shape (..., n, d)
        Embeddings, or several batches of them, such as views, that share the directions.
    n_slices : int, default=256
        Number of random directions.
    n_knots : int, default=17
        Number of points of the trapezoidal rule in [0, ``limit``], at least two. The integrand
        is even, so they stand for twice as many.
    limit : float, default=5.0
        Upper limit of the integral. Projections ``2 pi (n_knots - 1) / limit`` apart cannot be
        told apart.

    Returns
    -------
    statistic : Tensor of shape ()
        Mean over batches and directions of the integral over t of
        ``n |mean(exp(i t x)) - exp(-t^2 / 2)|^2 exp(-t^2 / 2)``.

    References
    ----------
    .. [1] Balestriero and LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning
       Without the Heuristics", 2025. https://arxiv.org/abs/2511.08544
    .. [2] Epps and Pulley, "A test for normality based on the empirical characteristic
       function", Biometrika 1983.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import sigreg
    >>> _ = torch.manual_seed(0)
    >>> z = torch.randn(500, 4)
    >>> bool(sigreg(z) < 1 < sigreg(z + 1) < sigreg(5 * z))
    True
    """
    z = gather(_wide(z).transpose(0, -2)).transpose(0, -2)
    drawn = agree(randn(n_slices, z.shape[-1], dtype=z.dtype, device=z.device))
    x = _wide(z @ _unit(drawn).T)
    step, statistic = limit / (n_knots - 1), x.new_zeros(())
    for knot in range(1, n_knots):  # at 0 both functions are 1; one at a time stays in the cache
        t = knot * step
        normal, angle = math.exp(-t * t / 2), t * x
        gap = (angle.cos().mean(-2) - normal).square() + angle.sin().mean(-2).square()
        width = step if knot == n_knots - 1 else 2 * step
        statistic = statistic + width * normal * gap.mean()
    return x.shape[-2] * statistic


def lejepa(
    embeddings: Sequence[Tensor],
    lambd: float = 0.05,
    n_global: int | None = None,
    n_slices: int = 256,
) -> Tensor:
    """LeJEPA: every view predicts the mean of the global views, and all views are normal.

    Parameters
    ----------
    embeddings : sequence of Tensor of shape (n, d)
        Embeddings of the same n rows, view by view, the global views first.
    lambd : float, default=0.05
        Weight of :func:`sigreg`; the prediction error has weight ``1 - lambd``.
    n_global : int, optional
        Number of global views, whose mean is what all views predict. All by default.
    n_slices : int, default=256
        Number of random directions, the same for all views.

    Returns
    -------
    loss : Tensor of shape ()
        ``(1 - lambd)`` times the mean squared difference between the views and the mean of the
        global views, plus ``lambd`` times the mean of :func:`sigreg` over all views.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Balestriero and LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning
       Without the Heuristics", 2025. https://arxiv.org/abs/2511.08544

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import lejepa
    >>> z = torch.eye(3)
    >>> lejepa([z, z + 2], lambd=0.0).item(), lejepa([z, z + 2], 0.0, n_global=1).item()
    (1.0, 2.0)
    """
    _several(embeddings, "lejepa")
    views = torch.stack([_wide(view) for view in embeddings])
    error = (views - views[:n_global].mean(0)).square().mean()
    return (1 - lambd) * error + lambd * sigreg(views, n_slices)
