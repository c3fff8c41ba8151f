"""Pipes: chains of steps that turn a data set into batches."""
