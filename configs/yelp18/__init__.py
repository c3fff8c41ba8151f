"""Configs for the Yelp 2018 data set."""
