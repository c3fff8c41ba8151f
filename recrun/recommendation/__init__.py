"""Recommendations from a trained model, by original ids."""
