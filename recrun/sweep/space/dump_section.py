"""Write a section `sweep:` as YAML that `recrun.sweep.space.section` reads back to the same section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from recrun.config.reading import Place
from recrun.config.sweep_section import BUDGET, BUDGET_KEYS, KEY, KEYS, SPACE
from recrun.config.yaml_reader import read_value
from recrun.config.yaml_writer import dump_value
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.section import Section


def dump_section(section: Section) -> str:
    """Return a section as YAML; "" if it says nothing.

    Args:
        section: the section; its space may hold settings of the command line too.
    """
    lines = [f"  {line}" for line in _lines(section)]
    return "\n".join([f"{KEY}:", *lines, ""]) if lines else ""


def _lines(section: Section) -> Iterator[str]:
    asked = section.asked
    for key in (each.name for each in KEYS):
        if key == SPACE and asked.settings:
            yield f"{SPACE}:"
            yield from (f"  {line}" for line in _space(asked.settings))
        elif key == "points" and asked.points:
            yield "points:"
            for point in asked.points:
                yield f"  - {{{', '.join(f'{name}: {_yaml(value.text)}' for name, value in point.items())}}}"
        elif key == "zip" and asked.zips:
            yield f"zip: {dump_value([[name.text for name in each.keys] for each in asked.zips])}"
        elif key == BUDGET:
            limits = {each.name: getattr(section.budget, each.name) for each in BUDGET_KEYS}
            written = {name: value for name, value in limits.items() if value is not None}
            yield from [f"{BUDGET}: {dump_value(written)}"] if written else []
        elif key not in (SPACE, "points", "zip"):
            value: Any = getattr(section, key)
            yield from [] if value is None else [f"{key}: {dump_value(value)}"]


def _space(settings: Sequence[Setting]) -> Iterator[str]:
    for setting in settings:
        if setting.range is not None:
            yield f"{setting.key}: {setting.range.text}"
        elif setting.branches:
            yield f"{setting.key}:"
            for name, inner in setting.branches.items():
                yield f"  {name}:" + ("" if inner else " null")
                yield from (f"    {line}" for line in _space(inner))
        else:
            texts = [_yaml(value.text) for value in setting.values]
            is_single = len(texts) == 1 and texts[0][0] not in "[{"  # a single list stands in a list, as several do
            yield f"{setting.key}: {texts[0] if is_single else '[' + ', '.join(texts) + ']'}"


def _yaml(text: str) -> str:
    """Return the text of an argument's value as it may stand inside a list."""
    given, _ = read_value(text, Place(""))
    if given is None:
        return dump_value(text)
    is_plain = given.text and not isinstance(given.value, str)
    return given.text if is_plain and given.text else dump_value(given.value)
