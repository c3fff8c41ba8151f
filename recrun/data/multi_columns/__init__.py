"""Columns of several categories in a row, which may be those of another column."""
