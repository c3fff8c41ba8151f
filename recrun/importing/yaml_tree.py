"""Read YAML of any shape, in which every key keeps its line and column: configs of other programs.

The configs of recrun are flat and are read by `recrun.config.yaml_reader`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recrun.config.reading import Place, Reading
from recrun.config.yaml_dialect import NotYaml, compose, construct
from recrun.config.yaml_reader import read_text, without_controls
from recrun.errors import ConfigError, Fault


@dataclass(frozen=True)
class Entry:
    """A key of a file, and its value.

    Args:
        path: the key, after those of the mappings that it stands in.
        value: plain data: text, numbers, booleans, null, lists and mappings.
        place: where the key was written; None for a value that is in no file.
        value_place: where the value was written.
        entries: those of the value, if it is a mapping.
        items: where the elements of the value were written, if it is a list.
    """

    path: tuple[str, ...]
    value: Any
    place: Place | None = None
    value_place: Place | None = None
    entries: tuple[Entry, ...] = ()
    items: tuple[Place, ...] = ()

    @property
    def key(self) -> str:
        """The last part of the path."""
        return self.path[-1] if self.path else ""

    @property
    def name(self) -> str:
        """The whole path, with dots between its parts."""
        return ".".join(self.path)

    def child(self, *keys: str) -> Entry | None:
        """Return the entry below this one that the keys lead to, or None."""
        found: Entry | None = self
        for key in keys:
            found = next((each for each in found.entries if each.key == key), None) if found is not None else None
        return found

    def fault(self, message: str, item: int | None = None) -> Fault:
        """Return a fault at the value of this entry, or at one of its elements."""
        place = self.items[item] if item is not None and item < len(self.items) else self.value_place
        if place is None:
            return Fault(message, self.name)
        return place.fault(message, self.name if place.line is not None else "")

    def key_fault(self, message: str) -> Fault:
        """Return a fault at the key."""
        return Fault(message, self.name) if self.place is None else self.place.fault(message, self.name)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


def read_tree(path: str | Path) -> Entry:
    """Return the entry that stands for a whole file, whose path is empty; that of an empty file has no entries.

    Raises:
        ConfigError: the file cannot be read, is too large, is no YAML of the dialect, or is no mapping.
    """
    name, reading = str(path), Reading()
    text = read_text(Path(path), name, reading)
    if text is not None:
        text = without_controls(text, Place(name, 1, 1), reading)
    reading.checked()
    try:
        root = compose(text or "")
    except NotYaml as error:
        raise ConfigError(_place(name, error.mark).fault(error.message)) from None
    if root is None:
        return Entry((), {}, Place(name, 1, 1), Place(name, 1, 1))
    if root.id != "mapping":
        found = "a list" if root.id == "sequence" else "text"
        raise ConfigError(Fault(f"expected a mapping of settings, found {found}", file=name))
    faults: list[tuple[str, Any]] = []
    value = construct(root, faults)
    if faults:
        raise ConfigError([_place(name, node.start_mark).fault(message) for message, node in faults])
    return Entry((), value, Place(name, 1, 1), Place(name, 1, 1), _entries(root, (), name))


def _entries(node: Any, path: tuple[str, ...], file: str) -> tuple[Entry, ...]:
    """Return the entries of a mapping; of anything else, none."""
    if node.id != "mapping":
        return ()
    return tuple(_entry(key, value, (*path, key.value), file) for key, value in node.value)


def _entry(key: Any, value: Any, path: tuple[str, ...], file: str) -> Entry:
    elements = value.value if value.id == "sequence" else ()
    return Entry(
        path,
        construct(value, []),
        _place(file, key.start_mark),
        _place(file, value.start_mark),
        _entries(value, path, file),
        tuple(_place(file, element.start_mark) for element in elements),
    )


def _place(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
