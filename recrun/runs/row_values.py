"""Check the values that a list of runs shows, which may come from a stranger's run folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from recrun.errors import CheckpointError

_MAX_TEXT: Final = 10_000
"""Characters of a text, such as the cause of a failure."""
_MAX_LABEL: Final = 200
"""Characters of a status, a time, or a metric's name."""
_MAX_NUMBER: Final = 1 << 64
"""Larger integers are no setting and no count, and Python cannot turn the largest into floats or text."""
_MAX_DEPTH: Final = 4
_LABELS: Final = ("started", "which4best")
_DIGESTS: Final = ("data", "code")


def check_record(record: Mapping[str, Any], file: str) -> None:
    """Refuse a run.json whose values are not of the type that a row needs.

    Raises:
        CheckpointError: one is not; the message names it.
    """
    if not _is_label(record.get("status")):
        raise _damage(file, "status", "a short text")
    for key in _LABELS:
        if record.get(key) is not None and not _is_label(record[key]):
            raise _damage(file, key, "a short text")
    cause = record.get("cause")
    if cause is not None and not (isinstance(cause, str) and len(cause) <= _MAX_TEXT):
        raise _damage(file, "cause", "a text")
    ledger = record.get("test_evaluations")
    if ledger is not None and not (isinstance(ledger, list) and all(isinstance(entry, dict) for entry in ledger)):
        raise _damage(file, "test_evaluations", "a list of objects")
    for key in _DIGESTS:
        digests = record.get(key)
        if digests and not (isinstance(digests, dict) and all(type(each) is str for each in digests.values())):
            raise _damage(file, key, "an object of texts")


def check_settings(settings: Any, file: str) -> dict[str, Any]:
    """Return settings if they are what a config can hold.

    Raises:
        CheckpointError: they are not; the message names the setting.
    """
    if not isinstance(settings, dict):
        raise _damage(file, "settings", "an object")
    for key, value in settings.items():
        kind = type(value)
        if kind is bool or value is None or (kind is str and len(value) <= _MAX_TEXT):
            continue  # most settings, without the time that a call takes
        if (kind is int or kind is float) and -_MAX_NUMBER <= value <= _MAX_NUMBER:
            continue
        if not _is_setting(value):
            raise _damage(file, f"the setting {key[:_MAX_LABEL]}" if isinstance(key, str) else "a setting", "a value")
    return settings


def check_metrics(metrics: dict[str, Any], file: str) -> dict[str, Any]:
    """Return the content of metrics.json if its values are of the types that a row needs.

    Raises:
        CheckpointError: one is not; the message names it.
    """
    epoch = metrics.get("best_epoch")
    if epoch is not None and not (type(epoch) is int and abs(epoch) <= _MAX_NUMBER):
        raise _damage(file, "best_epoch", "an integer")
    for split in ("valid", "test"):
        values = metrics.get(split)
        if values is not None and not (isinstance(values, dict) and all(map(_is_metric, values.values()))):
            raise _damage(file, split, "an object of numbers")
    seconds = metrics.get("seconds")
    if seconds is not None and not (isinstance(seconds, dict) and all(map(_is_metric, seconds.values()))):
        raise _damage(file, "seconds", "an object of numbers")
    undefined = metrics.get("undefined")
    if undefined is not None and not (isinstance(undefined, dict) and all(map(_are_texts, undefined.values()))):
        raise _damage(file, "undefined", "an object of reasons by split and metric")
    if metrics.get("protocol") is not None and not isinstance(metrics["protocol"], dict):
        raise _damage(file, "protocol", "an object")
    if metrics.get("groups") is not None:
        _check_groups(metrics["groups"], file)
    return metrics


def _check_groups(groups: Any, file: str) -> None:
    """Refuse groups that are not as metrics.json has them: groupings by split and name, each with groups and gaps."""
    found = groups.values() if isinstance(groups, dict) else [None]
    groupings = [each for by_name in found for each in (by_name.values() if isinstance(by_name, dict) else [None])]
    for grouping in groupings:
        listed, gaps = (grouping.get("groups"), grouping.get("gaps")) if isinstance(grouping, dict) else (None, None)
        if not (isinstance(listed, list) and all(map(_is_group, listed))):
            raise _damage(file, "groups", "an object of groups by split and name, each with its numbers")
        if not (isinstance(gaps, dict) and all(map(_are_numbers, gaps.values()))):
            raise _damage(file, "groups", "an object of groups whose gaps are numbers")


def _is_group(group: Any) -> bool:
    if not (isinstance(group, dict) and isinstance(group.get("group"), str) and _are_numbers(group.get("metrics"))):
        return False
    return all(type(group[key]) is int for key in ("users", "items") if key in group)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, dict) and all(map(_is_metric, values.values()))


def _are_texts(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(each, str) and len(each) <= _MAX_TEXT for each in values.values()
    )


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_LABEL


def _is_metric(value: Any) -> bool:
    kind = type(value)
    return kind is float or value is None or (kind is int and abs(value) <= _MAX_NUMBER)


def _is_setting(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind is bool or value is None:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return len(value) <= _MAX_TEXT
    if kind is int:
        return bool(abs(value) <= _MAX_NUMBER)
    if depth == _MAX_DEPTH:
        return False
    if kind is dict:
        return all(isinstance(key, str) and _is_setting(inner, depth + 1) for key, inner in value.items())
    return kind is list and all(_is_setting(inner, depth + 1) for inner in value)


def _damage(file: str, key: str, wanted: str) -> CheckpointError:
    return CheckpointError(f"{file} is damaged: {key} is not {wanted}")
