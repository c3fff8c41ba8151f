"""Parse conditions on the rows of a file, such as `event == 'purchase' and not (price < 5 or price == null)`.

or_:        and_ ("or" and_)*
and_:       not_ ("and" not_)*
not_:       "not" not_ | "(" or_ ")" | comparison
comparison: column operator value | column ["not"] "in" "[" value ("," value)* "]"
column:     a name, or the number of a column without one; in quotes or backquotes where it holds blanks
operator:   == != < <= > >= contains startswith endswith
value:      a number, text in quotes, true, false, null
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

Value = int | float | str | bool | None

OPERATORS: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "contains", "startswith", "endswith")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_KEYWORDS: Final = {"and", "or", "not", *OPERATORS, *_WORDS}
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
    | (?P<column>`[^`]+`)
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<word>\w[\w.\-]*)
    | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST: Final = 50


class FilterError(ValueError):
    """A condition that cannot be understood; the message says at which character, counted from 1."""


@dataclass(frozen=True)
class Comparison:
    """A column compared with a value.

    Args:
        column: its name as it was written.
        operator: one of `OPERATORS`.
        values: what it is compared with; several only for "in".
    """

    column: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    condition: Condition


@dataclass(frozen=True)
class AllOf:
    """Conditions that all hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """Conditions of which one holds."""

    conditions: tuple[Condition, ...]


Condition = Comparison | Not | AllOf | AnyOf


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def parse_filter(text: str) -> Condition:
    """Return the condition that a text writes.

    Raises:
        FilterError: it writes none.

    >>> parse_filter("event == 'purchase'")
    Comparison(column='event', operator='==', values=('purchase',))
    """
    return _Parser(text).parse()


def columns_of(condition: Condition) -> list[str]:
    """Return the columns that a condition names, each once, in order."""
    if isinstance(condition, Comparison):
        return [condition.column]
    parts = (condition.condition,) if isinstance(condition, Not) else condition.conditions
    return list(dict.fromkeys(name for part in parts for name in columns_of(part)))


class _Parser:
    """Takes a text apart into tokens, and reads them from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parse(self) -> Condition:
        condition = self._or()
        if self._peek.kind != "end":
            raise self._error("and, or, or the end")
        return condition

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek
        self._next += 1
        return token

    def _found(self, *words: str) -> bool:
        """Take the next token if it is one of these words or signs."""
        is_found = self._peek.kind in ("word", "sign") and self._peek.text in words
        self._next += is_found
        return is_found

    def _error(self, expected: str) -> FilterError:
        token = self._peek
        found = "the end" if token.kind == "end" else token.text
        hint = "; equality is written ==" if found == "=" else ""
        return FilterError(f"character {token.place + 1}: expected {expected}, found {found}{hint}")

    def _or(self) -> Condition:
        conditions = [self._and()]
        while self._found("or"):
            conditions.append(self._and())
        return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))

    def _and(self) -> Condition:
        conditions = [self._not()]
        while self._found("and"):
            conditions.append(self._not())
        return conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions))

    def _not(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FilterError(f"character {self._peek.place + 1}: conditions are nested more than {_DEEPEST} deep")
        condition: Condition
        if self._found("not"):
            condition = Not(self._not())
        elif self._found("("):
            condition = self._or()
            if not self._found(")"):
                raise self._error("and, or, or )")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _comparison(self) -> Condition:
        token = self._peek
        if token.kind not in ("word", "text", "column", "number") or (token.kind == "word" and token.text in _KEYWORDS):
            raise self._error("a column")
        self._take()
        column = _unquoted(token.text) if token.kind in ("text", "column") else token.text
        is_not = self._found("not")
        operator = self._peek
        if is_not and operator.text != "in":
            raise self._error("in")
        if operator.kind not in ("word", "sign") or operator.text not in OPERATORS:
            raise self._error(f"one of {' '.join(OPERATORS)}")
        self._take()
        if operator.text == "in":
            comparison = Comparison(column, "in", self._list())
            return Not(comparison) if is_not else comparison
        return Comparison(column, operator.text, (self._value(operator.text),))

    def _list(self) -> tuple[Value, ...]:
        if not self._found("[", "("):
            raise self._error("[ and the values")
        values = [self._value("in")]
        while self._found(","):
            values.append(self._value("in"))
        if not self._found("]", ")"):
            raise self._error(", or ]")
        return tuple(values)

    def _value(self, operator: str) -> Value:
        token = self._peek
        value: Value
        if token.kind == "number":
            value = int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else float(token.text)
        elif token.kind == "text":
            value = _unquoted(token.text)
        elif token.kind == "word" and token.text in _WORDS:
            value = _WORDS[token.text]
        else:
            hint = f" (text is written in quotes: '{token.text}')" if token.kind == "word" else ""
            raise self._error(f"a number, text in quotes, true, false or null{hint}")
        if operator in ("contains", "startswith", "endswith") and not isinstance(value, str):
            raise self._error("text in quotes")
        if operator in ("<", "<=", ">", ">=") and (value is None or isinstance(value, bool)):
            raise self._error("a number or text in quotes")
        if operator == "in" and value is None:
            raise self._error("a number, text in quotes, true or false")
        self._take()
        return value


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            if text[place] in "'\"`":
                raise FilterError(f"character {place + 1}: the quote that begins here is not closed")
            yield _Token("sign", text[place], place)
            place += 1
            continue
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind))
        place = match.end()
    yield _Token("end", "", len(text))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text[0] != "`" else text[1:-1]
