"""Read dates: a table of the forms that are known, and the one judge of which form a column has.

Each form is written as a strftime format and read by a pattern made of it, never by a guess of a library. The order of
day and month is found out only where all values of a column leave one of them; otherwise the column is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH: Final = "|".join(["sept", *(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)])
_DAY: Final = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _DAYS)
_BLANK: Final = "[ \u00a0\u202f]"
_FRACTION: Final = "(?:[.,](?P<f>[0-9]{1,9}))?"

DIRECTIVES: Final = {
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "m": "(?P<m>[0-9]{1,2})",
    "d": "(?P<d>[0-9]{1,2})",
    "j": "(?P<j>[0-9]{1,3})",
    "b": f"(?P<b>(?i:{_MONTH}))",
    "a": f"(?P<a>(?i:{_DAY}))",
    "H": "(?P<H>[0-9]{1,2})",
    "I": "(?P<I>[0-9]{1,2})",
    "M": "(?P<M>[0-9]{2})",
    "S": f"(?P<S>[0-9]{{2}}){_FRACTION}",
    "f": "(?P<f>[0-9]{1,9})",
    "p": "(?P<p>(?i:[ap]m|[ap]\\.m\\.))",
    "z": "(?P<z>(?i:Z|UTC|GMT)|[+-][0-9]{2}(?::?[0-9]{2})?)",
}
"""The directives of a format, and the pattern of each; `%S` takes a fraction of a second, if there is one."""
_ALIASES: Final = {"B": "b", "A": "a", "h": "b", "e": "d", "Z": "z"}
_SHORT: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y"}
_DIGITS: Final = frozenset("YymdjHIMSf")
_ZERO: Final = np.zeros(1, dtype=np.int64)

_ISO_DATES: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d")
_OTHER_DATES: Final = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%m.%d.%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%d/%b/%Y", "%d %b, %Y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%Y-%b-%d", "%m %d, %Y"),
)
_CLOCKS: Final = ("%H:%M", "%H:%M:%S")
_HALF_DAY_CLOCKS: Final = ("%I:%M %p", "%I:%M:%S %p")
_WHOLE: Final = (
    *("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a %b %d %Y"),
    *("%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S", "%a, %d %b %Y", "%a, %b %d, %Y", "%d/%b/%Y:%H:%M:%S %z"),
    *("%b %d, %Y, %H:%M:%S %z", "%b %d, %Y, %I:%M:%S %p %z", "%d %b %Y, %H:%M:%S %z", "%d %b %Y %H:%M:%S %z"),
    *("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%S%z", "%Y-%m-%d-%H:%M:%S", "%Y-%m-%d-%H.%M.%S"),
)


@dataclass(frozen=True)
class DateForm:
    """One way to write a date.

    Args:
        format: the strftime format.
        pattern: a regular expression with a named group for each directive, for the whole text.
    """

    format: str
    pattern: str

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern)

    @property
    def has_zone(self) -> bool:
        """Whether it says how far the clock is ahead of UTC."""
        return "(?P<z>" in self.pattern

    def read(self, values: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the dates of texts that have this form.

        Args:
            values: text (N,), none missing.

        Returns:
            seconds since 1970 in UTC, int64 (N,); nanoseconds on top, int64 (N,) or (1,) where there are none; and
            which values have the form and are dates of the calendar, bool (N,).
        """
        groups = values.str.extract_groups(self.pattern).struct.unnest()
        return _seconds(groups, len(values))


def forms() -> tuple[DateForm, ...]:
    """Return the forms that are read without a setting."""
    return _forms()


def parse_format(text: str) -> DateForm:
    """Return the form that a strftime format describes.

    Raises:
        DataError: it has an unknown directive, one twice, or does not tell a date.

    >>> parse_format("%d.%m.%Y").expression.fullmatch("31.12.2024") is not None
    True
    """
    for name, meaning in _SHORT.items():
        text = re.sub(f"(?<!%)%{name}", meaning, text)
    tokens = re.findall(r"%[-_0]?.|%$| +|[^% ]+", re.sub(r"%S[.,]%f", "%S", text))
    pattern, seen = "", []
    for place, token in enumerate(tokens):
        if not token.startswith("%"):
            next_is_half = tokens[place + 1 : place + 2] == ["%p"]
            pattern += f"{_BLANK}{'*' if next_is_half else '+'}" if not token.strip(" ") else re.escape(token)
            continue
        directive = _ALIASES.get(token[-1], token[-1])
        if token == "%%":
            pattern += "%"
            continue
        if directive not in DIRECTIVES or len(token) == 1:
            known = ", ".join(f"%{name}" for name in (*DIRECTIVES, *_ALIASES, *_SHORT))
            raise DataError(f"time_format {text!r}: there is no directive {token!r}; known: {known}")
        part = DIRECTIVES[directive]
        if directive in _DIGITS and _touches_digits(tokens, place):
            # Digits side by side are cut where the directives say, so that each has its full width.
            part = part.replace("{1,2}", "{2}").replace("{1,3}", "{3}")
        if directive == "S" and "%f" in tokens:
            part = part.removesuffix(_FRACTION)
        pattern += part
        seen.append(directive)
    _check_directives(text, seen)
    return DateForm(text, f"^{pattern}$")


def candidates(value: str) -> list[DateForm]:
    """Return the known forms that a text has, as far as digits and letters tell."""
    return [form for form in _forms() if form.expression.fullmatch(value)]


def is_date(text: str) -> bool:
    """Return whether a text has a known form of a date.

    >>> is_date("Sun Sep 20 04:31:23 +0000 2020"), is_date("01 5, 2024"), is_date("2024")
    (True, True, False)
    """
    bare = text.strip()
    # Every known form has a year of four digits.
    return re.search("[0-9]{4}", bare) is not None and any(form.expression.fullmatch(bare) for form in _forms())


def written_out(seconds: int) -> str:
    """Return the day of a time as people write it.

    >>> written_out(1725148800)
    '1 September 2024'
    """
    day = np.datetime64(seconds, "s").item()
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


@lru_cache(maxsize=1)
def _forms() -> tuple[DateForm, ...]:
    return tuple(parse_format(text) for text in dict.fromkeys(_formats()))


def _formats() -> Iterable[str]:
    for date in (*_ISO_DATES, *_OTHER_DATES):
        yield date
        is_iso = date in _ISO_DATES
        for joint in (" ", "T") if is_iso else (" ", ", "):
            for clock in _CLOCKS:
                yield from (f"{date}{joint}{clock}{zone}" for zone in (("", "%z", " %z") if is_iso else ("",)))
            yield from (f"{date}{joint}{clock}" for clock in _HALF_DAY_CLOCKS if joint != "T")
    yield from _WHOLE


def _touches_digits(tokens: list[str], place: int) -> bool:
    """Return whether digits stand right before or behind those of a token."""
    before, behind = tokens[place - 1 : place], tokens[place + 1 : place + 2]
    ends = [(token, token[-1]) for token in before] + [(token, token[-1 if token[0] == "%" else 0]) for token in behind]
    return any(end in _DIGITS if token[0] == "%" else end.isdigit() for token, end in ends)


def _check_directives(text: str, seen: list[str]) -> None:
    twice = sorted({name for name in seen if seen.count(name) > 1})
    if twice:
        raise DataError(f"time_format {text!r} has %{twice[0]} twice")
    groups = set(seen)
    problem = ""
    if len(groups & {"Y", "y"}) != 1:
        problem = "needs one year, %Y or %y"
    elif {"m", "b"} <= groups or ("j" in groups and groups & {"m", "b", "d"}):
        problem = "tells the day of the year in two ways"
    elif "d" in groups and not groups & {"m", "b"}:
        problem = "has a day without a month"
    elif {"H", "I"} <= groups or ("I" in groups) != ("p" in groups):
        problem = "needs the hours either as %H, or as %I with %p"
    elif ("M" in groups and not groups & {"H", "I"}) or ("S" in groups and "M" not in groups):
        problem = "has minutes without hours, or seconds without minutes"
    elif "f" in groups and "S" not in groups:
        problem = "has a fraction without seconds"
    if problem:
        raise DataError(f'time_format {text!r} {problem}; an example: "%d/%m/%Y %H:%M:%S"')


def _seconds(groups: pl.DataFrame, n_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import polars as pl

    def number(name: str, absent: int = 0) -> np.ndarray:
        if name not in groups.columns:
            return np.full(1, absent, dtype=np.int64)
        found: np.ndarray = groups[name].cast(pl.Int64, strict=False).fill_null(absent).to_numpy()
        return found

    year = number("Y") if "Y" in groups.columns else _full_years(number("y"))
    month = number("m", 1) if "b" not in groups.columns else _places(groups["b"], _MONTHS) + 1
    fits: np.ndarray = groups["Y" if "Y" in groups.columns else "y"].is_not_null().to_numpy()
    fits = fits & (month >= 1) & (month <= 12)
    # The first day of the month, in days since 1970, and the first of the next.
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    day, length = number("d", 1), after - first
    if "j" in groups.columns:
        day = number("j", 1)
        length = (year - 1969).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) - first
    days = first + day - 1
    hour, minute, second = number("H"), number("M"), number("S")
    fits &= (day >= 1) & (day <= length) & (hour <= 23) & (minute <= 59) & (second <= 59)
    if "I" in groups.columns:
        hour = number("I", 12)
        fits &= (hour >= 1) & (hour <= 12)
        is_afternoon = groups["p"].str.to_lowercase().str.starts_with("p").fill_null(False).to_numpy()
        hour = hour % 12 + 12 * is_afternoon
    if "a" in groups.columns:
        fits &= _places(groups["a"], _DAYS) == (days + 3) % 7
    ahead = _ZERO
    if "z" in groups.columns:
        ahead, is_offset = _offsets(groups["z"])
        fits &= is_offset
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - ahead
    nanoseconds = _ZERO
    if "f" in groups.columns and groups["f"].null_count() < n_rows:
        nanoseconds = groups["f"].fill_null("0").str.pad_end(9, "0").cast(pl.Int64).to_numpy()
    return np.broadcast_to(seconds, (n_rows,)), nanoseconds, fits


def _full_years(years: np.ndarray) -> np.ndarray:
    """Return years of two digits in full, as POSIX does: 69 to 99 are of the last century."""
    return years + np.where(years >= 69, 1900, 2000)


def _places(names: pl.Series, known: tuple[str, ...]) -> np.ndarray:
    """Return the place of each name among the known ones, by its first three letters; of none, 0."""
    import polars as pl

    short = [name[:3].lower() for name in known]
    found = names.str.slice(0, 3).str.to_lowercase().cast(pl.Enum(short), strict=False)
    places: np.ndarray = found.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
    return places


def _offsets(zones: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many seconds each clock is ahead of UTC, and which of these can be."""
    import polars as pl

    digits = zones.str.replace(":", "", literal=True).str.strip_chars_start("+-")
    size = digits.cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    is_short = (digits.str.len_bytes() == 2).fill_null(False).to_numpy()
    hours, minutes = np.where(is_short, size, size // 100), np.where(is_short, 0, size % 100)
    is_west = zones.str.starts_with("-").fill_null(False).to_numpy()
    ahead = (hours * 3600 + minutes * 60) * np.where(is_west, -1, 1)
    return ahead, (hours <= 18) & (minutes <= 59)
