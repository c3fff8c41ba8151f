"""Say which point is best, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import counted, number
from recrun.sweep.points import Standing, interval
from recrun.sweep.row import DONE, ENDED, PRUNED
from recrun.sweep.storage import as_argument
from recrun.sweep.view.opening import max_epochs
from recrun.sweep.view.settings import settings_text

if TYPE_CHECKING:
    from recrun.sweep.ledger import Ledger

_MOST_LINES: Final = 20


def closing_lines(ledger: Ledger) -> Iterator[str]:
    """Yield the lines printed below the final tables: the best trial or trials, and what to do next."""
    plan, best = ledger.plan, ledger.best_point
    n_open = sum(row.status not in ENDED for row in ledger.rows)
    if best is not None:
        yield f"best    {_which(best)}: {settings_text(best.point.choices, ledger)}{_value(ledger, best)}"
        yield from _scores(ledger, best)
    elif len(plan.criteria) > 1:
        for each in ledger.front_of(ledger.standings())[:_MOST_LINES]:
            numbered = f"point {plan.points.index(each.point)}, {_which(each)}"
            yield f"front   {numbered}: {settings_text({**each.point.data, **each.point.choices}, ledger)}"
    if not n_open and any(point.choices for point in plan.points) and any(row.status == DONE for row in ledger.rows):
        which = " --point N" if len(plan.criteria) > 1 else ""
        folder = shlex.quote(as_argument(ledger.folder))
        yield f"next    recrun final {folder}{which}  (train and valid, then test once)"
    yield from _unfinished(ledger, n_open)
    yield f"folder  {ledger.folder}"


def _which(standing: Standing) -> str:
    trials = standing.point.trials
    return f"trial {trials[0]}" if len(trials) == 1 else f"{len(trials)} trials"


def _value(ledger: Ledger, standing: Standing) -> str:
    """Return the mean of the criterion of a point with several trials, and its interval; no table has both ends."""
    name = ledger.plan.which4best
    ends = interval(standing).get(name)
    if not ends:
        return ""
    return f" ({short_name(name)} {number(standing.mean[name])}, 95 % interval {number(ends[0])} to {number(ends[1])})"


def _scores(ledger: Ledger, best: Standing) -> Iterator[str]:
    """Yield the commands that score the runs of a point on test."""
    for index in best.point.trials[:_MOST_LINES]:
        yield f"score   recrun eval --checkpoint {shlex.quote(str(ledger.row(index).run.path))} --split test"


def _unfinished(ledger: Ledger, n_open: int) -> Iterator[str]:
    """Yield the lines on what was not trained, and how to go on."""
    plan = ledger.plan
    epochs = max_epochs(plan)
    n_undrawn = plan.most_at_once - len(ledger.rows)
    not_begun = sum(row.status == PRUNED and row.reached is None for row in ledger.rows) + max(n_undrawn, 0)
    if ledger.is_over_time:
        hours = plan.limits.max_hours
        yield f"budget  --max-hours {hours:g} is over; repeat the command to go on for as long again"
    elif epochs is not None and not_begun:
        yield (
            f"budget  of --max-epochs {epochs} not enough is left: {counted(not_begun, 'trial')} did not begin; "
            "repeat the command with more to go on"
        )
    if n_open:
        yield f"again   {n_open} of {len(ledger.rows)} trials are not done; repeat the command to run them again"
        yield f"logs    {ledger.trials_folder}"
