"""Trained models as files that are used without recrun: vectors, weights, networks and indexes."""
