"""Write SUMMARY.md and its plots: a run's result, the course of its metrics, its config and its environment."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from recrun.evaluation.protocol_text import measured_text, protocol_text
from recrun.files import atomic_write
from recrun.metrics.undefined import undefined_text
from recrun.registry.user_files import short_name
from recrun.report.files.course import Course, Courses
from recrun.report.files.plots import Heading, draw_courses, draw_curves, drawing
from recrun.report.files.text_tables import piped
from recrun.report.terminal.lines import chosen_text, number, scored_text, seconds_text
from recrun.runs.history import read_history
from recrun.training.reporter import Reporter
from recrun.visible import visible

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder

_CURVES = ("curves.png", "curves.svg")


def write_summary(
    folder: str | Path, result: Mapping[str, Any], courses: Courses, config: Mapping[str, Any], *, plots: bool = True
) -> Path:
    """Write SUMMARY.md and its plots into a folder; return SUMMARY.md's path.

    `curves.png` and `curves.svg` show the training loss and the criterion, `<split><metric>.png` each metric that has
    finite values at two epochs or more. Plots of an earlier attempt are removed. If one cannot be drawn or written,
    there are none, and a warning.

    Args:
        folder: the target folder (`summary` of a run folder); created if missing.
        result: the content of metrics.json; "environment", if present, is shown as a table.
        courses: the monitored values.
        config: the resolved config.
        plots: whether to draw.

    Raises:
        OSError: SUMMARY.md cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    _remove(target, [*_CURVES, *map(_picture, courses)])
    pictures = _draw(target, result, courses, config) if plots else []
    page = target / "SUMMARY.md"
    atomic_write(page, visible("\n\n".join(_sections(result, courses, config, pictures))) + "\n")
    return page


class SummaryWriter(Reporter):
    """Writes the summary of a run folder when the run is done, from its metrics.jsonl and run.json.

    That file also holds the values from before a resume, so the plots are complete.

    Args:
        run: the run folder.
        config: the resolved config; nothing is drawn if its `plots` is false.
    """

    def __init__(self, run: RunFolder, config: Mapping[str, Any]) -> None:
        self._run = run
        self._config = config

    def finish(self, result: Mapping[str, Any]) -> None:
        courses = Courses()
        for line in read_history(self._run.metrics_lines_file):
            courses.append(line["split"], line["epoch"], line["values"])
        environment = _environment(self._run.read_run()) if self._run.run_file.exists() else None
        content = {**result, "environment": environment}
        write_summary(self._run.summary_folder, content, courses, self._config, plots=self._config.get("plots", True))


def _draw(target: Path, result: Mapping[str, Any], courses: Courses, config: Mapping[str, Any]) -> list[str]:
    """Draw the plots, and return the names of the files that were written."""
    written: list[str] = []
    drawn = [course for course in courses if course.is_drawn]
    if not drawn:
        return written
    main = [courses.get("train", "loss"), courses.get("valid", str(result.get("which4best")))]
    curves = [course for course in main if course is not None and course.is_drawn]
    heading = _heading(result, config)
    try:
        with drawing():
            if curves:
                for name, picture in zip(_CURVES, draw_curves(heading, curves), strict=True):
                    atomic_write(target / name, picture)
                    written.append(name)
            for course, picture in draw_courses(heading, drawn):
                atomic_write(target / _picture(course), picture)
                written.append(_picture(course))
    except Exception as error:  # matplotlib is missing or broken, or the disk is full: the run itself is done
        _remove(target, written)  # leaves a full disk the room that it had for the rest of the run's files
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logging.getLogger(__name__).warning(f"no plots were drawn ({reason}); the run and its numbers are complete")
        return []
    return written


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):
            (folder / name).unlink()


def _heading(result: Mapping[str, Any], config: Mapping[str, Any]) -> Heading:
    """Return what to write above the plots of a run."""
    model = short_name(str(config.get("model") or config.get("description") or "run"))
    dataset = f" on {short_name(str(config['dataset']))}" if config.get("dataset") else ""
    description, run = config.get("description"), Path(str(result["run"])).name if result.get("run") else None
    name = " · ".join(str(part) for part in (description, run) if part and part != model)
    return Heading(model + dataset, name, result.get("best_epoch"))


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of run.json, besides the config, on which numbers may depend: versions, hardware, commit."""
    git = record.get("git") or {}
    commit = {"commit": f"{git['commit']}{' with changes' if git.get('dirty') else ''}"} if git.get("commit") else {}
    return {**(record.get("versions") or {}), **(record.get("hardware") or {}), **commit}


def _picture(course: Course) -> str:
    """Return the name of the plot of a course."""
    return re.sub(r"[^\w@.-]", "_", f"{course.split}{short_name(course.metric)}"[:120]) + ".png"


def _sections(
    result: Mapping[str, Any], courses: Courses, config: Mapping[str, Any], pictures: Sequence[str]
) -> Iterable[str]:
    yield f"# {_headline(config)}"
    yield "\n".join(_opening(result))
    if _CURVES[0] in pictures:
        yield f"![learning curves]({_CURVES[0]})"
    yield "## Result"
    yield _result(result)
    for split, groups in (result.get("groups") or {}).items():
        for name, found in groups.items():
            yield f"## {_line(split)} by {_line(name)}"
            yield _groups(found)
    yield "## Course"
    heads = ("split", "metric", "best", "at epoch", "last", "picture")
    yield _table(heads, (_course_row(course, pictures) for course in courses))
    if not courses.is_complete:
        yield "There are more metrics than are listed here; metrics.jsonl has them all."
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
    protocol, measured = protocol_text(result.get("protocol")), measured_text(result.get("index"))
    for label, text in (("numbers", chosen_text(result)), ("", scored_text(result)), ("", protocol), ("", measured)):
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


def _groups(found: Mapping[str, Any]) -> str:
    """Return a table of the groups of one grouping, and one of how far apart they are."""
    groups, gaps = found["groups"], found["gaps"]
    counted = [key for key in ("items", "users") if key in groups[0]]
    names = list(groups[0]["metrics"])
    heads = [f"`{short_name(name)}`" for name in names]
    rows = [
        (
            group["group"],
            *(f"{group[key]:,}" for key in counted),
            *(number(group["metrics"].get(each)) for each in names),
        )
        for group in groups
    ]
    tables = [_table(("group", *counted, *heads), rows)]
    kinds = list(dict.fromkeys(kind for values in gaps.values() for kind in values))
    if kinds:
        gap_rows = (
            (kind.replace("_", " "), *(number(gaps.get(each, {}).get(kind)) for each in names)) for kind in kinds
        )
        tables.append(_table(("gap", *heads), gap_rows))
    return "\n\n".join(tables)


def _course_row(course: Course, pictures: Sequence[str]) -> tuple[str, ...]:
    best = course.best()
    best_texts = ("-", "-") if best is None else (number(best[1]), str(best[0]))
    picture = _picture(course)
    link = f"[{picture}]({quote(picture, safe='@')})" if picture in pictures else "-"
    return course.split, f"`{short_name(course.metric)}`", *best_texts, number(course.last[1]), link


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return piped([heads, ["---"] * len(heads), *([_line(cell).replace("|", "\\|") for cell in row] for row in rows)])


def _code(value: Any) -> str:
    """Return a setting's value between backticks: text unchanged, everything else as JSON."""
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, default=str, ensure_ascii=False)
    return f"`{text.replace('`', chr(39))}`"


def _line(text: Any) -> str:
    return " ".join(str(text).split())
