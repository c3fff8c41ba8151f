"""Lay out what a run has measured: as a frame, on one line, and for a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.notebook.html import grid, lines, markup
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number
from recrun.runs.history import read_history

if TYPE_CHECKING:
    import polars as pl

SPLITS: Final = ("valid", "test")


def history_frame(file: Path) -> pl.DataFrame:
    """Return the lines of a metrics.jsonl as a frame; see `recrun.Run.history`.

    Raises:
        CheckpointError: it is damaged.
    """
    import polars as pl

    found = list(read_history(file))
    names = dict.fromkeys(name for line in found for name in line["values"])
    values = {name: [_finite(line["values"].get(name)) for line in found] for name in names}
    return pl.DataFrame(
        {
            "epoch": pl.Series([line["epoch"] for line in found], dtype=pl.Int64),
            "split": pl.Series([line["split"] for line in found], dtype=pl.String),
            **{name: pl.Series(column, dtype=pl.Float64) for name, column in values.items()},
            "seconds": pl.Series([line["seconds"] for line in found], dtype=pl.Float64),
            "best": pl.Series([line["best"] is True for line in found], dtype=pl.Boolean),
        }
    )


def summary_of(row: Mapping[str, Any]) -> str:
    """Return the status of a run and, if it is done, the value of its criterion.

    Args:
        row: as of `recrun.runs.listing.describe`.
    """
    split = next((split for split in reversed(SPLITS) if row[split]), None)
    if row["status"] != "done" or split is None:
        return str(row["status"])
    criterion = row["which4best"] if row["which4best"] in row[split] else next(iter(row[split]))
    return f"done, {split} {short_name(criterion)} {number(row[split][criterion])}"


def run_html(shown: str, row: Mapping[str, Any]) -> str:
    """Return what a notebook shows of a run: what it is, and its final metrics.

    Args:
        shown: its path.
        row: as of `recrun.runs.listing.describe`.
    """
    settings = row["settings"]
    facts = [("run", shown), ("status", summary_of(row))]
    facts += [(key, short_name(str(settings[key]))) for key in ("model", "dataset", "seed") if key in settings]
    if row["best_epoch"] is not None:
        facts.append(("best epoch", str(row["best_epoch"])))
    if row["cause"]:
        facts.append(("cause", str(row["cause"])))
    names = list(dict.fromkeys(name for split in SPLITS for name in row[split] or {}))
    measured = [(split, row[split]) for split in SPLITS if row[split]]
    cells = [[split, *(number(values.get(name)) for name in names)] for split, values in measured]
    return markup(lines(facts), *([grid(["", *map(short_name, names)], cells)] if cells else []))


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
