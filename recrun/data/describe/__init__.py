"""Describe data files: their layout, their faults, their statistics, and the settings that read them."""
