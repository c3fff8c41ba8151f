"""Write a report of runs as a page: what was compared, curves, differences, groups, sweeps, settings."""
