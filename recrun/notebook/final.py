"""The last step of a sweep as an object: the runs on train and valid, and their metrics on test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recrun.errors import ConfigError, Fault, TrainingError
from recrun.notebook.html import grid, lines, markup, near
from recrun.notebook.run import Run
from recrun.notebook.wording import warn
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number
from recrun.runs.folder import open_run
from recrun.sweep.final.run import Finished, Wish, run_final
from recrun.sweep.row import DONE
from recrun.sweep.trial_results import INTERRUPTED_EXIT
from recrun.training.stop_signals import Interrupted

if TYPE_CHECKING:
    import polars as pl


class Final:
    """The runs that were trained on train and valid, and their metrics on test. `Sweep.final` makes it.

    Args:
        finished: the last step, ended.
    """

    def __init__(self, finished: Finished) -> None:
        self._finished = finished

    @property
    def path(self) -> Path:
        """The folder of the sweep."""
        return self._finished.folder

    @property
    def document(self) -> dict[str, Any]:
        """What `recrun final --json` prints."""
        return self._finished.document()

    @property
    def runs(self) -> list[Run]:
        """The runs that are done."""
        return [
            Run(open_run(trial["run"]))
            for final in self._finished.finals
            for trial in final["trials"]
            if trial["status"] == DONE
        ]

    @property
    def metrics(self) -> pl.DataFrame:
        """The metrics on test: `metric`, `mean`, `sd`, `low` and `high` (the 95 % interval over seeds), and `n`.

        Where several data sets were swept, the settings of each point come first.
        """
        import polars as pl

        finals = self._finished.finals
        rows = [
            {
                **(final["settings"] if len(finals) > 1 else {}),
                "metric": name,
                "mean": mean,
                "sd": final["sd"][name],
                "low": (final["interval"][name] or [None, None])[0],
                "high": (final["interval"][name] or [None, None])[1],
                "n": final["n"],
            }
            for final in finals
            for name, mean in final["mean"].items()
        ]
        numbers = dict.fromkeys(("mean", "sd", "low", "high"), pl.Float64)
        return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        trials = [trial for final in self._finished.finals for trial in final["trials"]]
        n_done = sum(trial["status"] == DONE for trial in trials)
        return f"Final({near(self.path)!r}, {n_done} of {len(trials)} runs done)"

    def _repr_html_(self) -> str:
        heads = ["metric", "mean", "sd", "low", "high", "n"]
        frame = self.metrics
        cells = [
            [short_name(row["metric"]), *(number(row[key]) for key in heads[1:-1]), str(row["n"])]
            for row in frame.iter_rows(named=True)
        ]
        return markup(lines([("sweep", near(self.path))]), grid(heads, cells, None))


def make_final(
    path: Path, wish: Mapping[str, Any], jobs: int, engine: str, engine_settings: Mapping[str, Any], *, progress: bool
) -> Final:
    """Make the last step of a sweep, or continue it.

    Args:
        path: the folder of the sweep.
        wish: what is asked of it, by the names of `Wish`.
        jobs: how many are trained at once.
        engine: where they are trained.
        engine_settings: the engine's own settings.
        progress: whether a line is printed for each run.

    Raises:
        ConfigError, CheckpointError, TrainingError: as `recrun.sweep.final.run.run_final`; or a run failed.
        KeyboardInterrupt: it was interrupted.
    """
    from recrun.report.terminal.console import stderr_console
    from recrun.sweep.engines import choose_engine

    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ConfigError(Fault(f"expected an integer >= 1, found {jobs!r}", "jobs"))
    console = stderr_console()
    tell = console.print if progress else None
    finished = run_final(path, Wish(**wish), choose_engine(engine, engine_settings), jobs=jobs, tell=tell)
    if finished.exit_code == INTERRUPTED_EXIT:
        raise Interrupted("interrupted; repeat the call to continue: what is done is kept")
    warn(finished.notes)
    causes = [trial["cause"] for final in finished.finals for trial in final["trials"] if trial["status"] != DONE]
    if causes:
        raise TrainingError(f"{len(causes)} runs of the last step are not done: {causes[0]}")
    return Final(finished)
