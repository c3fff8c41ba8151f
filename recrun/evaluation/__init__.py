"""Evaluate models: rank all items for every user, or predict all labels, and compute metrics."""
