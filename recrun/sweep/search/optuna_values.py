"""Translate dimensions into Optuna's distributions, and values into Optuna's and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recrun.sweep.space.dimensions import Dimension, Interval, Options

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


def is_numeric(dimension: Dimension) -> bool:
    """Return whether a dimension is a range of more than one number."""
    return isinstance(dimension.values, Interval) and dimension.values.n_values != 1


def distribution(values: Options | Interval) -> BaseDistribution:
    """Return Optuna's distribution: the positions of options and of steps, or the numbers of a range."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, Options):
        return CategoricalDistribution(tuple(range(len(values.options))))
    if _is_stepped(values):
        return IntDistribution(0, (values.n_values or 1) - 1)
    if values.is_integer:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def suggested(trial: Trial, dimension: Dimension) -> int | float:
    """Return the value that a trial suggests for a dimension."""
    from optuna.distributions import IntDistribution

    values = dimension.values
    if isinstance(values, Options):
        return trial.suggest_categorical(dimension.name, range(len(values.options)))
    known = distribution(values)
    number: float
    if isinstance(known, IntDistribution):
        number = trial.suggest_int(dimension.name, known.low, known.high, log=known.log)
    else:
        number = trial.suggest_float(dimension.name, values.low, values.high, log=values.log)
    return values.value(values.low + (values.step or 0) * number if _is_stepped(values) else number)


def parameter(values: Options | Interval, value: int | float) -> int | float:
    """Return Optuna's parameter for a value that was drawn; the inverse of `suggested`."""
    if isinstance(values, Interval) and _is_stepped(values):
        return round((value - values.low) / (values.step or 1))
    return value


def _is_stepped(values: Interval) -> bool:
    """Return whether Optuna draws the number of steps; on a logarithmic scale the nearest step is taken."""
    return values.step is not None and not values.log
