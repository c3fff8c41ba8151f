"""A tracker as a user writes it, whose server is a folder: a file `down` in it has it fail, a file `hangs` wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BOOK = '''
import json
import time
from pathlib import Path

from recrun.report.trackers.tracker import Tracker


class Book(Tracker):
    """Write into a file what is delivered.

    Args:
        book: the folder.
    """

    def __init__(self, run, settings, resumed_from, *, book: str) -> None:
        super().__init__(run, settings)
        self.folder = Path(book)

    def write(self, *entries):
        while (self.folder / "hangs").exists():
            time.sleep(0.01)
        if (self.folder / "down").exists():
            raise ConnectionError("the server is down")
        with open(self.folder / "book.jsonl", "a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\\n" for entry in entries)

    def begin(self, about):
        self.write(["begin", about.id, about.handle, dict(about.tags), about.settings["model"]])
        return f"handle-{about.id}"

    def log(self, points):
        self.write(*(["log", point.split, point.epoch, point.named()] for point in points))

    def end(self, ending):
        self.write(["end", ending.status, ending.epoch, dict(ending.values), [file.name for file in ending.files]])
'''


def server(folder: Path) -> tuple[Path, list[str]]:
    """Return the folder of a server, and the overrides by which a run is reported to it."""
    at = folder / "server"
    at.mkdir()
    file = folder / "book_tracker.py"
    file.write_text(BOOK, encoding="utf-8")
    return at, [f"track=[{file}:Book]", f"book={at}"]


def entries(at: Path, kind: str) -> list[list[Any]]:
    """Return the entries of a kind in the server's book, without that word."""
    file = at / "book.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [entry[1:] for entry in map(json.loads, lines) if entry[0] == kind]


def logged(at: Path) -> list[tuple[str, int]]:
    """Return the (split, epoch) of everything that was logged, in order."""
    return [(split, epoch) for split, epoch, _ in entries(at, "log")]
