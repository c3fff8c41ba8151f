from __future__ import annotations

import pytest

from recrun.sweep.space.arguments import Setting, parse_grid, parse_settings
from recrun.sweep.space.ranges import Value, read_range


def only(argument: str) -> Setting:
    settings, faults = parse_settings([argument])
    assert faults == []
    return settings[0]


@pytest.mark.parametrize(
    ("argument", "low", "high", "step", "log"),
    [
        ("lr=1e-4..1e-2:log", "1e-4", "1e-2", None, True),
        ("dropout=0..0.5", "0", "0.5", None, False),
        ("dropout=0..0.5:0.1", "0", "0.5", "0.1", False),
        ("n_layers=1..4", "1", "4", None, False),
        ("batch_size=256..4096:log", "256", "4096", None, True),
        ("x=-1.5..+2E1", "-1.5", "+2E1", None, False),
    ],
)
def test_a_range_has_ends_and_a_step_or_a_scale(
    argument: str, low: str, high: str, step: str | None, log: bool
) -> None:
    found = only(argument).range
    assert found is not None
    assert (found.low.text, found.high.text, found.step and found.step.text, found.log) == (low, high, step, log)
    assert found.text == argument.partition("=")[2]
    assert only(argument).is_axis


def test_each_part_of_a_range_has_its_own_column() -> None:
    found = only("dropout=0..0.5:0.1").range
    assert found is not None
    assert found.step is not None
    assert [each.column for each in (found.whole, found.low, found.high, found.step)] == [9, 9, 12, 16]


@pytest.mark.parametrize("text", ["1...3", "../a..b", "'1..3'", "a..b", "1..", "..3", "1..2..3", "[1..3]", "1e..2"])
def test_other_text_with_dots_is_no_range(text: str) -> None:
    assert read_range(Value(text, 1)) == (None, [])


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("dropout=0..0.5:0.1", ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("x=0..1:0.4", ["0", "0.4", "0.8"]),
        ("n_layers=1..7:3", ["1", "4", "7"]),
        ("lr=1e-7..3e-7:1e-7", ["1e-07", "2e-07", "3e-07"]),
        ("x=1e3..2e3:500.0", ["1000", "1500", "2000"]),
        ("x=0.2..0.6:0.2,0.9", ["0.2", "0.4", "0.6", "0.9"]),
    ],
)
def test_a_grid_lists_the_values_of_steps_without_rounding_errors(argument: str, values: list[str]) -> None:
    grid, faults = parse_grid([argument])
    assert (faults, [value.text for value in grid.settings[0].values]) == ([], values)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("x=5..1", "argument 1:3: x: the range 5..1 is empty: expected FIRST..LAST with FIRST <= LAST"),
        ("x=0.5..0.1", "argument 1:3: x: the range 0.5..0.1 is empty: expected LOW..HIGH with LOW < HIGH"),
        ("x=0.5..0.5", "argument 1:3: x: the range 0.5..0.5 holds one value alone; write 0.5"),
        ("x=0..1:log", "argument 1:3: x: a range on a logarithmic scale begins above 0, found 0"),
        ("x=-1..1:log", "argument 1:3: x: a range on a logarithmic scale begins above 0, found -1"),
        ("x=0..1:0", "argument 1:8: x: expected a step above 0, found 0"),
        ("x=0..1:-0.1", "argument 1:8: x: expected a step above 0, found -0.1"),
        ("x=0..1:2", "argument 1:8: x: the step 2 is larger than the range 0..1"),
        ("x=1..9:2:log", "argument 1:8: x: a range on a logarithmic scale has no step; remove one of them"),
        ("x=0..1e999", "argument 1:6: x: 1e999 is too large for a number"),
        (
            "x=1..9:lgo",
            "argument 1:8: x: expected LOW..HIGH:STEP or LOW..HIGH:log, found 'lgo' behind the colon; put the value in "
            "quotes if it is text; did you mean 'log'?",
        ),
        (
            "x=1..9:1:2",
            "argument 1:10: x: expected LOW..HIGH:STEP or LOW..HIGH:log, found '2' behind the colon; put the value in "
            "quotes if it is text",
        ),
        ("x=3,0..0.5", "argument 1:5: x: the range 0..0.5 stands beside other values, so it needs a step (0..0.5:0.1)"),
    ],
)
def test_a_wrong_range_is_a_fault_at_the_part_that_is_wrong(argument: str, message: str) -> None:
    assert [str(fault) for fault in parse_settings([argument])[1]] == [message]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "x=0..0.5",
            "argument 1:3: x: a grid needs to know which values: write a step (0..0.5:0.1) or choose --search random",
        ),
        (
            "x=1..9:log",
            "argument 1:3: x: a grid cannot list a range on a logarithmic scale: write its values, or choose "
            "--search random",
        ),
        ("x=0..1:1e-5", "argument 1:3: x: the range 0..1:1e-5 has 100,001 values; at most 10,000 are accepted"),
    ],
)
def test_a_grid_refuses_a_range_that_it_cannot_list_and_a_search_does_not(argument: str, message: str) -> None:
    assert [str(fault) for fault in parse_grid([argument])[1]] == [message]
    assert only(argument).range is not None
