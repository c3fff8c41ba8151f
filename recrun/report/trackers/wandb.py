"""Report runs to Weights & Biases."""

from __future__ import annotations

import atexit
import glob
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from recrun.report.trackers.tracker import About, Ending, Point, Tracker

_SPLITS: Final = ("train", "valid")
"""In the order in which they follow each other in an epoch."""
_FINISH_SECONDS: Final = 8.0
"""Less than a run waits for its trackers."""


class WandbTracker(Tracker):
    """Reports a run to Weights & Biases, as WANDB_MODE, WANDB_API_KEY, WANDB_BASE_URL and WANDB_ENTITY say.

    The project is `track_project`, else what WANDB_PROJECT says, else the description. Final values are in the run's
    summary.
    """

    name = "wandb"

    def begin(self, about: About) -> None:
        """Begin the run, or continue it by its id."""
        # Without it, wandb may ask for an account on the terminal, and prints between the lines of the run.
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        settings = wandb.Settings(
            console="off", finish_timeout=_FINISH_SECONDS, finish_timeout_raises=True, x_disable_stats=True
        )
        self._run: Any = wandb.init(
            project=about.project or os.environ.get("WANDB_PROJECT") or _project(about.description),
            id=about.id,
            name=about.name,
            resume="allow",
            reinit="create_new",
            tags=[tag[:64] for tag in (about.tags.get("model"), about.tags.get("dataset")) if tag],
            config={**about.settings, "recrun": dict(about.tags)},
            allow_val_change=True,
            settings=settings,
        )
        for split in _SPLITS:
            self._run.define_metric(f"{split}/*", step_metric="epoch")

    def known(self) -> dict[str, int] | None:
        """Return the last epochs that the server has; None offline, where only recrun has a record."""
        if self._run.offline or self._run.disabled:
            return None
        if not self._run.resumed:
            return {}
        last = {split: _last_epoch(int(self._run.starting_step) - 1, split) for split in _SPLITS}
        return {split: epoch for split, epoch in last.items() if epoch >= 0}

    def log(self, points: Sequence[Point]) -> None:
        """Log each training epoch and each evaluation as a step of its own; W&B itself drops steps that it has."""
        for point in points:
            self._run.log({**point.named(), "epoch": point.epoch}, step=_step(point))

    def end(self, ending: Ending) -> None:
        """Write the summary, save the files, and finish the run; W&B counts any status but "done" as failed."""
        more = {"status": ending.status, "cause": ending.cause, "best_epoch": ending.epoch}
        self._run.summary.update({**ending.values, **{key: value for key, value in more.items() if value is not None}})
        for file in ending.files:
            self._run.save(glob.escape(str(file)), base_path=str(_top(self.run.path, file)), policy="now")
        self._run.finish(exit_code=0 if ending.status == "done" else 1)

    def abandon(self) -> None:
        """Have the process exit without waiting for wandb's service, which waits for the server."""
        atexit.register(_end_service)  # hooks run in reverse order, so this one comes before that of wandb


def _step(point: Point) -> int:
    """Return the step of a point: W&B takes nothing more for a step that it has, so no two points may share one."""
    return len(_SPLITS) * point.epoch + _SPLITS.index(point.split)


def _last_epoch(step: int, split: str) -> int:
    """Return the last epoch of a split whose step is not after this one."""
    return (step - _SPLITS.index(split)) // len(_SPLITS)


def _project(description: str) -> str:
    """Return a description as the name of a project, in which W&B allows no slashes and the like."""
    return "".join("-" if character in "/\\#?%:" else character for character in description)[:128]


def _top(run: Path, file: Path) -> Path:
    return run if run in file.parents else file.parent


def _end_service() -> None:
    """End the process that sends to W&B; wandb's own call for it, `teardown`, is what waits.

    What it did not send is still in wandb's files, and in the run folder.
    """
    setup = sys.modules.get("wandb.sdk.wandb_setup")
    with suppress(Exception):  # these names are not public, and may change
        connection = setup.singleton()._connection  # type: ignore[union-attr]
        connection._cleanup()
        connection._proc._process.kill()
