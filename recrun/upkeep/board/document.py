"""Hold tables of results, and read and write them as JSON, which may be kept where run folders are not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from shlex import quote
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError
from recrun.files import to_json
from recrun.runs.records import read_json

SCHEMA: Final = 1
KIND: Final = "recrun board"
"""What the document says that it is."""
_MAX_TEXT: Final = 10_000


TableKey = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True)
class Published:
    """A published value of a metric on test.

    Args:
        metric: the metric, such as "ndcg@20".
        value: its value.
        source: where it was published.
        protocol: how it was measured; "" if nothing is said.
    """

    metric: str
    value: float
    source: str
    protocol: str = ""


@dataclass(frozen=True)
class Row:
    """What one way of training reached: runs that differ in seeds, splits drawn anew, or folds alone.

    Args:
        id: a digest of the settings that affect its results; the same settings and code have the same row.
        model: the model's name.
        config: the config, as `recrun train` takes it; "" if none is known.
        overrides: what was set besides, as `KEY=VALUE`.
        repeats: for each run its seed, and what else draws the experiment again.
        which4best: the metric that chose the epoch.
        metrics: for each metric its values on test, in the order of `repeats`; None where it is undefined.
        published: published values of the config.
        seconds: wall time of a run on average.
        peak_memory: the largest peak memory of a run, in bytes.
        device: what the runs computed on, and with how many threads.
        version: the version of recrun.
        date: the day of the newest run.
    """

    id: str
    model: str
    config: str
    overrides: tuple[str, ...]
    repeats: tuple[Mapping[str, Any], ...]
    which4best: str
    metrics: Mapping[str, tuple[float | None, ...]]
    published: tuple[Published, ...] = ()
    seconds: float | None = None
    peak_memory: int | None = None
    device: str = ""
    version: str = ""
    date: str = ""

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric over the runs, or None if one of them has no value."""
        values = self._values(metric)
        return statistics.fmean(values) if values else None

    def sd(self, metric: str) -> float | None:
        """Return the sample standard deviation of a metric over the runs, or None for a single one."""
        values = self._values(metric)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def varied(self) -> list[str]:
        """The names of the repeats that differ among the runs."""
        names = dict.fromkeys(name for each in self.repeats for name in each)
        return [name for name in names if len({str(each.get(name)) for each in self.repeats}) > 1]

    def command(self, without: Collection[str] = ()) -> str:
        """Return the command that trains the runs, or "" if it is not known; N stands for what differs among them.

        Args:
            without: overrides that are left out.
        """
        if not self.config:
            return ""
        overrides = [each for each in self.overrides if each not in without]
        return " ".join(["recrun train", *map(quote, [self.config, *overrides]), *(f"{key}=N" for key in self.varied)])

    def _values(self, metric: str) -> list[float]:
        values = [value for value in self.metrics.get(metric, ()) if value is not None]
        return values if len(values) == len(self.repeats) else []


@dataclass(frozen=True)
class Table:
    """The rows whose numbers compare: of the same train, valid and test parts of a data set.

    Args:
        dataset: the data set.
        protocol: its settings that are not as they are by default, as YAML, and the split.
        parts: the SHA-256 of its train, valid and test parts; several where each run has parts of its own.
        ranked: among which candidates the relevant items are ranked; "" if among all items.
        counts: how many users, items, and rows of each part there are; empty if the parts differ in it.
        rows: the rows.
    """

    dataset: str
    protocol: Mapping[str, str]
    parts: tuple[str, ...]
    ranked: str
    counts: Mapping[str, int]
    rows: tuple[Row, ...] = field(default=())

    @property
    def key(self) -> TableKey:
        """What the rows of a table have in common."""
        return self.dataset, tuple(sorted(self.parts)), self.ranked


def to_document(tables: Iterable[Table]) -> dict[str, Any]:
    """Return tables as `recrun board --json` prints them."""
    return {"kind": KIND, "schema": SCHEMA, "tables": [asdict(table) for table in tables]}


def to_text(tables: Iterable[Table]) -> str:
    """Return tables as the text of a JSON file, with a line for each row, so that changes can be reviewed."""
    lines = [f'{{"kind": "{KIND}", "schema": {SCHEMA}, "tables": [']
    written = []
    for table in tables:
        head = to_json({key: value for key, value in asdict(table).items() if key != "rows"})
        rows = ",\n".join(to_json(asdict(row)) for row in table.rows)
        written.append(f'{head[:-1]}, "rows": [\n{rows}\n]}}')
    return "\n".join([*lines, ",\n".join(written), "]}", ""])


def read_tables(file: str | Path) -> list[Table]:
    """Read tables that were written before, which may come from a stranger.

    Raises:
        ConfigError: the file cannot be read, or is no such document.
    """
    try:
        document = read_json(file)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    if document.get("kind") != KIND:
        raise ConfigError(f"{file} holds no tables of results: recrun board RUNS --to {file} writes them")
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ConfigError(f"{file} has schema {schema!r}; this version of recrun reads up to {SCHEMA}: upgrade recrun")
    try:
        return [_table(each) for each in _list(document.get("tables"))]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{file} is damaged: {error}") from None


def _table(value: Any) -> Table:
    given = _mapping(value, Table)
    if not given["parts"]:
        raise ValueError("a table needs parts")
    return Table(
        dataset=_label(given["dataset"]),
        protocol={_label(key): _label(text) for key, text in _object(given["protocol"]).items()},
        parts=tuple(map(_label, _list(given["parts"]))),
        ranked=_label(given["ranked"]),
        counts={_label(key): _count(number) for key, number in _object(given["counts"]).items()},
        rows=tuple(map(_row, _list(given["rows"]))),
    )


def _row(value: Any) -> Row:
    given = _mapping(value, Row)
    row = Row(
        **{key: _label(given[key]) for key in ("id", "model", "config", "which4best", "device", "version", "date")},
        overrides=tuple(map(_label, _list(given["overrides"]))),
        repeats=tuple(
            {_label(key): _plain(each) for key, each in _object(one).items()} for one in _list(given["repeats"])
        ),
        metrics={
            _label(name): tuple(None if each is None else _number(each) for each in _list(values))
            for name, values in _object(given["metrics"]).items()
        },
        published=tuple(map(_published, _list(given["published"]))),
        seconds=None if given["seconds"] is None else _amount(given["seconds"]),
        peak_memory=None if given["peak_memory"] is None else _count(given["peak_memory"]),
    )
    if not row.repeats or any(len(values) != len(row.repeats) for values in row.metrics.values()):
        raise ValueError(f"the row of {row.model} has not as many values as runs")
    return row


def _published(value: Any) -> Published:
    given = _mapping(value, Published)
    texts = {key: _label(given[key]) for key in ("metric", "source", "protocol")}
    return Published(value=_number(given["value"]), **texts)


def _mapping(value: Any, kind: type) -> dict[str, Any]:
    """Return an object that has the fields of a class, and no others."""
    names = [each.name for each in fields(kind)]
    found = _object(value)
    if set(found) != set(names):
        differing = sorted(set(found) ^ set(names))[0]
        raise ValueError(f"a {kind.__name__.lower()} has the keys {', '.join(names)}; see {differing[:80]!r}")
    return found


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {str(value)[:80]!r}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {str(value)[:80]!r}")
    return value


def _label(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise TypeError(f"expected a text, found {str(value)[:80]!r}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"expected a number, found {str(value)[:80]!r}")
    return float(value)


def _amount(value: Any) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError(f"expected a number of at least 0, found {number}")
    return number


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise TypeError(f"expected a count, found {str(value)[:80]!r}")
    return value


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else _label(value)
