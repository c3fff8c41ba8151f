"""Deliver what a run folder holds to a tracker, and keep in the folder how far that has come.

`track/<tracker>.json` in the run folder holds the run's id at the tracker, the last epoch of each split that was sent,
and whether the end was. It is written after the tracker has taken something, so what was not taken is sent again.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, RecrunError
from recrun.files import HeldError, atomic_write, hold, to_json
from recrun.registry.user_files import short_name
from recrun.report.trackers.facts import About, Ending, Point, Receiver
from recrun.runs.folder import RunFolder, folder_name
from recrun.runs.history import lines_after
from recrun.runs.records import read_json, read_json_if_there
from recrun.runs.status import status_in
from recrun.version import __version__

_LINES: Final = 200
"""The most lines of a history that are handed over at once."""
_FILES: Final = ("config.yaml", "metrics.json", "summary/SUMMARY.md")
_ID: Final = re.compile("[0-9a-f]{16}")
_SPLITS: Final = ("train", "valid")
FOLDER: Final = "track"


class BusyError(CheckpointError):
    """Another process is delivering the same run to the same tracker."""


class Delivery:
    """What a tracker gets of a run.

    Args:
        tracker: where to; only one delivery to it may be open at a time.

    Attributes:
        has_sent_end: whether the end of the run was sent.
    """

    def __init__(self, tracker: Receiver) -> None:
        self.tracker, self.run = tracker, tracker.run
        self.name = name_of(tracker)
        self._folder = self.run.path / FOLDER
        self._file = self._folder / f"{self.name}.json"
        self._guard = threading.Lock()
        self._record: dict[str, Any] = {}
        self._offset = 0
        self._has_begun = False
        self.has_sent_end = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Read the record, and keep other processes from delivering the same meanwhile.

        Raises:
            CheckpointError: the record is damaged.
            BusyError: another process delivers to this tracker.
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        try:
            with hold(self._folder / f".{self.name}.lock", patience=0.0):
                for left in self._folder.glob(f".{self._file.name}.*.tmp"):  # by a process that was killed
                    left.unlink(missing_ok=True)
                self._record = _read(self._file)
                yield
        except HeldError:
            raise BusyError(f"another process is delivering {self.run.path} to {self.name}") from None

    def deliver(self, *, final: bool, at_once: bool = False) -> int:
        """Send everything that the tracker does not have yet; whatever it raises is raised.

        Args:
            final: whether the run has ended, so that its end is sent as well.
            at_once: whether the run is begun at the tracker even if there is nothing to send.

        Returns:
            How many lines of the history were sent.
        """
        if at_once:
            self._begin()
        n_sent = 0
        while True:
            lines, offset = lines_after(self.run.metrics_lines_file, self._offset, _LINES)
            if not lines and offset == self._offset:
                break
            points = [point for point in map(_point, lines) if self._is_new(point)]
            if points and not self._has_begun:
                self._begin()  # after it, the tracker's own word counts, and the file is read again
                continue
            if points:
                self.tracker.log(points)
                sent = self._record["sent"]
                self._note(sent={**sent, **{point.split: point.epoch for point in points}})
            self._offset = offset
            n_sent += len(points)
        if final:
            self._end()
        return n_sent

    def note_problem(self, cause: str | None) -> None:
        """Record why not everything was delivered; None takes that back."""
        if self._record and self._record.get("problem") != cause:
            self._note(problem=cause)

    def _is_new(self, point: Point) -> bool:
        return point.split != "test" and bool(point.values) and point.epoch > self._record["sent"].get(point.split, -1)

    def _begin(self) -> None:
        if self._has_begun:
            return
        if "id" not in self._record:
            # Written first: whatever happens while the tracker begins, it is asked for the same run again.
            self._note(id=secrets.token_hex(8))
        handle: Any = self.tracker.begin(self._about())
        if handle is not None and not isinstance(handle, str):
            raise RecrunError(f"its begin returned {type(handle).__name__}; it must return text, or None")
        known = self.tracker.known()
        sent = self._record["sent"] if known is None else _epochs(known)
        self._note(handle=handle, sent=sent, ended=None)
        self._has_begun = True
        self._offset = 0

    def _end(self) -> None:
        ending = ending_of(self.run)
        if ending is None:
            return
        stamp = [ending.status, ending.at]
        if self._record.get("ended") == stamp:
            return
        self._begin()
        self.tracker.end(ending)
        self._note(ended=stamp, problem=None)
        self._has_begun, self.has_sent_end = False, True

    def _about(self) -> About:
        settings, record = self.run.read_settings(), self.run.read_run()
        git = record.get("git") if isinstance(record.get("git"), dict) else {}
        tags = {
            "model": settings.get("model"),
            "dataset": settings.get("dataset"),
            "recrun.run": str(self.run.path),
            "recrun.version": __version__,
            "git.commit": (git or {}).get("commit"),
            "git.dirty": (git or {}).get("dirty"),
        }
        return About(
            id=self._record["id"],
            handle=self._record.get("handle"),
            name=self.run.path.name,
            project=settings.get("track_project"),
            description=str(settings.get("description") or "recrun"),
            settings=settings,
            tags={name: str(value) for name, value in tags.items() if value is not None},
        )

    def _note(self, **changes: Any) -> None:
        # The thread of the run notes a problem while the one that delivers hangs, and may come back.
        with self._guard:
            self._record = {**self._record, **changes}
            self.run.require_own()
            atomic_write(self._file, to_json(self._record, indent=2) + "\n")


def name_of(tracker: Receiver) -> str:
    """Return the name of a tracker, which is also that of its record."""
    return folder_name(tracker.name or type(tracker).__name__)


def ending_of(run: RunFolder) -> Ending | None:
    """Return how a run ended, or None if it has not.

    Raises:
        CheckpointError: run.json or metrics.json is damaged.
    """
    record = run.read_run()
    status = status_in(record)
    if status == "running":
        if run.is_running:
            return None
        status = "killed"
    result = read_json(run.metrics_file) if status == "done" else {}
    values: dict[str, float] = {}
    for split, prefix in (("valid", "best"), ("test", "test")):
        values |= {f"{prefix}/{name}": value for name, value in _finite(result.get(split)).items()}
    files = [run.path / name for name in _FILES if os.path.isfile(run.path / name)]
    if run.read_settings().get("track_checkpoint") and run.checkpoint_file("best").is_file():
        files.append(run.checkpoint_file("best"))
    cause, at, epoch = record.get("cause"), record.get("ended"), result.get("best_epoch")
    return Ending(str(status), cause, at, epoch if isinstance(epoch, int) else None, values, files)


def _finite(values: Any) -> dict[str, float]:
    """Return the finite values; a metric of a user's own file is named without its path, if that is clear."""
    numbers = values if isinstance(values, Mapping) else {}
    short = Counter(map(short_name, map(str, numbers)))
    return {
        short_name(str(name)) if short[short_name(str(name))] == 1 else str(name): value
        for name, value in numbers.items()
        if type(value) in (int, float) and math.isfinite(value)
    }


def _point(line: Mapping[str, Any]) -> Point:
    return Point(line["epoch"], line["split"], _finite(line["values"]), line["seconds"])


def _epochs(known: Mapping[str, Any]) -> dict[str, int]:
    """Return the last epoch of each split that a tracker says it has; one below 0 is none."""
    return {split: int(known[split]) for split in _SPLITS if split in known and int(known[split]) >= 0}


def _read(file: Path) -> dict[str, Any]:
    record = read_json_if_there(file) or {}
    sent = record.setdefault("sent", {})
    is_typed = isinstance(sent, dict) and all(
        split in _SPLITS and type(epoch) is int and epoch >= 0 for split, epoch in sent.items()
    )
    texts = [record.get(key) for key in ("handle", "problem")]
    has_id = _ID.fullmatch(str(record["id"])) if "id" in record else not sent
    if not (is_typed and has_id and all(text is None or isinstance(text, str) for text in texts)):
        raise CheckpointError(f"{file} is damaged: remove it to send the run to the tracker anew")
    return record


def explain(error: BaseException) -> str:
    """Return the cause of a failed delivery on one line, without what a long traceback in its text may hold."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 200 else f"{text[:200]}..."
    return text if isinstance(error, RecrunError) else f"{type(error).__name__}: {text}"
