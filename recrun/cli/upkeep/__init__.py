"""The commands that keep things in order."""
