"""Suggest what was meant by keys and values that a config cannot have."""
