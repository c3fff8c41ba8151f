"""Write SUMMARY.md and its plots: a run's result, the course of its metrics, its config and its environment."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.errors import ConfigError, RegistryError
from recrun.files import atomic_write
from recrun.metrics.undefined import from_nulls, undefined_text
from recrun.registry.user_files import short_name
from recrun.report.files.plots import plot_course
from recrun.report.terminal.lines import chosen_text, number, scored_text, seconds_text
from recrun.runs.history import read_history
from recrun.training.reporter import Reporter

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder

_SPLITS = ("train", "valid", "test")


@dataclass
class MonitorHistory:
    """The monitored values, by split and metric: lists of (epoch, value) in the order of the run."""

    values: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)

    def append(self, split: str, epoch: int, values: Mapping[str, float]) -> None:
        """Add the values of one split after `epoch` epochs of training."""
        series = self.values.setdefault(split, {})
        for name, value in values.items():
            series.setdefault(name, []).append((epoch, value))


def write_summary(
    folder: str | Path, result: Mapping[str, Any], history: MonitorHistory, config: Mapping[str, Any]
) -> Path:
    """Write SUMMARY.md and a `<split><metric>.png` for each monitored metric into a folder; return SUMMARY.md's path.

    Args:
        folder: the target folder (`summary` of a run folder); created if missing.
        result: the content of metrics.json; "environment", if present, is shown as a table.
        history: the monitored values.
        config: the resolved config.

    Raises:
        OSError: the folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    courses = _courses(result, history)
    for split, name, points in courses:
        picture = plot_course(f"{split} {short_name(name)}", points, _best(name, points), result.get("best_epoch"))
        atomic_write(target / _picture(split, name), picture)
    page = target / "SUMMARY.md"
    atomic_write(page, "\n\n".join(_sections(result, courses, config)) + "\n")
    return page


class SummaryWriter(Reporter):
    """Writes the summary of a run folder when the run is done, from its metrics.jsonl and run.json.

    That file also holds the values from before a resume, so the plots are complete.

    Args:
        run: the run folder.
        config: the resolved config.
    """

    def __init__(self, run: RunFolder, config: Mapping[str, Any]) -> None:
        self._run = run
        self._config = config

    def finish(self, result: Mapping[str, Any]) -> None:
        history = MonitorHistory()
        for line in read_history(self._run.metrics_lines_file):
            history.append(line["split"], line["epoch"], line["values"])
        environment = _environment(self._run.read_run()) if self._run.run_file.exists() else None
        write_summary(self._run.summary_folder, {**result, "environment": environment}, history, self._config)


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of run.json, besides the config, on which numbers may depend: versions, hardware, commit."""
    git = record.get("git") or {}
    commit = {"commit": f"{git['commit']}{' with changes' if git.get('dirty') else ''}"} if git.get("commit") else {}
    return {**(record.get("versions") or {}), **(record.get("hardware") or {}), **commit}


_Course = tuple[str, str, list[tuple[int, float]]]


def _courses(result: Mapping[str, Any], history: MonitorHistory) -> list[_Course]:
    """Return (split, metric, points by epoch); if test was evaluated only at the end, it has one point."""
    values = {split: dict(series) for split, series in history.values.items()}
    if result.get("test") and "test" not in values and result.get("best_epoch") is not None:
        test = from_nulls(result["test"], (result.get("undefined") or {}).get("test", {}))
        values["test"] = {name: [(result["best_epoch"], value)] for name, value in test.items()}
    splits = [*(split for split in _SPLITS if split in values), *(split for split in values if split not in _SPLITS)]
    named = ((split, name, points) for split in splits for name, points in values[split].items())
    return [(split, name, sorted(dict(points).items())) for split, name, points in named if points]


def _best(name: str, points: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """Return the first of the best points, or None when no value is finite."""
    finite = [point for point in points if point[1] is not None and math.isfinite(point[1])]
    if not finite:
        return None
    try:
        sign = 1 if smaller_is_better(parse_monitor(name)) else -1
    except (ConfigError, RegistryError):
        # A metric of the user's own that is not registered: larger is taken to be better.
        sign = -1
    return min(finite, key=lambda point: sign * point[1])


def _picture(split: str, name: str) -> str:
    return f"{split}{short_name(name)}.png".replace("/", "_").replace("\\", "_")


def _sections(result: Mapping[str, Any], courses: Sequence[_Course], config: Mapping[str, Any]) -> Iterable[str]:
    yield f"# {_headline(config)}"
    yield "\n".join(_opening(result))
    yield "## Result"
    yield _result(result)
    yield "## Course"
    yield _table(("split", "metric", "best", "at epoch", "last", "picture"), map(_course_row, courses))
    yield "\n".join(
        f"![{split} {short_name(name)}]({quote(_picture(split, name), safe='@')})" for split, name, _ in courses
    )
    yield "## Config"
    yield _table(("key", "value"), ((f"`{key}`", _code(value)) for key, value in config.items()))
    if result.get("environment"):
        yield "## Environment"
        yield _table(("what", "value"), ((str(key), _code(value)) for key, value in result["environment"].items()))


def _headline(config: Mapping[str, Any]) -> str:
    what = config.get("description") or config.get("model") or "Run"
    return f"{_line(what)} on {_line(config['dataset'])}" if config.get("dataset") else _line(what)


def _opening(result: Mapping[str, Any]) -> Iterable[str]:
    yield f"- status: {result.get('status', 'done')}"
    if result.get("run"):
        yield f"- run: `{result['run']}`"
    for label, text in (("numbers", chosen_text(result)), ("", scored_text(result))):
        if text:
            yield f"- {label}: {text}" if label else f"- {text}"
    if result.get("seconds"):
        yield f"- {seconds_text(result['seconds'])}"


def _result(result: Mapping[str, Any]) -> str:
    splits = {split: result[split] for split in ("valid", "test") if result.get(split)}
    if not splits:
        return "Nothing was evaluated."
    names = list(dict.fromkeys(name for values in splits.values() for name in values))
    rows = ((f"`{short_name(name)}`", *(number(values.get(name)) for values in splits.values())) for name in names)
    notes = [f"- {text}" for text in undefined_text(result.get("undefined") or {})]
    return "\n".join([_table(("metric", *splits), rows), *(["", *notes] if notes else [])])


def _course_row(course: _Course) -> tuple[str, ...]:
    split, name, points = course
    best = _best(name, points)
    best_texts = ("-", "-") if best is None else (number(best[1]), str(best[0]))
    picture = _picture(split, name)
    return (
        split,
        f"`{short_name(name)}`",
        *best_texts,
        number(points[-1][1]),
        f"[{picture}]({quote(picture, safe='@')})",
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(_line(cell).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _code(value: Any) -> str:
    """Return a setting's value between backticks: text unchanged, everything else as JSON."""
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, default=str, ensure_ascii=False)
    return f"`{text.replace('`', chr(39))}`"


def _line(text: Any) -> str:
    return " ".join(str(text).split())
