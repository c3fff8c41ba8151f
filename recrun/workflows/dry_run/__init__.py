"""Estimate what a run takes by a short one, and refuse what cannot fit."""
