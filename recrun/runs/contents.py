"""Know what recrun makes in the folder of a run or a sweep, and remove a folder that holds nothing else.

A folder may hold more: notes of its owner, a link, what another program wrote. Such a folder is left alone, so that
removing a run never costs anything else.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recrun.runs.records import CHECKPOINT_FILE, FILES, FOLDERS, OF_USERS

_ANY_CHECKPOINT: Final = r"checkpoints/(last|best)"
_TEMPORARY: Final = r"\.[^/]+\.tmp"
"""The temporary files of `recrun.files.atomic_write`."""


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


_FOLDERS_OF_RUN: Final = f"{_any_of(FOLDERS)}|{_ANY_CHECKPOINT}"
_FILES: Final = {
    "run": (
        _any_of(FILES),
        rf"{_ANY_CHECKPOINT}/({_any_of((CHECKPOINT_FILE,))}|\.superseded\.safetensors)",
        rf"per_user/({_any_of(OF_USERS)})",
        r"track/[^/]+\.json|track/\.[^/]+\.lock",
        r"summary/(SUMMARY\.md|curves\.(png|svg)|(train|valid|test)\w[\w.]*(@\w+)?\.png|events\.out\.tfevents\.[^/]+)",
        rf"(({_FOLDERS_OF_RUN})/)?{_TEMPORARY}",
    ),
    "sweep": (
        r"sweep\.json|sweep\.csv|final\.json|journal\.jsonl|lease\.json|\.lease-[0-9a-f]+|lock",
        r"trials/(final-[0-9a-f]+-)?[0-9]+\.(yaml|log|lock|run|floors\.json|job|exit)",
        rf"(trials/)?{_TEMPORARY}",
    ),
}
_FOLDERS: Final = {"run": _FOLDERS_OF_RUN, "sweep": "trials"}
_OWN_FILES: Final = {kind: re.compile("|".join(f"(?:{each})" for each in files)) for kind, files in _FILES.items()}
_OWN_FOLDERS: Final = {kind: re.compile(folders) for kind, folders in _FOLDERS.items()}
_REMOVED: Final = re.compile(r"\.removing-[0-9a-f]{8}")
"""The name of a folder that is being removed; nothing that is hidden is listed as a run."""


@dataclass(frozen=True)
class Contents:
    """What the folder of a run or a sweep holds.

    Args:
        files: recrun's own files, relative to the folder.
        folders: recrun's own folders likewise, each before those within it.
        size: the bytes of the files.
        foreign: anything else, relative to the folder; other folders are not looked into.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    size: int
    foreign: tuple[str, ...]


def contents_of(folder: str | Path, kind: str) -> Contents:
    """Return what a folder holds; links are followed nowhere, and what is removed meanwhile is left out.

    Args:
        folder: the folder.
        kind: "run" or "sweep".

    Raises:
        OSError: it, or a folder of its own within it, cannot be read.
    """
    files, folders, foreign, size = [], [], [], 0
    for path, entry in _walk(str(folder), kind):
        if entry.is_dir(follow_symlinks=False) and _OWN_FOLDERS[kind].fullmatch(path):
            folders.append(path)
        elif entry.is_file(follow_symlinks=False) and _OWN_FILES[kind].fullmatch(path):
            with suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_size
                files.append(path)
        else:
            foreign.append(path)
    return Contents(tuple(sorted(files)), tuple(folders), size, tuple(sorted(foreign)))


def _walk(folder: str, kind: str, within: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(os.path.join(folder, within)) as entries:
            found = list(entries)
    except FileNotFoundError:
        if not within:
            raise
        return
    for entry in found:
        path = f"{within}{entry.name}"
        yield path, entry
        if entry.is_dir(follow_symlinks=False) and _OWN_FOLDERS[kind].fullmatch(path):
            yield from _walk(folder, kind, f"{path}/")


def unwritable(folder: Path, contents: Contents) -> str | None:
    """Return the folder for which what is in a folder cannot be removed, nor it itself; None if all can be written."""
    inner = [folder / each for each in contents.folders]
    is_effective = os.access in os.supports_effective_ids
    for each in (folder.parent, folder, *inner):
        if os.path.lexists(each) and not os.access(each, os.W_OK | os.X_OK, effective_ids=is_effective):
            return str(each)
    return None


def set_aside(folder: Path) -> Path:
    """Rename a folder so that nothing lists it any more, and return its new path.

    Raises:
        OSError: it cannot be renamed.
    """
    hidden = folder.parent / f".removing-{secrets.token_hex(4)}"
    folder.rename(hidden)
    return hidden


def is_set_aside(entry: os.DirEntry[str]) -> bool:
    """Return whether a folder was set aside to be removed, and holds recrun's own files only."""
    if _REMOVED.fullmatch(entry.name) is None or not entry.is_dir(follow_symlinks=False):
        return False
    with suppress(OSError):
        return any(not contents_of(entry.path, kind).foreign for kind in _FILES)
    return False


def remove_own(folder: str | Path) -> None:
    """Remove recrun's own files from a folder that was set aside, and the folder itself if nothing else is in it.

    Another process may do the same at this moment.

    Raises:
        OSError: something cannot be removed, or is not recrun's own.
    """
    for kind in _FILES:
        with suppress(FileNotFoundError):
            found = contents_of(folder, kind)
            for file in found.files:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, file))
            for inner in reversed(found.folders):
                with suppress(OSError):  # if it is not empty, neither is the folder, whose error is raised
                    os.rmdir(os.path.join(folder, inner))
    with suppress(FileNotFoundError):
        os.rmdir(folder)
