"""Spectral metrics: how many directions an embedding uses, and whether two use the same."""

from typing import Any

import numpy as np
from scipy.special import entr
from sklearn.utils.validation import check_consistent_length

from skssl._data._containers import as_matrix

GREATEST = 1e60  # its fourth powers are finite


def rankme(Z: Any) -> float:
    """RankMe: the effective number of directions that the embedding uses.

    Higher is better, within one method and one width. It detects collapse immediately; a high
    value alone does not prove a good embedding, since noise has full rank, too.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding, with more rows than columns: the number of rows limits the rank.

    Returns
    -------
    rank : float
        ``exp(-sum_k p_k log p_k)`` with ``p_k = s_k / sum_j s_j`` and the singular values s of
        Z, not centred: between 1 and min(n_samples, n_components), or 0 if all of Z is 0. The
        paper adds 1e-7 to each p to avoid log 0; here 0 log 0 is 0.

    Raises
    ------
    ValueError
        If Z is not a finite array of two dimensions.

    References
    ----------
    .. [1] Garrido, Balestriero, Najman and LeCun, "RankMe: Assessing the Downstream Performance
       of Pretrained Self-Supervised Representations by Their Rank", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import rankme
    >>> print(round(rankme(np.eye(4)), 2), round(rankme(np.ones((4, 4))), 2))
    4.0 1.0
    """
    return effective_rank(_singular_values(check_embedding(Z)))


def alpha_req(Z: Any, first: int = 4, last: int = 100) -> float:
    """alpha-ReQ: how fast the variances of the principal components decay.

    According to the paper, a value near 1 is best: above 1 the embedding uses few directions, below
    1 it follows noise.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding.
    first, last : int, default=4, 100
        Ranks of the variances that the line is fitted to, where 1 is the largest; the defaults
        are those of the authors' code. If fewer than two variances are left, it starts at 1.

    Returns
    -------
    alpha : float
        The exponent of ``lambda_k ~ k^-alpha``, 0 or more: minus the slope of the line through
        ``(log k, log lambda_k)``, fitted by least squares with weights 1 / k to the
        eigenvalues of the covariance that are not 0. Infinite if there is only one.

    Raises
    ------
    ValueError
        If Z is not a finite array of two dimensions.

    References
    ----------
    .. [1] Agrawal, Mondal, Ghosh and Richards, "alpha-ReQ: Assessing Representation Quality in
       Self-Supervised Learning by Measuring Eigenspectrum Decay", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import alpha_req
    >>> k = np.arange(1, 11)
    >>> Z = np.vstack([np.diag(1 / k), -np.diag(1 / k)])  # variances 1, 1 / 4, 1 / 9 ...
    >>> print(round(alpha_req(Z), 3))
    2.0
    """
    Z = _centre(Z)
    variances = _singular_values(Z) ** 2
    # Variances of float32 embeddings that come from rounding alone.
    floor = (np.finfo(np.float32).eps * max(Z.shape)) ** 2 * variances[0]
    variances = variances[variances > floor][:last]
    if len(variances) < 2:
        return np.inf
    start = first - 1 if len(variances) > first else 0
    rank = np.arange(start, len(variances)) + 1.0
    x, y = np.log(rank), np.log(variances[start:])
    x, y = (v - np.average(v, weights=1 / rank) for v in (x, y))
    return max(0.0, float(-(x * y / rank).sum() / (x * x / rank).sum()))


def nesum(Z: Any) -> float:
    """NESum: the total variance, in units of the variance of the largest direction.

    Higher is better: white embeddings have n_components, collapsed ones 1. It is the
    :func:`stable_rank` of the centred embedding.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding.

    Returns
    -------
    sum : float
        ``sum_k lambda_k / lambda_1`` with the eigenvalues of the covariance: between 1 and
        min(n_samples - 1, n_components), or 0 if all rows are equal.

    Raises
    ------
    ValueError
        If Z is not a finite array of two dimensions.

    References
    ----------
    .. [1] He and Ozay, "Exploring the Gap between Collapsed and Whitened Features in
       Self-Supervised Learning", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import nesum
    >>> Z = [[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]]  # variances 4 and 1
    >>> print(round(nesum(Z), 3))
    1.25
    """
    return _sum_over_first(_singular_values(_centre(Z)))


def stable_rank(Z: Any) -> float:
    """Stable rank: the total squared norm, in units of that of the largest direction.

    Higher is better. Unlike :func:`rankme` it depends mostly on the largest direction: an embedding
    far from the origin has a stable rank near 1.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        An embedding.

    Returns
    -------
    rank : float
        ``sum_k s_k^2 / s_1^2`` with the singular values s of Z, not centred: between 1 and
        min(n_samples, n_components), or 0 if all of Z is 0.

    Raises
    ------
    ValueError
        If Z is not a finite array of two dimensions.

    References
    ----------
    .. [1] Tsitsulin, Munkhoeva and Perozzi, "Unsupervised Embedding Quality Evaluation",
       TAG-ML workshop, ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import stable_rank
    >>> print(round(stable_rank(np.eye(4)), 3), round(stable_rank(np.ones((4, 4))), 3))
    4.0 1.0
    """
    return _sum_over_first(_singular_values(check_embedding(Z)))


def seed_stability(A: Any, B: Any) -> float:
    """Measure the similarity of two embeddings of the same rows, such as those of two seeds.

    Higher is better: structure that depends on the seed is not in the data. The measure is linear
    CKA, which is invariant to rotation, scale and shift of either embedding.

    Parameters
    ----------
    A, B : array-like of shape (n_samples, n_components)
        Two embeddings of the same rows; their widths may differ.

    Returns
    -------
    similarity : float
        ``|A'B|^2 / (|A'A| |B'B|)`` with the Frobenius norm and columns centred: between 0 and 1.
        It is 0 if all rows of an embedding are equal.

    Raises
    ------
    ValueError
        If A and B are not finite arrays of two dimensions with the same number of rows.

    References
    ----------
    .. [1] Kornblith, Norouzi, Lee and Hinton, "Similarity of Neural Network Representations
       Revisited", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.metrics import seed_stability
    >>> Z = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    >>> turned, part = 3 * Z[:, ::-1] + 1, Z[:, :1]
    >>> print(round(seed_stability(Z, turned), 2), round(seed_stability(Z, part), 2))
    1.0 0.97
    """
    A, B = _centre(A), _centre(B)
    check_consistent_length(A, B)
    own = np.linalg.norm(A.T @ A) * np.linalg.norm(B.T @ B)
    return float(np.linalg.norm(A.T @ B) ** 2 / own) if own > 0 else 0.0


def check_embedding(Z: Any) -> np.ndarray:
    """Return an embedding as float64, or raise an error that says what is wrong with it."""
    Z = as_matrix(Z, "Z", allow_nd=True, ensure_min_samples=2)
    if np.abs(Z).max(initial=0) > GREATEST:
        raise ValueError(
            f"Z holds numbers up to {np.abs(Z).max():.3g}, whose products are infinite. Divide it "
            "by its greatest number."
        )
    if Z.ndim != 2:
        raise ValueError(
            f"Expected an embedding of shape (n_samples, n_components), got {Z.shape}. A "
            'transformer of pooling=None embeds each step: take pooling="mean".'
        )
    return Z


def _centre(Z: Any) -> np.ndarray:
    """Centre an embedding; rounding errors of constant columns become 0."""
    Z = check_embedding(Z)
    centred = Z - Z.mean(0)
    return np.where(np.abs(centred).max(0) > 1e-12 * np.abs(Z).max(0), centred, 0.0)


def effective_rank(weights: np.ndarray) -> float:
    """Return the exponential of the entropy of normalised weights; 0 if all are 0."""
    total = weights.sum()
    return float(np.exp(entr(weights / total).sum())) if total > 0 else 0.0


def _singular_values(Z: np.ndarray) -> np.ndarray:
    return np.linalg.svd(Z, compute_uv=False)


def _sum_over_first(values: np.ndarray) -> float:
    return float((values**2).sum() / values[0] ** 2) if values[0] > 0 else 0.0
