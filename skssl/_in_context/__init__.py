"""In-context learning: predict a column of a table from its other columns, in one forward pass."""
