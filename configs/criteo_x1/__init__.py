"""Configs for the Criteo_x1 data set."""
