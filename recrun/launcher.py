"""The seed's name for `recrun.training.coach`."""

from recrun.training.coach import Coach

__all__ = ["Coach"]
