"""What runs the commands of trials: one file for each engine. A user's own engine derives from `Engine`."""

from recrun.sweep.engines.engine import Engine, Job, Outcome, choose_engine

__all__ = ["Engine", "Job", "Outcome", "choose_engine"]
