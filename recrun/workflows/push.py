"""Deliver runs to trackers after they ended, from what their folders hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recrun.config.same_settings import FORMERLY
from recrun.config.trackers import TENSORBOARD, known_tracker, require_packages
from recrun.errors import ConfigError
from recrun.files import is_held
from recrun.registry import REPORTERS
from recrun.registry.user_files import checked
from recrun.report.trackers.delivery import BusyError, Delivery, explain
from recrun.report.trackers.tracker import Tracker
from recrun.runs.folder import RunFolder, open_run
from recrun.runs.provenance import refuse_strange_code
from recrun.training.reporter import refuse_one_name


def push(paths: Sequence[str | Path], to: Sequence[str] = (), *, trust: bool = False) -> list[dict[str, Any]]:
    """Deliver what the trackers of some runs do not have yet.

    Everything is checked before anything is sent. What is sent once is not sent again. A run that is being trained is
    delivered as far as it has come, by a tracker that it does not report to itself.

    Args:
        paths: the runs' folders.
        to: the trackers; those that each run's `track` names if empty.
        trust: whether a tracker of the user's own that a run names may be run although it was not run here before.

    Returns:
        A document for each run and tracker: "run", "tracker", "sent" (the lines of the history that were sent now),
        "end_sent", whether its end was sent now, "complete", "by_run", whether the run itself delivers to this tracker
        at the moment, and "problem", the error or None.

    Raises:
        CheckpointError: there is no run, it is damaged, or it names code that may not be run.
        ConfigError: a run has no tracker, or one is unknown or not installed.
    """
    runs = [open_run(path) for path in paths]
    chosen = [_chosen(run, to, trust) for run in runs]
    require_packages(dict.fromkeys(name for names in chosen for name in names))
    deliveries = [
        (run, name, made) for run, names in zip(runs, chosen, strict=True) for name, made in _made(run, names).items()
    ]
    return [_deliver(run, name, tracker) for run, name, tracker in deliveries]


def _chosen(run: RunFolder, to: Sequence[str], trust: bool) -> list[str]:
    settings = run.read_settings()
    if to:
        return [known_tracker(name) for name in to]
    refuse_strange_code(f"the run {run.path}", settings, named=(), trust=trust)
    names = [name for name in settings.get("track") or settings.get(FORMERLY) or () if name != TENSORBOARD]
    if not names:
        raise ConfigError(f"the run {run.path} has no tracker to push to; name one: --to mlflow")
    return [known_tracker(name) for name in names]


def _made(run: RunFolder, names: Sequence[str]) -> dict[str, Tracker]:
    """Return the trackers of a run.

    Raises:
        ConfigError: one is no tracker that can be delivered to later, or two have one name.
    """
    settings = run.read_settings()
    trackers = {}
    for name in names:
        own = {each.name for each in REPORTERS.describe(name).parameters}
        given = {key: value for key, value in settings.items() if key in own}
        made = checked("track", name, REPORTERS.get(name)(run, settings, None, **given))
        if not isinstance(made, Tracker):
            made.close()
            raise ConfigError(f"{name} cannot be pushed to: it only follows a run while that is trained")
        trackers[name] = made
    refuse_one_name(trackers.values())
    return trackers


def _deliver(run: RunFolder, name: str, tracker: Tracker) -> dict[str, Any]:
    delivery = Delivery(tracker)
    document: dict[str, Any] = {"run": str(run.path), "tracker": name, "sent": 0, "end_sent": False}
    document |= {"complete": False, "by_run": False, "problem": None}
    try:
        with delivery.opened():
            try:
                document["sent"] = delivery.deliver(final=True)
                document["end_sent"] = delivery.has_sent_end
                document["complete"] = not is_held(run.path / ".lock")
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                delivery.note_problem(explain(error))
                raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # code of a service or of a user's own may raise anything
        document["by_run"] = isinstance(error, BusyError) and is_held(run.path / ".lock")
        document["problem"] = None if document["by_run"] else explain(error)
    return document
