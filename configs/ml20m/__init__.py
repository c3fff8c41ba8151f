"""Configs for MovieLens 20M, with users held out."""
