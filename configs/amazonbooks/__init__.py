"""Configs for the Amazon Books data set."""
