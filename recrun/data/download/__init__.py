"""Fetch the files of a data set from where its owners publish them."""
