"""Read what a run folder holds, which may come from a stranger: bounded, of regular files, and through no link.

A run folder holds files and folders of its own. A link in it could have recrun read, write or delete outside of it, and
a FIFO could have it wait for ever, so a folder with either is refused as a whole.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.files import from_json, read_regular

SCHEMA_VERSION: Final = 1
MAX_JSON: Final = 16 << 20
"""The most bytes of run.json or metrics.json."""
MAX_LINES: Final = 1 << 30
"""The most bytes of metrics.jsonl: millions of epochs."""
_FILES: Final = frozenset(
    ("config.yaml", "run.json", "log.txt", "metrics.jsonl", "metrics.json", ".lock", ".record-lock")
)
_FOLDERS: Final = ("checkpoints", "summary")
_WITHIN: Final = ("checkpoints", "checkpoints/last", "checkpoints/best", "summary")
_OWN: Final = ("checkpoint.safetensors", "SUMMARY.md", "events.out.tfevents.")


def refuse_foreign(folder: str | Path) -> None:
    """Refuse a run folder in which a link, FIFO, device or folder is in place of a file, or a file of a folder.

    The folder itself may be reached through links.

    Raises:
        CheckpointError: it is such a folder, or cannot be read.
    """
    problem = _foreign(str(folder))
    if problem:
        raise CheckpointError(f"the run {folder} is damaged: {problem}; a run has only files and folders of its own")


def _foreign(folder: str) -> str:
    """Return what is wrong with the first place that is not what a run has there, or ""."""
    found = _kinds(folder)
    if isinstance(found, str):
        return found
    for name, kind in found.items():
        wanted = "file" if name in _FILES else "folder" if name in _FOLDERS else kind
        if kind != wanted:
            return _wrong(name, kind, wanted)
    if found.get("metrics.jsonl") and os.stat(f"{folder}/metrics.jsonl").st_size > MAX_LINES:
        return f"metrics.jsonl has more than {MAX_LINES:,} bytes"
    for inner in _WITHIN:
        if inner in _FOLDERS and inner not in found:
            continue
        inside = _kinds(f"{folder}/{inner}")
        if isinstance(inside, str):
            return f"{inner} {inside}"
        for name, kind in inside.items():
            wanted = "folder" if inner == "checkpoints" and name in ("last", "best") else "file"
            if kind != wanted and (kind != "folder" or wanted == "folder" or name.startswith(_OWN)):
                return _wrong(f"{inner}/{name}", kind, wanted)
    return ""


def _wrong(name: str, kind: str, wanted: str) -> str:
    is_what = "is a symbolic link" if kind == "link" else f"is not a {'regular file' if wanted == 'file' else 'folder'}"
    return f"{name} {is_what}"


def _kinds(folder: str) -> dict[str, str] | str:
    """Return "file", "folder", "link" or "other" for each name in a folder; or why it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: "file"
                if entry.is_file(follow_symlinks=False)
                else "folder"
                if entry.is_dir(follow_symlinks=False)
                else "link"
                if entry.is_symlink()
                else "other"
                for entry in entries
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        return f"cannot be read: {error.strerror}"


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
