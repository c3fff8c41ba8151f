"""Find the command that trains a run again: the config that it is of, and what was set besides."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from recrun.config.expected import Expected
from recrun.config.find import bundled_config, bundled_configs
from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import result_identity
from recrun.config.yaml_writer import dump_value
from recrun.errors import CheckpointError, RecrunError
from recrun.registry.user_files import is_file_reference
from recrun.runs.records import read_json
from recrun.sweep.points import REPEATS
from recrun.sweep.storage import LEDGER

REPORTED: Final = ("monitors", "eval_test")
"""Settings that say what is reported, not what is trained."""
_CONFIGS: Final = "configs/"
_MANY: Final = 30
"""Of more overrides, those that follow from others are kept: finding them would take seconds."""


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Args:
        config: the config, as `recrun train` takes it; None if none was found.
        overrides: what was set besides, as `KEY=VALUE`, without the settings that draw the same experiment again.
        published: the published values of the config, if nothing that is computed was set besides.
        repeats: the seed of the config, and what else draws the experiment again.
    """

    config: str | None
    overrides: tuple[str, ...] = ()
    published: tuple[Expected, ...] = ()
    repeats: Mapping[str, Any] = field(default_factory=dict)


def origin_of(settings: Mapping[str, Any], argv: Sequence[str], folder: str) -> Origin:
    """Return the config and the overrides of a run.

    The config that its command names is tried first, then those that come with recrun and need no override.

    Args:
        settings: the run's config.
        argv: the command line that started it.
        folder: the folder in which that was given.
    """
    wanted = _identity(settings)
    for name in _named(argv, folder):
        overrides = _overrides(name, settings, wanted)
        if overrides is not None:
            return _origin(name, overrides)
    for name, path in bundled_configs().items():
        if _may_be(name, path, settings) and _gives(name, (), wanted):
            return _origin(name, [])
    return Origin(None)


def _origin(name: str, overrides: Sequence[str]) -> Origin:
    resolved = _resolved(name)
    computes_other = any(each.partition("=")[0] not in REPORTED for each in overrides)
    expected = () if resolved is None or computes_other else resolved.expected
    shown = f"{_CONFIGS}{name}.yaml" if bundled_config(name) is not None and not os.path.isfile(name) else name
    settings = {} if resolved is None else resolved.config
    repeats = {key: settings[key] for key in REPEATS if key in settings}
    return Origin(shown, tuple(overrides), tuple(each for each in expected if each.origin == "published"), repeats)


def _named(argv: Sequence[str], folder: str) -> Iterator[str]:
    """Yield the config that a command names, as it is found from here; that of the sweep for one of its trials."""
    words = [word for word in argv[2:] if not word.startswith("-")]
    if list(argv[1:2]) != ["train"] or not words or "=" in words[0]:
        return
    written = words[0]
    file = os.path.join(folder, written)
    if os.path.basename(os.path.dirname(file)) == "trials":
        written = _config_of_sweep(Path(file).parent.parent / LEDGER, Path(file).stem) or written
        file = os.path.join(folder, written)
    for name, path in bundled_configs().items():
        if name == written.removeprefix(_CONFIGS).removesuffix(".yaml") or os.path.realpath(file) == str(path):
            yield name
    shorter = os.path.relpath(file)
    if os.path.isfile(shorter) and not shorter.startswith(os.pardir):
        yield shorter


def _config_of_sweep(ledger: Path, trial: str) -> str | None:
    """Return the file of the config that a trial is of, or what that is called; None if it cannot be told.

    Args:
        ledger: the sweep.json.
        trial: the number of the trial.
    """
    try:
        document = read_json(ledger)
    except CheckpointError:
        return None
    trials, files = document.get("trials"), document.get("configs")
    known = [each for each in trials if isinstance(each, dict)] if isinstance(trials, list) else []
    named = next((each.get("config") for each in known if str(each.get("trial")) == trial), None)
    if named is None:
        points = document.get("points")
        first = points[0] if isinstance(points, list) and points else None
        named = first.get("config") if isinstance(first, dict) else None
    file = files.get(named) if isinstance(files, dict) and isinstance(named, str) else None
    return next((each for each in (file, named) if isinstance(each, str)), None)


@cache
def _resolved(name: str, overrides: tuple[str, ...] = ()) -> Resolved | None:
    try:
        return resolve(name, overrides)
    except (RecrunError, OSError):
        return None


def _overrides(name: str, settings: Mapping[str, Any], wanted: Mapping[str, str]) -> list[str] | None:
    """Return what must be set besides a config to train a run again, or None if the result would be another run."""
    resolved = _resolved(name)
    if resolved is None:
        return None
    before = _identity(resolved.config)
    changed = [key for key in wanted if before.get(key) != wanted[key]]
    # Settings that only another data set or model has are as they are by default, for the most part.
    few = [key for key in changed if key in resolved.config]
    for keys in (few, [*few, *(key for key in changed if key not in few)]):
        texts = [f"{key}={_text(settings[key])}" for key in keys]
        if _gives(name, texts, wanted):
            return _needed(name, texts, wanted)
    return None


def _gives(name: str, overrides: Sequence[str], wanted: Mapping[str, str]) -> bool:
    """Return whether a config with overrides has the settings of a run.

    Settings that recrun did not have when the run was made do not count, where they are as they are by default.
    """
    again = _resolved(name, tuple(overrides))
    if again is None:
        return False
    found = _identity(again.config)
    return (
        all(found.get(key) == text for key, text in wanted.items()) and not (found.keys() - wanted) & again.given.keys()
    )


def _needed(name: str, overrides: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    """Return the overrides without those that follow from the others."""
    needed = list(overrides)
    if len(needed) <= _MANY:
        for each in overrides[::-1]:
            without = [other for other in needed if other != each]
            needed = without if _gives(name, without, wanted) else needed
    return needed


def _identity(settings: Mapping[str, Any]) -> dict[str, str]:
    return {key: text for key, text in result_identity(settings).items() if key not in REPEATS}


def _may_be(name: str, path: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether a bundled config is of the model of a run, by its text: reading them all takes seconds."""
    text = path.read_text(encoding="utf-8")
    return str(settings.get("model")) in f"{name} {text}"


def _text(value: Any) -> str:
    """Return a value for a command line; files of the user's own below the working folder are relative to it."""
    if isinstance(value, str) and is_file_reference(value):
        path, _, attribute = value.rpartition(":")
        shorter = os.path.relpath(path)
        return value if shorter.startswith(os.pardir) else f"./{shorter}:{attribute}"
    return dump_value(value)
