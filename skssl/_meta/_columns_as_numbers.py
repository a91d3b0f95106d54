"""Columns of a table as numbers, for estimators without categories or missing values."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from skssl._data import TableReader
from skssl._data._table import CategoricalFeatures


class ColumnsAsNumbers(TransformerMixin, BaseEstimator):
    """Encode the columns of a table for a linear model or a forest.

    Numbers are standardised, missing values become the median with an indicator, and categories are
    one-hot encoded, up to 100 per column.

    Parameters
    ----------
    categorical_features : "from_dtype" or list, default="from_dtype"
        As in the transformers.
    """

    _saved_as = "ColumnsAsNumbers"

    def __init__(self, categorical_features: CategoricalFeatures = "from_dtype"):
        self.categorical_features = categorical_features

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn medians, scales and categories."""
        from sklearn.impute import SimpleImputer  # slow to import

        self.reader_ = TableReader(self.categorical_features).fit(X)
        columns = self.reader_.columns
        medians = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=100, sparse_output=False
        )
        self.columns_ = ColumnTransformer(
            [
                ("numbers", make_pipeline(medians, StandardScaler()), columns.numeric),
                ("categories", one_hot, columns.categorical),
            ]
        ).fit(self.reader_.read(X).numpy())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns as floats."""
        check_is_fitted(self)
        return self.columns_.transform(self.reader_.read(X).numpy())
