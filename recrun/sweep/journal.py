"""Keep the journal of a study: what was decided, a line of JSON for each decision, written before it is carried out.

What a trial has come to is not in it: that is read from the run folders.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError, RecrunError
from recrun.files import from_json, open_to_append, read_regular, sync_folder, to_json
from recrun.sweep.schedules.schedule import Step
from recrun.sweep.storage import writing
from recrun.sweep.trial_results import is_number

JOURNAL: Final = "journal.jsonl"
"""The name of the file in the folder of a sweep."""
SCHEMA: Final = 1
_MOST_BYTES: Final = 1 << 28
_MOST_DIGITS: Final = 20


class Journal:
    """The journal of a study. A last line that is not whole, since its writer was killed, is cut off.

    Args:
        path: the file; it is made with its first line.

    Raises:
        ConfigError: the file cannot be read, is damaged, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[dict[str, Any]] = []
        if os.path.lexists(path):
            self._read()

    def _read(self) -> None:
        try:
            content = read_regular(self._path, limit=_MOST_BYTES, follow=False)
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                os.truncate(self._path, len(whole))
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror or error}") from None
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = from_json(line.decode("utf-8"))
            except (ValueError, RecrunError, RecursionError):
                entry = None
            if not isinstance(entry, dict) or not _has_types(entry):
                raise ConfigError(
                    f"{self._path}:{number}: is damaged; cut the file before this line to decide anew from there, or "
                    f"move the folder of the sweep away to begin again"
                )
            if number == 1 and entry.get("schema") != SCHEMA:
                raise ConfigError(
                    f"{self._path} is of another version of recrun: schema {entry.get('schema')!r}, expected {SCHEMA}; "
                    "continue it with that version, or move the folder of the sweep away to begin again"
                )
            self.entries.append(entry)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when the call returns. What could not be written whole is taken back.

        Raises:
            TrainingError: it cannot be written.
        """
        is_new = not self.entries
        full = {"schema": SCHEMA, **entry} if is_new else dict(entry)
        with writing(self._path.parent, has_begun=True), open_to_append(self._path) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                _write_whole(file.fileno(), f"{to_json(full)}\n".encode())
            except OSError:
                with suppress(OSError):
                    os.truncate(self._path, size)
                raise
        if is_new:
            sync_folder(self._path.parent)
        self.entries.append(full)


def _has_types(entry: Mapping[str, Any]) -> bool:
    """Return whether what an entry says besides a decision has the types that it is written with."""
    generation = entry.get("generation", 1)
    return type(generation) is int and generation > 0 and isinstance(entry.get("given_up", ""), str)


def _write_whole(file: int, content: bytes) -> None:
    """Write to a file without a buffer, of which the rest would be written when it is closed."""
    while content:
        content = content[os.write(file, content) :]
    os.fsync(file)


def entry_of(lane: int, number: int, step: Step, draw: Mapping[str, int | float] | None) -> dict[str, Any]:
    """Return the journal's entry of a decision."""
    entry: dict[str, Any] = {"lane": lane, "step": number, "point": step.point, "repeat": step.repeat}
    if step.until is not None:
        entry["until"] = step.until
    if step.floors:
        entry["floors"] = {str(epoch): value for epoch, value in step.floors.items()}
    return entry if draw is None else {**entry, "draw": dict(draw)}


def step_from(entry: Mapping[str, Any]) -> Step | None:
    """Return the decision that a journal's entry holds, or None if it holds none."""
    point, repeat, until, floors = (entry.get(key) for key in ("point", "repeat", "until", "floors"))
    is_epoch = until is None or (type(until) is int and until > 0)
    if not (type(point) is int and type(repeat) is int and min(point, repeat) >= 0 and is_epoch):
        return None
    if floors is None:
        return Step(point, repeat, until)
    if not isinstance(floors, dict) or not all(
        epoch.isascii() and epoch.isdecimal() and len(epoch) < _MOST_DIGITS and is_number(value)
        for epoch, value in floors.items()
    ):
        return None
    return Step(point, repeat, until, {int(epoch): value for epoch, value in floors.items()})
