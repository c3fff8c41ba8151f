"""Keep the course of every metric of a run in bounded memory, however many epochs it has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from recrun.config.monitor_names import is_error
from recrun.registry.user_files import short_name

Point = tuple[int, float]

_MOST_BUCKETS: Final = 1024
"""More than the pixels of a plot's axis, so that nothing that a plot could show is lost."""
_MOST_COURSES: Final = 512
_LARGEST: Final = 1e300
"""Up to here, the length of an axis is a number too."""
_SPLITS: Final = ("train", "valid", "test")


class Course:
    """The values of one metric on one split.

    Up to 1,024 values are kept as they are. Of more, the epochs are divided into up to 1,024 buckets of equal width,
    and the smallest and the largest value of each is kept: no peak disappears.

    Args:
        split: the split.
        metric: the metric, as monitors name it.
    """

    def __init__(self, split: str, metric: str) -> None:
        self.split = split
        self.metric = metric
        self.n_finite = 0
        self.last: Point = (-1, math.nan)
        self._width = 1
        self._buckets: dict[int, tuple[Point, Point] | None] = {}

    @property
    def label(self) -> str:
        """The split and the metric, without the path of a user's own file."""
        return f"{self.split} {short_name(self.metric)}"

    @property
    def is_drawn(self) -> bool:
        """Whether there is a line to draw: finite values of two epochs."""
        return self.n_finite > 1 and len(self._buckets) > 1

    def add(self, epoch: int, value: float) -> None:
        """Add the value after `epoch` epochs of training; one that is not finite, or beyond 1e300, leaves a gap."""
        place = epoch // self._width
        if epoch >= self.last[0]:
            self.last = (epoch, value)
        if abs(value) <= _LARGEST:  # false for NaN
            self.n_finite += 1
            point = (epoch, value)
            low, high = self._buckets.get(place) or (point, point)
            self._buckets[place] = (point if value < low[1] else low, point if value > high[1] else high)
        else:
            self._buckets.setdefault(place, None)
        while len(self._buckets) > _MOST_BUCKETS:
            self._widen()

    def points(self) -> list[Point]:
        """Return what is kept, sorted by epoch; NaN where there is a gap."""
        found: list[Point] = []
        for place, bucket in sorted(self._buckets.items()):
            found += [(place * self._width, math.nan)] if bucket is None else sorted({*bucket})
        return found

    def best(self) -> Point | None:
        """Return the first of the best values, or None if none is finite."""
        buckets = [bucket for _, bucket in sorted(self._buckets.items()) if bucket is not None]
        if not buckets:
            return None
        if is_error(self.metric):
            return min((low for low, _ in buckets), key=lambda point: point[1])
        return max((high for _, high in buckets), key=lambda point: point[1])

    def _widen(self) -> None:
        """Double the width of the buckets."""
        before, self._buckets = self._buckets, {}
        self._width *= 2
        for place, bucket in sorted(before.items()):
            first = self._buckets.get(place // 2)
            if first is not None and bucket is not None:
                low, high = bucket
                bucket = (low if low[1] < first[0][1] else first[0], high if high[1] > first[1][1] else first[1])
            self._buckets[place // 2] = bucket or first


class Courses:
    """The courses of a run by split and metric; iteration begins with the splits train, valid and test."""

    def __init__(self) -> None:
        self._courses: dict[tuple[str, str], Course] = {}
        self.is_complete = True

    def append(self, split: str, epoch: int, values: Mapping[str, Any]) -> None:
        """Add the values of one split after `epoch` epochs; what is no number is left out, as from a damaged file.

        Of more than 512 metrics, the others are left out, and `is_complete` is false.
        """
        if not isinstance(split, str) or type(epoch) is not int or not 0 <= epoch < 2**53:
            return
        for metric, value in values.items():
            if not isinstance(value, float):
                continue
            course = self._courses.get((split, metric))
            if course is None:
                if len(self._courses) >= _MOST_COURSES:
                    self.is_complete = False
                    continue
                course = self._courses[split, metric] = Course(split, metric)
            course.add(epoch, value)

    def get(self, split: str, metric: str) -> Course | None:
        """Return the course of a metric, or None if it was not measured."""
        return self._courses.get((split, metric))

    def __iter__(self) -> Iterator[Course]:
        order = {split: place for place, split in enumerate(_SPLITS)}
        return iter(sorted(self._courses.values(), key=lambda course: order.get(course.split, len(order))))
