"""Base of the in-context estimators."""

from numbers import Integral

from sklearn.utils import Tags
from torch import Tensor

from skssl._compat import Constraints, Estimator, Interval, StrOptions
from skssl._data import TableReader
from skssl._data._table import CategoricalFeatures
from skssl.encoders import QuantileScaler


class InContextEstimator(Estimator):
    """Read a table and scale its columns."""

    _parameter_constraints: Constraints = {
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "random_state": ["random_state"],
    }
    categorical_features: CategoricalFeatures

    def _read_table(self, X: object) -> Tensor:
        """Learn the columns of X, and return its rows as they are."""
        self.reader_ = TableReader(self.categorical_features).fit(X)
        x = self.reader_.read(X)
        self.scaler_ = QuantileScaler(x, self.reader_.columns)
        return x

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = True
        return tags
