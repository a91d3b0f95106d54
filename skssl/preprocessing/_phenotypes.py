"""Event sequences and other bags, and the transformer that describes them by clusters."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
)
from sklearn.cluster import KMeans
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from skssl._atomic import restore_on_failure
from skssl._compat import (
    CallbackSupportMixin,
    Constraints,
    Estimator,
    HasMethods,
    Interval,
    Seed,
    Task,
    fit_context,
    plain_torch,
    take_metadata,
)
from skssl._data import bags_of, check_time, note_columns
from skssl._data._bags import BagArray, BagDtype, to_bags
from skssl._meta._columns_as_numbers import ColumnsAsNumbers
from skssl._meta._fitting import RoutesFit, fit_as_task, make_part
from skssl.base._modality_of import check_modality

__all__ = ["BagArray", "BagDtype", "PhenotypeTransformer", "to_bags"]


class PhenotypeTransformer(
    RoutesFit,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    MetaEstimatorMixin,
    Estimator,
):
    """Describe a bag as a mixture: the shares of the clusters of its parts.

    X holds bags, as made by :func:`skssl.to_bags`: the events of customers, the tiles of slides,
    the readings of machines. The parts of all bags are embedded and clustered together. A bag
    becomes the centred log-ratio of its cluster shares [1]_: the logarithm of each share minus the
    mean of these logarithms [2]_, which suits linear models.

    Parameters
    ----------
    transformer : transformer, default=None
        Embeds a part from its columns, without the time. A clone of it is fitted on the parts of
        all bags, unless it is wrapped in :class:`~sklearn.frozen.FrozenEstimator`. None uses the
        columns themselves: standardised numbers and one-hot categories.
    clusterer : clusterer, default=None
        Clusters the embedded parts; has ``fit`` and ``predict``. A clone of it is fitted. None
        is :class:`~sklearn.cluster.KMeans`.
    n_clusters : int, default=20
        Number of clusters if ``clusterer`` is None.
    pseudo_count : float, default=0.5
        Added to the number of parts of a bag in each cluster, so that the logarithm of 0 parts
        exists and small bags are shrunk towards equal shares.
    random_state : int, RandomState instance or None, default=None
        Seeds the transformer and the clusterer if their own ``random_state`` is None.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer of parts.
    clusterer_ : clusterer
        The fitted clusterer.
    clusters_ : ndarray of shape (n_clusters,)
        The cluster labels found in ``fit``, in the order of the columns.
    n_features_in_ : int
        Number of columns of a part, including the time.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    to_bags : Turns a long table into bags.
    CoLES : Embeds event sequences by the order of the events, which is ignored here.

    Notes
    -----
    [1]_ clusters by Leiden communities of a neighbour graph.

    References
    ----------
    .. [1] Claudio Quiros et al., "Mapping the Landscape of Histomorphological Cancer Phenotypes
       Using Self-Supervised Learning on Unannotated Pathology Slides", Nature Communications,
       2024. https://arxiv.org/abs/2205.01931
    .. [2] Aitchison, "The Statistical Analysis of Compositional Data", Journal of the Royal
       Statistical Society B, 1982.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skssl import PhenotypeTransformer, to_bags
    >>> rng = np.random.default_rng(0)
    >>> events = pd.DataFrame({"client": rng.integers(0, 30, 400)})
    >>> events["spent"] = rng.lognormal(3 * rng.integers(0, 2, 400))
    >>> bags = to_bags(events, id="client")
    >>> PhenotypeTransformer(n_clusters=3, random_state=0).fit_transform(bags).shape
    (30, 3)
    """

    _routes_to = ("transformer", "clusterer")
    _modalities = ("bags",)

    _parameter_constraints: Constraints = {
        "transformer": [HasMethods(["fit", "transform"]), None],
        "clusterer": [HasMethods(["fit", "predict"]), None],
        "n_clusters": [Interval(Integral, 2, 2**16, closed="both")],
        "pseudo_count": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        transformer: Any = None,
        clusterer: Any = None,
        *,
        n_clusters: int = 20,
        pseudo_count: float = 0.5,
        random_state: Seed = None,
    ):
        self.transformer = transformer
        self.clusterer = clusterer
        self.n_clusters = n_clusters
        self.pseudo_count = pseudo_count
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Embed and cluster the parts of all bags.

        Parameters
        ----------
        X : Series of n_samples bags
            Bags, as made by :func:`skssl.to_bags`.
        y : Ignored
            Present for API consistency.
        **params : dict
            Metadata that the transformer and clusterer request, with scikit-learn's metadata
            routing enabled. Of metadata with one entry per bag, such as ``groups``, each part of
            the bag gets that entry.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        with restore_on_failure(self):
            bags = self._check(X, reset=True)
            self._time = bags.events.time
            parts, random = self._parts(bags), check_random_state(self.random_state)
            if self.clusterer is None and len(parts) < self.n_clusters:
                raise ValueError(
                    f"The bags have {len(parts)} parts in all, fewer than n_clusters="
                    f"{self.n_clusters}. Pass more bags, or a smaller n_clusters."
                )
            owner = np.repeat(np.arange(len(bags)), bags.lengths)
            routed = {k: take_metadata(X, v, owner) for k, v in self._route(params).items()}
            task = self._init_callback_context(max_subtasks=2)
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            embed = make_part(self, self.transformer, ColumnsAsNumbers, random)
            self.transformer_ = self._fit_part("transformer", embed, task, parts, routed)
            Z = np.asarray(self.transformer_.transform(parts))
            cluster = make_part(self, self.clusterer, lambda: KMeans(self.n_clusters), random)
            self.clusterer_ = self._fit_part("clusterer", cluster, task, Z, routed)
            self.clusters_ = np.unique(self.clusterer_.predict(Z))
            self._n_features_out = len(self.clusters_)
            task.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
            return self

    @plain_torch()
    def transform(self, X: Any) -> np.ndarray:
        """Return the centred log-ratios of the shares of the clusters.

        Parameters
        ----------
        X : Series of n_samples bags
            Bags with the columns seen in ``fit``.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_clusters), float32
            Each row sums to 0.
        """
        check_is_fitted(self)
        bags = self._check(X, reset=False)
        labels = self.clusterer_.predict(np.asarray(self.transformer_.transform(self._parts(bags))))
        code = np.searchsorted(self.clusters_, labels).clip(max=len(self.clusters_) - 1)
        seen = self.clusters_[code] == labels  # a mixture may have an empty component
        counts = np.zeros((len(bags), len(self.clusters_)))
        owner = np.repeat(np.arange(len(bags)), bags.lengths)
        np.add.at(counts, (owner[seen], code[seen]), 1)
        # The size of the bag adds a constant to all logarithms, which centring removes.
        logs = np.log(counts + self.pseudo_count)
        return (logs - logs.mean(1, keepdims=True)).astype(np.float32)

    def _check(self, X: Any, *, reset: bool) -> BagArray:
        """Return the bags with unused parts dropped, checked against the columns of fit."""
        check_modality(X, self, self._modalities)
        bags = bags_of(X).compact()
        note_columns(self, bags.events.frame, reset=reset)
        if not reset:
            check_time(bags, self._time)
        return bags

    def _parts(self, bags: BagArray) -> pd.DataFrame:
        """Return the parts of all bags as one dataframe, without the time."""
        frame = bags.events.frame
        parts = frame if self._time is None else frame.drop(columns=self._time)
        if not parts.shape[1]:
            raise ValueError(
                f"A part has no column but the time, {self._time!r}: nothing to cluster by. Add "
                "columns before to_bags, such as the hour or the time since the last event."
            )
        return parts

    def _fit_part(self, name: str, part: Any, task: Task, X: Any, routed: dict[str, Any]) -> Any:
        subtask = task.subcontext(task_name=f"fit-{name}")
        fit_as_task(self, part, subtask, X, None, lambda: part.fit(X, None, **routed[name]))
        return part

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
