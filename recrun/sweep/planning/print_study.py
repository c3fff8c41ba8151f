"""Print a study as a config: the settings that all its trials share, and a section `sweep:` with the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.find import from_here
from recrun.config.reading import Given
from recrun.config.resolve import read
from recrun.config.same_settings import without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import ConfigError
from recrun.sweep.planning.request import Settled
from recrun.sweep.planning.study import Plan
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.asked import Asked
from recrun.sweep.space.declared import Base
from recrun.sweep.space.dump_section import dump_section
from recrun.sweep.space.section import Budget, Section

_NOT_ONES_OWN: Final = ("eval_test",)
"""What a sweep that chooses sets for its trials, and not for a run on the printed config."""


def printed(plan: Plan, base: Base) -> str:
    """Return a study as YAML; `recrun sweep` on it is the same study, `recrun train` a run with what trials share.

    Args:
        plan: the study.
        base: its config.

    Raises:
        ConfigError: it has several configs.
    """
    settled = plan.settled
    if len(settled.asked) > 1:
        n = len(settled.asked)
        raise ConfigError(f"--print-config: prints one config, and this sweep has {n}; ask for one of them at a time")
    section = _section(settled)
    left_out = {*section.asked.keys, *(() if plan.is_tested else _NOT_ONES_OWN)}
    shared = {
        key: value for key, value in _shared([config for _, config in plan.checked]).items() if key not in left_out
    }
    if len(plan.criteria) > 1:
        shared["which4best"] = list(plan.criteria)
    fixed = [f"{each.key}={each.values[0].text}" for each in settled.asked[0].settings if not _varies(each)]
    # What the config itself sets belongs to what it chooses, which a trial may choose otherwise.
    given = {key: _value(each) for key, each in read(base, fixed)[0].given.items() if key not in _NOT_ONES_OWN}
    return dump_mapping({**shared, **{key: value for key, value in given.items() if key not in shared}}) + dump_section(
        section
    )


def _varies(setting: Setting) -> bool:
    return setting.is_axis or bool(setting.branches)


def _value(given: Given) -> Any:
    """Return a value of a config; the path of a user's file is made absolute."""
    return from_here(given.value, given) if isinstance(given.value, str) else given.value


def _section(settled: Settled) -> Section:
    """Return the section that asks for the same; settings with a single value are not in it."""
    asked, procedure, limits = settled.asked[0], settled.procedure, settled.limits
    varied = tuple(each for each in asked.settings if _varies(each))
    return Section(
        Asked(varied, asked.zips, asked.points),
        search=procedure.search,
        trials=procedure.trials,
        prune=procedure.prune,
        race=procedure.race or None,
        generation=settled.generation,
        search_seed=procedure.search_seed or None,
        budget=Budget(limits.max_hours, procedure.max_epochs, limits.timeout, limits.retries or None),
    )


def _shared(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that all configs have, with the same values.

    Others depend on what is varied, and so do their defaults, which hold again when the printed config is read.
    """
    first = without_run(configs[0])
    others = configs[1:]
    return {key: value for key, value in first.items() if all(key in each and each[key] == value for each in others)}
