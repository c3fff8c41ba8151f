"""Read what a run folder holds, which may come from a stranger: bounded, of regular files, and through no link.

A run folder holds files and folders of its own. A link in it could have recrun read, write or delete outside of it, and
a FIFO could have it wait for ever, so a folder with either is refused as a whole.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.files import from_json, read_regular

SCHEMA_VERSION: Final = 1
MAX_JSON: Final = 16 << 20
"""The most bytes of run.json or metrics.json."""
MAX_LINES: Final = 1 << 32
"""The most bytes of metrics.jsonl: millions of epochs."""
CHECKPOINT_FILE: Final = "checkpoint.safetensors"
IDS_FILE: Final = "ids.safetensors"
FILES: Final = (
    *("config.yaml", "run.json", "log.txt", "metrics.jsonl", "metrics.json", IDS_FILE),
    *(".lock", ".record-lock"),
)
"""The files of a run that lie in its folder itself."""
FOLDERS: Final = ("checkpoints", "summary", "per_user", "track")
"""The folders of a run."""
OF_USERS: Final = ("valid.parquet", "test.parquet", "groups.parquet")
"""The files of `per_user`."""
_LINES: Final = "metrics.jsonl"
_ADDED_TO: Final = (_LINES, "log.txt")
_OWN: Final = (CHECKPOINT_FILE, "SUMMARY.md", "events.out.tfevents.", *OF_USERS, ".")


def refuse_foreign(folder: str | Path, *, thorough: bool = True) -> None:
    """Refuse a run folder in which a link, FIFO, device or folder is in place of a file, or a file of a folder.

    The folder itself may be reached through links.

    Args:
        folder: the run's folder.
        thorough: whether files beside the checkpoints are looked at as well, as before anything is written there.

    Raises:
        CheckpointError: it is such a folder, or cannot be read.
    """
    path = str(folder)
    try:
        problem = _foreign(path, thorough)
    except OSError as error:
        raise CheckpointError(f"cannot read the run {folder}: {error.strerror}: {error.filename}") from None
    if problem:
        raise CheckpointError(f"the run {folder} is damaged: {problem}; a run has only files and folders of its own")


def refuse_other_names(folder: str | Path) -> None:
    """Refuse to train in a run folder if a file that training adds to is also in another place, by a hard link.

    All other files are replaced as a whole, which leaves what has their other name as it is.

    Raises:
        CheckpointError: there is such a file.
    """
    for name in _ADDED_TO:
        with suppress(FileNotFoundError):
            if os.lstat(f"{folder}/{name}").st_nlink > 1:
                problem = f"its {name} has another name elsewhere (a hard link), and would change there as well"
                raise CheckpointError(f"cannot train the run {folder}: {problem}; copy the run, and train the copy")


def has_record(folder: str | Path) -> bool:
    """Return whether there is anything called run.json in a folder.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    try:
        return _mode(f"{folder}/run.json") is not None
    except NotADirectoryError:
        return False
    except OSError as error:
        raise CheckpointError(f"cannot read the run {folder}: {error.strerror}: {error.filename}") from None


def _foreign(folder: str, thorough: bool) -> str:
    """Return what is wrong with the first place that is not what a run has there, or ""."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in FILES:
                if not entry.is_file(follow_symlinks=False):
                    return _wrong(name, entry.is_symlink(), "regular file")
                if name == _LINES and entry.stat(follow_symlinks=False).st_size > MAX_LINES:
                    return f"{name} has more than {MAX_LINES:,} bytes"
            elif name in FOLDERS:
                if not entry.is_dir(follow_symlinks=False):
                    return _wrong(name, entry.is_symlink(), "folder")
                folders.append(name)
            elif entry.is_symlink():
                return _wrong(name, True, "")
    problem = ""
    for name in ("summary", "per_user", "track"):
        if name in folders:
            problem = problem or _foreign_within(folder, name)
    if "checkpoints" in folders:
        for which in ("checkpoints/last", "checkpoints/best"):
            mode = _mode(f"{folder}/{which}")
            if mode is not None and not stat.S_ISDIR(mode):
                return _wrong(which, stat.S_ISLNK(mode), "folder")
            if thorough and mode is not None:
                problem = problem or _foreign_within(folder, which)
            if (mode := _mode(f"{folder}/{which}/{CHECKPOINT_FILE}")) is not None and not stat.S_ISREG(mode):
                return _wrong(f"{which}/{CHECKPOINT_FILE}", stat.S_ISLNK(mode), "regular file")
    return problem


def _foreign_within(folder: str, inner: str) -> str:
    """Return the first thing in a folder of a run that is neither a regular file nor some folder of the user's."""
    with os.scandir(f"{folder}/{inner}") as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                continue
            if not entry.is_dir(follow_symlinks=False) or entry.name.startswith(_OWN):
                return _wrong(f"{inner}/{entry.name}", entry.is_symlink(), "regular file")
    return ""


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _wrong(name: str, is_link: bool, wanted: str) -> str:
    return f"{name} is a symbolic link" if is_link else f"{name} is not a {wanted}"


def read_json(path: str | Path) -> dict[str, Any]:
    """Return a JSON object that recrun wrote.

    Raises:
        CheckpointError: the file is missing, is a link or no regular file, is too large, or does not hold a JSON object
            with finite numbers.
    """
    document = read_json_if_there(path)
    if document is None:
        raise CheckpointError(f"cannot read {path}: {os.strerror(errno.ENOENT)}")
    return document


def read_json_if_there(path: str | Path) -> dict[str, Any] | None:
    """Return a JSON object that recrun wrote, or None if there is no such file; otherwise as `read_json`."""
    try:
        document = from_json(read_regular(path, limit=MAX_JSON, follow=False).decode("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise CheckpointError(f"{path} is damaged: it is not JSON") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is damaged: expected a JSON object")
    return document


def check_schema(document: Mapping[str, Any], path: str | Path) -> None:
    """Refuse the content of a run.json that is damaged, or written by a newer version of recrun.

    Raises:
        CheckpointError: it is.
    """
    schema = document.get("schema_version")
    if not isinstance(schema, int):
        raise CheckpointError(f"{path} is damaged: it has no schema_version")
    if schema > SCHEMA_VERSION:
        message = f"has schema {schema}; this version of recrun reads up to {SCHEMA_VERSION}: upgrade recrun"
        raise CheckpointError(f"{path} {message}")
