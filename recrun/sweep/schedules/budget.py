"""End a study when its epochs are used up, at the same step whatever runs at once."""

from __future__ import annotations

from collections.abc import Sequence

from recrun.errors import ConfigError
from recrun.sweep.schedules.known import Known
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Schedule, Step


class Budgeted(Schedule):
    """Takes the steps of another schedule while the epochs of all of them together stay within a number.

    A step whose result is known counts with the epochs that it trained, another with those that it may train at the
    most; a failed one with none. A step that might exceed the number waits for the results before it; if it still does
    when they are known, the study ends. Until a point is trained to its end with all its repeats, the epochs that this
    takes are kept back: when they are all that is left, the most promising point is completed, so that one is chosen.

    Args:
        schedule: the schedule.
        max_epochs: how many epochs all steps may train together.

    Raises:
        ConfigError: not even one point can be trained to its end.
    """

    def __init__(self, schedule: Schedule, max_epochs: int) -> None:
        super().__init__(schedule.n_repeats, schedule.last_epoch)
        least = schedule.n_repeats * schedule.last_epoch
        if max_epochs < least:
            raise ConfigError(
                f"--max-epochs: one point takes {least} epochs, and its share of them is {max_epochs}; give more: "
                "configs and data sets share them evenly"
            )
        self.schedule = schedule
        self.max_epochs = max_epochs

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next step of the schedule if it fits, else `WAIT`.

        Once all results are known, it is the last step that the epochs left still pay for.
        """
        decision = self.schedule.next(past, n_points)
        n_kept = self._kept(past)
        if not isinstance(decision, Step) or self._fits(past, decision, n_kept):
            return decision
        if any(each.result is None for each in past):
            return WAIT
        last = self.schedule.finish(past) if n_kept else END
        return last if isinstance(last, Step) and self._fits(past, last, 0) else END

    def _kept(self, past: Sequence[Past]) -> int:
        """Return the epochs that are kept back."""
        if not self.schedule.reserve:
            return 0
        for trials in Known(past).points:
            if len(trials) == self.n_repeats and all(trial.is_finished for trial in trials.values()):
                return 0
        return self.schedule.reserve

    def _fits(self, past: Sequence[Past], step: Step, n_kept: int) -> bool:
        return self._spent([*past, Past(step)]) + n_kept <= self.max_epochs

    def _spent(self, past: Sequence[Past]) -> int:
        reached: dict[tuple[int, int], int] = {}
        total = 0
        for each in past:
            trial = (each.step.point, each.step.repeat)
            before = reached.get(trial, 0)
            planned = self.last_epoch if each.step.until is None else min(each.step.until, self.last_epoch)
            reached[trial] = max(before, planned if each.result is None else each.result.epoch)
            total += reached[trial] - before
        return total


def budgeted(schedules: Sequence[Schedule], max_epochs: int) -> list[Schedule]:
    """Return the schedules of the lanes of a study, which share a number of epochs evenly.

    The first lanes get one more each if it cannot be divided. Lanes whose models are not trained by epochs use none,
    and run whole. What a lane leaves of its share is not used by others: that may show only at its end.

    Args:
        schedules: the schedule of each lane.
        max_epochs: how many epochs the study may train.

    Raises:
        ConfigError: the share of a lane is less than one trial.
    """
    sharing = [number for number, schedule in enumerate(schedules) if schedule.last_epoch > 0]
    found = list(schedules)
    for place, number in enumerate(sharing):
        share = max_epochs // len(sharing) + (place < max_epochs % len(sharing))
        found[number] = Budgeted(schedules[number], share)
    return found
