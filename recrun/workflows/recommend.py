"""Recommend items to users with the model of a run, and find similar items or users."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recrun.config.family import can_score_new_users, without_new_users
from recrun.errors import ConfigError
from recrun.evaluation.top_lists import Lists
from recrun.recommendation.frames import Framer, write_frames, writer_for
from recrun.recommendation.recommender import AsOf, Recommender
from recrun.recommendation.targets import Targets, excluded_pairs, find_all, known_users, new_users, others_than
from recrun.runs.contents import contents_of
from recrun.workflows.load import Loaded
from recrun.workflows.recommender import open_recommender

if TYPE_CHECKING:
    import polars as pl

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be recommended, and to whom.

    Args:
        users: "all" users of the data, original ids, or a file that lists ids.
        histories: a file of interactions of new users, who take the place of `users`.
        k: the most items of a list.
        exclude: what is left out; see `recrun.recommendation.targets.excluded_pairs`.
        items: original ids of the items that may be recommended, or a file that lists them; None for all.
        as_of: which interactions of the data are known; see `Recommender`.
        skip_unknown: leave out ids that are not known, instead of refusing them.
        scores: whether scores are written.
    """

    users: Literal["all"] | Sequence[Any] | Path = "all"
    histories: Path | None = None
    k: int = 20
    exclude: Sequence[str] = ("seen",)
    items: Sequence[Any] | Path | None = None
    as_of: AsOf = "test"
    skip_unknown: bool = False
    scores: bool = True


@dataclass(frozen=True)
class Recommendations:
    """Recommendations that are computed as they are read.

    Args:
        loaded: the model.
        recommender: what ranks.
        wish: what was asked for.
        targets: whom they are for.
        notes: what a user should know.
        lists: yields the lists, block by block, in the order of the targets; can be called again.
    """

    loaded: Loaded
    recommender: Recommender
    wish: Wish
    targets: Targets
    notes: Sequence[str]
    lists: Callable[[], Iterator[Lists]]

    def frames(self, progress: Progress | None = None) -> Iterator[pl.DataFrame]:
        """Yield tables of original ids, block by block.

        Args:
            progress: is called with the number of users done, and of all, after each block.
        """
        framer = Framer(self.targets.names, self.recommender.items.ids, scores=self.wish.scores)
        done = 0
        for block in self.lists():
            yield framer(block)
            done += len(block.users_B)
            if progress is not None:
                progress(done, len(self.targets))

    def head(self) -> dict[str, Any]:
        """Return what the documents of `recrun recommend` begin with."""
        run = self.loaded.run
        return {
            "run": None if run is None else str(run.path),
            "checkpoint": str(self.loaded.file),
            "as_of": self.wish.as_of,
            "k": self.wish.k,
            "users": len(self.targets),
        }

    def document(self, progress: Progress | None = None) -> dict[str, Any]:
        """Return the lists as the document of `recrun recommend --json`."""
        lists: list[dict[str, Any]] = []
        for frame in self.frames(progress):
            for (user,), rows in frame.group_by("user", maintain_order=True):
                entry = {"user": user, "items": rows["item"].to_list()}
                lists.append(entry | ({"scores": rows["score"].to_list()} if self.wish.scores else {}))
        return {**self.head(), "notes": self._notes_on(len(lists)), "recommendations": lists}

    def write(self, path: Path, progress: Progress | None = None) -> dict[str, Any]:
        """Write the lists to a file, and return the document of `recrun recommend --to --json`."""
        n_rows = n_listed = 0

        def counted() -> Iterator[pl.DataFrame]:
            nonlocal n_rows, n_listed
            for frame in self.frames(progress):
                n_rows += len(frame)
                n_listed += frame["user"].n_unique()
                yield frame

        write_frames(path, counted())
        return {**self.head(), "notes": self._notes_on(n_listed), "to": str(path), "rows": n_rows}

    def _notes_on(self, n_listed: int) -> list[str]:
        """Return the notes, with one on users for whom nothing is left."""
        empty = len(self.targets) - n_listed
        return [*self.notes, *([f"no item is left for {empty:,} of the users; they have no list"] if empty else [])]


def recommend(
    path: str | Path,
    wish: Wish,
    overrides: Sequence[str] = (),
    *,
    to: Path | None = None,
    trust: bool = False,
) -> Recommendations:
    """Prepare recommendations: load the model, and find the users and items that are meant.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        wish: what is to be recommended.
        overrides: `KEY=VALUE` for the settings in `recrun.config.settings.OF_USE`.
        to: the file that they will be written to, whose extension is checked before anything is loaded.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Raises:
        CheckpointError, DataError, ConfigError: the model cannot be loaded, ids are not known, no lists can be made, or
            the file to write is one that is read, or one of the run's own.
    """
    if to is not None:
        writer_for(to)
        _refuse_to_replace(to, _files_of_wish(wish))
    recommender, loaded = open_recommender(path, overrides, as_of=wish.as_of, trust=trust)
    if to is not None:
        _refuse_to_replace(to, _files_of_model(loaded, recommender.base))
    skip = wish.skip_unknown
    if wish.histories is not None:
        model = loaded.resolved.components["model"]
        if not can_score_new_users(model):
            raise ConfigError(f"--histories: {without_new_users(model.name)}")
        targets = new_users(recommender, wish.histories, skip_unknown=skip)
    else:
        targets = known_users(recommender, wish.users, skip_unknown=skip)
    return lists_for(loaded, recommender, targets, wish)


def _files_of_wish(wish: Wish) -> Iterator[tuple[str, Path]]:
    """Yield the files that a wish names, each with what it is."""
    for name, value in (("--users", wish.users), ("--histories", wish.histories), ("--items", wish.items)):
        if isinstance(value, Path):
            yield f"the file of {name}", value
    yield from (("the file of --exclude", Path(each)) for each in wish.exclude if each not in ("seen", "none"))


def _files_of_model(loaded: Loaded, base: Any) -> Iterator[tuple[str, Path]]:
    """Yield the files of the data, and those of the run, each with what it is."""
    yield "the checkpoint", loaded.file
    yield from (("a file of the data", file) for file in base.files.values())
    if loaded.run is not None:
        yield from (("a file of the run", loaded.run.path / name) for name in contents_of(loaded.run.path, "run").files)


def _refuse_to_replace(to: Path, files: Iterable[tuple[str, Path]]) -> None:
    """Refuse to write over a file that is needed.

    Raises:
        ConfigError: the file to write is one of these.
    """
    if not os.path.exists(to):
        return
    for what, file in files:
        if os.path.exists(file) and os.path.samefile(to, file):
            raise ConfigError(f"--to {to}: it is {what}, which would be lost; name another file")


def lists_for(loaded: Loaded, recommender: Recommender, targets: Targets, wish: Wish) -> Recommendations:
    """Return the recommendations of a loaded model for users that were found before.

    Raises:
        ConfigError, DataError: what is to be left out is not known, or nothing is left to recommend.
    """
    skip = wish.skip_unknown
    excluded, barred, notes = excluded_pairs(recommender, targets, wish.exclude, skip_unknown=skip)
    if wish.items is not None:
        others, more = others_than(recommender, wish.items, skip_unknown=skip)
        barred = others if barred is None else np.union1d(others, barred)
        notes += more
    if barred is not None and len(barred) == recommender.n_items:
        raise ConfigError("no item is left to recommend: all are excluded, or not among those of --items")

    if not loaded.protocol_of_run.ranks_all:
        notes.append("the evaluations of this run rank a few candidates for each user; these lists rank all items")
    if not loaded.protocol_of_run.masks_seen and "seen" in wish.exclude:
        notes.append("the evaluations of this run rank seen items too; these lists leave them out (--exclude none)")

    def lists() -> Iterator[Lists]:
        if targets.histories is not None:
            return recommender.recommend_to_new(targets.histories, wish.k, excluded=excluded, barred=barred)
        return recommender.recommend(targets.rows, wish.k, excluded=excluded, barred=barred)

    return Recommendations(loaded, recommender, wish, targets, [*targets.notes, *notes], lists)


def similar(
    path: str | Path,
    ids: Sequence[str],
    kind: Literal["item", "user"],
    k: int,
    overrides: Sequence[str] = (),
    *,
    skip_unknown: bool = False,
    trust: bool = False,
) -> dict[str, Any]:
    """Return the items (or users) that are most similar to some, by original ids.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        ids: original ids of items (or users).
        kind: "item" or "user".
        k: the most entries of a list.
        overrides: `KEY=VALUE` for the settings in `recrun.config.settings.OF_USE`.
        skip_unknown: leave out ids that are not known, instead of refusing them.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Returns:
        The document of `recrun similar --json`.

    Raises:
        CheckpointError, DataError, ConfigError: as `recommend`, or the model has nothing to compare by.
    """
    recommender, loaded = open_recommender(path, overrides, as_of="end", trust=trust)
    known = recommender.items if kind == "item" else recommender.users
    places, notes = find_all(known, list(dict.fromkeys(ids)), skip_unknown=skip_unknown)
    find = recommender.similar_items if kind == "item" else recommender.similar_users
    found: list[dict[str, Any]] = []
    for block in find(places, k):
        for items_K, scores_K in zip(block.items_BK, block.scores_BK, strict=True):
            filled = items_K >= 0
            found.append(
                {
                    kind: known.originals(places[len(found)]).tolist(),
                    "similar": known.originals(items_K[filled]).tolist(),
                    "scores": scores_K[filled].tolist(),
                }
            )
    return {
        "run": None if loaded.run is None else str(loaded.run.path),
        "checkpoint": str(loaded.file),
        "by": recommender.similarity(kind),
        "notes": notes,
        "similar": found,
    }
