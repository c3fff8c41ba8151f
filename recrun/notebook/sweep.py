"""A sweep as an object: its trials, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recrun.errors import ConfigError, Fault, TrainingError
from recrun.notebook.html import grid, lines, markup, near
from recrun.notebook.run import Run
from recrun.notebook.wording import warn, worded
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number
from recrun.runs.folder import open_run
from recrun.sweep.ledger import Ledger, as_text
from recrun.sweep.row import DONE
from recrun.training.stop_signals import Interrupted

if TYPE_CHECKING:
    import polars as pl

    from recrun.sweep.row import Row
    from recrun.sweep.run import Listener

_MOST_ROWS = 50
"""The trials that a notebook shows."""


class Sweep:
    """The trials of a sweep, with their numbers. `recrun.sweep` makes it.

    Args:
        ledger: the sweep, ended.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def path(self) -> Path:
        """The folder of the sweep, with sweep.json and the logs of the trials."""
        return self._ledger.folder

    @property
    def status(self) -> str:
        """ "done" if all trials are done, else "failed"."""
        return self._ledger.status

    @property
    def which4best(self) -> str:
        """The metric by which trials are compared."""
        return self._ledger.plan.which4best

    @property
    def trials(self) -> pl.DataFrame:
        """The trials, best first, those that failed last.

        The columns are `trial`, the axes of the grid, `status`, the metrics on validation (on test if the sweep chooses
        nothing), `best_epoch`, `seconds`, `run` and `cause`, which says why a trial failed.
        """
        import polars as pl

        rows, ledger = self._ledger.ranked(), self._ledger
        metrics = dict.fromkeys(name for row in rows for name in ledger.numbers(row))
        columns = {
            "trial": pl.Series([row.trial.index for row in rows], dtype=pl.Int64),
            **{key: _column([row.trial.overrides[key] for row in rows]) for key in ledger.plan.axes},
            "status": pl.Series([row.status for row in rows], dtype=pl.String),
            **{name: _numbers([ledger.numbers(row).get(name) for row in rows]) for name in metrics},
            "best_epoch": pl.Series([row.best_epoch for row in rows], dtype=pl.Int64),
            "seconds": _numbers([row.seconds for row in rows]),
            "run": pl.Series([_path(row) for row in rows], dtype=pl.String),
            "cause": pl.Series([row.cause for row in rows], dtype=pl.String),
        }
        return pl.DataFrame(columns)

    @property
    def points(self) -> pl.DataFrame:
        """The points of the grid, best first: the means over seeds and folds of trials that differ in these alone.

        The columns are the settings of the point, `n` (how many trials are done), and for each metric its mean and its
        standard deviation, `ndcg@20` and `ndcg@20_sd`.
        """
        import polars as pl

        standings = self._ledger.standings()
        settings = [{**each.point.data, **each.point.choices} for each in standings]
        metrics = dict.fromkeys(name for each in standings for name in each.mean)
        columns = {key: _column([each[key] for each in settings]) for key in settings[0]}
        columns["n"] = pl.Series([each.n_done for each in standings], dtype=pl.Int64)
        for name in metrics:
            columns[name] = _numbers([each.mean.get(name) for each in standings])
            columns[f"{name}_sd"] = _numbers([each.sd.get(name) for each in standings])
        return pl.DataFrame(columns)

    @property
    def best(self) -> Run:
        """The best run on validation. It was not evaluated on test yet: `sweep.best.evaluate("test")` does.

        Raises:
            ConfigError: nothing is chosen, or the best point has several runs (`best_runs`).
        """
        runs = self.best_runs
        if len(runs) > 1:
            raise ConfigError(
                f"the best point has {len(runs)} runs, which differ in their seeds or folds: see best_runs"
            )
        return runs[0]

    @property
    def best_runs(self) -> list[Run]:
        """The runs of the best point of the grid.

        Raises:
            ConfigError: nothing is chosen: the axes are seeds and folds alone, or change the data.
        """
        best = self._ledger.best_point
        if best is None:
            raise ConfigError("nothing is best: the axes are seeds or folds, or change the data; see points and trials")
        return [self.run(index) for index in best.point.trials]

    @worded
    def run(self, trial: int) -> Run:
        """Return the run of a trial, by its number.

        Raises:
            ConfigError: there is no such trial.
            CheckpointError: it has no run.
        """
        rows = {row.trial.index: row for row in self._ledger.rows}
        if trial not in rows:
            raise ConfigError(Fault(f"there is no trial {trial!r}; expected 0 to {len(rows) - 1}", "trial"))
        return Run(open_run(rows[trial].run.path))

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self._ledger.rows)

    def __repr__(self) -> str:
        n_done = sum(row.status == DONE for row in self._ledger.rows)
        return f"Sweep({near(self.path)!r}, {n_done} of {len(self)} trials done)"

    def _repr_html_(self) -> str:
        ledger, rows = self._ledger, self._ledger.ranked()
        axes, criterion = list(ledger.plan.axes), self.which4best
        names = dict.fromkeys(name for row in rows for name in ledger.numbers(row))
        metrics = [criterion, *(name for name in names if name != criterion)] if criterion in names else list(names)
        cells = [
            [
                str(row.trial.index),
                *(as_text(row.trial.overrides[key]) for key in axes),
                row.status,
                *(number(ledger.numbers(row).get(name)) for name in metrics),
                row.cause or "",
            ]
            for row in rows[:_MOST_ROWS]
        ]
        heads = ["trial", *axes, "status", *(f"{ledger.split} {short_name(name)}" for name in metrics), "cause"]
        if not any(row.cause for row in rows):
            heads, cells = heads[:-1], [row[:-1] for row in cells]
        facts = [("sweep", near(self.path)), ("status", self.status)]
        if len(rows) > _MOST_ROWS:
            facts.append(("shown", f"the first {_MOST_ROWS} of {len(rows)} trials"))
        return markup(lines(facts), grid(heads, cells, 0 if ledger.best is not None else None))


@worded
def sweep(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    runs: str | Path = "runs",
    jobs: int = 1,
    engine: str = "local",
    engine_settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Sweep:
    """Train on every point of a grid, each trial in a process of its own, and rank the trials on validation.

    A list of values is an axis of the grid: `lr=[1e-3, 1e-4]`. For a setting that is itself a list, such as `monitors`,
    it is a list of lists. Repeat the call to continue a sweep, or to have its results again: trials that are done are
    not trained anew.

    Args:
        config: as for `recrun.train`.
        runs: the folder that holds the run folders.
        jobs: how many trials run at once.
        engine: where trials run: a registered engine, or "./file.py:Name".
        engine_settings: the engine's own settings.
        progress: whether the progress is shown.
        **settings: settings with one value for all trials, or a list of values.

    Returns:
        The sweep. If some trials failed, there is a warning, and `trials` says why.

    Raises:
        ConfigError: with every fault of the settings; nothing was started.
        TrainingError: all trials failed.
        KeyboardInterrupt: the sweep was interrupted; its trials have saved their state.
    """
    from recrun.config.resolve import resolve
    from recrun.notebook.fitting import say_notes
    from recrun.sweep.engines import choose_engine
    from recrun.sweep.plan import plan_sweep
    from recrun.sweep.run import run_sweep
    from recrun.sweep.same_data import mixed_files
    from recrun.sweep.space.python_axes import sweep_arguments
    from recrun.sweep.trial_results import INTERRUPTED_EXIT

    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ConfigError(Fault(f"expected an integer >= 1, found {jobs!r}", "jobs"))
    make_engine = choose_engine(engine, engine_settings or {})
    arguments, axes = sweep_arguments(config, settings)
    if not axes:
        resolve(config, arguments)  # its faults come first
        raise ConfigError("no setting has several values: give one a list, lr=[1e-3, 1e-4], or use recrun.train")
    plan = plan_sweep(config, arguments)
    jobs = min(jobs, len(plan.trials))
    with Ledger(plan, Path(runs)) as ledger:
        if progress:
            say_notes([*plan.notes, *ledger.notes])
        listener = _listener(plan.config_path, progress)
        code = run_sweep(ledger, make_engine(jobs, [ledger.lock_descriptor]), jobs, listener=listener)
    if code == INTERRUPTED_EXIT:
        raise Interrupted("interrupted; repeat the call to continue: trials that are done are kept")
    open_rows = [row for row in ledger.rows if row.status != DONE]
    if len(open_rows) == len(ledger.rows):
        raise TrainingError(
            f"all {len(open_rows)} trials failed; trial {open_rows[0].trial.index}: {open_rows[0].cause}"
        )
    failed = [f"trial {row.trial.index} {row.status}: {row.cause}" for row in open_rows]
    changed = [
        f"{name} changed during the sweep, so not all trials are of the same data" for name in mixed_files(ledger.rows)
    ]
    warn([*failed, *changed])
    return Sweep(ledger)


def _listener(config: str, progress: bool) -> Listener:
    from recrun.notebook.display import cell_output
    from recrun.notebook.fitting import config_name
    from recrun.notebook.progress import SweepView
    from recrun.report.terminal.console import stderr_console
    from recrun.sweep.view import view_of

    output = cell_output() if progress else None
    return view_of(stderr_console(), int(progress)) if output is None else SweepView(output, config_name(config))


def _column(values: list[Any]) -> pl.Series:
    """Return settings as a column; as text, where they have no common type."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if len(kinds - {int, float}) > (0 if kinds & {int, float} else 1):
        return pl.Series([None if value is None else as_text(value) for value in values], dtype=pl.String)
    return pl.Series(values, strict=False)


def _numbers(values: list[float | None]) -> pl.Series:
    import polars as pl

    return pl.Series(values, dtype=pl.Float64)


def _path(row: Row) -> str | None:
    return str(row.run.path) if row.run.path.exists() else None
