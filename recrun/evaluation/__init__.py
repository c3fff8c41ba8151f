"""Rank all items, or predict all labels, and measure."""
