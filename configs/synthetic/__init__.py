"""Configs with settings for the embedded data sets."""
