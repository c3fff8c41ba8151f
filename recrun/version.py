"""Hold the version of recrun."""

__version__ = "0.1.0"
