"""Say which columns of a file are used as what, and which are not used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recrun.data.formats.columns.names import LABELS, bare_name
from recrun.data.formats.columns.sample_lines import sample_columns
from recrun.data.formats.find_bad_row import TextShape


def roles_listed(positions: Mapping[str, int]) -> str:
    """Return the roles in words, with the numbers of their columns where these are not the first ones in order."""
    if list(positions.values()) == list(range(len(positions))):
        return ", ".join(positions)
    return ", ".join(f"{role} ({place + 1})" for role, place in positions.items())


def unused_note(path: Path, names: Sequence[str]) -> list[str]:
    """Return the note on columns of a file that are not used, if there are some."""
    if not names:
        return []
    shown_names = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    told = f"columns {shown_names} are" if len(names) > 1 else f"column {shown_names} is"
    return [f"{path.name}: {told} not used"]


def unused_notes(path: Path, names: Sequence[str], shape: TextShape, selecting: Iterable[int]) -> list[str]:
    """Return the notes on columns that are not used; labels among them may mean that rows are no interactions.

    Args:
        path: the file.
        names: of its columns.
        shape: how it is laid out, and the columns that have a role.
        selecting: the positions of columns that rows are selected by.
    """
    used = {*shape.positions.values(), *selecting}
    unused = [place for place in range(len(names)) if place not in used]
    notes = unused_note(path, [names[place] for place in unused])
    labels = [place for place in unused if bare_name(names[place]).lower() in LABELS]
    columns = sample_columns(path, shape) if labels else []
    return notes + label_notes(path, {bare_name(names[place]): columns[place] for place in labels})


def label_notes(path: Path, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the notes on those columns that hold 0 and 1.

    Args:
        path: the file.
        columns: by name, values of the unused columns that are called as labels are; text, numbers, or true and false.
    """
    notes = []
    for name, values in columns.items():
        found = {str(int(value)) if value in (0, 1) else str(value) for value in values if value is not None}
        if "0" in found and found <= {"0", "1"}:
            told = f"{path.name}: column {name} holds 0 and 1, and rows with 0 count as interactions"
            notes.append(f"{told}; set rating_column={name} rating_threshold=1, or filter='{name} == 1'")
    return notes
