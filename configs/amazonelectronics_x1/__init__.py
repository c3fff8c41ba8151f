"""Configs for the AmazonElectronics_x1 data set."""
