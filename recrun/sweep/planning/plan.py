"""Plan a sweep: turn its arguments into lanes and trials, and check every config before the first trial starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recrun.config.config import Config
from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import sweep_identity
from recrun.config.trackers import require_packages
from recrun.errors import ConfigError, Fault, reading_order
from recrun.registry import DATASETS
from recrun.sweep.planning.lanes import criteria_of, lanes_of, longest_of, probes, with_methods
from recrun.sweep.planning.placing import Written, placed, repeated_values
from recrun.sweep.planning.request import Request, Settled, settle
from recrun.sweep.planning.starts import missing_starts, with_absolute_start
from recrun.sweep.planning.study import Lane, Plan, Texts, Trial
from recrun.sweep.planning.subjects import Subject, subjects_of
from recrun.sweep.planning.trials import CONFIG, TrialMaker, canonical, digest_of
from recrun.sweep.search.choose import SEARCHES
from recrun.sweep.space.arguments import parse_settings
from recrun.sweep.space.check import MAX_CHECKED, Resolver, check_space, repeated_points
from recrun.sweep.space.declared import Base
from recrun.sweep.space.refused import REFUSED, refusals
from recrun.sweep.space.variation import keys_of


class NothingVariesError(ConfigError):
    """A sweep of a single trial was asked for."""


def plan_sweep(
    configs: Base | Sequence[Base],
    arguments: Sequence[str],
    *,
    request: Request | None = None,
    resolver: Resolver = resolve,
) -> Plan:
    """Read a sweep's arguments and check every config that its trials may have.

    Args:
        configs: the base config, as for `recrun train`, or several.
        arguments: `KEY=V1,V2` and `KEY=VALUE` arguments.
        request: what options ask for; the whole grid by default.
        resolver: resolves and checks a config.

    Raises:
        ConfigError: with every fault of the arguments and of the trials' configs.
    """
    bases = bases_of(configs)
    settings, faults = parse_settings(arguments)
    faults += refusals(settings)
    settings = [each for each in settings if each.key not in REFUSED]
    settled = settle(bases, settings, request or Request())
    procedure, asked = settled.procedure, settled.asked
    faults += settled.faults
    subjects, found, notes = subjects_of(bases, asked, is_grid=procedure.is_grid)
    faults += found
    if len(bases) == 1 and not faults and not subjects[0].variation.space.dimensions:
        found = check_space(bases[0], subjects[0].variation, resolver=resolver)
        if found:  # perhaps the text of what was to vary, or the file cannot be read
            raise ConfigError(found)
        raise NothingVariesError(
            "no setting has several values; write KEY=V1,V2, or use 'recrun train' for a single run"
        )
    try:
        lanes = lanes_of(subjects, procedure)
    except ConfigError as error:
        most = 1 if procedure.search in (None, *SEARCHES) else MAX_CHECKED  # of too many trials, only the first
        for subject in subjects:
            found = check_space(subject.base, subject.variation, resolver=resolver, most=most)
            faults += _independent(found, faults)
        raise ConfigError(sorted({*faults, *error.faults}, key=reading_order)) from None
    return _Planner(subjects, lanes, settled, resolver).plan(faults, notes)


def bases_of(configs: Base | Sequence[Base]) -> list[Base]:
    """Return configs, of which there may be one alone, as a list."""
    if configs is None or isinstance(configs, (str, Path, Mapping)):
        return [configs]
    return list(configs)


def refuse_without_validation(config: Mapping[str, Any]) -> Fault | None:
    """Return the fault of a config without validation, on which a sweep compares its trials, or None.

    With `valid_ratio: 0`, there is a validation part only if the data set brings one: `File` with a `valid_path`. For a
    user's own class this is not known before it runs; a trial without a validation part then fails, because its
    criterion has no value.
    """
    remedy = "and a sweep never uses test for that"
    if config.get("train_on") == "train_valid":
        return Fault(f"must be train: trials are compared on validation, {remedy}", key="train_on")
    if config.get("eval_valid") is False:
        return Fault(f"must be true: trials are compared on validation, {remedy}", key="eval_valid")
    if config.get("valid_ratio") == 0 and not _may_ship_validation(config):
        return Fault(f"must be above 0: trials are compared on validation, {remedy}", key="valid_ratio")
    return None


def _may_ship_validation(config: Mapping[str, Any]) -> bool:
    dataset = str(config.get("dataset"))
    return config.get("valid_path") is not None or dataset not in DATASETS


def _independent(found: Sequence[Fault], earlier: Sequence[Fault]) -> list[Fault]:
    """Return faults of configs that do not follow from earlier ones.

    A setting that is written wrongly is left out of the configs, which may then lack something that they need; but what
    is written elsewhere, in another argument or in a file, is wrong all the same.
    """
    is_left_out = any(fault.line is not None or fault.column is not None for fault in earlier)
    return [fault for fault in found if not is_left_out or fault.line is not None or fault.column is not None]


@dataclass
class _Entry:
    """A trial while it is checked: its place in the study, its settings as written, and its config once resolved."""

    lane: Lane
    point: int
    repeat: int
    texts: Texts
    resolved: Resolved | None = None

    @property
    def config(self) -> Config:
        """Its config; only asked for once everything is resolved."""
        if self.resolved is None:
            raise RuntimeError("the trial is not resolved")
        return self.resolved.config


class _Planner:
    """Makes the plan of a sweep from its lanes."""

    def __init__(
        self, subjects: Sequence[Subject], lanes: Sequence[Lane], settled: Settled, resolver: Resolver
    ) -> None:
        self.subjects = subjects
        self.lanes = lanes
        self.settled = settled
        self.resolver = resolver
        self.procedure = settled.procedure
        self.chooses = any(lane.space.dimensions for lane in lanes)
        self.maker = TrialMaker(subjects, self.chooses, resolver)
        self.entries = sorted(self._entries(), key=self._order)

    def plan(self, faults: list[Fault], notes: Sequence[str]) -> Plan:
        """Return the plan, or raise every fault."""
        faults += _independent(self._resolve(), faults)
        if not faults:
            faults += self._check()
        if faults:
            raise ConfigError(sorted(dict.fromkeys(faults), key=reading_order))
        require_packages(dict.fromkeys(name for each in self.entries for name in each.config.track))
        told = dict.fromkeys(note for each in self.entries for note in (each.resolved.notes if each.resolved else ()))
        return self._build([*notes, *told])

    def _entries(self) -> Iterator[_Entry]:
        """Yield all trials that are known, and of lanes that draw them later those at the ends of what varies."""
        for lane in self.lanes:
            for point, draw in enumerate(lane.draws if lane.draws is not None else probes(lane.space)):
                for repeat in range(len(lane.repeats)):
                    texts = self.maker.texts(lane, lane.space.settings(draw), repeat)
                    yield _Entry(lane, point, repeat, texts)

    def _order(self, entry: _Entry) -> tuple[int, ...]:
        """Return the place of a trial: of a grid row-major in the order of the arguments, else as points are drawn."""
        if not self.procedure.is_grid:
            return (entry.point, entry.lane.number, entry.repeat)
        written = self.subjects[entry.lane.subject].variation.written
        places = [
            next((n for n, value in enumerate(settings[0].values) if value.text == entry.texts.get(key)), 0)
            for key, settings in written.items()
            if len(settings) == 1
        ]
        return (entry.lane.subject, *places)

    def _written(self, entry: _Entry) -> Written:
        return Written(entry.texts, self.subjects[entry.lane.subject].variation)

    def _resolve(self) -> list[Fault]:
        """Resolve every trial; return every fault once, where the user can mend it."""
        where: dict[Fault, list[Written]] = {}
        for entry in self.entries:
            try:
                entry.resolved = self.maker.resolve(entry.lane, entry.texts)
            except ConfigError as error:
                found = error.faults
            else:
                refusal = refuse_without_validation(entry.config) if self.chooses else None
                found = [] if refusal is None else [refusal]
            for fault in found:
                where.setdefault(fault, []).append(self._written(entry))
        return placed(where, [self._written(entry) for entry in self.entries])

    def _check(self) -> list[Fault]:
        """Return the faults that show only when all trials are resolved."""
        resolved = [entry.resolved for entry in self.entries if entry.resolved is not None]
        faults = list(missing_starts(resolved, [subject.variation for subject in self.subjects]))
        if faults:
            return faults
        for entry in self.entries:
            entry.resolved = with_absolute_start(entry.resolved) if entry.resolved is not None else None
        criteria = list(dict.fromkeys(map(criteria_of, resolved)))
        if len(criteria) > 1:
            found = "; ".join(", ".join(each) for each in criteria)
            message = f"must be set: otherwise trials are compared by different criteria ({found})"
            faults.append(Fault(message, key="which4best"))
        same = [
            (self._written(each), {key: canonical(each.config[key]) for key in each.texts}) for each in self.entries
        ]
        for subject in self.subjects:
            faults += repeated_points(subject.base, subject.variation, resolver=self.resolver)
        return [*faults, *repeated_values(same)]

    def _build(self, notes: Sequence[str]) -> Plan:
        first, maker = self.entries[0].config, self.maker
        configs = {entry.lane.number: entry.config for entry in reversed(self.entries)}
        criteria = self._criteria()
        falls = tuple(smaller_is_better(parse_monitor(each)) for each in criteria)
        longest = longest_of((entry.lane.number, entry.config) for entry in self.entries)
        lanes, of_schedules = with_methods(self.lanes, self.procedure, longest, falls)
        axes = self._axes()
        maker.digest, maker.stand_ins = self._digest(axes), configs
        trials = self._trials(lanes)
        points: dict[tuple[int, int], list[Trial]] = {}
        for trial in trials:
            points.setdefault((trial.lane, trial.point), []).append(trial)
        name = re.sub(r"[^\w.@=+-]+", "_", str(first["description"])).strip(".")[:80]
        return Plan(
            name=f"{name or 'sweep'}-{maker.digest}",
            config_path=", ".join(dict.fromkeys(each.resolved.path for each in self.entries if each.resolved)),
            criteria=criteria,
            smaller_is_better=falls,
            axes=axes,
            trials=trials,
            points=[maker.point(lanes[lane], each) for (lane, _), each in points.items()],
            is_tested=all(entry.config["eval_test"] for entry in self.entries),
            lanes=tuple(lanes),
            maker=maker,
            files={self.subjects[each.lane.subject].name: each.resolved.path for each in self.entries if each.resolved},
            of_subject=CONFIG if len(self.subjects) > 1 else None,
            described=self._described(),
            notes=(*notes, *of_schedules),
            settled=self.settled,
            checked=tuple((entry.lane.number, entry.config) for entry in self.entries),
        )

    def _criteria(self) -> tuple[str, ...]:
        """Return the metrics by which all trials are compared."""
        return next(criteria_of(each.resolved) for each in self.entries if each.resolved is not None)

    def _trials(self, lanes: Sequence[Lane]) -> list[Trial]:
        """Return the trials that are known, with their numbers."""
        maker, known = self.maker, [entry for entry in self.entries if lanes[entry.lane.number].draws is not None]
        if any(lane.draws is None for lane in lanes):
            maker.n_lanes = len(lanes)
            numbers = [maker.number(each.lane, each.point, each.repeat) for each in known]
        else:
            numbers = list(range(len(known)))
        # A study may be extended, which must not change the names of its trials.
        maker.n_digits = len(str(len(known) - 1)) if self.procedure.is_grid else 3
        found = zip(known, numbers, strict=True)
        made = [maker.trial(each.lane, each.point, each.repeat, n, each.texts, each.config) for each, n in found]
        return sorted(made, key=lambda trial: trial.index)

    def _axes(self) -> dict[str, tuple[Any, ...]]:
        """Return the settings that vary, with their values in the order in which they occur; ranges as written."""
        axes: dict[str, tuple[Any, ...]] = {}
        for number, subject in enumerate(self.subjects):
            varied = {key for each in subject.variation.space.dimensions for key in keys_of(each)}
            entries = [entry for entry in self.entries if entry.lane.subject == number]
            points = dict.fromkeys((key for point in subject.variation.points for key in point), ())
            for key, settings in (points | dict(subject.variation.written)).items():
                ranges = [each.range.text for each in settings if each.range is not None and not self.procedure.is_grid]
                if key in varied and ranges:
                    axes[key] = tuple(dict.fromkeys([*axes.get(key, ()), *ranges]))
                elif key in varied:
                    values = {canonical(value): value for value in axes.get(key, ())}
                    for entry in entries:
                        if key in entry.texts:
                            values.setdefault(canonical(entry.config[key]), entry.config[key])
                    axes[key] = tuple(values.values())
        return axes

    def _digest(self, axes: Mapping[str, Any]) -> str:
        """Return what the folder of the sweep and its runs are named by: the same for the same study."""
        content: dict[str, Any] = {"axes": list(axes), **self.procedure.identity()}
        if len(self._criteria()) > 1:
            content["criteria"] = self._criteria()
        if self.procedure.is_grid:
            content["trials"] = [sweep_identity(entry.config, axes) for entry in self.entries]
        else:
            first = {entry.lane.number: entry.config for entry in reversed(self.entries)}
            content["lanes"] = [self._lane_identity(lane, first[lane.number], axes) for lane in self.lanes]
        return digest_of(content)

    def _lane_identity(self, lane: Lane, config: Config, axes: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in sweep_identity(config, ()).items() if key not in axes}
        return {"config": kept, "data": lane.data, "repeats": lane.repeats, "space": lane.space.described()}

    def _described(self) -> dict[str, Any]:
        """Return what sweep.json says of a study that is more than a grid on one config."""
        found = self.procedure.identity()
        if not self.procedure.is_grid:
            found["trials"] = self.procedure.trials
        if len(self.subjects) > 1:
            found["configs"] = [subject.name for subject in self.subjects]
        return {"study": found} if found else {}
