"""Re-export `Config` of `recrun.config.config` under a short import path for scripts."""

from recrun.config.config import Config

__all__ = ["Config"]
