"""Runs, sweeps and comparisons as objects of Python, for notebooks and scripts."""
