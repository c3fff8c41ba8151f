"""Re-export `Parser` of `recrun.config.parser` under a short import path for scripts."""

from recrun.config.parser import Parser

__all__ = ["Parser"]
