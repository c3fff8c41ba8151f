from __future__ import annotations

import math

from recrun.report.files.course import Course, Courses


def _course(values: list[float], metric: str = "ndcg@20") -> Course:
    course = Course("valid", metric)
    for epoch, value in enumerate(values):
        course.add(epoch, value)
    return course


def test_a_short_course_is_kept_as_it_is():
    values = [math.sin(epoch) for epoch in range(1024)]
    assert _course(values).points() == list(enumerate(values))


def test_a_long_course_keeps_every_peak_in_bounded_memory():
    values = [0.5] * 100_000
    values[77_777], values[31_313] = 9.0, -9.0
    course = _course(values)
    points = course.points()
    assert len(points) <= 2 * 1024
    assert points == sorted(points)
    assert {(77_777, 9.0), (31_313, -9.0)} <= set(points)
    assert course.best() == (77_777, 9.0)
    assert course.last == (99_999, 0.5)
    assert _course(values, "loss").best() == (31_313, -9.0)


def test_the_best_of_equal_values_is_the_first():
    assert _course([0.1, 0.7, 0.7] * 2000).best() == (1, 0.7)
    assert _course([0.7, 0.1, 0.1] * 2000, "mse").best() == (1, 0.1)


def test_a_value_that_is_no_number_leaves_a_gap():
    points = _course([0.1, math.nan, math.inf, -1e308, 0.2]).points()
    assert [epoch for epoch, value in points if math.isnan(value)] == [1, 2, 3]
    assert (points[0], points[4]) == ((0, 0.1), (4, 0.2))


def test_epochs_in_any_order_are_sorted():
    course = Course("valid", "auc")
    for epoch in (5, 3, 4):
        course.add(epoch, epoch / 10)
    assert course.points() == [(3, 0.3), (4, 0.4), (5, 0.5)]
    assert course.last == (5, 0.5)


def test_epochs_far_apart_are_taken():
    course = Course("valid", "auc")
    for place in range(2000):
        course.add(place * 2**41, 0.5)
    assert course.last == (1999 * 2**41, 0.5)
    assert len(course.points()) <= 2 * 1024


def test_what_is_no_value_of_an_epoch_is_left_out():
    courses = Courses()
    for split, epoch in (("valid", -1), ("valid", True), ("valid", "1"), ("valid", 2**60), (["valid"], 1)):
        courses.append(split, epoch, {"auc": 0.5})  # type: ignore[arg-type]
    courses.append("valid", 1, {"auc": "0.5", "mse": None, "mae": [0.5]})
    assert not list(courses)


def test_courses_are_bounded_in_number_and_say_when_some_are_left_out():
    courses = Courses()
    courses.append("valid", 1, {f"metric{place}": 0.5 for place in range(512)})
    assert courses.is_complete
    courses.append("test", 1, {"one more": 0.5})
    assert not courses.is_complete
    assert len(list(courses)) == 512


def test_splits_come_in_the_order_of_a_run():
    courses = Courses()
    for split in ("other", "test", "valid", "train"):
        courses.append(split, 1, {"auc": 0.5})
    assert [course.split for course in courses] == ["train", "valid", "test", "other"]
