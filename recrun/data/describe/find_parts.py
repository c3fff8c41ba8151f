"""Find the files of a folder: the parts of a data set, or the pieces of one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from recrun.data.datasets.file import format_of
from recrun.data.datasets.pieces import are_many, find_pieces
from recrun.errors import DataError
from recrun.registry.conditions import format_told_by, plain_name

_PART_NAMES: Final = {"train": "train|training|base", "valid": "valid|validation|val|dev", "test": "test|testing"}


def has_parts(folder: Path) -> bool:
    """Return whether files of a folder are called as parts, rather than being pieces of one table."""
    return any(_named_parts(folder)[1].values()) or not common_format(folder)


def common_format(folder: Path) -> str:
    """Return the format of the files of a folder if all have one by their names, or ""."""
    try:
        formats = {format_of(piece.name) for piece in find_pieces(folder)}
    except DataError:
        return format_of(folder.name) if format_told_by(folder.name) is not None else ""
    return formats.pop() if len(formats) == 1 else ""


def _named_parts(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    found: dict[str, list[Path]] = {part: [] for part in _PART_NAMES}
    for file in files:
        for part, names in _PART_NAMES.items():
            if re.search(rf"(^|[._-])({names})\d?([._-]|$)", plain_name(file.name).lower()):
                found[part].append(file)
    return files, found


def parts_in(folder: Path) -> dict[str, Path]:
    """Return the files of a folder that are called train, test, and maybe valid.

    Raises:
        DataError: there is not one of train and one of test.
    """
    files, found = _named_parts(folder)
    several = [part for part, paths in found.items() if len(paths) > 1]
    if several or not (found["train"] and found["test"]):
        names = ", ".join(file.name for file in files[:20]) or "nothing"
        raise DataError(f"{folder} is a folder without one train and one test file; name a file of it: {names}")
    return {part: paths[0] for part, paths in found.items() if paths}


def fixed_parent(path: Path) -> Path:
    """Return the folder of a file, or the innermost one of a pattern that is no pattern itself."""
    folder = path.parent
    while are_many(folder) and not folder.is_dir():
        folder = folder.parent
    return folder
