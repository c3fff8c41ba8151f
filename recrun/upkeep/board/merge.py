"""Put tables of results together: those that a file has, and those of further runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from recrun.upkeep.board.document import Row, Table, TableKey


def merged(tables: Iterable[Table], notes: list[str] | None = None) -> list[Table]:
    """Return tables with those of the same data put together, and a row of all runs of the same settings.

    Of runs with the same settings and repeat the last one counts. A row of the same config and overrides with other
    settings, as a later version has, replaces the earlier one.

    Args:
        tables: the tables, the newest last.
        notes: notes on rows that are replaced, or are of runs of several versions, are added to it.
    """
    found: dict[TableKey, Table] = {}
    rows: dict[TableKey, list[Row]] = {}
    for table in tables:
        found[table.key] = table
        known = rows.setdefault(table.key, [])
        for row in table.rows:
            alike = [place for place, other in enumerate(known) if _are_alike(other, row)]
            put, said = _put_together([known[place] for place in alike], row)
            known[:] = [other for place, other in enumerate(known) if place not in alike] + [put]
            if notes is not None:
                notes += said
    return [replace(table, rows=tuple(rows[key])) for key, table in found.items()]


def _are_alike(one: Row, other: Row) -> bool:
    return one.id == other.id or (bool(one.config) and (one.config, one.overrides) == (other.config, other.overrides))


def _put_together(earlier: Iterable[Row], row: Row) -> tuple[Row, list[str]]:
    """Return a row with the runs of earlier ones of the same settings, and notes."""
    notes = []
    name = f"`{row.command()}`" if row.config else row.model
    for other in earlier:
        if other.id != row.id:
            notes.append(f"only the newest runs of {name} count: the earlier ones had other settings or other code")
            continue
        if other.version != row.version:
            notes.append(f"the runs of {name} were made with different versions: {other.version}, {row.version}")
        row = _joined(other, row)
    return row, notes


def _joined(earlier: Row, row: Row) -> Row:
    """Return a row of the runs of both; of the same repeat that of the later one counts."""
    kept = [place for place, repeat in enumerate(earlier.repeats) if repeat not in row.repeats]
    runs = [(repeat, row, place) for place, repeat in enumerate(row.repeats)]
    runs += [(earlier.repeats[place], earlier, place) for place in kept]
    runs.sort(key=lambda run: [(isinstance(each, str), each) for each in run[0].values()])
    repeats = tuple(repeat for repeat, _, _ in runs)
    names = dict.fromkeys([*row.metrics, *earlier.metrics])
    metrics = {
        name: tuple(of.metrics[name][place] if name in of.metrics else None for _, of, place in runs) for name in names
    }
    costs = [
        (each.seconds, n) for each, n in ((earlier, len(kept)), (row, len(row.repeats))) if each.seconds is not None
    ]
    n_runs = sum(n for _, n in costs)
    joined = replace(
        row,
        repeats=repeats,
        metrics=metrics,
        seconds=sum(seconds * n for seconds, n in costs) / n_runs if n_runs else None,
        peak_memory=max((each.peak_memory for each in (earlier, row) if each.peak_memory is not None), default=None),
    )
    varied = joined.varied
    return replace(joined, overrides=tuple(each for each in row.overrides if each.partition("=")[0] not in varied))
