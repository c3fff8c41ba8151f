"""Download the published files of data sets."""
