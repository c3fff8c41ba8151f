"""Sweep, from Python as `recrun sweep` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from recrun.config.check_value import Misfit, fit, shown, type_name
from recrun.config.resolve import resolve
from recrun.errors import ConfigError, Fault, TrainingError
from recrun.notebook.fitting import config_name, say, say_notes
from recrun.notebook.sweep import Sweep
from recrun.notebook.wording import warn, worded
from recrun.sweep.engines import choose_engine
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.extend import plan_extended
from recrun.sweep.planning.plan import NothingVariesError, bases_of
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan
from recrun.sweep.row import ENDED
from recrun.sweep.run import Listener, run_sweep
from recrun.sweep.same_data import mixed_files
from recrun.sweep.space.asked import Zip
from recrun.sweep.space.declared import Base
from recrun.sweep.space.python_axes import sweep_arguments
from recrun.sweep.space.ranges import Value
from recrun.sweep.trial_results import INTERRUPTED_EXIT
from recrun.training.stop_signals import Interrupted
from recrun.types import NonNegativeInt, PositiveFloat, PositiveInt

_TYPES: Final[Mapping[str, Any]] = {
    "search": str,
    "trials": PositiveInt,
    "add": PositiveInt,
    "seeds": PositiveInt,
    "prune": str,
    "race": bool,
    "generation": PositiveInt,
    "search_seed": NonNegativeInt,
    "max_hours": PositiveFloat,
    "max_epochs": PositiveInt,
    "timeout": PositiveFloat,
    "retries": NonNegativeInt,
    "fail_fast": bool,
}
"""The types of the arguments that say how a sweep proceeds."""


def request_of(asked: Mapping[str, Any], zips: Any, jobs: Any) -> Request:
    """Return what the arguments of `recrun.sweep` ask for.

    Args:
        asked: those that say how the sweep proceeds, by their names; None for what they do not say.
        zips: the settings that vary together.
        jobs: how many trials run at once; it is only checked.

    Raises:
        ConfigError: with every fault of them.
    """
    faults = []
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        faults.append(Fault(f"expected an integer >= 1, found {jobs!r}", "jobs"))
    for name, value in asked.items():
        try:
            if value is not None:
                fit(_TYPES[name], value)
        except Misfit:
            faults.append(Fault(f"expected {type_name(_TYPES[name])}, found {shown(value)}", name))
    groups = _groups(zips)
    if groups is None:
        faults.append(Fault(f"expected a list of settings, or several lists, found {zips!r}", "zip"))
    if faults:
        raise ConfigError(faults)
    return Request(**asked, zips=tuple(groups or ()))


def _groups(zips: Any) -> list[Zip] | None:
    """Return the groups of settings that vary together; None if it is no such list."""
    if zips is None:
        return []
    if not isinstance(zips, Sequence) or isinstance(zips, str) or not zips:
        return None
    groups = []
    for group in [zips] if all(isinstance(each, str) for each in zips) else zips:
        is_list = isinstance(group, Sequence) and not isinstance(group, str)
        if not is_list or len(group) < 2 or not all(isinstance(each, str) for each in group):
            return None
        groups.append(Zip(tuple(Value(each, None, "zip") for each in group)))
    return groups


def planned(configs: Base | Sequence[Base], settings: Mapping[str, Any], request: Request, runs: Path) -> Plan:
    """Plan a sweep.

    Args:
        configs: the base config, or several.
        settings: a value for each setting, a list of values, or the text of a range.
        request: how the sweep proceeds.
        runs: the root of all run folders.

    Raises:
        ConfigError: with every fault; or nothing varies.
    """
    bases = bases_of(configs)
    if not bases:
        raise ConfigError(Fault("expected a config, or a list of several, found an empty list", "config"))
    arguments, _ = sweep_arguments(bases, settings)
    try:
        return plan_extended(bases, arguments, request, runs)
    except NothingVariesError:
        resolve(bases[0], arguments)  # its faults come first
        raise ConfigError(
            "no setting has several values: give one a list, lr=[1e-3, 1e-4], or use recrun.train"
        ) from None


@worded
def sweep(
    config: Base | Sequence[Base] = None,
    *,
    search: str | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    prune: str | None = None,
    race: bool | None = None,
    generation: int | None = None,
    search_seed: int | None = None,
    add: int | None = None,
    zip: Sequence[str] | Sequence[Sequence[str]] | None = None,
    max_hours: float | None = None,
    max_epochs: int | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    fail_fast: bool = False,
    runs: str | Path = "runs",
    jobs: int = 1,
    engine: str = "local",
    engine_settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Sweep:
    """Train on the points of a space, each trial in a process of its own, and rank the points on validation.

    A list of values is an axis: `lr=[1e-3, 1e-4]`; the text of a range is one too: `lr="1e-4..1e-2:log"`. For a setting
    that is itself a list, such as `monitors`, it is a list of lists. Without `search`, every point is trained. Repeat
    the call to continue a sweep, or to have its results again: trials that are done are not trained anew.

    Args:
        config: as for `recrun.train`, or a list of several, each of which is swept with the settings that it has.
        search: what draws the points: "grid", "random", "sobol", "tpe", "gp", "cmaes" or "nsga2".
        trials: how many points are drawn, for each config and data set.
        seeds: how many seeds each point is trained with.
        prune: what ends trials that do badly: "asha", "hyperband", "median" or "wilcoxon", with options: "asha:eta=4".
        race: whether seeds are added only to points that are not significantly worse than the best.
        generation: how many trials may start before the first of them has ended; `jobs` if it is not given.
        search_seed: the seed of the search.
        add: extend the study by so many points.
        zip: settings that vary together, `["lr", "batch_size"]`, or several such lists.
        max_hours: hours after which no trial starts.
        max_epochs: epochs that all trials may train together.
        timeout: seconds after which a trial is ended as failed.
        retries: how often a trial that failed is tried again.
        fail_fast: whether the first trial that fails ends the sweep.
        runs: the folder that holds the run folders.
        jobs: how many trials run at once.
        engine: where trials run: a registered engine, or "./file.py:Name".
        engine_settings: the engine's own settings.
        progress: whether the progress is shown.
        **settings: settings with one value for all trials, a list of values, or a range.

    Returns:
        The sweep. If some trials failed, there is a warning, and `trials` says why.

    Raises:
        ConfigError: with every fault of the settings; nothing was started.
        TrainingError: all trials failed.
        KeyboardInterrupt: the sweep was interrupted; its trials have saved their state.
    """
    asked = {
        "search": search,
        "trials": trials,
        "add": add,
        "seeds": seeds,
        "prune": prune,
        "race": race,
        "generation": generation,
        "search_seed": search_seed,
        "max_hours": max_hours,
        "max_epochs": max_epochs,
        "timeout": timeout,
        "retries": retries,
        "fail_fast": fail_fast,
    }
    request = request_of(asked, zip, jobs)
    make_engine = choose_engine(engine, engine_settings or {})
    plan = planned(config, settings, request, Path(runs))
    jobs = min(jobs, max(1, plan.most_at_once))
    with Ledger(plan, Path(runs), say=say if progress else None) as ledger:
        if progress:
            say_notes([*plan.notes, *ledger.notes])
        listener = _listener(plan.config_path, progress)
        code = run_sweep(ledger, make_engine(jobs), jobs, listener=listener)
    if code == INTERRUPTED_EXIT:
        raise Interrupted("interrupted; repeat the call to continue: trials that are done are kept")
    _say_what_failed(ledger, code)
    return Sweep(ledger)


def _listener(config: str, progress: bool) -> Listener:
    from recrun.notebook.display import cell_output
    from recrun.notebook.progress import SweepView
    from recrun.report.terminal.console import stderr_console
    from recrun.sweep.view.listeners import view_of

    output = cell_output() if progress else None
    return view_of(stderr_console(), int(progress)) if output is None else SweepView(output, config_name(config))


def _say_what_failed(ledger: Ledger, code: int) -> None:
    """Warn of the trials that are not done.

    Raises:
        TrainingError: none is, although none was stopped by the time.
    """
    open_rows = [row for row in ledger.rows if row.status not in ENDED]
    if open_rows and len(open_rows) == len(ledger.rows) and code != 0:
        raise TrainingError(
            f"all {len(open_rows)} trials failed; trial {open_rows[0].trial.index}: {open_rows[0].cause}"
        )
    failed = [f"trial {row.trial.index} {row.status}{f': {row.cause}' if row.cause else ''}" for row in open_rows]
    changed = [
        f"{name} changed during the sweep, so not all trials are of the same data" for name in mixed_files(ledger.rows)
    ]
    warn([*failed, *changed])
