"""Configs for the Gowalla data set."""
