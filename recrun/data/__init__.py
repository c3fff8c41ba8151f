"""Interactions from files to batches."""
