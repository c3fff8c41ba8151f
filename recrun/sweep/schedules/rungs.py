"""Define the epochs at which trials are compared, and who stands where."""

from __future__ import annotations

from recrun.sweep.schedules.known import Known, Trial


def rungs_of(last_epoch: int, eval_freq: int, eta: int, min_epochs: int) -> tuple[int | None, ...]:
    """Return the epochs of all rungs: `min_epochs`, `eta` times that, and so on; None, the end, is the last.

    Each is rounded up to an epoch at which trials are evaluated. A rung from which the end is less than the square root
    of `eta` away, as a ratio, is left out: there would be little left to save.

    Args:
        last_epoch: the epoch at which trials end.
        eval_freq: epochs between evaluations.
        eta: the ratio of a rung to the one below it.
        min_epochs: the first rung.

    >>> rungs_of(81, 1, 3, 3), rungs_of(40, 5, 3, 1)
    ((3, 9, 27, None), (5, 15, None))
    """
    found: list[int | None] = []
    epoch = min_epochs
    while True:
        rung = -(-epoch // eval_freq) * eval_freq
        if rung * rung * eta > last_epoch * last_epoch or rung >= last_epoch:
            return (*found, None)
        if rung not in found:
            found.append(rung)
        epoch = max(epoch * eta, rung * eta)


def default_min_epochs(last_epoch: int, eval_freq: int, eta: int) -> int:
    """Return the first rung unless one is given: the share `eta` ** -2 of all epochs, at an evaluation, at least 1.

    >>> default_min_epochs(100, 1, 3), default_min_epochs(100, 5, 3), default_min_epochs(9, 1, 3)
    (12, 15, 1)
    """
    share = -(-last_epoch // eta**2)
    return max(1, -(-share // eval_freq) * eval_freq)


class Standings:
    """The first trials of all points, rung by rung.

    Args:
        rungs: the epochs of the rungs; the last is None.
        known: what is known of all trials.
    """

    def __init__(self, rungs: tuple[int | None, ...], known: Known) -> None:
        self.rungs = rungs
        self._trials: list[Trial] = [trials.get(0, Trial()) for trials in known.points]
        self._failed = [known.has_failed(point) for point in range(known.n_begun)]

    def has_failed(self, point: int) -> bool:
        """Return whether a trial of a point failed, be it another than its first: the point has no mean then."""
        return self._failed[point]

    def is_finished(self, point: int) -> bool:
        """Return whether nothing is left to train of a point, because it reached its end or stopped early."""
        return self._trials[point].is_finished

    def was_sent(self, point: int, level: int) -> bool:
        """Return whether a step took the trial of a point to a rung."""
        return any(step.until == self.rungs[level] for step in self._trials[point].steps)

    def needs_no_step(self, point: int, level: int) -> bool:
        """Return whether the trial of a point was sent to a rung, or need not be because it is finished."""
        return self.is_finished(point) or self.was_sent(point, level)

    def value(self, point: int, level: int) -> float | None:
        """Return the value of a point at a rung that it was sent to; None if it is not known, or a trial failed.

        A trial that is finished has its value in all higher rungs.
        """
        if self.has_failed(point):
            return None
        trial = self._trials[point]
        for step, result in zip(trial.steps, trial.results, strict=False):
            if step.until == self.rungs[level]:
                return result.value
        return trial.value if trial.is_finished else None

    def ranked(self, points: list[int], level: int) -> list[int]:
        """Return the points that have a value at a rung, the best first; of equal ones, the one that began first."""
        values = {point: value for point in points if (value := self.value(point, level)) is not None}
        return sorted(values, key=lambda point: (-values[point], point))
