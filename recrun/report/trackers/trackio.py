"""Report runs to Trackio."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from recrun.report.trackers.tracker import About, Ending, Point, Tracker

_TALKATIVE: Final = ("trackio", "trackio.run", "trackio.utils")


class TrackioTracker(Tracker):
    """Reports a run to Trackio: to files in TRACKIO_DIR, or where TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says.

    The project is `track_project`, else the description.
    """

    name = "trackio"

    def begin(self, about: About) -> str:
        """Begin the run, or continue it by its name, which is the only thing that Trackio knows it by."""
        import trackio

        for module in _TALKATIVE:
            # It prints on stdout, where recrun has its results.
            vars(sys.modules[module])["print"] = _say_nothing
        self._project, self._name = about.project or about.description, f"{about.name}-{about.id[:6]}"
        self._run: Any = trackio.init(
            project=self._project,
            name=about.handle or self._name,
            resume="allow",
            config={**about.settings, **about.tags},
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        return about.handle or self._name

    def known(self) -> dict[str, int] | None:
        """Return the last epochs that are in the files; None if the run is reported to a server."""
        if not self._run._is_local:
            return None
        from trackio.sqlite_storage import SQLiteStorage

        last: dict[str, int] = {}
        for entry in SQLiteStorage.get_logs(self._project, self._run.name):
            for split in {key.partition("/")[0] for key in entry} & {"train", "valid"}:
                last[split] = max(last.get(split, -1), int(entry["step"]))
        return last

    def log(self, points: Sequence[Point]) -> None:
        """Log the values of each epoch as a step."""
        for point in points:
            self._run.log(point.named(), step=point.epoch)

    def end(self, ending: Ending) -> None:
        """Log the final values and the status, keep the files as artifacts, and finish the run."""
        self._run.log({**ending.values, "status": ending.status}, step=ending.epoch)
        for file in ending.files:
            self._run.log_artifact(file, name=f"{self._run.name}-{file.name}", type="recrun")
        self._run.finish()

    def abandon(self) -> None:
        """Take back the hook by which Trackio finishes the run when the process exits."""
        import atexit

        with suppress(KeyError, AttributeError):
            atexit.unregister(sys.modules["trackio"]._cleanup_current_run)


def _say_nothing(*texts: object, **options: object) -> None:
    """Print nothing."""
