"""Configs for MovieLens 1M."""
