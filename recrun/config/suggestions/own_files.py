"""Say what to write where a file is named alone: what a Python file holds, and which data set reads a file of data."""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Iterator
from typing import Final

from recrun.config.reading import Given
from recrun.errors import RegistryError
from recrun.registry import FORMATS, REGISTRIES
from recrun.registry.modules import Definition, Source, parse_file
from recrun.registry.read_source import registrations

_BASES: Final = {
    "model": ("RecSysArch", "ClosedFormArch"),
    "loss": ("BaseCriterion",),
    "dataset": ("RecDataSet",),
    "sampler": ("NegativeSampler",),
}
"""The classes that those of a kind derive from."""
_OTHER_DATA: Final = (".txt", ".dat", ".xlsx", ".xls", ".ods", ".zip", ".gz", ".zst", ".bz2", ".xz", ".feather")
"""Extensions of data besides those of the registered formats."""


def named_in(path: str, shown: str | None = None) -> list[tuple[str, str]]:
    """Return the kind and the reference (`my_mf.py:MyMF`) of each component in a Python file, read as text.

    Args:
        path: the file; nothing is found in one that is not there or no Python.
        shown: the path as references are to show it.
    """
    try:
        source = parse_file(path)
        found = ((_kind_of(node, source), name) for name, node in source.definitions.items() if name[0] != "_")
        return [(kind, f"{shown or path}:{name}") for kind, name in found if kind is not None]
    except RegistryError:
        return []


def explain_python(path: str, kind: str | None = None, shown: str | None = None) -> str:
    """Return what to write instead of a Python file alone.

    Args:
        path: the file.
        kind: the kind of component that is meant; None for any.
        shown: the path as the user wrote it, if that is another.
    """
    shown = shown or path
    what = kind or "component"
    if not os.path.isfile(path):
        return f"there is no file {shown!r}, and a {what} of your own is written {shown}:Name"
    found = [reference for each, reference in named_in(path, shown) if kind in (None, each)]
    if not found:
        return f"write {shown}:Name, with the name of the {what} in it; no {what} was found there"
    return f"write {' or '.join(found)}"


def explain_file(setting: str, name: str, given: Given, path: str) -> str | None:
    """Return what to write instead of a file where a setting names a component, or None if no file is meant.

    Args:
        setting: the setting that chooses a component, such as `model` or `dataset`.
        name: its value.
        given: where it was written.
        path: where a file of that name is.
    """
    if ".py" in name:
        hint = f"; {explain_python(path, setting, name)}" if name.endswith(".py") else ""
        return f"expected a registered name or path/to/file.py:Name, found {name!r}{hint}"
    if setting == "dataset" and (os.path.exists(path) or is_data(name)) and not name.isidentifier():
        above, last = os.path.split(name)
        if given.place is not None and given.place.line is not None:
            written = f"dataset: File, root: {above or '.'} and path: {last}"
        else:
            written = shlex.join(["dataset=File", f"root={above or '.'}", f"path={last}"])
        return f"{name!r} is the name of a file, which the data set File reads; write {written}"
    return None


def is_data(name: str) -> bool:
    """Return whether a name ends as a file of data does."""
    known = {ending for each in FORMATS for ending in each.traits.extensions}
    return os.path.splitext(name)[1].lower() in {*known, *_OTHER_DATA}


def _kind_of(node: Definition, source: Source) -> str | None:
    for registry in REGISTRIES.values():
        if any(registrations(node, registry.constant)):
            return registry.kind
    if not isinstance(node, ast.ClassDef):
        return None
    above = set(_bases(node, source))
    return next((kind for kind, bases in _BASES.items() if above.intersection(bases)), None)


def _bases(node: ast.ClassDef, source: Source) -> Iterator[str]:
    """Yield the names of all classes above one, as far as they are known."""
    for base in node.bases:
        yield ast.unparse(base).rpartition(".")[2]
        found = source.find_class(base)
        if found is not None and found[0] is not node:
            yield from _bases(*found)
