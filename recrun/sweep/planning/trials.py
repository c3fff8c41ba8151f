"""Make the trials of a sweep from the settings of its points, and group them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.config import Config
from recrun.config.resolve import Resolved
from recrun.errors import ConfigError
from recrun.sweep.planning.starts import with_absolute_argument, with_absolute_start
from recrun.sweep.planning.study import Lane, Texts, Trial
from recrun.sweep.planning.subjects import Subject
from recrun.sweep.points import Point
from recrun.sweep.space.check import Resolver
from recrun.sweep.space.variation import keys_of

NO_TEST: Final = "eval_test=false"
"""Passed to every trial of a sweep that chooses: it chooses by validation and never evaluates on test."""
CONFIG: Final = "config"
"""What the column is called that holds the config of a trial, where there are several."""


class TrialMaker:
    """Makes the trials of a sweep, one after another.

    Args:
        subjects: the configs.
        chooses: whether points are ranked, so that test is not read.
        resolver: resolves and checks a config.
    """

    digest = ""
    n_digits = 1
    stand_ins: Mapping[int, Config]

    def __init__(self, subjects: Sequence[Subject], chooses: bool, resolver: Resolver) -> None:
        self._subjects = subjects
        self._chooses = chooses
        self._resolver = resolver
        self.n_lanes = 0
        self.stand_ins = {}

    def texts(self, lane: Lane, drawn: Texts, repeat: int) -> Texts:
        """Return the settings of a trial as written, in the order in which they were given."""
        variation = self._subjects[lane.subject].variation
        merged = {**variation.fixed, **lane.data, **drawn, **lane.repeats[repeat]}
        return {key: merged[key] for key in dict.fromkeys([*variation.written, *merged]) if key in merged}

    def number(self, lane: Lane, point: int, repeat: int) -> int:
        """Return the number of a trial of a study that grows: lanes take turns, so that it never changes."""
        return (point * len(lane.repeats) + repeat) * self.n_lanes + lane.number

    def resolve(self, lane: Lane, texts: Texts) -> Resolved:
        """Return the config of a trial.

        Raises:
            ConfigError: with every fault of it.
        """
        no_test = [NO_TEST] if self._chooses else []
        return self._resolver(self._subjects[lane.subject].base, [*as_arguments(texts), *no_test])

    def make(self, lane: Lane, point: int, repeat: int, drawn: Texts) -> tuple[Trial, str]:
        """Return a trial of a point that was just drawn, and why it is impossible, if it is."""
        texts = self.texts(lane, drawn, repeat)
        try:
            config, refusal = with_absolute_start(self.resolve(lane, texts)).config, ""
        except ConfigError as error:
            config, refusal = self.stand_ins[lane.number], "; ".join(fault.message for fault in error.faults)
        index = self.number(lane, point, repeat)
        return self.trial(lane, point, repeat, index, texts, config, is_possible=not refusal), refusal

    def trial(
        self,
        lane: Lane,
        point: int,
        repeat: int,
        index: int,
        texts: Texts,
        config: Config,
        *,
        is_possible: bool = True,
    ) -> Trial:
        """Return a trial with its number and its config; its settings are text if they do not go together."""
        overrides = {key: config[key] if is_possible else text for key, text in texts.items()}
        name = self._subjects[lane.subject].name
        return Trial(
            index=index,
            id=f"{self.digest}-{index:0{self.n_digits}d}",
            overrides=overrides,
            arguments=with_absolute_argument(as_arguments(texts), config),
            config=config,
            shown={CONFIG: name, **overrides} if len(self._subjects) > 1 else overrides,
            subject=name,
            lane=lane.number,
            point=point,
            repeat=repeat,
        )

    def point(self, lane: Lane, trials: Sequence[Trial]) -> Point:
        """Return the point that some trials of a lane are of."""
        first = trials[0]
        varied = {key for dimension in lane.space.dimensions for key in keys_of(dimension)}
        choices = {key: value for key, value in first.overrides.items() if key in varied}
        data = {key: value for key, value in first.overrides.items() if key in lane.data}
        if len(self._subjects) > 1:  # Configs are compared if their points are; else each has numbers of its own.
            (choices if self._chooses else data)[CONFIG] = first.subject
        return Point(choices, data, tuple(trial.index for trial in trials))


def as_arguments(texts: Texts) -> list[str]:
    """Return settings as `KEY=VALUE` arguments."""
    return [f"{key}={text}" for key, text in texts.items()]


def canonical(value: Any) -> str:
    """Return a value as text that is the same however it was written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest_of(content: Mapping[str, Any]) -> str:
    """Return ten digits that differ for other contents."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:10]
