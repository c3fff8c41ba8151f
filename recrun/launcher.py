"""Re-export `Coach` of `recrun.training.coach` under a short import path for scripts."""

from recrun.training.coach import Coach

__all__ = ["Coach"]
