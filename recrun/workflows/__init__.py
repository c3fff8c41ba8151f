"""Implement the commands: each module does the work of one verb."""
