"""A sweep as an object: its trials, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recrun.errors import ConfigError, Fault
from recrun.notebook.html import grid, lines, markup, near
from recrun.notebook.run import Run
from recrun.notebook.wording import worded
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number
from recrun.runs.folder import open_run
from recrun.sweep.document import as_text
from recrun.sweep.ledger import Ledger
from recrun.sweep.points import interval
from recrun.sweep.row import DONE
from recrun.sweep.view.settings import columns_of, keys_in

if TYPE_CHECKING:
    import polars as pl

    from recrun.notebook.final import Final
    from recrun.sweep.points import Standing
    from recrun.sweep.row import Row

_MOST_ROWS = 50
"""The trials that a notebook shows."""
_NOTHING = {"reason": "it compares nothing"}


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

        The columns are `trial`, the `config` where there are several, what varies, `status`, the metrics on validation
        (on test if the sweep chooses nothing), `best_epoch`, `reached` (the epoch at which a trial was paused or
        pruned), `seconds`, `run` and `cause`, which says why a trial failed.
        """
        import polars as pl

        rows, ledger = self._ledger.ranked(), self._ledger
        metrics = dict.fromkeys(name for row in rows for name in ledger.numbers(row))
        columns = {
            "trial": pl.Series([row.trial.index for row in rows], dtype=pl.Int64),
            **{key: _column([row.trial.shown.get(key) for row in rows]) for key in columns_of(ledger)},
            "status": pl.Series([row.status for row in rows], dtype=pl.String),
            **{name: _numbers([ledger.numbers(row).get(name) for row in rows]) for name in metrics},
            "best_epoch": pl.Series([row.best_epoch for row in rows], dtype=pl.Int64),
            **_reached([row.reached for row in rows]),
            "seconds": _numbers([row.seconds for row in rows]),
            "run": pl.Series([_path(row) for row in rows], dtype=pl.String),
            "cause": pl.Series([row.cause for row in rows], dtype=pl.String),
        }
        return pl.DataFrame(columns)

    @property
    def points(self) -> pl.DataFrame:
        """The points of the grid, best first: the means over seeds and folds of trials that differ in these alone.

        The columns are the settings of the point, null where it does not have one, `n` (how many trials are done),
        `reached`, the epoch up to which its trials were trained if they were paused or pruned, and for each metric its
        mean and its standard deviation, `ndcg@20` and `ndcg@20_sd`; where points have several trials also the ends of
        the 95 % interval of the mean, `ndcg@20_low` and `ndcg@20_high`.
        """
        return self._points(self._ledger.standings())

    @property
    def front(self) -> pl.DataFrame:
        """The points on the Pareto front of several criteria, as `points` has them; the best point if there is one."""
        return self._points(self._ledger.front_of(self._ledger.standings()))

    @property
    def importance(self) -> pl.DataFrame:
        """How much each setting matters, the most important first: `setting`, `values` and `importance`.

        Raises:
            ConfigError: it is not known, and why.
        """
        import polars as pl

        found = self._ledger.importance
        if found is None or "reason" in found:
            raise ConfigError(f"the importance of settings is not known: {(found or _NOTHING)['reason']}")
        columns = {"setting": pl.String, "values": pl.Int64, "importance": pl.Float64}
        return pl.DataFrame({key: [each[key] for each in found["settings"]] for key in columns}, schema=columns)

    def _points(self, standings: Sequence[Standing]) -> pl.DataFrame:
        import polars as pl

        settings = [{**each.point.data, **each.point.choices} for each in standings]
        metrics = dict.fromkeys(name for each in standings for name in each.mean)
        keys = keys_in(settings, columns_of(self._ledger))
        columns = {key: _column([each.get(key) for each in settings]) for key in keys}
        columns["n"] = pl.Series([each.n_done for each in standings], dtype=pl.Int64)
        columns |= _reached([each.reached for each in standings])
        for name in metrics:
            columns[name] = _numbers([each.mean.get(name) for each in standings])
            columns[f"{name}_sd"] = _numbers([each.sd.get(name) for each in standings])
            if self._ledger.plan.has_repeats:
                ends = [interval(each).get(name) for each in standings]
                columns[f"{name}_low"] = _numbers([None if each is None else each[0] for each in ends])
                columns[f"{name}_high"] = _numbers([None if each is None else each[1] for each in ends])
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
        if best is None and len(self._ledger.plan.criteria) > 1:
            raise ConfigError("no point is best by several criteria; see front, and final(point=...)")
        if best is None:
            raise ConfigError("nothing is best: the axes are seeds or folds, or change the data; see points and trials")
        return [self.run(index) for index in best.point.trials]

    @worded
    def final(
        self,
        *,
        point: int | None = None,
        seeds: int | None = None,
        train_only: bool = False,
        again: bool = False,
        jobs: int = 1,
        engine: str = "local",
        engine_settings: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> Final:
        """Train the best point on train and valid, for each of its seeds, and score test once; or continue that.

        Args:
            point: the number of another point to train.
            seeds: with how many seeds, in place of those that the search had.
            train_only: train nothing, and score the runs of the point as they are.
            again: also if there was a last step of another choice.
            jobs: how many are trained at once.
            engine: where they are trained.
            engine_settings: the engine's own settings.
            progress: whether a line is printed for each run.

        Raises:
            ConfigError: the sweep is unfinished, or chose nothing, or its point cannot be trained without validation.
            TrainingError: a run failed.
            KeyboardInterrupt: it was interrupted; the same call continues it.
        """
        from recrun.notebook.final import make_final

        wish = {"point": point, "seeds": seeds, "train_only": train_only, "again": again}
        return make_final(self.path, wish, jobs, engine, engine_settings or {}, progress=progress)

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
        axes, criterion = columns_of(ledger), self.which4best
        names = dict.fromkeys(name for row in rows for name in ledger.numbers(row))
        metrics = [criterion, *(name for name in names if name != criterion)] if criterion in names else list(names)
        cells = [
            [
                str(row.trial.index),
                *(as_text(row.trial.shown[key]) if key in row.trial.shown else "" for key in axes),
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


def _reached(epochs: Sequence[int | None]) -> dict[str, pl.Series]:
    """Return the column of the epochs that were reached, if any were not the last."""
    import polars as pl

    is_there = any(epoch is not None for epoch in epochs)
    return {"reached": pl.Series(epochs, dtype=pl.Int64)} if is_there else {}


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
