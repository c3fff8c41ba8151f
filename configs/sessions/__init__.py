"""Configs for sessions cut from MovieLens 100K."""
