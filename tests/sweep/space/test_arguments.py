from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.errors import Fault
from recrun.sweep.space.arguments import Grid, parse_grid


def texts(grid: Grid) -> dict[str, list[str]]:
    return {setting.key: [value.text for value in setting.values] for setting in grid.settings}


def test_several_values_are_an_axis_and_one_value_is_not() -> None:
    grid, faults = parse_grid(["lr=1e-3,1e-4", "epochs=2"])
    assert not faults
    assert [axis.key for axis in grid.axes] == ["lr"]
    assert texts(grid) == {"lr": ["1e-3", "1e-4"], "epochs": ["2"]}


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("monitors=[recall@10,ndcg@10]", ["[recall@10,ndcg@10]"]),
        ("hidden=[64,32],[128,64]", ["[64,32]", "[128,64]"]),
        ("hidden=[[1,2],[3]],[4]", ["[[1,2],[3]]", "[4]"]),
        ("options={a: 1, b: [2,3]},{a: 2}", ["{a: 1, b: [2,3]}", "{a: 2}"]),
        ("description='a,b'", ["'a,b'"]),
        ('description="a,b",c', ['"a,b"', "c"]),
        ("description='it''s, so',x", ["'it''s, so'", "x"]),
        ('description="a\\",b",c', ['"a\\",b"', "c"]),
        ("description=it's,fine", ["it's", "fine"]),
        ("description=a b, c d", ["a b", "c d"]),
        ("names=['a,b', c]", ["['a,b', c]"]),
        ("options={a: 'x,]'},y", ["{a: 'x,]'}", "y"]),
        ("description='', x", ["''", "x"]),
        ("root=/data/a=b,/data/c", ["/data/a=b", "/data/c"]),
        ("model=./my models.py:MF,bprmf", ["./my models.py:MF", "bprmf"]),
        ("description=été,日本", ["été", "日本"]),
    ],
)
def test_commas_inside_brackets_braces_and_quotes_do_not_separate(argument: str, values: list[str]) -> None:
    grid, faults = parse_grid([argument])
    assert not faults
    assert [value.text for value in grid.settings[0].values] == values


def test_the_grid_is_row_major_in_the_order_given() -> None:
    grid, _ = parse_grid(["lr=1,2", "epochs=9", "dim=a,b,c"])
    assert [[value.text for value in trial] for trial in grid] == [
        ["1", "9", "a"],
        ["1", "9", "b"],
        ["1", "9", "c"],
        ["2", "9", "a"],
        ["2", "9", "b"],
        ["2", "9", "c"],
    ]
    assert grid.n_trials == 6


@pytest.mark.parametrize(
    ("argument", "message", "column"),
    [
        ("lr=1e-3,", "value 2 of 2 is empty; write '' for empty text, null for none", 9),
        ("lr=,1e-3", "value 1 of 2 is empty; write '' for empty text, null for none", 4),
        ("lr=1, ,2", "value 2 of 3 is empty; write '' for empty text, null for none", 7),
        ("lr=1e-3,1e-4,1e-3", "the value 1e-3 is given twice", 14),
        ("hidden=[64,32", "'[' is not closed; put the value in quotes if it is text", 8),
        ("hidden=[64},2", "'}' has no matching opening bracket; put the value in quotes if it is text", 11),
        ("hidden=64],2", "']' has no matching opening bracket; put the value in quotes if it is text", 10),
        ("description=a,'b", "the quote ' is not closed", 15),
    ],
)
def test_a_fault_names_the_argument_and_the_column(argument: str, message: str, column: int) -> None:
    _, faults = parse_grid(["seed=1", argument])
    key = argument.partition("=")[0]
    assert faults == [Fault(message, key=key, file="argument 2", column=column)]


def test_an_argument_with_nothing_behind_it_is_left_to_the_setting() -> None:
    grid, faults = parse_grid(["rating_column=", "lr=1,2"])
    assert (texts(grid), faults) == ({"rating_column": [""], "lr": ["1", "2"]}, [])


def test_all_faults_are_found_together_and_what_is_right_is_kept() -> None:
    grid, faults = parse_grid(["lr=1,1", "nonsense", "=3", "seed=1", "seed=2,3", "two words=4"])
    assert [str(fault) for fault in faults] == [
        "argument 1:6: lr: the value 1 is given twice",
        "argument 2: expected KEY=VALUE or KEY=V1,V2, found 'nonsense'",
        "argument 3: expected KEY=VALUE or KEY=V1,V2, found '=3'",
        "argument 5:1: seed: is given twice, as arguments 4 and 5; give it once",
        "argument 6: expected KEY=VALUE or KEY=V1,V2, found 'two words=4'",
    ]
    assert texts(grid) == {"lr": ["1"], "seed": ["1"]}


@given(st.lists(st.text(alphabet="a1,.[]{}'\"\\ :=é", max_size=12).map(lambda text: "key=" + text), max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_columns_inside_it(arguments: list[str]) -> None:
    grid, faults = parse_grid(arguments)
    for fault in faults:
        position = int(str(fault.file).removeprefix("argument "))
        assert 1 <= (fault.column or 1) <= len(arguments[position - 1]) + 1
    for setting in grid.settings:
        for value in setting.values:
            assert arguments[setting.position - 1][value.column - 1 :].startswith(value.text)


@given(
    st.lists(
        st.sampled_from(["1e-3", "[1,2]", "{a: [1,2]}", "'x,y'", '"p,q"', "plain", "a b"]), min_size=1, unique=True
    )
)
@settings(deadline=None)
def test_joining_values_with_commas_and_reading_them_back_gives_the_same_values(values: list[str]) -> None:
    grid, faults = parse_grid(["key=" + ",".join(values)])
    assert not faults
    assert texts(grid) == {"key": values}


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("test_fold=1..5", ["1", "2", "3", "4", "5"]),
        ("seed=0..2,7", ["0", "1", "2", "7"]),
        ("x=-1..1", ["-1", "0", "1"]),
        ("x=3..3", ["3"]),
        ("path=../a..b", ["../a..b"]),
        ("x=1...3", ["1...3"]),
        ("x='1..3'", ["'1..3'"]),
    ],
)
def test_a_range_stands_for_its_integers(argument: str, values: list[str]) -> None:
    grid, faults = parse_grid([argument])
    assert faults == []
    assert [value.text for value in grid.settings[0].values] == values


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("seed=5..1", "argument 1:6: seed: the range 5..1 is empty: expected FIRST..LAST with FIRST <= LAST"),
        ("seed=1..10001", "argument 1:6: seed: the range 1..10001 has 10,001 values; at most 10,000 are accepted"),
        ("seed=3,1..4", "argument 1:8: seed: the value 3 is given twice"),
        ("seed=1..3,2", "argument 1:11: seed: the value 2 is given twice"),
    ],
)
def test_a_range_that_is_empty_too_long_or_repeats_a_value_is_refused(argument: str, message: str) -> None:
    assert [str(fault) for fault in parse_grid([argument])[1]] == [message]
