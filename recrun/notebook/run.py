"""A run as an object: what it measured, and its trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recrun.config.config import Config
from recrun.errors import CheckpointError, ConfigError, Fault, unknown
from recrun.metrics.undefined import from_nulls
from recrun.notebook.html import near
from recrun.notebook.run_tables import SPLITS, history_frame, run_html, summary_of
from recrun.notebook.trained import Exclude, TrainedModel, wish_of
from recrun.notebook.wording import worded
from recrun.runs.folder import RunFolder
from recrun.runs.listing import DAMAGED, describe
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import has_record

if TYPE_CHECKING:
    import polars as pl

    from recrun.recommendation.recommender import AsOf

Split = Literal["valid", "test"]


@worded
def load(path: str | Path, *, trust: bool = False, **settings: Any) -> Run:
    """Open a run, finished or not, or a checkpoint.

    Args:
        path: a run folder (`runs/latest` is the newest), one of its checkpoint folders, or a checkpoint file.
        trust: whether code of the user's own that the run names may be run although it was not run here before.
        **settings: where the data is and how the model computes: `root`, `device`, `threads`, `eval_memory`.

    Returns:
        The run; its model and data are loaded when they are first asked for.

    Raises:
        CheckpointError: there is neither a run nor a checkpoint.
        ConfigError: a setting is none of these.
    """
    from recrun.runs.find import locate_checkpoint
    from recrun.runs.folder import open_run
    from recrun.sweep.storage import LEDGER

    folder = follow_latest(Path(path))
    if has_record(folder):
        return Run(open_run(folder), trust=trust, **settings)
    if (folder / LEDGER).is_file():
        raise CheckpointError(
            f"{path} is a sweep: call recrun.sweep as before to have it again, or load one of its runs"
        )
    run, file = locate_checkpoint(path)
    return Run(run, file, trust=trust, **settings)


class Run:
    """A run: its config, its numbers and its model. Everything is read when it is asked for.

    `recrun.train` and `recrun.load` make it. It stands for its path where one is expected.

    Args:
        folder: the folder of the run; None for a checkpoint outside of any.
        checkpoint: the checkpoint whose model is meant; None for the best one of the run, else its last.
        trust: whether code of the user's own that the run names may be run although it was not run here before.
        **settings: as for `recrun.load`.

    Raises:
        ConfigError: a setting is none of those.
    """

    def __init__(
        self, folder: RunFolder | None, checkpoint: Path | None = None, *, trust: bool = False, **settings: Any
    ) -> None:
        self._folder = folder
        self._where = folder.path if folder is not None else Path(checkpoint or "")
        self._trained = TrainedModel(checkpoint or self._where, settings, trust=trust)

    @property
    def path(self) -> Path:
        """The folder of the run; the file of a checkpoint outside of any run."""
        return self._where

    @property
    def config(self) -> Config:
        """Every setting of the run: `run.config.lr`, `run.config["lr"]`.

        Raises:
            CheckpointError: the run is damaged.
        """
        return self._trained.loaded.resolved.config if self._folder is None else Config(self._row()["settings"])

    @property
    def status(self) -> str:
        """Whether the run is "done", "running", "interrupted", "paused", "pruned", "failed", "killed" or "damaged"."""
        return "done" if self._folder is None else str(describe(str(self._folder.path))["status"])

    @property
    @worded
    def metrics(self) -> dict[str, dict[str, float]]:
        """The final metrics: `{"valid": {"ndcg@20": 0.1, ...}, "test": {...}}`; {} for a part that was not evaluated.

        An undefined one is NaN, and knows why: `.reason`.

        Raises:
            CheckpointError: the run is not finished, or damaged.
        """
        row = self._row()
        if row["status"] != "done":
            raise CheckpointError(
                f"{self._shown} is not finished (status: {row['status']}), so it has no final metrics; `history` has "
                "those of its epochs, and `resume()` continues it"
            )
        return {split: from_nulls(row[split] or {}, row["undefined"].get(split) or {}) for split in SPLITS}

    @property
    @worded
    def history(self) -> pl.DataFrame:
        """What was measured while the run went on, a row for each epoch and split.

        The columns are `epoch` (how many epochs the model had been trained), `split` ("train", "valid" or "test"),
        the metrics and the loss (null where there is none), `seconds`, and `best` (the best so far).
        """
        return history_frame(self._own.metrics_lines_file)

    @worded
    def per_user(self, split: Split = "test") -> pl.DataFrame:
        """Return the metrics of each user: `user` (original id) and a column for each metric, null where undefined.

        Raises:
            CheckpointError: the run keeps none, or they are damaged.
        """
        from recrun.runs.per_user import read_frame

        frame = read_frame(self._own.per_user_file(_checked(split)))
        if frame is None:
            raise CheckpointError(
                f"{self._shown} keeps no metrics of each user on {split}; a run does if it is finished, ranks items, "
                "and has per_user=True"
            )
        return frame

    @property
    @worded
    def model(self) -> Any:
        """The trained model, a torch module in evaluation mode: of the best epoch, unless a checkpoint was loaded."""
        return self._trained.loaded.coach.model

    @property
    @worded
    def dataset(self) -> Any:
        """The data set that the model was trained on, with its train, valid and test parts."""
        return self._trained.loaded.coach.dataset.base

    @worded
    def recommend(
        self,
        users: Any = None,
        k: int = 20,
        *,
        as_of: AsOf = "test",
        exclude: Exclude = "seen",
        items: Any = None,
        skip_unknown: bool = False,
    ) -> pl.DataFrame:
        """Return the items that the model recommends to users of the data.

        Args:
            users: original ids: one, several, or a file that lists them; None for all users.
            k: the most items of a list.
            as_of: what is known of users: "valid" is train, "test" is train and valid, "end" all interactions.
            exclude: what is left out: "seen" for what a user is known to have, files, or both; None for nothing.
            items: the only items that may be recommended: original ids, or a file; None for all.
            skip_unknown: leave out ids that the data does not have, with a warning, instead of refusing them.

        Returns:
            A frame with the columns `user`, `item` (original ids), `rank` (from 1) and `score`.

        Raises:
            ConfigError: ids are not known, or the model ranks no items.
            CheckpointError, DataError: the model or the data cannot be loaded.
        """
        return self._trained.recommend(users, wish_of(k, as_of, exclude, items, skip_unknown))

    @worded
    def recommend_to_new(
        self,
        histories: Mapping[Any, Sequence[Any]] | pl.DataFrame | str | Path,
        k: int = 20,
        *,
        as_of: AsOf = "test",
        exclude: Exclude = "seen",
        items: Any = None,
        skip_unknown: bool = False,
    ) -> pl.DataFrame:
        """Return the items that the model recommends to new users, by what they have interacted with.

        Args:
            histories: the items of each, in the order of time: a mapping `{user: [item, ...]}`, a frame with the
                columns `user` and `item`, or a file of interactions.
            k: the most items of a list.
            as_of: as for `recommend`; it matters to models that learn from other users' histories.
            exclude: as for `recommend`; "seen" is what is in the histories.
            items: as for `recommend`.
            skip_unknown: as for `recommend`.

        Raises:
            ConfigError: as by `recommend`, or the model cannot score new users.
            CheckpointError, DataError: as by `recommend`.
        """
        return self._trained.recommend_to_new(histories, wish_of(k, as_of, exclude, items, skip_unknown))

    @worded
    def similar_items(self, items: Any, k: int = 10) -> pl.DataFrame:
        """Return the items most similar to some, by the cosine of their vectors.

        For a model without vectors, they are those that it would recommend to a new user who has one item only.

        Args:
            items: original ids: one or several.
            k: the most entries of a list.

        Returns:
            A frame with the columns `item`, `similar` (original ids), `rank` (from 1) and `score`.

        Raises:
            ConfigError: ids are not known, or the model has nothing to compare by.
        """
        return self._trained.similar("item", items, k)

    @worded
    def similar_users(self, users: Any, k: int = 10) -> pl.DataFrame:
        """Return the users most similar to some; as `similar_items`."""
        return self._trained.similar("user", users, k)

    @worded
    def evaluate(self, split: Split = "test", **settings: Any) -> dict[str, Any]:
        """Evaluate the model, as `recrun eval` does; an evaluation on test is recorded in the run.

        Args:
            split: "valid" or "test".
            **settings: settings of evaluation, such as `monitors=["recall@5"]` or `groups=["activity:4"]`.

        Returns:
            The document of `recrun eval --json`: its "metrics" are the values by name, None where undefined.

        Raises:
            ConfigError: a setting is none of evaluation, or the split is empty.
            CheckpointError, DataError: the model or the data cannot be loaded.
        """
        from recrun.workflows.evaluate import evaluate

        trained = self._trained
        return evaluate(trained.path, {**trained.settings, **settings}, split=_checked(split), trust=trained.trust)

    @worded
    def resume(self, *, progress: bool = True, until: int | None = None, **settings: Any) -> Run:
        """Continue the run in this process, if there is something left to train, and return it.

        Args:
            progress: as for `recrun.train`.
            until: as for `recrun.train`.
            **settings: a larger number of `epochs`, or where and how it computes, such as `device`.

        Raises:
            ConfigError, CheckpointError, DataError: the run cannot be continued in this way.
            TrainingError: the run failed.
        """
        from recrun.notebook.fitting import fit
        from recrun.runs.resume import resolve_run
        from recrun.training.pause import Pause

        pause = Pause.read(until)
        trained = self._trained
        resolved = resolve_run(self._own, {**trained.settings, **settings}, trust=trained.trust)
        self._trained = TrainedModel(trained.path, trained.settings, trust=trained.trust)
        fit(resolved, run=self._own, progress=progress, pause=pause)
        return self

    def __fspath__(self) -> str:
        return str(self._where)

    def __repr__(self) -> str:
        if self._folder is None:
            return f"Run({self._shown!r}, a checkpoint outside of a run)"
        return f"Run({self._shown!r}, {summary_of(describe(str(self._where)))})"

    def _repr_html_(self) -> str | None:
        return None if self._folder is None else run_html(self._shown, describe(str(self._where)))

    @property
    def _shown(self) -> str:
        return near(self._where)

    @property
    def _own(self) -> RunFolder:
        """The folder of the run.

        Raises:
            CheckpointError: it is a checkpoint outside of a run.
        """
        if self._folder is None:
            raise CheckpointError(f"{self._shown} is a checkpoint outside of a run: only its model is known")
        return self._folder

    def _row(self) -> dict[str, Any]:
        row = describe(str(self._own.path))
        if row["status"] == DAMAGED:
            raise CheckpointError(str(row["cause"]))
        return row


def _checked(split: str) -> str:
    """Return a split that can be evaluated; anything else is a ConfigError."""
    if split not in SPLITS:
        raise ConfigError(Fault(unknown("split", str(split), SPLITS), "split"))
    return split
