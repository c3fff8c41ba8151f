"""Hold a checked sweep: its trials as far as they are known, its lanes, and how further trials are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from recrun.errors import ConfigError
from recrun.sweep.limits import Limits
from recrun.sweep.planning.request import Settled
from recrun.sweep.points import Point
from recrun.sweep.schedules.schedule import Schedule
from recrun.sweep.search.sampler import Sampler
from recrun.sweep.space.dimensions import Draw, Space

Texts = Mapping[str, str]
"""Settings as `KEY=VALUE` texts, by key."""


@dataclass(frozen=True)
class Trial:
    """One point of the space with one of its seeds or folds.

    Args:
        index: its number, counted from 0, which stays the same when the study is extended.
        id: the name of its run folder.
        overrides: the settings given on the command line, with this trial's typed values.
        arguments: the same as `KEY=VALUE` text, as written.
        config: the resolved config.
        shown: what tables show of it: the overrides, and its config where there are several.
        subject: the config that it is of.
        lane: the number of its lane.
        point: the number of its point in the lane.
        repeat: the number of its seed or fold.
    """

    index: int
    id: str
    overrides: Mapping[str, Any]
    arguments: tuple[str, ...]
    config: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    lane: int = 0
    point: int = 0
    repeat: int = 0


@dataclass(frozen=True)
class Lane:
    """A part of a study that is searched on its own: one config on one value of the data axes.

    Args:
        number: its number.
        subject: the number of its config.
        data: its values on the axes that change the data.
        repeats: the seeds or folds of each point; one without settings if there are none.
        space: what is varied.
        n_points: how many points are drawn at the most.
        draws: all its points, where they do not depend on results.
        sampler: what draws them otherwise.
        schedule: what decides which trial is trained next and how far.
    """

    number: int
    subject: int
    data: Texts
    repeats: tuple[Texts, ...]
    space: Space
    n_points: int = 0
    draws: tuple[Draw, ...] | None = None
    sampler: Sampler | None = None
    schedule: Schedule | None = None

    @property
    def adapts(self) -> bool:
        """Whether its trials depend on results."""
        return self.draws is None or (self.schedule is not None and self.schedule.adapts)


class Maker(Protocol):
    """Makes the trials and points of a study that grows."""

    def make(self, lane: Lane, point: int, repeat: int, drawn: Texts) -> tuple[Trial, str]:
        """Return a trial, and why it is impossible, if it is."""

    def point(self, lane: Lane, trials: Sequence[Trial]) -> Point:
        """Return the point that some trials of a lane are of."""


@dataclass
class Plan:
    """A checked sweep, ready to start.

    Args:
        name: the name of its folder; it is the same for the same command, and changes with the config or the space.
        config_path: the file of the base config; of several, their names with commas.
        criteria: the metrics, on validation, by which trials are compared; the first also chooses the best epoch.
        smaller_is_better: for each of these.
        axes: the settings that vary, with their typed values; a range as written.
        trials: the trials that are known, in the order of their numbers.
        points: the trials that differ in seeds or folds alone, together; see `recrun.sweep.points`.
        is_tested: whether each trial is evaluated on test, which is so if no axis is a choice.
        lanes: the parts that are searched on their own.
        maker: makes further trials and points.
        settled: what options and sections ask for.
        checked: the number of a lane and a config of it, for all that were checked: of a lane that draws its points
            later those at the ends of what varies.
        files: the file of each config, by its name.
        of_subject: the name of the column that holds the config, where there are several.
        described: what sweep.json says further of the study.
        notes: what a user should know about the settings of trials.
        n_had: how many points the study may have had before this plan; None if that was not looked at.
    """

    name: str
    config_path: str
    criteria: tuple[str, ...]
    smaller_is_better: tuple[bool, ...]
    axes: Mapping[str, tuple[Any, ...]]
    trials: list[Trial]
    points: list[Point]
    is_tested: bool
    lanes: tuple[Lane, ...]
    maker: Maker
    settled: Settled
    checked: tuple[tuple[int, Mapping[str, Any]], ...]
    files: Mapping[str, str] = field(default_factory=dict)
    of_subject: str | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    n_had: int | None = None

    @property
    def limits(self) -> Limits:
        """What ends the sweep, or a trial, before it is done."""
        return self.settled.limits

    @property
    def generation(self) -> int | None:
        """From how many trials before it on, results are not known to a decision; None for the default."""
        return self.settled.generation

    @property
    def which4best(self) -> str:
        """The metric, on validation, by which trials are compared."""
        return self.criteria[0]

    @property
    def sign(self) -> float:
        """What a value of that metric is multiplied by so that larger is better: 1.0 or -1.0."""
        return -1.0 if self.smaller_is_better[0] else 1.0

    @property
    def adapts(self) -> bool:
        """Whether which trials there are, or how far they are trained, depends on results."""
        return any(lane.adapts for lane in self.lanes)

    @property
    def is_study(self) -> bool:
        """Whether this is more than a grid of one config."""
        return bool(self.described)

    @property
    def n_asked(self) -> int | None:
        """How many points are to be drawn for each config and each value of the data; None of a grid."""
        procedure = self.settled.procedure
        return None if procedure.is_grid else procedure.trials

    @property
    def most_at_once(self) -> int:
        """How many trials there may be, and so run at once."""
        return sum(lane.n_points * len(lane.repeats) for lane in self.lanes)

    @property
    def n_data(self) -> int:
        """The number of values of the axes that change the data; points are compared within each."""
        return len({repr(point.data) for point in self.points})

    @property
    def has_repeats(self) -> bool:
        """Whether points have several trials."""
        return any(len(lane.repeats) > 1 for lane in self.lanes)

    def draws_in(self, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Draw]]:
        """Yield the lane and the draw of each point that a journal has begun.

        Raises:
            ConfigError: an entry is damaged, or of another space.
        """
        begun = [0] * len(self.lanes)
        for entry in entries:
            if "draw" not in entry:
                continue
            number, draw = entry.get("lane"), entry["draw"]
            lane = self.lanes[number] if type(number) is int and 0 <= number < len(self.lanes) else None
            if lane is None or not lane.space.contains(draw):
                raise ConfigError(f"the journal of the sweep is damaged: no point of its space is {entry}")
            known = lane.draws if lane.draws is None else lane.draws[begun[lane.number] : begun[lane.number] + 1]
            if known and dict(known[0]) != draw:
                raise ConfigError(
                    f"the journal of the sweep has another point {begun[lane.number]} ({draw}) than is drawn now: it "
                    "is of another version of recrun or scipy; go on with that, or move the folder of the sweep away"
                )
            begun[lane.number] += 1
            yield lane.number, draw

    def add_point(self, lane: int, draw: Draw) -> list[tuple[Trial, str]]:
        """Add the trials of the next point of a lane, unless they are known; return them with why they are impossible.

        Args:
            lane: the number of the lane.
            draw: the point.
        """
        found = self.lanes[lane]
        if found.draws is not None:
            return []
        number = 1 + max((trial.point for trial in self.trials if trial.lane == lane), default=-1)
        texts = found.space.settings(draw)
        made = [self.maker.make(found, number, repeat, texts) for repeat in range(len(found.repeats))]
        self.trials += [trial for trial, _ in made]
        self.trials.sort(key=lambda trial: trial.index)
        self.points.append(self.maker.point(found, [trial for trial, _ in made]))
        return made
