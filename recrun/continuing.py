"""The config of a run that is to be continued: its own, but for what does not decide what is computed."""

from __future__ import annotations

from collections.abc import Sequence

from recrun.configfile import read_overrides
from recrun.errors import ConfigError
from recrun.resolve import Resolved, resolve
from recrun.resume import refused_changes
from recrun.runs import RunFolder
from recrun.settings import FREE


def resolve_run(run: RunFolder, overrides: Sequence[str] = ()) -> Resolved:
    """Resolve the config that a run was started with, for continuing it.

    Args:
        run: the run.
        overrides: `KEY=VALUE` for settings that do not decide what is computed (`recrun.resume.FREE`), and a larger
            number of `epochs`.

    Raises:
        ConfigError: the run's config is damaged, does not fit this version, or an override changes what is computed.
    """
    before = resolve(run.config_file)
    if not overrides:
        return before
    given = read_overrides(overrides)
    now, problem = before, None
    try:
        now = resolve(run.config_file, overrides)
        refused = refused_changes(before.config, now.config)
    except ConfigError as error:
        # Another model would make faults of all settings of this one; what matters is that it cannot be changed.
        problem, refused = error, {key: "" for key in given if key in before.config and key not in (*FREE, "epochs")}
    faults = [value.fault(_refusal(refused[key]), key) for key, value in given.items() if key in refused]
    if faults:
        raise ConfigError(faults)
    if problem is not None:
        raise problem
    return now


def _refusal(change: str) -> str:
    allowed = f"{', '.join(FREE)}, and epochs to go on longer"
    return f"cannot be changed in a run that is resumed{f': {change}' if change else ''}; what can be: {allowed}"
