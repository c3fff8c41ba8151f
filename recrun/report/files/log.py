"""Write the plain text log of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from recrun.report.terminal.lines import (
    duration,
    epoch_label,
    facts,
    more_facts,
    result_lines,
    trained_line,
    values_text,
)
from recrun.training.reporter import Reporter
from recrun.visible import visible


class LogWriter(Reporter):
    """Writes a line with date, time and level for each event; every line is flushed at once.

    A resumed run appends to its log.

    Args:
        path: the file; its folder must exist.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        torn = _ends_within_a_line(Path(path))
        # Names that are not valid Unicode (file names may be such) must not end the run.
        self._file = open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        if torn:
            self._file.write("\n")
        self._epochs: int | None = None

    def start(self, info: Mapping[str, Any]) -> None:
        self._epochs = info.get("epochs")
        self._write(f"start {info['description']}" if info.get("description") else "start")
        for label, text in facts(info) + more_facts(info):
            self._write(f"{label:<8} {text}")

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._write(trained_line(epoch, self._epochs, values, seconds))

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        best = "  best" if is_best else ""
        text = f"{epoch_label(epoch, self._epochs)}  {split:<5}  {values_text(values)}  [{duration(seconds)}]{best}"
        self._write(text)

    def message(self, text: str, level: str = "info") -> None:
        self._write(text, level)

    def finish(self, result: Mapping[str, Any]) -> None:
        for line in result_lines(result):
            self._write(line)

    def close(self) -> None:
        """Close the file; closing again has no effect."""
        self._file.close()

    def _write(self, text: str, level: str = "info") -> None:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        for line in visible(text).split("\n"):
            self._file.write(f"{now} {level.upper():<7} {line}".rstrip() + "\n")


def _ends_within_a_line(path: Path) -> bool:
    """Return whether the file's last line has no newline, as a killed run may leave it."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
