from __future__ import annotations

import doctest

import pytest

import recrun.report.terminal.lines
from recrun.report.terminal.lines import chosen_text, clock, duration, facts, more_facts, number, scored_text


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(recrun.report.terminal.lines)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (99.99, "99.9900"),
        (-0.25, "-0.2500"),
        (123456.0, "1.235e+05"),
        (True, "True"),
    ],
)
def test_numbers_have_the_width_of_a_column(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.96, "1 min 00 s"), (0.0, "0.00 s"), (3599.7, "1 h 00 min"), (None, "-")]
)
def test_durations_never_show_sixty_seconds(seconds, text):
    assert duration(seconds) == text


def test_a_clock_survives_what_is_not_a_time():
    assert [clock(value) for value in (float("nan"), float("inf"), -1.0)] == ["-:--:--", "-:--:--", "0:00:00"]


def test_only_known_facts_are_told():
    assert facts({}) == []
    assert facts({"device": "cuda:1", "dataset": "Synthetic"}) == [("model", "on cuda:1"), ("data", "Synthetic")]
    assert scored_text({"users": {"skipped": 3}}) == "3 skipped (nothing to find)"
    assert chosen_text({"valid": {"auc": 0.5}}) == ""


def test_the_counts_come_first_and_the_rest_for_those_who_ask():
    statistics = {"users": 10, "train": 90, "density": 0.09, "interactions_per_user": 9.0, "columns": ["rating"]}
    info = {"dataset": "File", "statistics": statistics, "notes": ["the cache was damaged"]}
    assert facts(info) == [("data", "File: 10 users, 90 train, density 0.09"), ("note", "the cache was damaged")]
    assert more_facts(info) == [("more", "interactions per user 9")]
