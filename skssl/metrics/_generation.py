"""Metrics of generated rows: how far their distribution is from that of real ones."""

from typing import Any

import numpy as np

from skssl._compat import HasMethods, validate_params
from skssl.metrics._spectrum import check_embedding


@validate_params(
    {"transformer": [HasMethods(["transform"]), None]},
    prefer_skip_nested_validation=True,
)
def frechet_distance(A: object, B: object, transformer: Any = None) -> float:
    """Fréchet distance between two sets of rows, such as real and generated images.

    Lower is better. A fixed transformer is the ruler: it embeds both sets, and the distance is that
    of two normal distributions with the means and covariances of the embeddings. Distances by
    different rulers cannot be compared.

    Parameters
    ----------
    A, B : array-like of shape (n_samples, ...)
        The two sets of rows, at least 2 of each. Embeddings, if ``transformer`` is None.
    transformer : fitted transformer, default=None
        The ruler: trained on real rows, best on others than A and B. None takes A and B as they
        are.

    Returns
    -------
    distance : float
        ``|m - n|^2 + tr(S + T - 2 (S^1/2 T S^1/2)^1/2)`` with the means m and n and the
        covariances S and T of the embeddings of A and B: 0 or more, in squared units of the
        embedding.

    Raises
    ------
    ValueError
        If A or B, or their embeddings, are not finite arrays of two dimensions and one width.

    Notes
    -----
    Two samples of one distribution are not at distance 0, the less so the fewer rows and the more
    components there are: compare distances between equal numbers of rows, and put the distance of
    two halves of the real rows beside them.

    References
    ----------
    .. [1] Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs Trained by a Two
       Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017.
       https://arxiv.org/abs/1706.08500

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skssl.metrics import frechet_distance
    >>> X = load_digits().data
    >>> ruler = PCA(10, random_state=0).fit(X)
    >>> noise = np.random.default_rng(0).integers(0, 17, X[::2].shape)
    >>> print(f"{frechet_distance(X[::2], X[1::2], ruler):.0f}")
    4
    >>> print(f"{frechet_distance(X[::2], noise, ruler):.0f}")
    372
    """
    if transformer is not None:
        A, B = transformer.transform(A), transformer.transform(B)
    Z, W = check_embedding(A), check_embedding(B)
    if Z.shape[1] != W.shape[1]:
        raise ValueError(
            f"A and B must have the same number of columns; got {Z.shape[1]} and {W.shape[1]}."
        )
    (m, R), (n, Q) = _mean_and_root(Z), _mean_and_root(W)
    # The trace of the root is the sum of the singular values of S^1/2 T^1/2, or of any roots.
    root = np.linalg.norm(R @ Q.T, "nuc")
    return max(0.0, float(((m - n) ** 2).sum() + (R**2).sum() + (Q**2).sum() - 2 * root))


def _mean_and_root(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and a matrix R such that R'R is the covariance."""
    mean = Z.mean(0)
    return mean, np.asarray(np.linalg.qr((Z - mean) / np.sqrt(len(Z) - 1), mode="r"))
