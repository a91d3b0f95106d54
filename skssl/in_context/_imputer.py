"""In-context imputation of missing values."""

from numbers import Integral
from typing import Self

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skssl._compat import Constraints, Interval, Seed, fit_context, plain_torch
from skssl._data import note_columns
from skssl._data._containers import as_native
from skssl._data._table import CategoricalFeatures
from skssl.in_context._base import InContextEstimator
from skssl.in_context._passes import Classes, Target, draw_passes, standardized


class InContextImputer(OneToOneFeatureMixin, TransformerMixin, InContextEstimator):
    """Impute missing values from the rest of their row and from other rows, without training.

    Each column with missing values is predicted from the other columns, as by
    :class:`skssl.InContextClassifier` or :class:`skssl.InContextRegressor`: a category by the most
    probable one, a number by its expected value. The other columns may have missing values, too.

    Parameters
    ----------
    n_permutations : int, default=2
        Number of passes whose predictions are averaged. Each draws its own rows.
    max_samples : int, default=256
        Greatest number of context rows per pass. Time grows faster than in proportion.
    categorical_features : "from_dtype", list of str, list of int, boolean mask or None, \
            default="from_dtype"
        The columns that hold categories. ``"from_dtype"``: columns of strings, categories and
        booleans.
    random_state : int, RandomState instance or None, default=None
        Seeds the choice of rows and the passes.

    Attributes
    ----------
    x_ : Tensor of shape (n_kept, n_features)
        The context rows: numbers, and codes of categories.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen in ``fit``, if X had names that are all strings.

    See Also
    --------
    MaskedTable : Trains a transformer on masked cells; slower.

    Notes
    -----
    A column that has no value in ``fit`` is left as it is, and stays missing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from skssl import InContextImputer
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> is_missing = np.random.default_rng(0).random(X.shape) < 0.2
    >>> filled = InContextImputer(random_state=0).fit_transform(X.mask(is_missing))
    >>> error = ((filled - X) / X.std()).where(is_missing)
    >>> round(float((error**2).mean().mean() ** 0.5), 2)  # imputing column means: 1.03
    0.73
    """

    _parameter_constraints: Constraints = {
        **InContextEstimator._parameter_constraints,
        "max_samples": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        n_permutations: int = 2,
        max_samples: int = 256,
        categorical_features: CategoricalFeatures = "from_dtype",
        random_state: Seed = None,
    ):
        self.n_permutations = n_permutations
        self.max_samples = max_samples
        self.categorical_features = categorical_features
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def fit(self, X: object, y: object = None) -> Self:
        """Keep some rows as a context.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows, with missing values or without.
        y : object
            Ignored.

        Returns
        -------
        self : object
            The fitted imputer.
        """
        note_columns(self, X)
        X = as_native(X)
        random = check_random_state(self.random_state)
        x = self._read_table(X)
        self.x_ = x[self._rows_to_keep(random, x.isnan().numpy())]
        self.seed_ = int(random.randint(2**31 - 1))
        return self

    def _rows_to_keep(self, random: np.random.RandomState, is_missing: np.ndarray) -> np.ndarray:
        """Return random rows, enough for every column to have known values for all passes."""
        order = random.permutation(len(is_missing))
        known = ~is_missing[order]
        enough = known & (known.cumsum(0) <= self.max_samples * self.n_permutations)
        return order[enough.any(1)]

    @plain_torch()
    def transform(self, X: object) -> object:
        """Impute missing values.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X_filled : of the type, columns and units of X
            A copy of X with missing values predicted; everything else is unchanged.
        """
        check_is_fitted(self)
        native = as_native(X)
        x = self.reader_.read(native)
        note_columns(self, X, reset=False)
        cells = x.double().numpy().copy()
        scaled, kept = self.scaler_(x), self.scaler_(self.x_)
        for j in np.flatnonzero(np.isnan(cells).any(0)):
            rows = np.flatnonzero(np.isnan(cells[:, j]))
            cells[rows, j] = self._predict_column(int(j), scaled[torch.from_numpy(rows)], kept)
        return self.reader_.fill(cells, native)

    def _predict_column(self, j: int, x: torch.Tensor, kept: torch.Tensor) -> np.ndarray:
        """Predict column ``j`` of scaled rows ``x``: numbers in their units, or category codes."""
        values = self.x_[:, j].double().numpy()
        known = ~np.isnan(values)
        if len(np.unique(values[known])) < 2:  # nothing to tell apart
            return np.full(len(x), values[known][0] if known.any() else np.nan)
        n_categories = self.reader_.columns.cardinality[j]
        if x.shape[1] == 1:  # nothing to tell by
            usual = np.nanmean(values)
            if n_categories:
                usual = np.bincount(values[known].astype(int)).argmax()
            return np.full(len(x), float(usual))
        target, mean, scale = self._target(values, n_categories)
        others = np.delete(np.arange(x.shape[1]), j)
        random = np.random.RandomState((self.seed_ + j) % 2**32)
        cardinality, most = self.reader_.columns.cardinality, (self.max_samples, 0)
        drawn = draw_passes(random, kept, cardinality, target, self.n_permutations, most, others)
        found = drawn.predict(x)
        return found.argmax(1) if n_categories else found * scale + mean

    def _target(self, values: np.ndarray, n_categories: int) -> tuple[Target, float, float]:
        """Return the target, and the mean and standard deviation of numbers."""
        if n_categories:
            return Classes(np.nan_to_num(values, nan=-1).astype(int), n_categories), 0.0, 1.0
        return standardized(values)
