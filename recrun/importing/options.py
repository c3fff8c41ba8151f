"""What a user says besides the config that is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recrun.config.reading import Place
from recrun.errors import ConfigError, Fault, nearest
from recrun.importing.draft import Draft, Line, Rule
from recrun.importing.yaml_tree import Entry


@dataclass(frozen=True)
class Options:
    """What a user says besides the config.

    Args:
        data: the folder of the data, in which its files have to be; None for what the config says, unchecked.
        model: the model that is meant, where a config has none or several.
        dataset: the data set that is meant, where a config has none.
    """

    data: str | None = None
    model: str | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class ModelMap:
    """How a model of another program becomes one of recrun.

    Args:
        name: the model here.
        keys: the rules of its own keys.
        defaults: the values there of keys that a config leaves out.
        sets: the settings here that no key stands for.
        differs: what differs between both models, whatever the keys say.
        rows: what a training row is there: "pairs" of a positive and a negative, "items" with a label each, "users",
            "histories", "prefixes" of them, or "none" for a model that is not trained by gradient descent.
    """

    name: str
    keys: Mapping[str, Rule] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    rows: str = "pairs"

    @property
    def reads_histories(self) -> bool:
        """Whether the model is one of sequences."""
        return self.rows in ("histories", "prefixes")


@dataclass(frozen=True)
class Found:
    """A model of a config: its name there, and its draft; or why it cannot be imported.

    Args:
        model: the name of the model there.
        draft: the config in the making; None if there is none.
        refusal: why, and where.
    """

    model: str
    draft: Draft | None = None
    refusal: Line | None = None


def given(key: str, value: str) -> Entry:
    """Return the entry that an option of the command line stands for."""
    return Entry((key,), value, Place(f"--{key}"), Place(f"--{key}"))


def start(draft: Draft, model: ModelMap) -> None:
    """Set what a model map sets in any case."""
    draft.settings |= {"model": model.name, **model.sets}
    draft.reads_histories = model.reads_histories
    draft.differences += model.differs


def merged(files: Sequence[Entry], draft: Draft) -> list[Entry]:
    """Return the entries of several files, of which a later one overrides an earlier one."""
    entries: dict[str, Entry] = {}
    for entry in (each for file in files for each in file):
        if entry.key in entries:
            where = f"{entry.place.file}:{entry.place.line}" if entry.place else "a later file"
            draft.skip(entries.pop(entry.key), f"overridden by {where}")
        entries[entry.key] = entry
    return list(entries.values())


def with_options(entries: Sequence[Entry], options: Options) -> dict[str, Entry]:
    """Return entries by key; the data set that the user names takes the place of the config's."""
    by_key = {entry.key: entry for entry in entries}
    return by_key if options.dataset is None else {**by_key, "dataset": given("dataset", options.dataset)}


def last_file(files: Sequence[Entry]) -> str:
    """Return the path of the last of several files."""
    place = files[-1].place
    return place.file if place is not None else ""


def look_up(
    name: str, models: Mapping[str, ModelMap], without: Mapping[str, str], program: str, entry: Entry
) -> ModelMap:
    """Return how a model becomes one here; case does not matter.

    Args:
        name: the model there.
        models: the models that have one here.
        without: models that have none, and why or what to do instead.
        program: the program.
        entry: where the model was named.

    Raises:
        ConfigError: there is none.
    """
    found = {each.lower(): model for each, model in models.items()}.get(name.lower())
    if found is not None:
        return found
    reason = {each.lower(): why for each, why in without.items()}.get(name.lower())
    near = nearest(name, models)
    hint = f"; near to it is {near} ({models[near].name} here)" if near else ""
    text = reason or f"there is no counterpart of {program}'s model {name!r} here{hint}"
    raise ConfigError(entry.fault(text) if entry.place else Fault(text))


def select(models: Sequence[Entry], wanted: str | None) -> Iterator[Entry]:
    """Yield the models of a config that is meant: all, or the one that the user names.

    Raises:
        ConfigError: there is none of that name.
    """
    if wanted is None:
        yield from models
        return
    found = [each for each in models if each.key.lower() == wanted.lower()]
    if not found:
        names = [each.key for each in models]
        near = nearest(wanted, names)
        message = f"--model {wanted}: the config has the models {', '.join(names)}"
        raise ConfigError(Fault(message, suggestion=near))
    yield from found
