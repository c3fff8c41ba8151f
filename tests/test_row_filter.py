"""Conditions on rows: what is read, and what is said of what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.row_filter import AllOf, AnyOf, Comparison, Condition, FilterError, Not, columns_of, parse_filter


def is_(column: str, *values: int | float | str | bool | None, operator: str = "==") -> Comparison:
    return Comparison(column, operator, values)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("event == 'purchase'", is_("event", "purchase")),
        ('event=="a b"', is_("event", "a b")),
        ("3 == 'purchase'", is_("3", "purchase")),
        ("`my column` != 4", is_("my column", 4, operator="!=")),
        ("'my column' < -1.5e3", is_("my column", -1500.0, operator="<")),
        ("User-ID >= 7", is_("User-ID", 7, operator=">=")),
        ("größe <= 7", is_("größe", 7, operator="<=")),
        ("a.b > .5", is_("a.b", 0.5, operator=">")),
        ("click == true", is_("click", True)),
        ("click == false", is_("click", False)),
        ("price != null", is_("price", None, operator="!=")),
        ("name == 'it\\'s'", is_("name", "it's")),
        ('name == "and or not"', is_("name", "and or not")),
        ("event in ['a', 'b']", is_("event", "a", "b", operator="in")),
        ("n in (1, 2.5)", is_("n", 1, 2.5, operator="in")),
        ("n not in [1]", Not(is_("n", 1, operator="in"))),
        ("url contains '/p/'", is_("url", "/p/", operator="contains")),
        ("url startswith 'x'", is_("url", "x", operator="startswith")),
        ("url endswith 'x'", is_("url", "x", operator="endswith")),
        ("not a == 1", Not(is_("a", 1))),
        ("a == 1 or b == 2 and c == 3", AnyOf((is_("a", 1), AllOf((is_("b", 2), is_("c", 3)))))),
        ("(a == 1 or b == 2) and c == 3", AllOf((AnyOf((is_("a", 1), is_("b", 2))), is_("c", 3)))),
        ("not (a == 1)", Not(is_("a", 1))),
    ],
)
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert parse_filter(text) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: expected a column, found the end"),
        ("  ", "character 3: expected a column, found the end"),
        ("event", "character 6: expected one of == != < <= > >= in contains startswith endswith, found the end"),
        ("event = 'a'", "found =; equality is written =="),
        ("event === 'a'", "character 9: expected a number, text in quotes, true, false or null, found ="),
        ("event == ", "character 10: expected a number, text in quotes, true, false or null, found the end"),
        ("event == purchase", r"\(text is written in quotes: 'purchase'\), found purchase"),
        ("event == 'purchase", "character 10: the quote that begins here is not closed"),
        ("event == \"purchase'", "character 10: the quote that begins here is not closed"),
        ("`my column == 1", "character 1: the quote that begins here is not closed"),
        ("event == 'a' event == 'b'", "character 14: expected and, or, or the end, found event"),
        ("event == 'a' & event == 'b'", "character 14: expected and, or, or the end, found &"),
        ("event == 'a' && event == 'b'", "found &"),
        ("event == 'a' || event == 'b'", r"found \|"),
        ("event == 'a' and", "character 17: expected a column, found the end"),
        ("and event == 'a'", "character 1: expected a column, found and"),
        ("or", "character 1: expected a column, found or"),
        ("not", "character 4: expected a column, found the end"),
        ("(event == 'a'", r"character 14: expected and, or, or \), found the end"),
        ("event == 'a')", r"character 13: expected and, or, or the end, found \)"),
        ("()", r"character 2: expected a column, found \)"),
        ("!event == 'a'", "character 1: expected a column, found !"),
        ("== 'a'", "character 1: expected a column, found =="),
        ("event in 'a'", r"character 10: expected \[ and the values, found 'a'"),
        ("event in []", r"character 11: expected a number, text in quotes, true, false or null, found \]"),
        ("event in ['a'", r"character 14: expected , or \], found the end"),
        ("event in ['a' 'b']", r"character 15: expected , or \], found 'b'"),
        ("event in ['a',]", r"character 15: expected a number.*found \]"),
        ("event in [null]", "character 11: expected a number, text in quotes, true or false, found null"),
        ("event not == 'a'", "character 11: expected in, found =="),
        ("event is null", "expected one of == .*, found is"),
        ("event like 'a%'", "expected one of == .*, found like"),
        ("price < null", "character 9: expected a number or text in quotes, found null"),
        ("price >= true", "character 10: expected a number or text in quotes, found true"),
        ("url contains 5", "character 14: expected text in quotes, found 5"),
        ("url startswith null", "character 16: expected text in quotes, found null"),
        ("price < 5 + 3", r"character 11: expected and, or, or the end, found \+"),
        ("1 < price < 5", r"character 5: expected a number, .*found price"),
        ("price == 1.2.3", "character 10: expected a number, .*found 1.2.3"),
        ("price == 12abc", "character 10: expected a number, .*found 12abc"),
        ("price == 0x10", "character 10: expected a number, .*found 0x10"),
        ("price == --1", "character 10: expected a number"),
        ("__import__('os').system('x')", r"character 11: expected one of == .*, found \("),
        ("a == 1; b == 2", "character 7: expected and, or, or the end, found ;"),
        ("a <> 1", "character 4: expected a number, .*found >"),
        ("a =< 1", "found =; equality is written =="),
        ("null == a", "character 1: expected a column, found null"),
        ("true", "character 1: expected a column, found true"),
        ("a == 1 and not", "character 15: expected a column, found the end"),
        ("(" * 60 + "a == 1" + ")" * 60, "conditions are nested more than 50 deep"),
        ("not " * 60 + "a == 1", "conditions are nested more than 50 deep"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        parse_filter(text)


def test_the_columns_of_a_condition_are_named_once() -> None:
    assert columns_of(parse_filter("a == 1 and not (b == 2 or a == 3) and `c d` in [1]")) == ["a", "b", "c d"]


@given(st.text(alphabet="ab1.'\"`=!<>()[], \\notandrinul-+", max_size=40))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        found = columns_of(parse_filter(text))
    except FilterError as error:
        found = [str(error)]
    assert found
