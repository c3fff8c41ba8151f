"""Write the settings of trials and points as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from recrun.sweep.document import as_text
from recrun.sweep.points import REPEATS

if TYPE_CHECKING:
    from recrun.sweep.planning.study import Plan
    from recrun.sweep.row import Row
    from recrun.sweep.state import State

_LONGEST: Final = 20
"""A longer value is cut in a table that is drawn while a sweep runs."""


def columns_of(state: State) -> list[str]:
    """Return the settings that vary, behind the config where there are several."""
    plan = state.plan
    return [*([plan.of_subject] if plan.of_subject else []), *plan.axes]


def shown(row: Row, key: str) -> str:
    """Return the value of a trial in a column, or nothing where it has none."""
    # As text: a learning rate of 1e-05 must not be rounded like a measurement.
    return as_text(row.trial.shown[key]) if key in row.trial.shown else ""


def cut(text: str) -> str:
    """Return a value, shortened in its middle if it is long.

    >>> cut("0.001"), cut("/data/sets/ml-100k/u.data")
    ('0.001', '/data/sets…00k/u.data')
    """
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST + 1 else f"{text[:half]}…{text[-half:]}"


def point(row: Row, state: State) -> str:
    """Return a trial's values on the settings that vary, as `KEY=VALUE` text."""
    return " ".join(f"{key}={as_text(row.trial.shown[key])}" for key in columns_of(state) if key in row.trial.shown)


def settings_text(settings: Mapping[str, Any], state: State) -> str:
    """Return the settings of a point as `KEY=VALUE` text, the config first."""
    keys = keys_in([settings], columns_of(state))
    return " ".join(f"{key}={as_text(settings[key])}" for key in keys)


def keys_in(settings: Sequence[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    """Return the keys of several points, some of which may lack some, in the order of the columns of a sweep."""
    found = dict.fromkeys(key for each in settings for key in each)
    return [*(key for key in first if key in found), *(key for key in found if key not in first)]


def repeated(plan: Plan) -> list[str]:
    """Return the axes whose trials are averaged."""
    return [axis for axis in plan.axes if axis in REPEATS]
