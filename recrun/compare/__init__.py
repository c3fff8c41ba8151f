"""Compare groups of finished runs: means, differences with intervals, tests of significance, and tables of these."""
