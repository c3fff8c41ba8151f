"""The seed's name for `recrun.config.config`."""

from recrun.config.config import Config

__all__ = ["Config"]
