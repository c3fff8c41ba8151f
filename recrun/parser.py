"""The seed's name for `recrun.config.parser`."""

from recrun.config.parser import Parser

__all__ = ["Parser"]
