"""Read YAML as a flat mapping in which every key and value keeps its line and column.

All faults of a text are reported together: if the text as a whole is not YAML, its top-level entries are read one by
one. No other module reads YAML.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from recrun.config.reading import Given, Place, Reading
from recrun.config.yaml_dialect import NotYaml, compose, construct
from recrun.errors import Fault
from recrun.files import read_regular

MAX_BYTES: Final = 1 << 16
"""A larger file is refused without being parsed: it cannot be a config."""


def read_mapping(path: str | Path) -> Reading:
    """Read a file that holds one flat mapping."""
    name = str(path)
    reading = Reading()
    text = read_text(Path(path), name, reading)
    if text is not None:
        _read_entries(_Text(without_controls(text, Place(name, 1, 1), reading), name), reading)
    return reading


def read_value(text: str, place: Place) -> tuple[Given | None, list[Fault]]:
    """Read one value as YAML writes it, such as the right-hand side of `KEY=VALUE`.

    Args:
        text: the value.
        place: where it begins.

    Returns:
        The value, or None if the text is not a valid value; and its faults.
    """
    reading = Reading()
    # Parsed as an element of a list: at the start of a line, `---` and `%` would have a special meaning.
    source = _Text("- " + without_controls(text, place, reading), place.file, argument=place)
    try:
        root = compose(source.text)
    except NotYaml as error:
        return None, [*reading.faults, source.place(error.mark).fault(error.message)]
    if not isinstance(root, yaml.SequenceNode) or len(root.value) != 1:
        return None, [*reading.faults, place.fault(f"expected one value, found {text!r}")]
    node = root.value[0]
    rest = source.text[node.end_mark.index :].strip()
    if rest.startswith("#"):
        reading.faults.append(place.fault(f"{rest[:20]!r} would be a comment; put the value in quotes"))
    given = source.given(node, place, reading.faults)
    return (None if reading.faults else given), reading.faults


@dataclass(frozen=True)
class _Text:
    """A text to read, and where it begins: on a line of a file, or in an argument."""

    text: str
    name: str
    first_line: int = 1
    argument: Place | None = None

    def place(self, mark: yaml.Mark | None) -> Place:
        if self.argument is not None:
            column = self.argument.column
            if column is not None and mark is not None and mark.line == 0:
                column += mark.column - 2
            return Place(self.name, None, column)
        return Place(self.name, mark.line + self.first_line, mark.column + 1) if mark is not None else Place(self.name)

    def given(self, node: yaml.Node, key_place: Place, faults: list[Fault]) -> Given:
        """Return the value of a node; faults are added to the list."""
        found: list[tuple[str, yaml.Node]] = []
        value = construct(node, found)
        faults += [self.place(where.start_mark).fault(message) for message, where in found]
        plain = node.value if isinstance(node, yaml.ScalarNode) and not node.style else None
        elements = node.value if isinstance(node, yaml.SequenceNode) else ()
        places = tuple(self.place(element.start_mark) for element in elements)
        within = {
            (position, key.value): (self.place(key.start_mark), self.place(entry.start_mark))
            for position, element in enumerate(elements)
            for key, entry in (element.value if isinstance(element, yaml.MappingNode) else ())
            if isinstance(key, yaml.ScalarNode)
        }
        parts = dict(self._parts(node, key_place))
        return Given(value, self.place(node.start_mark), plain, key_place, places, within, parts=parts)

    def _parts(self, node: yaml.Node, key_place: Place) -> Iterator[tuple[str | int, Given]]:
        """Yield the entries of a mapping by key, or the elements of a list by position."""
        if isinstance(node, yaml.SequenceNode):
            for position, element in enumerate(node.value):
                yield position, self.given(element, key_place, [])
        elif isinstance(node, yaml.MappingNode):
            for key, entry in node.value:
                if isinstance(key, yaml.ScalarNode):
                    yield key.value, self.given(entry, self.place(key.start_mark), [])


def _read_entries(source: _Text, reading: Reading) -> None:
    """Add the entries of a mapping's text to a reading."""
    try:
        root = compose(source.text)
    except NotYaml as error:
        _read_one_by_one(source, error, reading)
        return
    if root is None:
        message = "the file is empty; expected a mapping of settings, such as 'model: bprmf'"
        reading.refuse(Fault(message, file=source.name))
    elif isinstance(root, yaml.MappingNode):
        _add_entries(source, root, reading)
    else:
        found = "a list" if isinstance(root, yaml.SequenceNode) else f"the text {root.value[:60]!r}"
        hint = "; put a space after the colon" if re.match(r"\w+:\S", str(root.value)) else ""
        reading.refuse(source.place(root.start_mark).fault(f"expected 'key: value', found {found}{hint}"))


def _add_entries(source: _Text, root: yaml.MappingNode, reading: Reading) -> None:
    for key_node, value_node in root.value:
        place = source.place(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            reading.faults.append(place.fault("a key must be text"))
            continue
        key = key_node.value
        if key in reading.given:
            first = reading.given[key].key_place
            reading.faults.append(place.fault(f"is set twice; first on line {first.line if first else '?'}", key))
            continue
        faults: list[Fault] = []
        given = source.given(value_node, place, faults)
        for fault in faults:
            reading.refuse(replace(fault, key=key))
        if not faults:
            reading.given[key] = given


def _read_one_by_one(source: _Text, whole: NotYaml, reading: Reading) -> None:
    """Read each top-level entry by itself, so that an invalid one does not hide the others."""
    reading.complete = False
    text = source.text
    if whole.is_second_document and whole.mark is not None:
        text = text[: whole.mark.index]
    n_before = len(reading.faults)
    for first_line, block in _blocks(text):
        if block.startswith(("---", "...", "%")):
            continue
        part = _Text(block, source.name, source.first_line + first_line)
        try:
            root = compose(block)
        except NotYaml as error:
            key = re.match(r"(\w+)\s*:", block)
            reading.faults.append(part.place(error.mark).fault(error.message, key.group(1) if key else ""))
            continue
        if root is not None and not (isinstance(root, yaml.ScalarNode) and root.value == ""):
            _read_entries(part, reading)
    if whole.is_second_document or len(reading.faults) == n_before:
        reading.faults.append(source.place(whole.mark).fault(whole.message))


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield (lines before it, text) of each top-level entry: an unindented line and the lines that belong to it."""
    block: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(keepends=True)):
        if re.match(r"(?!- |-$|[\s#\]}])", line):
            if block:
                yield first, "".join(block)
            block, first = [], number
        block.append(line)
    if block:
        yield first, "".join(block)


def read_text(path: Path, name: str, reading: Reading) -> str | None:
    """Return the text of a file, or None if it cannot be read; what is wrong becomes faults of the reading."""
    try:
        content = read_regular(path, limit=MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = "is a folder; expected a YAML file" if os.path.isdir(path) else f"cannot be read: {reason}"
        if getattr(error, "errno", 0) == errno.EFBIG:
            message = f"is larger than {MAX_BYTES >> 10} KiB, so it is not a config"
        reading.refuse(Fault(message, file=name))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8-sig", errors="replace")) + 1
        message = f"is not UTF-8 text: byte 0x{content[error.start]:02x} cannot be decoded; save the file as UTF-8"
        reading.refuse(Fault(message, file=name, line=before.count(b"\n") + 1, column=column))
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return None if is_utf16 else content.decode("utf-8-sig", errors="ignore")


# U+0085, U+2028 and U+2029 end a line in YAML but not in editors, so they are refused like control characters.
_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def without_controls(text: str, start: Place, reading: Reading) -> str:
    """Return a text without the characters that YAML forbids; each line that has some is a fault."""
    for number, line in enumerate(text.split("\n")):
        forbidden = _CONTROL.search(line)
        if forbidden:
            column = forbidden.start() + 1 + (start.column - 1 if start.column and not number else 0)
            place = Place(start.file, None if start.line is None else start.line + number, column)
            reading.faults.append(
                place.fault(f"the character U+{ord(forbidden.group()):04X} is not allowed in YAML; remove it")
            )
    return _CONTROL.sub("", text)
