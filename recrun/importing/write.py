"""Check a draft, and write it as a config, with the command of the sweep that it stands for."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any, Final

from recrun.config.reading import Given
from recrun.config.resolve import resolve_given
from recrun.config.yaml_writer import dump_mapping, dump_value
from recrun.errors import ConfigError, Fault
from recrun.importing.data_files import not_taken
from recrun.importing.draft import Draft, Line
from recrun.visible import visible

_DATA: Final = (
    *("root", "dataset", "path", "train_path", "valid_path", "test_path", "format", "separator", "header", "encoding"),
    *("user_column", "item_column", "rating_column", "time_column", "filter", "rating_threshold", "duplicates"),
    *("min_user_interactions", "min_item_interactions"),
    *("split", "n_held_out", "n_folds", "test_fold", "test_ratio", "valid_ratio", "valid_from", "split_seed"),
)
_LAST: Final = (
    *("monitors", "which4best", "eval_freq", "early_stop_patience", "eval_valid", "eval_test"),
    *(
        "candidates",
        "candidates_by",
        "candidates_seed",
        "mask_seen",
        "device",
        "precision",
        "track",
        "track_project",
        "seed",
    ),
)
_OF_SPLIT: Final = ("split", "n_held_out", "n_folds", "test_fold", "test_ratio", "split_seed", "valid_ratio")
_AT_RANDOM: Final = ("ratio", "k_fold")
"""Splits that a model of sequences takes only with shuffled_time."""
_FIRST: Final = ("description", *_DATA, "model", "loss")


def check(draft: Draft, source: str) -> list[str]:
    """Check that the settings are a config that can be run; settings that the chosen data does not have are taken out.

    Args:
        draft: the config in the making.
        source: the file that it is from.

    Returns:
        What a user should know about the settings.

    Raises:
        ConfigError: with every fault, at the key there that it comes from.
    """
    for setting in not_taken(draft.settings):
        draft.take_back(setting, f"is no setting of {draft.settings['dataset']}")
    if "train_path" in draft.settings:
        given = _OF_SPLIT if "valid_path" in draft.settings else _OF_SPLIT[:-1]
        for setting in [each for each in given if each in draft.settings]:
            draft.take_back(setting, "does not apply: the parts are given")
    if draft.settings.get("valid_ratio") == 0 and "early_stop_patience" in draft.settings:
        draft.take_back("early_stop_patience", "needs a validation part, and there is none")
    if draft.reads_histories and draft.settings.get("split") in _AT_RANDOM:
        draft.settings["shuffled_time"] = True
        draft.differences.append("shuffled_time: histories may hold items from after the held-out ones, there and here")
    notes = _resolved(draft, source, {})
    for axis, values in draft.axes.items():
        for value in values[1:]:
            _resolved(draft, source, {axis: value})
    return notes


def _resolved(draft: Draft, source: str, changed: dict[str, Any]) -> list[str]:
    given = {
        setting: Given(value, origin.value_place if (origin := draft.origins.get(setting)) is not None else None)
        for setting, value in (draft.settings | changed).items()
    }
    try:
        return list(resolve_given(given, source).notes)
    except ConfigError as error:
        raise ConfigError([_there(fault, draft) for fault in error.faults]) from None


def _there(fault: Fault, draft: Draft) -> Fault:
    """Return a fault of a setting as one of the key that it is from."""
    origin = draft.origins.get(fault.key)
    if origin is None or origin.name == fault.key:
        return fault
    return replace(fault, key=origin.name, message=f"as {fault.key} here: {fault.message}")


def config_text(draft: Draft, model: str, source: str) -> str:
    """Return a config as YAML, with a comment that says where it is from and what it leaves out.

    Args:
        draft: the config.
        model: the model that it is of, as it is called there.
        source: the file that it is from.
    """
    settings = draft.settings
    last = [key for key in _LAST if key in settings]
    first = [key for key in _FIRST if key in settings]
    middle = [key for key in settings if key not in {*first, *last}]
    head = [f"{model} of {draft.program}, imported from {source}."]
    if draft.not_mapped:
        head.append("Without a counterpart here:")
        head += list(dict.fromkeys(f"  {_key_and_value(line)}" for line in draft.not_mapped))
    if draft.axes:
        head.append(f"Values to try are given to a sweep: {', '.join(draft.axes)}.")
    comment = "".join(f"# {_comment(line)}\n" for line in head)
    parts = ({key: settings[key] for key in keys} for keys in (first, middle, last) if keys)
    return f"{comment}\n" + "\n".join(map(dump_mapping, parts))


def _key_and_value(line: Line) -> str:
    document = line.document()
    if line.entry.place is None:
        return f"{document['key']} ({dump_value(document['value'])} by default)"
    return f"{document['key']}: {dump_value(document['value'])}"


def _comment(text: str) -> str:
    line = visible(" ".join(text.split())) if not text.startswith("  ") else f"  {visible(' '.join(text.split()))}"
    return line if len(line) <= 116 else f"{line[:113]}..."


def sweep_command(draft: Draft, path: str) -> str | None:
    """Return the command that tries the values of a config's axes, or None if it has none.

    Where there is no validation part, one is asked for: a sweep chooses by it.

    Args:
        draft: the config.
        path: where it is written.
    """
    if not draft.axes:
        return None
    arguments = [f"{key}={','.join(_argument(value) for value in values)}" for key, values in draft.axes.items()]
    if draft.settings.get("valid_ratio") == 0 and not set(draft.axes) <= {"test_fold", "split_seed", "seed"}:
        arguments.append("valid_ratio=0.1")
    return " ".join(["recrun sweep", *map(shlex.quote, [path, *arguments])])


def _argument(value: Any) -> str:
    return dump_value(value).replace(", ", ",")
