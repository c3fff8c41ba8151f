"""Configs for the Amazon Beauty data set."""
