"""The trained model of a run, loaded when it is first used, and what it recommends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Literal

from recrun.config.settings import OF_USE
from recrun.config.suggestions.keys import meant_setting
from recrun.errors import ConfigError, Fault, unknown
from recrun.notebook.wording import warn

if TYPE_CHECKING:
    import polars as pl

    from recrun.recommendation.recommender import AsOf, Recommender
    from recrun.recommendation.targets import Targets
    from recrun.workflows.load import Loaded
    from recrun.workflows.recommend import Wish

Exclude = str | Path | Sequence[str | Path] | None


class TrainedModel:
    """The model of a checkpoint, with the data that it was trained on.

    Args:
        path: a run folder, or a checkpoint.
        settings: where the data is and how the model computes, by key: those of `OF_USE`.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Raises:
        ConfigError: a setting is none of those.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, trust: bool = False) -> None:
        faults = [
            Fault(f"cannot be changed here; only {', '.join(OF_USE)} can", key, suggestion=meant_setting(key, OF_USE))
            for key in settings
            if key not in OF_USE
        ]
        if faults:
            raise ConfigError(faults)
        self.path, self.settings, self.trust = path, dict(settings), trust
        self._recommenders: dict[str, Recommender] = {}

    @cached_property
    def loaded(self) -> Loaded:
        """The model and the data.

        Raises:
            CheckpointError, DataError: they cannot be loaded.
        """
        from recrun.workflows.load import load

        loaded = load(self.path, self.settings, may_change=OF_USE, trust=self.trust)
        loaded.coach.model.eval()
        return loaded

    def recommender(self, as_of: AsOf) -> Recommender:
        """Return what recommends from what is known at some moment.

        Raises:
            ConfigError: there is no such moment, or the model ranks no items.
        """
        from recrun.recommendation.recommender import AS_OF
        from recrun.workflows.recommender import recommender_of

        if as_of not in AS_OF:
            raise ConfigError(Fault(unknown("moment", str(as_of), AS_OF), "as_of"))
        if as_of not in self._recommenders:
            self._recommenders.clear()  # a model of sequences holds the histories of one moment
            self._recommenders[as_of] = recommender_of(self.loaded, as_of)
        return self._recommenders[as_of]

    def recommend(self, users: Any, wish: Wish) -> pl.DataFrame:
        """Return the lists of users of the data as a frame."""
        from recrun.recommendation.targets import known_users

        recommender = self.recommender(wish.as_of)
        wanted: Any = "all" if users is None else ids_of(users)
        return self._lists(known_users(recommender, wanted, skip_unknown=wish.skip_unknown), wish)

    def recommend_to_new(self, histories: Any, wish: Wish) -> pl.DataFrame:
        """Return the lists of new users as a frame."""
        from recrun.recommendation.targets import new_users, told_users

        recommender, skip = self.recommender(wish.as_of), wish.skip_unknown
        if isinstance(histories, (str, Path)):
            return self._lists(new_users(recommender, Path(histories), skip_unknown=skip), wish)
        if isinstance(histories, Mapping):
            told = {user: _history(user, items) for user, items in histories.items()}
        else:
            told = _histories_in(histories)
        return self._lists(told_users(recommender, told, skip_unknown=skip), wish)

    def similar(self, kind: Literal["item", "user"], ids: Any, k: int) -> pl.DataFrame:
        """Return the items (or users) most similar to some as a frame."""
        from recrun.recommendation.frames import Framer
        from recrun.recommendation.targets import find_all

        recommender = self.recommender("end")
        known = recommender.items if kind == "item" else recommender.users
        places, _ = find_all(known, ids_of(ids))
        find = recommender.similar_items if kind == "item" else recommender.similar_users
        framer = Framer(known.originals(places), known.ids, columns=(kind, "similar"))
        return _joined(map(framer, find(places, count(k))))

    def _lists(self, targets: Targets, wish: Wish) -> pl.DataFrame:
        from recrun.workflows.recommend import lists_for

        found = lists_for(self.loaded, self.recommender(wish.as_of), targets, wish)
        warn(found.notes)
        return _joined(found.frames())


def wish_of(k: int, as_of: AsOf, exclude: Exclude, items: Any, skip_unknown: bool) -> Wish:
    """Return what is to be recommended, as `recrun.workflows.recommend` takes it.

    Raises:
        ConfigError: k is no number of items.
    """
    from recrun.workflows.recommend import Wish

    files = [] if exclude is None else [exclude] if isinstance(exclude, (str, Path)) else list(exclude)
    return Wish(
        k=count(k),
        as_of=as_of,
        exclude=[str(each) for each in files] or ("none",),
        items=None if items is None else ids_of(items),
        skip_unknown=skip_unknown,
    )


def count(k: Any) -> int:
    """Return a number of ranks.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(k, bool) or not hasattr(k, "__index__") or k < 1:
        raise ConfigError(Fault(f"expected an integer >= 1, found {k!r}", "k"))
    return int(k)


def ids_of(wanted: Any) -> Any:
    """Return original ids as a list, of one or several; a path stays what it is, a file that lists them.

    Raises:
        ConfigError: one of them is bytes, or several in one place.
    """
    if isinstance(wanted, Path):
        return wanted
    if isinstance(wanted, (str, int, bytes)) or not hasattr(wanted, "__iter__"):
        wanted = [wanted]
    found = []
    for each in wanted:
        if hasattr(each, "__iter__") and not isinstance(each, str):
            raise ConfigError(f"an id is a text or a number, found {shortened(each)} of type {type(each).__name__}")
        found.append(each.item() if type(each).__module__ == "numpy" else each)
    return found


def _history(user: Any, items: Any) -> list[Any]:
    """Return a user's items as a list.

    Raises:
        ConfigError: they are no list of ids.
    """
    if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        message = f"the history of {user}: expected a list of items, found {shortened(items)}"
        raise ConfigError(Fault(message, "histories"))
    found: list[Any] = ids_of(items)
    return found


def _histories_in(frame: Any) -> dict[Any, list[Any]]:
    """Return the items of each user in a frame of polars, or another with such columns, by its rows or its times.

    Raises:
        ConfigError: it has no columns of users and items.
    """
    columns = list(getattr(frame, "columns", ()))
    missing = [name for name in ("user", "item") if name not in columns]
    if missing:
        found = f"columns {', '.join(map(str, columns))}" if columns else f"a {type(frame).__name__}"
        message = f"expected {{user: [item, ...]}}, or a frame with the columns user and item, found {found}"
        raise ConfigError(Fault(message, "histories"))
    rows = list(zip(frame["user"], frame["item"], strict=True))
    histories: dict[Any, list[Any]] = {user: [] for user, _ in rows}
    if "timestamp" in columns:
        times = list(frame["timestamp"])
        rows = [rows[place] for place in sorted(range(len(rows)), key=times.__getitem__)]
    for user, item in rows:
        histories[user].append(item)
    return histories


def _joined(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(list(frames))
