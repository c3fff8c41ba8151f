"""Read the values of users and of whole runs that the tests of a comparison are of.

Shapes: S seeds of a group, U users, M metrics, P metrics that have values of users.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from shlex import quote

import numpy as np
import numpy.typing as npt

from recrun.compare.entry import Entry, Split
from recrun.compare.groups import Group
from recrun.compare.select import listed
from recrun.config.monitor_names import kind_of, parse_monitor
from recrun.errors import CheckpointError, ConfigError, RegistryError
from recrun.metrics.per_user import PerUser, mean_of_users
from recrun.metrics.ranking import Doubles
from recrun.registry import METRICS
from recrun.registry.user_files import short_name
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import read_per_user

_OF_WHOLE_RUNS = ("exposure", "pointwise")
"""Kinds of metrics that are not means over users."""
_SAME = 1e-9
"""Means that are computed in another order differ by less."""
_CLOSE = 1e-3
"""Means of an evaluation on another device, where scores that nearly tie change places, differ by less."""


@dataclass(frozen=True, eq=False)
class GroupValues:
    """The values of a group's runs.

    Args:
        runs_SM: the numbers that the runs report, NaN where undefined.
        users_SUP: those of each user.
    """

    runs_SM: Doubles
    users_SUP: Doubles

    @classmethod
    def of_runs(cls, group: Group, metrics: Sequence[str]) -> GroupValues:
        """Return the values of a group's runs, without any of users."""
        runs_SM = np.array([[entry.values[metric] for metric in metrics] for entry in group.entries])
        return cls(runs_SM, np.empty((len(group.entries), 0, 0)))


class UserValues:
    """Reads the values of users, and checks that they are of the same users and metrics in all runs.

    Args:
        entries: all runs that are compared.
        split: the split that is compared.
        metrics: the metrics that are compared.
        users: the ids of the only users that count, as text; None for all.

    Raises:
        ConfigError: runs lack the values of their users; the message says how to write them.
        CheckpointError: a file of them is damaged.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        split: Split,
        metrics: Sequence[str],
        users: npt.NDArray[np.str_] | None = None,
    ) -> None:
        self.split, self.metrics = split, tuple(metrics)
        self._only = users
        self.notes: list[str] = []
        """What a reader should know of the values that were read."""
        self._users_U: npt.NDArray[np.str_] | None = None
        self._first = entries[0].path
        self._is_needed = any(map(_may_be_of_users, metrics)) and all(entry.n_users is not None for entry in entries)
        if self._is_needed:
            self._refuse_missing_files(entries)
        known = self._read(entries[0]).values if self._is_needed else {}
        self.of_users = tuple(metric for metric in metrics if metric in known)
        """The P metrics that have values of users."""

    def group(self, group: Group) -> GroupValues:
        """Return the values of a group.

        Raises:
            ConfigError: its users, or the metrics that have values of users, are not those of the other runs.
            CheckpointError: a file is damaged.
        """
        of_runs = GroupValues.of_runs(group, self.metrics)
        if not self._is_needed:
            return of_runs
        return replace(of_runs, users_SUP=np.stack([self._values_UP(entry) for entry in group.entries]))

    def _values_UP(self, entry: Entry) -> Doubles:
        found = self._read(entry)
        for metric in self.metrics:
            if (metric in found.values) != (metric in self.of_users):
                lacking = self._first if metric in found.values else entry.path
                raise ConfigError(
                    f"{lacking} has no values of users for {metric}; {remedy_for(lacking, self.split, metric)}"
                )
        if self._only is None:
            noted = judged(entry, self.split, self.of_users, found)
            self.notes += [note for note in noted if note not in self.notes]
        users_U = found.users_U.astype(str)
        order_U = np.argsort(users_U, kind="stable")
        users_U = users_U[order_U]
        if self._users_U is None:
            self._users_U = users_U
        elif not np.array_equal(self._users_U, users_U):
            alone = len(np.setxor1d(self._users_U, users_U))
            raise ConfigError(
                f"the runs do not compare: they are evaluated on different {self.split} users ({alone:,} are not in "
                f"both): {listed([self._first])} against {listed([entry.path])}; compare runs of the same data, or add "
                "--descriptive for their numbers without tests"
            )
        columns = [found.values[metric][order_U] for metric in self.of_users]
        return np.stack(columns, axis=1) if columns else np.empty((len(users_U), 0))

    def _read(self, entry: Entry) -> PerUser:
        found = read_per_user(entry.path, self.split)
        assert found is not None, "files that are missing are refused before"
        if self._only is None:
            return found
        is_member_U = np.isin(found.users_U.astype(str), self._only)
        return PerUser(found.users_U[is_member_U], {name: each[is_member_U] for name, each in found.values.items()})

    def _refuse_missing_files(self, entries: Sequence[Entry]) -> None:
        without = [
            entry.path for entry in entries if not os.path.lexists(RunFolder(entry.path).per_user_file(self.split))
        ]
        if without:
            remedy = remedy_for(without[0], self.split)
            raise ConfigError(f"no {self.split} values of users in {listed(without)}; {remedy}")


def judged(entry: Entry, split: Split, metrics: Sequence[str], found: PerUser) -> list[str]:
    """Refuse values of which the mean is not the number that the run reports, and return notes on small differences.

    Args:
        entry: a run.
        split: the split that is compared.
        metrics: metrics that have values of users.
        found: the values of all its users.

    Raises:
        CheckpointError: they differ by more than an evaluation on another device explains, or are infinite.
    """
    file, notes = RunFolder(entry.path).per_user_file(split), []
    for metric in metrics:
        if np.isinf(found.values[metric]).any():
            raise CheckpointError(f"{file} is damaged: its column {metric!r} holds infinite values")
        mean, reported = mean_of_users(found.values[metric]), entry.values[metric]
        mean = math.nan if mean is None else mean
        if _is_near(mean, reported, _SAME):
            continue
        differ = f"the mean of {short_name(metric)} is {mean:.6g} there and {reported:.6g} in metrics.json"
        if not _is_near(mean, reported, _CLOSE):
            remedy = f"remove it, and {remedy_for(entry.path, split)}"
            raise CheckpointError(f"{file} is of another evaluation than the run's: {differ}; {remedy}")
        notes.append(f"{file} was written on another device than metrics.json: {differ}")
    return notes


def remedy_for(path: str, split: Split, metric: str | None = None) -> str:
    """Return what helps where a run has no values of its users, or none of a metric."""
    more = "" if metric is None else f" {quote(f'monitors=[{metric}]')}"
    command = f"recrun eval --checkpoint {quote(path)} --split {split}{more}"
    return f"`{command}` writes the values; or compare with --over seeds, or --descriptive"


def _is_near(value: float, other: float, tolerance: float) -> bool:
    """Return whether two values differ by less, or are both undefined."""
    is_undefined = math.isnan(value) and math.isnan(other)
    return is_undefined or math.isclose(value, other, rel_tol=tolerance, abs_tol=tolerance)


def _may_be_of_users(metric: str) -> bool:
    """Return whether a metric may be a mean over users; True where its definition cannot be found."""
    try:
        kind = kind_of(METRICS.describe(parse_monitor(metric).name)).name
    except (ConfigError, RegistryError):
        return True
    return kind not in _OF_WHOLE_RUNS
