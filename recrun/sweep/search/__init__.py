"""How the points of a space are drawn: one file for each search."""
