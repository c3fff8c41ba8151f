"""Configs for MovieLens 100K."""
