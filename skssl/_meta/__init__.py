"""Shared parts of meta-estimators: fitting, cache, raw columns, steps of Pipelines."""
