"""Read settings that a program gives as Python values, to be checked as those of YAML are."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from recrun.config.reading import Place, Reading, given_of
from recrun.config.yaml_writer import dump_value
from recrun.errors import Fault

KEYWORD: Final = Place("")
"""Where a keyword was written: its name says it all."""

_TYPES: Final = {"model": "mymodel", "dataset": "mydata", "loss": "myloss"}
"""Names of files in advice, by the setting that chooses a component."""


class Unusable(ValueError):
    """A Python value that no setting can have; its text says what to write instead."""


def read_keywords(settings: Mapping[Any, Any]) -> Reading:
    """Read settings given as Python values: numbers, text, booleans, None, and lists and mappings of these.

    Scalars and arrays of numpy, tuples, ranges and paths stand for what YAML would hold.
    """
    reading = Reading()
    for key, value in settings.items():
        if not isinstance(key, str):
            reading.refuse(Fault(f"the name of a setting must be text, found {key!r}", file=KEYWORD.file))
            continue
        try:
            found = plain_value(value, key)
        except Unusable as error:
            reading.refuse(KEYWORD.fault(str(error), key))
            continue
        is_number = type(found) in (int, float)
        # A number may stand where text is expected, as in YAML: `id=7`.
        text = dump_value(found) if is_number else None
        reading.given[key] = replace(given_of(found, KEYWORD), text=text)
    return reading


def plain_value(value: Any, key: str = "") -> Any:
    """Return a Python value as YAML could hold it.

    Args:
        value: the value.
        key: the setting that it is for, which messages name.

    Raises:
        Unusable: YAML has no such value.

    >>> plain_value((1, 2.5, range(2)))
    [1, 2.5, [0, 1]]
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return plain_value(value.tolist(), key)
    if isinstance(value, os.PathLike):
        return os.fsdecode(os.fspath(value))
    if isinstance(value, str):  # of a class derived from it, as the members of some enumerations
        return str.__str__(value)
    if isinstance(value, Mapping):
        strange = next((name for name in value if not isinstance(name, str)), None)
        if strange is not None:
            raise Unusable(f"the keys of a mapping must be text, found {strange!r}")
        return {str(name): plain_value(each, key) for name, each in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain_value(each, key) for each in value]
    raise Unusable(_advice(value, key))


def _advice(value: Any, key: str) -> str:
    """Return what to write instead of a value that no setting can have."""
    if inspect.isclass(value) or inspect.isroutine(value):
        what = "class" if inspect.isclass(value) else "function"
        return f"expected a name, found the {what} itself; {_named(value, key)}"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    more = ""
    if isinstance(value, (set, frozenset)):
        more = "; a set has no order, so write a list"
    elif isinstance(value, (int, float)):
        more = f"; write {'nan' if math.isnan(value) else repr(value + 0)}"
    return f"expected a number, text, true or false, None, a list or a mapping, found a value of type {kind}{more}"


def _named(value: Any, key: str) -> str:
    """Return how to name a class or function, so that a run can be made again from its config."""
    name = str(getattr(value, "__name__", "Name"))
    module = str(getattr(value, "__module__", ""))
    if module.startswith("recrun."):
        return "write its registered name"
    try:
        file = inspect.getsourcefile(value)
    except (TypeError, OSError):
        file = None
    if file is not None and os.path.isfile(file) and module != "__main__":
        return f"write {key}={f'{file}:{name}'!r}"
    if file is not None and os.path.isfile(file):
        return f"move it to a file of its own, and write {key}='./{_TYPES.get(key, 'mine')}.py:{name}'"
    file = f"{_TYPES.get(key, 'mine')}.py"
    return f"write it to a file, in a notebook with %%writefile {file}, and name it: {key}='./{file}:{name}'"
