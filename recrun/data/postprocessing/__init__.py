"""Pipes: from a data set to batches."""
