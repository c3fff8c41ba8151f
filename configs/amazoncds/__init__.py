"""Configs for the Amazon CDs data set."""
