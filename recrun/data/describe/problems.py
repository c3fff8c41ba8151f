"""What can be wrong or surprising about data files, and what recrun does about each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from recrun.errors import DataError, RowFault

REFUSE: Final = "refuse"
SETTING: Final = "setting"
DROP: Final = "drop"
KEEP: Final = "keep"

ACTIONS: Final = {
    REFUSE: "training refuses the file",
    SETTING: "read correctly only with the settings shown below",
    DROP: "left out, and noted",
    KEEP: "used as it is",
}
"""What recrun does about a fault, the gravest first."""

KINDS: Final = {
    "not-data": (REFUSE, "cannot be read as a table"),
    "empty": (REFUSE, "holds no interactions"),
    "encoding": (REFUSE, "bytes that are not text in the file's encoding"),
    "line-ends": (KEEP, "Windows line ends"),
    "old-line-ends": (REFUSE, "a carriage return within a line; lines must end with a newline"),
    "byte-order-mark": (KEEP, "a byte order mark at the beginning"),
    "blank-lines": (DROP, "blank lines"),
    "format": (SETTING, "the file's name does not tell its format"),
    "separator": (SETTING, "the separator is not the one that would be taken"),
    "header": (SETTING, "the header row, or its absence, would not be recognised"),
    "column": (REFUSE, "a column is missing, or there twice"),
    "filter": (REFUSE, "values that filter cannot compare"),
    "column-role": (REFUSE, "columns without names that hold something else than their positions say"),
    "column-name": (SETTING, "a column has no usual name"),
    "ragged": (REFUSE, "rows with too few or too many columns"),
    "quotes": (REFUSE, "quotes that are not closed, or stand within a value"),
    "record": (REFUSE, "lines that are no object with the keys that are needed"),
    "missing-value": (REFUSE, "values are missing"),
    "missing-id": (REFUSE, "ids that stand for a missing value"),
    "not-a-number": (REFUSE, "text where a number belongs"),
    "not-a-date": (REFUSE, "something else where a date belongs"),
    "date-order": (REFUSE, "dates whose day and month can be either way round; set time_format"),
    "not-an-integer": (REFUSE, "something else where an integer belongs"),
    "negative-id": (REFUSE, "ids below zero"),
    "long-id": (REFUSE, "ids that are too long"),
    "blank-ids": (KEEP, "ids with blanks around them; they are part of the id"),
    "like-ids": (REFUSE, "ids that differ only in how they are written"),
    "rounded-id": (REFUSE, "ids whose last digits are lost"),
    "unlike-parts": (REFUSE, "times of another kind than those of another part"),
    "huge-ids": (KEEP, "numbers of more than 64 bits as ids; all ids of the column are taken as text"),
    "mixed-ids": (KEEP, "some ids are numbers and some are not; all are taken as text"),
    "number-ids": (KEEP, "ids like 007 or 7.0; all ids of the column are taken as text"),
    "ratings": (KEEP, "ratings of zero or less count as interactions; rating_threshold leaves them out"),
    "time-units": (REFUSE, "times in several units"),
    "time-absurd": (REFUSE, "times that cannot be"),
    "time-negative": (REFUSE, "times below zero"),
    "time-early": (KEEP, "times long before all others"),
    "time-unit": (KEEP, "times in another unit than seconds"),
    "time-order": (KEEP, "times that are no dates"),
    "time-ties": (KEEP, "users whose latest interactions have one time; the one further down counts as the latest"),
    "duplicates": (
        DROP,
        "a user's interactions with an item that it had before; one is kept, or with duplicates=all each",
    ),
    "unsorted": (KEEP, "lines of one user do not stand together; their order between users does not matter"),
    "single": (KEEP, "no user has a second interaction; is this a file of interactions?"),
    "second-line": (REFUSE, "users with a second line"),
    "no-items": (DROP, "users without items"),
    "overlap": (REFUSE, "interactions that another part has too"),
    "other-ids": (REFUSE, "not one user, or not one item, occurs in train"),
    "refused": (REFUSE, "training says"),
}
"""What recrun does about each kind of fault, and what the kind is."""

_OF_ALL_ROWS: Final = ("date-order",)
"""Kinds of faults that one line shows and no line can be left out for."""

LIMIT: Final = 5
"""Lines named of one kind, unless asked for more."""


@dataclass
class DataFault:
    """One kind of fault in one file.

    Args:
        kind: one of `KINDS`.
        action: what recrun does about it, one of `ACTIONS`.
        message: what it is.
        path: the file.
        count: how often it occurs; 0 when it is about the file as a whole.
        lines: the first lines concerned, and what was found there.
    """

    kind: str
    action: str
    message: str
    path: Path
    count: int = 0
    lines: list[tuple[int, str]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        lines = [{"line": line, "found": found} for line, found in self.lines]
        return {**vars(self), "path": str(self.path), "lines": lines}


class Faults:
    """Collects the faults of one file, the first few lines of each kind.

    Args:
        path: the file.
        limit: how many lines of a kind are kept.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self.limit = limit
        self._faults: dict[tuple[str, str], DataFault] = {}

    def __iter__(self) -> Iterator[DataFault]:
        """Yield the faults, the gravest first."""
        order = list(ACTIONS)
        return iter(sorted(self._faults.values(), key=lambda fault: order.index(fault.action)))

    @property
    def is_refused(self) -> bool:
        """Whether training refuses the file, with whatever settings."""
        return any(fault.action == REFUSE for fault in self._faults.values())

    def add(self, kind: str, message: str = "", *, action: str = "", count: int = 0) -> DataFault:
        """Add a fault of the file as a whole, or more occurrences of one without their lines."""
        usual_action, usual_message = KINDS.get(kind, KINDS["refused"])
        message = message or usual_message
        fault = self._faults.setdefault((kind, message), DataFault(kind, action or usual_action, message, self.path))
        fault.count += count
        return fault

    def at(self, kind: str, line: int, found: str, message: str = "", *, action: str = "") -> None:
        """Add a fault of one line."""
        fault = self.add(kind, message, action=action, count=1)
        if len(fault.lines) < self.limit:
            fault.lines.append((line, found))

    def take(
        self, others: Faults, *, without: Collection[str] = (), where: Callable[[int], tuple[Path, int]] | None = None
    ) -> None:
        """Add the faults of one of the files that are read as one, each line under the name of its file.

        Args:
            others: its faults.
            without: kinds that are left out.
            where: the file and line of what others call a line; None where they name lines of their own file.
        """
        for fault in others:
            if fault.kind in without or (fault.kind == "empty" and others.path != self.path):
                continue
            message = fault.message if fault.lines or fault.path == self.path else f"{fault.path.name}: {fault.message}"
            mine = self.add(fault.kind, message, action=fault.action, count=fault.count)
            for number, found in fault.lines[: max(self.limit - len(mine.lines), 0)]:
                path, line = (fault.path, number) if where is None else where(number)
                mine.lines.append((line, f"{path.name}: {found}"))

    def add_error(self, error: DataError, without: Collection[int] = ()) -> list[RowFault]:
        """Add the rows that an error names, or the error itself where it names none.

        Args:
            error: of reading this file.
            without: lines that have been named before.

        Returns:
            The rows that were added.
        """
        kind = error.kind or "refused"
        found = list(error.rows())
        if not found and error.line is not None and kind in _OF_ALL_ROWS:
            self.add(kind, f"line {error.line}: {error.message}")
        elif not found and error.line is not None:
            found = [RowFault(kind, error.line, error.message)]
        rows = [row for row in found if row.line not in without]
        for row in rows:
            self.at(row.kind, row.line, row.message)
        if not rows and not self.is_refused:
            self.add(kind, error.message)
        return rows

    def among(
        self, kind: str, count: int, lines: Iterable[tuple[int, str]], message: str = "", *, action: str = ""
    ) -> None:
        """Add a fault of many lines: how many, and the number of each with what was found; only a few are asked for."""
        if count:
            fault = self.add(kind, message, action=action, count=count)
            fault.lines += islice(lines, max(self.limit - len(fault.lines), 0))
