"""Compare finished runs: from paths to groups, tests and what they say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from recrun.compare.comparable import reasons_against, refuse_incomparable
from recrun.compare.comparison import Comparison, GroupResult
from recrun.compare.entry import Entry, Split, read_entry, with_metric
from recrun.compare.groups import Group, find_group, grouped, protocol_of
from recrun.compare.parts import Part, find_parts, of_part
from recrun.compare.select import Selection, listed, select
from recrun.compare.testing import Method, test_groups
from recrun.compare.values import UserValues, judged
from recrun.config.monitor_names import is_error, parse_monitor
from recrun.errors import ConfigError, Fault
from recrun.registry.user_files import short_name
from recrun.runs.per_user import read_per_user


@dataclass(frozen=True)
class How:
    """How runs are compared.

    Args:
        baseline: the group with which the others are compared: its name, the beginning of its name, or one of its runs;
            None for the best one.
        metrics: the metrics; empty for all that every run has.
        split: "test" or "valid".
        test: "t", "wilcoxon", "permutation" or "bootstrap".
        over: what tests are over: "users", "seeds" or "both"; None for both where each group has several seeds, and
            for users otherwise.
        correction: "holm", "bh" (Benjamini and Hochberg) or "none".
        descriptive: whether numbers are only shown, without tests, which runs that do not compare allow as well.
        n_resamples: how many resamples "permutation" and "bootstrap" draw.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    split: Split = "test"
    test: str = "t"
    over: str | None = None
    correction: str = "holm"
    descriptive: bool = False
    n_resamples: int = 10_000


def compare(arguments: Sequence[str], runs: str | Path = "runs", how: How | None = None) -> Comparison:
    """Compare finished runs.

    Args:
        arguments: run folders, sweep folders, folders that hold runs, and conditions; see `recrun.compare.select`.
        runs: the folder of runs that is meant where only conditions are given.
        how: how they are compared.

    Raises:
        ConfigError: the runs do not compare, or not in this way.
        CheckpointError: a run is damaged.
    """
    return compare_selected(select(arguments, runs), how or How())


def compare_selected(selection: Selection, how: How) -> Comparison:
    """Compare finished runs that were found before; see `compare`."""
    entries, metrics, notes = _chosen(selection, how)
    return _compare(entries, metrics, notes, how, None)


def compare_by(
    arguments: Sequence[str], by: str, runs: str | Path = "runs", how: How | None = None
) -> list[Comparison]:
    """Compare finished runs for each group of their users, or each group of items to be found.

    Groups of users are compared by the values of their users. Of groups of items only the numbers of whole runs are
    known, so these are tested over seeds, or not at all where a group of runs has one seed. P values are corrected
    within each comparison.

    Args:
        arguments: as for `compare`.
        by: a grouping of the runs, as "gender", or one of its groups, as "gender=F".
        runs: as for `compare`.
        how: how they are compared.

    Raises:
        ConfigError: as for `compare`, or the runs are not broken down so.
        CheckpointError: a run is damaged.
    """
    how = how or How()
    entries, metrics, notes = _chosen(select(arguments, runs), how)
    parts = find_parts(entries, by)
    if any(part.of == "users" for part in parts):
        notes += _judged(entries, how.split, metrics)
    found = []
    for part in parts:
        of_group = [of_part(entry, part, how.split, metrics) for entry in entries]
        shared = _shared(of_group)
        others = [] if how.metrics else [name for name in shared if name not in metrics]
        known = [*(name for name in metrics if name in shared), *others]
        if not known:
            asked = ", ".join(map(short_name, metrics))
            raise ConfigError(f"none of the metrics is broken down by {by} in all of the runs: {asked}")
        left_out = [short_name(name) for name in metrics if name not in known]
        more = [f"not known of groups of {part.of}: {', '.join(left_out)}"] if left_out else []
        found.append(_compare(of_group, known, [*notes, *more], _for_part(how, part, of_group), part))
    return found


def _judged(entries: Sequence[Entry], split: Split, metrics: Sequence[str]) -> Iterator[str]:
    """Yield notes on values of users that are not quite those of which the run reports the mean."""
    for entry in entries:
        found = read_per_user(entry.path, split)
        if found is not None:
            known = [name for name in metrics if name in found.values and name in entry.values]
            yield from judged(entry, split, known, found)


def _for_part(how: How, part: Part, entries: Sequence[Entry]) -> How:
    """Return how the runs are compared for a group, of whose items there are no values of users.

    Raises:
        ConfigError: a test over users was asked for.
    """
    if part.of == "users" or how.descriptive:
        return how
    if how.over in ("users", "both"):
        raise ConfigError(f"there are no values of users for groups of items ({part.name}); test with --over seeds")
    several = all(len(group.entries) > 1 for group in grouped(entries)[0])
    return replace(how, over="seeds") if several else replace(how, descriptive=True)


def _chosen(selection: Selection, how: How) -> tuple[list[Entry], list[str], list[str]]:
    """Return the runs that are compared, the metrics, and notes."""
    entries = _with_numbers(selection.rows, how.split)
    if how.metrics:
        return *_with_asked(entries, how.metrics, how.split), list(selection.notes)
    metrics, notes = _metrics(entries)
    return entries, metrics, [*selection.notes, *notes]


def _compare(
    entries: Sequence[Entry], metrics: Sequence[str], notes: Sequence[str], how: How, part: Part | None
) -> Comparison:
    groups, repeated = grouped(entries)
    entries = [entry for group in groups for entry in group.entries]
    reasons = list(reasons_against(entries, how.split, metrics))
    if not how.descriptive:
        refuse_incomparable(reasons)
    results = {group.name: _result(group, metrics) for group in groups}
    groups.sort(key=lambda group: _order(results[group.name], metrics[0]))
    notes = [*notes, *repeated, *_versions(entries)]
    shown = tuple(results[group.name] for group in groups)
    protocol = entries[0].protocol if len({protocol_of(entry) for entry in entries}) == 1 else None
    described = Comparison(how.split, tuple(metrics), shown, protocol=protocol, part=part)
    if how.descriptive:
        notes += [f"no tests, since {reason}" for reason in reasons]
        best = {} if reasons else _best(shown, metrics)
        return replace(described, best=best, notes=tuple(notes))
    baseline = groups[0] if how.baseline is None else find_group(groups, how.baseline)
    method = Method(how.test, how.over, how.correction, how.n_resamples)
    method.refuse(groups, baseline)
    if len(groups) == 1:
        notes.append("a single group: there is nothing to test it against")
    users = None if part is None else part.users
    values = None if how.over == "seeds" or len(groups) == 1 else UserValues(entries, how.split, metrics, users)
    best = _best(shown, metrics)
    outcome = test_groups(groups, baseline, best, metrics, method, values)
    return replace(
        described,
        baseline=baseline.name,
        tests=outcome.tests,
        correction=how.correction,
        best=best,
        undistinguished=outcome.undistinguished,
        notes=(*notes, *(values.notes if values is not None else ()), *outcome.notes),
    )


def _with_numbers(rows: Sequence[Mapping[str, object]], split: Split) -> list[Entry]:
    """Return the runs with their numbers on a split.

    Raises:
        ConfigError: some have none.
    """
    read = [(str(row["run"]), read_entry(row, split)) for row in rows]
    without = [path for path, entry in read if entry is None]
    if without:
        other = "valid" if split == "test" else "test"
        has_other = all(row[other] for row in rows)
        why = "a sweep's trials never read test; " if split == "test" else ""
        remedy = f"compare on {other} with --split {other}" if has_other else "leave these runs out"
        raise ConfigError(f"no {split} metrics in {listed(without)}: {why}{remedy}")
    return [entry for _, entry in read if entry is not None]


def _metrics(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return the metrics that all runs have, their criterion first if they share it, and notes on others.

    Raises:
        ConfigError: there is none.
    """
    everywhere = _shared(entries)
    if not everywhere:
        raise ConfigError(f"no metric is in all of the runs {listed(entry.path for entry in entries)}")
    criteria = {entry.which4best for entry in entries}
    first = [name for name in everywhere if criteria == {name}]
    somewhere = dict.fromkeys(name for entry in entries for name in entry.values if name not in everywhere)
    names = ", ".join(map(short_name, somewhere))
    notes = [f"not in all runs, and left out: {names}; --metric asks for one"] if somewhere else []
    return [*first, *(name for name in everywhere if name not in first)], notes


def _shared(entries: Sequence[Entry]) -> list[str]:
    return [name for name in entries[0].values if all(name in entry.values for entry in entries)]


def _with_asked(entries: Sequence[Entry], asked: Sequence[str], split: Split) -> tuple[list[Entry], list[str]]:
    """Return the runs with all metrics that were asked for, and the names of these.

    What a run did not monitor is taken from the values of its users, where `recrun eval` has added them.

    Raises:
        ConfigError: a metric is unknown, or a run lacks it.
    """
    found, names = list(entries), []
    for text in asked:
        written = [name for name in _shared(entries) if short_name(name) == text]
        name = written[0] if written else str(parse_monitor(text))
        added = [entry if name in entry.values else with_metric(entry, split, name) for entry in found]
        without = [entry.path for entry, more in zip(found, added, strict=True) if more is None]
        if without:
            quoted = quote(f"monitors=[{name}]")
            remedy = f"`recrun eval --checkpoint {quote(without[0])} --split {split} {quoted}` computes it"
            shared = ", ".join(map(short_name, _shared(entries)))
            message = f"{name} is not among the metrics of {listed(without, most=2)}; {remedy}; all runs have {shared}"
            raise ConfigError(Fault(message, key="--metric"))
        found = [entry for entry in added if entry is not None]
        names.append(name)
    return found, list(dict.fromkeys(names))


def _result(group: Group, metrics: Sequence[str]) -> GroupResult:
    """Return the means and standard deviations of a group over its seeds, of the numbers that the runs report."""
    columns = {name: [entry.values[name] for entry in group.entries] for name in metrics}
    mean, sd = {}, {}
    for name, values in columns.items():
        known = all(map(math.isfinite, values))
        mean[name] = statistics.fmean(values) if known else None
        sd[name] = statistics.stdev(values) if known and len(values) > 1 else None
    return GroupResult(group.name, tuple(entry.path for entry in group.entries), len(group.entries), mean, sd)


def _order(result: GroupResult, metric: str) -> tuple[bool, float]:
    """Return the key that sorts groups best first; those without a value come last."""
    value = result.mean[metric]
    sign = 1.0 if is_error(metric) else -1.0
    return value is None, sign * (value or 0.0)


def _best(results: Sequence[GroupResult], metrics: Sequence[str]) -> dict[str, str]:
    """Return the name of the best group, of several, of each metric that has a value."""
    best = {metric: min(results, key=lambda result: _order(result, metric)) for metric in metrics}
    is_choice = len(results) > 1
    return {metric: result.name for metric, result in best.items() if is_choice and result.mean[metric] is not None}


def _versions(entries: Sequence[Entry]) -> Iterator[str]:
    versions = sorted({entry.version for entry in entries})
    if len(versions) > 1:
        yield f"the runs were made with different versions of recrun: {', '.join(versions)}"
