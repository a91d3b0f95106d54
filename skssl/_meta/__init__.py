"""What meta-estimators share: fitting parts, the cache, raw columns, the last step."""
