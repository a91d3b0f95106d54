"""Label-free metrics as scorers of searches and of callbacks."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from skssl._compat import Interval, StrOptions, count_rows, plain_torch, take_rows, validate_params
from skssl._data._draws import Draws
from skssl._meta._steps import check_embedding
from skssl.base._modalities import rows_per_step
from skssl.base._transformer import SSLTransformer, _apply
from skssl.inspection._fitted import spread, unwrap
from skssl.metrics._spectrum import alpha_req, nesum, rankme, stable_rank
from skssl.metrics._views import alignment, knn_consistency, lidar, uniformity

DRAWS = 10  # after so many, a view counts as one that alters nothing

MetricName = Literal[
    "rankme",
    "alpha_req",
    "nesum",
    "stable_rank",
    "uniformity",
    "lidar",
    "alignment",
    "knn_consistency",
]

# All are signed so that greater is better.
OF_EMBEDDINGS: dict[str, Callable[[np.ndarray], float]] = {
    "rankme": rankme,
    "alpha_req": lambda Z: -abs(alpha_req(Z) - 1),
    "nesum": nesum,
    "stable_rank": stable_rank,
    "uniformity": lambda Z: -uniformity(Z),
}
OF_VIEWS: dict[str, Callable[[np.ndarray], float]] = {
    "lidar": lidar,
    "alignment": lambda Z: -alignment(Z),
    "knn_consistency": knn_consistency,
}


@dataclass(frozen=True, repr=False)
class Scorer:
    """The scorer that :func:`label_free_scorer` returns."""

    _saved_as = "LabelFreeScorer"
    metric: MetricName
    max_samples: int = 1000
    n_views: int = 4
    random_state: int = 0

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score the embedding of X; labels are ignored."""
        X = take_rows(X, spread(count_rows(X), self.max_samples))
        if self.metric in OF_VIEWS:
            transformer, X = unwrap(estimator, X)
            views = embed_views(transformer, X, self.n_views, self.random_state)
            return OF_VIEWS[self.metric](views)
        if not hasattr(estimator, "transform"):
            estimator, X = unwrap(estimator, X)
        Z = estimator.transform(X)
        check_embedding(Z, estimator)
        return OF_EMBEDDINGS[self.metric](np.asarray(Z))

    def __repr__(self) -> str:
        given = ((f.name, getattr(self, f.name), f.default) for f in fields(self)[1:])
        changed = [f", {name}={value!r}" for name, value, usual in given if value != usual]
        return f"label_free_scorer({self.metric!r}{''.join(changed)})"


@validate_params(
    {
        "metric": [StrOptions(set(get_args(MetricName)))],
        "max_samples": [Interval(Integral, 2, None, closed="left")],
        "n_views": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
    },
    prefer_skip_nested_validation=True,
)
def label_free_scorer(
    metric: MetricName, *, max_samples: int = 1000, n_views: int = 4, random_state: int = 0
) -> Scorer:
    """Make a scorer that needs no labels, for searches, cross-validation and callbacks.

    Greater is better: the scorers of :func:`alignment` and :func:`uniformity` have the opposite
    sign, and that of :func:`alpha_req` is minus the distance from 1.

    Parameters
    ----------
    metric : str
        ``"rankme"``, ``"alpha_req"``, ``"nesum"``, ``"stable_rank"`` and ``"uniformity"`` read
        the embedding of the rows; ``"lidar"``, ``"alignment"`` and ``"knn_consistency"`` the
        embeddings of altered copies. :func:`seed_stability` compares two fits: call it directly.
    max_samples : int, default=1000
        Greatest number of rows to use, evenly spaced.
    n_views : int, default=4
        Number of altered copies of each row.
    random_state : int, default=0
        Seeds the views, the same ones for every estimator.

    Returns
    -------
    scorer : callable
        It has the signature ``scorer(estimator, X, y=None)`` and can be pickled. The estimator
        is a fitted transformer of any kind, a Pipeline that ends in one, or a
        PretrainedClassifier or PretrainedRegressor, whose transformer is scored. Metrics of
        views need a self-supervised one, whose own ``views_`` are drawn.

    Notes
    -----
    Scores of two methods, or of two widths, cannot be compared. Neither can metrics of views if the
    strength of the views differs, because each candidate is scored on its own altered copies.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skssl import SCARF
    >>> from skssl.metrics import label_free_scorer
    >>> X = load_breast_cancer().data[:200]
    >>> scarf = SCARF(n_components=8, max_epochs=5, random_state=0)
    >>> scorer = label_free_scorer("knn_consistency")
    >>> search = GridSearchCV(scarf, {"learning_rate": [1e-9, 1e-2]}, cv=2, scoring=scorer)
    >>> search.fit(X).best_params_, scorer
    ({'learning_rate': 0.01}, label_free_scorer('knn_consistency'))
    """
    return Scorer(metric, max_samples, n_views, random_state)


@plain_torch()
def embed_views(transformer: SSLTransformer, X: Any, n_views: int, seed: int) -> np.ndarray:
    """Embed altered copies of rows, (n_views, n_samples, n_components)."""
    encoder = transformer.encoder_[1]
    x = transformer._read(X)
    embedded = []
    with torch.no_grad(), Draws(seed).here(everywhere=True):
        # Views are drawn batch by batch, as in training, except for a last ragged batch.
        for batch in x.tensor_split(-(-len(x) // rows_per_step(transformer, x))):
            altered = _alter(transformer, batch, n_views)
            embedded.append(torch.stack([_apply(encoder, view) for view in altered]))
    return torch.cat(embedded, dim=1).numpy()


def _alter(transformer: SSLTransformer, x: Tensor, n_views: int) -> list[Tensor]:
    """Return scaled altered copies of a batch, from as many draws as needed."""
    found: list[Tensor] = []
    for _ in range(DRAWS * n_views):
        # An unaltered view would be the same in every draw.
        scaled, views = transformer._views_of(x)
        found += [v for v in views if v is not scaled and not torch.equal(v, scaled)]
        if len(found) >= n_views:
            return found[:n_views]
    raise ValueError(
        f"{type(transformer).__name__} compares no altered copies of whole rows, which this metric "
        "looks at. Pass views= to it, or score by 'rankme' or another metric of the embedding."
    )
